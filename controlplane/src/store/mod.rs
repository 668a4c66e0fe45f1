//! The objects that are known now, by kind and name, and where each came from.
//!
//! Owns no judgement: every watch (files, later a cluster) feeds it the same batches, translation
//! reads it.

mod ground;
mod references;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use crate::api::backend_tls::{BackendTlsPolicy, ClusterTrustBundle};
use crate::api::gateway::{Gateway, GatewayClass, ReferenceGrant};
use crate::api::grpc_route::GrpcRoute;
use crate::api::http_route::HttpRoute;
use crate::api::listener_set::ListenerSet;
use crate::api::meta::Labels;
use crate::api::policy::{BackendPolicy, ListenerPolicy};
use crate::api::pool::{AddressPool, GatewayParameters};
use crate::api::service::{EndpointSlice, Service};
use crate::api::storage::{ConfigMap, Namespace, Secret};
use crate::api::stream_route::{TcpRoute, TlsRoute, UdpRoute};
use crate::api::{Object, ObjectKey};
use crate::shared_map::SharedMap;
use crate::watch::{Batch, Event, Misread};

pub(crate) use ground::{Ground, Touched};
pub(crate) use references::{Named, References};
pub(crate) use source::shifted;
pub use source::{Source, SourceReader, document_hash};

/// Implied for every namespace, as Kubernetes sets it.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Objects of one kind. Whoever keeps a copy finds what has changed since.
pub type ByName<T> = SharedMap<ObjectName, Arc<T>>;

/// All objects; values are shared, so a clone copies pointers only.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// By name with an empty namespace, as all kinds that have none.
    pub gateway_classes: ByName<GatewayClass>,
    pub gateways: ByName<Gateway>,
    pub listener_sets: ByName<ListenerSet>,
    pub http_routes: ByName<HttpRoute>,
    pub grpc_routes: ByName<GrpcRoute>,
    pub tls_routes: ByName<TlsRoute>,
    pub tcp_routes: ByName<TcpRoute>,
    pub udp_routes: ByName<UdpRoute>,
    pub reference_grants: ByName<ReferenceGrant>,
    pub listener_policies: ByName<ListenerPolicy>,
    pub backend_policies: ByName<BackendPolicy>,
    pub backend_tls_policies: ByName<BackendTlsPolicy>,
    pub gateway_parameters: ByName<GatewayParameters>,
    /// By name with an empty namespace.
    pub address_pools: ByName<AddressPool>,
    /// Those that were written; see [`Resources::namespace_labels`] for those that are implied.
    pub namespaces: ByName<Namespace>,
    pub services: ByName<Service>,
    pub endpoint_slices: ByName<EndpointSlice>,
    pub secrets: ByName<Secret>,
    pub config_maps: ByName<ConfigMap>,
    /// By name with an empty namespace.
    pub cluster_trust_bundles: ByName<ClusterTrustBundle>,
    /// Those whose newest version isn't understood: what else is known of them is older, or an outline.
    pub misread: BTreeMap<ObjectKey, Misread>,
    slices_by_service: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    sources: BTreeMap<ObjectKey, Source>,
}

impl Resources {
    /// Takes one consistent change. Returns whether anything differs from before (places aside).
    pub fn apply(&mut self, batch: &Batch) -> bool {
        let mut changed = false;
        for event in &batch.events {
            changed |= match event {
                Event::Applied { object, source } => {
                    match source {
                        Some(source) => self.sources.insert(object.key(), source.clone()),
                        None => self.sources.remove(&object.key()),
                    };
                    let was_misread = self.misread.remove(&object.key()).is_some();
                    self.insert(object.clone()) || was_misread
                }
                Event::Removed(key) => {
                    self.sources.remove(key);
                    let was_misread = self.misread.remove(key).is_some();
                    self.remove(key) || was_misread
                }
                Event::Misread(key, misread) => {
                    let before = self.misread.insert(key.clone(), misread.clone());
                    before.as_ref() != Some(misread)
                }
            };
        }
        changed
    }

    /// Where an object was read from; None when it came from a cluster, or isn't there.
    #[must_use]
    pub fn source(&self, key: &ObjectKey) -> Option<&Source> {
        self.sources.get(key)
    }

    /// A namespace's labels: those of its object, if one was written, and its name.
    #[must_use]
    pub fn namespace_labels(&self, namespace: &str) -> Labels {
        let written = self.namespaces.get(&ObjectName::new("", namespace));
        let mut labels = written.map_or_else(Labels::new, |one| one.metadata.labels.clone());
        labels.insert(NAMESPACE_NAME_LABEL.into(), namespace.into());
        labels
    }

    /// The EndpointSlices of a Service (by their label), in order of name.
    pub fn endpoint_slices_of(
        &self,
        service: &ObjectName,
    ) -> impl Iterator<Item = &Arc<EndpointSlice>> {
        let names = self.slices_by_service.get(service).into_iter().flatten();
        names.filter_map(|name| self.endpoint_slices.get(name))
    }

