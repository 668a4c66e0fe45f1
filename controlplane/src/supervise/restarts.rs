//! When a process that ended is started again. No clock: times are arguments.

use std::time::Duration;

/// The first restart is immediate: traffic waits for it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A process that can't live is tried seldom enough to be no load, often enough to be repaired soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// One that lived so long was healthy: its next death counts as the first.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// An error exit of the very first start within this time is told to the user rather than retried:
/// a port in use, a folder that isn't there.
const STARTUP: Duration = Duration::from_secs(3);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Code(i32),
    Signal(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    RestartAfter(Duration),
    /// Trying again would end the same way.
    GiveUp,
}

/// Exponential back-off for one process.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    pause: Duration,
    ended_before: bool,
}

impl Restarts {
    /// What to do with a process that `lived` so long.
    pub(super) fn after(&mut self, ending: Ending, lived: Duration) -> Verdict {
        let first = !std::mem::replace(&mut self.ended_before, true);
        match ending {
            Ending::Code(2) => return Verdict::GiveUp,
            Ending::Code(code) if code != 0 && first && lived < STARTUP => return Verdict::GiveUp,
            Ending::Code(_) | Ending::Signal(_) => {}
        }
        if lived >= HEALTHY_AFTER {
            self.pause = Duration::ZERO;
        }
        let pause = self.pause;
        self.pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        Verdict::RestartAfter(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: Ending = Ending::Signal(9);

    fn pauses(restarts: &mut Restarts, count: usize) -> Vec<u128> {
        (0..count)
            .map(|_| match restarts.after(KILLED, Duration::from_secs(1)) {
                Verdict::RestartAfter(pause) => pause.as_millis(),
                Verdict::GiveUp => panic!("gave up on a killed process"),
            })
            .collect()
    }

    #[test]
    fn the_first_restart_is_immediate_and_the_pauses_double_up_to_five_seconds() {
        let expected = [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000];
        assert_eq!(pauses(&mut Restarts::default(), 9), expected);
    }

    #[test]
    fn a_long_life_resets_the_pause() {
        let mut restarts = Restarts::default();
        pauses(&mut restarts, 4);
        let verdict = restarts.after(KILLED, HEALTHY_AFTER);
        assert_eq!(verdict, Verdict::RestartAfter(Duration::ZERO));
        assert_eq!(pauses(&mut restarts, 1), [100]);
    }

    #[test]
    fn a_usage_error_is_never_retried() {
        let mut restarts = Restarts::default();
        pauses(&mut restarts, 2);
        let verdict = restarts.after(Ending::Code(2), HEALTHY_AFTER);
        assert_eq!(verdict, Verdict::GiveUp);
    }

    #[test]
    fn an_error_at_the_first_start_is_final_and_a_later_one_is_not() {
        let failed = Ending::Code(1);
        assert_eq!(
            Restarts::default().after(failed, Duration::from_millis(5)),
            Verdict::GiveUp
        );
        let mut lived = Restarts::default();
        assert!(matches!(
            lived.after(failed, STARTUP),
            Verdict::RestartAfter(_)
        ));
        assert!(matches!(
            lived.after(failed, Duration::ZERO),
            Verdict::RestartAfter(_)
        ));
    }
}
