//! What the last translation came to, brought up to date by what has changed since: an edit costs what
//! it touches, however much else there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringgate_core::ir::{Id, Object, ObjectName};

use super::gateway::Gateways;
use super::material::Material;
use super::memory::{Backend, Memory, News, RouteResult};
use super::policy::Policies;
use super::problem::Finding;
use super::verdict::{GatewayVerdict, RouteVerdict, SetVerdict};
use crate::api::certificate::Ends;
use crate::api::policy::ListenerPolicy;
use crate::api::{ObjectKey, ObjectKind};
use crate::shared_map::SharedMap;
use crate::store::{ByName, Resources};

/// What is to be in force, and verdicts, as far as they grow with the number of objects.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) objects: SharedMap<Id, Arc<Object>>,
    pub(super) routes: SharedMap<ObjectKey, Arc<RouteVerdict>>,
    pub(super) sets: SharedMap<ObjectName, Arc<SetVerdict>>,
    /// Of routes, about what isn't ours; by route, of those that have any.
    others: BTreeMap<ObjectKey, Vec<Finding>>,
    /// What is odd about backends.
    odd: Vec<Finding>,
    pub(super) external_names: BTreeSet<Arc<str>>,
    attached: Attached,
    listener_policies: ByName<ListenerPolicy>,
    /// Of `objects`, those that aren't routes'.
    listeners: BTreeSet<Id>,
    backends: BTreeSet<Id>,
    authorities: BTreeSet<Id>,
    material: Material,
}

