//! What each shard has to carry, for the others to see: its clients, and how busy its thread was. Written when a connection comes or
//! ends, and once in a second; read when a connection comes. No lock, and no memory that two shards write to but where one takes a
//! place on the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ringgate_core::balance::ShardLoad;

/// Of all shards.
#[derive(Debug)]
pub(crate) struct Loads {
    shards: Box<[OfShard]>,
}

/// On cache lines of its own: two, for the next one is fetched with each.
#[derive(Debug, Default)]
#[repr(align(128))]
struct OfShard {
    /// Clients that ever came, wrapping, above those that are there.
    clients: AtomicU64,
    /// Of the last measurement: clients above work.
    measured: AtomicU64,
}

/// A client that came, and is there.
const ONE: u64 = 1 << 32 | 1;

fn halves(both: u64) -> (u32, u32) {
    let low = u32::try_from(both & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (u32::try_from(both >> 32).unwrap_or(u32::MAX), low)
}

fn both(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

// Numbers alone, which nothing else hangs on: no order is needed.
impl Loads {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| OfShard::default()).collect(),
        }
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    pub(crate) fn clients(&self, shard: usize) -> u32 {
        let shard = self.shards.get(shard);
        shard.map_or(0, |shard| halves(shard.clients.load(Ordering::Relaxed)).1)
    }

    /// A client comes to a shard.
    pub(crate) fn come(&self, shard: usize) {
        if let Some(shard) = self.shards.get(shard) {
            shard.clients.fetch_add(ONE, Ordering::Relaxed);
        }
    }

    /// The same, if no other has come or gone since its load was read.
    pub(crate) fn come_if(&self, shard: usize, seen: ShardLoad) -> bool {
        let (seen, clients) = (
            both(seen.arrived, seen.open),
            self.shards.get(shard).map(|shard| &shard.clients),
        );
        clients.is_some_and(|clients| {
            let next = seen.wrapping_add(ONE);
            let order = Ordering::Relaxed;
            clients.compare_exchange(seen, next, order, order).is_ok()
        })
    }

    /// It ends.
    pub(crate) fn go(&self, shard: usize) {
        if let Some(shard) = self.shards.get(shard) {
            shard.clients.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// It never came.
    pub(crate) fn take_back(&self, shard: usize) {
        if let Some(shard) = self.shards.get(shard) {
            shard.clients.fetch_sub(ONE, Ordering::Relaxed);
        }
    }

    /// How busy a shard's thread was lately, in thousandths of a core.
    pub(crate) fn measured(&self, shard: usize, work: u32) {
        let clients = self.clients(shard);
        if let Some(shard) = self.shards.get(shard) {
            let measured = both(clients, work);
            shard.measured.store(measured, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self, into: &mut Vec<ShardLoad>) {
        into.clear();
        into.extend(self.shards.iter().map(|shard| {
            let (arrived, open) = halves(shard.clients.load(Ordering::Relaxed));
            let (measured, work) = halves(shard.measured.load(Ordering::Relaxed));
            ShardLoad {
                open,
                arrived,
                measured,
                work,
            }
        }));
    }
}

/// Places that a shard keeps on a port for connections that it has sent to others, as long as they may come back.
#[derive(Debug, Default)]
pub(crate) struct Kept(Arc<AtomicUsize>);

/// One of them.
#[derive(Debug)]
pub(crate) struct KeptPlace(Arc<AtomicUsize>);

impl Kept {
    pub(crate) fn places(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn one(&self) -> KeptPlace {
        self.0.fetch_add(1, Ordering::Relaxed);
        KeptPlace(self.0.clone())
    }
}

impl Drop for KeptPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(loads: &Loads) -> Vec<ShardLoad> {
        let mut read = Vec::new();
        loads.read(&mut read);
        read
    }

    #[test]
    fn a_place_is_taken_once_by_those_who_saw_the_same() {
        let loads = Loads::new(2);
        loads.come(0);
        let seen = read(&loads);
        assert_eq!((seen[0].open, seen[1].open), (1, 0));
        assert!(loads.come_if(1, seen[1]));
        assert!(!loads.come_if(1, seen[1]), "it has one by now");
        loads.go(1);
        assert!(!loads.come_if(1, seen[1]), "another came, and is gone");
        assert!(!loads.come_if(2, seen[1]), "there is no such shard");
        loads.come(1);
        loads.take_back(1);
        let seen = read(&loads)[1];
        assert_eq!((seen.arrived, seen.open), (1, 0));
    }

    #[test]
    fn arrivals_wrap_and_leave_the_others_alone() {
        let loads = Loads::new(1);
        let almost = both(u32::MAX, 7);
        loads.shards[0].clients.store(almost, Ordering::Relaxed);
        assert!(loads.come_if(0, read(&loads)[0]));
        loads.measured(0, 250);
        let wanted = ShardLoad {
            open: 8,
            arrived: 0,
            measured: 8,
            work: 250,
        };
        assert_eq!(read(&loads), [wanted]);
    }
}
