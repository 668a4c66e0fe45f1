//! The statuses that stand now, with the times of their conditions. Kept in memory; who writes them
//! elsewhere reads them here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use ringgate_core::ir::{Id, Kind, Object, ObjectName, Version};

use super::condition::{Condition, stamp};
use super::coverage::{Coverage, Reached};
use super::objects::{
    self, ClassStatus, GatewayStatus, ListenerSetStatus, ListenerStatus, PolicyStatus, RouteStatus,
    Since,
};
use super::pools::{self, PoolStatus};
use super::write::{ObjectStatus, StatusChange};
use crate::api::{ObjectKey, ObjectKind};
use crate::shared_map::SharedMap;
use crate::translate::verdict::{RouteVerdict, SetVerdict, Verdicts};

#[derive(Debug, Default)]
pub struct Board {
    pub classes: BTreeMap<Arc<str>, Arc<ClassStatus>>,
    pub gateways: BTreeMap<ObjectName, Arc<GatewayStatus>>,
    pub listener_sets: BTreeMap<ObjectName, Arc<ListenerSetStatus>>,
    pub policies: BTreeMap<ObjectKey, Arc<PolicyStatus>>,
    pub pools: BTreeMap<ObjectName, Arc<PoolStatus>>,
    routes: BTreeMap<ObjectKey, Posted>,
    /// What the statuses of ListenerSets and routes were made from.
    sets_seen: SharedMap<ObjectName, Arc<SetVerdict>>,
    routes_seen: SharedMap<ObjectKey, Arc<RouteVerdict>>,
    failures: BTreeMap<Id, String>,
    sent: SharedMap<Id, Arc<Object>>,
    since: Since,
    /// What data planes had reached at the last update.
    coverage: Coverage,
    /// The listeners that were sent since.
    resent: BTreeSet<Id>,
    of_listener: BTreeMap<Id, ObjectName>,
    /// ListenerSets with a listener that wasn't in force everywhere at the last update.
    unsettled: BTreeSet<ObjectName>,
    /// Whose status is another than when it was asked last.
    changed: BTreeSet<ObjectKey>,
}

/// A route's status, and what it was made from.
#[derive(Debug)]
struct Posted {
    verdict: Arc<RouteVerdict>,
    refusal: Option<String>,
    status: Arc<RouteStatus>,
}

impl Board {
    /// Notes that `objects` are what `version` puts in force.
    pub fn sent(&mut self, version: Version, objects: &SharedMap<Id, Arc<Object>>) {
        let is_same = |one: &Arc<Object>, other: &Arc<Object>| one == other;
        let differences = self.sent.differences(objects, is_same).into_iter();
        for one in differences.filter(|one| one.key.kind == Kind::Listener) {
            match one.now {
                Some(_) => self.since.insert(one.key.clone(), version),
                None => self.since.remove(one.key),
            };
            self.resent.insert(one.key.clone());
        }
        self.sent = objects.clone();
    }

    /// Brings all statuses up to date.
    pub fn update(&mut self, verdicts: &Verdicts, coverage: &Coverage, now: SystemTime) {
        self.update_classes(verdicts, now);
        self.update_gateways(verdicts, coverage, now);
        self.update_sets(verdicts, coverage, now);
        self.update_routes(verdicts, coverage, now);
        self.update_policies(verdicts, now);
        self.update_pools(verdicts, now);
    }

    pub fn routes(&self) -> impl Iterator<Item = &RouteStatus> {
        self.routes.values().map(|posted| &*posted.status)
    }

