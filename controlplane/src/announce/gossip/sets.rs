//! Which addresses nodes can serve: each such set is known by its digest, and asked for once.
//!
//! All nodes of a cluster serve the same as a rule, and then nothing is asked at all. A set comes in parts, and is believed
//! only if it has the digest that it was asked for by.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use super::message::{Digest, PART, What};
use crate::limits::{ANNOUNCE_ADDRESSES, GOSSIP_ASK_AGAIN, GOSSIP_PARTS_AT_ONCE, GOSSIP_SETS};

pub(super) type Set = Arc<BTreeSet<IpAddr>>;

#[derive(Debug, Default)]
pub(super) struct Sets {
    known: HashMap<Digest, Known>,
    wanted: BTreeMap<Digest, Wanted>,
    /// Counts uses.
    uses: u64,
}

#[derive(Debug)]
struct Known {
    set: Set,
    used: u64,
}

/// A set that isn't whole yet.
#[derive(Debug)]
struct Wanted {
    from: SocketAddr,
    parts: Vec<Option<Vec<IpAddr>>>,
    again: Instant,
}

impl Sets {
    /// Keeps a set of our own, by which others' are known too.
    pub(super) fn keep(&mut self, set: Set) -> Digest {
        let digest = Digest::of(&set);
        self.put(digest, set);
        digest
    }

    pub(super) fn get(&mut self, digest: Digest) -> Option<Set> {
        self.uses += 1;
        let known = self.known.get_mut(&digest)?;
        known.used = self.uses;
        Some(known.set.clone())
    }

    /// A node has this set: whoever said so last is asked for what isn't known.
    pub(super) fn want(&mut self, digest: Digest, count: u16, from: SocketAddr, now: Instant) {
        let count = usize::from(count);
        if self.known.contains_key(&digest) || count > ANNOUNCE_ADDRESSES {
            return;
        }
        if self.wanted.len() >= GOSSIP_SETS && !self.wanted.contains_key(&digest) {
            return;
        }
        let wanted = self.wanted.entry(digest).or_insert_with(|| Wanted {
            from,
            parts: vec![None; count.div_ceil(PART).max(1)],
            again: now,
        });
        wanted.from = from;
    }

    /// Those that nobody has any more.
    pub(super) fn want_only(&mut self, digests: &BTreeSet<Digest>) {
        self.wanted.retain(|digest, _| digests.contains(digest));
    }

    /// What is asked now, and whom.
    pub(super) fn asks(&mut self, now: Instant) -> Vec<(SocketAddr, What)> {
        let due = self.wanted.iter_mut().filter(|(_, one)| one.again <= now);
        let asks = due.filter_map(|(digest, wanted)| {
            wanted.again = now + GOSSIP_ASK_AGAIN;
            let first = wanted.parts.iter().position(Option::is_none)?;
            let ask = What::Ask {
                set: *digest,
                first: u16::try_from(first).ok()?,
                count: GOSSIP_PARTS_AT_ONCE,
            };
            Some((wanted.from, ask))
        });
        asks.collect()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.wanted.values().map(|one| one.again).min()
    }

    /// Answers another's question.
    pub(super) fn parts(&mut self, digest: Digest, first: u16, count: u16) -> Vec<What> {
        let Some(set) = self.get(digest) else {
            return Vec::new();
        };
        let count = count.min(GOSSIP_PARTS_AT_ONCE);
        let addresses: Vec<IpAddr> = set.iter().copied().collect();
        let chunks = addresses.chunks(PART).zip(0_u16..);
        let asked = chunks.skip(first.into()).take(count.into());
        let parts = asked.map(|(chunk, number)| What::Part {
            set: digest,
            number,
            addresses: chunk.to_vec(),
        });
        parts.collect()
    }

