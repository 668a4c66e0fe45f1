//! The results of routes of one kind, and which backends those in force use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringgate_core::ir::{Id, Object, ObjectName};

use super::changes::Changes;
use super::naming::Naming;
use super::parents::ParentChanges;
use crate::api::route::Route;
use crate::api::{ObjectKey, ObjectKind};
use crate::store::ByName;
use crate::translate::attach::{self, attach};
use crate::translate::backend::ServicePortName;
use crate::translate::backend_tls::BackendTlsPolicies;
use crate::translate::gateway::Gateways;
use crate::translate::problem::Finding;
use crate::translate::route::{self, Placed, RouteKind};
use crate::translate::verdict::RouteVerdict;
use crate::translate::{Inputs, Options, created, generation};

/// A route's result.
#[derive(Clone, Debug)]
pub(in crate::translate) struct RouteResult {
    /// None: it is attached nowhere, or has no rule that is understood.
    pub(in crate::translate) object: Option<(Id, Arc<Object>)>,
    pub(in crate::translate) verdict: Arc<RouteVerdict>,
    /// The listeners that take it, by their places in the parent.
    pub(in crate::translate) listeners: Vec<(ObjectKey, usize)>,
    pub(in crate::translate) others: Vec<Finding>,
    backends: Vec<ServicePortName>,
    services: Vec<ObjectName>,
}

/// A route that came, went, or was translated anew.
#[derive(Debug)]
pub(in crate::translate) struct RouteChange {
    pub(in crate::translate) key: ObjectKey,
    pub(in crate::translate) before: Option<Arc<RouteResult>>,
    pub(in crate::translate) now: Option<Arc<RouteResult>>,
}

/// How many routes in force, of all kinds, use a backend.
#[derive(Debug, Default)]
pub(super) struct Used {
    counts: BTreeMap<ServicePortName, usize>,
    has_changed: bool,
}

/// Routes of one kind.
#[derive(Debug)]
pub(super) struct Routes<R> {
    /// What the results are of.
    sources: ByName<Route<R>>,
    results: BTreeMap<ObjectName, Arc<RouteResult>>,
    naming: Naming,
    options: Options,
    fresh: usize,
}

impl<R> Default for Routes<R> {
    fn default() -> Self {
        Self {
            sources: ByName::default(),
            results: BTreeMap::new(),
            naming: Naming::default(),
            options: Options::default(),
            fresh: 0,
        }
    }
}

impl<R: RouteKind> Routes<R> {
    /// Brings all results up to date, and adds to `changed` those that are others.
    pub(super) fn update(
        &mut self,
        inputs: &Inputs<'_>,
        (gateways, tls): (&Gateways, &BackendTlsPolicies),
        (changes, parents): (&Changes, &ParentChanges),
        (used, changed): (&mut Used, &mut Vec<RouteChange>),
    ) {
        let all = R::all(inputs.resources);
        let stale = self.stale(inputs, changes, parents);
        self.fresh = 0;
        for name in stale {
            let before = self.results.remove(&name);
            if let Some((source, result)) = self.sources.get(&name).zip(before.as_ref()) {
                for key in named(&name, source, result) {
                    self.naming.remove(&key, &name);
                }
            }
            let now = all.get(&name).map(|source| {
                self.fresh += 1;
                let now = RouteResult::of(&name, source, inputs, (gateways, tls));
                for key in named(&name, source, &now) {
                    self.naming.insert(key, &name);
                }
                Arc::new(now)
            });
            if let Some(now) = &now {
                used.acquire(now.in_force());
                self.results.insert(name.clone(), now.clone());
            }
            // Last, so that a backend that is still used was used all along.
            before.iter().for_each(|one| used.release(one.in_force()));
            let key = ObjectKey {
                kind: R::KIND,
                name,
            };
            changed.push(RouteChange { key, before, now });
        }
        self.sources = all.clone();
    }

