//! Which listeners and backends are made of which certificates and authorities: a renewed one touches
//! those alone.

use std::collections::{BTreeSet, HashMap};

use ringgate_core::ir::{Id, Object, Trust};
use ringgate_core::table::Objects;

/// Both ways.
#[derive(Debug, Default)]
pub(super) struct Uses {
    of: HashMap<Id, Vec<Id>>,
    users: HashMap<Id, BTreeSet<Id>>,
}

impl Uses {
    /// Takes over what a listener or backend is made of now. Returns what nobody uses any more.
    pub(super) fn update(&mut self, user: &Id, objects: &Objects) -> Vec<Id> {
        let now: Vec<Id> = objects.get(user).map(used).unwrap_or_default();
        for used in &now {
            let users = self.users.entry(used.clone()).or_default();
            users.insert(user.clone());
        }
        let mut unused = Vec::new();
        let before = self.of.remove(user).unwrap_or_default();
        for gone in before.into_iter().filter(|one| !now.contains(one)) {
            if let Some(users) = self.users.get_mut(&gone) {
                users.remove(user);
                if users.is_empty() {
                    self.users.remove(&gone);
                    unused.push(gone);
                }
            }
        }
        if !now.is_empty() {
            self.of.insert(user.clone(), now);
        }
        unused
    }

    pub(super) fn is_used(&self, used: &Id) -> bool {
        self.users.contains_key(used)
    }

    /// `changed`, and whoever is made of it.
    pub(super) fn touched(&self, changed: &BTreeSet<Id>) -> BTreeSet<Id> {
        let users = changed.iter().filter_map(|one| self.users.get(one));
        users.flatten().chain(changed).cloned().collect()
    }
}

/// The certificates and authorities that an object names.
fn used(object: &Object) -> Vec<Id> {
    match object {
        Object::Listener(listener) => {
            let termination = listener.protocol.termination();
            let certificates = termination.iter().flat_map(|one| &one.certificates);
            let clients = termination.iter().filter_map(|one| one.clients.as_ref());
            let authorities = clients.flat_map(|one| &one.authorities);
            let shown = listener.client_certificate.iter();
            certificates
                .chain(authorities)
                .chain(shown)
                .cloned()
                .collect()
        }
        Object::Backend(backend) => match backend.tls.as_ref().map(|tls| &tls.trust) {
            Some(Trust::Authorities(ids)) => ids.clone(),
            Some(Trust::System) | None => Vec::new(),
        },
        _ => Vec::new(),
    }
}
