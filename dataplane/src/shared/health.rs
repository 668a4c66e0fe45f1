//! What is thought of endpoints. One thread decides that ([`crate::health`]), and shards read it when they choose. A
//! shard writes only where traffic fails, and where it succeeds for the first time after that.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use ringgate_core::table::{Backend, Slot};
use tokio::sync::mpsc;

/// Of all backends whose endpoints are checked or put aside; replaced as a whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    backends: HashMap<Slot, Arc<BackendHealth>, foldhash::fast::FixedState>,
}

impl Health {
    pub(crate) fn backend(&self, slot: Slot) -> Option<&Arc<BackendHealth>> {
        self.backends.get(&slot)
    }

    pub(crate) fn backends(&self) -> impl Iterator<Item = &Arc<BackendHealth>> {
        self.backends.values()
    }

    pub(crate) fn put(&mut self, backend: BackendHealth) {
        self.backends.insert(backend.slot(), Arc::new(backend));
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        self.backends.remove(&slot);
    }
}

/// Of the endpoints of one version of a backend.
#[derive(Debug)]
pub(crate) struct BackendHealth {
    pub(crate) backend: Arc<Backend>,
    /// As long as the backend's slot lives.
    pub(crate) tally: Arc<Tally>,
    /// Ascending by address.
    pub(crate) endpoints: Vec<Arc<EndpointHealth>>,
}

/// What a backend's versions have in common.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Of endpoints' states: whoever keeps a list of those that work makes it anew.
    changes: AtomicU32,
    pub(crate) passed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) ejections: AtomicU64,
}

impl Tally {
    pub(crate) fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl BackendHealth {
    pub(crate) fn slot(&self) -> Slot {
        self.backend.slot
    }

    pub(crate) fn endpoint(&self, address: SocketAddr) -> Option<&Arc<EndpointHealth>> {
        let found = self
            .endpoints
            .binary_search_by_key(&address, |one| one.address);
        self.endpoints.get(found.ok()?)
    }

    /// States that are read after this are no older than the changes that it counts.
    pub(crate) fn changes(&self) -> u32 {
        self.tally.changes.load(Ordering::Acquire)
    }

    /// `namespace/service:port`, as in metrics.
    pub(crate) fn name(&self) -> String {
        let backend = &self.backend.backend;
        format!("{}:{}", backend.service, backend.port)
    }
}

/// What is thought of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Healthy,
    /// Checks fail.
    Unhealthy,
    /// Put aside for a while, for what became of its traffic.
    Ejected,
}

impl State {
    pub(crate) const ALL: [Self; 3] = [Self::Healthy, Self::Unhealthy, Self::Ejected];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
        }
    }
}

#[derive(Debug)]
pub(crate) struct EndpointHealth {
    pub(crate) slot: Slot,
    pub(crate) address: SocketAddr,
    state: AtomicU8,
    /// In a row, of all shards.
    failures: AtomicU32,
    /// So many are told; 0: none are counted.
    limit: AtomicU32,
    tally: Arc<Tally>,
    suspects: mpsc::Sender<Suspect>,
}

/// An endpoint at which so many attempts in a row failed as its backend's settings have it.
#[derive(Debug)]
pub(crate) struct Suspect {
    pub(crate) slot: Slot,
    pub(crate) address: SocketAddr,
    /// The last of them.
    pub(crate) failed: Failed,
}

/// What became of an attempt to have something carried by an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// No connection, or no TLS on it.
    Connect,
    Timeout,
    /// The connection broke before or within a response, or what came was none.
    Broken,
    /// One of a gateway that has nobody behind it.
    Status(u16),
    /// A datagram: nobody listens there.
    Refused,
}

impl Failed {
    /// Whether a response's status says that the endpoint can't serve.
    pub(crate) fn by(status: u16) -> Option<Self> {
        matches!(status, 502..=504).then_some(Self::Status(status))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("it takes no connections"),
            Self::Timeout => f.write_str("it didn't answer in time"),
            Self::Broken => f.write_str("its connections break"),
            Self::Status(status) => write!(f, "it answers with status {status}"),
            Self::Refused => f.write_str("it refuses datagrams"),
        }
    }
}

