//! Which addresses are to be claimed, renewed, told of, or taken off.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use super::frames::Mac;
use crate::limits::{
    ANNOUNCE_CLAIMS, ANNOUNCE_REFUSED, ANNOUNCE_RENEW, ANNOUNCE_ROUND, ANNOUNCE_TELL_AGAIN,
    ANNOUNCE_TELLINGS,
};

/// What is on the interface because of us, and what isn't because of others.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    held: BTreeMap<IpAddr, Held>,
    refused: BTreeMap<IpAddr, Refused>,
}

#[derive(Debug)]
struct Held {
    renew: Instant,
    tell: Instant,
    /// How often it was told of.
    told: u32,
}

#[derive(Debug)]
struct Refused {
    by: Mac,
    again: Instant,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// New ones: first it is asked whether another host has them.
    pub(super) claim: BTreeSet<IpAddr>,
    pub(super) renew: Vec<IpAddr>,
    pub(super) take: Vec<IpAddr>,
}

impl Rounds {
    /// `others` are local without our doing: those stay as they are.
    pub(super) fn steps(
        &mut self,
        wanted: &BTreeSet<IpAddr>,
        others: &BTreeSet<IpAddr>,
        now: Instant,
    ) -> Steps {
        self.refused.retain(|address, _| wanted.contains(address));
        let ours = || wanted.difference(others).copied();
        let is_new = |address: &IpAddr| {
            let refused = self.refused.get(address);
            !self.held.contains_key(address) && refused.is_none_or(|one| one.again <= now)
        };
        let is_due = |address: &IpAddr| self.held.get(address).is_some_and(|one| one.renew <= now);
        let held = self.held.keys();
        Steps {
            claim: ours().filter(is_new).take(ANNOUNCE_CLAIMS).collect(),
            renew: ours().filter(is_due).collect(),
            take: held.filter(|one| !wanted.contains(one)).copied().collect(),
        }
    }

    /// It is on the interface. Whether it is new.
    pub(super) fn put(&mut self, address: IpAddr, now: Instant) -> bool {
        self.refused.remove(&address);
        let renew = now + ANNOUNCE_RENEW;
        if let Some(held) = self.held.get_mut(&address) {
            held.renew = renew;
            return false;
        }
        let held = Held {
            renew,
            tell: now,
            told: 0,
        };
        self.held.insert(address, held);
        true
    }

    /// Another host has it. Whether that is news.
    pub(super) fn refused(&mut self, address: IpAddr, by: Mac, now: Instant) -> bool {
        let again = now + ANNOUNCE_REFUSED;
        let before = self.refused.insert(address, Refused { by, again });
        before.is_none_or(|before| before.by != by)
    }

    pub(super) fn taken(&mut self, address: IpAddr) {
        self.held.remove(&address);
    }

    /// Those that the link is to be told of now; they count as told.
    pub(super) fn tell(&mut self, now: Instant) -> Vec<IpAddr> {
        let mut due = Vec::new();
        for (address, held) in &mut self.held {
            if held.tell <= now {
                held.told = held.told.saturating_add(1);
                let few = held.told < ANNOUNCE_TELLINGS;
                held.tell = now
                    + if few {
                        ANNOUNCE_ROUND
                    } else {
                        ANNOUNCE_TELL_AGAIN
                    };
                due.push(*address);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_put_renewed_and_taken_but_never_those_of_others() {
        let set = |texts: &[&str]| -> BTreeSet<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let now = Instant::now();
        let mut rounds = Rounds::default();
        let wanted = set(&["10.0.0.1", "10.0.0.2", "fd00::1"]);
        let others = set(&["10.0.0.2", "127.0.0.1"]);
        let steps = rounds.steps(&wanted, &others, now);
        assert_eq!(steps.claim, set(&["10.0.0.1", "fd00::1"]));
        assert!(steps.renew.is_empty() && steps.take.is_empty());
        for address in steps.claim {
            assert!(rounds.put(address, now));
        }
        assert_eq!(rounds.steps(&wanted, &others, now), Steps::default());
        let later = now + ANNOUNCE_RENEW;
        let steps = rounds.steps(&set(&["fd00::1"]), &others, later);
        let (first, last) = (
            "10.0.0.1".parse::<IpAddr>().unwrap(),
            "fd00::1".parse().unwrap(),
        );
        assert!(steps.claim.is_empty());
        assert_eq!((steps.renew, steps.take), (vec![last], vec![first]));
        assert!(!rounds.put(last, later));
        rounds.taken(first);
        let steps = rounds.steps(&set(&["fd00::1"]), &others, later);
        assert_eq!(steps, Steps::default());
    }

    #[test]
    fn what_another_host_has_is_asked_for_again_later_and_logged_once() {
        let (now, none) = (Instant::now(), BTreeSet::new());
        let address = "10.0.0.1".parse().unwrap();
        let wanted = BTreeSet::from([address]);
        let mut rounds = Rounds::default();
        let (one, other) = (Mac([1; 6]), Mac([2; 6]));
        assert!(rounds.refused(address, one, now));
        assert_eq!(rounds.steps(&wanted, &none, now), Steps::default());
        let later = now + ANNOUNCE_REFUSED;
        assert_eq!(rounds.steps(&wanted, &none, later).claim, wanted);
        assert!(!rounds.refused(address, one, later));
        assert!(rounds.refused(address, other, later));
        rounds.steps(&none, &none, later);
        let steps = rounds.steps(&wanted, &none, later);
        assert_eq!(steps.claim, wanted, "nobody wanted it in between");
    }

    #[test]
    fn a_new_address_is_told_of_a_few_times_and_then_now_and_then() {
        let mut now = Instant::now();
        let address = "10.0.0.1".parse().unwrap();
        let mut rounds = Rounds::default();
        rounds.put(address, now);
        for _ in 0..ANNOUNCE_TELLINGS {
            assert_eq!(rounds.tell(now), [address]);
            assert!(rounds.tell(now).is_empty());
            now += ANNOUNCE_ROUND;
        }
        assert!(rounds.tell(now).is_empty());
        rounds.put(address, now);
        assert!(rounds.tell(now).is_empty(), "it was only renewed");
        assert_eq!(rounds.tell(now + ANNOUNCE_TELL_AGAIN), [address]);
    }

    #[test]
    fn no_round_asks_for_more_than_the_link_bears() {
        let wanted: BTreeSet<IpAddr> = (0..1_200u32)
            .map(|n| IpAddr::from(n.to_be_bytes()))
            .collect();
        let (mut rounds, now, mut turns) = (Rounds::default(), Instant::now(), 0);
        loop {
            let claim = rounds.steps(&wanted, &BTreeSet::new(), now).claim;
            assert!(claim.len() <= ANNOUNCE_CLAIMS);
            if claim.is_empty() {
                break;
            }
            turns += 1;
            for address in claim {
                rounds.put(address, now);
            }
        }
        assert_eq!(turns, 3);
    }
}
