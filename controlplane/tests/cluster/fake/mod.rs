//! An API server in memory: lists, watches, discovery, merge patches of statuses, Leases; and faults on
//! demand. It checks no schema.

mod answers;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body as HttpBody, Bytes};
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::watch;

use self::state::State;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Shared by its clones.
#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    /// Counts requests and changes, so that a test can wait for one.
    steps: watch::Sender<u64>,
}

const GATEWAY: &str = "gateway.networking.k8s.io/v1";
const OURS: &str = "ringgate.io/v1alpha1";

impl Fake {
    /// With every kind that is read.
    pub(crate) fn new() -> Self {
        let fake = Self {
            state: Arc::new(Mutex::new(State {
                version: 100,
                kinds: BTreeMap::new(),
                objects: BTreeMap::new(),
                log: Vec::new(),
                forgotten: 0,
                watches: Vec::new(),
                down: false,
                forbidden: BTreeSet::new(),
                requests: Vec::new(),
                tokens: BTreeMap::new(),
                conflicts: 0,
            })),
            steps: watch::channel(0).0,
        };
        for (api, kind, plural) in [
            ("v1", "Namespace", "namespaces"),
            ("v1", "Service", "services"),
            ("v1", "Secret", "secrets"),
            ("v1", "ConfigMap", "configmaps"),
            ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
            (GATEWAY, "GatewayClass", "gatewayclasses"),
            (GATEWAY, "Gateway", "gateways"),
            (GATEWAY, "ListenerSet", "listenersets"),
            (GATEWAY, "HTTPRoute", "httproutes"),
            (GATEWAY, "GRPCRoute", "grpcroutes"),
            (GATEWAY, "TLSRoute", "tlsroutes"),
            (GATEWAY, "TCPRoute", "tcproutes"),
            (GATEWAY, "UDPRoute", "udproutes"),
            (GATEWAY, "ReferenceGrant", "referencegrants"),
            ("coordination.k8s.io/v1", "Lease", "leases"),
            ("events.k8s.io/v1", "Event", "events"),
            ("authentication.k8s.io/v1", "TokenReview", "tokenreviews"),
            (OURS, "ListenerPolicy", "listenerpolicies"),
            (OURS, "BackendPolicy", "backendpolicies"),
            (GATEWAY, "BackendTLSPolicy", "backendtlspolicies"),
            (
                "certificates.k8s.io/v1beta1",
                "ClusterTrustBundle",
                "clustertrustbundles",
            ),
            (OURS, "AddressPool", "addresspools"),
            (OURS, "GatewayParameters", "gatewayparameters"),
        ] {
            fake.serve(api, kind, plural);
        }
        fake
    }

    pub(crate) fn client(&self) -> Client {
        self.client_until(Arc::default())
    }