    /// The names of those whose results, if there are any, may be of no use any more.
    fn stale(
        &mut self,
        inputs: &Inputs<'_>,
        changes: &Changes,
        parents: &ParentChanges,
    ) -> BTreeSet<ObjectName> {
        let all = R::all(inputs.resources);
        let differences = self.sources.differences(all, Arc::ptr_eq).into_iter();
        let mut stale: BTreeSet<_> = differences.map(|one| one.key.clone()).collect();
        if self.options != *inputs.options {
            self.options = inputs.options.clone();
            stale.extend(all.keys().cloned());
        } else {
            let services = changes.services.iter().map(|name| ObjectKey {
                kind: ObjectKind::Service,
                name: name.clone(),
            });
            let keys = services.chain(parents.changed.iter().cloned());
            for key in keys {
                stale.extend(self.naming.routes(&key).cloned());
            }
            if changes.touch_namespaces() {
                let touched = self.results.iter().filter(|(name, result)| {
                    changes.touch_namespace_of(&name.namespace, &result.services)
                });
                stale.extend(touched.map(|(name, _)| name.clone()));
            }
        }
        stale
    }

    /// Those that look for a Service, in order of name.
    pub(super) fn naming(
        &self,
        service: &ObjectKey,
    ) -> impl Iterator<Item = &RouteResult> + use<'_, R> {
        let names = self.naming.routes(service);
        let results = names.filter_map(|name| self.results.get(name));
        results.map(|one| &**one)
    }

    /// How many were translated anew at the last update.
    pub(super) fn fresh(&self) -> usize {
        self.fresh
    }
}

/// All that a route names and that makes another result when it is another.
fn named<'r, R>(
    name: &'r ObjectName,
    source: &'r Route<R>,
    result: &'r RouteResult,
) -> impl Iterator<Item = ObjectKey> + 'r {
    let services = result.services.iter().map(|service| ObjectKey {
        kind: ObjectKind::Service,
        name: service.clone(),
    });
    attach::parents(name, source).chain(services)
}

impl Used {
    /// Ascending.
    pub(super) fn names(&self) -> impl Iterator<Item = &ServicePortName> {
        self.counts.keys()
    }

    /// Whether there are others than when this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    pub(super) fn acquire(&mut self, backends: &[ServicePortName]) {
        for backend in backends {
            let count = self.counts.entry(backend.clone()).or_default();
            self.has_changed |= *count == 0;
            *count += 1;
        }
    }

    pub(super) fn release(&mut self, backends: &[ServicePortName]) {
        for backend in backends {
            if let Some(count) = self.counts.get_mut(backend) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(backend);
                    self.has_changed = true;
                }
            }
        }
    }
}

impl RouteResult {
    fn of<R: RouteKind>(
        name: &ObjectName,
        source: &Route<R>,
        inputs: &Inputs<'_>,
        (gateways, tls): (&Gateways, &BackendTlsPolicies),
    ) -> Self {
        let attached = attach(name, source, gateways, inputs);
        let rules = route::rules(name, source, inputs, tls);
        let in_force = !attached.attachments.is_empty() && !rules.rules.is_empty();
        let created = created(&source.metadata);
        let id = R::id(name);
        let object = in_force.then(|| {
            let placed = Placed {
                name: name.clone(),
                created,
                attachments: attached.attachments,
            };
            (id.clone(), Arc::new(R::object(placed, rules.rules)))
        });
        Self {
            object,
            verdict: Arc::new(RouteVerdict {
                id,
                generation: generation(&source.metadata),
                parents: attached.parents,
                rules: rules.verdict,
            }),
            listeners: attached.listeners,
            others: attached.others,
            backends: rules.backends,
            services: rules.looked_for,
        }
    }

    /// The backends that it uses, if it is in force.
    fn in_force(&self) -> &[ServicePortName] {
        match self.object {
            Some(_) => &self.backends,
            None => &[],
        }
    }
}
