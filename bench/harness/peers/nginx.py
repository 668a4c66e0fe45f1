import re
import signal
import subprocess

from . import Peer, register

# Set where `proxy_pass` stands: a location that sets one header inherits none.
PASS = 'proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Connection "";'
FILTERS = ('proxy_set_header X-Edge bench; proxy_set_header X-Tier gold; proxy_set_header X-Drop ""; '
           "add_header X-Served-By bench; add_header X-Cell one;")
WEBSOCKET = "proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
LOG = """\
  log_format bench escape=json '{"time_unix_ms":"$msec","client":"$remote_addr:$remote_port","method":"$request_method","authority":"$http_host",'
    '"target":"$request_uri","protocol":"$server_protocol","status":$status,"request_body_bytes":"$content_length","response_body_bytes":$body_bytes_sent,'
    '"duration_ms":$request_time,"gateway":"default/bench","listener":"bench","route_kind":"HTTPRoute","route":"default/all","rule":"0",'
    '"backend":"$proxy_host","endpoint":"$upstream_addr","attempts":"$upstream_status","error":null}';
"""


class Nginx(Peer):
    name = "nginx"
    can = Peer.can | {"filters", "mirror", "log", "websocket", "changes"}
    changes_per_s = 1    # a reload starts new workers each time; the old ones stay while their connections do
    listens = frozenset({"http", "https", "grpc", "tcp", "udp"})
    needs = ("nginx",)
    since = {"1.22": "May 2022", "1.24": "April 2023", "1.26": "April 2024", "1.28": "April 2025"}

    def version(self, bin):
        return subprocess.run([bin["nginx"], "-v"], capture_output=True, text=True).stderr.split("/")[-1].strip()

    def stream_module(self, c):
        built = subprocess.run([c.bin["nginx"], "-V"], capture_output=True, text=True).stderr
        m = re.search(r"--modules-path=(\S+)", built)
        return f"load_module {m.group(1)}/ngx_stream_module.so;\n" if "--with-stream=dynamic" in built and m else ""

    def locations(self, c, go):
        if c.work == "filters":
            return f"location /app/ {{ proxy_pass http://b/; {PASS} {FILTERS} }}"
        if c.work == "mirror":
            return f"location / {{ mirror /mirror; {go} }} location = /mirror {{ internal; proxy_pass http://b$request_uri; {PASS} }}"
        return f"location / {{ {go} }}"

    def log(self, c):
        return LOG + f"  access_log {c.log} bench buffer=64k flush=1s;\n" if c.work == "log" else "  access_log off;\n"

    def write_change(self, c, i):
        c.write("change.conf", f"server {{ listen {c.port}; server_name change.bench.test; location /v{i}/ {{ proxy_pass http://b; {PASS} }} location / {{ return 404; }} }}\n")

    def change(self, c, child, i):
        self.write_change(c, i)
        child.p.send_signal(signal.SIGHUP)

    def command(self, c):
        head = f"""worker_processes {c.threads};
worker_rlimit_nofile 20000;
daemon off; pid {c.dir}/pid; error_log {c.dir}/error.log warn;
events {{ worker_connections 19000; }}
"""
        if c.listen in ("tcp", "udp"):
            udp = " udp reuseport" if c.listen == "udp" else ""
            body = f"""stream {{
  access_log off;
  proxy_timeout 10s;
  upstream b {{ server 127.0.0.1:{c.backend}; }}
  server {{ listen {c.port}{udp}; tcp_nodelay on; proxy_pass b; }}
}}
"""
            head = self.stream_module(c) + head
        else:
            listen = {"http": "reuseport", "https": "ssl http2 reuseport", "grpc": "http2 reuseport"}[c.listen]
            tls = f"ssl_certificate {c.cert}; ssl_certificate_key {c.key}; ssl_protocols TLSv1.3; ssl_session_cache shared:s:10m; ssl_ecdh_curve X25519;" if c.tls else ""
            go = "grpc_pass grpc://b; grpc_set_header Host $host;" if c.listen == "grpc" else f"proxy_pass http://b; {WEBSOCKET if c.work == 'websocket' else PASS}"
            if c.routes:
                servers = "\n".join(
                    f"  server {{ listen {c.port}; server_name {h}; " + " ".join(f"location {p} {{ {go} }}" for p in ps) + " }"
                    for h, ps in c.routes_by_host().items())
                servers += f"\n  server {{ listen {c.port} default_server reuseport; return 404; }}"
                if c.work == "changes":
                    self.write_change(c, 0)
                    servers += f"\n  include {c.dir}/change.conf;"
            else:
                servers = f"  server {{ listen {c.port} {listen}; {tls} {self.locations(c, go)} }}"
            body = f"""http {{
{self.log(c)}  server_tokens off;
  keepalive_requests 1000000000; keepalive_timeout 120s;
  http2_max_requests 1000000000; http2_max_concurrent_streams 512;
  client_max_body_size 64m; client_body_buffer_size 64k; proxy_max_temp_file_size 0;
  client_body_temp_path {c.dir}/cb; proxy_temp_path {c.dir}/pt; fastcgi_temp_path {c.dir}/ft; uwsgi_temp_path {c.dir}/ut; scgi_temp_path {c.dir}/st;
  server_names_hash_max_size 65536; server_names_hash_bucket_size 128;
  upstream b {{ server 127.0.0.1:{c.backend}; keepalive 4096; keepalive_requests 1000000000; }}
{servers}
}}
"""
        return [c.bin["nginx"], "-p", c.dir, "-c", c.write("nginx.conf", head + body)]


register(Nginx())
