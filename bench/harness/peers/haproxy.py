import subprocess

from . import Peer, register


class HAProxy(Peer):
    listens = frozenset({"http", "https", "grpc", "tcp"})
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
            c.write("hosts.map", "".join(f"{h}{p} b\n" for h, p in c.routes))
            rules = f"  use_backend %[base,map_beg({c.dir}/hosts.map,none)]\n"
        text = f"""global
  nbthread {c.threads}
  maxconn 9950
  tune.ssl.default-dh-param 2048
  tune.ssl.cachesize 100000
  tune.h2.max-concurrent-streams 512
defaults
  mode {mode}
  timeout connect 5s
  timeout client 120s
  timeout server 120s
  timeout http-keep-alive 120s
  {"http-reuse always" if mode == "http" else ""}
frontend f
  bind :{c.port}{bind}
{rules}backend b
  {"" if mode == "tcp" else "balance roundrobin"}
{server}
backend none
  {"http-request deny deny_status 404" if mode == "http" else ""}
"""
        return [c.bin[self.binary], "-db", "-f", c.write("haproxy.cfg", text)], self.env(c.bin)


register(HAProxy("haproxy", "haproxy"))
register(HAProxy("haproxy28", "haproxy28"))
