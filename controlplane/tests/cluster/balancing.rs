//! Services of type LoadBalancer: what is written into them, and what is said of them and of pools.

use serde_json::{Value, json};

use super::fake::Fake;
use super::running::Running;
use super::service;

fn pool(name: &str, addresses: &[&str]) -> Value {
    json!({
        "apiVersion": "ringgate.io/v1alpha1", "kind": "AddressPool",
        "metadata": {"name": name},
        "spec": {"addresses": addresses},
    })
}

/// Of our class, made on that day of a month.
fn balanced(name: &str, day: &str) -> Value {
    let mut balanced = service(name);
    balanced["metadata"]["creationTimestamp"] = json!(format!("2026-01-{day}T00:00:00Z"));
    balanced["spec"] = json!({
        "type": "LoadBalancer", "loadBalancerClass": "ringgate.io/lb",
        "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}],
    });
    balanced
}

fn ingress(fake: &Fake, service: &Value) -> Option<Value> {
    let ingress = fake.get(service)?["status"]["loadBalancer"]["ingress"].clone();
    (!ingress.as_array()?.is_empty()).then_some(ingress)
}

/// What the annotation stores.
fn note(fake: &Fake, service: &Value) -> Option<String> {
    let note = &fake.get(service)?["metadata"]["annotations"]["ringgate.io/addresses"];
    Some(note.as_str()?.to_owned())
}

/// Waits for an Event on the Service. Returns its type and text.
async fn event(fake: &Fake, service: &Value, reason: &str) -> (String, String) {
    let name = &service["metadata"]["name"];
    let what = format!("Event {reason} of {name}");
    let event = fake
        .until(&what, || {
            let mut events = fake.all("events").into_iter();
            events.find(|one| one["regarding"]["name"] == *name && one["reason"] == reason)
        })
        .await;
    // By it `kubectl describe` finds them.
    let uid = &fake.get(service).unwrap()["metadata"]["uid"];
    assert_eq!(event["regarding"]["uid"], *uid);
    let text = |field: &str| event[field].as_str().unwrap().to_owned();
    (text("type"), text("note"))
}

async fn until_pool(fake: &Fake, pool: &Value, condition_type: &str, status: &str) -> Value {
    let what = format!("{condition_type}={status} of {}", pool["metadata"]["name"]);
    fake.until(&what, || {
        let found = fake.get(pool)?["status"].clone();
        let mut conditions = found["conditions"].as_array()?.iter();
        let is_it = |one: &&Value| one["type"] == condition_type && one["status"] == status;
        conditions.find(is_it)?;
        Some(found)
    })
    .await
}

#[tokio::test]
async fn a_service_of_our_class_gets_an_address_and_keeps_it_whatever_is_wiped() {
    let fake = Fake::new();
    let first = balanced("first", "02");
    let edge = pool("edge", &["192.0.2.8"]);
    fake.apply(edge.clone());
    fake.apply(first.clone());
    let running = Running::start(&fake).await;
    let shown = fake.until("an address", || ingress(&fake, &first)).await;
    assert_eq!(shown, json!([{"ip": "192.0.2.8", "ipMode": "Proxy"}]));
    let stored = fake.until("its note", || note(&fake, &first)).await;
    assert_eq!(stored, "192.0.2.8");
    let (kind, text) = event(&fake, &first, "AddressAssigned").await;
    assert_eq!((&*kind, &*text), ("Normal", "it has got 192.0.2.8"));
    let status = until_pool(&fake, &edge, "Exhausted", "True").await;
    assert_eq!(status["ipv4"], json!({"assigned": 1, "available": 0}));

    // An older one waits; neither somebody's slip nor a wiped annotation gives it the address.
    let older = balanced("older", "01");
    fake.apply(older.clone());
    let (kind, text) = event(&fake, &older, "AddressNotAssigned").await;
    assert_eq!(kind, "Warning");
    let cause = "no address is free in AddressPool edge; widen a pool";
    assert!(text.starts_with(cause), "{text}");
    fake.edit_status(&first, |status| *status = json!({}));
    let shown = fake
        .until("the address again", || ingress(&fake, &first))
        .await;
    assert_eq!(shown[0]["ip"], "192.0.2.8");
    // Its author writes it without what we added.
    fake.apply(first.clone());
    fake.until("the note again", || note(&fake, &first)).await;
    assert_eq!(ingress(&fake, &older), None);
    running.end().await;

    // While nobody looked.
    fake.edit_status(&first, |status| *status = json!({}));
    let running = Running::start(&fake).await;
    let shown = fake
        .until("the address after all", || ingress(&fake, &first))
        .await;
    assert_eq!(shown[0]["ip"], "192.0.2.8");
    assert_eq!(ingress(&fake, &older), None);
    running.end().await;
}