    /// Every status that is another than when this was asked last.
    pub fn take_changes(&mut self) -> Vec<StatusChange> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        changed
            .map(|key| {
                let status = self.status(&key);
                (key, status)
            })
            .collect()
    }

    /// None: nothing is said of it, because it isn't ours, or not there.
    fn status(&self, key: &ObjectKey) -> Option<ObjectStatus> {
        Some(match key.kind {
            ObjectKind::GatewayClass => {
                ObjectStatus::Class(self.classes.get(&key.name.name)?.clone())
            }
            ObjectKind::Gateway => ObjectStatus::Gateway(self.gateways.get(&key.name)?.clone()),
            ObjectKind::ListenerSet => {
                ObjectStatus::ListenerSet(self.listener_sets.get(&key.name)?.clone())
            }
            ObjectKind::AddressPool => ObjectStatus::Pool(self.pools.get(&key.name)?.clone()),
            kind if kind.is_route() => ObjectStatus::Route(self.routes.get(key)?.status.clone()),
            _ => ObjectStatus::Policy(self.policies.get(key)?.clone()),
        })
    }

    fn update_classes(&mut self, verdicts: &Verdicts, now: SystemTime) {
        let before = std::mem::take(&mut self.classes);
        let posted = verdicts.gateway_classes.iter().map(|(name, verdict)| {
            let mut status = objects::class(name, verdict);
            let old = before.get(name).map(|old| old.conditions.as_slice());
            stamp(
                &mut status.conditions,
                old.unwrap_or_default(),
                verdict.generation,
                now,
            );
            (name.clone(), status)
        });
        let key = |name: &Arc<str>| ObjectKey::new(ObjectKind::GatewayClass, "", name);
        self.classes = post(&before, posted, key, &mut self.changed);
    }

    fn update_gateways(&mut self, verdicts: &Verdicts, coverage: &Coverage, now: SystemTime) {
        let before = std::mem::take(&mut self.gateways);
        let posted = verdicts.gateways.iter().map(|(name, verdict)| {
            let mut status = objects::gateway(name, verdict, &self.since, coverage);
            let old = before.get(name);
            let old = old.map(|old| (old.conditions.as_slice(), old.listeners.as_slice()));
            let new = (&mut status.conditions, &mut status.listeners);
            stamp_all(new, old, verdict.generation, now);
            (name.clone(), status)
        });
        let key = |name: &ObjectName| ObjectKey {
            kind: ObjectKind::Gateway,
            name: name.clone(),
        };
        self.gateways = post(&before, posted, key, &mut self.changed);
    }

    /// Of a set that is in force everywhere only another verdict makes another status, or a data plane that
    /// falls behind.
    fn update_sets(&mut self, verdicts: &Verdicts, coverage: &Coverage, now: SystemTime) {
        let all = &verdicts.listener_sets;
        let mut names = self.resent_sets();
        if self.coverage != *coverage {
            match coverage.floor() < self.coverage.floor() {
                true => names.extend(all.keys().cloned()),
                false => names.extend(self.unsettled.iter().cloned()),
            }
            let failed = coverage.failures().keys();
            let failed = failed.filter_map(|id| self.of_listener.get(id));
            names.extend(failed.cloned());
            self.coverage = coverage.clone();
        }
        let seen = std::mem::replace(&mut self.sets_seen, all.clone());
        for one in seen.differences(all, Arc::ptr_eq) {
            self.note_listeners(one.key, one.before, one.now);
            names.insert(one.key.clone());
        }
        for name in names {
            self.update_set(&name, all.get(&name), coverage, now);
        }
    }

    fn resent_sets(&mut self) -> BTreeSet<ObjectName> {
        let resent = std::mem::take(&mut self.resent);
        let sets = resent.iter().filter_map(|id| self.of_listener.get(id));
        sets.cloned().collect()
    }

    fn note_listeners(
        &mut self,
        name: &ObjectName,
        before: Option<&Arc<SetVerdict>>,
        now: Option<&Arc<SetVerdict>>,
    ) {
        for one in before.iter().flat_map(|set| &set.listeners) {
            self.of_listener.remove(&one.id);
        }
        for one in now.iter().flat_map(|set| &set.listeners) {
            self.of_listener.insert(one.id.clone(), name.clone());
        }
    }

    fn update_set(
        &mut self,
        name: &ObjectName,
        verdict: Option<&Arc<SetVerdict>>,
        coverage: &Coverage,
        now: SystemTime,
    ) {
        let old = self.listener_sets.get(name);
        let key = || ObjectKey {
            kind: ObjectKind::ListenerSet,
            name: name.clone(),
        };
        let Some(verdict) = verdict else {
            self.changed.extend(old.map(|_| key()));
            self.listener_sets.remove(name);
            self.unsettled.remove(name);
            return;
        };
        let mut status = objects::listener_set(name, verdict, &self.since, coverage);
        let before = old.map(|old| (old.conditions.as_slice(), old.listeners.as_slice()));
        let new = (&mut status.conditions, &mut status.listeners);
        stamp_all(new, before, verdict.generation, now);
        if old.is_none_or(|old| **old != status) {
            self.changed.insert(key());
            self.listener_sets.insert(name.clone(), status.into());
        }
        let mut in_force = verdict.listeners.iter().filter(|one| one.in_force);
        let is_everywhere = |id: &Id| {
            let since = self.since.get(id);
            since.is_some_and(|since| coverage.reached(id, *since) == Reached::Everywhere)
        };
        match in_force.all(|one| is_everywhere(&one.id)) {
            true => self.unsettled.remove(name),
            false => self.unsettled.insert(name.clone()),
        };
    }

    /// Most of ten thousand routes didn't change: those keep what was posted.
    fn update_routes(&mut self, verdicts: &Verdicts, coverage: &Coverage, now: SystemTime) {
        let all = &verdicts.routes;
        let differences = self.routes_seen.differences(all, Arc::ptr_eq).into_iter();
        let mut keys: BTreeSet<&ObjectKey> = differences.map(|one| one.key).collect();
        if self.failures != *coverage.failures() {
            self.failures.clone_from(coverage.failures());
            keys.extend(all.keys());
        }
        for key in keys {
            let Some(verdict) = all.get(key) else {
                let gone = self.routes.remove(key);
                self.changed.extend(gone.map(|_| key.clone()));
                continue;
            };
            let refusal = coverage.failure(&verdict.id);
            let old = self.routes.get(key);
            if old.is_some_and(|old| old.holds(verdict, refusal)) {
                continue;
            }
            let old = old.map(|old| &*old.status);
            let posted = Posted::new(key, verdict, refusal, old, now);
            self.routes.insert(key.clone(), posted);
            self.changed.insert(key.clone());
        }
        self.routes_seen = all.clone();
    }

    fn update_policies(&mut self, verdicts: &Verdicts, now: SystemTime) {
        let before = std::mem::take(&mut self.policies);
        let posted = verdicts.policies.iter().map(|(key, verdict)| {
            let mut status = objects::policy(key, verdict);
            let old = before.get(key);
            for ancestor in &mut status.ancestors {
                let mut there = old.into_iter().flat_map(|old| &old.ancestors);
                let old = there.find(|old| old.ancestor_ref == ancestor.ancestor_ref);
                let conditions = old.map(|old| old.conditions.as_slice()).unwrap_or_default();
                stamp(
                    &mut ancestor.conditions,
                    conditions,
                    verdict.generation,
                    now,
                );
            }
            (key.clone(), status)
        });
        self.policies = post(&before, posted, ObjectKey::clone, &mut self.changed);
    }

    fn update_pools(&mut self, verdicts: &Verdicts, now: SystemTime) {
        let before = std::mem::take(&mut self.pools);
        let posted = verdicts.pools.iter().map(|(name, verdict)| {
            let mut status = pools::pool(name, verdict);
            let old = before.get(name).map(|old| old.conditions.as_slice());
            let old = old.unwrap_or_default();
            stamp(&mut status.conditions, old, verdict.generation, now);
            (name.clone(), status)
        });
        let key = |name: &ObjectName| ObjectKey {
            kind: ObjectKind::AddressPool,
            name: name.clone(),
        };
        self.pools = post(&before, posted, key, &mut self.changed);
    }
}

