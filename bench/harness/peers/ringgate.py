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
spec: {{ports: [{{port: 80{protocol}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: backend-1
  labels: {{kubernetes.io/service-name: backend}}
addressType: IPv4
ports: [{{port: {port}}}]
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


GRPC = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: all}
spec:
  parentRefs: [{name: bench}]
  rules:
  - backendRefs: [{name: backend, port: 80}]
"""
H2C = ", appProtocol: kubernetes.io/h2c"


def routes(rules):
    """One HTTPRoute for each rule: what a cluster with so many teams has."""
    texts = [ROUTE.format(name=f"r{i}", hostnames=f"hostnames: [{host}]", prefix=prefix) for i, (host, prefix) in enumerate(rules)]
    return "---\n".join(texts or [ROUTE.format(name="all", hostnames="", prefix="/")])


class Ringgate(Peer):
    listens = frozenset({"http", "https", "grpc"})
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
        protocol = HTTPS if c.tls else "protocol: HTTP"
        (site / "gateway.yaml").write_text(GATEWAY.format(port=c.port, protocol=protocol))
        if c.tls:
            crt, key = (base64.b64encode(path.read_bytes()).decode() for path in (c.cert, c.key))
            (site / "secret.yaml").write_text(SECRET.format(crt=crt, key=key))
        (site / "backend.yaml").write_text(SERVICE.format(port=c.backend, protocol=H2C if c.listen == "grpc" else ""))
        (site / "routes.yaml").write_text(GRPC if c.listen == "grpc" else routes(c.routes))
        return [c.bin["ringgate"], "run", site, "--workers", c.threads, "--driver", self.driver, "--state-dir", c.dir / "state",
                "--admin", "127.0.0.1:0", "--controller-admin", "127.0.0.1:0"]


register(Ringgate("ringgate", "auto"))
register(Ringgate("ringgate-epoll", "epoll"))
