//! Who leads: one writes, the others are ready to.

use std::time::{Duration, Instant};

use ringgate_controlplane::admin::client;
use serde_json::{Value, json};

use super::fake::Fake;
use super::running::Running;
use super::{CONTROLLER, class, gateway, route, service};

fn lease(fake: &Fake) -> Option<(String, i64)> {
    let lease = fake.all("leases").pop()?;
    let holder = lease["spec"]["holderIdentity"].as_str()?.to_owned();
    let transitions = lease["spec"]["leaseTransitions"].as_i64()?;
    (!holder.is_empty()).then_some((holder, transitions))
}

fn status(fake: &Fake, object: &Value) -> Option<Value> {
    fake.get(object)?["status"]["conditions"].as_array()?;
    Some(fake.get(object)?["status"].clone())
}

async fn until_ready(running: &Running) {
    while client::get(running.admin, "/readyz").await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_standby_writes_nothing_and_takes_over_at_once_when_the_leader_ends() {
    let fake = Fake::new();
    let edge = gateway("edge", "ours");
    fake.apply(class("ours", CONTROLLER));
    fake.apply(edge.clone());
    let first = Running::start(&fake).await;
    fake.until("the first status", || status(&fake, &edge))
        .await;
    let (leader, term) = lease(&fake).unwrap();
    let second = Running::start(&fake).await;
    until_ready(&second).await;
    assert_eq!(lease(&fake), Some((leader.clone(), term)));

    first.end().await;
    let started = Instant::now();
    let (next, next_term) = fake
        .until("the next leader", || {
            lease(&fake).filter(|(holder, _)| *holder != leader)
        })
        .await;
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "the Lease was given back"
    );
    assert!(next != leader && next_term == term + 1);
    let app = route("app", &["edge"]);
    fake.apply(service("app"));
    fake.apply(app.clone());
    fake.until("the next leader's status", || {
        fake.get(&app)?["status"]["parents"].as_array().cloned()
    })
    .await;
    second.end().await;
}

#[tokio::test]
async fn a_leader_that_dies_is_followed_within_15_seconds() {
    let fake = Fake::new();
    let edge = gateway("edge", "ours");
    fake.apply(class("ours", CONTROLLER));
    let first = Running::start(&fake).await;
    fake.until("a leader", || lease(&fake)).await;
    let second = Running::start(&fake).await;
    until_ready(&second).await;
    first.kill().await;
    let died = Instant::now();
    fake.apply(edge.clone());
    fake.until("a status by the next leader", || status(&fake, &edge))
        .await;
    assert!(
        died.elapsed() < Duration::from_secs(15),
        "{:?}",
        died.elapsed()
    );
    second.end().await;
}

#[tokio::test]
async fn an_object_that_is_not_understood_gets_an_event() {
    let fake = Fake::new();
    fake.apply(class("ours", CONTROLLER));
    let mut broken = route("bad", &["edge"]);
    broken["spec"]["rules"][0]["timeouts"] = json!({"request": "ten"});
    fake.apply(broken.clone());
    let running = Running::start(&fake).await;
    let event = fake.until("an Event", || fake.all("events").pop()).await;
    assert_eq!(event["reason"], "NotUnderstood");
    assert_eq!(event["regarding"]["kind"], "HTTPRoute");
    assert_eq!(event["regarding"]["name"], "bad");
    assert_eq!(
        event["regarding"]["uid"],
        fake.get(&broken).unwrap()["metadata"]["uid"]
    );
    assert!(
        event["note"]
            .as_str()
            .unwrap()
            .contains("spec.rules[0].timeouts.request"),
        "{event}"
    );
    running.end().await;
}
