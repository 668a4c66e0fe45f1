//! Objects as somebody might write them next, at random.

use ringgate_controlplane::api::backend_tls::BackendTlsPolicy;
use ringgate_controlplane::api::gateway::{Gateway, GatewayClass, ReferenceGrant};
use ringgate_controlplane::api::grpc_route::GrpcRoute;
use ringgate_controlplane::api::http_route::HttpRoute;
use ringgate_controlplane::api::json::JsonError;
use ringgate_controlplane::api::listener_set::ListenerSet;
use ringgate_controlplane::api::policy::{BackendPolicy, ListenerPolicy};
use ringgate_controlplane::api::service::{EndpointSlice, Service};
use ringgate_controlplane::api::storage::{ConfigMap, Namespace, Secret};
use ringgate_controlplane::api::stream_route::TlsRoute;
use ringgate_controlplane::api::{CONTROLLER_NAME, Object};
use ringgate_controlplane::watch::{Event, Misread};
use serde_json::{Value, json};

/// Numbers that are the same for the same seed (splitmix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub(super) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

const NAMESPACES: [&str; 2] = ["blue", "red"];
const HOSTS: [&str; 3] = ["a.example.com", "b.example.com", "*.example.com"];

fn namespaces(dice: &mut Dice) -> Value {
    match dice.pick(&[
        "All", "All", "All", "All", "All", "Same", "None", "Selector",
    ]) {
        "Selector" => json!({"from": "Selector", "selector": {"matchLabels": {"team": "web"}}}),
        from => json!({"from": from}),
    }
}

fn listeners(dice: &mut Dice) -> Vec<Value> {
    let count = 1 + dice.below(3);
    let listener = |place| {
        let mut one = json!({
            "name": format!("l{place}"),
            "port": 80 + dice.below(2),
            "protocol": "HTTP",
            "allowedRoutes": {"namespaces": namespaces(dice)},
        });
        if dice.below(4) == 0 {
            one["port"] = 443.into();
            one["protocol"] = "HTTPS".into();
            one["tls"] = json!({"certificateRefs": [
                {"name": format!("n{}", dice.below(2)), "namespace": dice.pick(&NAMESPACES)},
            ]});
        }
        if dice.below(8) == 0 {
            one["port"] = 443.into();
            one["protocol"] = "TLS".into();
            one["tls"] = json!({"mode": "Passthrough"});
        }
        if dice.below(2) == 0 {
            one["hostname"] = dice.pick(&HOSTS).into();
        }
        one
    };
    (0..count).map(listener).collect()
}

/// Some event, as a watch might tell it.
pub(super) fn event(dice: &mut Dice) -> Event {
    let object = object(dice);
    match dice.below(12) {
        0 | 1 => Event::Removed(object.key()),
        2 => Event::Misread(
            object.key(),
            Misread {
                generation: 9,
                error: JsonError {
                    field: "spec".to_owned(),
                    message: "what is this".to_owned(),
                },
                targets: Vec::new(),
            },
        ),
        _ => Event::Applied {
            object,
            source: None,
        },
    }
}

fn policy(dice: &mut Dice, metadata: &Value) -> Object {
    let name = format!("n{}", dice.below(2));
    match dice.below(3) {
        0 => of::<ListenerPolicy>(json!({
            "metadata": metadata,
            "spec": {
                "targetRefs": [{
                    "group": "gateway.networking.k8s.io",
                    "kind": dice.pick(&["Gateway", "ListenerSet"]),
                    "name": name,
                }],
                "server": dice.pick(&["one", "two"]),
            },
        })),
        1 => of::<BackendPolicy>(json!({
            "metadata": metadata,
            "spec": {
                "targetRefs": [{"group": "", "kind": "Service", "name": name}],
                "maxConnections": 1 + dice.below(2),
            },
        })),
        _ => of::<BackendTlsPolicy>(json!({
            "metadata": metadata,
            "spec": {
                "targetRefs": [{"group": "", "kind": "Service", "name": name}],
                "validation": {
                    "hostname": dice.pick(&["a.example.com", "b.example.com"]),
                    "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "n0"}],
                },
            },
        })),
    }
}

