//! Of what we send (RFC 7541, section 6).

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::TABLE_BYTES;
use super::fixed::FIXED;
use super::habits::{self, Habit, Known};
use super::integer;
use super::table::{ENTRY, Table};
use crate::http1::FieldId;

/// Representations of a field: their first bits.
const INDEXED: u8 = 0x80;
const KEPT: u8 = 0x40;
const RESIZE: u8 = 0x20;
const NEVER_INDEXED: u8 = 0x10;
const NOT_INDEXED: u8 = 0;

/// Where entries of one hash may stand in the index.
const WAYS: usize = 4;
/// With their ways, more than a table has entries.
const SETS: usize = 32;
/// How many fields that came once are remembered of those whose hashes have some bits in common: all that
/// repeat in a head must find room beside those that don't.
const SEEN: usize = 4;

/// One direction of one connection: all its header blocks, in order.
///
/// A field goes into the table when it comes a second time: most of those that never do would push
/// out others that are in use. Strings are never coded: see `huffman`.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// Sizes that the peer is to be told of at the next block's start: the smallest one since the last, and
    /// what it is now (section 4.2).
    resize: Option<(usize, usize)>,
    hasher: FixedState,
    /// Entries' numbers by their hash; stale ones stay until others need the place.
    index: Box<[[u32; WAYS]; SETS]>,
    /// Parts of the hashes of fields that came.
    seen: Box<[[u32; SEEN]; SETS]>,
    /// A name in lower case.
    name: Vec<u8>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: Table::new(TABLE_BYTES as usize),
            resize: None,
            hasher: FixedState::default(),
            index: Box::new([[0; WAYS]; SETS]),
            seen: Box::new([[0; SEEN]; SETS]),
            name: Vec::new(),
        }
    }

    /// What the peer's `SETTINGS_HEADER_TABLE_SIZE` says. To be called between blocks; the next one begins with
    /// what the peer has to be told of it.
    pub fn set_table_size(&mut self, size: u32) {
        let size = size.min(TABLE_BYTES) as usize;
        if size == self.table.limit() {
            return;
        }
        self.table.set_limit(size);
        let (smallest, _) = self.resize.unwrap_or((size, size));
        self.resize = Some((smallest.min(size), size));
    }

    /// Appends a field. The name may have any case (RFC 9113, section 8.2.1); pseudo-fields have their colon.
    #[inline]
    pub fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        if !name.iter().any(u8::is_ascii_uppercase) {
            return self.lower(name, value, out);
        }
        let mut lower = std::mem::take(&mut self.name);
        lower.clear();
        lower.extend(name.iter().map(u8::to_ascii_lowercase));
        self.lower(&lower, value, out);
        self.name = lower;
    }

    /// As [`Self::field`], of a field that a parser has found to be this one.
    #[inline]
    pub fn field_as(&mut self, id: FieldId, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        match id.name() {
            Some(name) => self.lower(name, value, out),
            None => self.field(name, value, out),
        }
    }

    /// The name is in lower case.
    #[inline]
    pub(in super::super) fn lower(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        if self.resize.is_some() {
            self.write_resize(out);
        }
        match habits::find(name) {
            Some(known) => self.known(known, value, out),
            None => {
                out.push(NEVER_INDEXED);
                string(name, out);
                string(value, out);
            }
        }
    }

    fn write_resize(&mut self, out: &mut Vec<u8>) {
        let Some((smallest, size)) = self.resize.take() else {
            return;
        };
        if smallest < size {
            integer::write(RESIZE, 5, smallest, out);
        }
        integer::write(RESIZE, 5, size, out);
    }

    fn known(&mut self, known: &Known, value: &[u8], out: &mut Vec<u8>) {
        let (index, end) = (known.index, known.index + known.count);
        let is_fixed = |place: &u8| {
            let fixed = FIXED.get(usize::from(*place).wrapping_sub(1));
            fixed.is_some_and(|(_, fixed)| *fixed == value)
        };
        if let Some(index) = (index..end).find(is_fixed) {
            out.push(INDEXED | index);
            return;
        }
        match known.habit {
            Habit::Repeats => self.repeated(known, value, out),
            Habit::Changes => literal(NOT_INDEXED, 4, known, value, out),
            Habit::Secret => literal(NEVER_INDEXED, 4, known, value, out),
        }
    }

    fn repeated(&mut self, known: &Known, value: &[u8], out: &mut Vec<u8>) {
        // One large field isn't worth half of a table.
        if known.name.len() + value.len() + ENTRY > self.table.limit() / 2
            || !may_repeat(known, value)
        {
            return literal(NOT_INDEXED, 4, known, value, out);
        }
        let hash = self.hasher.hash_one((known.index, known.name.len(), value));
        let set = (hash as usize) % SETS;
        if let Some(age) = self.find(set, known.name, value) {
            return integer::write(INDEXED, 7, FIXED.len() + 1 + age, out);
        }
        if !self.has_seen(hash) {
            return literal(NOT_INDEXED, 4, known, value, out);
        }
        literal(KEPT, 6, known, value, out);
        self.table.insert(known.name, value);
        self.note(set);
    }

    #[inline]
    fn find(&self, set: usize, name: &[u8], value: &[u8]) -> Option<usize> {
        let ages = self.index.get(set)?.iter();
        let mut ages = ages.filter_map(|number| self.table.age(*number));
        ages.find(|age| self.table.get(*age) == Some((name, value)))
    }

    /// Remembers it if not, in place of what came longest ago.
    fn has_seen(&mut self, hash: u64) -> bool {
        let mark = (hash >> 32) as u32;
        let Some(seen) = self.seen.get_mut((hash >> 16) as usize % SETS) else {
            return false;
        };
        if seen.contains(&mark) {
            return true;
        }
        seen.rotate_right(1);
        seen[0] = mark;
        false
    }

    /// Keeps the newest entry's number, in place of the oldest one's.
    fn note(&mut self, set: usize) {
        let table = &self.table;
        let age = |number: &u32| table.age(*number).unwrap_or(usize::MAX);
        let places = self.index.get_mut(set).map(|set| set.iter_mut());
        let oldest = places.and_then(|places| places.max_by_key(|number| age(number)));
        if let Some(place) = oldest {
            *place = table.newest();
        }
    }

    #[cfg(test)]
    pub(super) const fn table(&self) -> &Table {
        &self.table
    }
}

/// A path with a query is most likely asked for once, and a query may have secrets.
fn may_repeat(known: &Known, value: &[u8]) -> bool {
    known.name != b":path" || !value.contains(&b'?')
}

#[inline]
fn literal(high: u8, bits: u32, known: &Known, value: &[u8], out: &mut Vec<u8>) {
    integer::write(high, bits, usize::from(known.index), out);
    if known.index == 0 {
        string(known.name, out);
    }
    string(value, out);
}

#[inline]
fn string(text: &[u8], out: &mut Vec<u8>) {
    integer::write(0, 7, text.len(), out);
    out.extend_from_slice(text);
}
