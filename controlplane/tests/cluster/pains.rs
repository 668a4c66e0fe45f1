//! What people suffer from with other gateways, where it concerns configuration and statuses: a test
//! for each, that shows Ringgate free of it. Those about traffic stand among the tests with real
//! processes.

use std::sync::{Arc, Weak};
use std::time::{Instant, SystemTime};

use ringgate_controlplane::api::Object;
use ringgate_controlplane::api::gateway::Gateway;
use ringgate_controlplane::api::http_route::HttpRoute;
use ringgate_controlplane::metrics::Metrics;
use ringgate_controlplane::reconcile::Reconciler;
use ringgate_controlplane::translate::Options;
use ringgate_controlplane::watch::{Batch, Event};
use serde_json::{Value, json};

use super::bad::{bad_routes, listener, with_bad_objects};
use super::fake::Fake;
use super::running::Running;
use super::statuses::settle;
use super::{CONTROLLER, class, gateway, route, secret, service};

/// The condition of that type, once it says of this generation something else than that it waits.
fn condition(holder: &Value, condition_type: &str) -> Option<Value> {
    let mut conditions = holder["conditions"].as_array()?.iter();
    let found = conditions.find(|one| one["type"] == condition_type);
    found.cloned()
}

fn parents(fake: &Fake, route: &Value) -> Vec<Value> {
    let object = fake.get(route);
    let parents = object.and_then(|one| one["status"]["parents"].as_array().cloned());
    parents.unwrap_or_default()
}

/// Waits for a condition of the route at its only parent.
async fn of_route(fake: &Fake, route: &Value, condition_type: &str) -> Value {
    let what = format!("{condition_type} of {}", route["metadata"]["name"]);
    fake.until(&what, || {
        condition(parents(fake, route).first()?, condition_type)
    })
    .await
}

async fn of_listener(fake: &Fake, holder: &Value, place: usize, condition_type: &str) -> Value {
    let what = format!(
        "{condition_type} of a listener of {}",
        holder["metadata"]["name"]
    );
    fake.until(&what, || {
        let object = fake.get(holder)?;
        condition(&object["status"]["listeners"][place], condition_type)
    })
    .await
}

/// It is said that something is wrong, why, and what to do.
fn says(condition: &Value, status: &str, reason: &str, cause: &str, remedy: &str) {
    assert_eq!(condition["status"], status, "{condition}");
    assert_eq!(condition["reason"], reason, "{condition}");
    let message = condition["message"].as_str().unwrap();
    assert!(message.contains(cause), "the cause: {message}");
    assert!(message.contains(remedy), "the remedy: {message}");
}

fn set(name: &str, created: &str, listeners: &[Value]) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "ListenerSet",
        "metadata": {"name": name, "namespace": "default", "creationTimestamp": created},
        "spec": {
            "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"},
            "listeners": listeners,
        },
    })
}

/// Waits until the route's newest version has that verdict.
async fn is_accepted(fake: &Fake, route: &Value, generation: u64, status: &str) {
    let what = format!("Accepted={status} of generation {generation}");
    fake.until(&what, || {
        let accepted = condition(parents(fake, route).first()?, "Accepted")?;
        let is_of = accepted["observedGeneration"] == generation;
        (accepted["status"] == status && is_of).then_some(())
    })
    .await;
}

/// A proxy that is given its configuration as a whole refuses it as a whole: one wrong object stops
/// every change, or every route at the proxy's next start.
/// envoyproxy/gateway#5147, envoyproxy/gateway#5182, kgateway-dev/kgateway#11794,
/// kgateway-dev/kgateway#13963, cilium/cilium#34982.
///
/// Here the neighbours of wrong objects are accepted, and their changes too.
#[tokio::test]
async fn pain_1_neighbours_of_bad_objects_are_accepted_and_changed() {
    let (fake, edge, good) = with_bad_objects();
    let running = Running::start(&fake).await;
    is_accepted(&fake, &good, 1, "True").await;
    let plain = of_listener(&fake, &edge, 0, "Accepted").await;
    assert_eq!(plain["status"], "True");
    for (bad, [which, ..]) in bad_routes() {
        assert_eq!(of_route(&fake, &bad, which).await["status"], "False");
    }
    let mut changed = good.clone();
    changed["spec"]["hostnames"] = json!(["good.example.com"]);
    fake.apply(changed);
    is_accepted(&fake, &good, 2, "True").await;
    running.end().await;
}

