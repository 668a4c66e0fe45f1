//! Whether, and after how long, a request goes to a backend once more.

use std::time::Duration;

use crate::balance::Random;
use crate::ir::Retry;

/// Where a route names no interval: the default of Envoy, whose users know it.
const DEFAULT_BACKOFF: Duration = Duration::from_millis(25);
/// No wait is longer: beyond it a client has given up.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No byte of the request reached a backend.
    Connect,
    /// A connection that was kept from before closed without a byte of response: the backend very
    /// likely closed it before it saw the request.
    StaleConnection,
    /// The backend says that it has done nothing of what was asked (RFC 9113, section 8.7).
    Refused,
    /// The attempt ran out of time.
    Timeout,
    /// The connection broke, or what came was no HTTP.
    Broken,
    Status(u16),
}

/// What of the request decides whether it may be sent again.
#[derive(Clone, Copy, Debug)]
pub struct Sendable {
    /// RFC 9110, section 9.2.2.
    pub idempotent: bool,
    /// Nothing of the body is lost: there is none, or all that was read of it is kept.
    pub replayable: bool,
}

/// After how long to try again; `None`: not at all. `attempt` counts from 1, the one that failed.
///
/// Without a route's retry: once, on another endpoint, where the failure shows that no backend has worked
/// on the request. With it (GEP-1731): its codes, connect failures, and attempts that timed out.
pub fn after(
    failure: Failure,
    attempt: u32,
    request: Sendable,
    retry: Option<&Retry>,
    random: &mut Random,
) -> Option<Duration> {
    let untouched = match failure {
        Failure::Connect | Failure::Refused => request.replayable,
        Failure::StaleConnection => request.replayable && request.idempotent,
        _ => false,
    };
    let attempts = retry.map_or(0, |retry| retry.attempts);
    let disabled = retry.is_some_and(|retry| retry.attempts == 0);
    if untouched && attempt == 1 && !disabled {
        return Some(Duration::ZERO);
    }
    let retry = retry?;
    let asked = match failure {
        Failure::Connect | Failure::Refused | Failure::Timeout => true,
        Failure::StaleConnection => request.idempotent,
        Failure::Status(status) => retry.codes.contains(&status),
        Failure::Broken => false,
    };
    (asked && request.replayable && attempt <= attempts)
        .then(|| backoff(retry.backoff, attempt, random))
}

/// Exponential, with up to a quarter of jitter on top.
fn backoff(base: Option<Duration>, attempt: u32, random: &mut Random) -> Duration {
    let base = base.unwrap_or(DEFAULT_BACKOFF);
    let doubled = base.saturating_mul(1 << (attempt - 1).min(16));
    let capped = doubled.min(LONGEST_BACKOFF.max(base));
    capped + capped.mul_f64(f64::from(random.below(250)) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Sendable = Sendable {
        idempotent: true,
        replayable: true,
    };
    const POST: Sendable = Sendable {
        idempotent: false,
        replayable: true,
    };
    const STREAM: Sendable = Sendable {
        idempotent: true,
        replayable: false,
    };

    fn retry(attempts: u32) -> Retry {
        Retry {
            codes: vec![503],
            attempts,
            backoff: Some(Duration::from_millis(100)),
        }
    }

    fn again(failure: Failure, attempt: u32, request: Sendable, retry: Option<&Retry>) -> bool {
        after(failure, attempt, request, retry, &mut Random::seeded(1)).is_some()
    }

    #[test]
    fn without_a_retry_only_what_no_backend_saw_goes_once_more() {
        assert!(again(Failure::Connect, 1, POST, None));
        assert!(!again(Failure::Connect, 2, POST, None));
        assert!(!again(Failure::Connect, 1, STREAM, None));
        assert!(again(Failure::Refused, 1, POST, None));
        assert!(!again(Failure::Refused, 1, STREAM, None));
        assert!(again(Failure::StaleConnection, 1, GET, None));
        assert!(!again(Failure::StaleConnection, 1, POST, None));
        for failure in [Failure::Timeout, Failure::Broken, Failure::Status(503)] {
            assert!(!again(failure, 1, GET, None), "{failure:?}");
        }
    }

    #[test]
    fn with_a_retry_its_codes_and_attempts_count() {
        let two = retry(2);
        assert!(again(Failure::Status(503), 1, POST, Some(&two)));
        assert!(again(Failure::Status(503), 2, POST, Some(&two)));
        assert!(!again(Failure::Status(503), 3, POST, Some(&two)));
        assert!(!again(Failure::Status(500), 1, GET, Some(&two)));
        assert!(!again(Failure::Status(503), 1, STREAM, Some(&two)));
        assert!(again(Failure::Timeout, 1, GET, Some(&two)));
        assert!(!again(Failure::Broken, 1, GET, Some(&two)));
        assert!(!again(Failure::Connect, 1, GET, Some(&retry(0))));
    }

    #[test]
    fn waits_double_with_jitter_and_end_at_the_cap() {
        let mut random = Random::seeded(3);
        let mut wait = |attempt| {
            after(
                Failure::Status(503),
                attempt,
                GET,
                Some(&retry(99)),
                &mut random,
            )
            .unwrap()
        };
        assert!((100..=125).contains(&wait(1).as_millis()));
        assert!((400..=500).contains(&wait(3).as_millis()));
        assert!((10_000..=12_500).contains(&wait(40).as_millis()));
    }
}
