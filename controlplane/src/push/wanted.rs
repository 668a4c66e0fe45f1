//! The state that every data plane shall reach, encoded once for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::{Id, Object, Version};
use ringgate_core::wire::{self, proto};

/// One version of everything that shall be in force. Cheap to clone parts of: unchanged objects are
/// shared with the version before.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub version: Version,
    pub(super) objects: BTreeMap<Id, Encoded>,
}

#[derive(Clone, Debug)]
pub(super) struct Encoded {
    object: Arc<Object>,
    pub(super) entry: Arc<proto::Entry>,
}

impl Wanted {
    /// `objects` at `version`. Whatever `previous` has already isn't encoded again.
    #[must_use]
    pub fn new(
        version: Version,
        objects: &BTreeMap<Id, Arc<Object>>,
        previous: Option<&Self>,
    ) -> Self {
        let encode = |(id, object): (&Id, &Arc<Object>)| {
            let known = previous
                .and_then(|previous| previous.objects.get_key_value(id))
                .filter(|(_, known)| Arc::ptr_eq(&known.object, object) || known.object == *object);
            match known {
                Some((id, known)) => (id.clone(), known.clone()),
                None => (id.clone(), Encoded::new(id, object)),
            }
        };
        Self {
            version,
            objects: objects.iter().map(encode).collect(),
        }
    }

    /// Whether the same objects are wanted, whatever the version.
    #[must_use]
    pub fn same_objects(&self, other: &Self) -> bool {
        self.objects.len() == other.objects.len()
            && self
                .objects
                .iter()
                .zip(&other.objects)
                .all(|((id, one), (other_id, other))| {
                    id == other_id && one.entry.hash == other.entry.hash
                })
    }

    /// Ids, ascending, with content hashes and wire entries.
    pub fn entries(&self) -> impl Iterator<Item = (&Id, &Arc<proto::Entry>)> {
        self.objects.iter().map(|(id, one)| (id, &one.entry))
    }

    #[must_use]
    pub fn entry(&self, id: &Id) -> Option<&proto::Entry> {
        self.objects.get(id).map(|one| &*one.entry)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

impl Encoded {
    fn new(id: &Id, object: &Arc<Object>) -> Self {
        Self {
            object: object.clone(),
            entry: wire::encode_entry(id, object).into(),
        }
    }
}
