//! What an edit costs among many objects.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that can't go on shall stop, and its figures are to be read"
)]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ringgate_controlplane::api::gateway::{Gateway, GatewayClass};
use ringgate_controlplane::api::http_route::HttpRoute;
use ringgate_controlplane::api::listener_set::ListenerSet;
use ringgate_controlplane::api::service::{EndpointSlice, Service};
use ringgate_controlplane::api::{CONTROLLER_NAME, Object};
use ringgate_controlplane::metrics::Metrics;
use ringgate_controlplane::provision::Settings;
use ringgate_controlplane::push::server::PeerEvent;
use ringgate_controlplane::push::session::{Heard, Session};
use ringgate_controlplane::push::wanted::Wanted;
use ringgate_controlplane::reconcile::{Next, Reconciler};
use ringgate_controlplane::translate::Options;
use ringgate_controlplane::watch::{Batch, Event};
use ringgate_core::wire::proto::{self, dataplane_message::Message};
use serde_json::{Value, json};

/// Debug builds have a tenth: they tell that an edit stays small, not how long it takes.
const ROUTES: usize = if cfg!(debug_assertions) {
    1_000
} else {
    10_000
};
const SETS: usize = if cfg!(debug_assertions) { 250 } else { 2_500 };
const ROUTES_PER_SET: usize = 16;
const EDITS: usize = 10;

fn of<T: serde::de::DeserializeOwned + Into<Object>>(value: Value) -> Object {
    serde_json::from_value::<T>(value).unwrap().into()
}

fn route(name: &str, parent: &Value, host: &str, (path, service): (&str, &str)) -> Object {
    of::<HttpRoute>(json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "parentRefs": [parent],
            "hostnames": [host],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": path}}],
                "backendRefs": [{"name": service, "port": 80}],
            }],
        },
    }))
}

fn service(name: &str) -> [Object; 2] {
    let service = of::<Service>(json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"port": 80}]},
    }));
    let slice = of::<EndpointSlice>(json!({
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"port": 8080}],
        "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}],
    }));
    [service, slice]
}

/// With its class.
fn gateway() -> [Object; 2] {
    let class = of::<GatewayClass>(json!({
        "metadata": {"name": "ringgate"},
        "spec": {"controllerName": CONTROLLER_NAME},
    }));
    let gateway = of::<Gateway>(json!({
        "metadata": {"name": "gw", "namespace": "default"},
        "spec": {
            "gatewayClassName": "ringgate",
            "allowedListeners": {"namespaces": {"from": "Same"}},
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        },
    }));
    [class, gateway]
}

fn listener_set(number: usize) -> Object {
    listener_set_at(number, 80)
}

fn listener_set_at(number: usize, port: u16) -> Object {
    of::<ListenerSet>(json!({
        "metadata": {"name": format!("set-{number}"), "namespace": "default"},
        "spec": {
            "parentRef": {"name": "gw"},
            "listeners": [{
                "name": "http", "port": port, "protocol": "HTTP",
                "hostname": format!("set-{number}.example.com"),
            }],
        },
    }))
}

/// Each with a host and a Service of its own, at the Gateway itself.
fn route_of_gateway(number: usize, path: &str) -> Object {
    let (host, service) = (format!("h{number}.example.com"), format!("s{number}"));
    let parent = json!({"name": "gw"});
    route(&format!("r{number}"), &parent, &host, (path, &service))
}

