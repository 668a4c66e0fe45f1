//! The streams of a connection that are open (RFC 9113, section 5.1), and those that we ended while the peer
//! may not know.

use std::collections::{HashMap, VecDeque};

/// Streams that we have reset, of which frames may still be on their way.
const RESET: usize = 256;
/// Places of streams that an idle connection keeps.
const KEPT: usize = 8;

/// A stream of one connection. That of one that is over names no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    place: u32,
    id: u32,
}

impl Key {
    /// As the frames have it.
    #[must_use]
    pub const fn id(self) -> u32 {
        self.id
    }
}

/// One that is open at one side at least.
#[derive(Debug)]
pub(super) struct Stream<T> {
    pub(super) id: u32,
    /// What its user knows it by.
    pub(super) tag: Option<T>,
    /// What we may send. Below 0 when the peer has taken some of it back.
    pub(super) send_window: i64,
    /// What the peer may send.
    pub(super) receive_window: i64,
    /// Taken by who reads, but not told to the peer yet.
    pub(super) taken: u32,
    /// Of a body whose length was announced: what is still to come.
    pub(super) expected: Option<u64>,
    /// The peer has ended its side.
    pub(super) has_received_all: bool,
    /// We have ended our side.
    pub(super) has_sent_all: bool,
    /// The final head has come.
    pub(super) has_head: bool,
    /// An answer to it has no body, whatever its head says.
    pub(super) is_head_request: bool,
    /// Interim responses that have come: they are under no window.
    pub(super) interims: u8,
}

#[derive(Debug)]
pub(super) struct Streams<T> {
    places: Vec<Option<Stream<T>>>,
    free: Vec<u32>,
    by_id: HashMap<u32, u32, foldhash::fast::FixedState>,
    /// The oldest first.
    reset: VecDeque<u32>,
}

impl<T> Streams<T> {
    pub(super) fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::default(),
            reset: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn insert(&mut self, stream: Stream<T>) -> Key {
        let id = stream.id;
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(slot) = self.slot(place) {
            *slot = Some(stream);
        }
        self.by_id.insert(id, place);
        Key { place, id }
    }

    fn slot(&mut self, place: u32) -> Option<&mut Option<Stream<T>>> {
        self.places.get_mut(usize::try_from(place).ok()?)
    }

    pub(super) fn key(&self, id: u32) -> Option<Key> {
        let place = *self.by_id.get(&id)?;
        Some(Key { place, id })
    }

    pub(super) fn get(&mut self, key: Key) -> Option<&mut Stream<T>> {
        let stream = self.slot(key.place)?.as_mut()?;
        (stream.id == key.id).then_some(stream)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Stream<T>> {
        self.get(key)?;
        self.by_id.remove(&key.id);
        self.free.push(key.place);
        self.slot(key.place)?.take()
    }

    /// Gives memory back that many streams have left.
    pub(super) fn shrink(&mut self) {
        if self.by_id.is_empty() && self.places.capacity() > KEPT {
            self.places = Vec::new();
            self.free = Vec::new();
            self.by_id = HashMap::default();
        }
        if self.reset.is_empty() {
            self.reset = VecDeque::new();
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream<T>> {
        self.places.iter_mut().flatten()
    }

    /// One whose number is above `last`.
    pub(super) fn beyond(&self, last: u32) -> Option<Key> {
        let id = self.by_id.keys().copied().find(|id| *id > last)?;
        self.key(id)
    }

    /// We have ended it, and the peer may still send on it.
    pub(super) fn note_reset(&mut self, id: u32) {
        if self.reset.len() == RESET {
            self.reset.pop_front();
        }
        self.reset.push_back(id);
    }

    pub(super) fn was_reset(&self, id: u32) -> bool {
        self.reset.contains(&id)
    }
}
