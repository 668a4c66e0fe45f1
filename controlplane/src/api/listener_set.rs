//! ListenerSet (Gateway API v1.7.0): listeners that are added to a Gateway from elsewhere (GEP-1713).

use std::sync::Arc;

use ringgate_core::ir::ObjectName;
use serde::Deserialize;

use super::gateway::Listener;
use super::meta::ObjectMeta;
use super::reference::{GATEWAY_GROUP, gateway_group, gateway_kind};
use super::text::{Group, KindName, NamespaceName, RefName};

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ListenerSet {
    pub metadata: ObjectMeta,
    pub spec: ListenerSetSpec,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSetSpec {
    pub parent_ref: ParentGatewayReference,
    /// ListenerEntry has the fields of a Gateway's listener.
    pub listeners: Vec<Listener>,
}

/// The Gateway that the listeners are added to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ParentGatewayReference {
    #[serde(default = "gateway_group")]
    pub group: Group,
    #[serde(default = "gateway_kind")]
    pub kind: KindName,
    /// None: the set's own.
    pub namespace: Option<NamespaceName>,
    pub name: RefName,
}

impl ParentGatewayReference {
    /// The name of the Gateway, for a set in `namespace`; None: it is none.
    #[must_use]
    pub fn gateway(&self, namespace: &Arc<str>) -> Option<ObjectName> {
        let is_gateway = self.group == *GATEWAY_GROUP && self.kind == *"Gateway";
        is_gateway.then(|| ObjectName {
            namespace: self
                .namespace
                .as_ref()
                .map_or_else(|| namespace.clone(), |one| one.shared()),
            name: self.name.shared(),
        })
    }
}
