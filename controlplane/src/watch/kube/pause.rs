//! How long to wait before the next attempt: twice as long each time, with some chance in it, so that
//! many that failed at once don't come back at once.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Pause {
    at_least: Duration,
    at_most: Duration,
    attempts: u32,
}

impl Pause {
    pub(crate) fn new(at_least: Duration, at_most: Duration) -> Self {
        Self {
            at_least,
            at_most,
            attempts: 0,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }

    pub(crate) fn next(&mut self) -> Duration {
        let longest = self.at_least * 2_u32.saturating_pow(self.attempts);
        self.attempts = (self.attempts + 1).min(16);
        spread(longest.min(self.at_most))
    }
}

/// Between half of it and all of it.
pub(crate) fn spread(longest: Duration) -> Duration {
    // A fresh hasher's seed is what the standard library has of chance.
    let chance = RandomState::new().hash_one(0_u8) % 1000;
    let part = u32::try_from(chance).unwrap_or_default();
    longest / 2 + longest * part / 2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_bound_and_begins_anew() {
        let ms = Duration::from_millis;
        let mut pause = Pause::new(ms(100), ms(1000));
        for longest in [100, 200, 400, 800, 1000, 1000] {
            let pause = pause.next();
            assert!(
                pause >= ms(longest) / 2 && pause <= ms(longest),
                "{pause:?}"
            );
        }
        for _ in 0..100 {
            pause.next();
        }
        pause.reset();
        assert!(pause.next() <= ms(100));
    }
}
