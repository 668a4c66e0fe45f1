//! Which addresses are to be asked for, put, renewed, told of, or taken off. Pure: what is heard and the time come in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use super::frames::Mac;
use super::pace::Pace;
use crate::limits::{
    ANNOUNCE_ADDRESSES, ANNOUNCE_CLAIMS, ANNOUNCE_DEFEND, ANNOUNCE_PROBE_GAP, ANNOUNCE_PROBES,
    ANNOUNCE_REFUSED, ANNOUNCE_SHARED_REFUSED, ANNOUNCE_TELL_AGAIN, ANNOUNCE_TELL_SOON,
    ANNOUNCE_TELLINGS, GOSSIP_RELEASED,
};

/// What is on the interface because of us, and what isn't because of others.
#[derive(Debug)]
pub(super) struct Rounds {
    pace: Pace,
    /// Whether there is a link on which others can be asked.
    asks: bool,
    held: BTreeMap<IpAddr, Held>,
    /// All at once, for the kernel looks for what has run out once a second only.
    renewed: Instant,
    claims: BTreeMap<IpAddr, Claim>,
    refused: BTreeMap<IpAddr, Refused>,
    /// What others gave up, until then.
    free: BTreeMap<IpAddr, Instant>,
}

#[derive(Debug)]
struct Held {
    tell: Instant,
    /// How often it was told of.
    told: u32,
    defended: Option<Instant>,
}

/// An address that is being asked for.
#[derive(Debug)]
struct Claim {
    asked: u32,
    next: Instant,
}

#[derive(Debug)]
struct Refused {
    by: Mac,
    is_member: bool,
    again: Instant,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// It is asked whether another host has them.
    pub(super) probe: Vec<IpAddr>,
    /// New ones, that no other host has.
    pub(super) put: Vec<IpAddr>,
    pub(super) renew: Vec<IpAddr>,
    pub(super) take: Vec<IpAddr>,
    /// They have run out before they were renewed, and may be another's now.
    pub(super) lost: Vec<IpAddr>,
}

/// What another host's frame means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It has what we asked for.
    Refused,
    /// It says that it has what we have: we say once more that we do.
    Contested,
}

impl Rounds {
    pub(super) fn new(pace: Pace, asks: bool, now: Instant) -> Self {
        Self {
            pace,
            asks,
            held: BTreeMap::new(),
            renewed: now,
            claims: BTreeMap::new(),
            refused: BTreeMap::new(),
            free: BTreeMap::new(),
        }
    }

    /// The interface is another one: nothing is on it yet.
    pub(super) fn begin_again(&mut self, asks: bool, now: Instant) {
        *self = Self::new(self.pace, asks, now);
    }

    pub(super) fn lifetime_s(&self) -> u32 {
        self.pace.lifetime_s
    }

    pub(super) fn held(&self) -> impl Iterator<Item = IpAddr> {
        self.held.keys().copied()
    }

    pub(super) fn holds(&self, address: IpAddr) -> bool {
        self.held.contains_key(&address)
    }

    /// Who has what we want.
    pub(super) fn refusals(&self) -> impl Iterator<Item = (IpAddr, Mac)> {
        self.refused.iter().map(|(address, one)| (*address, one.by))
    }

    /// `others` are local without our doing: those stay as they are.
    pub(super) fn turn(
        &mut self,
        wanted: &BTreeSet<IpAddr>,
        others: &BTreeSet<IpAddr>,
        now: Instant,
    ) -> Steps {
        let mut steps = Steps::default();
        let since = now.saturating_duration_since(self.renewed);
        if since >= self.pace.lifetime() {
            steps.lost = self.held.keys().copied().collect();
            self.held.clear();
            self.renewed = now;
        }
        self.claims
            .retain(|one, _| wanted.contains(one) && !others.contains(one));
        self.refused
            .retain(|one, _| wanted.contains(one) && !others.contains(one));
        self.free.retain(|_, until| *until > now);
        if since >= self.pace.renew {
            self.renewed = now;
            steps.renew = self
                .held
                .keys()
                .copied()
                .filter(|one| wanted.contains(one))
                .collect();
        }
        let unwanted = self.held.keys().filter(|one| !wanted.contains(one));
        steps.take = unwanted.copied().collect();
        for address in wanted.difference(others) {
            if !self.held.contains_key(address) {
                self.claim(*address, now, &mut steps);
            }
        }
        steps
    }