/// What is refused is refused in silence: no condition says so, and what was there before goes on as if
/// it were the newest.
/// envoyproxy/gateway#9198, envoyproxy/gateway#8739, cilium/cilium#39974, cilium/cilium#42220.
///
/// Here each wrong object has a condition that says the cause and the remedy, even one that can't be
/// understood.
#[tokio::test]
async fn pain_2_every_refusal_is_a_condition_with_cause_and_remedy() {
    let (fake, edge, good) = with_bad_objects();
    let mut misread = gateway("misread", "ours");
    misread["spec"]["listeners"][0]["port"] = "eighty".into();
    fake.apply(misread.clone());
    let running = Running::start(&fake).await;
    for (bad, [which, reason, cause, remedy]) in bad_routes() {
        let told = of_route(&fake, &bad, which).await;
        says(&told, "False", reason, cause, remedy);
    }
    let lost = of_listener(&fake, &edge, 1, "ResolvedRefs").await;
    let cause = "there is no Secret default/lost";
    says(
        &lost,
        "False",
        "InvalidCertificateRef",
        cause,
        "Write the Secret",
    );
    let flawed = of_listener(&fake, &edge, 2, "ResolvedRefs").await;
    let cause = "Secret default/flawed";
    says(&flawed, "False", "InvalidCertificateRef", cause, "tls.crt");
    let accepted = fake
        .until("a Gateway that isn't understood", || {
            condition(&fake.get(&misread)?["status"], "Accepted")
        })
        .await;
    let cause = "spec.listeners[0].port: this isn't understood";
    says(&accepted, "False", "Invalid", cause, "Correct it");

    // One that was good goes on with what it said, and says that this isn't the newest.
    is_accepted(&fake, &good, 1, "True").await;
    let mut worse = good.clone();
    worse["spec"]["rules"][0]["timeouts"] = json!({"request": "ten"});
    fake.apply(worse);
    is_accepted(&fake, &good, 2, "False").await;
    fake.apply(good.clone());
    is_accepted(&fake, &good, 3, "True").await;
    running.end().await;
}

/// The control plane's memory grows with every route that comes and goes, until it is killed.
/// envoyproxy/gateway#6919, envoyproxy/gateway#2265, envoyproxy/gateway#4498.
///
/// Here nothing holds a route that is gone, whichever parts have seen it.
#[test]
fn pain_6_routes_that_come_and_go_leave_nothing_behind() {
    let mut reconciler = Reconciler::new(Options::default(), Some(1), Arc::new(Metrics::default()));
    let mut take = |events| {
        let batch = Batch {
            events,
            problems: Vec::new(),
        };
        reconciler.take_batch(batch, SystemTime::UNIX_EPOCH);
        let wanted = reconciler.reconcile();
        let statuses = reconciler.refresh(Instant::now(), SystemTime::UNIX_EPOCH);
        (wanted.map(|one| one.len()), statuses.unwrap().len())
    };
    let applied = |object| Event::Applied {
        object,
        source: None,
    };
    let edge: Gateway = serde_json::from_value(gateway("edge", "ringgate")).unwrap();
    let (alone, _) = take(vec![applied(edge.into())]);
    let mut gone: Vec<Weak<HttpRoute>> = Vec::new();
    for round in 0..5 {
        let routes = (0..100).map(|number| {
            let route = route(&format!("r{round}-{number}"), &["edge"]);
            Arc::new(serde_json::from_value::<HttpRoute>(route).unwrap())
        });
        let routes: Vec<Arc<HttpRoute>> = routes.collect();
        gone.extend(routes.iter().map(Arc::downgrade));
        let objects = routes.into_iter().map(Object::HttpRoute);
        let objects: Vec<Object> = objects.collect();
        let removed = objects.iter().map(|one| Event::Removed(one.key()));
        let removed: Vec<Event> = removed.collect();
        let (many, statuses) = take(objects.into_iter().map(applied).collect());
        assert!(many > alone && statuses >= 100);
        let (few, _) = take(removed);
        assert_eq!(few, alone, "what is in force is as before");
    }
    assert_eq!(gone.len(), 500);
    let held = gone.iter().filter(|one| one.strong_count() > 0).count();
    assert_eq!(held, 0, "routes that are gone are held");
}