    /// One whose requests go nowhere once `cut` is true.
    pub(crate) fn client_until(&self, cut: Arc<AtomicBool>) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (fake, cut) = (fake.clone(), cut.clone());
            async move {
                if cut.load(Ordering::Relaxed) {
                    return Err(std::io::ErrorKind::ConnectionReset.into());
                }
                fake.answer(request).await
            }
        });
        Client::new(service, "default")
    }

    pub(crate) fn serve(&self, api: &str, kind: &str, plural: &str) {
        let mut state = self.state();
        let kinds = state.kinds.entry(api.to_owned()).or_default();
        kinds.insert(kind.to_owned(), plural.to_owned());
    }

    pub(crate) fn stop_serving(&self, api: &str, kind: &str) {
        let mut state = self.state();
        if let Some(kinds) = state.kinds.get_mut(api) {
            kinds.remove(kind);
        }
    }

    /// Ends all watches and refuses connections, or no longer does.
    pub(crate) fn set_down(&self, down: bool) {
        let mut state = self.state();
        state.down = down;
        if down {
            state.watches.clear();
        }
    }

    /// All watches break, and can't go on where they ended.
    pub(crate) fn forget_the_past(&self) {
        let mut state = self.state();
        state.watches.clear();
        state.version += 1;
        state.forgotten = state.version;
    }

    /// Every request for this plural is refused, or no longer.
    pub(crate) fn set_forbidden(&self, plural: &str, forbidden: bool) {
        let mut state = self.state();
        if forbidden {
            state.forbidden.insert(plural.to_owned());
        } else {
            state.forbidden.remove(plural);
        }
    }

    /// From now on `token` is `user`'s.
    pub(crate) fn give_token(&self, token: &str, user: &str) {
        let mut state = self.state();
        state.tokens.insert(token.to_owned(), user.to_owned());
    }

    /// Before the next `count` status patches someone else writes the object.
    pub(crate) fn interfere(&self, count: u32) {
        self.state().conflicts = count;
    }

    /// Writes an object as its author does: the spec's generation goes up, the status stays.
    pub(crate) fn apply(&self, mut object: Value) {
        let mut state = self.state();
        let place = state.place_of(&object);
        let before = state.objects.get(&place);
        let generation = before.and_then(|one| one["metadata"]["generation"].as_i64());
        object["metadata"]["generation"] = (generation.unwrap_or_default() + 1).into();
        if let Some(before) = before {
            object["metadata"]["uid"] = before["metadata"]["uid"].clone();
            object["status"] = before["status"].clone();
        } else {
            object["metadata"]["uid"] = format!("uid-{}", state.version).into();
        }
        state.put(place, object);
        self.step();
    }

    pub(crate) fn delete(&self, object: &Value) {
        let mut state = self.state();
        let place = state.place_of(object);
        state.remove(&place);
        self.step();
    }

    /// Without a word to any watch: it happened while nobody listened.
    pub(crate) fn delete_silently(&self, object: &Value) {
        let mut state = self.state();
        let place = state.place_of(object);
        state.objects.remove(&place);
    }

    /// Changes an object's status as someone else.
    pub(crate) fn edit_status(&self, object: &Value, edit: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let place = state.place_of(object);
        let mut object = state.objects.get(&place).cloned().unwrap();
        edit(&mut object["status"]);
        state.put(place, object);
        self.step();
    }

    pub(crate) fn get(&self, object: &Value) -> Option<Value> {
        let state = self.state();
        state.objects.get(&state.place_of(object)).cloned()
    }

    /// Every object of a plural.
    pub(crate) fn all(&self, plural: &str) -> Vec<Value> {
        let state = self.state();
        let objects = state
            .objects
            .iter()
            .filter(|(place, _)| place.plural == plural);
        objects.map(|(_, object)| object.clone()).collect()
    }

    /// `METHOD /path?query` of every request up to now.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    pub(crate) fn writes(&self) -> usize {
        let requests = self.requests();
        requests
            .iter()
            .filter(|one| one.starts_with("PATCH"))
            .count()
    }

    /// Waits until `holds`; asked again after everything that happens here.
    pub(crate) async fn until<T>(&self, what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
        let mut steps = self.steps.subscribe();
        let wait = async {
            loop {
                if let Some(found) = holds() {
                    return found;
                }
                steps.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), wait).await;
        waited.unwrap_or_else(|_| panic!("waited in vain for {what}: {:#?}", self.requests()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn step(&self) {
        self.steps.send_modify(|steps| *steps += 1);
    }

    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Result<Answer, std::io::Error>
    where
        B: HttpBody<Error: Debug>,
    {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let answer = {
            let mut state = self.state();
            state.requests.push(format!("{} {}", head.method, head.uri));
            if state.down {
                Err(std::io::ErrorKind::ConnectionRefused.into())
            } else {
                let query = head.uri.query().unwrap_or_default();
                Ok(state.answer(head.method.as_str(), head.uri.path(), query, &body))
            }
        };
        self.step();
        answer
    }
}
