//! What Gateways and their listeners are decided from: all objects but routes, what these send to, and
//! policies.

use std::collections::BTreeSet;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::{ByName, Named, Resources};
use crate::api::backend_tls::ClusterTrustBundle;
use crate::api::gateway::{Gateway, GatewayClass, ReferenceGrant};
use crate::api::listener_set::ListenerSet;
use crate::api::pool::{AddressPool, GatewayParameters};
use crate::api::storage::{ConfigMap, Namespace, Secret};
use crate::api::{ObjectKey, ObjectKind};
use crate::shared_map::Difference;

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
        let secrets = self.secrets.differences(&other.secrets, are_as_usable);
        secrets.is_empty()
    }

    /// What Gateways and sets refer to and is other than in `now`.
    pub(crate) fn touched(&self, now: &Self) -> Touched {
        let mut touched = Touched::default();
        let (before, kind) = (&self.secrets, ObjectKind::Secret);
        touched.add(kind, before.differences(&now.secrets, are_as_usable));
        let (before, kind) = (&self.config_maps, ObjectKind::ConfigMap);
        touched.add(kind, before.differences(&now.config_maps, Arc::ptr_eq));
        let (before, kind) = (&self.cluster_trust_bundles, ObjectKind::ClusterTrustBundle);
        touched.add(
            kind,
            before.differences(&now.cluster_trust_bundles, Arc::ptr_eq),
        );
        let grants = self
            .reference_grants
            .differences(&now.reference_grants, Arc::ptr_eq);
        touched.grants = grants.iter().map(|one| one.key.namespace.clone()).collect();
        let namespaces = self.namespaces.differences(&now.namespaces, Arc::ptr_eq);
        touched.namespaces = namespaces.iter().map(|one| one.key.name.clone()).collect();
        touched
    }
}

fn are_as_usable(one: &Arc<Secret>, other: &Arc<Secret>) -> bool {
    Arc::ptr_eq(one, other) || one.is_as_usable_as(other)
}

/// What came, went or changed of that which Gateways and sets refer to.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Of certificates and authorities.
    holders: BTreeSet<ObjectKey>,
    /// Namespaces with a change among their ReferenceGrants.
    grants: BTreeSet<Arc<str>>,
    pub(crate) namespaces: BTreeSet<Arc<str>>,
}

impl Touched {
    fn add<T>(&mut self, kind: ObjectKind, differences: Vec<Difference<'_, ObjectName, Arc<T>>>) {
        let keys = differences.into_iter().map(|one| ObjectKey {
            kind,
            name: one.key.clone(),
        });
        self.holders.extend(keys);
    }

    /// Whether one of these is among them, or needs a grant that is.
    pub(crate) fn concern(&self, named: impl FnOnce() -> Named) -> bool {
        if self.holders.is_empty() && self.grants.is_empty() {
            return false;
        }
        let is_touched = |one: &ObjectKey| {
            self.holders.contains(one) || self.grants.contains(&one.name.namespace)
        };
        named().iter().any(is_touched)
    }
}
