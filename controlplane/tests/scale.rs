//! What an edit costs among many routes.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ringgate_controlplane::api::Object;
use ringgate_controlplane::api::gateway::Gateway;
use ringgate_controlplane::api::http_route::HttpRoute;
use ringgate_controlplane::api::service::{EndpointSlice, Service};
use ringgate_controlplane::metrics::Metrics;
use ringgate_controlplane::push::session::Session;
use ringgate_controlplane::reconcile::Reconciler;
use ringgate_controlplane::translate::Options;
use ringgate_controlplane::watch::{Batch, Event};
use ringgate_core::wire::proto::{self, dataplane_message::Message};
use serde_json::json;

const ROUTES: usize = 10_000;

fn route(number: usize, path: &str) -> Object {
    let route: HttpRoute = serde_json::from_value(json!({
        "metadata": {"name": format!("r{number}"), "namespace": "default"},
        "spec": {
            "parentRefs": [{"name": "gw"}],
            "hostnames": [format!("h{number}.example.com")],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": path}}],
                "backendRefs": [{"name": format!("s{number}"), "port": 80}],
            }],
        },
    }))
    .unwrap();
    route.into()
}

fn site() -> Vec<Object> {
    let gateway: Gateway = serde_json::from_value(json!({
        "metadata": {"name": "gw", "namespace": "default"},
        "spec": {
            "gatewayClassName": "ringgate",
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        },
    }))
    .unwrap();
    let mut objects = vec![gateway.into()];
    for number in 0..ROUTES {
        let name = format!("s{number}");
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"ports": [{"port": 80}]},
        }))
        .unwrap();
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "ports": [{"port": 8080}],
            "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}],
        }))
        .unwrap();
        objects.extend([service.into(), slice.into(), route(number, "/")]);
    }
    objects
}

fn batch(objects: Vec<Object>) -> Batch {
    let applied = |object| Event::Applied {
        object,
        source: None,
    };
    Batch {
        events: objects.into_iter().map(applied).collect(),
        problems: Vec::new(),
    }
}

fn say(session: &mut Session, message: Message) {
    let message = proto::DataplaneMessage {
        message: Some(message),
    };
    session.receive(message, Instant::now()).unwrap();
}

/// Prints where the time goes: run it with `--nocapture`, optimised.
#[test]
fn one_edit_among_ten_thousand_routes_sends_one_small_object() {
    let mut reconciler = Reconciler::new(Options::default(), Some(1), Arc::new(Metrics::default()));
    let mut session = Session::default();
    say(&mut session, Message::Hello(proto::Hello::default()));

    reconciler.take_batch(batch(site()), SystemTime::UNIX_EPOCH);
    let began = Instant::now();
    let first = reconciler.reconcile().unwrap();
    println!("first translation and encoding: {:?}", began.elapsed());
    let began = Instant::now();
    let parts = session.advance(&first, Instant::now());
    println!(
        "first state in {} parts: {:?}",
        parts.len(),
        began.elapsed()
    );
    let began = Instant::now();
    reconciler.refresh(Instant::now(), SystemTime::UNIX_EPOCH);
    println!("first statuses: {:?}", began.elapsed());

    let mut slowest = Duration::ZERO;
    for turn in 0..10 {
        let ack = proto::Ack {
            version: Some(ringgate_core::wire::encode_version(
                reconciler.wanted_version().unwrap(),
            )),
            failures: Vec::new(),
        };
        say(&mut session, Message::Ack(ack));
        let edit = batch(vec![route(turn * 997, &format!("/edit-{turn}"))]);
        let began = Instant::now();
        reconciler.take_batch(edit, SystemTime::UNIX_EPOCH);
        let wanted = reconciler.reconcile().unwrap();
        let translated = began.elapsed();
        let parts = session.advance(&wanted, Instant::now());
        slowest = slowest.max(began.elapsed());
        println!(
            "edit: {translated:?}, with the session {:?}",
            began.elapsed()
        );

        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].upsert.len(), 1);
        assert!(parts[0].remove.is_empty() && !parts[0].full);
        assert!(prost::Message::encoded_len(&parts[0]) < 1024);
        let began = Instant::now();
        reconciler.refresh(Instant::now(), SystemTime::UNIX_EPOCH);
        println!("statuses: {:?}", began.elapsed());
    }
    println!("slowest edit: {slowest:?}");
}
