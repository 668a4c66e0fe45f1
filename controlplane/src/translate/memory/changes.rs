//! Which objects that routes and backends look at are other than at the translation before: most changes
//! touch none of ten thousand. Parents stand in `parents`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use crate::api::gateway::ReferenceGrant;
use crate::api::service::{EndpointSlice, Service};
use crate::api::storage::Namespace;
use crate::store::{ByName, Resources};
use crate::translate::backend_tls::BackendTlsPolicies;

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

    pub(super) fn touch_no_backend(&self) -> bool {
        self.services.is_empty() && self.endpoints.is_empty()
    }

    /// Whether a route in `namespace` that looks for `services` may come out otherwise: by a grant for one of
    /// these, or because listeners choose by its namespace's labels.
    pub(super) fn touch_namespace_of(&self, namespace: &Arc<str>, services: &[ObjectName]) -> bool {
        self.namespaces.contains(namespace)
            || services
                .iter()
                .any(|one| self.grants.contains(&one.namespace))
    }

    pub(super) fn touch_namespaces(&self) -> bool {
        !self.grants.is_empty() || !self.namespaces.is_empty()
    }
}

impl Seen {
    pub(super) fn changes(&mut self, resources: &Resources, tls: &BackendTlsPolicies) -> Changes {
        let grants = differing(&self.grants, &resources.reference_grants);
        let namespaces = differing(&self.namespaces, &resources.namespaces);
        let mut changes = Changes {
            services: differing(&self.services, &resources.services)
                .cloned()
                .collect(),
            endpoints: services_of(&self.slices, &resources.endpoint_slices),
            grants: grants.map(|name| name.namespace.clone()).collect(),
            namespaces: namespaces.map(|name| name.name.clone()).collect(),
        };
        self.services = resources.services.clone();
        self.slices = resources.endpoint_slices.clone();
        self.grants = resources.reference_grants.clone();
        self.namespaces = resources.namespaces.clone();
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
        changes
    }
}

/// The names of what came, went or is another.
fn differing<'m, T>(
    before: &'m ByName<T>,
    now: &'m ByName<T>,
) -> impl Iterator<Item = &'m ObjectName> {
    let differences = before.differences(now, Arc::ptr_eq).into_iter();
    differences.map(|one| one.key)
}

/// The Services of slices that came, went or are others: of these also those they belonged to before.
fn services_of(
    before: &ByName<EndpointSlice>,
    now: &ByName<EndpointSlice>,
) -> BTreeSet<ObjectName> {
    let differences = before.differences(now, Arc::ptr_eq).into_iter();
    let services = differences.flat_map(|one| {
        let slices = one.before.into_iter().chain(one.now);
        let services = slices.filter_map(|slice| slice.service());
        services.map(|service| ObjectName {
            namespace: one.key.namespace.clone(),
            name: service.clone(),
        })
    });
    services.collect()
}