impl EndpointHealth {
    pub(crate) fn new(
        (slot, address): (Slot, SocketAddr),
        tally: &Arc<Tally>,
        suspects: &mpsc::Sender<Suspect>,
    ) -> Self {
        Self {
            slot,
            address,
            state: AtomicU8::new(State::Healthy as u8),
            failures: AtomicU32::new(0),
            limit: AtomicU32::new(0),
            tally: tally.clone(),
            suspects: suspects.clone(),
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Healthy,
            1 => State::Unhealthy,
            _ => State::Ejected,
        }
    }

    pub(crate) fn is_out(&self) -> bool {
        self.state() != State::Healthy
    }

    /// By the one thread that decides.
    pub(crate) fn set(&self, state: State) {
        self.failures.store(0, Ordering::Relaxed);
        self.state.store(state as u8, Ordering::Relaxed);
        self.tally.changes.fetch_add(1, Ordering::Release);
    }

    /// How many failures in a row make it a suspect; 0: none do.
    pub(crate) fn limit(&self, failures: u32) {
        self.limit.store(failures, Ordering::Relaxed);
    }

    /// Something failed there, and neither a client nor we are at fault.
    pub(crate) fn failed(&self, failed: Failed) {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit == 0 || self.is_out() {
            return;
        }
        let count = self.failures.fetch_add(1, Ordering::Relaxed);
        if count.wrapping_add(1).is_multiple_of(limit) {
            let (slot, address) = (self.slot, self.address);
            // If there is no room, as many failures more will tell it again.
            let _ = self.suspects.try_send(Suspect {
                slot,
                address,
                failed,
            });
        }
    }

    /// Writes nothing where nothing has failed.
    pub(crate) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn endpoint(limit: u32) -> (Arc<EndpointHealth>, mpsc::Receiver<Suspect>) {
        let (suspects, suspected) = mpsc::channel(4);
        let whose = (Slot(1), "10.0.0.1:80".parse().unwrap());
        let one = EndpointHealth::new(whose, &Arc::default(), &suspects);
        one.limit(limit);
        (Arc::new(one), suspected)
    }

    #[test]
    fn failures_count_together_and_in_a_row() {
        let (one, mut suspected) = endpoint(4);
        for _ in 0..3 {
            one.failed(Failed::Connect);
        }
        one.succeeded();
        let shards = [Failed::Timeout, Failed::Broken].map(|failed| {
            let one = one.clone();
            thread::spawn(move || (0..2).for_each(|_| one.failed(failed)))
        });
        shards.into_iter().for_each(|shard| shard.join().unwrap());
        let suspect = suspected.try_recv().unwrap();
        assert_eq!(suspect.address, one.address);
        assert!(suspected.try_recv().is_err(), "told once");
        (0..4).for_each(|_| one.failed(Failed::Status(503)));
        let again = suspected.try_recv().unwrap();
        assert_eq!(
            again.failed,
            Failed::Status(503),
            "and as often as it goes on"
        );
    }

    #[test]
    fn what_is_out_or_isn_t_watched_is_not_counted() {
        let (one, mut suspected) = endpoint(1);
        one.set(State::Ejected);
        assert!(one.is_out());
        one.failed(Failed::Refused);
        assert!(suspected.try_recv().is_err());
        one.set(State::Healthy);
        one.limit(0);
        one.failed(Failed::Refused);
        assert!(suspected.try_recv().is_err());
    }

    #[test]
    fn a_change_is_seen_by_whoever_keeps_a_list() {
        let tally = Arc::new(Tally::default());
        let (suspects, _suspected) = mpsc::channel(1);
        let whose = (Slot(1), "10.0.0.1:80".parse().unwrap());
        let one = EndpointHealth::new(whose, &tally, &suspects);
        let before = tally.changes.load(Ordering::Acquire);
        one.set(State::Unhealthy);
        assert_ne!(tally.changes.load(Ordering::Acquire), before);
        assert_eq!(one.state(), State::Unhealthy);
    }
}
