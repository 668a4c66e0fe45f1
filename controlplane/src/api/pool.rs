//! AddressPool and GatewayParameters (`ringgate.io/v1alpha1`): where Gateways' addresses come from.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::meta::ObjectMeta;
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
    /// Whether Gateways that name no pool get addresses from here; default: yes.
    #[serde(default = "yes")]
    pub auto_assign: bool,
}

fn yes() -> bool {
    true
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