    fn claim(&mut self, address: IpAddr, now: Instant, steps: &mut Steps) {
        if !self.asks || self.free.contains_key(&address) {
            return steps.put.push(address);
        }
        let next = now + ANNOUNCE_PROBE_GAP;
        if let Some(claim) = self.claims.get_mut(&address) {
            if claim.next > now {
                return;
            }
            // One that can't be put is tried again, but not without a pause.
            claim.next = next;
            if claim.asked >= ANNOUNCE_PROBES {
                return steps.put.push(address);
            }
            claim.asked += 1;
            return steps.probe.push(address);
        }
        let refused = self.refused.get(&address);
        if refused.is_some_and(|one| one.again > now) || self.claims.len() >= ANNOUNCE_CLAIMS {
            return;
        }
        // Of a member it is known how long its kernel answers without it: once asked is enough then.
        let asked = match refused {
            Some(Refused {
                is_member: true, ..
            }) => ANNOUNCE_PROBES,
            _ => 1,
        };
        self.claims.insert(address, Claim { asked, next });
        steps.probe.push(address);
    }

    /// It is on the interface. Whether it is new.
    pub(super) fn put(&mut self, address: IpAddr, now: Instant) -> bool {
        self.refused.remove(&address);
        self.claims.remove(&address);
        self.free.remove(&address);
        if self.held.contains_key(&address) {
            return false;
        }
        if self.held.is_empty() {
            self.renewed = now;
        }
        let held = Held {
            tell: now,
            told: 0,
            defended: None,
        };
        self.held.insert(address, held);
        true
    }

    pub(super) fn taken(&mut self, address: IpAddr) {
        self.held.remove(&address);
    }

    /// Others had these, and have them no longer.
    pub(super) fn released(&mut self, addresses: &[IpAddr], now: Instant) {
        for address in addresses {
            if let Some(held) = self.held.get_mut(address) {
                // Both had it: who spoke to the other one has to learn better.
                held.told = 0;
                held.tell = now;
            } else if self.free.len() < ANNOUNCE_ADDRESSES {
                self.free.insert(*address, now + GOSSIP_RELEASED);
            }
        }
    }

    /// Another host has this address, a member or not. What is news of it.
    pub(super) fn heard(
        &mut self,
        address: IpAddr,
        by: Mac,
        is_member: bool,
        now: Instant,
    ) -> Option<News> {
        if let Some(held) = self.held.get_mut(&address) {
            let again = held.defended.map(|when| when + ANNOUNCE_DEFEND);
            if again.is_some_and(|again| again > now) {
                return None;
            }
            held.defended = Some(now);
            held.tell = now;
            return Some(News::Contested);
        }
        self.claims.remove(&address)?;
        let again = match is_member {
            true => ANNOUNCE_SHARED_REFUSED,
            false => ANNOUNCE_REFUSED,
        };
        let refused = Refused {
            by,
            is_member,
            again: now + again,
        };
        let before = self.refused.insert(address, refused);
        let is_news = before.is_none_or(|before| before.by != by);
        is_news.then_some(News::Refused)
    }

    /// Everybody is told again: somebody may have heard otherwise.
    pub(super) fn tell_again(&mut self, now: Instant) {
        for held in self.held.values_mut() {
            held.told = 0;
            held.tell = now;
        }
    }

    /// Those that the link is to be told of now; they count as told.
    pub(super) fn tell(&mut self, now: Instant) -> Vec<IpAddr> {
        let mut due = Vec::new();
        for (address, held) in &mut self.held {
            if held.tell <= now {
                held.told = held.told.saturating_add(1);
                let soon = held.told < ANNOUNCE_TELLINGS;
                let pause = if soon {
                    ANNOUNCE_TELL_SOON
                } else {
                    ANNOUNCE_TELL_AGAIN
                };
                held.tell = now + pause;
                due.push(*address);
            }
        }
        due
    }

    /// When something is to be done, if nothing is heard before.
    pub(super) fn next(&self) -> Option<Instant> {
        let renewal = (!self.held.is_empty()).then(|| self.renewed + self.pace.renew);
        let claims = self.claims.values().map(|claim| claim.next);
        // Not of those that are being asked for again, nor where there is no room to: only a claim ends that.
        let is_room = self.claims.len() < ANNOUNCE_CLAIMS;
        let refused = self.refused.iter();
        let waiting = refused.filter(|(one, _)| is_room && !self.claims.contains_key(one));
        let refused = waiting.map(|(_, refused)| refused.again);
        let tellings = self.held.values().map(|held| held.tell);
        renewal
            .into_iter()
            .chain(claims)
            .chain(refused)
            .chain(tellings)
            .min()
    }
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
mod tests;
