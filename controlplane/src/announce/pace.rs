//! How long addresses stay on an interface.

use std::time::Duration;

use crate::limits::{
    ANNOUNCE_LIFETIME_S, ANNOUNCE_RENEW, ANNOUNCE_SHARED_LIFETIME_S, ANNOUNCE_SHARED_RENEW,
};

/// How long addresses last when nobody renews them, and how often that is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) lifetime_s: u32,
    pub(super) renew: Duration,
}

impl Pace {
    /// An agent that nobody takes over from: restarts matter more.
    pub(super) const ALONE: Self = Self {
        lifetime_s: ANNOUNCE_LIFETIME_S,
        renew: ANNOUNCE_RENEW,
    };

    /// One of several. When one is killed, its kernel goes on to answer for its addresses, and the next owner asks the link before
    /// it takes them: so they have to be gone by the time that the death is known. An owner that takes them regardless
    /// would be one of two for as long as the other's kernel answers.
    pub(super) const SHARED: Self = Self {
        lifetime_s: ANNOUNCE_SHARED_LIFETIME_S,
        renew: ANNOUNCE_SHARED_RENEW,
    };

    pub(super) fn lifetime(self) -> Duration {
        Duration::from_secs(self.lifetime_s.into())
    }
}
