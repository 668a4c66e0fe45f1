//! What is written: the whole control plane against the API server, without data planes.

use std::time::Duration;

use serde_json::{Value, json};

use super::fake::Fake;
use super::running::Running;
use super::{CONTROLLER, class, gateway, route, service};

/// `Type=Status Reason` of each, with the generation it speaks of.
fn conditions(holder: &Value) -> Vec<String> {
    let conditions = holder["conditions"].as_array();
    let conditions = conditions.into_iter().flatten().map(|one| {
        format!(
            "{}={} {} @{}",
            one["type"].as_str().unwrap(),
            one["status"].as_str().unwrap(),
            one["reason"].as_str().unwrap(),
            one["observedGeneration"]
        )
    });
    conditions.collect()
}

/// Waits until nothing is written for longer than one object's writes keep a distance.
pub(crate) async fn settle(fake: &Fake) -> usize {
    loop {
        let before = fake.writes();
        tokio::time::sleep(Duration::from_millis(300)).await;
        if fake.writes() == before {
            return before;
        }
    }
}

#[tokio::test]
async fn statuses_are_written_once_and_not_again_by_the_next_process() {
    let fake = Fake::new();
    let (ours, edge, app) = (
        class("ours", CONTROLLER),
        gateway("edge", "ours"),
        route("app", &["edge"]),
    );
    for object in [&ours, &edge, &app, &service("app")] {
        fake.apply(object.clone());
    }
    let running = Running::start(&fake).await;
    fake.until("the route's status", || {
        fake.get(&app)?["status"]["parents"].as_array().cloned()
    })
    .await;
    let writes = settle(&fake).await;
    assert!(writes <= 5, "{:#?}", fake.requests());
    let status = |object: &Value| fake.get(object).unwrap()["status"].clone();
    assert_eq!(
        conditions(&status(&ours)),
        [
            "Accepted=True Accepted @1",
            "SupportedVersion=True SupportedVersion @1"
        ]
    );
    assert!(
        status(&ours)["supportedFeatures"]
            .as_array()
            .unwrap()
            .contains(&json!({"name": "HTTPRoute"}))
    );
    assert_eq!(
        conditions(&status(&edge)),
        [
            "Accepted=True Accepted @1",
            "Programmed=False Pending @1",
            "ResolvedRefs=True ResolvedRefs @1"
        ],
        "no data plane is there"
    );
    assert_eq!(status(&edge)["listeners"][0]["attachedRoutes"], 1);
    let parent = &status(&app)["parents"][0];
    assert_eq!(parent["controllerName"], CONTROLLER);
    assert_eq!(
        conditions(parent),
        [
            "Accepted=True Accepted @1",
            "ResolvedRefs=True ResolvedRefs @1"
        ]
    );
    running.end().await;

    let running = Running::start(&fake).await;
    let requests = fake.requests().len();
    fake.until("the watches of the next", || {
        let watches = fake.requests()[requests..]
            .iter()
            .filter(|one| one.contains("watch=true"))
            .count();
        (watches >= 10).then_some(())
    })
    .await;
    assert_eq!(settle(&fake).await, writes, "all of it stands");
    running.end().await;
}

#[tokio::test]
async fn a_grpc_route_is_watched_and_told_what_became_of_it() {
    let fake = Fake::new();
    let mut app = route("app", &["edge"]);
    app["kind"] = "GRPCRoute".into();
    let (ours, edge) = (class("ours", CONTROLLER), gateway("edge", "ours"));
    for object in [&ours, &edge, &app, &service("app")] {
        fake.apply(object.clone());
    }
    let running = Running::start(&fake).await;
    let parents = fake
        .until("the route's status", || {
            fake.get(&app)?["status"]["parents"].as_array().cloned()
        })
        .await;
    assert_eq!(
        conditions(&parents[0]),
        [
            "Accepted=True Accepted @1",
            "ResolvedRefs=True ResolvedRefs @1"
        ]
    );
    settle(&fake).await;
    let edge = fake.get(&edge).unwrap();
    let listener = &edge["status"]["listeners"][0];
    assert_eq!(listener["attachedRoutes"], 1);
    assert_eq!(listener["supportedKinds"][1]["kind"], "GRPCRoute");
    running.end().await;
}

