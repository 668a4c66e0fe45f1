//! A token bucket: so many writes at once, and so many a second. Pure.

use std::time::{Duration, Instant};

use crate::limits::{STATUS_BURST, STATUS_INTERVAL};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    /// The moment at which all tokens would be back; one is away for each interval until then.
    full_at: Option<Instant>,
}

impl Bucket {
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if self.ready_at(now) > now {
            return false;
        }
        let from = self.full_at.map_or(now, |full| full.max(now));
        self.full_at = Some(from + STATUS_INTERVAL);
        true
    }

    /// When there is a token, at `now` or later.
    pub(super) fn ready_at(&self, now: Instant) -> Instant {
        let burst: Duration = STATUS_INTERVAL * (STATUS_BURST - 1);
        match self.full_at {
            Some(full) => full.checked_sub(burst).map_or(now, |ready| ready.max(now)),
            None => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = Bucket::default();
        for _ in 0..STATUS_BURST {
            assert!(bucket.take(start));
        }
        assert!(!bucket.take(start));
        assert_eq!(bucket.ready_at(start), start + STATUS_INTERVAL);
        assert!(bucket.take(start + STATUS_INTERVAL));
        assert!(!bucket.take(start + STATUS_INTERVAL));
        let rested = start + STATUS_INTERVAL * (3 * STATUS_BURST);
        assert!(bucket.take(rested));
    }
}
