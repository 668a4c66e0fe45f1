//! The control plane's side of a cluster, against an API server in memory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on shall stop"
)]

mod backend_tls;
mod bad;
mod balancing;
mod fake;
mod issuing;
mod leading;
mod pains;
mod policies;
mod provisioning;
mod running;
mod statuses;
mod tickets;
mod watching;

use serde_json::{Value, json};

pub(crate) const CONTROLLER: &str = "ringgate.io/gateway-controller";

pub(crate) fn class(name: &str, controller: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": {"controllerName": controller},
    })
}

pub(crate) fn gateway(name: &str, class: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "gatewayClassName": class,
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        },
    })
}

pub(crate) fn route(name: &str, gateways: &[&str]) -> Value {
    let parents: Vec<Value> = gateways
        .iter()
        .map(|name| json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name}))
        .collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "parentRefs": parents,
            "rules": [{"backendRefs": [{"group": "", "kind": "Service", "name": "app", "port": 80, "weight": 1}]}],
        },
    })
}

pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP"}]},
    })
}

pub(crate) fn secret(name: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind,
        "metadata": {"name": name, "namespace": "default"},
        "data": {"key": "dGV4dA=="},
    })
}
