//! The certificates and authorities that what is in force names: objects of the snapshot of their own,
//! so that a renewed one is all that is sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::{Id, Object, ObjectName};

use super::backend::ServicePortName;
use super::backend_tls::BackendTlsPolicies;
use super::certificate;
use super::gateway::Gateways;
use crate::api::ObjectKey;
use crate::api::certificate::{Bundle, KeyPair};
use crate::store::Resources;

/// Those that can be used; what names another goes on with what a data plane has of it.
pub(super) struct Material<'r> {
    resources: &'r Resources,
    pairs: BTreeMap<&'r ObjectName, &'r KeyPair>,
    bundles: BTreeMap<ObjectKey, &'r Bundle>,
}

impl<'r> Material<'r> {
    pub(super) fn of(gateways: &Gateways, resources: &'r Resources) -> Self {
        let mut material = Self {
            resources,
            pairs: BTreeMap::new(),
            bundles: BTreeMap::new(),
        };
        for parent in gateways.parents() {
            let listeners = parent.listeners.iter();
            let mut in_force = listeners
                .filter(|one| parent.gateway.is_in_force(one))
                .peekable();
            if in_force.peek().is_some() {
                material.add_pairs(&parent.gateway.client_certificate);
            }
            for tls in in_force.filter_map(|one| one.tls.as_ref()) {
                material.add_pairs(&tls.certificates);
                material.add_bundles(tls.clients.iter().flat_map(|one| &one.authorities));
            }
        }
        material
    }

    pub(super) fn add_backend(&mut self, name: &ServicePortName, policies: &BackendTlsPolicies) {
        if let Some(one) = policies.of_backend(self.resources, name) {
            self.add_bundles(&one.holders);
        }
    }

    fn add_pairs<'n>(&mut self, secrets: impl IntoIterator<Item = &'n ObjectName>) {
        for name in secrets {
            let secret = self.resources.secrets.get_key_value(name);
            let pair = secret.and_then(|(name, secret)| Some((name, secret.key_pair().ok()?)));
            self.pairs.extend(pair);
        }
    }

    fn add_bundles<'k>(&mut self, holders: impl IntoIterator<Item = &'k ObjectKey>) {
        for holder in holders {
            if let Some(Ok(bundle)) = certificate::authorities(self.resources, holder) {
                self.bundles.insert(holder.clone(), bundle);
            }
        }
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = (Id, Arc<Object>)> {
        let pairs = self.pairs.iter();
        let pairs = pairs.map(|(name, pair)| (Id::certificate(name), pair.object.clone()));
        let bundles = self.bundles.iter();
        let bundles =
            bundles.map(|(key, one)| (certificate::authorities_id(key), one.object.clone()));
        pairs.chain(bundles)
    }

    /// When each certificate ends, in seconds since 1970.
    pub(super) fn certificates(&self) -> BTreeMap<ObjectName, i64> {
        let pairs = self.pairs.iter();
        pairs
            .map(|(name, pair)| ((*name).clone(), pair.expires))
            .collect()
    }
}
