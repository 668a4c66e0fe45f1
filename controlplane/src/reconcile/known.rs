//! What is counted and told of all objects, kept up to date by what has changed of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use ringgate_core::ir::{Id, Kind, Object, ObjectName};

use crate::api::ObjectKey;
use crate::api::gateway::PortPlace;
use crate::provision::service::set_ports;
use crate::shared_map::SharedMap;
use crate::translate::problem::Finding;
use crate::translate::verdict::{RouteVerdict, SetVerdict, Verdicts};

/// How many objects of each kind are wanted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    of: SharedMap<Id, Arc<Object>>,
    counts: BTreeMap<Kind, usize>,
}

impl Counts {
    pub(super) fn update(&mut self, objects: &SharedMap<Id, Arc<Object>>) {
        for one in self.of.differences(objects, Arc::ptr_eq) {
            let count = self.counts.entry(one.key.kind).or_default();
            match (one.before, one.now) {
                (None, Some(_)) => *count += 1,
                (Some(_), None) => *count -= 1,
                _ => {}
            }
        }
        self.of = objects.clone();
    }

    pub(super) fn of(&self, kind: Kind) -> usize {
        self.counts.get(&kind).copied().unwrap_or_default()
    }
}

/// The ports that ListenerSets take.
#[derive(Debug, Default)]
pub(super) struct SetPorts {
    seen: SharedMap<ObjectName, Arc<SetVerdict>>,
    /// How many listeners take each, by Gateway and port.
    counts: BTreeMap<(ObjectName, PortPlace), usize>,
}

impl SetPorts {
    /// By Gateway.
    pub(super) fn update(
        &mut self,
        sets: &SharedMap<ObjectName, Arc<SetVerdict>>,
    ) -> impl Iterator<Item = (&ObjectName, PortPlace)> {
        for one in self.seen.differences(sets, Arc::ptr_eq) {
            for (gateway, port) in one.now.into_iter().flat_map(|set| set_ports(set)) {
                *self.counts.entry((gateway.clone(), port)).or_default() += 1;
            }
            for (gateway, port) in one.before.into_iter().flat_map(|set| set_ports(set)) {
                if let Entry::Occupied(mut count) = self.counts.entry((gateway.clone(), port)) {
                    *count.get_mut() -= 1;
                    if *count.get() == 0 {
                        count.remove();
                    }
                }
            }
        }
        self.seen = sets.clone();
        self.counts.keys().map(|(gateway, port)| (gateway, *port))
    }
}

/// Those of ListenerSets and routes that something is wrong with: few of many.
#[derive(Debug, Default)]
pub(super) struct AtFault {
    sets_seen: SharedMap<ObjectName, Arc<SetVerdict>>,
    routes_seen: SharedMap<ObjectKey, Arc<RouteVerdict>>,
    sets: BTreeMap<ObjectName, Arc<SetVerdict>>,
    routes: BTreeMap<ObjectKey, Arc<RouteVerdict>>,
}

impl AtFault {
    /// All findings of `verdicts`, sorted, each once.
    pub(super) fn findings<'v>(&'v mut self, verdicts: &'v Verdicts) -> Vec<&'v Finding> {
        let is_faulty = |one: &SetVerdict| one.findings().next().is_some();
        let (seen, now) = (&self.sets_seen, &verdicts.listener_sets);
        follow(&mut self.sets, seen, now, is_faulty);
        self.sets_seen = now.clone();
        let is_faulty = |one: &RouteVerdict| one.findings().next().is_some();
        let (seen, now) = (&self.routes_seen, &verdicts.routes);
        follow(&mut self.routes, seen, now, is_faulty);
        self.routes_seen = now.clone();
        let sets = self.sets.values().map(|one| &**one);
        verdicts.findings_with(sets, self.routes.values().map(|one| &**one))
    }
}

/// Brings `kept` from those of `seen` that are wanted to those of `now`.
fn follow<K: Ord + Clone, V>(
    kept: &mut BTreeMap<K, Arc<V>>,
    seen: &SharedMap<K, Arc<V>>,
    now: &SharedMap<K, Arc<V>>,
    is_wanted: impl Fn(&V) -> bool,
) {
    for one in seen.differences(now, Arc::ptr_eq) {
        match one.now.filter(|now| is_wanted(now)) {
            Some(now) => kept.insert(one.key.clone(), now.clone()),
            None => kept.remove(one.key),
        };
    }
}
