//! The statuses that stand now, with the times of their conditions. Kept in memory; who writes them
//! elsewhere reads them here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use ringgate_core::ir::{Id, Object, ObjectName, Version};

use super::condition::{Condition, stamp};
use super::coverage::Coverage;
use super::objects::{
    self, ClassStatus, GatewayStatus, ListenerSetStatus, ListenerStatus, PolicyStatus, RouteStatus,
    Since,
};
use super::write::{ObjectStatus, StatusChange};
use crate::api::{ObjectKey, ObjectKind};
use crate::translate::verdict::{RouteVerdict, Verdicts};

#[derive(Debug, Default)]
pub struct Board {
    pub classes: BTreeMap<Arc<str>, Arc<ClassStatus>>,
    pub gateways: BTreeMap<ObjectName, Arc<GatewayStatus>>,
    pub listener_sets: BTreeMap<ObjectName, Arc<ListenerSetStatus>>,
    pub policies: BTreeMap<ObjectKey, Arc<PolicyStatus>>,
    /// In order of kind and name.
    routes: Vec<Posted>,
    listeners: BTreeMap<Id, (Arc<Object>, Version)>,
    /// Whose status is another than when it was asked last.
    changed: BTreeSet<ObjectKey>,
}

/// A route's status, and what it was made from.
#[derive(Debug)]
struct Posted {
    key: ObjectKey,
    verdict: Arc<RouteVerdict>,
    refusal: Option<String>,
    status: Arc<RouteStatus>,
}

impl Board {
    /// Notes that `objects` are what `version` puts in force.
    pub fn sent(&mut self, version: Version, objects: &BTreeMap<Id, Arc<Object>>) {
        let before = std::mem::take(&mut self.listeners);
        let listeners = objects
            .iter()
            .take_while(|(id, _)| id.kind == ringgate_core::ir::Kind::Listener);
        self.listeners = listeners
            .map(|(id, object)| {
                let since = match before.get(id) {
                    Some((same, since)) if same == object => *since,
                    _ => version,
                };
                (id.clone(), (object.clone(), since))
            })
            .collect();
    }

    /// Brings all statuses up to date.
    pub fn update(&mut self, verdicts: &Verdicts, coverage: &Coverage, now: SystemTime) {
        self.update_classes(verdicts, now);
        self.update_gateways(verdicts, coverage, now);
        self.update_routes(verdicts, coverage, now);
        self.update_policies(verdicts, now);
    }

    pub fn routes(&self) -> impl Iterator<Item = &RouteStatus> {
        self.routes.iter().map(|posted| &*posted.status)
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
            kind if kind.is_route() => {
                let found = self.routes.binary_search_by(|one| one.key.cmp(key));
                let posted = self.routes.get(found.ok()?)?;
                ObjectStatus::Route(posted.status.clone())
            }
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
        let listeners = self.listeners.iter();
        let since: Since = listeners
            .map(|(id, (_, since))| (id.clone(), *since))
            .collect();
        let before = std::mem::take(&mut self.gateways);
        let posted = verdicts.gateways.iter().map(|(name, verdict)| {
            let mut status = objects::gateway(name, verdict, &since, coverage);
            let old = before.get(name);
            let old = old.map(|old| (old.conditions.as_slice(), old.listeners.as_slice()));
            let new = (&mut status.conditions, &mut status.listeners);
            stamp_all(new, old, verdict.generation, now);
            (name.clone(), status)
        });
        let key = |kind| {
            move |name: &ObjectName| ObjectKey {
                kind,
                name: name.clone(),
            }
        };
        let changed = &mut self.changed;
        self.gateways = post(&before, posted, key(ObjectKind::Gateway), changed);
        let before = std::mem::take(&mut self.listener_sets);
        let posted = verdicts.listener_sets.iter().map(|(name, verdict)| {
            let mut status = objects::listener_set(name, verdict, &since, coverage);
            let old = before.get(name);
            let old = old.map(|old| (old.conditions.as_slice(), old.listeners.as_slice()));
            let new = (&mut status.conditions, &mut status.listeners);
            stamp_all(new, old, verdict.generation, now);
            (name.clone(), status)
        });
        self.listener_sets = post(&before, posted, key(ObjectKind::ListenerSet), changed);
    }

    /// Most of ten thousand routes didn't change: those keep what was posted.
    fn update_routes(&mut self, verdicts: &Verdicts, coverage: &Coverage, now: SystemTime) {
        let mut before = std::mem::take(&mut self.routes).into_iter().peekable();
        let mut changed = |key: &ObjectKey| self.changed.insert(key.clone());
        let mut posted = Vec::with_capacity(verdicts.routes.len());
        for (key, verdict) in &verdicts.routes {
            while let Some(gone) = before.next_if(|old| old.key < *key) {
                changed(&gone.key);
            }
            let old = before.next_if(|old| old.key == *key);
            let refusal = coverage.failure(&verdict.id);
            posted.push(match old {
                Some(old) if old.holds(verdict, refusal) => old,
                old => {
                    changed(key);
                    let old = old.as_ref().map(|old| &*old.status);
                    Posted::new(key, verdict, refusal, old, now)
                }
            });
        }
        for gone in before {
            changed(&gone.key);
        }
        self.routes = posted;
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
            key: key.clone(),
            verdict: verdict.clone(),
            refusal: refusal.map(str::to_owned),
            status: status.into(),
        }
    }

    fn holds(&self, verdict: &Arc<RouteVerdict>, refusal: Option<&str>) -> bool {
        Arc::ptr_eq(&self.verdict, verdict) && self.refusal.as_deref() == refusal
    }
}
