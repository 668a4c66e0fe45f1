//! The dynamic table (RFC 7541, sections 2.3.2 and 4): what was sent lately, newest first.

use std::collections::VecDeque;

/// What an entry counts beside its bytes (RFC 7541, section 4.1).
pub(super) const ENTRY: usize = 32;

/// Entries lie one behind the other in one piece of memory, oldest first.
#[derive(Debug)]
pub(super) struct Table {
    bytes: Vec<u8>,
    /// Bytes at the front that were those of entries which are gone.
    gone: usize,
    entries: VecDeque<Entry>,
    size: usize,
    limit: usize,
    /// How many entries there have ever been, wrapping: the newest one's number.
    inserted: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: usize,
    name: usize,
    value: usize,
}

impl Entry {
    const fn size(self) -> usize {
        self.name + self.value + ENTRY
    }
}

impl Table {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            gone: 0,
            entries: VecDeque::new(),
            size: 0,
            limit,
            inserted: 0,
        }
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// The newest entry's number.
    pub(super) const fn newest(&self) -> u32 {
        self.inserted
    }

    /// How many entries are newer than the one of this number; none if it is gone.
    #[inline]
    pub(super) fn age(&self, number: u32) -> Option<usize> {
        let age = self.inserted.wrapping_sub(number) as usize;
        (age < self.entries.len()).then_some(age)
    }

    /// Name and value; 0 is the newest.
    #[inline]
    pub(super) fn get(&self, age: usize) -> Option<(&[u8], &[u8])> {
        let last = self.entries.len().checked_sub(1)?;
        let entry = self.entries.get(last.checked_sub(age)?)?;
        let bytes = self.bytes.get(entry.at..)?;
        let (name, rest) = bytes.split_at_checked(entry.name)?;
        Some((name, rest.get(..entry.value)?))
    }

    /// One that is larger than the table empties it (RFC 7541, section 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let entry = Entry {
            at: 0,
            name: name.len(),
            value: value.len(),
        };
        self.shrink(self.limit.saturating_sub(entry.size()));
        if entry.size() > self.limit {
            return;
        }
        self.close_gap();
        let at = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.entries.push_back(Entry { at, ..entry });
        self.size += entry.size();
        self.inserted = self.inserted.wrapping_add(1);
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.shrink(limit);
    }

    /// Drops the oldest until no more than `size` is left.
    fn shrink(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= oldest.size();
            self.gone = oldest.at + oldest.name + oldest.value;
        }
    }

    /// Moves what is left to the front, seldom enough: at least half a table has gone by.
    fn close_gap(&mut self) {
        if self.entries.is_empty() {
            self.bytes.clear();
            self.gone = 0;
        } else if self.gone > self.limit / 2 {
            self.bytes.drain(..self.gone);
            for entry in &mut self.entries {
                entry.at -= self.gone;
            }
            self.gone = 0;
        }
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    #[cfg(test)]
    pub(super) const fn size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_plain_list_holds(
            steps in prop::collection::vec((0_usize..40, 0_usize..60, prop::option::of(0_usize..200)), 0..200),
        ) {
            let mut table = Table::new(200);
            let mut list: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            let size = |list: &[(Vec<u8>, Vec<u8>)]| -> usize {
                list.iter().map(|(name, value)| name.len() + value.len() + ENTRY).sum()
            };
            for (turn, (name, value, limit)) in steps.into_iter().enumerate() {
                if let Some(limit) = limit {
                    table.set_limit(limit);
                    while size(&list) > limit {
                        list.pop();
                    }
                }
                let byte = u8::try_from(turn % 256).unwrap();
                let entry = (vec![byte; name], vec![byte ^ 0xff; value]);
                table.insert(&entry.0, &entry.1);
                list.insert(0, entry);
                while size(&list) > table.limit() {
                    list.pop();
                }
                prop_assert_eq!(table.size(), size(&list));
                for (age, (name, value)) in list.iter().enumerate() {
                    prop_assert_eq!(table.get(age), Some((&name[..], &value[..])));
                    let number = table.newest().wrapping_sub(u32::try_from(age).unwrap());
                    prop_assert_eq!(table.age(number), Some(age));
                }
                prop_assert_eq!(table.get(list.len()), None);
            }
            prop_assert!(table.memory() < 4_096, "{}", table.memory());
        }
    }
}
