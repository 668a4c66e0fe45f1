//! The status that an object has in the cluster, small to keep.

use serde_json::Value;

use crate::api::ObjectKind;

/// What the API server has of an object's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// A write says what it was made from by this, and is refused if that isn't so any more.
    pub resource_version: Box<str>,
    pub uid: Box<str>,
    /// JSON text: as values it would take several times the memory. Empty: none.
    status: Box<str>,
}

impl Live {
    /// Takes the status out of an object; None where we write no status.
    #[must_use]
    pub fn take_from(kind: ObjectKind, object: &mut Value) -> Option<Self> {
        if !has_status(kind) {
            // A Service's says which addresses its load balancer gave.
            if kind != ObjectKind::Service {
                object.as_object_mut()?.remove("status");
            }
            return None;
        }
        let status = object.as_object_mut()?.remove("status");
        let text = |field: &str| object.get("metadata")?.get(field)?.as_str();
        Some(Self {
            resource_version: text("resourceVersion")?.into(),
            uid: text("uid").unwrap_or_default().into(),
            status: status.map(|one| one.to_string()).unwrap_or_default().into(),
        })
    }

    /// An object without status is one with an empty status.
    #[must_use]
    pub fn status(&self) -> Value {
        let empty = || Value::Object(serde_json::Map::new());
        serde_json::from_str(&self.status).unwrap_or_else(|_| empty())
    }

    /// Whether `other` is an older state of the same object. Versions of one kind are comparable
    /// numbers (Kubernetes since 1.35; in effect always); of others the one that comes later counts.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let number = |live: &Self| live.resource_version.parse::<u64>().ok();
        match (number(self), number(other)) {
            (Some(mine), Some(theirs)) => mine > theirs,
            _ => false,
        }
    }
}

/// The kinds that we write statuses of.
#[must_use]
pub fn has_status(kind: ObjectKind) -> bool {
    match kind {
        ObjectKind::GatewayClass
        | ObjectKind::Gateway
        | ObjectKind::ListenerSet
        | ObjectKind::HttpRoute
        | ObjectKind::GrpcRoute
        | ObjectKind::TlsRoute
        | ObjectKind::TcpRoute
        | ObjectKind::UdpRoute
        | ObjectKind::ListenerPolicy
        | ObjectKind::BackendPolicy
        | ObjectKind::BackendTlsPolicy
        | ObjectKind::AddressPool => true,
        ObjectKind::ReferenceGrant
        | ObjectKind::GatewayParameters
        | ObjectKind::Namespace
        | ObjectKind::Service
        | ObjectKind::EndpointSlice
        | ObjectKind::Secret
        | ObjectKind::ConfigMap
        | ObjectKind::ClusterTrustBundle => false,
    }
}
