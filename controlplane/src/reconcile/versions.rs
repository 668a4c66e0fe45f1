//! Versions of what shall be in force: each above all that any data plane has seen.

use ringgate_core::ir::Version;

/// Hands out versions in ascending order.
#[derive(Debug)]
pub(super) struct Versions {
    last: Version,
}

impl Versions {
    /// `term`: in file mode the start in seconds since 1970; in a cluster it is that of the Lease.
    pub(super) fn new(term: u64) -> Self {
        let last = Version { term, sequence: 0 };
        Self { last }
    }

    pub(super) fn next(&mut self) -> Version {
        self.last.sequence += 1;
        self.last
    }

    /// The term that outranks `seen`, if what was handed out last doesn't: after two starts within a
    /// second, with a clock that was set back, or with a Lease that was made anew, data planes would
    /// else take ours for stale.
    pub(super) fn needed(&self, seen: Version) -> Option<u64> {
        (seen > self.last).then(|| seen.term.saturating_add(1))
    }

    /// Begins a term, unless it is no later than the one that lasts. Returns whether it did.
    pub(super) fn begin(&mut self, term: u64) -> bool {
        if term <= self.last.term {
            return false;
        }
        self.last = Version { term, sequence: 0 };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_above_what_was_seen() {
        let mut versions = Versions::new(10);
        let first = versions.next();
        assert_eq!(first.to_string(), "10.1");
        let older = Version {
            term: 9,
            sequence: 7,
        };
        assert_eq!(versions.needed(older), None);
        assert_eq!(versions.next().to_string(), "10.2");
        let equal = Version {
            term: 10,
            sequence: 2,
        };
        assert_eq!(versions.needed(equal), None);

        let same_second = Version {
            term: 10,
            sequence: 5,
        };
        assert_eq!(versions.needed(same_second), Some(11));
        assert!(versions.begin(11) && !versions.begin(11));
        assert_eq!(versions.next().to_string(), "11.1");
        let newer_clock = Version {
            term: 99,
            sequence: 1,
        };
        let term = versions.needed(newer_clock).unwrap();
        versions.begin(term);
        assert!(versions.next() > newer_clock);
    }
}
