//! An API server in memory: lists, watches, discovery, merge patches of statuses, Leases; and faults on
//! demand. It checks no schema.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as HttpBody, Bytes, Frame};
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Shared by its clones.
#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    /// Counts requests and changes, so that a test can wait for one.
    steps: watch::Sender<u64>,
}

struct State {
    version: u64,
    /// Kind and plural, by `group/version`.
    kinds: BTreeMap<String, BTreeMap<String, String>>,
    objects: BTreeMap<Place, Value>,
    /// What happened, for watches that begin in the past.
    log: Vec<(u64, Place, Value)>,
    /// Watches can't begin before this.
    forgotten: u64,
    watches: Vec<Watch>,
    down: bool,
    forbidden: BTreeSet<String>,
    requests: Vec<String>,
    /// Whose each token is; valid for the audience `ringgate.io`.
    tokens: BTreeMap<String, String>,
    /// Status patches that are answered with a conflict after someone else's write.
    conflicts: u32,
}

/// Where an object lies: `group/version`, plural, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) api: String,
    pub(crate) plural: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

struct Watch {
    place: Place,
    selector: String,
    lines: mpsc::UnboundedSender<Bytes>,
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

impl State {
    fn place_of(&self, object: &Value) -> Place {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let api = text(&object["apiVersion"]);
        let kind = text(&object["kind"]);
        Place {
            plural: self.kinds[&api][&kind].clone(),
            api,
            namespace: text(&object["metadata"]["namespace"]),
            name: text(&object["metadata"]["name"]),
        }
    }

    fn put(&mut self, place: Place, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let is_new = !self.objects.contains_key(&place);
        self.objects.insert(place.clone(), object.clone());
        self.tell(&place, if is_new { "ADDED" } else { "MODIFIED" }, &object);
    }

    fn remove(&mut self, place: &Place) {
        let Some(mut object) = self.objects.remove(place) else {
            return;
        };
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.tell(place, "DELETED", &object);
    }

    fn tell(&mut self, place: &Place, what: &str, object: &Value) {
        let event = json!({"type": what, "object": object});
        self.watches
            .retain(|watch| !watch.wants(place, object) || watch.lines.send(line(&event)).is_ok());
        self.log.push((self.version, place.clone(), event));
    }

    fn answer(&mut self, method: &str, path: &str, query: &str, body: &[u8]) -> Answer {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (api, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return failure(404, "no such path"),
        };
        if rest.is_empty() {
            return self.discover(&api);
        }
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, name) = (rest[0].to_owned(), rest.get(1).copied().unwrap_or_default());
        let place = Place {
            api,
            plural,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let kinds = self.kinds.get(&place.api);
        if !kinds.is_some_and(|kinds| kinds.values().any(|one| *one == place.plural)) {
            return failure(404, "the server could not find the requested resource");
        }
        if self.forbidden.contains(&place.plural) {
            return failure(403, "forbidden");
        }
        match (method, rest.len(), parameter(query, "watch").as_str()) {
            ("GET", 1, "true") => self.watch(place, query),
            ("GET", 1, _) => self.list(&place, query),
            ("GET", _, _) => match self.objects.get(&place) {
                Some(object) => answer(200, object),
                None => failure(404, "not found"),
            },
            ("PATCH", 3, _) => self.patch_status(place, body),
            ("PATCH", 2, _) => self.apply_patch(place, body),
            ("DELETE", 2, _) => match self.objects.get(&place).cloned() {
                Some(object) => {
                    self.remove(&place);
                    answer(200, &object)
                }
                None => failure(404, "not found"),
            },
            ("POST", 1, _) if place.plural == "tokenreviews" => self.review(body),
            ("POST", 1, _) => self.create(place, body),
            ("PUT", 2, _) => self.replace(place, body),
            _ => failure(405, "not here"),
        }
    }

    fn discover(&self, api: &str) -> Answer {
        let Some(kinds) = self.kinds.get(api).filter(|kinds| !kinds.is_empty()) else {
            return failure(404, "the server could not find the requested resource");
        };
        let resources = kinds.iter().flat_map(|(kind, plural)| {
            let one = |name: String| {
                json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": []})
            };
            [one(format!("{plural}/status")), one(plural.clone())]
        });
        let resources: Vec<Value> = resources.collect();
        answer(
            200,
            &json!({"kind": "APIResourceList", "groupVersion": api, "resources": resources}),
        )
    }

