//! What is thought of a backend's endpoints, by the results of checks and of traffic. Pure: time is an
//! argument, counted from whenever the caller likes.

use std::time::Duration;

use crate::ir::{OutlierDetection, Thresholds};

/// What checks of an endpoint have said. It works until one says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    is_failing: bool,
    /// A check has said something.
    is_judged: bool,
    /// Checks in a row that say the opposite of what is thought.
    against: u32,
}

impl Checked {
    #[must_use]
    pub fn is_failing(self) -> bool {
        self.is_failing
    }

    #[must_use]
    pub fn is_judged(self) -> bool {
        self.is_judged
    }

    /// Takes a check's result; whether it changes what is thought.
    ///
    /// The first one decides alone: an endpoint that is new and doesn't answer shall not have traffic for
    /// as long as one that has worked until now.
    pub fn take(&mut self, has_passed: bool, thresholds: Thresholds) -> bool {
        let is_first = !std::mem::replace(&mut self.is_judged, true);
        if has_passed != self.is_failing {
            self.against = 0;
            return false;
        }
        self.against = self.against.saturating_add(1);
        let wanted = match has_passed {
            true => thresholds.healthy,
            false => thresholds.unhealthy,
        };
        if self.against < wanted && !is_first {
            return false;
        }
        self.is_failing = !has_passed;
        self.against = 0;
        true
    }
}

/// When an endpoint was put aside, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ejections {
    /// In a row.
    count: u32,
    /// Of the last one.
    ends: Duration,
    is_out: bool,
}

impl Ejections {
    /// Puts the endpoint aside at `now`; until when.
    pub fn eject(&mut self, now: Duration, settings: &OutlierDetection) -> Duration {
        let rested = now.saturating_sub(self.ends);
        if rested >= settings.max_ejection {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        let long = settings.base_ejection.saturating_mul(self.count);
        self.ends = now.saturating_add(long.min(settings.max_ejection));
        self.is_out = true;
        self.ends
    }

    /// Whether its time is over at `now`; then it is back.
    pub fn end(&mut self, now: Duration) -> bool {
        let is_over = self.is_out && now >= self.ends;
        self.is_out &= !is_over;
        is_over
    }

    /// Back before its time; whether it was away.
    pub fn pardon(&mut self) -> bool {
        std::mem::take(self).is_out
    }

    #[must_use]
    pub fn is_out(self) -> bool {
        self.is_out
    }

    /// None: it isn't away.
    #[must_use]
    pub fn ends(self) -> Option<Duration> {
        self.is_out.then_some(self.ends)
    }
}

/// How a backend's endpoints stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub endpoints: usize,
    pub ejected: usize,
    /// Neither ejected nor failing their checks.
    pub usable: usize,
}

