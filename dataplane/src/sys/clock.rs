//! The kernel's clocks: monotonic time where [`std::time::Instant`] costs too much, and a thread's own.

use std::time::Duration;

/// As of the kernel's last tick: a quarter of what the precise time costs, and never ahead of it.
pub(crate) fn coarse() -> Duration {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

/// The time that [`coarse`] follows.
pub(crate) fn precise() -> Duration {
    read(libc::CLOCK_MONOTONIC)
}

/// How long the calling thread has been on a core.
pub(crate) fn of_this_thread() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes to `now`. The clocks exist wherever Linux does, so there is no error to see.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarse_time_follows_the_precise_one() {
        let before = precise();
        let ahead = coarse().saturating_sub(precise());
        assert_eq!(ahead, Duration::ZERO);
        while coarse() <= before {
            std::thread::yield_now();
        }
    }
    #[test]
    fn a_thread_that_works_has_been_on_a_core() {
        let before = of_this_thread();
        let mut turns = 0_u64;
        while of_this_thread() == before {
            turns = std::hint::black_box(turns + 1);
        }
        assert!(of_this_thread() > before);
    }
}
