//! The state that every data plane shall reach, encoded once for all of them.

use std::sync::Arc;

use ringgate_core::ir::{Id, Object, Version};
use ringgate_core::wire::{self, proto};

use crate::shared_map::{Difference, SharedMap};

/// One version of everything that shall be in force. What didn't change is shared with the version
/// before.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub version: Version,
    objects: SharedMap<Id, Arc<Object>>,
    /// Of the same objects.
    entries: SharedMap<Id, Arc<proto::Entry>>,
}

impl Wanted {
    /// `objects` at `version`. Whatever `previous` has already isn't encoded again.
    #[must_use]
    pub fn new(
        version: Version,
        objects: &SharedMap<Id, Arc<Object>>,
        previous: Option<&Self>,
    ) -> Self {
        let mut wanted = previous.cloned().unwrap_or_default();
        for one in wanted.objects.differences(objects, is_same) {
            match one.now {
                Some(object) => {
                    let entry = wire::encode_entry(one.key, object);
                    wanted.entries.insert(one.key.clone(), entry.into())
                }
                None => wanted.entries.remove(one.key),
            };
        }
        wanted.objects = objects.clone();
        wanted.version = version;
        wanted
    }

    /// What leads from this to `next`: entries that come or are others, and ids that go; ascending.
    pub fn changes<'w>(
        &'w self,
        next: &'w Self,
    ) -> impl Iterator<Item = Difference<'w, Id, Arc<proto::Entry>>> {
        let differences = self.entries.differences(&next.entries, is_equal);
        differences.into_iter()
    }

    /// Whether the same objects are wanted, whatever the version.
    #[must_use]
    pub fn same_objects(&self, other: &Self) -> bool {
        self.changes(other).next().is_none()
    }

    /// Ids, ascending, with content hashes and wire entries.
    pub fn entries(&self) -> impl Iterator<Item = (&Id, &Arc<proto::Entry>)> {
        self.entries.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn is_same(one: &Arc<Object>, other: &Arc<Object>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

fn is_equal(one: &Arc<proto::Entry>, other: &Arc<proto::Entry>) -> bool {
    Arc::ptr_eq(one, other) || one.hash == other.hash
}
