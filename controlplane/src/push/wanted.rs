//! The state that every data plane shall reach, encoded once for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::{Id, Object, Version};
use ringgate_core::wire::{self, proto};

/// One version of everything that shall be in force. What didn't change is shared with the version
/// before.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub version: Version,
    /// Ascending.
    objects: Vec<(Id, Encoded)>,
}

#[derive(Clone, Debug)]
struct Encoded {
    object: Arc<Object>,
    entry: Arc<proto::Entry>,
}

impl Wanted {
    /// `objects` at `version`. Whatever `previous` has already isn't encoded again.
    #[must_use]
    pub fn new(
        version: Version,
        objects: &BTreeMap<Id, Arc<Object>>,
        previous: Option<&Self>,
    ) -> Self {
        let known = previous.map(|previous| previous.objects.as_slice());
        let mut known = known.unwrap_or_default().iter().peekable();
        let encode = |(id, object): (&Id, &Arc<Object>)| {
            while known.next_if(|(one, _)| one < id).is_some() {}
            match known.next_if(|(one, _)| one == id) {
                Some((id, one)) if one.is_of(object) => (id.clone(), one.clone()),
                _ => (id.clone(), Encoded::new(id, object)),
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
        let mut pairs = self.objects.iter().zip(&other.objects);
        self.objects.len() == other.objects.len()
            && pairs.all(|((id, one), (other_id, other))| {
                Arc::ptr_eq(&one.entry, &other.entry)
                    || id == other_id && one.entry.hash == other.entry.hash
            })
    }

    /// Ids, ascending, with content hashes and wire entries.
    pub fn entries(&self) -> impl Iterator<Item = (&Id, &Arc<proto::Entry>)> {
        self.objects.iter().map(|(id, one)| (id, &one.entry))
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

    fn is_of(&self, object: &Arc<Object>) -> bool {
        Arc::ptr_eq(&self.object, object) || self.object == *object
    }
}
