//! Policies that the API server takes and that aren't understood.

use serde_json::{Value, json};

use super::fake::Fake;
use super::running::Running;
use super::{CONTROLLER, class, gateway, route, service};

fn policy(api: &str, kind: &str, target: (&str, &str, &str), spec: &Value) -> Value {
    let (group, target_kind, name) = target;
    let mut spec = spec.clone();
    spec["targetRefs"] = json!([{"group": group, "kind": target_kind, "name": name}]);
    json!({
        "apiVersion": api, "kind": kind,
        "metadata": {"name": "bad", "namespace": "default"},
        "spec": spec,
    })
}

/// `kind/name Status Reason` of `Accepted` at each of our ancestors, and the messages.
fn told(fake: &Fake, policy: &Value) -> Option<(Vec<String>, String)> {
    let status = fake.get(policy)?["status"].clone();
    let ours = status["ancestors"].as_array()?.iter();
    let ours = ours.filter(|one| one["controllerName"] == CONTROLLER);
    let (mut lines, mut messages) = (Vec::new(), String::new());
    for one in ours {
        let conditions = one["conditions"].as_array()?;
        let accepted = conditions.iter().find(|one| one["type"] == "Accepted")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (
            text(&one["ancestorRef"]["kind"]),
            text(&one["ancestorRef"]["name"]),
        );
        let (status, reason) = (text(&accepted["status"]), text(&accepted["reason"]));
        lines.push(format!("{kind}/{name} {status} {reason}"));
        messages.push_str(&text(&accepted["message"]));
    }
    Some((lines, messages))
}

#[tokio::test]
async fn a_policy_that_is_not_understood_says_so_where_it_would_take_effect() {
    let fake = Fake::new();
    for object in [
        class("ours", CONTROLLER),
        gateway("edge", "ours"),
        gateway("theirs", "nobody's"),
        route("app", &["edge"]),
        service("app"),
    ] {
        fake.apply(object);
    }
    const OURS: &str = "ringgate.io/v1alpha1";
    const GATEWAY: &str = "gateway.networking.k8s.io";
    let at_listeners = |name| {
        let spec = json!({"timeouts": {"header": "ten"}});
        policy(OURS, "ListenerPolicy", (GATEWAY, "Gateway", name), &spec)
    };
    let mut listener = at_listeners("edge");
    let spec = json!({"maxConnections": "many"});
    let backend = policy(OURS, "BackendPolicy", ("", "Service", "app"), &spec);
    let spec = json!({"validation": {"hostname": "no host"}});
    let api = "gateway.networking.k8s.io/v1";
    let tls = policy(api, "BackendTLSPolicy", ("", "Service", "app"), &spec);
    let mut foreign = at_listeners("theirs");
    foreign["metadata"]["name"] = "foreign".into();
    for one in [&listener, &backend, &tls, &foreign] {
        fake.apply(one.clone());
    }
    let running = Running::start(&fake).await;
    for (policy, ancestor) in [
        (&listener, "Gateway/edge False Invalid"),
        (&backend, "Service/app False Invalid"),
        (&tls, "Gateway/edge False Invalid"),
    ] {
        let (_, message) = fake
            .until(ancestor, || {
                told(&fake, policy).filter(|(lines, _)| lines == &[ancestor])
            })
            .await;
        assert!(message.contains("isn't understood"), "{message}");
    }
    listener["spec"]["timeouts"]["header"] = "10s".into();
    fake.apply(listener.clone());
    let mended = "Gateway/edge True Accepted";
    fake.until(mended, || {
        told(&fake, &listener).filter(|(lines, _)| lines == &[mended])
    })
    .await;
    let foreign = told(&fake, &foreign).unwrap_or_default();
    assert_eq!(foreign.0, [""; 0], "it isn't ours to judge");
    running.end().await;
}
