//! The certificates and authorities that what is in force names: objects of the snapshot of their own,
//! so that a renewed one is all that is sent, and all that is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringgate_core::ir::{Id, Object, ObjectName};

use super::certificate;
use super::gateway::Gateways;
use crate::api::ObjectKey;
use crate::api::certificate::Ends;
use crate::api::storage::Secret;
use crate::shared_map::SharedMap;
use crate::store::{ByName, Resources};

/// Those that can be used; what names another goes on with what a data plane has of it.
#[derive(Debug, Default)]
pub(super) struct Material {
    /// The Secrets whose certificates Gateways and their listeners show.
    pairs: BTreeSet<ObjectName>,
    /// What holds the authorities of listeners' clients.
    holders: BTreeSet<ObjectKey>,
    /// As they were at the last update.
    secrets: ByName<Secret>,
    pub(super) ends: SharedMap<ObjectName, Ends>,
}

impl Material {
    /// Takes over which are named; those that no longer are leave `objects`.
    pub(super) fn name(&mut self, gateways: &Gateways, objects: &mut SharedMap<Id, Arc<Object>>) {
        let before = std::mem::take(&mut self.pairs);
        self.holders.clear();
        for parent in gateways.parents() {
            let listeners = parent.listeners.iter();
            let mut in_force = listeners
                .filter(|one| parent.site.is_in_force(one))
                .peekable();
            if in_force.peek().is_some() {
                self.pairs
                    .extend(parent.site.client_certificate.iter().cloned());
            }
            for tls in in_force.filter_map(|one| one.tls.as_ref()) {
                self.pairs.extend(tls.certificates.iter().cloned());
                let clients = tls.clients.iter();
                self.holders
                    .extend(clients.flat_map(|one| &one.authorities).cloned());
            }
        }
        for name in before.difference(&self.pairs) {
            objects.remove(&Id::certificate(name));
            self.ends.remove(name);
        }
        // All are looked at again.
        self.secrets = ByName::default();
    }

    /// Brings the certificates among `objects` up to date.
    pub(super) fn update(
        &mut self,
        resources: &Resources,
        objects: &mut SharedMap<Id, Arc<Object>>,
    ) {
        let before = std::mem::replace(&mut self.secrets, resources.secrets.clone());
        for one in before.differences(&self.secrets, Arc::ptr_eq) {
            if !self.pairs.contains(one.key) {
                continue;
            }
            let id = Id::certificate(one.key);
            let Some(pair) = one.now.and_then(|secret| secret.key_pair().ok()) else {
                objects.remove(&id);
                self.ends.remove(one.key);
                continue;
            };
            if self.ends.get(one.key) != Some(&pair.ends) {
                self.ends.insert(one.key.clone(), pair.ends);
            }
            if objects.get(&id) != Some(&pair.object) {
                objects.insert(id, pair.object.clone());
            }
        }
    }

    /// The authorities of listeners' clients, and those that `holders` have.
    pub(super) fn authorities(
        &self,
        holders: impl Iterator<Item = ObjectKey>,
        resources: &Resources,
    ) -> BTreeMap<Id, Arc<Object>> {
        let all = self.holders.iter().cloned().chain(holders);
        let found = all.filter_map(|holder| {
            let bundle = certificate::authorities(resources, &holder)?.ok()?;
            Some((certificate::authorities_id(&holder), bundle.object.clone()))
        });
        found.collect()
    }
}
