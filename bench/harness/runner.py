"""Runs one peer in one scenario, and the interleaved rounds."""
import http.client
import json
import shutil
import subprocess
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from . import checks, proc, settings
from .churn import Churn
from .config import Config, free_port, make_routes
from .loads import Loads

MEMORY = Path("/dev/shm")  # for access logs: a disk's pace is not the peer's
ALL_OF_IT = 0.99           # of lines logged and requests mirrored: a peer that drops some did less work


class Failed(Exception):
    pass


class Bench:
    def __init__(self, bin, scratch, proxy_cpus, load_cpus, seconds, warmup, syscalls=False):
        self.bin, self.scratch = bin, Path(scratch)
        self.proxy_cpus, self.load_cpus = proxy_cpus, load_cpus
        self.seconds, self.warmup, self.syscalls = seconds, warmup, syscalls
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.scratch / "cert.pem", self.scratch / "key.pem"
        if not self.cert.exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                            "-subj", "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test,DNS:*.bench.test,IP:127.0.0.1",
                            "-keyout", self.key, "-out", self.cert], check=True, capture_output=True)
        self.children = []
        self.logs = Path(tempfile.mkdtemp(prefix="ringgate-bench-", dir=MEMORY if MEMORY.is_dir() else self.scratch))

    def __enter__(self):
        self.http, self.l4, self.grpc = free_port(), free_port(), free_port()
        self.backends = {"http": self.spawn([self.bin["backend"], self.http, self.l4], self.load_cpus, "backend")}
        if self.bin.get("grpc-backend"):
            self.backends["grpc"] = self.spawn([self.bin["grpc-backend"], self.grpc], self.load_cpus, "grpc-backend")
        time.sleep(0.2)
        return self

    def __exit__(self, *_):
        for c in self.children:
            c.stop()
        shutil.rmtree(self.logs, ignore_errors=True)

    def spawn(self, argv, cpus, name, env=None):
        child = proc.Child(argv, cpus, self.scratch / f"{name}.log", env, cwd=self.scratch)
        self.children.append(child)
        return child

    def start(self, peer, sc, rules=None):
        """Starts the peer and waits until it answers rightly. -> (Child, Config, seconds to ready)"""
        for _ in range(3):
            cfg = self.config(peer, sc, sc.routes if rules is None else rules)
            cmd = peer.command(cfg)
            argv, env = cmd if isinstance(cmd, tuple) else (cmd, {})
            self.told = settings.told(cfg, argv, env)
            t = time.monotonic()
            child = self.spawn(argv, self.cpus_of(sc), f"peer-{peer.name}", env)
            why = "no answer"
            while time.monotonic() - t < sc.start_limit:
                if not child.alive():
                    why = "ended at start"
                    break
                try:
                    why = checks.probe(cfg, self.bin, self.scratch, self.load_cpus)
                except (OSError, http.client.HTTPException, ValueError, RuntimeError) as e:
                    why = f"{type(e).__name__}: {e}"
                if not why:
                    return child, cfg, time.monotonic() - t
                time.sleep(0.05)
            else:
                why += f" (after {sc.start_limit:g} s)"
            log = child.tail()
            self.end(child)
            if "in use" not in log.lower():
                break
        raise Failed(f"{peer.name} {sc.listen}: {why}: {log}")

    def config(self, peer, sc, rules):
        d = self.scratch / f"run-{peer.name}"
        shutil.rmtree(d, ignore_errors=True)
        d.mkdir()
        backend = {"grpc": self.grpc, "tcp": self.l4, "udp": self.l4}.get(sc.listen, self.http)
        log = self.logs / f"{peer.name}.log" if sc.work == "log" else None
        if log:
            log.unlink(missing_ok=True)
        return Config(sc.listen, free_port(), backend, len(self.cpus_of(sc)), d, self.cert, self.key, self.bin, make_routes(rules), sc.work, log)

    def cpus_of(self, sc):
        return self.proxy_cpus | self.load_cpus if sc.two else self.proxy_cpus

    def end(self, child):
        child.stop()
        self.children.remove(child)

    def measure(self, peer, sc):
        child, cfg, ready = self.start(peer, sc)
        try:
            loads = Loads(self.bin, self.scratch, self.proxy_cpus | self.load_cpus if sc.two else self.load_cpus)
            rss0, _ = proc.memory_kib(child.pid)
            counted, warm = self.warm_up(sc, loads, cfg, child)
            seconds, paced = min(self.seconds, sc.max_seconds), {}
            if sc.share:
                paced = {"capacity": warm["requests"] / warm["seconds"], "rate": sc.share * warm["requests"] / warm["seconds"]}
            seen0 = checks.count(self.http) if sc.work == "mirror" else 0
            back = self.backends.get("grpc" if sc.listen == "grpc" else "http")
            cores = self.proxy_cpus | self.load_cpus
            t0, b0, m0, u0 = proc.thread_seconds(child.pid, peer.data_plane), sum(proc.cpu_seconds(back.pid)), proc.core_times(cores), proc.cpu_seconds(child.pid)
            with Churn(peer, cfg, child, self.load_cpus) if sc.work == "changes" else nullcontext() as churn:
                r = loads.open(cfg.port, 64, paced["rate"], seconds, cfg.routes) if sc.share else sc.load(loads, cfg.port, seconds, cfg.routes)
            u1, m1, b1, t1 = proc.cpu_seconds(child.pid), proc.core_times(cores), sum(proc.cpu_seconds(back.pid)), proc.thread_seconds(child.pid, peer.data_plane)
            if not child.alive():
                raise Failed("ended under load: " + child.tail())
            if not r["requests"]:
                raise Failed(f"no request was answered, {r['errors']} errors {r.get('first_error', '')}")
            if churn:
                paced |= churn.row()
            if sc.work == "mirror":
                paced |= self.mirrored(r, seen0)
            if sc.two and peer.fixed_workers:
                paced["balance"] = proc.balance(t0, t1, cfg.threads)
            rss1, pss1 = proc.memory_kib(child.pid)
            dataplane = proc.memory_kib(child.pid, peer.data_plane)[0] if peer.data_plane else rss1
        finally:
            self.end(child)
        if cfg.log:
            paced |= self.logged(cfg, r["requests"] + warm["requests"])
        n = r["requests"]
        user, system = u1[0] - u0[0], u1[1] - u0[1]
        total = max(m1[2] - m0[2], 1e-9)
        ours = user + system + (b1 - b0) + r["load_cpu_s"]
        return {**r, **counted, **paced, "rps": r["requests"] / r["seconds"], "cpu_us": (user + system) * 1e6 / n, "user_us": user * 1e6 / n, "sys_us": system * 1e6 / n,
                "backend_us": (b1 - b0) * 1e6 / n, "load_us": r["load_cpu_s"] * 1e6 / n,
                "busy": (user + system) / r["seconds"] / (len(cores) if sc.two else len(self.proxy_cpus)),
                "foreign": max(0.0, (m1[0] - m0[0] - ours) / total), "stolen": (m1[1] - m0[1]) / total,
                "rss0_kib": rss0, "rss_kib": rss1, "rss_dataplane_kib": dataplane, "pss_kib": pss1, "ready_s": ready}

    def warm_up(self, sc, loads, cfg, child):
        """({"syscalls", "switches"} per request where they are counted, what the load tool said)."""
        load = lambda seconds: sc.load(loads, cfg.port, seconds, cfg.routes)
        # An open loop goes by what this finds: as long as the measurement itself, and nothing counted meanwhile, for that slows the peer.
        warm = load(max(self.warmup, min(self.seconds, sc.max_seconds))) if sc.share else None
        if not self.syscalls:
            return {}, warm or load(self.warmup)
        # Here, so that counting does not weigh on the measurement.
        with proc.Counting(self.bin["perf"], child.pid, self.scratch / "perf.out") as count:
            counted = load(self.warmup)
        return dict(zip(("syscalls", "switches"), count.per(counted["requests"]))), warm or counted

    def mirrored(self, r, before):
        time.sleep(0.2)  # mirrored requests that are under way
        share = (checks.count(self.http) - before - 1 - r["requests"]) / r["requests"]
        if share < ALL_OF_IT:
            raise Failed(f"only {share:.1%} of the requests were mirrored")
        return {"mirrored": min(share, 1.0)}  # those cut at the end of the run were mirrored, too

    def logged(self, cfg, requests):
        with open(cfg.log, "rb") as f:
            first = f.readline()
            lines = 1 + sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b""))
        cfg.log.unlink()
        json.loads(first)
        if lines < requests * ALL_OF_IT:
            raise Failed(f"only {lines} lines for {requests} requests in the access log")
        return {"logged": min(lines / requests, 1.0), "log_line_bytes": len(first)}

    def memory(self, peer, sc, connections=None):
        if sc.unit == "rule":
            return self.rules(peer, sc)
        return self.idle(peer, sc, connections or sc.connections)

    def rules(self, peer, sc):
        """Memory with one rule, and with all of them; both checked to be in force, and asked nothing more. PSS: a master and
        its workers share most of what they read, and that is there once."""
        child, _, _ = self.start(peer, sc, 1)
        try:
            time.sleep(0.5)
            _, pss0 = proc.memory_kib(child.pid)
        finally:
            self.end(child)
        child, _, ready = self.start(peer, sc)
        try:
            time.sleep(2)  # what was needed to load them only
            rss, pss = proc.memory_kib(child.pid)
            c0 = sum(proc.cpu_seconds(child.pid))
            time.sleep(1)
            cpu = sum(proc.cpu_seconds(child.pid)) - c0
            dataplane = proc.memory_kib(child.pid, peer.data_plane)[1] if peer.data_plane else pss
            fds = proc.fd_count(child.pid)
        finally:
            self.end(child)
        return {"rss0_kib": pss0, "rss_kib": pss, "rss_dataplane_kib": dataplane, "rss_sum_kib": rss, "open": sc.routes, "errors": 0, "fds": fds,
                "per_unit_kib": (pss - pss0) / sc.routes, "idle_cpu": cpu, "ready_s": ready}

    def idle(self, peer, sc, conns):
        """RSS with no connection but those of the first check, and with `conns` idle keep-alive ones after a GET on each."""
        child, cfg, ready = self.start(peer, sc)
        load = None
        try:
            time.sleep(0.5)
            rss0, _ = proc.memory_kib(child.pid)
            log = self.scratch / "idle.err"
            with open(log, "wb") as err:
                load = subprocess.Popen(proc.pinned(sc.load(self.bin, cfg.port, conns), self.load_cpus),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True)
            r = json.loads(load.stdout.readline() or '{"ready": 0, "errors": -1}')
            time.sleep(1)
            c0 = sum(proc.cpu_seconds(child.pid))
            time.sleep(2)
            cpu = (sum(proc.cpu_seconds(child.pid)) - c0) / 2
            rss1, pss1 = proc.memory_kib(child.pid)
            dataplane = proc.memory_kib(child.pid, peer.data_plane)[0] if peer.data_plane else rss1
            fds = proc.fd_count(child.pid)
        finally:
            if load:
                load.stdin.close()
                load.wait(10)
            self.end(child)
        return {"rss0_kib": rss0, "rss_kib": rss1, "rss_dataplane_kib": dataplane, "pss_kib": pss1, "open": r["ready"], "errors": r["errors"], "fds": fds,
                "per_unit_kib": (rss1 - rss0) / max(r["ready"], 1), "idle_cpu": cpu, "ready_s": ready}
