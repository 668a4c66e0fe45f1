"""Processes that this run started: starting, CPU time, memory, ending them."""
import os
import signal
import subprocess
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def pinned(argv, cpus):
    return ["taskset", "-c", ",".join(map(str, sorted(cpus))), *map(str, argv)]


class Child:
    """A started process, its own session leader; stop() ends it and its descendants by pid."""

    def __init__(self, argv, cpus, log, env=None, cwd=None):
        self.argv = [str(a) for a in argv]
        self.log = Path(log)
        with open(log, "wb") as out:
            self.p = subprocess.Popen(
                pinned(argv, cpus), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True)
        self.pid = self.p.pid

    def alive(self):
        return self.p.poll() is None

    def tail(self, n=400):
        return self.log.read_text(errors="replace")[-n:].strip()

    def stop(self):
        pids = tree(self.pid)
        for sig, wait in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
            for pid in pids:
                try:
                    os.kill(pid, sig)
                except ProcessLookupError:
                    pass
            end = time.monotonic() + wait
            while time.monotonic() < end:
                self.p.poll()
                if not any(os.path.exists(f"/proc/{pid}") for pid in pids):
                    return
                time.sleep(0.02)
        self.p.wait(1)


def tree(root):
    """root and all its live descendants."""
    seen, todo = [], [root]
    while todo:
        pid = todo.pop()
        seen.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                kids = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
                todo += [int(k) for k in kids]
        except OSError:
            pass
    return seen


def stat_fields(pid):
    raw = Path(f"/proc/{pid}/stat").read_text()
    return raw[raw.rindex(")") + 2:].split()


def cpu_seconds(root):
    """(user, system) seconds used so far by root, its threads and its children."""
    user = system = 0
    for pid in tree(root):
        try:
            f = stat_fields(pid)
        except OSError:
            continue
        user += int(f[11])
        system += int(f[12])
        if pid == root:  # children that ended and were waited for
            user += int(f[13])
            system += int(f[14])
    return user / TICK, system / TICK


def thread_seconds(root, program=""):
    """{(pid, tid): CPU seconds} of the tree's threads, or of those of it that run `program`."""
    out = {}
    for pid in tree(root):
        if program and not runs(pid, program):
            continue
        try:
            for tid in os.listdir(f"/proc/{pid}/task"):
                raw = Path(f"/proc/{pid}/task/{tid}/stat").read_text()
                f = raw[raw.rindex(")") + 2:].split()
                out[pid, int(tid)] = (int(f[11]) + int(f[12])) / TICK
        except OSError:
            continue
    return out


def balance(before, after, workers):
    """CPU time of the busiest worker over the workers' mean: 1 is even, `workers` is one that does it all. None without work."""
    used = sorted((t - before.get(who, 0) for who, t in after.items()), reverse=True)[:workers]
    return used[0] * workers / sum(used) if sum(used) else None


def runs(pid, program):
    """Whether a process runs the program of this file name."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")) == program
    except OSError:
        return False


def memory_kib(root, program=""):
    """(sum of RSS, sum of PSS) in KiB over the process tree, or over those of it that run `program`."""
    rss = pss = 0
    for pid in tree(root):
        if program and not runs(pid, program):
            continue
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    rss += int(line.split()[1])
                elif line.startswith("Pss:"):
                    pss += int(line.split()[1])
        except OSError:
            continue
    return rss, pss


def fd_count(root):
    n = 0
    for pid in tree(root):
        try:
            n += len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            pass
    return n


def core_times(cpus):
    """(busy, stolen, total) seconds summed over these cores since boot."""
    busy = stolen = total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("cpu") and line[3:4].isdigit() and int(line.split()[0][3:]) in cpus:
            v = [int(x) for x in line.split()[1:9]]
            stolen += v[7]
            total += sum(v)
            busy += sum(v) - v[3] - v[4] - v[7]
    return busy / TICK, stolen / TICK, total / TICK


def kernel_tcp_kib():
    """KiB of TCP buffers in the kernel (sockstat 'mem' is in pages), whole machine."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            w = line.split()
            return int(w[w.index("mem") + 1]) * PAGE // 1024
    return 0


class Counting:
    """Counts system calls and context switches of a process tree by perf's tracepoints, which
    work without hardware counters. None in .per(n) where perf cannot. `with Counting(pid) as c`."""
    EVENTS = ("raw_syscalls:sys_enter", "context-switches")

    def __init__(self, perf, pid, out):
        self.perf, self.pid, self.out = perf, pid, Path(out)

    def __enter__(self):
        self.out.unlink(missing_ok=True)
        self.p = subprocess.Popen([self.perf, "stat", "-x,", "-e", ",".join(self.EVENTS), "-o", self.out, "-p", ",".join(map(str, tree(self.pid)))],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.15)
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGINT)
        self.p.wait(5)

    def per(self, n):
        """[system calls, context switches] for each of n requests."""
        got = {}
        for line in self.out.read_text().splitlines() if self.out.exists() else ():
            f = line.split(",")
            if len(f) > 2 and f[0].isdigit():
                got[f[2]] = int(f[0]) / max(n, 1)
        return [got.get(e) for e in self.EVENTS]