    /// Takes a part in; whether a set is whole now.
    pub(super) fn part(
        &mut self,
        digest: Digest,
        number: u16,
        addresses: Vec<IpAddr>,
        now: Instant,
    ) -> bool {
        let Some(wanted) = self.wanted.get_mut(&digest) else {
            return false;
        };
        let place = wanted.parts.get_mut(usize::from(number));
        let Some(place) = place.filter(|_| addresses.len() <= PART) else {
            return false;
        };
        *place = Some(addresses);
        if wanted.parts.iter().any(Option::is_none) {
            // The end of what was asked for: the next ones don't have to wait.
            if (usize::from(number) + 1).is_multiple_of(usize::from(GOSSIP_PARTS_AT_ONCE)) {
                wanted.again = now;
            }
            return false;
        }
        let all = wanted.parts.iter().flatten().flatten().copied();
        let set: BTreeSet<IpAddr> = all.collect();
        if Digest::of(&set) != digest {
            // Asked for again as a whole.
            wanted.parts.fill(None);
            return false;
        }
        self.put(digest, Arc::new(set));
        true
    }

    fn put(&mut self, digest: Digest, set: Set) {
        self.wanted.remove(&digest);
        self.uses += 1;
        let used = self.uses;
        self.known.insert(digest, Known { set, used });
        if self.known.len() > GOSSIP_SETS {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.used);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                self.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(count: u32, first: u8) -> Set {
        let addresses = (0..count).map(|n| {
            let [_, a, b, c] = n.to_be_bytes();
            IpAddr::from([first, a, b, c])
        });
        Arc::new(addresses.collect())
    }

    /// As two nodes speak; every third answer is lost.
    fn fetch(asked: &mut Sets, asking: &mut Sets, mut now: Instant) -> u32 {
        let mut datagrams = 0;
        for _ in 0..1_000 {
            for (_, what) in asking.asks(now) {
                let What::Ask { set, first, count } = what else {
                    panic!("{what:?}");
                };
                for part in asked.parts(set, first, count) {
                    let What::Part {
                        set,
                        number,
                        addresses,
                    } = part
                    else {
                        panic!("{part:?}");
                    };
                    datagrams += 1;
                    if datagrams % 3 != 0 && asking.part(set, number, addresses, now) {
                        return datagrams;
                    }
                }
            }
            now += GOSSIP_ASK_AGAIN;
        }
        panic!("never whole");
    }

    #[test]
    fn a_set_that_is_not_known_is_asked_for_in_parts_until_it_is_whole() {
        let (now, from) = (Instant::now(), "192.0.2.1:1".parse().unwrap());
        for count in [1, 60, 61, 1_000, 4_096] {
            let (mut asked, mut asking) = (Sets::default(), Sets::default());
            let theirs = set(count, 10);
            let digest = asked.keep(theirs.clone());
            asking.want(digest, u16::try_from(count).unwrap(), from, now);
            assert_eq!(asking.get(digest), None);
            fetch(&mut asked, &mut asking, now);
            assert_eq!(asking.get(digest), Some(theirs));
            assert!(
                asking.asks(now + GOSSIP_ASK_AGAIN).is_empty(),
                "it is known"
            );
        }
    }

    #[test]
    fn one_of_our_own_is_never_asked_for() {
        let mut sets = Sets::default();
        let digest = sets.keep(set(100, 10));
        let now = Instant::now();
        sets.want(digest, 100, "192.0.2.1:1".parse().unwrap(), now);
        assert!(sets.asks(now).is_empty());
    }

    #[test]
    fn a_set_with_another_digest_is_not_believed() {
        let (now, from) = (Instant::now(), "192.0.2.1:1".parse().unwrap());
        let mut sets = Sets::default();
        let digest = Digest::of(&set(2, 10));
        sets.want(digest, 2, from, now);
        let wrong = set(2, 11).iter().copied().collect();
        assert!(!sets.part(digest, 0, wrong, now));
        let right = set(2, 10).iter().copied().collect();
        assert!(!sets.part(digest, 7, Vec::new(), now), "it has one part");
        assert!(sets.part(digest, 0, right, now));
    }

    #[test]
    fn sets_that_nobody_has_any_more_make_room() {
        let mut sets = Sets::default();
        let first = sets.keep(set(1, 1));
        for n in 0..2 * u32::try_from(GOSSIP_SETS).unwrap() {
            sets.keep(set(n + 2, 10));
            assert!(sets.get(first).is_some(), "it is in use");
        }
        assert_eq!(sets.known.len(), GOSSIP_SETS);
        let none = Digest::of(&set(7, 99));
        sets.want(none, 7, "192.0.2.1:1".parse().unwrap(), Instant::now());
        sets.want_only(&BTreeSet::new());
        assert!(sets.asks(Instant::now()).is_empty());
    }
}
