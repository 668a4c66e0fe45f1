//! A sorted map whose copies share what is equal in them. To copy it costs a pointer for some hundred
//! entries; to find what two copies differ in costs no more, beside what differs. So whoever keeps what
//! was there before learns what an edit touched, and nobody has to tell.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Entries of a chunk: a change copies one chunk, a copy of the map all pointers to them.
const CHUNK: usize = 256;

/// See the module. Values are meant to be cheap to copy: an [`Arc`], or a few.
#[derive(Clone)]
pub struct SharedMap<K, V> {
    /// In order of key; none is empty.
    chunks: Vec<Arc<Vec<(K, V)>>>,
    len: usize,
}

/// An entry that two maps don't have in common: in the first, in the second, or another in both.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference<'m, K, V> {
    pub key: &'m K,
    pub before: Option<&'m V>,
    pub now: Option<&'m V>,
}

impl<K: Ord, V> SharedMap<K, V> {
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.get_key_value(key).map(|(_, value)| value)
    }

    #[must_use]
    pub fn get_key_value(&self, key: &K) -> Option<(&K, &V)> {
        let chunk = self.chunks.get(self.place(key))?;
        let found = find(chunk, key).ok()?;
        chunk.get(found).map(|(key, value)| (key, value))
    }

    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Ascending.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter(Cursor::new(self))
    }

    /// Ascending from `key` on, whether it is there or not.
    #[must_use]
    pub fn iter_from(&self, key: &K) -> Iter<'_, K, V> {
        let chunks = self.chunks.get(self.place(key)..).unwrap_or_default();
        let place = chunks.first().map(|chunk| find(chunk, key));
        let entry = match place {
            Some(Ok(entry) | Err(entry)) => entry,
            None => 0,
        };
        Iter(Cursor { chunks, entry })
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Whether this is an unchanged copy of the other. Cheap: maps that are equal, but were made
    /// apart, count as different.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let mut pairs = self.chunks.iter().zip(&other.chunks);
        self.chunks.len() == other.chunks.len() && pairs.all(|(one, two)| Arc::ptr_eq(one, two))
    }

    /// What `now` differs in from this, ascending. `alike` says of two values whether they count as
    /// one; those that the maps share aren't asked for.
    pub fn differences<'m>(
        &'m self,
        now: &'m Self,
        alike: impl Fn(&V, &V) -> bool,
    ) -> Vec<Difference<'m, K, V>> {
        let (mut old, mut new) = (Cursor::new(self), Cursor::new(now));
        let mut differences = Vec::new();
        loop {
            skip_shared(&mut old, &mut new);
            let order = match (old.peek(), new.peek()) {
                (Some((one, _)), Some((two, _))) => one.cmp(two),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return differences,
            };
            let before = order.is_le().then(|| old.next()).flatten();
            let now = order.is_ge().then(|| new.next()).flatten();
            match (before, now) {
                (Some((_, one)), Some((_, two))) if alike(one, two) => {}
                (before, now) => differences.extend(before.or(now).map(|(key, _)| Difference {
                    key,
                    before: before.map(|(_, value)| value),
                    now: now.map(|(_, value)| value),
                })),
            }
        }
    }

    /// The chunk that a key stands in, if it is there.
    fn place(&self, key: &K) -> usize {
        let is_below = |chunk: &Arc<Vec<(K, V)>>| chunk.last().is_some_and(|(last, _)| last < key);
        self.chunks.partition_point(is_below)
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// Returns what was there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        // What comes behind all others joins the last chunk.
        let place = self.place(&key).min(self.chunks.len().saturating_sub(1));
        let Some(chunk) = self.chunks.get_mut(place) else {
            self.chunks.push(Arc::new(vec![(key, value)]));
            self.len = 1;
            return None;
        };
        let entries = Arc::make_mut(chunk);
        match find(entries, &key) {
            Ok(found) => {
                let there = entries.get_mut(found)?;
                Some(std::mem::replace(&mut there.1, value))
            }
            Err(free) => {
                entries.insert(free, (key, value));
                self.len += 1;
                if entries.len() > CHUNK {
                    let rest = entries.split_off(CHUNK / 2);
                    self.chunks.insert(place + 1, Arc::new(rest));
                }
                None
            }
        }
    }

    /// Returns what was there.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.place(key);
        let found = find(self.chunks.get(place)?, key).ok()?;
        let entries = Arc::make_mut(self.chunks.get_mut(place)?);
        let (_, value) = entries.remove(found);
        if entries.is_empty() {
            self.chunks.remove(place);
        }
        self.len -= 1;
        Some(value)
    }

    /// A value to change, in a copy of its own.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.place(key);
        let found = find(self.chunks.get(place)?, key).ok()?;
        let entries = Arc::make_mut(self.chunks.get_mut(place)?);
        entries.get_mut(found).map(|(_, value)| value)
    }
}

fn find<K: Ord, V>(entries: &[(K, V)], key: &K) -> Result<usize, usize> {
    entries.binary_search_by(|(one, _)| one.cmp(key))
}

