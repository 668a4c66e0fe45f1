//! What a translation may take over from the one before. A route's result is kept as long as all that
//! it was made from is the very same; so the result never depends on what is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::{self, Id, Object, ObjectName};

use super::attach::attach;
use super::backend::ServicePortName;
use super::gateway::Gateways;
use super::problem::Finding;
use super::verdict::RouteVerdict;
use super::{created, generation, http_route};
use crate::api::gateway::ReferenceGrant;
use crate::api::http_route::HttpRoute;
use crate::api::service::Service;
use crate::api::storage::Namespace;
use crate::store::Resources;

/// A route's result.
#[derive(Debug)]
pub(super) struct Route {
    /// None: it is attached nowhere, or has no rule that is understood.
    pub(super) object: Option<(Id, Arc<Object>)>,
    pub(super) verdict: Arc<RouteVerdict>,
    /// Places of the listeners that take it.
    pub(super) listeners: Vec<(usize, usize)>,
    pub(super) backends: Vec<ServicePortName>,
    pub(super) others: Vec<Finding>,
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// In order of name.
    routes: Vec<(ObjectName, Remembered)>,
    common: Common,
    backends: BTreeMap<Id, Arc<Object>>,
}

#[derive(Debug)]
struct Remembered {
    source: Arc<HttpRoute>,
    services: Vec<(ObjectName, Option<Arc<Service>>)>,
    result: Route,
}

/// What every route depends on.
#[derive(Debug, Default)]
struct Common {
    gateways: Gateways,
    grants: BTreeMap<ObjectName, Arc<ReferenceGrant>>,
    namespaces: BTreeMap<ObjectName, Arc<Namespace>>,
}

impl Memory {
    /// The results of all routes, in order of name.
    pub(super) fn routes(
        &mut self,
        resources: &Resources,
        gateways: &Gateways,
    ) -> impl Iterator<Item = (&ObjectName, &Route)> {
        if !self.common.is_of(resources, gateways) {
            self.routes.clear();
            self.common = Common::of(resources, gateways);
        }
        let mut known = std::mem::take(&mut self.routes).into_iter().peekable();
        let remember = |(name, source): (&ObjectName, &Arc<HttpRoute>)| {
            while known.next_if(|(one, _)| one < name).is_some() {}
            let same = known.next_if(|(one, _)| one == name);
            match same {
                Some((name, known)) if known.holds(source, resources) => (name, known),
                _ => (
                    name.clone(),
                    Remembered::of(name, source, resources, gateways),
                ),
            }
        };
        self.routes = resources.http_routes.iter().map(remember).collect();
        self.routes.iter().map(|(name, one)| (name, &one.result))
    }

    /// The same objects, those that are as before being the very ones from before.
    pub(super) fn share(&mut self, backends: Vec<(Id, Object)>) -> Vec<(Id, Arc<Object>)> {
        let before = std::mem::take(&mut self.backends);
        let shared: Vec<_> = backends
            .into_iter()
            .map(|(id, object)| match before.get(&id) {
                Some(known) if **known == object => (id, known.clone()),
                _ => (id, Arc::new(object)),
            })
            .collect();
        self.backends = shared.iter().cloned().collect();
        shared
    }
}

impl Common {
    fn of(resources: &Resources, gateways: &Gateways) -> Self {
        Self {
            gateways: gateways.clone(),
            grants: resources.reference_grants.clone(),
            namespaces: resources.namespaces.clone(),
        }
    }

    fn is_of(&self, resources: &Resources, gateways: &Gateways) -> bool {
        self.gateways == *gateways
            && same(&self.grants, &resources.reference_grants)
            && same(&self.namespaces, &resources.namespaces)
    }
}

fn same<T>(one: &BTreeMap<ObjectName, Arc<T>>, other: &BTreeMap<ObjectName, Arc<T>>) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|((name, one), (other_name, other))| Arc::ptr_eq(one, other) && name == other_name)
}

impl Remembered {
    fn of(
        name: &ObjectName,
        source: &Arc<HttpRoute>,
        resources: &Resources,
        gateways: &Gateways,
    ) -> Self {
        let attached = attach(name, source, gateways, resources);
        let rules = http_route::translate(name, source, resources);
        let in_force = !attached.attachments.is_empty() && !rules.rules.is_empty();
        let object = in_force.then(|| {
            let route = ir::HttpRoute {
                name: name.clone(),
                created: created(&source.metadata),
                attachments: attached.attachments,
                rules: rules.rules,
            };
            (Id::http_route(name), Arc::new(Object::HttpRoute(route)))
        });
        let services = rules.looked_for.into_iter().map(|name| {
            let service = resources.services.get(&name).cloned();
            (name, service)
        });
        Self {
            source: source.clone(),
            services: services.collect(),
            result: Route {
                object,
                verdict: Arc::new(RouteVerdict {
                    generation: generation(&source.metadata),
                    parents: attached.parents,
                    rules: rules.verdict,
                }),
                listeners: attached.listeners,
                backends: rules.backends,
                others: attached.others,
            },
        }
    }

    fn holds(&self, source: &Arc<HttpRoute>, resources: &Resources) -> bool {
        Arc::ptr_eq(&self.source, source)
            && self.services.iter().all(|(name, known)| {
                match (known, resources.services.get(name)) {
                    (Some(known), Some(service)) => Arc::ptr_eq(known, service),
                    (known, service) => known.is_none() && service.is_none(),
                }
            })
    }
}
