//! What the last translation came to, brought up to date by what has changed since: an edit costs what
//! it touches, however much else there is.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringgate_core::ir::{Id, Object, ObjectName};

use super::gateway::{Gateways, Parent};
use super::load_balancer::ServedPort;
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
    /// How many sets of each Gateway are accepted.
    accepted: BTreeMap<ObjectName, u32>,
    listener_policies: ByName<ListenerPolicy>,
    /// Of `objects`, the listeners of each parent.
    listeners: BTreeMap<ObjectKey, Vec<Id>>,
    /// Of `objects`, those that are neither routes' nor parents'.
    backends: BTreeSet<Id>,
    authorities: BTreeSet<Id>,
    /// What Services of type LoadBalancer ask for.
    of_services: BTreeSet<Id>,
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
        if self.listener_policies.is_same(settings) {
            self.take_listeners(news.parents.iter().cloned(), gateways, policies);
        } else {
            self.listener_policies = settings.clone();
            let gone: Vec<ObjectKey> = self.listeners.keys().cloned().collect();
            let now = gateways.parents().map(|parent| parent.key);
            self.take_listeners(gone.into_iter().chain(now), gateways, policies);
        }
        if news.of_backends {
            self.take_backends(memory);
        }
        if !news.parents.is_empty() {
            self.material.name(gateways, &mut self.objects);
        }
        self.material.update(resources, &mut self.objects);
        for key in self.attached.update(gateways, news) {
            self.take_set(gateways, &key);
        }
    }

    /// Those of these parents, which may be gone.
    fn take_listeners(
        &mut self,
        parents: impl Iterator<Item = ObjectKey>,
        gateways: &Gateways,
        policies: &Policies<'_>,
    ) {
        for key in parents {
            let parent = gateways.parent(&key);
            let now = parent.map(|parent| listeners(&parent, policies));
            let now = now.unwrap_or_default();
            let ids: Vec<Id> = now.iter().map(|(id, _)| id.clone()).collect();
            let before = match ids.is_empty() {
                true => self.listeners.remove(&key),
                false => self.listeners.insert(key, ids),
            };
            put(
                &mut self.objects,
                &mut before.into_iter().flatten().collect(),
                now,
            );
        }
    }

    /// What serves Services of type LoadBalancer.
    pub(super) fn take_ports(&mut self, ports: Vec<ServedPort>) {
        let objects = ports.into_iter().flat_map(|one| one.objects);
        let objects = objects.map(|(id, object)| (id, Arc::new(object)));
        put(&mut self.objects, &mut self.of_services, objects);
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
        let drafts = gateways.drafts.iter();
        drafts
            .map(|(name, draft)| {
                let sets = self.accepted.get(name).copied().unwrap_or_default();
                let counts = self.attached.of(&draft.site.key());
                (name.clone(), draft.verdict(counts, sets))
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

    /// If it is a set's.
    fn take_set(&mut self, gateways: &Gateways, key: &ObjectKey) {
        if key.kind != ObjectKind::ListenerSet {
            return;
        }
        let set = gateways.sets.get(&key.name);
        let now = set.map(|set| set.verdict(self.attached.of(key)));
        let before = self.sets.get(&key.name);
        if before.map(|before| &**before) == now.as_ref() {
            return;
        }
        let accepted = |one: Option<&SetVerdict>| {
            let one = one.filter(|one| one.is_accepted());
            one.map(|one| one.gateway.clone())
        };
        if let Some(gateway) = accepted(before.map(|one| &**one)) {
            let count = self.accepted.entry(gateway);
            if let Entry::Occupied(mut count) = count {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
        if let Some(gateway) = accepted(now.as_ref()) {
            *self.accepted.entry(gateway).or_default() += 1;
        }
        match now {
            Some(now) => self.sets.insert(key.name.clone(), Arc::new(now)),
            None => self.sets.remove(&key.name),
        };
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

/// Those that are in force.
fn listeners(parent: &Parent<'_>, policies: &Policies<'_>) -> Vec<(Id, Arc<Object>)> {
    let listeners = parent.listeners.iter();
    let in_force = listeners.filter(|one| parent.site.is_in_force(one));
    let objects = in_force.map(|listener| {
        let settings = policies.listener_settings(parent, &listener.name);
        let object = listener.translate(parent.site, settings);
        (listener.id.clone(), object.into())
    });
    objects.collect()
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
struct Attached(BTreeMap<ObjectKey, Vec<u32>>);

impl Attached {
    /// Of one parent's listeners, in their order.
    fn of(&self, parent: &ObjectKey) -> &[u32] {
        self.0.get(parent).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the parents that are others, or whose counts may be.
    fn update(&mut self, gateways: &Gateways, news: &News) -> BTreeSet<ObjectKey> {
        let mut touched: BTreeSet<ObjectKey> = news.parents.iter().cloned().collect();
        let before = news.routes.iter().filter_map(|one| one.before.as_ref());
        self.each(before, &mut touched, |count| *count -= 1);
        // Where listeners are others, all their routes are among these.
        for key in &news.parents {
            match gateways.parent(key) {
                Some(parent) => {
                    let counts = self.0.entry(key.clone()).or_default();
                    counts.resize(parent.listeners.len(), 0);
                }
                None => {
                    self.0.remove(key);
                }
            }
        }
        let now = news.routes.iter().filter_map(|one| one.now.as_ref());
        self.each(now, &mut touched, |count| *count += 1);
        touched
    }

    /// The count of every listener that a route counts for.
    fn each<'r>(
        &mut self,
        routes: impl Iterator<Item = &'r Arc<RouteResult>>,
        touched: &mut BTreeSet<ObjectKey>,
        change: impl Fn(&mut u32),
    ) {
        for (parent, listener) in routes
            .filter(|route| !route.verdict.is_void())
            .flat_map(|route| &route.listeners)
        {
            let counts = self.0.get_mut(parent);
            if let Some(count) = counts.and_then(|counts| counts.get_mut(*listener)) {
                change(count);
                touched.insert(parent.clone());
            }
        }
    }
}