/// Every Secret of the cluster is read and kept, so that a cluster with many kills the control plane.
/// nginx/nginx-gateway-fabric#5864.
///
/// Here the API server is asked for certificates alone, and for what is named.
#[tokio::test]
async fn pain_7_secrets_that_nobody_names_are_never_read() {
    let fake = Fake::new();
    let edge = gateway("edge", "ours");
    for number in 0..1000 {
        fake.apply(secret(&format!("release-{number}"), "helm.sh/release.v1"));
    }
    for object in [&class("ours", CONTROLLER), &edge] {
        fake.apply(object.clone());
    }
    let running = Running::start(&fake).await;
    of_listener(&fake, &edge, 0, "Accepted").await;
    settle(&fake).await;
    let requests = fake.requests();
    let of_secrets = requests.iter().filter(|one| one.contains("/secrets"));
    let of_secrets: Vec<&String> = of_secrets.collect();
    assert!(!of_secrets.is_empty(), "certificates are watched");
    for request in of_secrets {
        let selects = "fieldSelector=type%3Dkubernetes.io%2Ftls";
        assert!(request.contains(selects), "{request}");
    }
    running.end().await;
}

/// With hundreds of routes statuses come late, or not, or name a Gateway that the route has left, so
/// that DNS records go on to lead there; or they are written again and again without a change.
/// envoyproxy/gateway#9536, envoyproxy/gateway#6898, envoyproxy/gateway#7067,
/// envoyproxy/gateway#9023, nginx/nginx-gateway-fabric#1122, traefik/traefik#10939,
/// kubernetes-sigs/external-dns#5348.
///
/// Here each of 400 routes has its status by one write, and says where it is attached now.
#[tokio::test]
async fn pain_8_hundreds_of_routes_have_a_status_each_by_one_write_and_no_stale_parent() {
    let fake = Fake::new();
    let (edge, other) = (gateway("edge", "ours"), gateway("other", "ours"));
    for object in [&class("ours", CONTROLLER), &edge, &other, &service("app")] {
        fake.apply(object.clone());
    }
    let routes: Vec<Value> = (0..400)
        .map(|number| route(&format!("r{number}"), &["edge"]))
        .collect();
    for route in &routes {
        fake.apply(route.clone());
    }
    let running = Running::start(&fake).await;
    fake.until("all statuses", || {
        let mut routes = routes.iter();
        routes
            .all(|one| parents(&fake, one).len() == 1)
            .then_some(())
    })
    .await;
    let writes = settle(&fake).await;
    let count = |fake: &Fake| {
        let requests = fake.requests();
        let writes = requests.iter().filter(|one| one.starts_with("PATCH"));
        writes.filter(|one| one.contains("/httproutes/")).count()
    };
    assert_eq!(count(&fake), 400, "one write each");
    assert!(writes <= 410, "{writes} writes of all kinds");

    // The Gateway's other end moves elsewhere: its parent goes with it.
    fake.apply(route("r7", &["other"]));
    fake.until("the parent that it has now", || {
        let parents = parents(&fake, &routes[7]);
        let names: Vec<_> = parents
            .iter()
            .map(|one| &one["parentRef"]["name"])
            .collect();
        (names == ["other"]).then_some(())
    })
    .await;
    fake.until("both counts", || {
        let count =
            |gateway| fake.get(gateway)?["status"]["listeners"][0]["attachedRoutes"].as_u64();
        (count(&edge)? == 399 && count(&other)? == 1).then_some(())
    })
    .await;
    settle(&fake).await;
    assert_eq!(count(&fake), 401, "the others aren't written again");
    running.end().await;
}

