use super::*;
use crate::api::{CONTROLLER_NAME, ObjectKind};
use crate::limits::STATUS_BURST;
use crate::status::condition::{Condition, Truth};
use crate::status::objects::{ParentStatus, RouteStatus};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(ObjectKind::HttpRoute, "default", name)
}

fn live(version: u32, status: Value) -> Live {
    let mut object = json!({
        "metadata": {"resourceVersion": version.to_string()}, "status": status,
    });
    Live::take_from(ObjectKind::HttpRoute, &mut object).unwrap()
}

fn wanted(reason: &str) -> ObjectStatus {
    let parent = ParentStatus {
        parent_ref: serde_json::from_value(json!({"name": "edge"})).unwrap(),
        conditions: vec![Condition::new(
            "Accepted",
            Truth::True,
            reason,
            String::new(),
        )],
    };
    let status = RouteStatus {
        kind: "HTTPRoute".into(),
        namespace: "default".into(),
        name: "app".into(),
        parents: vec![parent],
    };
    ObjectStatus::Route(status.into())
}

/// The object as it is after `write`.
fn written(version: u32, write: &Write) -> Outcome {
    Outcome::Written(live(version, write.patch["status"].clone()))
}

#[test]
fn nothing_is_written_that_stands_already() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.see(key("app"), Some(live(7, json!({}))), now);
    assert_eq!(queue.next(now), None, "nothing is wanted yet");
    queue.want([(key("app"), Some(wanted("One")))], now);
    let write = queue.next(now).unwrap();
    assert_eq!(write.patch["metadata"]["resourceVersion"], "7");
    assert_eq!(
        write.patch["status"]["parents"][0]["controllerName"],
        CONTROLLER_NAME
    );
    assert_eq!(queue.next(now), None, "it is on its way");
    queue.finish(key("app"), written(8, &write), now);
    // The watch tells of our own write, and of one before it.
    queue.see(
        key("app"),
        Some(live(8, write.patch["status"].clone())),
        now,
    );
    queue.see(key("app"), Some(live(7, json!({}))), now);
    let later = now + STATUS_DISTANCE;
    assert_eq!(queue.next(later), None);
    queue.want([(key("app"), Some(wanted("One")))], later);
    assert_eq!(queue.next(later), None);
    assert_eq!(queue.wake_at(later), None);
}

#[test]
fn many_changes_of_one_object_become_few_writes() {
    let mut now = Instant::now();
    let mut queue = Queue::default();
    queue.see(key("app"), Some(live(1, json!({}))), now);
    let mut writes = 0;
    for turn in 0..1000_u32 {
        queue.want([(key("app"), Some(wanted(&turn.to_string())))], now);
        if let Some(write) = queue.next(now) {
            writes += 1;
            queue.finish(key("app"), written(turn + 2, &write), now);
        }
        now += Duration::from_millis(1);
    }
    assert_eq!(writes, 10);
    let due = queue.wake_at(now).unwrap();
    let last = queue.next(due).unwrap();
    let reason = &last.patch["status"]["parents"][0]["conditions"][0]["reason"];
    assert_eq!(reason, "999");
}

#[test]
fn a_conflict_is_resolved_from_the_fresh_object_at_once_and_later_with_pauses() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.see(key("app"), Some(live(1, json!({}))), now);
    queue.want([(key("app"), Some(wanted("One")))], now);
    queue.next(now).unwrap();
    let theirs = json!({"parents": [{"controllerName": "theirs.example/c", "conditions": []}]});
    queue.finish(key("app"), Outcome::Conflict(live(5, theirs)), now);
    let again = queue.next(now).unwrap();
    assert_eq!(again.patch["metadata"]["resourceVersion"], "5");
    assert_eq!(
        again.patch["status"]["parents"].as_array().unwrap().len(),
        2
    );
    queue.finish(key("app"), Outcome::Conflict(live(6, json!({}))), now);
    assert_eq!(queue.next(now), None);
    let due = queue.wake_at(now).unwrap();
    assert!(due > now);
    assert!(queue.next(due).is_some());
}

#[test]
fn what_fails_is_tried_again_ever_later_and_what_is_gone_is_not() {
    let mut now = Instant::now();
    let mut queue = Queue::default();
    queue.see(key("app"), Some(live(1, json!({}))), now);
    queue.want([(key("app"), Some(wanted("One")))], now);
    for _ in 0..20 {
        queue.next(now).unwrap();
        queue.finish(key("app"), Outcome::Failed, now);
        let due = queue.wake_at(now).unwrap();
        assert!(due - now >= STATUS_PAUSE_AT_LEAST / 2 && due - now <= STATUS_PAUSE_AT_MOST);
        now = due;
    }
    queue.next(now).unwrap();
    queue.finish(key("app"), Outcome::Gone, now);
    let later = now + STATUS_PAUSE_AT_MOST;
    assert_eq!(queue.next(later), None);
    assert_eq!(queue.wake_at(later), None);
}

#[test]
fn what_an_earlier_run_left_is_taken_away_once_it_is_known_what_is_wanted() {
    let now = Instant::now();
    let mut queue = Queue::default();
    let ours = json!({"parents": [{"controllerName": CONTROLLER_NAME, "conditions": []}]});
    queue.see(key("left"), Some(live(1, ours)), now);
    assert_eq!(queue.next(now), None);
    queue.want([], now);
    let write = queue.next(now).unwrap();
    assert_eq!(write.patch["status"], json!({"parents": []}));
}

#[test]
fn writes_keep_to_the_bounds_of_number_and_rate() {
    let now = Instant::now();
    let mut queue = Queue::default();
    let count = STATUS_BURST + 10;
    for place in 0..count {
        let key = key(&format!("app-{place}"));
        queue.see(key.clone(), Some(live(1, json!({}))), now);
        queue.want([(key, Some(wanted("One")))], now);
    }
    let mut flying: Vec<Write> = std::iter::from_fn(|| queue.next(now)).collect();
    assert_eq!(flying.len(), STATUS_IN_FLIGHT);
    assert_eq!(queue.wake_at(now), None, "it waits for one of them");
    let mut writes = 0;
    while let Some(write) = flying.pop() {
        writes += 1;
        queue.finish(write.key.clone(), written(2, &write), now);
        flying.extend(queue.next(now));
    }
    assert_eq!(writes, STATUS_BURST);
    assert!(queue.wake_at(now).unwrap() > now);
}

#[test]
fn a_status_that_the_api_server_takes_and_changes_is_not_written_again_and_again() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.see(key("app"), Some(live(1, json!({}))), now);
    queue.want([(key("app"), Some(wanted("One")))], now);
    let write = queue.next(now).unwrap();
    let mut pruned = write.patch["status"].clone();
    pruned["parents"][0]
        .as_object_mut()
        .unwrap()
        .remove("conditions");
    queue.finish(key("app"), Outcome::Written(live(2, pruned)), now);
    let later = now + STATUS_DISTANCE;
    assert_eq!(queue.next(later), None);
    queue.want([(key("app"), Some(wanted("Two")))], later);
    assert!(queue.next(later).is_some(), "another one may be taken");
}
