//! The statuses that stand now, with the times of their conditions. Kept in memory; who writes them
//! elsewhere reads them here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use ringgate_core::ir::{Id, Object, ObjectName, Version};

use super::condition::{Condition, stamp};
use super::coverage::Coverage;
use super::objects::{
    self, ClassStatus, GatewayStatus, ListenerSetStatus, ListenerStatus, PolicyStatus, RouteStatus,
    Since,
};
use crate::api::ObjectKey;
use crate::translate::verdict::{RouteVerdict, Verdicts};

#[derive(Debug, Default)]
pub struct Board {
    pub classes: BTreeMap<Arc<str>, ClassStatus>,
    pub gateways: BTreeMap<ObjectName, GatewayStatus>,
    pub listener_sets: BTreeMap<ObjectName, ListenerSetStatus>,
    pub policies: BTreeMap<ObjectKey, PolicyStatus>,
    /// In order of name.
    routes: Vec<Posted>,
    listeners: BTreeMap<Id, (Arc<Object>, Version)>,
}

/// A route's status, and what it was made from.
#[derive(Debug)]
struct Posted {
    name: ObjectName,
    verdict: Arc<RouteVerdict>,
    refusal: Option<String>,
    status: RouteStatus,
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
        self.routes.iter().map(|posted| &posted.status)
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
        self.classes = posted.collect();
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
        self.gateways = posted.collect();
        let before = std::mem::take(&mut self.listener_sets);
        let posted = verdicts.listener_sets.iter().map(|(name, verdict)| {
            let mut status = objects::listener_set(name, verdict, &since, coverage);
            let old = before.get(name);
            let old = old.map(|old| (old.conditions.as_slice(), old.listeners.as_slice()));
            let new = (&mut status.conditions, &mut status.listeners);
            stamp_all(new, old, verdict.generation, now);
            (name.clone(), status)
        });
        self.listener_sets = posted.collect();
    }

    /// Most of ten thousand routes didn't change: those keep what was posted.
    fn update_routes(&mut self, verdicts: &Verdicts, coverage: &Coverage, now: SystemTime) {
        let mut before = std::mem::take(&mut self.routes).into_iter().peekable();
        let posted = verdicts.http_routes.iter().map(|(name, verdict)| {
            while before.next_if(|old| old.name < *name).is_some() {}
            let old = before.next_if(|old| old.name == *name);
            let refusal = coverage.failure(&Id::http_route(name));
            match old {
                Some(old) if old.holds(verdict, refusal) => old,
                old => Posted::new(name, verdict, refusal, old.map(|old| old.status), now),
            }
        });
        self.routes = posted.collect();
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
        self.policies = posted.collect();
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

impl Posted {
    fn new(
        name: &ObjectName,
        verdict: &Arc<RouteVerdict>,
        refusal: Option<&str>,
        before: Option<RouteStatus>,
        now: SystemTime,
    ) -> Self {
        let mut status = objects::route(name, verdict, refusal);
        for parent in &mut status.parents {
            let mut old = before.iter().flat_map(|status| &status.parents);
            let old = old.find(|old| old.parent_ref == parent.parent_ref);
            let conditions = old.map(|old| old.conditions.as_slice()).unwrap_or_default();
            stamp(&mut parent.conditions, conditions, verdict.generation, now);
        }
        Self {
            name: name.clone(),
            verdict: verdict.clone(),
            refusal: refusal.map(str::to_owned),
            status,
        }
    }

    fn holds(&self, verdict: &Arc<RouteVerdict>, refusal: Option<&str>) -> bool {
        Arc::ptr_eq(&self.verdict, verdict) && self.refusal.as_deref() == refusal
    }
}
