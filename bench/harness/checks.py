"""Whether a peer does what it is measured for: right answers, and the work on them that config.WORK names."""
import http.client
import os
import shutil
import socket
import ssl
import time

from .loads import Loads
from .scenarios import HEADERS


def get(cfg, host, path, headers=()):
    """(status, {header in lower case: value}, body) of a GET through the peer."""
    if cfg.tls:
        ctx = ssl.create_default_context()
        ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
        c = http.client.HTTPSConnection("127.0.0.1", cfg.port, timeout=20, context=ctx)
    else:
        c = http.client.HTTPConnection("127.0.0.1", cfg.port, timeout=20)
    try:
        c.request("GET", path, headers={"Host": host, **dict(headers)})
        r = c.getresponse()
        return r.status, {k.lower(): v for k, v in r.getheaders()}, r.read()
    finally:
        c.close()


def count(backend):
    """Requests that the backend had so far, this one too."""
    c = http.client.HTTPConnection("127.0.0.1", backend, timeout=5)
    try:
        c.request("GET", "/count")
        return int(c.getresponse().read())
    finally:
        c.close()


def echo(cfg):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if cfg.listen == "tcp" else socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.connect(("127.0.0.1", cfg.port))
        s.send(b"E" * 64)
        return "" if s.recv(64) == b"E" * 64 else "wrong echo"


def head_seen(cfg, path, headers):
    """({header: value} of the response, first line and {header: value} of the request as the backend had it)."""
    status, answer, body = get(cfg, "bench.test", path, headers)
    if status != 200:
        raise ValueError(f"{path}: status {status}")
    first, *lines = body.decode("latin-1").split("\r\n")
    return answer, first, {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}


def headers(cfg):
    _, _, seen = head_seen(cfg, "/head", HEADERS)
    lost = [k for k, v in HEADERS if seen.get(k.lower()) != v]
    return f"{len(lost)} request headers did not arrive" if lost else ""


def filters(cfg):
    answer, first, seen = head_seen(cfg, "/app/head", [("X-Drop", "me"), ("X-Edge", "client's")])
    right = (first.startswith("GET /head ") and seen.get("x-edge") == "bench" and seen.get("x-tier") == "gold" and "x-drop" not in seen
             and answer.get("x-served-by") == "bench" and answer.get("x-cell") == "one")
    return "" if right else f"filters: {first} {seen}, answered {answer}"


def mirror(cfg):
    before, questions = count(cfg.backend), 0
    get(cfg, "bench.test", "/")
    end = time.monotonic() + 2
    while time.monotonic() < end:
        questions += 1
        if count(cfg.backend) - before - questions >= 2:  # the request and its mirror
            return ""
        time.sleep(0.02)
    return "the mirrored request did not arrive"


def websocket(cfg):
    out = Loads(cfg.bin, cfg.dir, os.sched_getaffinity(0)).l4("ws-pp", cfg.port, 1, 0.1)
    return "" if out["requests"] and not out["errors"] else f"no WebSocket echo: {out}"


def log(cfg):
    free = shutil.disk_usage(cfg.log.parent).free >> 20
    return "" if free > 512 else f"{cfg.log.parent} has only {free} MiB left for the access log: make room (512 MiB)"


WORK = {"headers": headers, "filters": filters, "mirror": mirror, "websocket": websocket, "log": log}


def probe(cfg, bin, scratch, cpus):
    """'' when the peer does its work, else what is wrong."""
    if cfg.listen in ("tcp", "udp"):
        return echo(cfg)
    if cfg.listen == "grpc":
        with socket.create_connection(("127.0.0.1", cfg.port), 1):
            pass
        out = Loads(bin, scratch, cpus).grpc_check(cfg.port)
        return "" if out["ok"] else str(out.get("error"))
    if cfg.listen == "h3":
        out = Loads(bin, scratch, cpus).h3(cfg.port, 1, 1, 0.1)
        return "" if out["requests"] else str(out.get("first_error"))
    want = [("bench.test", "/app/item" if cfg.work == "filters" else "/", 200)]
    if cfg.routes:
        (h1, p1), (h2, p2) = cfg.routes[0], cfg.routes[-1]
        want = [(h1, p1 + "item", 200), (h2, p2 + "item", 200), ("nobody.test", "/item", 404), (h1, "/other", 404)]
    for host, path, status in want:
        got, _, body = get(cfg, host, path)
        if got != status or (status == 200 and len(body) != 1024):
            return f"{host}{path}: status {got}, {len(body)} bytes"
    return WORK[cfg.work](cfg) if cfg.work in WORK else ""
