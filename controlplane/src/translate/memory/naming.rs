//! Which routes name a Gateway, a ListenerSet or a Service, there or not.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use ringgate_core::ir::ObjectName;

use crate::api::ObjectKey;

/// Of routes of one kind.
#[derive(Debug, Default)]
pub(super) struct Naming(BTreeMap<ObjectKey, Names>);

/// Most often one: a set of one would take ten times the memory.
#[derive(Debug)]
enum Names {
    One(ObjectName),
    Several(BTreeSet<ObjectName>),
}

impl Naming {
    pub(super) fn insert(&mut self, key: ObjectKey, route: &ObjectName) {
        match self.0.entry(key) {
            Entry::Vacant(free) => {
                free.insert(Names::One(route.clone()));
            }
            Entry::Occupied(mut names) => match names.get_mut() {
                Names::One(one) if one == route => {}
                Names::One(one) => {
                    let both = [one.clone(), route.clone()];
                    names.insert(Names::Several(both.into()));
                }
                Names::Several(names) => {
                    names.insert(route.clone());
                }
            },
        }
    }

    pub(super) fn remove(&mut self, key: &ObjectKey, route: &ObjectName) {
        let is_last = match self.0.get_mut(key) {
            None => false,
            Some(Names::One(one)) => one == route,
            Some(Names::Several(names)) => {
                names.remove(route);
                names.is_empty()
            }
        };
        if is_last {
            self.0.remove(key);
        }
    }

    /// Ascending.
    pub(super) fn routes(&self, key: &ObjectKey) -> impl Iterator<Item = &ObjectName> + use<'_> {
        let (one, several) = match self.0.get(key) {
            None => (None, None),
            Some(Names::One(one)) => (Some(one), None),
            Some(Names::Several(names)) => (None, Some(names)),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }
}
