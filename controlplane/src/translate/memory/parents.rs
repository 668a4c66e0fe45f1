//! Which parents of routes are other than at the translation before. An edit of one ListenerSet among
//! thousands then concerns its own routes only.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api::{ObjectKey, ObjectKind};
use crate::translate::gateway::{Gateways, Parent};

/// What became of the parents.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ParentChanges {
    /// Those that came, went, or are others.
    pub(super) touched: Vec<ObjectKey>,
    /// Those with which routes fare otherwise.
    pub(super) changed: BTreeSet<ObjectKey>,
}

impl ParentChanges {
    pub(super) fn between(before: &Gateways, now: &Gateways) -> Self {
        let mut changes = Self::default();
        let gateways = before.drafts.differences(&now.drafts, Arc::ptr_eq);
        let gateways = gateways
            .into_iter()
            .map(|one| (ObjectKind::Gateway, one.key));
        let sets = before.sets.differences(&now.sets, Arc::ptr_eq);
        let sets = sets
            .into_iter()
            .map(|one| (ObjectKind::ListenerSet, one.key));
        for (kind, name) in gateways.chain(sets) {
            let name = name.clone();
            let key = ObjectKey { kind, name };
            let pair = before.parent(&key).zip(now.parent(&key));
            if !pair.is_some_and(|(old, new)| takes_alike(&old, &new)) {
                changes.changed.insert(key.clone());
            }
            changes.touched.push(key);
        }
        let foreign = before.foreign().symmetric_difference(now.foreign());
        changes.changed.extend(foreign.cloned());
        changes
    }
}

/// Whether every route fares the same with both.
fn takes_alike(one: &Parent<'_>, other: &Parent<'_>) -> bool {
    let mut pairs = one.listeners.iter().zip(other.listeners);
    one.is_taken == other.is_taken
        && one.listeners == other.listeners
        && pairs.all(|(mine, theirs)| one.site.is_in_force(mine) == other.site.is_in_force(theirs))
}