/// Passes by the chunks that both have, where both are at the beginning of one.
fn skip_shared<K, V>(old: &mut Cursor<'_, K, V>, new: &mut Cursor<'_, K, V>) {
    while let (0, 0, Some(one), Some(two)) =
        (old.entry, new.entry, old.chunks.first(), new.chunks.first())
    {
        if !Arc::ptr_eq(one, two) {
            return;
        }
        old.leave_chunk();
        new.leave_chunk();
    }
}

/// A place in a map: an entry of the first of the chunks that are left.
struct Cursor<'m, K, V> {
    chunks: &'m [Arc<Vec<(K, V)>>],
    entry: usize,
}

impl<'m, K, V> Cursor<'m, K, V> {
    fn new(map: &'m SharedMap<K, V>) -> Self {
        Self {
            chunks: &map.chunks,
            entry: 0,
        }
    }

    fn peek(&self) -> Option<(&'m K, &'m V)> {
        let (key, value) = self.chunks.first()?.get(self.entry)?;
        Some((key, value))
    }

    fn next(&mut self) -> Option<(&'m K, &'m V)> {
        let next = self.peek()?;
        self.entry += 1;
        if self
            .chunks
            .first()
            .is_some_and(|one| self.entry == one.len())
        {
            self.leave_chunk();
        }
        Some(next)
    }

    fn leave_chunk(&mut self) {
        self.chunks = self.chunks.get(1..).unwrap_or_default();
        self.entry = 0;
    }
}

/// See [`SharedMap::iter`].
pub struct Iter<'m, K, V>(Cursor<'m, K, V>);

impl<'m, K, V> Iterator for Iter<'m, K, V> {
    type Item = (&'m K, &'m V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl<'m, K: Ord, V> IntoIterator for &'m SharedMap<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Iter<'m, K, V>;

    fn into_iter(self) -> Iter<'m, K, V> {
        self.iter()
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            len: 0,
        }
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for SharedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.differences(other, PartialEq::eq).is_empty()
    }
}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Step = (u16, Option<u8>);

    /// Edits keep it equal to a plain map; and what two of its versions differ in is what two plain
    /// maps differ in.
    fn follow(steps: &[Step], kept: usize) -> Result<(), TestCaseError> {
        let mut map = SharedMap::default();
        let mut plain = BTreeMap::new();
        let mut before = (map.clone(), plain.clone());
        for (turn, (key, value)) in steps.iter().enumerate() {
            if turn == kept {
                before = (map.clone(), plain.clone());
            }
            match value {
                Some(value) => {
                    prop_assert_eq!(map.insert(*key, *value), plain.insert(*key, *value))
                }
                None => prop_assert_eq!(map.remove(key), plain.remove(key)),
            }
        }
        prop_assert!(map.iter().eq(&plain));
        prop_assert!(before.0.iter().eq(&before.1));
        prop_assert!(
            (0..1300)
                .step_by(7)
                .all(|key| map.iter_from(&key).eq(plain.range(key..)))
        );
        prop_assert_eq!(map.len(), plain.len());
        prop_assert!(plain.iter().all(|(key, value)| map.get(key) == Some(value)));
        prop_assert!((0..2000).all(|key| map.contains_key(&key) == plain.contains_key(&key)));
        let told = before.0.differences(&map, PartialEq::eq);
        let told = told
            .iter()
            .map(|one| (*one.key, one.before.copied(), one.now.copied()));
        let keys: std::collections::BTreeSet<_> = before.1.keys().chain(plain.keys()).collect();
        let both = keys.into_iter();
        let both = both.map(|key| (*key, before.1.get(key).copied(), plain.get(key).copied()));
        let differ: Vec<_> = both.filter(|(_, one, two)| one != two).collect();
        prop_assert_eq!(told.collect::<Vec<_>>(), differ.clone());
        prop_assert_eq!(before.0 == map, differ.is_empty());
        prop_assert!(!before.0.is_same(&map) || differ.is_empty());
        Ok(())
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_tells_what_differs(
            steps in prop::collection::vec((0..1200_u16, prop::option::weighted(0.7, 0..3_u8)), 0..3000),
            kept in 0..3000_usize,
        ) {
            follow(&steps, kept)?;
        }

        #[test]
        fn it_does_so_when_most_of_it_goes(count in 0..1200_u16, left in 1..300_u16, kept in 0..2400_usize) {
            let come = (0..count).map(|key| (key, Some(1)));
            let go = (0..count).filter(|key| key % left != 0).map(|key| (key, None));
            follow(&come.chain(go).collect::<Vec<_>>(), kept)?;
        }
    }

    #[test]
    fn copies_are_the_same_until_one_changes() {
        let mut map: SharedMap<u32, u32> = (0..10_000).map(|key| (key, key)).collect();
        let copy = map.clone();
        assert!(copy.is_same(&map));
        map.insert(5_000, 1);
        assert!(!copy.is_same(&map));
        let shared = copy
            .chunks
            .iter()
            .filter(|one| map.chunks.iter().any(|two| Arc::ptr_eq(one, two)));
        assert_eq!(shared.count(), copy.chunks.len() - 1);
        let differences = copy.differences(&map, PartialEq::eq);
        let only = Difference {
            key: &5_000,
            before: Some(&5_000),
            now: Some(&1),
        };
        assert_eq!(differences, [only]);
    }
}
