//! What this node can serve, by what its data plane says of itself; and which addresses it shall have. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::owner::{Owners, Stage};
use crate::limits::{
    ANNOUNCE_HAND_OVER, ANNOUNCE_PATIENCE, ANNOUNCE_SETTLE, ANNOUNCE_SETTLE_MOST, ANNOUNCE_STEADY,
};

/// What the data plane of this machine said when it was asked last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It serves these.
    Ready(BTreeSet<IpAddr>),
    /// It ends, once so many clients are served.
    Drains { clients: usize },
    /// It doesn't answer, or has nothing in force: why.
    Fails(String),
}

#[derive(Debug)]
pub(super) struct Duty {
    /// When it was ready last.
    ready: Option<Instant>,
    /// Since when it is.
    since: Option<Instant>,
    /// How long it has to be ready to have settled: longer for one that comes and goes.
    settle: Duration,
    drains: Option<Drains>,
    /// This agent ends.
    leaves: bool,
    addresses: BTreeSet<IpAddr>,
}

#[derive(Clone, Copy, Debug)]
struct Drains {
    since: Instant,
    clients: usize,
}

impl Default for Duty {
    fn default() -> Self {
        Self {
            ready: None,
            since: None,
            settle: ANNOUNCE_SETTLE,
            drains: None,
            leaves: false,
            addresses: BTreeSet::new(),
        }
    }
}

impl Duty {
    pub(super) fn hear(&mut self, answer: Answer, now: Instant) {
        match answer {
            Answer::Ready(addresses) => {
                self.addresses = addresses;
                self.drains = None;
                self.ready = Some(now);
                self.since.get_or_insert(now);
            }
            Answer::Drains { clients } => {
                let since = self.drains.map_or(now, |drains| drains.since);
                self.drains = Some(Drains { since, clients });
            }
            Answer::Fails(_) => {}
        }
    }

    /// Others have taken what was here, or may have: this node begins anew.
    pub(super) fn unsettle(&mut self, now: Instant) {
        if self.since.is_some_and(|since| since < now) {
            self.falter(now);
            self.since = Some(now);
        }
    }

    pub(super) fn leave(&mut self) {
        self.leaves = true;
    }

    pub(super) fn drains(&self) -> bool {
        self.drains.is_some()
    }

    /// What the data plane serves, as far as is known.
    pub(super) fn addresses(&self) -> &BTreeSet<IpAddr> {
        &self.addresses
    }

    pub(super) fn stage(&mut self, now: Instant) -> Stage {
        let is_late = |ready: Instant| now.saturating_duration_since(ready) >= ANNOUNCE_PATIENCE;
        let is_away = self.leaves || self.drains() || self.ready.is_none_or(is_late);
        if is_away {
            if self.since.is_some() {
                self.falter(now);
                self.since = None;
            }
            return Stage::Away;
        }
        match self.since {
            Some(since) if now.saturating_duration_since(since) >= self.settle => Stage::Settled,
            _ => Stage::Fresh,
        }
    }

    /// One that was ready for long is trusted as before; else it has to prove itself for longer.
    fn falter(&mut self, now: Instant) {
        let stood = self.since.map(|since| now.saturating_duration_since(since));
        self.settle = match stood {
            Some(stood) if stood < ANNOUNCE_STEADY => (self.settle * 2).min(ANNOUNCE_SETTLE_MOST),
            _ => ANNOUNCE_SETTLE,
        };
    }

    /// Whether clients are waited for before addresses go to their next owner.
    pub(super) fn waits(&self, now: Instant) -> bool {
        self.drains.is_some_and(|drains| {
            let over = drains.since + ANNOUNCE_HAND_OVER;
            drains.clients > 0 && now < over
        })
    }

