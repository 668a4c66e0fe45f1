//! An API server's JSON to objects. The API server has checked them against their CRDs and filled in
//! defaults; what is kept is what we read.
//!
//! The way of files is in [`super::document`], with places and the CRDs' rules.

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::backend_tls::{BackendTlsPolicy, ClusterTrustBundle};
use super::certificate::{AUTHORITIES, CERTIFICATE, PRIVATE_KEY};
use super::gateway::{Gateway, GatewayClass, ReferenceGrant};
use super::listener_set::ListenerSet;
use super::meta::ObjectMeta;
use super::object::{ForKind, Typed};
use super::policy::{BackendPolicy, ListenerPolicy};
use super::pool::{AddressPool, GatewayParameters};
use super::reference::PolicyTarget;
use super::route::Route;
use super::service::{EndpointSlice, Service};
use super::storage::{ConfigMap, Namespace, Secret};
use super::{Object, ObjectKind};

/// An object that the API server has taken, and we don't understand.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {message}")]
pub struct JsonError {
    /// As `spec.rules[0].matches[1].path.value`.
    pub field: String,
    pub message: String,
}

/// Reads an object of a kind that is known, and drops what nobody here reads.
///
/// # Errors
/// [`JsonError`] names the first field that doesn't fit.
pub fn read(kind: ObjectKind, value: &mut Value) -> Result<Object, JsonError> {
    drop_nulls(value);
    kind.give(ReadValue(value))
}

/// What an object that isn't understood still says of whose it is: as much as it takes to tell people of
/// it in its status. It does nothing. None where that isn't understood either.
#[must_use]
pub fn outline(kind: ObjectKind, value: &Value) -> Option<Object> {
    let spec = &value["spec"];
    let spec = match kind {
        ObjectKind::GatewayClass => json!({"controllerName": spec["controllerName"]}),
        ObjectKind::Gateway => {
            json!({"gatewayClassName": spec["gatewayClassName"], "listeners": []})
        }
        ObjectKind::ListenerSet => json!({"parentRef": spec["parentRef"], "listeners": []}),
        kind if kind.is_route() => json!({"parentRefs": spec["parentRefs"], "rules": []}),
        // A policy without its settings would stand in the way of others.
        _ => return None,
    };
    let mut outline = json!({"metadata": value["metadata"], "spec": spec});
    read(kind, &mut outline).ok()
}

/// What a policy that isn't understood still says of whom it is for; nothing for other kinds.
#[must_use]
pub fn targets(kind: ObjectKind, value: &Value) -> Vec<PolicyTarget> {
    if !kind.is_policy() {
        return Vec::new();
    }
    let targets = value["spec"]["targetRefs"].as_array().into_iter().flatten();
    let targets = targets.filter_map(|one| PolicyTarget::deserialize(one).ok());
    targets.take(POLICY_TARGETS).collect()
}

/// As many as an object's status has room for (Gateway API, `PolicyStatus`).
const POLICY_TARGETS: usize = 16;

/// Null is Go's way to leave a list or a map out: a Service without Pods has `endpoints: null`.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

struct ReadValue<'v>(&'v Value);

impl ForKind for ReadValue<'_> {
    type Output = Result<Object, JsonError>;

    fn of<T: Typed>(self) -> Self::Output {
        let mut object: T =
            serde_path_to_error::deserialize(self.0).map_err(|error| JsonError {
                field: error.path().to_string(),
                message: error.inner().to_string(),
            })?;
        slim(object.metadata_mut());
        object.slim();
        Ok(object.into())
    }
}

/// Has parts that nobody here reads.
pub(super) trait Slim {
    /// Its metadata aside.
    fn slim(&mut self) {}
}

macro_rules! slim {
    ($($name:ident)+) => {
        $(impl Slim for $name {})+
    };
}

slim!(GatewayClass Gateway ListenerSet ReferenceGrant ListenerPolicy BackendPolicy BackendTlsPolicy GatewayParameters AddressPool Service ConfigMap ClusterTrustBundle);

impl<R> Slim for Route<R> {}

impl Slim for Secret {
    fn slim(&mut self) {
        let ours = [CERTIFICATE, PRIVATE_KEY, AUTHORITIES];
        self.data.retain(|key, _| ours.contains(&&**key));
    }
}

impl Slim for Namespace {
    fn slim(&mut self) {
        self.metadata.annotations.clear();
        self.spec = None;
    }
}

impl Slim for EndpointSlice {
    /// Its annotations have the time of the last change, which differs with every write.
    fn slim(&mut self) {
        self.metadata.annotations.clear();
        for endpoint in &mut self.endpoints {
            endpoint.target_ref = None;
            endpoint.hints = None;
            endpoint.deprecated_topology = None;
            endpoint.topology = None;
        }
    }
}

/// `kubectl apply` writes the whole object once more into this annotation.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Also takes out what differs with every write: an object whose status alone was written is equal to
/// what it was.
fn slim(metadata: &mut ObjectMeta) {
    metadata.resource_version = None;
    metadata.managed_fields = None;
    metadata.self_link = None;
    metadata.finalizers = None;
    metadata.owner_references = None;
    metadata.generate_name = None;
    metadata.annotations.remove(LAST_APPLIED);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(metadata: Value) -> Value {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": metadata,
            "spec": {"parentRefs": [{"name": "edge"}], "rules": []},
            "status": {"parents": []},
        })
    }

    #[test]
    fn an_object_whose_status_alone_was_written_is_equal() {
        let metadata = |version: &str| {
            json!({
                "name": "app", "namespace": "default", "generation": 3, "resourceVersion": version,
                "uid": "u", "managedFields": [{"manager": version}],
                "annotations": {LAST_APPLIED: "{}", "kept": "yes"},
            })
        };
        let read = |version| read(ObjectKind::HttpRoute, &mut route(metadata(version))).unwrap();
        assert_eq!(read("5"), read("6"));
        let object = read("5");
        assert_eq!(object.metadata().generation, Some(3));
        assert_eq!(object.metadata().annotations.len(), 1);
    }

    #[test]
    fn null_is_left_out() {
        let mut slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "app", "namespace": "default", "labels": null},
            "addressType": "IPv4", "endpoints": null, "ports": null,
        });
        let Object::EndpointSlice(slice) = read(ObjectKind::EndpointSlice, &mut slice).unwrap()
        else {
            panic!("another kind");
        };
        assert!(slice.endpoints.is_empty() && slice.ports.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let mut value = route(json!({"name": "app", "namespace": "default"}));
        value["spec"]["rules"] = json!([{"timeouts": {"request": "ten"}}]);
        let error = read(ObjectKind::HttpRoute, &mut value).unwrap_err();
        assert_eq!(error.field, "spec.rules[0].timeouts.request");
        let Some(Object::HttpRoute(outline)) = outline(ObjectKind::HttpRoute, &value) else {
            panic!("whose it is can be told");
        };
        assert_eq!(&*outline.spec.parent_refs[0].name, "edge");
        assert!(outline.spec.rules.is_empty());
    }
}