/// A Gateway waits for an address, and nobody says for what; the address that another gives back isn't
/// given to it; it stays unprogrammed after the address is there.
/// metallb/metallb#1526, metallb/metallb#1586, kube-vip/kube-vip#221, kube-vip/kube-vip#790,
/// envoyproxy/gateway#8953, envoyproxy/gateway#9209.
#[tokio::test]
async fn pain_9_who_waits_for_an_address_says_so_and_gets_the_next_that_is_free() {
    let fake = Fake::new();
    let (first, second) = (gateway("first", "ours"), gateway("second", "ours"));
    let pool = json!({
        "apiVersion": "ringgate.io/v1alpha1", "kind": "AddressPool",
        "metadata": {"name": "pool"},
        "spec": {"addresses": ["192.0.2.1"]},
    });
    for object in [&class("ours", CONTROLLER), &pool, &first] {
        fake.apply(object.clone());
    }
    let running = Running::start(&fake).await;
    let address = |gateway: &Value| {
        let status = fake.get(gateway)?["status"].clone();
        status["addresses"][0]["value"].as_str().map(str::to_owned)
    };
    fake.until("the only address", || address(&first)).await;
    fake.apply(second.clone());
    let waiting = fake
        .until("why the second has none", || {
            condition(&fake.get(&second)?["status"], "Programmed")
        })
        .await;
    let cause = "no address is free in AddressPool pool";
    says(
        &waiting,
        "False",
        "AddressNotAssigned",
        cause,
        "Widen a pool",
    );

    fake.delete(&first);
    let given = fake.until("its address", || address(&second)).await;
    assert_eq!(given, "192.0.2.1");
    fake.until("that it lacks none any more", || {
        let programmed = condition(&fake.get(&second)?["status"], "Programmed")?;
        // Of a data plane, which isn't there in this test.
        (programmed["reason"] == "Pending").then_some(())
    })
    .await;
    running.end().await;
}

/// `Programmed=False` without a word, and of two listeners that exclude each other the one that was
/// there first loses its routes, or both do.
/// kgateway-dev/kgateway#11982, envoyproxy/gateway#9105, envoyproxy/gateway#9767,
/// traefik/traefik#11842, traefik/traefik#8974.
#[tokio::test]
async fn pain_13_a_conflict_hits_who_came_later_and_every_refusal_has_its_words() {
    let fake = Fake::new();
    let mut edge = gateway("edge", "ours");
    edge["spec"]["allowedListeners"] = json!({"namespaces": {"from": "All"}});
    let first = set("winner", "2020-01-01T00:00:00Z", &[listener("web", 12345)]);
    let late = set("late", "2021-01-01T00:00:00Z", &[listener("web", 12345)]);
    let to_set = |name: &str| {
        let mut app = route(&format!("of-{name}"), &["edge"]);
        app["spec"]["parentRefs"] = json!([{
            "group": "gateway.networking.k8s.io", "kind": "ListenerSet", "name": name,
        }]);
        app
    };
    let (of_first, of_late) = (to_set("winner"), to_set("late"));
    let objects = [
        class("ours", CONTROLLER),
        edge,
        first.clone(),
        of_first.clone(),
        service("app"),
    ];
    for object in &objects {
        fake.apply(object.clone());
    }
    let running = Running::start(&fake).await;
    of_listener(&fake, &first, 0, "Accepted").await;
    fake.apply(late.clone());
    fake.apply(of_late.clone());

    let conflict = of_listener(&fake, &late, 0, "Conflicted").await;
    let cause = "listener web of ListenerSet default/winner";
    says(
        &conflict,
        "True",
        "HostnameConflict",
        cause,
        "Give it another port",
    );
    settle(&fake).await;
    let stands = of_listener(&fake, &first, 0, "Accepted").await;
    assert_eq!(stands["status"], "True", "{stands}");
    let attached = fake.get(&first).unwrap()["status"]["listeners"][0]["attachedRoutes"].clone();
    assert_eq!(attached, 1, "the winner keeps its route");
    let accepted = of_route(&fake, &of_first, "Accepted").await;
    assert_eq!(accepted["status"], "True", "{accepted}");

    let mut refusals = 0;
    for object in objects.iter().chain([&late, &of_late]) {
        refusals += each_refusal_has_words(&fake.get(object).unwrap()["status"]);
    }
    assert!(refusals > 3, "{refusals}");
    running.end().await;
}

/// Counts conditions that say no, wherever in a status they are.
fn each_refusal_has_words(status: &Value) -> usize {
    match status {
        Value::Array(items) => items.iter().map(each_refusal_has_words).sum(),
        Value::Object(fields) if fields.contains_key("lastTransitionTime") => {
            let is_no = match fields["type"].as_str().unwrap() {
                "Conflicted" | "PartiallyInvalid" => fields["status"] != "False",
                _ => fields["status"] != "True",
            };
            assert!(!is_no || fields["message"] != "", "{status}");
            usize::from(is_no)
        }
        Value::Object(fields) => fields.values().map(each_refusal_has_words).sum(),
        _ => 0,
    }
}
