//! The other shards, as one of them sees them: which one a new connection is for, and its way there. The kernel chooses among the
//! listening sockets of all shards without knowing what each has to carry; `core::balance` decides who gets a connection instead.

use std::cell::RefCell;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use ringgate_core::balance::{Placement, ShardLoad};
use ringgate_core::table::Bind;

use crate::limits;
use crate::shard::Handle;
use crate::shared::loads::{KeptPlace, Loads};
use crate::sys::clock;
use crate::sys::io::sleep;

/// Others may take the place that was seen to be free; whoever accepts doesn't try for ever.
const TRIES: usize = 3;

/// A connection on its way from the shard that accepted it, and counted where it goes.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) bind: Bind,
    pub(crate) socket: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) from: usize,
    /// The shard that could not take it, on its way back.
    pub(crate) refused_by: Option<usize>,
    /// How often it was sent.
    pub(crate) hops: u8,
    /// Where it came from, until it is served.
    pub(crate) _place: KeptPlace,
}

pub(crate) struct Neighbours {
    here: usize,
    loads: Arc<Loads>,
    shards: Arc<Vec<Handle>>,
    placement: RefCell<Placement>,
    /// What was read last; kept for its memory.
    seen: RefCell<Vec<ShardLoad>>,
}

impl Neighbours {
    pub(crate) fn new(here: usize, loads: Arc<Loads>, shards: Arc<Vec<Handle>>) -> Self {
        let neighbours = Self {
            here,
            loads,
            shards,
            placement: RefCell::default(),
            seen: RefCell::default(),
        };
        neighbours.begin_turn();
        neighbours
    }

    /// Of this shard, those included that are on their way to it.
    pub(crate) fn clients(&self) -> usize {
        usize::try_from(self.loads.clients(self.here)).unwrap_or(usize::MAX)
    }

    /// Where a connection is to be served that came here: it is counted there.
    pub(crate) fn place(&self) -> usize {
        let mut placement = self.placement.borrow_mut();
        let mut seen = self.seen.borrow_mut();
        for _ in 0..TRIES {
            if self.is_alone() || !placement.may_look() {
                break;
            }
            self.loads.read(&mut seen);
            let there = placement.place(self.here, &seen);
            let load = seen.get(there);
            if load.is_some_and(|load| self.loads.come_if(there, *load)) {
                return there;
            }
        }
        self.keep();
        self.here
    }

    /// Counts a connection here, whatever others have.
    pub(crate) fn keep(&self) {
        self.loads.come(self.here);
    }

    /// Sends a connection to the shard that it is counted at; if that takes nothing, it is counted here, and comes back.
    pub(crate) fn send(&self, there: usize, handed: Handed) -> Result<(), Handed> {
        let sent = match self.shards.get(there) {
            Some(shard) => shard.hand(handed),
            None => Err(handed),
        };
        sent.inspect_err(|_| {
            self.recount(there, self.here);
            self.pass_over(there);
        })
    }

    /// To the shard that it came from. If that is not to be had, it stays counted here.
    pub(crate) fn send_back(&self, mut handed: Handed) -> Result<(), Handed> {
        let there = handed.from;
        handed.refused_by = Some(self.here);
        self.recount(self.here, there);
        self.send(there, handed)
    }

    /// Where to is first, so that a connection is counted at every time.
    fn recount(&self, from: usize, to: usize) {
        self.loads.come(to);
        self.loads.take_back(from);
    }

    /// A shard could not take what it was sent.
    pub(crate) fn pass_over(&self, shard: usize) {
        self.placement.borrow_mut().pass_over(shard);
    }

    /// A connection that is counted here is to be placed anew.
    pub(crate) fn take_back(&self) {
        self.loads.take_back(self.here);
    }

    /// A client of this shard is gone.
    pub(crate) fn gone(&self) {
        self.loads.go(self.here);
    }

    fn is_alone(&self) -> bool {
        self.loads.shards() < 2
    }

    fn begin_turn(&self) {
        let mut seen = self.seen.borrow_mut();
        self.loads.read(&mut seen);
        self.placement.borrow_mut().begin_turn(self.here, &seen);
    }

    /// Measures, turn by turn, how busy this thread is: the mean of now and before, for the one alone swings.
    pub(crate) async fn weigh(&self) {
        let (mut then, mut used) = (Instant::now(), clock::of_this_thread());
        let mut before = 0;
        while !self.is_alone() {
            sleep(limits::BALANCE_TURN).await;
            let (now, uses) = (Instant::now(), clock::of_this_thread());
            let work = thousandths(
                uses.saturating_sub(used).as_nanos(),
                (now - then).as_nanos(),
            );
            before = work.midpoint(before);
            self.loads.measured(self.here, before);
            self.begin_turn();
            (then, used) = (now, uses);
        }
    }
}

fn thousandths(part: u128, whole: u128) -> u32 {
    u32::try_from(part * 1000 / whole.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use ringgate_core::table::IpProtocol;

    use super::*;
    use crate::shared::loads::Kept;

    fn neighbours(shards: usize) -> Neighbours {
        Neighbours::new(0, Arc::new(Loads::new(shards)), Arc::default())
    }

    #[test]
    fn what_comes_goes_to_whoever_has_less_and_is_counted_there() {
        let neighbours = neighbours(3);
        let mut places: Vec<_> = (0..6).map(|_| neighbours.place()).collect();
        places.sort_unstable();
        assert_eq!(places, [0, 0, 1, 1, 2, 2]);
        assert_eq!(neighbours.clients(), 2);
        neighbours.gone();
        neighbours.gone();
        assert_eq!(neighbours.place(), 0);
    }

    #[test]
    fn two_that_place_at_once_do_not_crowd_a_third() {
        let loads = Arc::new(Loads::new(8));
        std::thread::scope(|scope| {
            for here in 0..2 {
                let loads = loads.clone();
                scope.spawn(move || {
                    let neighbours = Neighbours::new(here, loads, Arc::default());
                    for _ in 0..80 {
                        neighbours.place();
                    }
                });
            }
        });
        let clients: Vec<_> = (0..8).map(|shard| loads.clients(shard)).collect();
        assert_eq!(clients.iter().sum::<u32>(), 160);
        assert!(clients.iter().all(|one| *one <= 24), "{clients:?}");
    }

    #[test]
    fn alone_there_is_nobody_to_look_at() {
        let neighbours = neighbours(1);
        assert_eq!([neighbours.place(), neighbours.place()], [0, 0]);
        assert_eq!(neighbours.clients(), 2);
    }

    #[test]
    fn what_cannot_be_sent_is_counted_here_and_others_are_asked_next() {
        let neighbours = neighbours(3);
        assert_eq!(neighbours.place(), 0);
        let there = neighbours.place();
        assert_eq!(there, 1);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let handed = Handed {
            bind: Bind {
                protocol: IpProtocol::Tcp,
                address: None,
                port: peer.port(),
            },
            socket: TcpStream::connect(peer).unwrap(),
            peer,
            from: 0,
            refused_by: None,
            hops: 1,
            _place: Kept::default().one(),
        };
        // No shard is up.
        assert!(neighbours.send(there, handed).is_err());
        assert_eq!(neighbours.clients(), 2);
        assert_eq!(neighbours.loads.clients(1), 0);
        assert_eq!(neighbours.place(), 2);
    }

    #[test]
    fn work_is_in_thousandths_of_the_time() {
        assert_eq!(thousandths(250, 1000), 250);
        assert_eq!(thousandths(1, 0), 1000);
    }
}
