//! Versions of what shall be in force: each above all that any data plane has seen.

use ringgate_core::ir::Version;

/// Hands out versions in ascending order.
#[derive(Debug)]
pub(super) struct Versions {
    last: Version,
}

impl Versions {
    /// `term`: in file mode the start in seconds since 1970.
    pub(super) fn new(term: u64) -> Self {
        let last = Version { term, sequence: 0 };
        Self { last }
    }

    pub(super) fn next(&mut self) -> Version {
        self.last.sequence += 1;
        self.last
    }

    /// Begins a new term if `seen` is above what was handed out last: after two starts within a second,
    /// or with a clock that was set back, data planes would else take ours for stale. Returns whether
    /// it did.
    pub(super) fn outrank(&mut self, seen: Version) -> bool {
        if seen <= self.last {
            return false;
        }
        self.last = Version {
            term: seen.term.saturating_add(1),
            sequence: 0,
        };
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
        assert!(!versions.outrank(older));
        assert_eq!(versions.next().to_string(), "10.2");
        let equal = Version {
            term: 10,
            sequence: 2,
        };
        assert!(!versions.outrank(equal));

        let same_second = Version {
            term: 10,
            sequence: 5,
        };
        assert!(versions.outrank(same_second));
        assert_eq!(versions.next().to_string(), "11.1");
        let newer_clock = Version {
            term: 99,
            sequence: 1,
        };
        assert!(versions.outrank(newer_clock));
        assert!(versions.next() > newer_clock);
    }
}
