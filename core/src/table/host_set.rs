//! Hosts by name, laid out so that a lookup reads two places in memory however many there are: a group, then
//! the host itself.
//!
//! With many hosts nearly each lookup comes to memory that no cache holds, so what counts is how many places
//! it reads one after the other, and how large all of them are together. A hash chooses a group, half a cache
//! line in an array; eight bits of each of the group's hosts' hashes stand in it, so that as a rule no other
//! host is looked at than the one that is meant. The hosts of a group stand side by side in memory of their
//! own, which tables share: an edit copies the array and the one group that it touches.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// What stands in a [`HostSet`] knows its host itself: a lookup compares where it will read anyway.
pub(super) trait HasHost {
    /// As [`crate::ir::Hostname::text`].
    fn host(&self) -> &[u8];
}

impl<T: HasHost> HasHost for Arc<T> {
    fn host(&self) -> &[u8] {
        T::host(self)
    }
}

/// Hosts of a group whose hashes' bits stand in it. Those beyond are compared one by one: with [`MEAN`] that
/// is one host in a few thousand.
const LANES: usize = 16;

/// Hosts of a group on average, at most. More would be mistaken for each other more often, fewer take more
/// groups, which then stay in no cache.
const MEAN: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct HostSet<T> {
    groups: Box<[Group<T>]>,
    length: usize,
}

/// Half a cache line.
#[derive(Clone, Debug)]
#[repr(align(32))]
struct Group<T> {
    /// [`Hash::print`] of each of the first hosts, from the lowest byte.
    prints: u128,
    hosts: Option<Arc<[InLine<T>]>>,
}

/// At the beginning of a cache line, so that what is smaller than one is in one.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct InLine<T>(T);

/// What becomes of a host.
pub(super) struct Change<'c, T> {
    host: &'c [u8],
    hash: Hash,
    /// None: it goes.
    value: Option<T>,
}

impl<'c, T> Change<'c, T> {
    pub(super) fn new(host: &'c str, value: Option<T>) -> Self {
        let host = host.as_bytes();
        Self {
            host,
            hash: Hash::of(host),
            value,
        }
    }
}

/// Keys come from the configuration, never from a request, so a fixed fast hash is safe here.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    fn of(host: &[u8]) -> Self {
        let mut hasher = foldhash::fast::FixedState::default().build_hasher();
        hasher.write(host);
        Self(hasher.finish())
    }

    /// One of `groups`, by the upper half.
    fn group(self, groups: usize) -> usize {
        ((u128::from(self.0) * groups as u128) >> 64) as usize
    }

    /// The lowest byte, which says nothing of the group; not zero, as of places that no host has.
    fn print(self) -> u8 {
        self.0.to_le_bytes()[0].max(1)
    }
}

impl<T> Default for HostSet<T> {
    fn default() -> Self {
        Self {
            groups: Box::default(),
            length: 0,
        }
    }
}

impl<T> Default for Group<T> {
    fn default() -> Self {
        Self {
            prints: 0,
            hosts: None,
        }
    }
}

impl<T> HostSet<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let hosts = self.groups.iter().flat_map(Group::hosts);
        hosts.map(|one| &one.0)
    }
}

impl<T: HasHost + Clone> HostSet<T> {
    #[inline]
    pub(super) fn get(&self, host: &str) -> Option<&T> {
        self.get_hashed(Hash::of(host.as_bytes()), host.as_bytes())
    }

    #[inline]
    fn get_hashed(&self, hash: Hash, host: &[u8]) -> Option<&T> {
        let group = self.groups.get(hash.group(self.groups.len()))?;
        group.get(hash.print(), host)
    }