/// A Secret with a certificate, or a ConfigMap with an authority; or a class.
fn stored(dice: &mut Dice, metadata: &Value) -> Object {
    let pairs = [
        (
            include_str!("../../testdata/pem/ecdsa.crt"),
            include_str!("../../testdata/pem/ecdsa.key"),
        ),
        (
            include_str!("../../testdata/pem/rsa.crt"),
            include_str!("../../testdata/pem/rsa.key"),
        ),
        ("no certificate", "no key"),
    ];
    let (certificate, key) = pairs[usize::try_from(dice.below(3)).unwrap()];
    match dice.below(8) {
        0 => of::<GatewayClass>(json!({
            "metadata": {"name": dice.pick(&["ringgate", "theirs"])},
            "spec": {"controllerName": dice.pick(&[CONTROLLER_NAME, CONTROLLER_NAME, CONTROLLER_NAME, "a.b/c"])},
        })),
        1 | 2 => of::<ConfigMap>(json!({
            "metadata": metadata,
            "data": {"ca.crt": dice.pick(&[include_str!("../../testdata/pem/ca.crt"), "none"])},
        })),
        _ => of::<Secret>(json!({
            "metadata": metadata,
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate, "tls.key": key},
        })),
    }
}

/// Of the Service `service`.
fn slice(dice: &mut Dice, metadata: &Value, service: &str) -> Object {
    let mut metadata = metadata.clone();
    metadata["labels"] = json!({"kubernetes.io/service-name": service});
    of::<EndpointSlice>(json!({
        "metadata": metadata,
        "addressType": "IPv4",
        "ports": [{"port": 8080}],
        "endpoints": [{"addresses": [format!("10.0.0.{}", dice.below(3))]}],
    }))
}

/// Some object, as somebody might write it next.
fn object(dice: &mut Dice) -> Object {
    let namespace = dice.pick(&NAMESPACES);
    let name = format!("n{}", dice.below(2));
    let metadata = json!({"namespace": namespace, "name": name, "generation": dice.below(3)});
    let place = format!("n{}", dice.below(2));
    match dice.below(20) {
        0..=2 => of::<Gateway>(json!({
            "metadata": metadata,
            "spec": {
                "gatewayClassName": dice.pick(&["ringgate", "ringgate", "ringgate", "ringgate", "ringgate", "theirs"]),
                "allowedListeners": {"namespaces": namespaces(dice)},
                "addresses": [{"value": dice.pick(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1", "192.0.2.2", "no address"])}],
                "listeners": listeners(dice),
            },
        })),
        3..=5 => of::<ListenerSet>(json!({
            "metadata": metadata,
            "spec": {
                "parentRef": {"name": place, "namespace": dice.pick(&NAMESPACES)},
                "listeners": listeners(dice),
            },
        })),
        6 => of::<Namespace>(json!({
            "metadata": {"name": namespace, "labels": {"team": dice.pick(&["web", "mail"])}},
        })),
        7 => slice(dice, &metadata, &place),
        8 => policy(dice, &metadata),
        9 | 10 => stored(dice, &metadata),
        11 | 12 => of::<ReferenceGrant>(json!({
            "metadata": metadata,
            "spec": {
                "from": [{
                    "group": "gateway.networking.k8s.io",
                    "kind": dice.pick(&["HTTPRoute", "HTTPRoute", "GRPCRoute", "TLSRoute", "Gateway", "ListenerSet"]),
                    "namespace": dice.pick(&NAMESPACES),
                }],
                "to": [{"group": "", "kind": dice.pick(&["Service", "Secret"])}],
            },
        })),
        13 => of::<Service>(json!({
            "metadata": metadata,
            "spec": {"ports": [{"port": 80 + dice.below(2)}]},
        })),
        14 | 15 => of::<GrpcRoute>(route(dice, &metadata, &place)),
        16 => of::<TlsRoute>(route(dice, &metadata, &place)),
        _ => of::<HttpRoute>(route(dice, &metadata, &place)),
    }
}

/// Of any kind, at the Gateway or ListenerSet `parent` and another.
fn route(dice: &mut Dice, metadata: &Value, parent: &str) -> Value {
    json!({
        "metadata": metadata,
        "spec": {
            "parentRefs": [
                {"name": "n0", "namespace": dice.pick(&NAMESPACES)},
                {
                    "name": parent,
                    "kind": dice.pick(&["Gateway", "ListenerSet"]),
                    "namespace": dice.pick(&NAMESPACES),
                    "port": 80 + dice.below(2),
                },
            ],
            "hostnames": [dice.pick(&HOSTS)],
            "rules": [{"backendRefs": [
                {"name": "n0", "port": 80, "namespace": dice.pick(&NAMESPACES)},
                {"name": "n1", "port": 80},
            ]}],
        },
    })
}

pub(super) fn of<T: serde::de::DeserializeOwned + Into<Object>>(value: Value) -> Object {
    serde_json::from_value::<T>(value).unwrap().into()
}
