//! Which addresses are to be put on the interface, renewed, or taken off.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use crate::limits::ANNOUNCE_RENEW;

/// What is on the interface because of us.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// With the time when each is to be renewed.
    held: BTreeMap<IpAddr, Instant>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// New ones, and those to be renewed.
    pub(super) put: Vec<IpAddr>,
    pub(super) take: Vec<IpAddr>,
}

impl Rounds {
    /// `others` are local without our doing: those stay as they are.
    pub(super) fn steps(
        &self,
        wanted: &BTreeSet<IpAddr>,
        others: &BTreeSet<IpAddr>,
        now: Instant,
    ) -> Steps {
        let is_due = |address: &&IpAddr| {
            let due = self.held.get(address);
            due.is_none_or(|due| *due <= now) && !others.contains(address)
        };
        let held = self.held.keys();
        Steps {
            put: wanted.iter().filter(is_due).copied().collect(),
            take: held.filter(|one| !wanted.contains(one)).copied().collect(),
        }
    }

    /// Whether it is new.
    pub(super) fn put(&mut self, address: IpAddr, now: Instant) -> bool {
        self.held.insert(address, now + ANNOUNCE_RENEW).is_none()
    }

    pub(super) fn taken(&mut self, address: IpAddr) {
        self.held.remove(&address);
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
        let list = |texts: &[&str]| -> Vec<IpAddr> { set(texts).into_iter().collect() };
        let now = Instant::now();
        let mut rounds = Rounds::default();
        let wanted = set(&["10.0.0.1", "10.0.0.2", "fd00::1"]);
        let others = set(&["10.0.0.2", "127.0.0.1"]);
        let steps = rounds.steps(&wanted, &others, now);
        assert_eq!(steps.put, list(&["10.0.0.1", "fd00::1"]));
        assert!(steps.take.is_empty());
        for address in steps.put {
            assert!(rounds.put(address, now));
        }
        assert_eq!(rounds.steps(&wanted, &others, now), Steps::default());
        let later = now + ANNOUNCE_RENEW;
        let steps = rounds.steps(&set(&["fd00::1"]), &others, later);
        assert_eq!(steps.put, list(&["fd00::1"]), "renewed");
        assert_eq!(steps.take, list(&["10.0.0.1"]));
        assert!(!rounds.put("fd00::1".parse().unwrap(), later));
        rounds.taken("10.0.0.1".parse().unwrap());
        let steps = rounds.steps(&set(&["fd00::1"]), &others, later);
        assert_eq!(steps, Steps::default());
    }
}
