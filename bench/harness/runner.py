"""Runs one peer in one scenario, and the interleaved rounds."""
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

from . import proc, settings
from .config import Config, free_port
from .loads import Loads
from .scenarios import routes_for

START_LIMIT = 40


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

    def spawn(self, argv, cpus, name, env=None):
        child = proc.Child(argv, cpus, self.scratch / f"{name}.log", env, cwd=self.scratch)
        self.children.append(child)
        return child

    def start(self, peer, listen, routes=(), two=False):
        """Starts the peer and waits until it answers rightly. -> (Child, port, seconds to ready)"""
        for _ in range(3):
            d = self.scratch / f"run-{peer.name}"
            shutil.rmtree(d, ignore_errors=True)
            d.mkdir()
            cpus = sorted(self.proxy_cpus | self.load_cpus) if two else self.proxy_cpus
            backend = {"grpc": self.grpc, "tcp": self.l4, "udp": self.l4}.get(listen, self.http)
            cfg = Config(listen, free_port(), backend, len(cpus), d, self.cert, self.key, self.bin, list(routes))
            cmd = peer.command(cfg)
            argv, env = cmd if isinstance(cmd, tuple) else (cmd, {})
            self.told = settings.told(cfg, argv, env)
            t = time.monotonic()
            child = self.spawn(argv, cpus, f"peer-{peer.name}", env)
            why = "no answer"
            while time.monotonic() - t < START_LIMIT:
                if not child.alive():
                    why = "ended at start"
                    break
                try:
                    why = self.probe(cfg)
                except (OSError, http.client.HTTPException, ValueError, RuntimeError) as e:
                    why = f"{type(e).__name__}: {e}"
                if not why:
                    return child, cfg.port, time.monotonic() - t
                time.sleep(0.05)
            log = child.tail()
            self.end(child)
            if "in use" not in log.lower():
                break
        raise Failed(f"{peer.name} {listen}: {why}: {log}")

    def end(self, child):
        child.stop()
        self.children.remove(child)

    def probe(self, cfg):
        """'' when the peer does its work, else what is wrong."""
        if cfg.listen in ("tcp", "udp"):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM if cfg.listen == "tcp" else socket.SOCK_DGRAM) as s:
                s.settimeout(1)
                s.connect(("127.0.0.1", cfg.port))
                s.send(b"E" * 64)
                return "" if s.recv(64) == b"E" * 64 else "wrong echo"
        if cfg.listen == "grpc":
            with socket.create_connection(("127.0.0.1", cfg.port), 1):
                pass
            out = Loads(self.bin, self.scratch, self.load_cpus).grpc_check(cfg.port)
            return "" if out["ok"] else str(out.get("error"))
        if cfg.listen == "h3":
            out = Loads(self.bin, self.scratch, self.load_cpus).h3(cfg.port, 1, 1, 0.1)
            return "" if out["requests"] else str(out.get("first_error"))
        want = [("bench.test", "/", 200)]
        if cfg.routes:
            (h1, p1), (h2, p2) = cfg.routes[0], cfg.routes[-1]
            want = [(h1, p1 + "item", 200), (h2, p2 + "item", 200), ("nobody.test", "/item", 404), (h1, "/other", 404)]
        for host, path, status in want:
            if cfg.tls:
                ctx = ssl.create_default_context()
                ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
                c = http.client.HTTPSConnection("127.0.0.1", cfg.port, timeout=20, context=ctx)
            else:
                c = http.client.HTTPConnection("127.0.0.1", cfg.port, timeout=20)
            c.request("GET", path, headers={"Host": host})
            r = c.getresponse()
            n = len(r.read())
            c.close()
            if r.status != status or (status == 200 and n != 1024):
                return f"{host}{path}: status {r.status}, {n} bytes"
        return ""

    def measure(self, peer, sc):
        routes = routes_for(sc)
        child, port, ready = self.start(peer, sc.listen, routes, sc.two)
        try:
            loads = Loads(self.bin, self.scratch, self.proxy_cpus | self.load_cpus if sc.two else self.load_cpus)
            rss0, _ = proc.memory_kib(child.pid)
            counted = {}
            if self.syscalls:  # during the warm-up, so that counting does not weigh on the measurement
                with proc.Counting(self.bin["perf"], child.pid, self.scratch / "perf.out") as count:
                    warm = sc.load(loads, port, self.warmup, routes)
                counted = dict(zip(("syscalls", "switches"), count.per(warm["requests"])))
            else:
                sc.load(loads, port, self.warmup, routes)
            back = self.backends.get("grpc" if sc.listen == "grpc" else "http")
            cores = self.proxy_cpus | self.load_cpus
            b0, m0, u0 = sum(proc.cpu_seconds(back.pid)), proc.core_times(cores), proc.cpu_seconds(child.pid)
            r = sc.load(loads, port, min(self.seconds, sc.max_seconds), routes)
            u1, m1, b1 = proc.cpu_seconds(child.pid), proc.core_times(cores), sum(proc.cpu_seconds(back.pid))
            if not child.alive():
                raise Failed("ended under load: " + child.tail())
            rss1, pss1 = proc.memory_kib(child.pid)
            dataplane = proc.memory_kib(child.pid, peer.data_plane)[0] if peer.data_plane else rss1
        finally:
            self.end(child)
        if not r["requests"]:
            raise Failed(f"no request was answered, {r['errors']} errors {r.get('first_error', '')}")
        n = r["requests"]
        user, system = u1[0] - u0[0], u1[1] - u0[1]
        total = max(m1[2] - m0[2], 1e-9)
        ours = user + system + (b1 - b0) + r["load_cpu_s"]
        return {**r, **counted, "rps": r["requests"] / r["seconds"], "cpu_us": (user + system) * 1e6 / n, "user_us": user * 1e6 / n, "sys_us": system * 1e6 / n,
                "backend_us": (b1 - b0) * 1e6 / n, "load_us": r["load_cpu_s"] * 1e6 / n,
                "busy": (user + system) / r["seconds"] / (len(cores) if sc.two else len(self.proxy_cpus)),
                "foreign": max(0.0, (m1[0] - m0[0] - ours) / total), "stolen": (m1[1] - m0[1]) / total,
                "rss0_kib": rss0, "rss_kib": rss1, "rss_dataplane_kib": dataplane, "pss_kib": pss1, "ready_s": ready}

    def idle(self, peer, sc, conns):
        """RSS with no connection but those of the first check, and with `conns` idle keep-alive ones after a GET on each."""
        child, port, ready = self.start(peer, sc.listen)
        load = None
        try:
            time.sleep(0.5)
            rss0, _ = proc.memory_kib(child.pid)
            log = self.scratch / "idle.err"
            with open(log, "wb") as err:
                load = subprocess.Popen(proc.pinned(sc.load(self.bin, port, conns), self.load_cpus),
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