impl Standing {
    /// Takes over what is other than before.
    pub(super) fn update(
        &mut self,
        resources: &Resources,
        (gateways, policies): (&Gateways, &Policies<'_>),
        (memory, news): (&Memory, &News),
    ) {
        self.take_routes(news);
        let settings = &resources.listener_policies;
        if news.of_gateways || !self.listener_policies.is_same(settings) {
            self.listener_policies = settings.clone();
            let listeners = listeners(gateways, policies);
            put(&mut self.objects, &mut self.listeners, listeners);
        }
        if news.of_backends {
            self.take_backends(memory);
        }
        if news.of_gateways {
            self.material.name(gateways, &mut self.objects);
        }
        self.material.update(resources, &mut self.objects);
        if news.of_gateways {
            self.attached = Attached::count(gateways, memory.routes());
            self.take_sets(gateways);
        } else {
            let touched = self.attached.update(news);
            self.take_sets_at(gateways, &touched);
        }
    }

    /// `holders` are those of backends' authorities.
    pub(super) fn take_authorities(
        &mut self,
        holders: impl Iterator<Item = ObjectKey>,
        resources: &Resources,
    ) {
        let objects = self.material.authorities(holders, resources);
        put(&mut self.objects, &mut self.authorities, objects);
    }

    /// When the certificates in force end, by Secret.
    pub(super) fn ends(&self) -> &SharedMap<ObjectName, Ends> {
        &self.material.ends
    }

    /// What is about nobody's object, or about what isn't ours.
    pub(super) fn others(&self) -> impl Iterator<Item = &Finding> {
        let of_routes = self.others.values().flatten();
        of_routes.chain(&self.odd)
    }

    pub(super) fn gateways(&self, gateways: &Gateways) -> BTreeMap<ObjectName, GatewayVerdict> {
        let mut accepted: BTreeMap<&ObjectName, u32> = BTreeMap::new();
        for set in self.sets.values().filter(|set| set.is_accepted()) {
            *accepted.entry(&set.gateway).or_default() += 1;
        }
        let drafts = gateways.drafts.iter().zip(&self.attached.0);
        drafts
            .map(|(draft, counts)| {
                let sets = accepted.get(&draft.name).copied().unwrap_or_default();
                (draft.name.clone(), draft.verdict(counts, sets))
            })
            .collect()
    }

    fn take_routes(&mut self, news: &News) {
        for change in &news.routes {
            let now = change.now.as_ref();
            let id = |result: &Arc<RouteResult>| Some(result.object.as_ref()?.0.clone());
            match now.and_then(|now| now.object.clone()) {
                Some((id, object)) => {
                    self.objects.insert(id, object);
                }
                None => {
                    let gone = change.before.as_ref().and_then(id);
                    gone.map(|id| self.objects.remove(&id));
                }
            }
            match now.filter(|now| !now.verdict.parents.is_empty()) {
                Some(now) => self.routes.insert(change.key.clone(), now.verdict.clone()),
                None => self.routes.remove(&change.key),
            };
            match now.filter(|now| !now.others.is_empty()) {
                Some(now) => self.others.insert(change.key.clone(), now.others.clone()),
                None => self.others.remove(&change.key),
            };
        }
    }

    fn take_backends(&mut self, memory: &Memory) {
        let objects = memory.backends();
        let objects = objects.map(|one| (one.id.clone(), one.object.clone()));
        put(&mut self.objects, &mut self.backends, objects);
        self.odd = memory.backends().filter_map(odd).collect();
        let names = memory.backends();
        let names = names.filter_map(|one| one.external_name.clone());
        self.external_names = names.collect();
    }

    fn take_sets(&mut self, gateways: &Gateways) {
        let drafts = &gateways.sets.drafts;
        let names: BTreeSet<&ObjectName> = drafts.iter().map(|set| &set.name).collect();
        let gone = self.sets.keys().filter(|name| !names.contains(name));
        let gone: Vec<ObjectName> = gone.cloned().collect();
        for name in gone {
            self.sets.remove(&name);
        }
        let first = gateways.drafts.len();
        self.take_sets_at(gateways, &(first..first + drafts.len()).collect());
    }

    /// `places` are those among all parents.
    fn take_sets_at(&mut self, gateways: &Gateways, places: &BTreeSet<usize>) {
        for place in places {
            let set = place.checked_sub(gateways.drafts.len());
            let set = set.and_then(|set| gateways.sets.drafts.get(set));
            let (Some(set), Some(counts)) = (set, self.attached.0.get(*place)) else {
                continue;
            };
            let Some(gateway) = gateways.drafts.get(set.gateway) else {
                continue;
            };
            let verdict = set.verdict(gateway, counts);
            if self.sets.get(&set.name).is_none_or(|old| **old != verdict) {
                self.sets.insert(set.name.clone(), Arc::new(verdict));
            }
        }
    }
}

/// Puts these in the place of those with the ids `known`; what is equal stays the very same.
fn put(
    objects: &mut SharedMap<Id, Arc<Object>>,
    known: &mut BTreeSet<Id>,
    now: impl IntoIterator<Item = (Id, Arc<Object>)>,
) {
    let mut gone = std::mem::take(known);
    for (id, object) in now {
        gone.remove(&id);
        let is_same = |old: &Arc<Object>| Arc::ptr_eq(old, &object) || **old == *object;
        if !objects.get(&id).is_some_and(is_same) {
            objects.insert(id.clone(), object);
        }
        known.insert(id);
    }
    for id in gone {
        objects.remove(&id);
    }
}

fn listeners(gateways: &Gateways, policies: &Policies<'_>) -> Vec<(Id, Arc<Object>)> {
    let mut objects = Vec::new();
    for parent in gateways.parents() {
        for listener in parent.listeners {
            if parent.gateway.is_in_force(listener) {
                let settings = policies.listener_settings(&parent, &listener.name);
                let object = listener.translate(parent.gateway, settings);
                objects.push((listener.id.clone(), object.into()));
            }
        }
    }
    objects
}

fn odd(backend: &Backend) -> Option<Finding> {
    let fault = backend.fault.clone()?;
    let service = &backend.name.service;
    Some(Finding::new(
        ObjectKind::Service,
        service,
        "spec.ports",
        fault,
    ))
}

/// How many routes each listener of each parent has.
#[derive(Debug, Default)]
struct Attached(Vec<Vec<u32>>);

impl Attached {
    fn count<'r>(gateways: &Gateways, routes: impl Iterator<Item = &'r RouteResult>) -> Self {
        let parents = gateways.parents();
        let mut attached = Self(parents.map(|one| vec![0; one.listeners.len()]).collect());
        for route in routes {
            attached.each(route, |_, count| *count += 1);
        }
        attached
    }

    /// Returns the places of the parents whose counts may be others. Parents are where they were.
    fn update(&mut self, news: &News) -> BTreeSet<usize> {
        let mut touched = BTreeSet::new();
        for change in &news.routes {
            if let Some(before) = &change.before {
                self.each(before, |parent, count| {
                    *count -= 1;
                    touched.insert(parent);
                });
            }
            if let Some(now) = &change.now {
                self.each(now, |parent, count| {
                    *count += 1;
                    touched.insert(parent);
                });
            }
        }
        touched
    }

    /// The count of every listener that a route counts for.
    fn each(&mut self, route: &RouteResult, mut change: impl FnMut(usize, &mut u32)) {
        if route.verdict.is_void() {
            return;
        }
        for (parent, listener) in &route.listeners {
            let counts = self.0.get_mut(*parent);
            if let Some(count) = counts.and_then(|counts| counts.get_mut(*listener)) {
                change(*parent, count);
            }
        }
    }
}
