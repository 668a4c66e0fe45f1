// A container's process in the Pod's network namespace, restarted when it exits.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	netnsFolder  = "/run/netns/" // where ip-netns keeps named namespaces
	restartPause = time.Second
	killAfter    = 2 * time.Second
	listenPoll   = 20 * time.Millisecond
	listenStill  = 3                // polls without a further listener: all are open
	listenWithin = 10 * time.Second // then the process counts as ready without a listener
)

type process struct {
	netns, program string
	args, env      []string
	out            *output
}

// runUntil keeps the process running until ctx ends, and tells once on ready
// that it listens.
func (p *process) runUntil(ctx context.Context, ready chan<- struct{}) {
	defer p.out.file.Close()
	for first := true; ctx.Err() == nil; first = false {
		if err := p.once(ctx, first, ready); err != nil && ctx.Err() == nil {
			fmt.Fprintln(p.out.file, "podrunner: process ended:", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(restartPause):
		}
	}
}

func (p *process) once(ctx context.Context, first bool, ready chan<- struct{}) error {
	enter := []string{"--net=" + netnsFolder + p.netns, "--", p.program}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, p.args...)...)
	cmd.Env = p.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	go p.out.copyFrom(r)
	defer w.Close()
	if err := cmd.Start(); err != nil {
		return err
	}
	if first {
		p.waitForListeners(ctx, cmd.Process.Pid)
		ready <- struct{}{}
	}
	return cmd.Wait()
}

// waitForListeners returns when TCP or UDP sockets listen in the Pod's namespace and no more of them open.
func (p *process) waitForListeners(ctx context.Context, pid int) {
	last, still := 0, 0
	for end := time.Now().Add(listenWithin); ctx.Err() == nil && time.Now().Before(end); {
		count := 0
		if p.hasEntered(pid) {
			count = listeners(pid)
		}
		if count > 0 && count == last {
			still++
		} else {
			last, still = count, 0
		}
		if still == listenStill {
			return
		}
		time.Sleep(listenPoll)
	}
}

// hasEntered is false while nsenter is still in the namespace it was started in.
func (p *process) hasEntered(pid int) bool {
	own, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return false
	}
	pods, err := os.Stat(netnsFolder + p.netns)
	return err == nil && os.SameFile(own, pods)
}

func listeners(pid int) int {
	count := 0
	// As the kernel prints states: 0A is a TCP listener, 07 an unconnected UDP socket.
	for table, state := range map[string]string{"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		count += inState(string(data), state)
	}
	return count
}

func inState(table, state string) int {
	count := 0
	for _, row := range strings.Split(table, "\n")[1:] {
		if f := strings.Fields(row); len(f) > 3 && f[3] == state {
			count++
		}
	}
	return count
}