    fn insert(&mut self, object: Object) -> bool {
        let name = object.metadata().object_name();
        match object {
            Object::GatewayClass(one) => put(&mut self.gateway_classes, name, one),
            Object::Gateway(one) => put(&mut self.gateways, name, one),
            Object::ListenerSet(one) => put(&mut self.listener_sets, name, one),
            Object::HttpRoute(one) => put(&mut self.http_routes, name, one),
            Object::GrpcRoute(one) => put(&mut self.grpc_routes, name, one),
            Object::TlsRoute(one) => put(&mut self.tls_routes, name, one),
            Object::TcpRoute(one) => put(&mut self.tcp_routes, name, one),
            Object::UdpRoute(one) => put(&mut self.udp_routes, name, one),
            Object::ReferenceGrant(one) => put(&mut self.reference_grants, name, one),
            Object::ListenerPolicy(one) => put(&mut self.listener_policies, name, one),
            Object::BackendPolicy(one) => put(&mut self.backend_policies, name, one),
            Object::BackendTlsPolicy(one) => put(&mut self.backend_tls_policies, name, one),
            Object::GatewayParameters(one) => put(&mut self.gateway_parameters, name, one),
            Object::AddressPool(one) => put(&mut self.address_pools, name, one),
            Object::Namespace(one) => put(&mut self.namespaces, name, one),
            Object::Service(one) => put(&mut self.services, name, one),
            Object::EndpointSlice(one) => {
                self.forget_slice(&name);
                if let Some(service) = service_of(&one) {
                    let slices = self.slices_by_service.entry(service).or_default();
                    slices.insert(name.clone());
                }
                put(&mut self.endpoint_slices, name, one)
            }
            Object::Secret(one) => put(&mut self.secrets, name, one),
            Object::ConfigMap(one) => put(&mut self.config_maps, name, one),
            Object::ClusterTrustBundle(one) => put(&mut self.cluster_trust_bundles, name, one),
        }
    }

    fn remove(&mut self, key: &ObjectKey) -> bool {
        use crate::api::ObjectKind as Kind;
        let name = &key.name;
        match key.kind {
            Kind::GatewayClass => self.gateway_classes.remove(name).is_some(),
            Kind::Gateway => self.gateways.remove(name).is_some(),
            Kind::ListenerSet => self.listener_sets.remove(name).is_some(),
            Kind::HttpRoute => self.http_routes.remove(name).is_some(),
            Kind::GrpcRoute => self.grpc_routes.remove(name).is_some(),
            Kind::TlsRoute => self.tls_routes.remove(name).is_some(),
            Kind::TcpRoute => self.tcp_routes.remove(name).is_some(),
            Kind::UdpRoute => self.udp_routes.remove(name).is_some(),
            Kind::ReferenceGrant => self.reference_grants.remove(name).is_some(),
            Kind::ListenerPolicy => self.listener_policies.remove(name).is_some(),
            Kind::BackendPolicy => self.backend_policies.remove(name).is_some(),
            Kind::BackendTlsPolicy => self.backend_tls_policies.remove(name).is_some(),
            Kind::GatewayParameters => self.gateway_parameters.remove(name).is_some(),
            Kind::AddressPool => self.address_pools.remove(name).is_some(),
            Kind::Namespace => self.namespaces.remove(name).is_some(),
            Kind::Service => self.services.remove(name).is_some(),
            Kind::EndpointSlice => {
                self.forget_slice(name);
                self.endpoint_slices.remove(name).is_some()
            }
            Kind::Secret => self.secrets.remove(name).is_some(),
            Kind::ConfigMap => self.config_maps.remove(name).is_some(),
            Kind::ClusterTrustBundle => self.cluster_trust_bundles.remove(name).is_some(),
        }
    }

    /// Takes a slice out of its Service's list.
    fn forget_slice(&mut self, name: &ObjectName) {
        let Some(service) = self
            .endpoint_slices
            .get(name)
            .and_then(|one| service_of(one))
        else {
            return;
        };
        if let Some(slices) = self.slices_by_service.get_mut(&service) {
            slices.remove(name);
            if slices.is_empty() {
                self.slices_by_service.remove(&service);
            }
        }
    }
}

fn service_of(slice: &EndpointSlice) -> Option<ObjectName> {
    let namespace = slice.metadata.namespace.clone()?;
    let name = slice.service()?.clone();
    Some(ObjectName { namespace, name })
}

/// Whether the map differs afterwards.
fn put<T: PartialEq>(map: &mut ByName<T>, name: ObjectName, object: Arc<T>) -> bool {
    match map.get(&name) {
        Some(there) if Arc::ptr_eq(there, &object) || **there == *object => false,
        _ => {
            map.insert(name, object);
            true
        }
    }
}