/// Stamps an object's own conditions and those of its listeners.
fn stamp_all(
    (conditions, listeners): (&mut Vec<Condition>, &mut Vec<ListenerStatus>),
    before: Option<(&[Condition], &[ListenerStatus])>,
    generation: i64,
    now: SystemTime,
) {
    let (old, old_listeners) = before.unwrap_or_default();
    stamp(conditions, old, generation, now);
    for listener in listeners {
        let old = old_listeners.iter().find(|one| one.name == listener.name);
        let old = old.map(|one| one.conditions.as_slice());
        let conditions = &mut listener.conditions;
        stamp(conditions, old.unwrap_or_default(), generation, now);
    }
}

/// Statuses as they are now; of those that are as before, the ones before.
fn post<K: Ord, S: PartialEq>(
    before: &BTreeMap<K, Arc<S>>,
    now: impl Iterator<Item = (K, S)>,
    key: impl Fn(&K) -> ObjectKey,
    changed: &mut BTreeSet<ObjectKey>,
) -> BTreeMap<K, Arc<S>> {
    let now = now.map(|(name, status)| match before.get(&name) {
        Some(old) if **old == status => (name, old.clone()),
        _ => {
            changed.insert(key(&name));
            (name, Arc::new(status))
        }
    });
    let now: BTreeMap<K, Arc<S>> = now.collect();
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    changed.extend(gone.map(&key));
    now
}

impl Posted {
    fn new(
        key: &ObjectKey,
        verdict: &Arc<RouteVerdict>,
        refusal: Option<&str>,
        before: Option<&RouteStatus>,
        now: SystemTime,
    ) -> Self {
        let mut status = objects::route(key, verdict, refusal);
        for parent in &mut status.parents {
            let mut old = before.into_iter().flat_map(|status| &status.parents);
            let old = old.find(|old| old.parent_ref == parent.parent_ref);
            let conditions = old.map(|old| old.conditions.as_slice()).unwrap_or_default();
            stamp(&mut parent.conditions, conditions, verdict.generation, now);
        }
        Self {
            verdict: verdict.clone(),
            refusal: refusal.map(str::to_owned),
            status: status.into(),
        }
    }

    fn holds(&self, verdict: &Arc<RouteVerdict>, refusal: Option<&str>) -> bool {
        Arc::ptr_eq(&self.verdict, verdict) && self.refusal.as_deref() == refusal
    }
}