#[tokio::test]
async fn a_gateway_of_another_class_is_left_alone() {
    let fake = Fake::new();
    let theirs = [
        class("theirs", "theirs.example/controller"),
        gateway("edge", "theirs"),
        route("app", &["edge"]),
        gateway("lost", "nowhere"),
        gateway("implied", "ringgate"),
    ];
    for object in &theirs {
        fake.apply(object.clone());
    }
    let ours = class("ours", CONTROLLER);
    fake.apply(ours.clone());
    let running = Running::start(&fake).await;
    fake.until("our class", || {
        fake.get(&ours)?["status"]["conditions"].as_array().cloned()
    })
    .await;
    settle(&fake).await;
    for object in &theirs {
        assert_eq!(fake.get(object).unwrap()["status"], Value::Null, "{object}");
    }
    running.end().await;
}

#[tokio::test]
async fn others_conditions_and_parents_stay_whoever_writes_meanwhile() {
    let fake = Fake::new();
    let (edge, app) = (gateway("edge", "ours"), route("app", &["edge"]));
    for object in [&class("ours", CONTROLLER), &edge, &app, &service("app")] {
        fake.apply(object.clone());
    }
    let theirs = json!({
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"},
        "controllerName": "theirs.example/controller",
        "conditions": [],
    });
    let stale = json!({
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "left"},
        "controllerName": CONTROLLER,
        "conditions": [],
    });
    let seen = json!({
        "type": "theirs.example/Seen", "status": "True", "reason": "Seen", "message": "",
        "observedGeneration": 1, "lastTransitionTime": "2020-01-01T00:00:00Z",
    });
    fake.edit_status(&app, |status| *status = json!({"parents": [stale, theirs]}));
    fake.edit_status(&edge, |status| *status = json!({"conditions": [seen]}));
    fake.interfere(4);
    let running = Running::start(&fake).await;
    let parents = fake
        .until("our parent", || {
            let parents = fake.get(&app)?["status"]["parents"].as_array()?.clone();
            let fresh = parents.iter().any(|one| !conditions(one).is_empty());
            fresh.then_some(parents)
        })
        .await;
    let names: Vec<_> = parents
        .iter()
        .map(|one| one["parentRef"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["edge", "edge"], "the stale one is gone");
    assert_eq!(parents[0], theirs);
    let status = fake
        .until("the Gateway's status", || {
            let status = fake.get(&edge)?["status"].clone();
            (conditions(&status).len() == 4).then_some(status)
        })
        .await;
    assert_eq!(status["conditions"][0], seen);

    // No parent of ours any more: our entry goes, theirs stays.
    let mut elsewhere = app.clone();
    elsewhere["spec"]["parentRefs"] = json!([]);
    fake.apply(elsewhere);
    fake.until("our entry to go", || {
        let parents = fake.get(&app)?["status"]["parents"].as_array()?.clone();
        (parents == [theirs.clone()]).then_some(())
    })
    .await;
    running.end().await;
}

#[tokio::test]
async fn an_external_name_is_refused_in_a_cluster() {
    let fake = Fake::new();
    let mut outside = service("app");
    outside["spec"] = json!({"type": "ExternalName", "externalName": "example.com"});
    let app = route("app", &["edge"]);
    for object in [
        &class("ours", CONTROLLER),
        &gateway("edge", "ours"),
        &app,
        &outside,
    ] {
        fake.apply(object.clone());
    }
    let running = Running::start(&fake).await;
    let parents = fake
        .until("the route's status", || {
            fake.get(&app)?["status"]["parents"].as_array().cloned()
        })
        .await;
    assert_eq!(
        conditions(&parents[0]),
        [
            "Accepted=True Accepted @1",
            "ResolvedRefs=False InvalidKind @1"
        ]
    );
    running.end().await;
}
