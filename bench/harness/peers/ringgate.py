"""Ringgate itself: `ringgate run` on a folder, as users start it."""
import base64
import re
import subprocess
import urllib.request

from . import Peer, register
from ..config import WORK, free_port

GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: bench}}
spec:
  gatewayClassName: ringgate
  listeners:
  - {{name: bench, port: {port}, {protocol}}}
"""
HTTPS = "protocol: HTTPS, tls: {certificateRefs: [{name: bench}]}"
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {{name: bench}}
type: kubernetes.io/tls
data: {{tls.crt: {crt}, tls.key: {key}}}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: backend}}
spec: {{ports: [{{port: 80{of_port}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: backend-1
  labels: {{kubernetes.io/service-name: backend}}
addressType: IPv4
ports: [{{port: {port}{of_slice}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""
ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: bench}}]
  {hostnames}
  rules:
  - matches: [{{path: {{type: PathPrefix, value: {prefix}}}}}]
    {filters}
    backendRefs: [{{name: backend, port: 80}}]
"""
# Takes everything.
ALL = """\
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: all}}
spec:
  parentRefs: [{{name: bench}}]
  rules:
  - backendRefs: [{{name: backend, port: 80}}]
"""
KINDS = {"grpc": "GRPCRoute", "tcp": "TCPRoute", "udp": "UDPRoute"}
PROTOCOLS = {"http": "protocol: HTTP", "grpc": "protocol: HTTP", "https": HTTPS, "tcp": "protocol: TCP", "udp": "protocol: UDP"}
H2C = ", appProtocol: kubernetes.io/h2c"
UDP = ", protocol: UDP"
FILTERS = """filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Edge, value: bench}], add: [{name: X-Tier, value: gold}], remove: [X-Drop]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Served-By, value: bench}], add: [{name: X-Cell, value: one}]}}
    - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}
"""
MIRROR = "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: backend, port: 80}}}]"
PER_FILE = 10000  # rules: of 100,000 a single file would be near the bound of what one may be


def route(name, host, prefix, filters=""):
    return ROUTE.format(name=name, hostnames=f"hostnames: [{host}]" if host else "", prefix=prefix, filters=filters)


def routes(rules):
    """One HTTPRoute for each rule: what a cluster with so many teams has. As texts of files."""
    texts = [route(f"r{i}", host, prefix) for i, (host, prefix) in enumerate(rules)]
    return ["---\n".join(texts[at:at + PER_FILE]) for at in range(0, len(texts), PER_FILE)]


def catch_all(work):
    if work == "filters":
        return route("all", "", "/app/", FILTERS)
    return route("all", "", "/", MIRROR if work == "mirror" else "")


class Ringgate(Peer):
    listens = frozenset(PROTOCOLS)
    needs = ("ringgate",)
    data_plane = "ringgate-dataplane"
    can = frozenset(WORK)
    changes_per_s = 100

    def __init__(self, name, driver):
        self.name, self.driver = name, driver

    def version(self, bin):
        out = subprocess.run([bin["ringgate"], "version"], capture_output=True, text=True).stdout
        return out.split()[1] if out else ""

    def command(self, c):
        site = c.dir / "site"
        site.mkdir()
        (site / "gateway.yaml").write_text(GATEWAY.format(port=c.port, protocol=PROTOCOLS[c.listen]))
        if c.tls:
            crt, key = (base64.b64encode(path.read_bytes()).decode() for path in (c.cert, c.key))
            (site / "secret.yaml").write_text(SECRET.format(crt=crt, key=key))
        of_port, of_slice = {"grpc": (H2C, ""), "udp": (UDP, UDP)}.get(c.listen, ("", ""))
        (site / "backend.yaml").write_text(SERVICE.format(port=c.backend, of_port=of_port, of_slice=of_slice))
        kind = KINDS.get(c.listen)
        for i, text in enumerate([ALL.format(kind=kind)] if kind else routes(c.routes) or [catch_all(c.work)]):
            (site / f"routes-{i}.yaml").write_text(text)
        self.admin = f"127.0.0.1:{free_port() if c.work == 'changes' else 0}"
        return [c.bin["ringgate"], "run", site, "--workers", c.threads, "--driver", self.driver, "--state-dir", c.dir / "state",
                "--admin", self.admin, "--controller-admin", "127.0.0.1:0", *(["--access-log", c.log] if c.work == "log" else [])]

    def change(self, c, child, i):
        new = c.dir / "site/.change.yaml"
        new.write_text(route("change", "change.bench.test", f"/v{i}/"))
        new.rename(c.dir / "site/change.yaml")

    def versions(self, c):
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=5) as r:
            found = re.search(r"^ringgate_config_updates(?:_total)? (\d+)", r.read().decode(), re.M)
        return int(found[1]) if found else None


register(Ringgate("ringgate", "auto"))
register(Ringgate("ringgate-epoll", "epoll"))
