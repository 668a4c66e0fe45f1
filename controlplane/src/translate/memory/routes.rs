//! The results of routes of one kind, and which backends those in force use.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::{Id, Object, ObjectName};

use super::changes::Changes;
use super::parents::ParentChanges;
use crate::api::ObjectKey;
use crate::translate::attach::{self, attach};
use crate::translate::backend::ServicePortName;
use crate::translate::backend_tls::BackendTlsPolicies;
use crate::translate::gateway::Gateways;
use crate::translate::problem::Finding;
use crate::translate::route::{self, Placed, Route};
use crate::translate::verdict::RouteVerdict;
use crate::translate::{Inputs, Options, created, generation};

/// A route's result.
#[derive(Debug)]
pub(in crate::translate) struct RouteResult {
    /// None: it is attached nowhere, or has no rule that is understood.
    pub(in crate::translate) object: Option<(Id, Arc<Object>)>,
    pub(in crate::translate) verdict: Arc<RouteVerdict>,
    /// Places of the listeners that take it.
    pub(in crate::translate) listeners: Vec<(usize, usize)>,
    pub(in crate::translate) others: Vec<Finding>,
    backends: Vec<ServicePortName>,
    services: Vec<ObjectName>,
}

impl RouteResult {
    /// Services that were looked for, found or not.
    pub(in crate::translate) fn services(&self) -> &[ObjectName] {
        &self.services
    }
}

/// How many routes in force, of all kinds, use a backend.
pub(super) type Used = BTreeMap<ServicePortName, usize>;

/// Routes of one kind.
#[derive(Debug)]
pub(super) struct Routes<R> {
    /// In order of name.
    known: Vec<(ObjectName, Known<R>)>,
    options: Options,
    fresh: usize,
}

#[derive(Debug)]
struct Known<R> {
    source: Arc<R>,
    result: RouteResult,
}

impl<R> Default for Routes<R> {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            options: Options::default(),
            fresh: 0,
        }
    }
}

impl<R: Route> Routes<R> {
    pub(super) fn update(
        &mut self,
        inputs: &Inputs<'_>,
        (gateways, tls): (&Gateways, &BackendTlsPolicies),
        (changes, parents): (&Changes, &ParentChanges),
        used: &mut Used,
    ) {
        if self.options != *inputs.options {
            for (_, gone) in self.known.drain(..) {
                release(used, &gone);
            }
            self.options = inputs.options.clone();
        }
        self.fresh = 0;
        let all = R::all(inputs.resources);
        let mut before = std::mem::take(&mut self.known).into_iter().peekable();
        let mut known = Vec::with_capacity(all.len());
        for (name, source) in all {
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

    pub(super) fn all(&self) -> impl Iterator<Item = (ObjectKey, &RouteResult)> {
        let key = |name: &ObjectName| ObjectKey {
            kind: R::KIND,
            name: name.clone(),
        };
        let known = self.known.iter();
        known.map(move |(name, one)| (key(name), &one.result))
    }

    /// How many were translated anew at the last update.
    pub(super) fn fresh(&self) -> usize {
        self.fresh
    }
}

fn acquire<R>(used: &mut Used, route: &Known<R>) {
    for backend in route.in_force() {
        *used.entry(backend.clone()).or_default() += 1;
    }
}

fn release<R>(used: &mut Used, route: &Known<R>) {
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

impl<R: Route> Known<R> {
    fn of(
        name: &ObjectName,
        source: &Arc<R>,
        inputs: &Inputs<'_>,
        (gateways, tls): (&Gateways, &BackendTlsPolicies),
    ) -> Self {
        let attached = attach(name, &**source, gateways, inputs);
        let rules = route::rules(name, &**source, inputs, tls);
        let in_force = !attached.attachments.is_empty() && !rules.rules.is_empty();
        let created = created(source.metadata());
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
            source: source.clone(),
            result: RouteResult {
                object,
                verdict: Arc::new(RouteVerdict {
                    id,
                    generation: generation(source.metadata()),
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
        source: &Arc<R>,
        changes: &Changes,
        parents: &ParentChanges,
    ) -> bool {
        let is_changed = |parent| parents.changed.contains(&parent);
        Arc::ptr_eq(&self.source, source)
            && !changes.touch_route(&name.namespace, &self.result.services)
            && (parents.changed.is_empty() || !attach::parents(name, &**source).any(is_changed))
    }
}

impl<R> Known<R> {
    /// The backends that it uses, if it is in force.
    fn in_force(&self) -> &[ServicePortName] {
        match self.result.object {
            Some(_) => &self.result.backends,
            None => &[],
        }
    }
}
