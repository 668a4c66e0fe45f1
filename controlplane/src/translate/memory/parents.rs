//! Which parents of routes are other than at the translation before. An edit of one ListenerSet among
//! thousands then concerns its own routes only.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::routes::RouteResult;
use crate::api::{ObjectKey, ObjectKind};
use crate::translate::gateway::{Gateways, Parent};

/// What became of the parents.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ParentChanges {
    /// Those that came, went, or take routes in another way.
    pub(super) changed: BTreeSet<ObjectKey>,
    /// The place now of each parent there was, by its place before; none: it is gone. Empty: all are
    /// where they were.
    moved: Vec<Option<usize>>,
}

impl ParentChanges {
    pub(super) fn between(before: &Gateways, now: &Gateways) -> Self {
        let mut changes = Self::default();
        let mut moved = Vec::new();
        let mut old = before.parents().peekable();
        let mut new = now.parents().peekable();
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some(old), Some(new)) => old.key.cmp(&new.key),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let old = old.next_if(|_| order.is_le());
            let new = new.next_if(|_| order.is_ge());
            if old.is_some() {
                moved.push(new.as_ref().map(|one| one.place));
            }
            match (old, new) {
                (Some(old), Some(new)) if takes_alike(&old, &new) => {}
                (old, new) => changes.changed.extend(new.or(old).map(|one| one.key)),
            }
        }
        for (kind, before, now) in [
            (ObjectKind::Gateway, before.foreign(), now.foreign()),
            (
                ObjectKind::ListenerSet,
                before.sets.foreign(),
                now.sets.foreign(),
            ),
        ] {
            changes.add_difference(kind, before, now);
        }
        let is_same = |(place, now): (usize, &Option<usize>)| *now == Some(place);
        if !moved.iter().enumerate().all(is_same) {
            changes.moved = moved;
        }
        changes
    }

    /// Both ascending.
    fn add_difference(&mut self, kind: ObjectKind, before: &[ObjectName], now: &[ObjectName]) {
        let only = |some: &[ObjectName], others: &[ObjectName]| -> Vec<ObjectKey> {
            let missing = some.iter().filter(|one| others.binary_search(one).is_err());
            let names = missing.cloned();
            names.map(|name| ObjectKey { kind, name }).collect()
        };
        if before != now {
            self.changed.extend(only(before, now));
            self.changed.extend(only(now, before));
        }
    }

    /// Puts places of parents that are there still where they are now.
    pub(super) fn renumber<'r>(&self, results: impl Iterator<Item = &'r mut Arc<RouteResult>>) {
        if self.moved.is_empty() {
            return;
        }
        for result in results {
            for (parent, _) in &mut Arc::make_mut(result).listeners {
                if let Some(Some(now)) = self.moved.get(*parent) {
                    *parent = *now;
                }
            }
        }
    }
}

/// Whether every route fares the same with both.
fn takes_alike(one: &Parent<'_>, other: &Parent<'_>) -> bool {
    let mut pairs = one.listeners.iter().zip(other.listeners);
    one.is_taken == other.is_taken
        && one.listeners == other.listeners
        && pairs.all(|(mine, theirs)| {
            one.gateway.is_in_force(mine) == other.gateway.is_in_force(theirs)
        })
}