/// A Service waits for an address, and nobody says for what; the address that another gives back isn't
/// given to it.
/// metallb/metallb#1526, metallb/metallb#1586, kube-vip/kube-vip#221, kube-vip/kube-vip#790.
#[tokio::test]
async fn pain_9_a_waiting_service_gets_an_address_as_soon_as_one_is_given_back() {
    let fake = Fake::new();
    let edge = pool("edge", &["192.0.2.8"]);
    let services = ["01", "02", "03"].map(|day| balanced(&format!("of-{day}"), day));
    let [first, second, third] = &services;
    fake.apply(edge.clone());
    fake.apply(first.clone());
    let running = Running::start(&fake).await;
    fake.until("an address", || ingress(&fake, first)).await;
    for waiting in [second, third] {
        fake.apply(waiting.clone());
        event(&fake, waiting, "AddressNotAssigned").await;
    }
    fake.delete(first);
    let shown = fake.until("its address", || ingress(&fake, second)).await;
    assert_eq!(shown[0]["ip"], "192.0.2.8");

    // One that is no load balancer any more gives back what it has, and what we wrote goes with it.
    let mut changed = fake.get(second).unwrap();
    changed["spec"] = json!({"type": "ClusterIP", "ports": [{"port": 53, "protocol": "UDP"}]});
    fake.apply(changed);
    let shown = fake.until("its address", || ingress(&fake, third)).await;
    assert_eq!(shown[0]["ip"], "192.0.2.8");
    fake.until("what was written to go", || {
        let is_gone = ingress(&fake, second).is_none() && note(&fake, second).is_none();
        is_gone.then_some(())
    })
    .await;
    running.end().await;
}

#[tokio::test]
async fn pools_that_overlap_and_addresses_that_left_their_pool_are_said_and_serve() {
    let fake = Fake::new();
    let (one, two) = (
        pool("one", &["192.0.2.8/31"]),
        pool("two", &["192.0.2.9-192.0.2.12"]),
    );
    let web = balanced("web", "01");
    fake.apply(one.clone());
    fake.apply(web.clone());
    let running = Running::start(&fake).await;
    fake.until("an address", || ingress(&fake, &web)).await;
    fake.apply(two.clone());
    for (pool, other) in [(&one, "AddressPool two"), (&two, "AddressPool one")] {
        let status = until_pool(&fake, pool, "Conflicted", "True").await;
        let conditions = status["conditions"].as_array().unwrap();
        let overlap = conditions
            .iter()
            .find(|it| it["type"] == "Conflicted")
            .unwrap();
        let message = overlap["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("192.0.2.9 is in {other} too")),
            "{message}"
        );
    }

    fake.delete(&one);
    let (kind, text) = event(&fake, &web, "AddressNotInPool").await;
    assert_eq!(kind, "Warning");
    assert!(
        text.contains("192.0.2.8 is in no pool") && text.contains("put it back"),
        "{text}"
    );
    until_pool(&fake, &two, "Conflicted", "False").await;
    assert_eq!(ingress(&fake, &web).unwrap()[0]["ip"], "192.0.2.8");
    running.end().await;
}
