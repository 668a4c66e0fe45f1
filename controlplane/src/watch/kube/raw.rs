//! An object as the API server sends it: its JSON, and as much of its metadata as a watch needs.

use std::borrow::Cow;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DynamicResourceScope;
use kube::discovery::ApiResource;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::api::{Object, ObjectKey, ObjectKind, json};
use crate::problem::{Problem, Severity};
use crate::status::write::Live;
use crate::watch::Misread;

/// Any object. Only name, namespace and resource version are in `metadata`.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    metadata: ObjectMeta,
    value: Value,
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
            // Often more than half of the object.
            metadata.remove("managedFields");
        }
        let text = |field: &str| Some(value.get("metadata")?.get(field)?.as_str()?.to_owned());
        let metadata = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, value })
    }
}

impl Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// An object of one of our kinds, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) key: ObjectKey,
    /// Or what isn't understood of it.
    pub(super) object: Result<Object, Box<Unread>>,
    /// None: of a kind that gets no status from us.
    pub(super) live: Option<Live>,
}

/// What is known of an object that isn't understood.
#[derive(Clone, Debug)]
pub(super) struct Unread {
    pub(super) misread: Misread,
    /// To tell people of it, if we write statuses of its kind.
    pub(super) outline: Option<Object>,
}

impl Unread {
    pub(super) fn problem(&self, key: &ObjectKey) -> Problem {
        let error = &self.misread.error;
        Problem {
            place: None,
            severity: Severity::Error,
            object: Some(key.clone()),
            field: error.field.clone(),
            message: error.message.clone(),
            remedy: Some("correct it; until then its last good version counts".to_owned()),
        }
    }
}

impl Raw {
    pub(super) fn key(&self, kind: ObjectKind) -> ObjectKey {
        let text = |text: &Option<String>| Arc::from(text.as_deref().unwrap_or_default());
        ObjectKey {
            kind,
            name: ringgate_core::ir::ObjectName {
                namespace: text(&self.metadata.namespace),
                name: text(&self.metadata.name),
            },
        }
    }

    /// None: of a kind that gets no status from us.
    pub(crate) fn into_live(mut self, kind: ObjectKind) -> Option<Live> {
        Live::take_from(kind, &mut self.value)
    }

    pub(crate) fn into_value(self) -> Value {
        self.value
    }

    pub(super) fn into_seen(mut self, kind: ObjectKind) -> Seen {
        let key = self.key(kind);
        let live = Live::take_from(kind, &mut self.value);
        let object = json::read(kind, &mut self.value);
        let object = object.map_err(|error| {
            let generation = &self.value["metadata"]["generation"];
            Box::new(Unread {
                outline: json::outline(kind, &self.value),
                misread: Misread {
                    generation: generation.as_i64().unwrap_or_default(),
                    error,
                    targets: json::targets(kind, &self.value),
                },
            })
        });
        Seen { key, object, live }
    }
}
