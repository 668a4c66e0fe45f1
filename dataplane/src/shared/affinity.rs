//! Which endpoint a client had last: a client that connects again may come to another shard.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use foldhash::fast::RandomState;
use ringgate_core::table::Slot;

use crate::limits;

/// A backend's client.
type Whose = (Slot, IpAddr);

/// All of a process. Hashes are seeded: whoever connects chooses the address.
#[derive(Debug, Default)]
pub(crate) struct Affinities {
    kept: DashMap<Whose, Kept, RandomState>,
    /// At least so many as there are: exact after each [`Self::prune`].
    count: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    endpoint: SocketAddr,
    until: Instant,
}

impl Affinities {
    pub(crate) fn get(&self, whose: Whose) -> Option<SocketAddr> {
        let kept = *self.kept.get(&whose)?;
        (kept.until > Instant::now()).then_some(kept.endpoint)
    }

    /// For `lasting` from now. Beyond the bound new clients aren't kept; those that are, are renewed.
    pub(crate) fn put(&self, whose: Whose, endpoint: SocketAddr, lasting: Duration) {
        let until = Instant::now() + lasting;
        let kept = Kept { endpoint, until };
        match self.kept.entry(whose) {
            Entry::Occupied(mut there) => drop(there.insert(kept)),
            Entry::Vacant(place) => {
                let is_room = self.count.load(Ordering::Relaxed) < limits::AFFINITIES;
                if is_room {
                    self.count.fetch_add(1, Ordering::Relaxed);
                    place.insert(kept);
                }
            }
        }
    }

    /// Forgets those whose time is over. Walks all: not for a shard's thread.
    pub(crate) fn prune(&self) {
        let now = Instant::now();
        self.kept.retain(|_, kept| kept.until > now);
        self.count.store(self.kept.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_kept_for_their_time_and_up_to_a_bound() {
        let affinities = Affinities::default();
        let endpoint: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let client = |number: usize| {
            let number = u32::try_from(number).unwrap();
            (Slot(1), IpAddr::from(number.to_be_bytes()))
        };
        affinities.put(client(0), endpoint, Duration::from_secs(60));
        assert_eq!(affinities.get(client(0)), Some(endpoint));
        assert_eq!(affinities.get((Slot(2), client(0).1)), None);
        for number in 1..=limits::AFFINITIES {
            affinities.put(client(number), endpoint, Duration::ZERO);
        }
        assert_eq!(affinities.get(client(1)), None, "its time is over");
        assert_eq!(affinities.kept.len(), limits::AFFINITIES);
        affinities.put(client(1), endpoint, Duration::from_secs(60));
        assert_eq!(affinities.get(client(1)), Some(endpoint), "it has a place");
        affinities.prune();
        assert_eq!(affinities.kept.len(), 2);
        let last = client(limits::AFFINITIES);
        affinities.put(last, endpoint, Duration::from_secs(60));
        assert_eq!(affinities.get(last), Some(endpoint));
    }
}
