// One Pod's life: network, volumes, processes, status.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const volumePoll = 200 * time.Millisecond

type pod struct {
	node    *node
	obj     *corev1.Pod
	dir     string
	net     podNet
	outputs map[string]*output // by container

	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
}

func newPod(ctx context.Context, n *node, obj *corev1.Pod) *pod {
	p := &pod{
		node: n, obj: obj.DeepCopy(), dir: filepath.Join(n.dir, obj.Namespace+"_"+obj.Name),
		outputs: map[string]*output{}, done: make(chan struct{}),
	}
	p.ctx, p.cancel = context.WithCancel(ctx)
	return p
}

// stop ends the processes and removes the network; it returns when they are gone.
func (p *pod) stop() {
	p.cancel()
	<-p.done
}

func (p *pod) run() {
	defer close(p.done)
	defer func() { p.node.net.remove(p.net) }()
	if err := p.start(); err != nil && p.ctx.Err() == nil {
		log.Printf("%s/%s: %v", p.obj.Namespace, p.obj.Name, err)
		p.report(false, err.Error())
		<-p.ctx.Done()
	}
}

// start returns an error when the Pod cannot run, and nil after it was stopped.
func (p *pod) start() error {
	var err error
	if p.net, err = p.node.net.add(); err != nil {
		return err
	}
	mounts, err := p.writeVolumes()
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	defer group.Wait()
	ready := make(chan struct{}, len(p.obj.Spec.Containers))
	for i := range p.obj.Spec.Containers {
		c, err := p.container(&p.obj.Spec.Containers[i], mounts)
		if err != nil {
			p.cancel()
			return err
		}
		group.Go(func() { c.runUntil(p.ctx, ready) })
	}
	for range p.obj.Spec.Containers {
		select {
		case <-ready:
		case <-p.ctx.Done():
			return nil
		}
	}
	p.report(true, "")
	return nil
}

// container resolves what a container needs before it can be started.
func (p *pod) container(spec *corev1.Container, volumes map[string]string) (*process, error) {
	program, ok := p.node.images.program(spec.Image)
	if !ok {
		return nil, fmt.Errorf("no program stands in for image %s", spec.Image)
	}
	env, err := p.env(spec, volumes)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, err
	}
	out, err := newOutput(filepath.Join(p.dir, spec.Name+".log"))
	if err != nil {
		return nil, err
	}
	p.node.mu.Lock()
	p.outputs[spec.Name] = out
	p.node.mu.Unlock()
	return &process{netns: p.net.name, program: program, args: spec.Args, env: env, out: out}, nil
}

// env resolves the variables. There is no mount namespace: a value that names a
// path below a volume's mount point is rewritten to where the volume really is.
func (p *pod) env(spec *corev1.Container, volumes map[string]string) ([]string, error) {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOSTNAME=" + p.obj.Name}
	for _, e := range spec.Env {
		value := e.Value
		if e.ValueFrom != nil {
			if e.ValueFrom.FieldRef == nil {
				return nil, fmt.Errorf("env %s: only fieldRef is supported", e.Name)
			}
			var err error
			if value, err = p.field(e.ValueFrom.FieldRef.FieldPath); err != nil {
				return nil, err
			}
		}
		for _, m := range spec.VolumeMounts {
			if rest, ok := strings.CutPrefix(value, m.MountPath); ok && (rest == "" || rest[0] == '/') {
				value = volumes[m.Name] + rest
				break
			}
		}
		env = append(env, e.Name+"="+value)
	}
	return env, nil
}

func (p *pod) field(path string) (string, error) {
	switch path {
	case "metadata.name":
		return p.obj.Name, nil
	case "metadata.namespace":
		return p.obj.Namespace, nil
	case "metadata.uid":
		return string(p.obj.UID), nil
	case "spec.nodeName":
		return nodeName, nil
	case "status.podIP":
		return p.net.ip, nil
	case "status.hostIP":
		return p.node.ip, nil
	}
	return "", fmt.Errorf("fieldRef %s is not supported", path)
}

// writeVolumes writes Secret and ConfigMap volumes, waiting until they exist, and
// returns each volume's folder. Later changes to them do not reach the Pod.
func (p *pod) writeVolumes() (map[string]string, error) {
	folders := map[string]string{}
	for _, v := range p.obj.Spec.Volumes {
		folder := filepath.Join(p.dir, "volumes", v.Name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
		files, err := p.volume(&v)
		for apierrors.IsNotFound(err) && p.ctx.Err() == nil {
			time.Sleep(volumePoll)
			files, err = p.volume(&v)
		}
		if err != nil {
			return nil, err
		}
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
				return nil, err
			}
		}
		folders[v.Name] = folder
	}
	return folders, nil
}

func (p *pod) volume(v *corev1.Volume) (map[string][]byte, error) {
	core := p.node.client.CoreV1()
	switch {
	case v.Secret != nil:
		s, err := core.Secrets(p.obj.Namespace).Get(p.ctx, v.Secret.SecretName, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return pick(s.Data, v.Secret.Items), nil
	case v.ConfigMap != nil:
		m, err := core.ConfigMaps(p.obj.Namespace).Get(p.ctx, v.ConfigMap.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		data := map[string][]byte{}
		for k, text := range m.Data {
			data[k] = []byte(text)
		}
		return pick(data, v.ConfigMap.Items), nil
	case v.EmptyDir != nil:
		return nil, nil
	}
	return nil, fmt.Errorf("volume %s: only secret, configMap and emptyDir are supported", v.Name)
}

func pick(data map[string][]byte, items []corev1.KeyToPath) map[string][]byte {
	if len(items) == 0 {
		return data
	}
	files := map[string][]byte{}
	for _, item := range items {
		files[filepath.Base(item.Path)] = data[item.Key]
	}
	return files
}

// report writes the Pod's status: running and ready, or waiting with a message.
func (p *pod) report(ready bool, message string) {
	status := corev1.PodStatus{
		Phase: corev1.PodPending, Message: message, StartTime: &metav1.Time{Time: time.Now()},
		HostIP: p.node.ip, HostIPs: []corev1.HostIP{{IP: p.node.ip}},
	}
	is := corev1.ConditionFalse
	if ready {
		is = corev1.ConditionTrue
		status.Phase = corev1.PodRunning
		status.PodIP, status.PodIPs = p.net.ip, []corev1.PodIP{{IP: p.net.ip}}
	}
	for _, t := range []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		status.Conditions = append(status.Conditions,
			corev1.PodCondition{Type: t, Status: is, LastTransitionTime: metav1.Now()})
	}
	for _, c := range p.obj.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, containerStatus(c, ready, message))
	}
	patch, _ := json.Marshal(map[string]any{"status": status})
	for !p.patchStatus(patch) {
		select {
		case <-p.ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// patchStatus is false when it is worth another try: the API server may be away.
func (p *pod) patchStatus(patch []byte) bool {
	_, err := p.node.client.CoreV1().Pods(p.obj.Namespace).
		Patch(p.ctx, p.obj.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err == nil || p.ctx.Err() != nil || apierrors.IsNotFound(err) {
		return true
	}
	log.Printf("status of %s/%s: %v", p.obj.Namespace, p.obj.Name, err)
	return false
}

func containerStatus(c corev1.Container, ready bool, message string) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, Ready: ready, Started: &ready}
	if ready {
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.Now()}
	} else {
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CannotRun", Message: message}
	}
	return s
}