    /// Each host comes once at most. Costs a copy of each group that is touched.
    pub(super) fn apply(&mut self, mut changes: Vec<Change<'_, T>>) {
        for one in &changes {
            match (&one.value, self.get_hashed(one.hash, one.host)) {
                (Some(_), None) => self.length += 1,
                (None, Some(_)) => self.length -= 1,
                _ => {}
            }
        }
        self.make_room();
        let groups = self.groups.len();
        let place = |one: &Change<'_, T>| one.hash.group(groups);
        changes.sort_unstable_by_key(place);
        for changes in changes.chunk_by_mut(|a, b| place(a) == place(b)) {
            let group = changes.first().map(place);
            if let Some(group) = group.and_then(|group| self.groups.get_mut(group)) {
                *group = group.with(changes);
            }
        }
    }

    /// Puts all hosts into more groups if there are too few: half as many again, so that hosts that come one
    /// by one are moved a few times each.
    fn make_room(&mut self) {
        let (groups, wanted) = (self.groups.len(), self.length.div_ceil(MEAN));
        if wanted <= groups {
            return;
        }
        let groups = wanted.max(groups + groups / 2);
        let mut hosts: Vec<Vec<T>> = Vec::new();
        hosts.resize_with(groups, Vec::new);
        for host in self.iter() {
            if let Some(group) = hosts.get_mut(Hash::of(host.host()).group(groups)) {
                group.push(host.clone());
            }
        }
        self.groups = hosts.into_iter().map(Group::new).collect();
    }
}

impl<T> Group<T> {
    fn hosts(&self) -> &[InLine<T>] {
        self.hosts.as_deref().unwrap_or_default()
    }
}

impl<T: HasHost + Clone> Group<T> {
    fn new(hosts: Vec<T>) -> Self {
        let mut prints = [0; LANES];
        for (print, host) in prints.iter_mut().zip(&hosts) {
            *print = Hash::of(host.host()).print();
        }
        Self {
            prints: u128::from_le_bytes(prints),
            hosts: (!hosts.is_empty()).then(|| hosts.into_iter().map(InLine).collect()),
        }
    }

