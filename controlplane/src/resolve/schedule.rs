//! When which name is asked for, and what is known of each. No network, and time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::{LOOKUPS, RESOLVE_AT_LEAST, RESOLVE_AT_MOST, RESOLVE_PAUSE};
use crate::translate::ResolvedNames;

/// What a name server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Never empty.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ttl: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Schedule {
    names: BTreeMap<Arc<str>, Known>,
    asked: usize,
}

#[derive(Debug)]
struct Known {
    /// Kept when a later lookup fails.
    addresses: Option<Arc<[IpAddr]>>,
    state: State,
    failures: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Due(Instant),
    Asked,
}

impl Schedule {
    /// Sets which names are wanted. Returns whether something that was known was forgotten.
    pub(super) fn want(&mut self, names: &BTreeSet<Arc<str>>, now: Instant) -> bool {
        let before = self.names.len();
        self.names.retain(|name, _| names.contains(name));
        let forgotten = self.names.len() < before;
        for name in names {
            self.names.entry(name.clone()).or_insert(Known {
                addresses: None,
                state: State::Due(now),
                failures: 0,
            });
        }
        forgotten
    }

    /// The names to ask for now; each comes back by [`answer`](Self::answer).
    pub(super) fn due(&mut self, now: Instant) -> Vec<Arc<str>> {
        let mut due = Vec::new();
        for (name, known) in &mut self.names {
            if self.asked == LOOKUPS {
                break;
            }
            if matches!(known.state, State::Due(when) if when <= now) {
                known.state = State::Asked;
                self.asked += 1;
                due.push(name.clone());
            }
        }
        due
    }

    /// Takes what came of a lookup. Returns whether the name's addresses are others now.
    pub(super) fn answer(&mut self, name: &str, answer: Option<Answer>, now: Instant) -> bool {
        self.asked = self.asked.saturating_sub(1);
        let Some(known) = self.names.get_mut(name) else {
            return false;
        };
        let Some(mut answer) = answer else {
            known.failures = known.failures.saturating_add(1);
            known.state = State::Due(now + pause(known.failures));
            return false;
        };
        known.failures = 0;
        known.state = State::Due(now + answer.ttl.clamp(RESOLVE_AT_LEAST, RESOLVE_AT_MOST));
        answer.addresses.sort_unstable();
        answer.addresses.dedup();
        let changed = known.addresses.as_deref() != Some(answer.addresses.as_slice());
        known.addresses = Some(answer.addresses.into());
        changed
    }

    /// When the next name is due; none while as many are asked for as may be.
    pub(super) fn next(&self) -> Option<Instant> {
        if self.asked == LOOKUPS {
            return None;
        }
        let dues = self.names.values().filter_map(|known| match known.state {
            State::Due(when) => Some(when),
            State::Asked => None,
        });
        dues.min()
    }

    pub(super) fn known(&self) -> ResolvedNames {
        let known = self.names.iter();
        known
            .filter_map(|(name, known)| Some((name.clone(), known.addresses.clone()?)))
            .collect()
    }
}

/// 1 s after the first failure, doubled with each.
fn pause(failures: u32) -> Duration {
    let doubled = RESOLVE_AT_LEAST.saturating_mul(1 << (failures - 1).min(8));
    doubled.min(RESOLVE_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    fn answer(last: u8, ttl: Duration) -> Option<Answer> {
        Some(Answer {
            addresses: vec![[192, 0, 2, last].into()],
            ttl,
        })
    }

    fn addresses(schedule: &Schedule, name: &str) -> Vec<IpAddr> {
        schedule.known()[name].to_vec()
    }

    #[test]
    fn a_name_is_asked_for_at_once_and_again_by_its_ttl() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        schedule.want(&names(&["a"]), start);
        assert_eq!(schedule.due(start), ["a".into()]);
        assert!(schedule.due(start).is_empty(), "it is asked already");
        assert!(schedule.known().is_empty());

        assert!(schedule.answer("a", answer(1, SECOND * 20), start));
        assert_eq!(schedule.next(), Some(start + SECOND * 20));
        assert!(schedule.due(start + SECOND * 19).is_empty());
        let later = start + SECOND * 20;
        assert_eq!(schedule.due(later), ["a".into()]);
        assert!(!schedule.answer("a", answer(1, Duration::ZERO), later));
        assert_eq!(schedule.next(), Some(later + RESOLVE_AT_LEAST));
        assert!(schedule.answer("a", answer(2, SECOND * 86_400), later));
        assert_eq!(schedule.next(), Some(later + RESOLVE_AT_MOST));
    }

    #[test]
    fn a_name_that_stops_resolving_keeps_its_addresses_and_is_asked_for_again() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        schedule.want(&names(&["a"]), now);
        schedule.answer("a", answer(1, SECOND), now);
        let pauses: Vec<u64> = (0..8)
            .map(|_| {
                assert!(!schedule.answer("a", None, now));
                (schedule.next().unwrap() - now).as_secs()
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(addresses(&schedule, "a"), [IpAddr::from([192, 0, 2, 1])]);
    }

    #[test]
    fn what_is_no_longer_wanted_is_forgotten_even_while_it_is_asked_for() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        schedule.want(&names(&["a", "b"]), now);
        assert_eq!(schedule.due(now).len(), 2);
        assert!(schedule.want(&names(&["b"]), now));
        assert!(!schedule.answer("a", answer(1, SECOND), now));
        assert!(schedule.known().is_empty());
    }

    #[test]
    fn only_so_many_are_asked_for_at_once() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        let many: Vec<String> = (0..LOOKUPS + 5).map(|n| format!("n{n:03}")).collect();
        let all: Vec<&str> = many.iter().map(String::as_str).collect();
        schedule.want(&names(&all), now);
        assert_eq!(schedule.due(now).len(), LOOKUPS);
        assert_eq!(schedule.next(), None);
        schedule.answer("n000", None, now);
        assert_eq!(schedule.due(now).len(), 1);
    }
}
