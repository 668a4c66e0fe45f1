//! What leads a data plane from what it has to what is wanted: one version, cut into parts that are small
//! enough for a message.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::{Id, Version};
use ringgate_core::wire::{self, proto};

use super::wanted::Wanted;
use crate::limits::PART_BYTES;

/// What a data plane has.
#[derive(Debug)]
pub(super) enum Held {
    /// Content hashes, as it said.
    Said(BTreeMap<Id, u64>),
    /// What it was sent last.
    Sent(Arc<Wanted>),
}

impl Held {
    fn is_empty(&self) -> bool {
        match self {
            Self::Said(hashes) => hashes.is_empty(),
            Self::Sent(sent) => sent.is_empty(),
        }
    }
}

/// What leads from `held` to `wanted`, cut into parts. A data plane that has nothing is told a full
/// state, so that nothing it may have loaded meanwhile stays.
pub(super) fn parts(wanted: &Wanted, held: &Held) -> Vec<proto::Update> {
    let mut parts = Parts::new(wanted.version, held.is_empty());
    match held {
        Held::Said(hashes) => parts.lead_from_said(hashes, wanted),
        Held::Sent(sent) => parts.lead_from_sent(sent, wanted),
    }
    parts.finish()
}

/// The parts of one version.
struct Parts {
    closed: Vec<proto::Update>,
    open: proto::Update,
    open_bytes: usize,
}

impl Parts {
    fn new(version: Version, full: bool) -> Self {
        let open = proto::Update {
            version: Some(wire::encode_version(version)),
            full,
            ..proto::Update::default()
        };
        Self {
            closed: Vec::new(),
            open,
            open_bytes: 0,
        }
    }

    fn lead_from_said(&mut self, hashes: &BTreeMap<Id, u64>, wanted: &Wanted) {
        let mut said = hashes.iter().peekable();
        for (id, entry) in wanted.entries() {
            while let Some((gone, _)) = said.next_if(|(one, _)| *one < id) {
                self.remove(gone);
            }
            match said.next_if(|(one, _)| *one == id) {
                Some((_, hash)) if *hash == entry.hash => {}
                _ => self.upsert(id, entry),
            }
        }
        for (gone, _) in said {
            self.remove(gone);
        }
    }

    fn lead_from_sent(&mut self, sent: &Wanted, wanted: &Wanted) {
        for change in sent.changes(wanted) {
            match change.now {
                Some(entry) => self.upsert(change.key, entry),
                None => self.remove(change.key),
            }
        }
    }

    fn remove(&mut self, id: &Id) {
        self.make_room(id.path.len() + ENTRY_OVERHEAD);
        self.open.remove.push(wire::encode_id(id));
    }

    fn upsert(&mut self, id: &Id, entry: &proto::Entry) {
        self.make_room(id.path.len() + entry.object.len() + ENTRY_OVERHEAD);
        self.open.upsert.push(entry.clone());
    }

    fn make_room(&mut self, bytes: usize) {
        if self.open_bytes > 0 && self.open_bytes + bytes > PART_BYTES {
            let next = proto::Update {
                version: self.open.version,
                full: self.open.full,
                ..proto::Update::default()
            };
            self.closed.push(std::mem::replace(&mut self.open, next));
            self.open_bytes = 0;
        }
        self.open_bytes += bytes;
    }

    fn finish(mut self) -> Vec<proto::Update> {
        self.open.last = true;
        self.closed.push(self.open);
        self.closed
    }
}

/// Tags, lengths and the hash of an entry, rounded up.
const ENTRY_OVERHEAD: usize = 32;
