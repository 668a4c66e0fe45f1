import shlex
import signal
import subprocess

from . import Peer, register

FILTERS = """\
  http-request set-header X-Edge bench
  http-request add-header X-Tier gold
  http-request del-header X-Drop
  http-request replace-path ^/app/(.*) /\\1
  http-response set-header X-Served-By bench
  http-response add-header X-Cell one
"""
FIELDS = [("time_unix_ms", "%Ts%ms"), ("client", '"%ci:%cp"'), ("method", '"%HM"'), ("authority", '"%[capture.req.hdr(0),json(utf8s)]"'), ("target", '"%[capture.req.uri,json(utf8s)]"'),
          ("protocol", '"%HV"'), ("status", "%ST"), ("request_body_bytes", "%U"), ("response_body_bytes", "%B"), ("duration_ms", "%Ta"),
          ("gateway", '"default/bench"'), ("listener", '"%f"'), ("route_kind", '"HTTPRoute"'), ("route", '"default/all"'), ("rule", '"0"'),
          ("backend", '"%b"'), ("endpoint", '"%si:%sp"'), ("attempts", '"%rc"'), ("error", '"%ts"')]
# To standard output, which is the file: HAProxy opens none by itself.
LOG = "  log stdout format raw local0\n  capture request header Host len 64\n  log-format {" + ",".join(f"\\\"{name}\\\":" + form.replace('"', '\\"') for name, form in FIELDS) + "}\n"


class HAProxy(Peer):
    listens = frozenset({"http", "https", "grpc", "tcp"})
    can = Peer.can | {"filters", "log", "websocket", "changes"}  # no mirror without an agent of one's own (SPOE)
    changes_per_s = 1    # a reload starts a new process each time; the old ones stay while their connections do
    since = {"2.6": "May 2022", "2.8": "May 2023", "3.0": "May 2024", "3.2": "May 2025"}

    def __init__(self, name, binary):
        self.name, self.binary, self.needs = name, binary, (binary,)

    def env(self, bin):
        return {"LD_LIBRARY_PATH": f"{bin[self.binary].parent}/lib"} if self.binary == "haproxy28" else {}

    def version(self, bin):
        import os
        out = subprocess.run([bin[self.binary], "-v"], capture_output=True, text=True, env={**os.environ, **self.env(bin)}).stdout
        return out.split()[2] if out else ""

    def command(self, c):
        mode = "tcp" if c.listen == "tcp" else "http"
        bind = {"https": f" ssl crt {c.dir}/pem alpn h2,http/1.1 ssl-min-ver TLSv1.3 curves X25519", "grpc": " proto h2"}.get(c.listen, "")
        c.write("pem", c.cert.read_text() + c.key.read_text())
        server = f"  server s 127.0.0.1:{c.backend}" + (" proto h2" if c.listen == "grpc" else "")
        rules = "  default_backend b\n"
        if c.routes:
            self.write_map(c)
            rules = f"  use_backend %[base,map_beg({c.dir}/hosts.map,none)]\n"
        rules = {"filters": FILTERS, "log": LOG}.get(c.work, "") + rules
        # The new process takes the listening sockets over from the old one.
        handover = f"  stats socket {c.dir}/socket expose-fd listeners level admin\n  hard-stop-after 2s\n" if c.work == "changes" else ""
        text = f"""global
  nbthread {c.threads}
  maxconn 9950
  tune.ssl.default-dh-param 2048
  tune.ssl.cachesize 100000
  tune.h2.max-concurrent-streams 512
{handover}defaults
  mode {mode}
  timeout connect 5s
  timeout client 120s
  timeout server 120s
  timeout http-keep-alive 120s
  timeout tunnel 120s
  {"http-reuse always" if mode == "http" else ""}
frontend f
  bind :{c.port}{bind}
{rules}backend b
  {"" if mode == "tcp" else "balance roundrobin"}
{server}
backend none
  {"http-request deny deny_status 404" if mode == "http" else ""}
"""
        argv = [c.bin[self.binary], *(["-W"] if c.work == "changes" else []), "-db", "-f", c.write("haproxy.cfg", text)]
        if c.work == "log":
            argv = ["sh", "-c", f"exec {shlex.join(map(str, argv))} > {c.log}"]
        return argv, self.env(c.bin)

    def write_map(self, c, more=""):
        c.write("hosts.map", "".join(f"{h}{p} b\n" for h, p in c.routes) + more)

    def change(self, c, child, i):
        self.write_map(c, f"change.bench.test/v{i}/ b\n")
        child.p.send_signal(signal.SIGUSR2)


register(HAProxy("haproxy", "haproxy"))
register(HAProxy("haproxy28", "haproxy28"))
