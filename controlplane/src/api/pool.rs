//! AddressPool and GatewayParameters (`ringgate.io/v1alpha1`): where addresses of Gateways and Services come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::meta::{LabelSelector, ObjectMeta};
use super::text::{AnnotationValue, LoadBalancerClass, PreciseHostname, RefName};
use crate::provision::pool::AddressRange;

/// Addresses that are ours to give; cluster-scoped.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct AddressPool {
    pub metadata: ObjectMeta,
    pub spec: AddressPoolSpec,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressPoolSpec {
    /// `192.0.2.10-192.0.2.20`, `192.0.2.0/28`, `192.0.2.1`; the same for IPv6.
    pub addresses: Vec<AddressRange>,
    /// The DNS name of these addresses: a Gateway that asks for it gets one of them.
    pub hostname: Option<PreciseHostname>,
    /// Whether those who name no pool get addresses from here; default: yes.
    #[serde(default = "yes")]
    pub auto_assign: bool,
    /// Whether IPv4 addresses that end in .0 and .255 are left out; default: no.
    #[serde(default)]
    pub avoid_edges: bool,
    /// Of two pools the one with the higher number is asked first; default: 0.
    #[serde(default)]
    pub priority: i32,
    /// None: for all namespaces.
    pub namespace_selector: Option<LabelSelector>,
    /// By the labels of a Service or a Gateway; none: for all.
    pub service_selector: Option<LabelSelector>,
}

fn yes() -> bool {
    true
}

impl Default for AddressPoolSpec {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            hostname: None,
            auto_assign: true,
            avoid_edges: false,
            priority: 0,
            namespace_selector: None,
            service_selector: None,
        }
    }
}

/// What is generated for a Gateway, or (by its GatewayClass) for all of a class.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct GatewayParameters {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: GatewayParametersSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayParametersSpec {
    /// Who brings the traffic; default: `ringgate.io/lb`, which is Ringgate itself.
    pub load_balancer_class: Option<LoadBalancerClass>,
    /// The AddressPool to take addresses from.
    pub address_pool: Option<RefName>,
    /// For the Service, beside those of `spec.infrastructure`.
    pub service_annotations: BTreeMap<Arc<str>, AnnotationValue>,
}
