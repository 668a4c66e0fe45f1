//! Which objects that routes and backends look at are other than at the translation before, found in one
//! pass over all of them: most changes touch none of ten thousand. Parents stand in `parents`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use crate::api::gateway::ReferenceGrant;
use crate::api::service::{EndpointSlice, Service};
use crate::api::storage::Namespace;
use crate::store::Resources;
use crate::translate::backend_tls::BackendTlsPolicies;

type ByName<T> = BTreeMap<ObjectName, Arc<T>>;

/// What was there at the translation before.
#[derive(Debug, Default)]
pub(super) struct Seen {
    services: ByName<Service>,
    slices: ByName<EndpointSlice>,
    grants: ByName<ReferenceGrant>,
    namespaces: ByName<Namespace>,
    tls: BackendTlsPolicies,
}

/// What came, went or changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Those with another BackendTLSPolicy, too.
    pub(super) services: BTreeSet<ObjectName>,
    /// Services with a change among their EndpointSlices.
    pub(super) endpoints: BTreeSet<ObjectName>,
    /// Namespaces with a change among their ReferenceGrants.
    pub(super) grants: BTreeSet<Arc<str>>,
    pub(super) namespaces: BTreeSet<Arc<str>>,
}

impl Changes {
    pub(super) fn touch_backend(&self, service: &ObjectName) -> bool {
        !self.services.is_empty() && self.services.contains(service)
            || !self.endpoints.is_empty() && self.endpoints.contains(service)
    }

    /// Whether a route in `namespace` that looks for `services` may come out otherwise: by one of these,
    /// by a grant for it, or because listeners choose by its namespace's labels.
    pub(super) fn touch_route(&self, namespace: &Arc<str>, services: &[ObjectName]) -> bool {
        let is_changed = |one: &ObjectName| {
            !self.services.is_empty() && self.services.contains(one)
                || !self.grants.is_empty() && self.grants.contains(&one.namespace)
        };
        !self.namespaces.is_empty() && self.namespaces.contains(namespace)
            || services.iter().any(is_changed)
    }
}

impl Seen {
    pub(super) fn changes(&mut self, resources: &Resources, tls: &BackendTlsPolicies) -> Changes {
        let mut changes = Changes::default();
        differences(&self.services, &resources.services, |name, _| {
            changes.services.insert(name.clone());
        });
        let mut slices_differ = false;
        differences(&self.slices, &resources.endpoint_slices, |name, slice| {
            slices_differ = true;
            changes
                .endpoints
                .extend(slice.service().map(|service| ObjectName {
                    namespace: name.namespace.clone(),
                    name: service.clone(),
                }));
        });
        differences(&self.grants, &resources.reference_grants, |name, _| {
            changes.grants.insert(name.namespace.clone());
        });
        differences(&self.namespaces, &resources.namespaces, |name, _| {
            changes.namespaces.insert(name.name.clone());
        });
        if !changes.grants.is_empty() {
            self.grants.clone_from(&resources.reference_grants);
        }
        if !changes.namespaces.is_empty() {
            self.namespaces.clone_from(&resources.namespaces);
        }
        if !changes.services.is_empty() {
            self.services.clone_from(&resources.services);
        }
        let (before, now) = (self.tls.chosen(), tls.chosen());
        if before != now {
            let only = |some: &'_ BTreeMap<_, _>, others: &BTreeMap<_, _>| -> Vec<ObjectName> {
                let differs = |one: &(&(ObjectName, _), &_)| others.get(one.0) != Some(one.1);
                let targets = some.iter().filter(differs);
                targets.map(|((service, _), _)| service.clone()).collect()
            };
            changes.services.extend(only(before, now));
            changes.services.extend(only(now, before));
            self.tls = tls.clone();
        }
        if slices_differ {
            self.slices.clone_from(&resources.endpoint_slices);
        }
        changes
    }
}

/// Calls `tell` with everything that is in one map only, or another object in the other: for the
/// latter with both.
fn differences<'m, T>(
    before: &'m ByName<T>,
    now: &'m ByName<T>,
    mut tell: impl FnMut(&'m ObjectName, &'m T),
) {
    let mut before = before.iter().peekable();
    let mut now = now.iter().peekable();
    loop {
        let order = match (before.peek(), now.peek()) {
            (Some((old, _)), Some((new, _))) => old.cmp(new),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        let old = before.next_if(|_| order.is_le());
        let new = now.next_if(|_| order.is_ge());
        let is_same =
            matches!((old, new), (Some((_, old)), Some((_, new))) if Arc::ptr_eq(old, new));
        if !is_same {
            for (name, object) in [old, new].into_iter().flatten() {
                tell(name, object);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_what_came_went_or_is_another() {
        let map = |objects: &[(&str, &Arc<u8>)]| -> ByName<u8> {
            let objects = objects.iter();
            objects
                .map(|(name, object)| (ObjectName::new("default", name), Arc::clone(object)))
                .collect()
        };
        let (one, two, three) = (Arc::new(1), Arc::new(2), Arc::new(3));
        let before = map(&[("a", &one), ("b", &one), ("same", &one)]);
        let now = map(&[("b", &two), ("c", &three), ("same", &one)]);
        let mut told = Vec::new();
        differences(&before, &now, |name, object| {
            told.push((name.name.to_string(), *object));
        });
        let told: Vec<_> = told
            .iter()
            .map(|(name, number)| (&**name, *number))
            .collect();
        assert_eq!(told, [("a", 1), ("b", 1), ("b", 2), ("c", 3)]);
    }
}