    /// With values in the places of those that have their hosts. Takes them.
    fn with(&self, changes: &mut [Change<'_, T>]) -> Self {
        let mut hosts = Vec::with_capacity(self.hosts().len() + changes.len());
        let stays = |one: &&T| changes.iter().all(|change| change.host != one.host());
        let before = self.hosts().iter().map(|one| &one.0);
        hosts.extend(before.filter(stays).cloned());
        hosts.extend(changes.iter_mut().filter_map(|change| change.value.take()));
        Self::new(hosts)
    }

    #[inline]
    fn get(&self, print: u8, host: &[u8]) -> Option<&T> {
        let hosts = self.hosts();
        let mut lanes = lanes_with(self.prints, print);
        while lanes != 0 {
            let lane = lanes.trailing_zeros() / 8;
            match hosts.get(lane as usize) {
                Some(InLine(one)) if one.host() == host => return Some(one),
                _ => lanes &= lanes - 1,
            }
        }
        let others = hosts.get(LANES..).unwrap_or_default();
        let mut others = others.iter().map(|one| &one.0);
        others.find(|one| one.host() == host)
    }
}

/// The highest bit of each byte that is `print`.
#[inline]
fn lanes_with(prints: u128, print: u8) -> u128 {
    const EACH: u128 = u128::MAX / 0xff;
    const LOW: u128 = EACH * 0x7f;
    let differences = prints ^ (EACH * u128::from(print));
    // No sum carries over into the next byte.
    !(((differences & LOW) + LOW) | differences | LOW)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl HasHost for (String, u32) {
        fn host(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }

    type Set = HostSet<(String, u32)>;

    fn with(host: &str, value: u32) -> Change<'_, (String, u32)> {
        Change::new(host, Some((host.to_owned(), value)))
    }

    fn set(hosts: &[String]) -> Set {
        let mut set = Set::default();
        set.apply(hosts.iter().map(|host| with(host, 0)).collect());
        set
    }

    /// The first `count` names whose hash is as wanted.
    fn names(count: usize, is_wanted: impl Fn(Hash) -> bool) -> Vec<String> {
        let names = (0..).map(|place| format!("svc{place}.example.com"));
        let wanted = names.filter(|name| is_wanted(Hash::of(name.as_bytes())));
        wanted.take(count).collect()
    }

    #[test]
    fn lanes_are_told_by_their_byte_alone() {
        for (prints, print, lanes) in [
            (0, 1, 0),
            (0x0100_0201, 1, 0x8000_0080),
            (u128::MAX, 0xff, u128::MAX / 0xff * 0x80),
            (u128::MAX, 0x7f, 0),
            (0x80_7f_80_81 << 64, 0x80, 0x80_00_80_00 << 64),
        ] {
            assert_eq!(lanes_with(prints, print), lanes, "{prints:x} {print:x}");
        }
    }

    #[test]
    fn hosts_that_are_all_of_one_group_are_found_beyond_its_lanes() {
        let count = 3 * LANES;
        let groups = count.div_ceil(MEAN);
        let crowd = names(count, |hash| hash.group(groups) == 0);
        let mut set = set(&crowd);
        assert_eq!(set.groups.len(), groups);
        assert_eq!(set.groups[0].hosts().len(), count);
        let is_there = |set: &Set| crowd.iter().map(|host| set.get(host).is_some()).collect();
        let found: Vec<bool> = is_there(&set);
        assert!(found.iter().all(|found| *found));
        let others = names(200, |hash| hash.group(groups) == 0).split_off(count);
        assert!(others.iter().all(|host| set.get(host).is_none()));
        // The last in a lane, and one behind it: the others move up.
        let gone = [LANES - 1, LANES + 1];
        set.apply(gone.map(|place| Change::new(&crowd[place], None)).into());
        let found: Vec<bool> = is_there(&set);
        let lost = (0..count).filter(|place| !found[*place]);
        assert_eq!(lost.collect::<Vec<_>>(), gone);
    }

    #[test]
    fn hosts_whose_prints_are_alike_are_told_apart() {
        let mut alike = names(MEAN + 1, |hash| hash.print() == 7);
        let other = alike.remove(0);
        let set = set(&alike);
        assert_eq!(set.groups.len(), 1);
        for host in &alike {
            assert_eq!(set.get(host).map(|one| &one.0), Some(host));
        }
        assert_eq!(set.get(&other), None);
    }

    #[test]
    fn an_edit_leaves_the_set_before_as_it_was_and_shares_all_groups_but_one() {
        let hosts = names(1000, |_| true);
        let before = set(&hosts);
        let mut after = before.clone();
        after.apply(vec![with(&hosts[5], 1)]);
        after.apply(vec![Change::new(&hosts[5], None)]);
        assert_eq!(before.get(&hosts[5]), Some(&(hosts[5].clone(), 0)));
        assert_eq!(after.get(&hosts[5]), None);
        let groups = before.groups.iter().zip(&after.groups);
        let is_shared = |(a, b): &(&Group<_>, &Group<_>)| match (&a.hosts, &b.hosts) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        assert_eq!(groups.filter(|pair| !is_shared(pair)).count(), 1);
    }

    proptest! {
        #[test]
        fn a_set_holds_what_a_map_does(
            updates in prop::collection::vec(
                prop::collection::btree_map(0..60u32, prop::option::of(any::<u32>()), 0..30),
                0..8,
            )
        ) {
            let (mut set, mut map) = (Set::default(), BTreeMap::new());
            for update in updates {
                let hosts = update.keys().map(|host| format!("h{host}")).collect::<Vec<_>>();
                let changes = hosts.iter().zip(update.values());
                let changes = changes.map(|(host, value)| {
                    let value = value.map(|value| (host.clone(), value));
                    Change::new(host, value)
                });
                set.apply(changes.collect());
                for (host, value) in hosts.iter().zip(update.values()) {
                    match value {
                        Some(value) => map.insert(host.clone(), *value),
                        None => map.remove(host),
                    };
                }
                for host in (0..60).map(|host| format!("h{host}")) {
                    prop_assert_eq!(set.get(&host).map(|one| one.1), map.get(&host).copied());
                }
                prop_assert_eq!(set.iter().count(), map.len());
                prop_assert_eq!(set.is_empty(), map.is_empty());
            }
        }
    }
}
