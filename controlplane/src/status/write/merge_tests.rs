use super::*;
use crate::api::reference::ParentReference;
use crate::status::condition::Truth;
use crate::status::objects::RouteStatus;

const OLD: &str = "2020-01-01T00:00:00Z";
const NEW: &str = "2026-01-01T00:00:00Z";

fn condition(name: &str, status: Truth) -> Condition {
    Condition {
        observed_generation: 2,
        last_transition_time: NEW.to_owned(),
        ..Condition::new(name, status, name, String::new())
    }
}

fn live_condition(name: &str, status: &str) -> Value {
    json!({
        "type": name, "status": status, "reason": name, "message": "",
        "observedGeneration": 1, "lastTransitionTime": OLD,
    })
}

fn times(conditions: &Value) -> Vec<(&str, &str)> {
    let conditions = conditions.as_array().unwrap().iter();
    conditions
        .map(|one| {
            (
                one["type"].as_str().unwrap(),
                one["lastTransitionTime"].as_str().unwrap(),
            )
        })
        .collect()
}

fn gateway_status() -> ObjectStatus {
    ObjectStatus::Gateway(
        GatewayStatus {
            namespace: "default".into(),
            name: "edge".into(),
            class: "ringgate".into(),
            addresses: vec!["10.0.0.1".into()],
            attached_listener_sets: 0,
            conditions: vec![
                condition("Accepted", Truth::True),
                condition("Programmed", Truth::True),
            ],
            listeners: vec![ListenerStatus {
                name: "http".into(),
                port: 80,
                protocol: "HTTP".into(),
                hostname: "*".into(),
                supported_kinds: Vec::new(),
                attached_routes: 3,
                conditions: vec![condition("Accepted", Truth::True)],
            }],
        }
        .into(),
    )
}

fn route_status(parents: &[&str]) -> ObjectStatus {
    let parents = parents.iter().map(|name| ParentStatus {
        parent_ref: serde_json::from_value(json!({"name": name})).unwrap(),
        conditions: vec![condition("Accepted", Truth::True)],
    });
    let status = RouteStatus {
        kind: "HTTPRoute".into(),
        namespace: "default".into(),
        name: "app".into(),
        parents: parents.collect(),
    };
    ObjectStatus::Route(status.into())
}

fn parent(controller: &str, name: &str) -> Value {
    json!({
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name},
        "controllerName": controller,
        "conditions": [live_condition("Accepted", "True"), live_condition("theirs.example/Seen", "True")],
    })
}

#[test]
fn what_others_wrote_about_a_gateway_stays_and_times_move_only_with_the_status() {
    let live = json!({
        "theirs": {"field": 1},
        "addresses": [{"type": "IPAddress", "value": "10.9.9.9"}],
        "conditions": [
            live_condition("theirs.example/Seen", "True"),
            live_condition("Accepted", "True"),
            live_condition("Programmed", "False"),
            live_condition("Conflicted", "False"),
        ],
        "listeners": [
            {"name": "gone", "conditions": [], "attachedRoutes": 1, "supportedKinds": []},
            {"name": "http", "conditions": [live_condition("theirs.example/Seen", "True")]},
        ],
    });
    let merged = merge(ObjectKind::Gateway, &live, Some(&gateway_status()));
    assert_eq!(merged["theirs"], live["theirs"]);
    assert_eq!(
        merged["addresses"],
        json!([{"type": "IPAddress", "value": "10.0.0.1"}])
    );
    let expected = [
        ("theirs.example/Seen", OLD),
        ("Accepted", OLD),
        ("Programmed", NEW),
    ];
    assert_eq!(times(&merged["conditions"]), expected);
    assert_eq!(merged["conditions"][1]["observedGeneration"], 2);
    let listeners = merged["listeners"].as_array().unwrap();
    assert_eq!(listeners.len(), 1);
    assert_eq!(listeners[0]["attachedRoutes"], 3);
    let expected = [("theirs.example/Seen", OLD), ("Accepted", NEW)];
    assert_eq!(times(&listeners[0]["conditions"]), expected);
    assert_eq!(
        merge(ObjectKind::Gateway, &merged, Some(&gateway_status())),
        merged,
        "nothing is left to write"
    );
}

#[test]
fn a_routes_foreign_parents_stay_and_our_stale_ones_go() {
    let other = "other.example/controller";
    let live = json!({"parents": [
        parent(CONTROLLER_NAME, "stale"),
        parent(other, "edge"),
        parent(CONTROLLER_NAME, "edge"),
    ]});
    let merged = merge(
        ObjectKind::HttpRoute,
        &live,
        Some(&route_status(&["new", "edge"])),
    );
    let parents = merged["parents"].as_array().unwrap();
    let names: Vec<_> = parents
        .iter()
        .map(|one| {
            (
                one["controllerName"].as_str().unwrap(),
                one["parentRef"]["name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            (other, "edge"),
            (CONTROLLER_NAME, "edge"),
            (CONTROLLER_NAME, "new")
        ]
    );
    assert_eq!(parents[0], parent(other, "edge"));
    assert_eq!(
        times(&parents[1]["conditions"]),
        [("Accepted", OLD), ("theirs.example/Seen", OLD)]
    );
}

#[test]
fn where_nothing_of_ours_is_meant_only_ours_goes() {
    let live =
        json!({"parents": [parent(CONTROLLER_NAME, "edge"), parent("theirs.example/c", "edge")]});
    let merged = merge(ObjectKind::HttpRoute, &live, None);
    assert_eq!(
        merged,
        json!({"parents": [parent("theirs.example/c", "edge")]})
    );
    assert_eq!(merge(ObjectKind::HttpRoute, &merged, None), merged);
    let empty = json!({});
    assert_eq!(merge(ObjectKind::HttpRoute, &empty, None), empty);
    let foreign = json!({"conditions": [live_condition("Accepted", "True")]});
    assert_eq!(merge(ObjectKind::Gateway, &foreign, None), foreign);
}

#[test]
fn a_policy_has_room_for_sixteen_ancestors_of_all_controllers() {
    let ancestor = |name: &str| {
        let gateway = ringgate_core::ir::ObjectName::new("default", name);
        AncestorStatus {
            ancestor_ref: ParentReference::gateway(&gateway).unwrap(),
            conditions: vec![condition("Accepted", Truth::True)],
        }
    };
    let wanted = ObjectStatus::Policy(
        PolicyStatus {
            kind: "BackendTLSPolicy".into(),
            namespace: "default".into(),
            name: "app".into(),
            ancestors: vec![ancestor("one"), ancestor("two"), ancestor("three")],
        }
        .into(),
    );
    let theirs: Vec<Value> = (0..14)
        .map(|number| {
            json!({
                "ancestorRef": {"name": format!("theirs-{number}")},
                "controllerName": "theirs.example/controller", "conditions": [],
            })
        })
        .collect();
    let live = json!({"ancestors": theirs});
    let merged = merge(ObjectKind::BackendTlsPolicy, &live, Some(&wanted));
    let ancestors = merged["ancestors"].as_array().unwrap();
    assert_eq!(ancestors.len(), 16);
    assert_eq!(ancestors[..14], theirs);
    assert_eq!(ancestors[15]["ancestorRef"]["name"], "two");
}