    fn list(&self, place: &Place, query: &str) -> Answer {
        let watch = Watch {
            place: place.clone(),
            selector: parameter(query, "fieldSelector"),
            lines: mpsc::unbounded_channel().0,
        };
        let objects = self.objects.iter();
        let items = objects.filter(|(place, object)| watch.wants(place, object));
        let items: Vec<&Value> = items.map(|(_, object)| object).collect();
        let version = self.version.to_string();
        answer(
            200,
            &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}),
        )
    }

    fn watch(&mut self, place: Place, query: &str) -> Answer {
        let since: u64 = parameter(query, "resourceVersion").parse().unwrap();
        let (lines, stream) = mpsc::unbounded_channel();
        let watch = Watch {
            place,
            selector: parameter(query, "fieldSelector"),
            lines,
        };
        if since < self.forgotten {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "too old resource version", "reason": "Expired", "code": 410,
            });
            let _ = watch
                .lines
                .send(line(&json!({"type": "ERROR", "object": status})));
        } else {
            for (version, place, event) in &self.log {
                if *version > since && watch.wants(place, &event["object"]) {
                    let _ = watch.lines.send(line(event));
                }
            }
            self.watches.push(watch);
        }
        let stream = UnboundedReceiverStream::new(stream);
        let body = StreamBody::new(stream.map(|bytes| Ok(Frame::data(bytes))));
        Response::new(BoxBody::new(body))
    }

    fn patch_status(&mut self, place: Place, body: &[u8]) -> Answer {
        let patch: Value = serde_json::from_slice(body).unwrap();
        if self.conflicts > 0 {
            self.conflicts -= 1;
            let mut object = self.objects[&place].clone();
            object["metadata"]["annotations"] = json!({"theirs": self.version.to_string()});
            self.put(place.clone(), object);
        }
        let Some(mut object) = self.objects.get(&place).cloned() else {
            return failure(404, "not found");
        };
        let wanted = &patch["metadata"]["resourceVersion"];
        if !wanted.is_null() && *wanted != object["metadata"]["resourceVersion"] {
            return failure(409, "the object has been modified");
        }
        merge(&mut object["status"], &patch["status"]);
        self.put(place.clone(), object);
        answer(200, &self.objects[&place])
    }

    /// Server-side apply by the only one who applies: what it says is there, and its status stays.
    fn apply_patch(&mut self, place: Place, body: &[u8]) -> Answer {
        let mut object: Value = serde_json::from_slice(body).unwrap();
        if let Some(there) = self.objects.get(&place) {
            object["status"] = there["status"].clone();
        }
        self.put(place.clone(), object);
        answer(200, &self.objects[&place])
    }

    fn review(&self, body: &[u8]) -> Answer {
        let mut review: Value = serde_json::from_slice(body).unwrap();
        let token = review["spec"]["token"].as_str().unwrap();
        let audiences = review["spec"]["audiences"].as_array().unwrap();
        let user = self.tokens.get(token);
        let user = user.filter(|_| audiences.contains(&"ringgate.io".into()));
        review["status"] = match user {
            Some(user) => json!({
                "authenticated": true, "audiences": ["ringgate.io"], "user": {"username": user},
            }),
            None => json!({"authenticated": false, "error": "invalid token"}),
        };
        answer(201, &review)
    }

    fn create(&mut self, mut place: Place, body: &[u8]) -> Answer {
        let object: Value = serde_json::from_slice(body).unwrap();
        place.name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if self.objects.contains_key(&place) {
            return failure(409, "already exists");
        }
        self.put(place.clone(), object);
        answer(201, &self.objects[&place])
    }

    fn replace(&mut self, place: Place, body: &[u8]) -> Answer {
        let object: Value = serde_json::from_slice(body).unwrap();
        let Some(there) = self.objects.get(&place) else {
            return failure(404, "not found");
        };
        if object["metadata"]["resourceVersion"] != there["metadata"]["resourceVersion"] {
            return failure(409, "the object has been modified");
        }
        self.put(place.clone(), object);
        answer(200, &self.objects[&place])
    }
}

impl Watch {
    fn wants(&self, place: &Place, object: &Value) -> bool {
        let here = place.api == self.place.api && place.plural == self.place.plural;
        let namespace = &self.place.namespace;
        here && (namespace.is_empty() || place.namespace == *namespace)
            && match self.selector.split_once('=') {
                Some(("type", wanted)) => object["type"] == *wanted,
                Some(("metadata.name", wanted)) => place.name == wanted,
                _ => true,
            }
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (field, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(field);
        } else {
            merge(&mut target[field], value);
        }
    }
}

fn parameter(query: &str, name: &str) -> String {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs
        .filter(|(one, _)| *one == name)
        .map(|(_, value)| value);
    let text = found.next().unwrap_or_default();
    text.replace("%3D", "=").replace("%2F", "/")
}

fn line(event: &Value) -> Bytes {
    format!("{event}\n").into()
}

fn answer(code: u16, value: &Value) -> Answer {
    let body = Full::new(Bytes::from(value.to_string()));
    let mut response = Response::new(BoxBody::new(body));
    *response.status_mut() = code.try_into().unwrap();
    response
}

fn failure(code: u16, message: &str) -> Answer {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        _ => "Unknown",
    };
    answer(
        code,
        &json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code,
        }),
    )
}
