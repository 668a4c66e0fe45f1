//! A member, as SWIM tells them apart.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Where it is, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) address: SocketAddr,
    /// When its process started, in milliseconds since 1970, and more each time it was declared dead and wasn't: the
    /// later one of the same place is right.
    pub(super) generation: u64,
}

impl Identity {
    /// One that is spoken to for the first time: it takes that as its own.
    pub(super) fn unknown(address: SocketAddr) -> Self {
        Self {
            address,
            generation: 0,
        }
    }
}

impl foca::Identity for Identity {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Self> {
        Some(Self {
            generation: self.generation + 1,
            ..*self
        })
    }

    fn addr(&self) -> SocketAddr {
        self.address
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        self.generation > other.generation
    }
}
