//! How the API server answers: discovery, lists, watches, and writes of all kinds.

use http_body_util::combinators::BoxBody;
use http_body_util::{Full, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::Answer;
use super::state::{Place, State, Watch, line};

impl State {
    pub(super) fn answer(&mut self, method: &str, path: &str, query: &str, body: &[u8]) -> Answer {
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

    /// Server-side apply by the only one who applies: what it says is there, and its status stays. What doesn't
    /// name its kind is a merge patch.
    fn apply_patch(&mut self, place: Place, body: &[u8]) -> Answer {
        let mut object: Value = serde_json::from_slice(body).unwrap();
        if object["kind"].is_null() {
            let Some(mut there) = self.objects.get(&place).cloned() else {
                return failure(404, "not found");
            };
            merge(&mut there, &object);
            self.put(place.clone(), there);
            return answer(200, &self.objects[&place]);
        }
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
