//! The objects that a table is compiled from. Each is shared, so that whoever keeps a copy of them all
//! (the one on disk) copies pointers only.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

use serde::Serialize;

use crate::ir::{Id, Object};

/// By id, ascending. A clone shares the objects.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Objects(BTreeMap<Id, Arc<Object>>);

impl Objects {
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<&Object> {
        self.0.get(id).map(|object| &**object)
    }

    #[must_use]
    pub fn contains_key(&self, id: &Id) -> bool {
        self.0.contains_key(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Id, &Object)> {
        self.into_iter()
    }

    pub fn keys(&self) -> impl Iterator<Item = &Id> {
        self.0.keys()
    }

    pub fn values(&self) -> impl Iterator<Item = &Object> {
        self.0.values().map(|object| &**object)
    }

    pub(super) fn insert(&mut self, id: Id, object: Object) {
        self.0.insert(id, Arc::new(object));
    }

    pub(super) fn remove(&mut self, id: &Id) -> Option<Arc<Object>> {
        self.0.remove(id)
    }
}

impl<'o> IntoIterator for &'o Objects {
    type Item = (&'o Id, &'o Object);
    type IntoIter = Iter<'o>;

    fn into_iter(self) -> Iter<'o> {
        Iter(self.0.iter())
    }
}

/// See [`Objects::iter`].
#[derive(Debug)]
pub struct Iter<'o>(btree_map::Iter<'o, Id, Arc<Object>>);

impl<'o> Iterator for Iter<'o> {
    type Item = (&'o Id, &'o Object);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(id, object)| (id, &**object))
    }
}