    /// The addresses that shall be on this node. One whose next owner can't be told is kept: nobody is served better without it.
    pub(super) fn wanted(
        &self,
        ours: SocketAddr,
        owners: &Owners,
        holds: impl Fn(IpAddr) -> bool,
        now: Instant,
    ) -> BTreeSet<IpAddr> {
        let waits = self.waits(now);
        let is_wanted = |address: &IpAddr| match owners.get(address) {
            Some(node) if *node == ours => true,
            Some(_) => waits && holds(*address),
            None => holds(*address),
        };
        self.addresses.iter().copied().filter(is_wanted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served() -> BTreeSet<IpAddr> {
        BTreeSet::from(["10.0.0.1".parse().unwrap()])
    }

    fn is_ready() -> Answer {
        Answer::Ready(served())
    }

    fn node(number: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, number], 9904))
    }

    #[test]
    fn a_data_plane_that_is_silent_for_a_while_is_away_and_has_to_settle_anew() {
        let mut now = Instant::now();
        let mut duty = Duty::default();
        assert_eq!(duty.stage(now), Stage::Away);
        duty.hear(is_ready(), now);
        assert_eq!(duty.stage(now), Stage::Fresh);
        now += ANNOUNCE_SETTLE;
        duty.hear(is_ready(), now);
        assert_eq!(duty.stage(now), Stage::Settled);
        duty.hear(Answer::Fails("refused".into()), now);
        now += ANNOUNCE_PATIENCE / 2;
        assert_eq!(duty.stage(now), Stage::Settled, "it may be back at once");
        now += ANNOUNCE_PATIENCE;
        assert_eq!(duty.stage(now), Stage::Away);
        duty.hear(is_ready(), now);
        now += ANNOUNCE_SETTLE;
        duty.hear(is_ready(), now);
        assert_eq!(
            duty.stage(now),
            Stage::Fresh,
            "twice as long the second time"
        );
        now += ANNOUNCE_SETTLE;
        duty.hear(is_ready(), now);
        assert_eq!(duty.stage(now), Stage::Settled);
    }

    #[test]
    fn what_comes_and_goes_settles_ever_later_and_what_stood_long_soon() {
        let mut now = Instant::now();
        let mut duty = Duty::default();
        for _ in 0..10 {
            duty.hear(is_ready(), now);
            now += ANNOUNCE_PATIENCE;
            assert_eq!(duty.stage(now), Stage::Away);
        }
        assert_eq!(duty.settle, ANNOUNCE_SETTLE_MOST);
        duty.hear(is_ready(), now);
        now += ANNOUNCE_STEADY;
        assert_eq!(duty.stage(now), Stage::Away);
        assert_eq!(duty.settle, ANNOUNCE_SETTLE);
    }

    #[test]
    fn one_that_drains_is_away_at_once_and_hands_over_when_its_clients_are_served() {
        let now = Instant::now();
        let mut duty = Duty::default();
        duty.hear(is_ready(), now);
        duty.hear(Answer::Drains { clients: 2 }, now);
        assert_eq!(duty.stage(now), Stage::Away);
        let heir = served()
            .into_iter()
            .map(|address| (address, node(2)))
            .collect();
        let wanted = |duty: &Duty, holds: bool, now| duty.wanted(node(1), &heir, |_| holds, now);
        assert_eq!(wanted(&duty, true, now), served());
        assert!(wanted(&duty, false, now).is_empty(), "it takes nothing new");
        assert!(
            wanted(&duty, true, now + ANNOUNCE_HAND_OVER).is_empty(),
            "no longer than that"
        );
        duty.hear(Answer::Drains { clients: 0 }, now);
        assert!(wanted(&duty, true, now).is_empty());
        duty.hear(is_ready(), now);
        assert_eq!(
            duty.stage(now),
            Stage::Fresh,
            "another process took its place"
        );
    }

    #[test]
    fn what_nobody_else_can_serve_is_kept_but_not_taken() {
        let now = Instant::now();
        let mut duty = Duty::default();
        duty.hear(is_ready(), now);
        let wanted = |holds: bool| duty.wanted(node(1), &Owners::new(), |_| holds, now);
        assert_eq!(wanted(true), served());
        assert!(wanted(false).is_empty());
    }
}
