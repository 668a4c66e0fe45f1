//! Who leads, by a Lease that all candidates read and write. Pure: reading, writing and time are
//! someone else's.
//!
//! Others' clocks are not trusted: a Lease has run out when it hasn't changed for its duration, as
//! seen from here (as in Kubernetes' own components).

use std::time::{Duration, Instant};

use crate::limits::{LEASE_DEADLINE, LEASE_DURATION};

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Empty: it was given back.
    pub(super) holder: String,
    pub(super) duration: Duration,
    /// Goes up by one with each leader: the term.
    pub(super) transitions: u64,
    /// Changes with every write.
    pub(super) resource_version: String,
    /// Where its holder serves data planes of other machines.
    pub(super) address: Option<String>,
}

/// Who leads, as far as it is known here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leadership {
    /// Nobody was heard of yet.
    #[default]
    Unknown,
    /// This process, which others may rely on for `term`.
    Ours { term: u64 },
    /// This process was the last that is known of, but can't renew its Lease: it serves what it has,
    /// and writes nothing.
    Unsure { term: u64 },
    Other {
        holder: String,
        /// Where it serves data planes of other machines, as HOST:PORT.
        address: Option<String>,
    },
}

/// What to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Watch,
    /// There is no Lease yet.
    Create { term: u64 },
    /// The Lease as it was seen, held by us for `term`.
    Hold { seen: Seen, term: u64 },
}

#[derive(Debug)]
pub(super) struct Election {
    identity: String,
    seen: Option<(Seen, Instant)>,
    /// Our term, and when the last renewal that went well was begun.
    held: Option<(u64, Instant)>,
    /// No term below this: some data plane has seen one that high.
    at_least: u64,
}

impl Election {
    pub(super) fn new(identity: String) -> Self {
        Self {
            identity,
            seen: None,
            held: None,
            at_least: 1,
        }
    }

    /// The next term that is ours shall not be below this.
    pub(super) fn raise(&mut self, term: u64) {
        self.at_least = self.at_least.max(term);
    }

    /// What follows from the Lease as it is at `now`; None: there is none.
    pub(super) fn next(&mut self, lease: Option<Seen>, now: Instant) -> Step {
        let Some(lease) = lease else {
            self.seen = None;
            self.held = None;
            return Step::Create {
                term: self.at_least,
            };
        };
        let since = match &self.seen {
            Some((before, since)) if before.resource_version == lease.resource_version => *since,
            _ => now,
        };
        self.seen = Some((lease.clone(), since));
        if lease.holder == self.identity {
            let term = lease.transitions.max(self.at_least);
            return Step::Hold { seen: lease, term };
        }
        self.held = None;
        let run_out = now.saturating_duration_since(since) >= lease.duration;
        if lease.holder.is_empty() || run_out {
            let term = (lease.transitions + 1).max(self.at_least);
            return Step::Hold { seen: lease, term };
        }
        Step::Watch
    }

    /// The step was written; it was begun at `started`.
    pub(super) fn wrote(&mut self, seen: Seen, started: Instant) {
        self.held = (seen.holder == self.identity).then_some((seen.transitions, started));
        self.seen = Some((seen, started));
    }

    pub(super) fn leadership(&self, now: Instant) -> Leadership {
        match (&self.held, &self.seen) {
            (Some((term, since)), _) if now.saturating_duration_since(*since) < LEASE_DEADLINE => {
                Leadership::Ours { term: *term }
            }
            (Some((term, _)), _) => Leadership::Unsure { term: *term },
            (None, Some((seen, _))) if seen.holder != self.identity && !seen.holder.is_empty() => {
                Leadership::Other {
                    holder: seen.holder.clone(),
                    address: seen.address.clone(),
                }
            }
            (None, _) => Leadership::Unknown,
        }
    }

    /// When `leadership` becomes another without anything being heard.
    pub(super) fn unsure_at(&self) -> Option<Instant> {
        self.held.map(|(_, since)| since + LEASE_DEADLINE)
    }

