//! How long a thread has been on a core.

use std::time::Duration;

/// Of the calling thread, since it began.
pub(crate) fn of_this_thread() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes to `time`; the clock is there on every Linux, and without it the time stays 0.
    let _ = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

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
