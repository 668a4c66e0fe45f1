//! What the API server has, and who watches it.

use std::collections::{BTreeMap, BTreeSet};

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub(super) struct State {
    pub(super) version: u64,
    /// Kind and plural, by `group/version`.
    pub(super) kinds: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) objects: BTreeMap<Place, Value>,
    /// What happened, for watches that begin in the past.
    pub(super) log: Vec<(u64, Place, Value)>,
    /// Watches can't begin before this.
    pub(super) forgotten: u64,
    pub(super) watches: Vec<Watch>,
    pub(super) down: bool,
    pub(super) forbidden: BTreeSet<String>,
    pub(super) requests: Vec<String>,
    /// Whose each token is; valid for the audience `ringgate.io`.
    pub(super) tokens: BTreeMap<String, String>,
    /// Status patches that are answered with a conflict after someone else's write.
    pub(super) conflicts: u32,
}

/// Where an object lies: `group/version`, plural, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) api: String,
    pub(crate) plural: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

pub(super) struct Watch {
    pub(super) place: Place,
    pub(super) selector: String,
    pub(super) lines: mpsc::UnboundedSender<Bytes>,
}

impl State {
    pub(super) fn place_of(&self, object: &Value) -> Place {
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

    pub(super) fn put(&mut self, place: Place, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let is_new = !self.objects.contains_key(&place);
        self.objects.insert(place.clone(), object.clone());
        self.tell(&place, if is_new { "ADDED" } else { "MODIFIED" }, &object);
    }

    pub(super) fn remove(&mut self, place: &Place) {
        let Some(mut object) = self.objects.remove(place) else {
            return;
        };
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.tell(place, "DELETED", &object);
    }

    pub(super) fn tell(&mut self, place: &Place, what: &str, object: &Value) {
        let event = json!({"type": what, "object": object});
        self.watches
            .retain(|watch| !watch.wants(place, object) || watch.lines.send(line(&event)).is_ok());
        self.log.push((self.version, place.clone(), event));
    }
}

impl Watch {
    pub(super) fn wants(&self, place: &Place, object: &Value) -> bool {
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

pub(super) fn line(event: &Value) -> Bytes {
    format!("{event}\n").into()
}
