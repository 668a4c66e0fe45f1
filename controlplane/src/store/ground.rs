//! What Gateways and their listeners are decided from: all objects but routes, what these send to, and
//! policies.

use std::sync::Arc;

use super::{ByName, Resources};
use crate::api::backend_tls::ClusterTrustBundle;
use crate::api::gateway::{Gateway, GatewayClass, ReferenceGrant};
use crate::api::listener_set::ListenerSet;
use crate::api::pool::{AddressPool, GatewayParameters};
use crate::api::storage::{ConfigMap, Namespace, Secret};

/// A copy, to tell later whether anything of it has changed.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    gateway_classes: ByName<GatewayClass>,
    gateways: ByName<Gateway>,
    listener_sets: ByName<ListenerSet>,
    reference_grants: ByName<ReferenceGrant>,
    gateway_parameters: ByName<GatewayParameters>,
    address_pools: ByName<AddressPool>,
    namespaces: ByName<Namespace>,
    secrets: ByName<Secret>,
    config_maps: ByName<ConfigMap>,
    cluster_trust_bundles: ByName<ClusterTrustBundle>,
}

impl Ground {
    pub(crate) fn of(resources: &Resources) -> Self {
        // All are named, so that whoever adds a kind has to decide.
        let Resources {
            gateway_classes,
            gateways,
            listener_sets,
            reference_grants,
            gateway_parameters,
            address_pools,
            namespaces,
            secrets,
            config_maps,
            cluster_trust_bundles,
            http_routes: _,
            grpc_routes: _,
            tls_routes: _,
            tcp_routes: _,
            udp_routes: _,
            services: _,
            endpoint_slices: _,
            listener_policies: _,
            backend_policies: _,
            backend_tls_policies: _,
            misread: _,
            slices_by_service: _,
            sources: _,
        } = resources;
        Self {
            gateway_classes: gateway_classes.clone(),
            gateways: gateways.clone(),
            listener_sets: listener_sets.clone(),
            reference_grants: reference_grants.clone(),
            gateway_parameters: gateway_parameters.clone(),
            address_pools: address_pools.clone(),
            namespaces: namespaces.clone(),
            secrets: secrets.clone(),
            config_maps: config_maps.clone(),
            cluster_trust_bundles: cluster_trust_bundles.clone(),
        }
    }

    /// Whether nothing came, went or changed in what is decided by it: a renewed certificate is as good as
    /// the one before.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.gateway_classes.is_same(&other.gateway_classes)
            && self.gateways.is_same(&other.gateways)
            && self.listener_sets.is_same(&other.listener_sets)
            && self.reference_grants.is_same(&other.reference_grants)
            && self.gateway_parameters.is_same(&other.gateway_parameters)
            && self.address_pools.is_same(&other.address_pools)
            && self.namespaces.is_same(&other.namespaces)
            && self.has_equal_secrets(other)
            && self.config_maps.is_same(&other.config_maps)
            && self
                .cluster_trust_bundles
                .is_same(&other.cluster_trust_bundles)
    }

    fn has_equal_secrets(&self, other: &Self) -> bool {
        let alike = |one: &Arc<Secret>, other: &Arc<Secret>| {
            Arc::ptr_eq(one, other) || one.is_as_usable_as(other)
        };
        self.secrets.differences(&other.secrets, alike).is_empty()
    }
}
