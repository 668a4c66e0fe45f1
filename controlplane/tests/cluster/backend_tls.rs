//! BackendTLSPolicies: their statuses, and the ConfigMaps that they name.

use serde_json::{Value, json};

use super::fake::Fake;
use super::running::Running;
use super::{CONTROLLER, class, gateway, route, service};

const AUTHORITY: &str = include_str!("../../testdata/pem/ca.crt");

fn policy() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy",
        "metadata": {"name": "app", "namespace": "default"},
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": "app"}],
            "validation": {
                "hostname": "app.example.com",
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "authority"}],
            },
        },
    })
}

/// `Type=Status Reason` of the policy's conditions at our Gateway.
fn conditions(fake: &Fake) -> Option<Vec<String>> {
    let status = fake.get(&policy())?["status"].clone();
    let ours = status["ancestors"].as_array()?.iter().find(|one| {
        one["controllerName"] == CONTROLLER
            && one["ancestorRef"]["kind"] == "Gateway"
            && one["ancestorRef"]["name"] == "edge"
            && one["ancestorRef"]["namespace"] == "default"
    })?;
    let conditions = ours["conditions"].as_array()?.iter().map(|one| {
        let text = |field: &str| one[field].as_str().unwrap().to_owned();
        format!("{}={} {}", text("type"), text("status"), text("reason"))
    });
    Some(conditions.collect())
}

async fn until(fake: &Fake, wanted: [&str; 2]) {
    fake.until(wanted[0], || (conditions(fake)? == wanted).then_some(()))
        .await;
}

#[tokio::test]
async fn a_policy_follows_its_config_map_and_others_entries_stay() {
    let fake = Fake::new();
    for object in [
        &class("ours", CONTROLLER),
        &gateway("edge", "ours"),
        &route("app", &["edge"]),
        &service("app"),
        &policy(),
    ] {
        fake.apply(object.clone());
    }
    let theirs = json!({
        "ancestorRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "namespace": "default"},
        "controllerName": "theirs.example/controller",
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
            "observedGeneration": 1, "lastTransitionTime": "2020-01-01T00:00:00Z"}],
    });
    let seeded = theirs.clone();
    fake.edit_status(&policy(), |status| *status = json!({"ancestors": [seeded]}));
    let running = Running::start(&fake).await;
    let refused = [
        "Accepted=False NoValidCACertificate",
        "ResolvedRefs=False InvalidCACertificateRef",
    ];
    let fine = ["Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs"];
    until(&fake, refused).await;
    let mut authority = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "authority", "namespace": "default"},
        "data": {"ca.crt": AUTHORITY},
    });
    fake.apply(authority.clone());
    until(&fake, fine).await;
    authority["data"]["ca.crt"] = json!("");
    fake.apply(authority.clone());
    until(&fake, refused).await;
    authority["data"]["ca.crt"] = json!(AUTHORITY);
    fake.apply(authority);
    until(&fake, fine).await;
    let status = &fake.get(&policy()).unwrap()["status"];
    assert_eq!(status["ancestors"][0], theirs);
    running.end().await;
}
