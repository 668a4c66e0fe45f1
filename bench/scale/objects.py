"""The objects of the scenarios."""
from cluster import GATEWAY

NAMESPACE = "bench"


def named(version, kind, name, **rest):
    obj = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **rest}
    if kind != "Namespace":
        obj["metadata"]["namespace"] = NAMESPACE
    return obj


def gateway(name="bench", sets=False):
    spec = {"gatewayClassName": "ringgate", "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]}
    if sets:
        spec["allowedListeners"] = {"namespaces": {"from": "Same"}}
    return named(GATEWAY, "Gateway", name, spec=spec)


def listener_set(index, port=80):
    listener = {"name": "http", "protocol": "HTTP", "port": port, "hostname": f"set-{index}.bench.test"}
    parent = {"name": "bench", "kind": "Gateway", "group": "gateway.networking.k8s.io"}
    return named(GATEWAY, "ListenerSet", f"set-{index}", spec={"parentRef": parent, "listeners": [listener]})


def service(name, address, port):
    """A Service with one endpoint, where no selector takes part."""
    slice_ = named("discovery.k8s.io/v1", "EndpointSlice", f"{name}-1", addressType="IPv4",
                   ports=[{"name": "http", "port": port}], endpoints=[{"addresses": [address], "conditions": {"ready": True}}])
    slice_["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    return [named("v1", "Service", name, spec={"ports": [{"name": "http", "port": 80}]}), slice_]


def echo_service(name):
    """Of our class, for an echo of both protocols on one port."""
    ports = [{"name": kind.lower(), "port": 9000, "protocol": kind} for kind in ("TCP", "UDP")]
    return named("v1", "Service", name, spec={"type": "LoadBalancer", "loadBalancerClass": "ringgate.io/lb",
                                              "allocateLoadBalancerNodePorts": False, "ports": ports})


def echo_slice(service, name, address, port, ready=True):
    slice_ = named("discovery.k8s.io/v1", "EndpointSlice", f"{service}-{name}", addressType="IPv4",
                   ports=[{"name": kind.lower(), "port": port, "protocol": kind} for kind in ("TCP", "UDP")],
                   endpoints=[{"addresses": [address], "conditions": {"ready": ready}}])
    slice_["metadata"]["labels"] = {"kubernetes.io/service-name": service}
    return slice_


def route(index, backend="one", hostname=None, path="/", parent=None):
    """`parent`: of a ListenerSet's name, else the Gateway."""
    refs = {"name": parent, "kind": "ListenerSet", "group": "gateway.networking.k8s.io"} if parent else {"name": "bench"}
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": [{"name": backend, "port": 80}]}
    return named(GATEWAY, "HTTPRoute", f"route-{index}", spec={
        "parentRefs": [refs], "hostnames": [hostname or f"route-{index}.bench.test"], "rules": [rule]})