    /// The Lease as it was seen last, if it is ours to give back.
    pub(super) fn to_release(&self) -> Option<&Seen> {
        let (seen, _) = self.seen.as_ref()?;
        (self.held.is_some() && seen.holder == self.identity).then_some(seen)
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }
}

/// What a Lease of ours says of its duration.
pub(super) fn duration_seconds() -> i32 {
    i32::try_from(LEASE_DURATION.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, transitions: u64, version: u64) -> Seen {
        Seen {
            holder: holder.to_owned(),
            duration: LEASE_DURATION,
            transitions,
            resource_version: version.to_string(),
            address: Some(format!("{holder}:9903")),
        }
    }

    fn other(holder: &str) -> Leadership {
        Leadership::Other {
            holder: holder.to_owned(),
            address: Some(format!("{holder}:9903")),
        }
    }

    fn hold(step: Step) -> u64 {
        match step {
            Step::Hold { term, .. } => term,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_makes_the_lease_and_renews_it() {
        let now = Instant::now();
        let mut us = Election::new("us".into());
        assert_eq!(us.leadership(now), Leadership::Unknown);
        assert_eq!(us.next(None, now), Step::Create { term: 1 });
        us.wrote(lease("us", 1, 1), now);
        assert_eq!(us.leadership(now), Leadership::Ours { term: 1 });
        let later = now + Duration::from_secs(2);
        assert_eq!(hold(us.next(Some(lease("us", 1, 1)), later)), 1);
        us.wrote(lease("us", 1, 2), later);
        assert_eq!(us.unsure_at(), Some(later + LEASE_DEADLINE));
        assert_eq!(
            us.leadership(later + LEASE_DEADLINE),
            Leadership::Unsure { term: 1 }
        );
        // Back again, and nobody took it meanwhile.
        let back = later + 10 * LEASE_DEADLINE;
        assert_eq!(hold(us.next(Some(lease("us", 1, 2)), back)), 1);
    }

    #[test]
    fn another_takes_over_when_the_lease_runs_out_or_is_given_back() {
        let start = Instant::now();
        let mut us = Election::new("us".into());
        assert_eq!(us.next(Some(lease("them", 4, 1)), start), Step::Watch);
        assert_eq!(us.leadership(start), other("them"));
        let renewed = start + LEASE_DURATION / 2;
        assert_eq!(us.next(Some(lease("them", 4, 2)), renewed), Step::Watch);
        let early = renewed + LEASE_DURATION - Duration::from_millis(1);
        assert_eq!(us.next(Some(lease("them", 4, 2)), early), Step::Watch);
        let due = renewed + LEASE_DURATION;
        assert_eq!(hold(us.next(Some(lease("them", 4, 2)), due)), 5);
        assert_eq!(hold(us.next(Some(lease("", 4, 3)), due)), 5);
    }

    #[test]
    fn who_was_overtaken_leads_no_more() {
        let now = Instant::now();
        let mut us = Election::new("us".into());
        us.next(None, now);
        us.wrote(lease("us", 1, 1), now);
        assert!(us.to_release().is_some());
        assert_eq!(us.next(Some(lease("them", 2, 5)), now), Step::Watch);
        assert_eq!(us.leadership(now), other("them"));
        assert!(us.to_release().is_none());
    }

    #[test]
    fn a_term_is_above_what_data_planes_have_seen() {
        let now = Instant::now();
        let mut us = Election::new("us".into());
        us.next(None, now);
        us.wrote(lease("us", 1, 1), now);
        us.raise(8);
        assert_eq!(hold(us.next(Some(lease("us", 1, 1)), now)), 8);
        assert_eq!(us.leadership(now), Leadership::Ours { term: 1 }, "not yet");
        us.wrote(lease("us", 8, 2), now);
        assert_eq!(us.leadership(now), Leadership::Ours { term: 8 });
    }
}