impl Standing {
    /// Whether one more of the usable ones may be put aside.
    #[must_use]
    pub fn may_eject(self, percent: u8) -> bool {
        let share = self.endpoints * usize::from(percent) / 100;
        let most = share.max(usize::from(percent > 0));
        self.usable > 1 && self.ejected < most
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THRESHOLDS: Thresholds = Thresholds {
        healthy: 2,
        unhealthy: 3,
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_check_decides_and_later_ones_by_their_number() {
        let mut checked = Checked::default();
        assert!(
            !checked.is_failing(),
            "it works until a check says otherwise"
        );
        assert!(checked.take(false, THRESHOLDS));
        assert!(checked.is_failing());
        assert!(!checked.take(true, THRESHOLDS));
        assert!(!checked.take(false, THRESHOLDS), "in a row, or not at all");
        assert!(!checked.take(true, THRESHOLDS));
        assert!(checked.take(true, THRESHOLDS));
        assert!(!checked.is_failing());
        let changes = [false, false, true, false, false, false].map(|passed| {
            let has_changed = checked.take(passed, THRESHOLDS);
            (has_changed, checked.is_failing())
        });
        let stays = (false, false);
        assert_eq!(changes, [stays, stays, stays, stays, stays, (true, true)]);
    }

    #[test]
    fn a_first_check_that_passes_changes_nothing() {
        let mut checked = Checked::default();
        assert!(!checked.take(true, THRESHOLDS));
        assert!(checked.is_judged());
        assert!(!checked.take(false, THRESHOLDS));
        assert!(!checked.is_failing());
    }

    #[test]
    fn each_ejection_is_longer_up_to_the_longest_and_good_conduct_is_rewarded() {
        let settings = OutlierDetection {
            base_ejection: seconds(30),
            max_ejection: seconds(70),
            ..OutlierDetection::default()
        };
        let mut ejections = Ejections::default();
        let mut now = seconds(1000);
        for expected in [30, 60, 70, 70] {
            assert_eq!(ejections.eject(now, &settings), now + seconds(expected));
            let ends = ejections.ends().unwrap();
            assert!(!ejections.end(ends - Duration::from_millis(1)));
            assert!(ejections.end(ends));
            assert!(!ejections.is_out() && !ejections.end(ends));
            now = ends + seconds(69);
        }
        now += seconds(1);
        assert_eq!(ejections.eject(now, &settings), now + seconds(30));
        assert!(ejections.pardon() && !ejections.pardon());
        assert_eq!(ejections.ends(), None);
    }

    #[test]
    fn a_share_may_be_put_aside_one_at_least_and_never_the_last() {
        let standing = |endpoints, ejected, usable| Standing {
            endpoints,
            ejected,
            usable,
        };
        for (standing, percent, may) in [
            (standing(10, 4, 6), 50, true),
            (standing(10, 5, 5), 50, false),
            (standing(3, 0, 3), 10, true),
            (standing(3, 1, 2), 10, false),
            (standing(3, 0, 3), 0, false),
            (standing(1, 0, 1), 100, false),
            (standing(4, 2, 1), 100, false),
            (standing(4, 2, 2), 100, true),
        ] {
            assert_eq!(standing.may_eject(percent), may, "{standing:?} {percent}");
        }
    }

    proptest! {
        /// Whatever comes, what is thought follows from the last results alone.
        #[test]
        fn so_many_results_in_a_row_always_decide(
            results: Vec<bool>,
            healthy in 1_u32..6,
            unhealthy in 1_u32..6,
            last: bool,
        ) {
            let thresholds = Thresholds { healthy, unhealthy };
            let mut checked = Checked::default();
            for result in results {
                let before = checked;
                let has_changed = checked.take(result, thresholds);
                prop_assert_eq!(has_changed, before.is_failing() != checked.is_failing());
                prop_assert!(!has_changed || checked.is_failing() != result);
            }
            for _ in 0..healthy.max(unhealthy) {
                checked.take(last, thresholds);
            }
            prop_assert_eq!(checked.is_failing(), !last);
        }

        #[test]
        fn a_usable_endpoint_is_always_left(
            failing in prop::collection::vec(any::<bool>(), 1..40),
            percent in 0_u8..=100,
        ) {
            let (endpoints, mut ejected) = (failing.len(), 0);
            let working = failing.iter().filter(|failing| !**failing).count();
            for _ in 0..endpoints {
                let standing = Standing { endpoints, ejected, usable: working - ejected };
                if standing.may_eject(percent) {
                    ejected += 1;
                }
            }
            prop_assert!(working == 0 || ejected < working);
            prop_assert!(ejected <= (endpoints * usize::from(percent) / 100).max(1));
        }

        #[test]
        fn no_ejection_is_longer_than_the_longest(
            times in prop::collection::vec(0_u64..10_000, 1..50),
            base in 1_u64..1_000,
            more in 0_u64..1_000,
        ) {
            let settings = OutlierDetection {
                base_ejection: seconds(base),
                max_ejection: seconds(base + more),
                ..OutlierDetection::default()
            };
            let (mut ejections, mut now) = (Ejections::default(), Duration::ZERO);
            for time in times {
                now += seconds(time);
                let long = ejections.eject(now, &settings) - now;
                prop_assert!((settings.base_ejection..=settings.max_ejection).contains(&long));
                now = ejections.ends().unwrap();
                prop_assert!(ejections.end(now));
            }
        }
    }
}
