//! ListenerSet (Gateway API v1.7.0): listeners that are added to a Gateway from elsewhere (GEP-1713).

use serde::Deserialize;

use super::gateway::Listener;
use super::meta::ObjectMeta;
use super::reference::{gateway_group, gateway_kind};
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
