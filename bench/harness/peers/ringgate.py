"""Ringgate itself: `ringgate run` on a folder, as users start it."""
import base64
import subprocess

from . import Peer, register

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


def routes(rules):
    """One HTTPRoute for each rule: what a cluster with so many teams has."""
    texts = [ROUTE.format(name=f"r{i}", hostnames=f"hostnames: [{host}]", prefix=prefix) for i, (host, prefix) in enumerate(rules)]
    return "---\n".join(texts or [ROUTE.format(name="all", hostnames="", prefix="/")])


class Ringgate(Peer):
    listens = frozenset(PROTOCOLS)
    needs = ("ringgate",)
    data_plane = "ringgate-dataplane"

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
        (site / "routes.yaml").write_text(ALL.format(kind=kind) if kind else routes(c.routes))
        return [c.bin["ringgate"], "run", site, "--workers", c.threads, "--driver", self.driver, "--state-dir", c.dir / "state",
                "--admin", "127.0.0.1:0", "--controller-admin", "127.0.0.1:0"]


register(Ringgate("ringgate", "auto"))
register(Ringgate("ringgate-epoll", "epoll"))
