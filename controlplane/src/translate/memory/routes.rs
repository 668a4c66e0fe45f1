//! Routes' results, and which backends those in force use.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::{self, Id, Object, ObjectName};

use super::changes::Changes;
use super::parents::ParentChanges;
use crate::api::http_route::HttpRoute;
use crate::translate::attach::{self, attach};
use crate::translate::backend::ServicePortName;
use crate::translate::backend_tls::BackendTlsPolicies;
use crate::translate::gateway::Gateways;
use crate::translate::problem::Finding;
use crate::translate::verdict::RouteVerdict;
use crate::translate::{Inputs, Options, created, generation, http_route};

/// A route's result.
#[derive(Debug)]
pub(in crate::translate) struct Route {
    /// None: it is attached nowhere, or has no rule that is understood.
    pub(in crate::translate) object: Option<(Id, Arc<Object>)>,
    pub(in crate::translate) verdict: Arc<RouteVerdict>,
    /// Places of the listeners that take it.
    pub(in crate::translate) listeners: Vec<(usize, usize)>,
    pub(in crate::translate) others: Vec<Finding>,
    backends: Vec<ServicePortName>,
    services: Vec<ObjectName>,
}

impl Route {
    /// Services that were looked for, found or not.
    pub(in crate::translate) fn services(&self) -> &[ObjectName] {
        &self.services
    }
}

#[derive(Debug, Default)]
pub(super) struct Routes {
    /// In order of name.
    known: Vec<(ObjectName, Known)>,
    options: Options,
    /// How many routes in force use a backend.
    used: BTreeMap<ServicePortName, usize>,
    fresh: usize,
}

#[derive(Debug)]
struct Known {
    source: Arc<HttpRoute>,
    result: Route,
}

impl Routes {
    pub(super) fn update(
        &mut self,
        inputs: &Inputs<'_>,
        (gateways, tls): (&Gateways, &BackendTlsPolicies),
        changes: &Changes,
        parents: &ParentChanges,
    ) {
        let resources = inputs.resources;
        if self.options != *inputs.options {
            self.known.clear();
            self.used.clear();
            self.options = inputs.options.clone();
        }
        self.fresh = 0;
        let used = &mut self.used;
        let mut before = std::mem::take(&mut self.known).into_iter().peekable();
        let mut known = Vec::with_capacity(resources.http_routes.len());
        for (name, source) in &resources.http_routes {
            while let Some((_, gone)) = before.next_if(|(one, _)| one < name) {
                release(used, &gone);
            }
            let same = before.next_if(|(one, _)| one == name);
            if let Some((name, mut one)) = same {
                if one.holds(&name, source, changes, parents) {
                    parents.renumber(&mut one.result.listeners);
                    known.push((name, one));
                    continue;
                }
                release(used, &one);
            }
            let fresh = Known::of(name, source, inputs, (gateways, tls));
            self.fresh += 1;
            acquire(used, &fresh);
            known.push((name.clone(), fresh));
        }
        for (_, gone) in before {
            release(used, &gone);
        }
        self.known = known;
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&ObjectName, &Route)> {
        self.known.iter().map(|(name, one)| (name, &one.result))
    }

    /// How many were translated anew at the last update.
    pub(super) fn fresh(&self) -> usize {
        self.fresh
    }

    /// The backends that routes in force use, ascending.
    pub(super) fn used(&self) -> impl Iterator<Item = &ServicePortName> {
        self.used.keys()
    }
}

fn acquire(used: &mut BTreeMap<ServicePortName, usize>, route: &Known) {
    for backend in route.in_force() {
        *used.entry(backend.clone()).or_default() += 1;
    }
}

fn release(used: &mut BTreeMap<ServicePortName, usize>, route: &Known) {
    for backend in route.in_force() {
        if let Some(count) = used.get_mut(backend) {
            *count -= 1;
            if *count == 0 {
                used.remove(backend);
            }
        }
    }
}

pub(super) fn same<T>(
    one: &BTreeMap<ObjectName, Arc<T>>,
    other: &BTreeMap<ObjectName, Arc<T>>,
) -> bool {
    let mut pairs = one.iter().zip(other);
    one.len() == other.len()
        && pairs
            .all(|((name, one), (other_name, other))| Arc::ptr_eq(one, other) && name == other_name)
}

impl Known {
    fn of(
        name: &ObjectName,
        source: &Arc<HttpRoute>,
        inputs: &Inputs<'_>,
        (gateways, tls): (&Gateways, &BackendTlsPolicies),
    ) -> Self {
        let attached = attach(name, source, gateways, inputs);
        let rules = http_route::translate(name, source, inputs, tls);
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
        Self {
            source: source.clone(),
            result: Route {
                object,
                verdict: Arc::new(RouteVerdict {
                    generation: generation(&source.metadata),
                    parents: attached.parents,
                    rules: rules.verdict,
                }),
                listeners: attached.listeners,
                others: attached.others,
                backends: rules.backends,
                services: rules.looked_for,
            },
        }
    }

    fn holds(
        &self,
        name: &ObjectName,
        source: &Arc<HttpRoute>,
        changes: &Changes,
        parents: &ParentChanges,
    ) -> bool {
        let is_changed = |parent| parents.changed.contains(&parent);
        Arc::ptr_eq(&self.source, source)
            && !changes.touch_route(&name.namespace, &self.result.services)
            && (parents.changed.is_empty() || !attach::parents(name, source).any(is_changed))
    }

    /// The backends that it uses, if it is in force.
    fn in_force(&self) -> &[ServicePortName] {
        match self.result.object {
            Some(_) => &self.result.backends,
            None => &[],
        }
    }
}
