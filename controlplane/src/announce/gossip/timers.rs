//! What SWIM wants to be reminded of.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Instant;

use foca::Timer;

use super::identity::Identity;

#[derive(Default)]
pub(super) struct Timers {
    all: BinaryHeap<Reverse<Scheduled>>,
    added: u64,
}

impl Timers {
    pub(super) fn add(&mut self, at: Instant, timer: Timer<Identity>) {
        self.added += 1;
        self.all.push(Reverse(Scheduled {
            at,
            number: self.added,
            timer,
        }));
    }

    /// The first one that is due, if one is.
    pub(super) fn due(&mut self, now: Instant) -> Option<Timer<Identity>> {
        if self.next()? > now {
            return None;
        }
        self.all.pop().map(|Reverse(due)| due.timer)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.all.peek().map(|Reverse(next)| next.at)
    }
}

struct Scheduled {
    at: Instant,
    /// What is due at once comes in the order in which it was scheduled.
    number: u64,
    timer: Timer<Identity>,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
