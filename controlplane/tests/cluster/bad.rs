//! Objects that the API server takes and that are wrong, beside neighbours that are good.

use serde_json::{Value, json};

use super::fake::Fake;
use super::{CONTROLLER, class, gateway, route, secret, service};

fn with_rule(name: &str, rule: Value) -> Value {
    let mut object = route(name, &["edge"]);
    object["spec"]["rules"] = json!([rule]);
    object
}

fn backend(name: &str) -> Value {
    json!({"group": "", "kind": "Service", "name": name, "port": 80, "weight": 1})
}

pub(super) fn listener(name: &str, port: u16) -> Value {
    json!({"name": name, "port": port, "protocol": "HTTP"})
}

/// A route that the API server takes and that can't be served, and what is said of it: the condition, its
/// reason, the cause and the remedy.
pub(super) type Bad = (Value, [&'static str; 4]);

pub(super) fn bad_routes() -> Vec<Bad> {
    let expression = json!({
        "matches": [{"path": {"type": "RegularExpression", "value": "/(unclosed"}}],
        "backendRefs": [backend("app")],
    });
    let wand = json!({"group": "example.com", "kind": "Magic", "name": "wand"});
    let filter = json!({
        "filters": [{"type": "ExtensionRef", "extensionRef": wand}],
        "backendRefs": [backend("app")],
    });
    let mut bucket = backend("bucket");
    bucket["kind"] = "Bucket".into();
    bucket["group"] = "example.com".into();
    let misread = json!({"timeouts": {"request": "ten"}, "backendRefs": [backend("app")]});
    let cases = [
        (
            expression,
            [
                "Accepted",
                "UnsupportedValue",
                "is no regular expression",
                "Write it in the syntax of RE2",
            ],
        ),
        (
            filter,
            [
                "Accepted",
                "UnsupportedValue",
                "isn't carried out",
                "Remove it",
            ],
        ),
        (
            json!({"backendRefs": [bucket]}),
            [
                "ResolvedRefs",
                "InvalidKind",
                "to a Bucket",
                "Refer to a Service",
            ],
        ),
        (
            json!({"backendRefs": [backend("nobody")]}),
            [
                "ResolvedRefs",
                "BackendNotFound",
                "there is no Service default/nobody",
                "Write the Service",
            ],
        ),
        (
            misread,
            [
                "Accepted",
                "UnsupportedValue",
                "spec.rules[0].timeouts.request: this isn't understood",
                "Correct it",
            ],
        ),
    ];
    let cases = cases.into_iter().enumerate();
    cases
        .map(|(place, (rule, said))| (with_rule(&format!("bad-{place}"), rule), said))
        .collect()
}

fn https(port: u16, secret: &str) -> Value {
    let certificate = json!({"group": "", "kind": "Secret", "name": secret});
    json!({
        "name": secret, "port": port, "protocol": "HTTPS",
        "tls": {"mode": "Terminate", "certificateRefs": [certificate]},
    })
}

/// A cluster with one of each that is wrong, and the good neighbours `edge` and `good`.
pub(super) fn with_bad_objects() -> (Fake, Value, Value) {
    let fake = Fake::new();
    let mut edge = gateway("edge", "ours");
    edge["spec"]["listeners"] = json!([
        listener("http", 80),
        https(443, "lost"),
        https(444, "flawed")
    ]);
    let mut flawed = secret("flawed", "kubernetes.io/tls");
    flawed["data"] = json!({"tls.crt": "bm9uZQ==", "tls.key": "bm9uZQ=="});
    let good = route("good", &["edge"]);
    for object in [
        class("ours", CONTROLLER),
        edge.clone(),
        flawed,
        service("app"),
        good.clone(),
    ] {
        fake.apply(object);
    }
    for (bad, _) in bad_routes() {
        fake.apply(bad);
    }
    (fake, edge, good)
}