fn route_of_set(number: usize, path: &str) -> Object {
    let set = format!("set-{}", number % SETS);
    let parent = json!({"kind": "ListenerSet", "name": set});
    let host = format!("{set}.example.com");
    route(&format!("r{number}"), &parent, &host, (path, "s0"))
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

/// A control plane in a cluster, with one data plane that acks whatever it is sent.
struct Site {
    reconciler: Reconciler,
    session: Session,
}

impl Site {
    fn new() -> Self {
        let provision = Settings {
            pools: vec!["192.0.2.1-192.0.2.9".parse().unwrap()],
            ..Settings::default()
        };
        let options = Options {
            cluster: true,
            provision,
            ..Options::default()
        };
        let mut site = Self {
            reconciler: Reconciler::new(options, Some(1), Arc::new(Metrics::default())),
            session: Session::default(),
        };
        site.say(Message::Hello(proto::Hello::default()));
        site
    }

    fn say(&mut self, message: Message) {
        let message = proto::DataplaneMessage {
            message: Some(message),
        };
        let heard = self.session.receive(message, Instant::now()).unwrap();
        self.hear(heard);
    }

    fn hear(&mut self, heard: Heard) {
        let event = PeerEvent::Heard(0, heard);
        self.reconciler.take_peer_event(event, Instant::now());
    }

    fn take(&mut self, objects: Vec<Object>) -> Next {
        self.reconciler
            .take_batch(batch(objects), SystemTime::UNIX_EPOCH)
    }

    /// What the control plane has to have in the cluster, as the API server would tell of it.
    fn store_generated(&mut self) {
        let generated = self.reconciler.generated();
        let services = generated.statuses.iter().map(|(name, status)| {
            let mut objects = generated.objects.iter();
            let (_, object) = objects.find(|(key, _)| key.name == *name).unwrap();
            let mut object = object.clone();
            object["status"] = status.clone();
            of::<Service>(object)
        });
        let services = services.collect();
        self.take(services);
    }

    fn send(&mut self, wanted: &Arc<Wanted>) -> Vec<proto::Update> {
        self.session.advance(wanted, Instant::now())
    }

    fn ack(&mut self) {
        let version = self.reconciler.wanted_version().unwrap();
        self.say(Message::Ack(proto::Ack {
            version: Some(ringgate_core::wire::encode_version(version)),
            failures: Vec::new(),
        }));
    }
}

fn timed<T>(what: &str, does: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = does();
    let took = began.elapsed();
    println!("{what}: {took:?}");
    (done, took)
}

/// Puts `objects` in force, then edits one after another. Prints where the time goes: run it with
/// `--nocapture`, optimised.
fn edits_are_small(objects: Vec<Object>, edit: impl Fn(usize) -> Object) {
    let mut site = Site::new();
    site.take(objects);
    site.reconciler.reconcile();
    site.store_generated();
    let (first, _) = timed("first translation", || site.reconciler.reconcile().unwrap());
    let (parts, _) = timed("first state", || site.send(&first));
    println!("{} objects in {} parts", first.len(), parts.len());
    site.ack();
    let refresh = |site: &mut Site| {
        let now = Instant::now();
        site.reconciler.refresh(now, SystemTime::UNIX_EPOCH)
    };
    timed("first statuses", || refresh(&mut site));

    let mut slowest = Duration::ZERO;
    for turn in 0..EDITS {
        let edited = edit(turn);
        println!("edit {turn}:");
        let (next, taken) = timed("  taken", || site.take(vec![edited]));
        assert_eq!(next, Next::Reconcile);
        let (wanted, translated) = timed("  translated", || site.reconciler.reconcile().unwrap());
        let (parts, sent) = timed("  sent", || site.send(&wanted));
        slowest = slowest.max(taken + translated + sent);

        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].upsert.len(), 1);
        assert!(parts[0].remove.is_empty() && !parts[0].full);
        assert!(prost::Message::encoded_len(&parts[0]) < 1024);
        timed("  references", || site.reconciler.references());
        timed("  statuses before the ack", || refresh(&mut site));
        site.ack();
        let (changes, _) = timed("  statuses", || refresh(&mut site));
        println!("  {} statuses changed", changes.unwrap().len());
    }
    println!("slowest edit: {slowest:?}");
}

#[test]
fn one_edit_among_thousands_of_routes_sends_one_small_object() {
    let mut objects = Vec::from(gateway());
    for number in 0..ROUTES {
        objects.extend(service(&format!("s{number}")));
        objects.push(route_of_gateway(number, "/"));
    }
    edits_are_small(objects, |turn| {
        route_of_gateway(turn * 97, &format!("/edit-{turn}"))
    });
}

#[test]
fn one_edit_among_thousands_of_listener_sets_sends_one_small_object() {
    let mut objects = Vec::from(gateway());
    objects.extend(service("s0"));
    objects.extend((0..SETS).map(listener_set));
    let routes = 0..SETS * ROUTES_PER_SET;
    objects.extend(routes.map(|number| route_of_set(number, &format!("/p{}", number / SETS))));
    edits_are_small(objects, |turn| {
        route_of_set(turn * 97, &format!("/edit-{turn}"))
    });
}

#[test]
fn one_edit_of_a_listener_set_among_thousands_sends_its_one_listener() {
    let mut objects = Vec::from(gateway());
    objects.extend(service("s0"));
    objects.extend((0..SETS).map(listener_set));
    let routes = 0..SETS * ROUTES_PER_SET;
    objects.extend(routes.map(|number| route_of_set(number, &format!("/p{}", number / SETS))));
    // One turn to a port of its own, the next back.
    edits_are_small(objects, |turn| {
        listener_set_at(turn / 2 * 7, if turn % 2 == 0 { 81 } else { 80 })
    });
}

/// Bytes that this process holds.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Prints what a route among ListenerSets costs, stage by stage: run it alone, with `--nocapture`.
#[test]
#[ignore = "prints figures, and asserts nothing"]
fn the_memory_of_a_route() {
    let count = 40_000;
    let sets = 2_500;
    let mut before = resident();
    let mut stage = |what: &str| {
        let now = resident();
        println!(
            "{what}: {} bytes a route",
            now.saturating_sub(before) / count
        );
        before = now;
    };
    let mut objects = Vec::from(gateway());
    objects.extend(service("s0"));
    objects.extend((0..sets).map(listener_set));
    stage("sets");
    objects.extend((0..count).map(|number| {
        let set = format!("set-{}", number % sets);
        let parent = json!({"kind": "ListenerSet", "name": set});
        let host = format!("{set}.example.com");
        let path = format!("/p{}", number / sets);
        let Object::HttpRoute(route) = route(&format!("r{number}"), &parent, &host, (&path, "s0"))
        else {
            unreachable!("an HTTPRoute");
        };
        let mut route = Arc::unwrap_or_clone(route);
        route.metadata.uid = Some(format!("{number:036}").into());
        route.metadata.generation = Some(1);
        route.into()
    }));
    stage("objects");
    let mut site = Site::new();
    site.take(objects);
    stage("taken");
    site.reconciler.reconcile();
    site.store_generated();
    let wanted = site.reconciler.reconcile().unwrap();
    stage("translated");
    drop(site.send(&wanted));
    site.ack();
    stage("sent");
    let now = Instant::now();
    let changes = site.reconciler.refresh(now, SystemTime::UNIX_EPOCH);
    stage("statuses");
    println!("{} statuses", changes.unwrap().len());
}
