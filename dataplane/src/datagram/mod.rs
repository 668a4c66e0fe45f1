//! Datagrams: a client's go to one endpoint as long as its session lasts, and the endpoint's answers come
//! back to it. One task of a shard moves all of them, in batches. What they mean is no business of this.

mod engine;
mod sessions;
mod sockets;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::UdpSocket;
use std::rc::Rc;
use std::time::Duration;

use ringgate_core::table::Bind;

use crate::limits;
use crate::shard::Shard;
use crate::shard::timer::Millis;
use crate::sys::datagram::Poller;
use crate::sys::io::{give_way, sleep, spawn};
use engine::Engine;

/// After an error that time may heal.
const PAUSE: Duration = Duration::from_millis(20);

/// A shard's ports of datagrams, with their sessions.
pub(crate) struct Datagrams {
    /// None: no such port was ever opened.
    engine: RefCell<Option<Box<Engine>>>,
    /// Counts changes of the table: sessions of an earlier one are looked at again when they are used.
    epoch: Cell<u32>,
    /// Sockets towards endpoints, of each family.
    most: u32,
}

impl Datagrams {
    pub(crate) fn new(most: u32) -> Self {
        Self {
            engine: RefCell::default(),
            epoch: Cell::new(0),
            most,
        }
    }

    pub(crate) fn open(&self, shard: &'static Shard, bind: Bind, socket: UdpSocket) {
        if let Err(error) = self.try_open(shard, bind, socket) {
            tracing::error!(%bind, %error, "a socket of datagrams can't be used");
        }
    }

    fn try_open(&self, shard: &'static Shard, bind: Bind, socket: UdpSocket) -> io::Result<()> {
        let mut engine = self.engine.borrow_mut();
        let engine = match &mut *engine {
            Some(engine) => engine,
            none => {
                let engine = Box::new(Engine::new(self.most)?);
                spawn(run(shard, engine.poller.clone()));
                none.insert(engine)
            }
        };
        engine.open(bind, socket)
    }

    /// Ends the sessions of a port, too.
    pub(crate) fn close(&self, shard: &Shard, bind: Bind) {
        if let Some(engine) = &mut *self.engine.borrow_mut() {
            engine.close(shard, bind);
        }
    }

    /// The table is another one.
    pub(crate) fn changed(&self) {
        self.epoch.set(self.epoch.get().wrapping_add(1));
    }

    fn epoch(&self) -> u32 {
        self.epoch.get()
    }

    pub(crate) fn sessions(&self) -> usize {
        let engine = self.engine.borrow();
        engine.as_ref().map_or(0, |engine| engine.sessions())
    }

    /// Sessions that were used just now.
    pub(crate) fn busy(&self, now: Millis) -> usize {
        let engine = self.engine.borrow();
        engine.as_ref().map_or(0, |engine| engine.busy(now))
    }

    /// Ends sessions that were idle for too long.
    pub(crate) fn prune(&self, shard: &Shard) {
        if let Some(engine) = &mut *self.engine.borrow_mut() {
            engine.prune(shard);
        }
    }

    fn turn(&self, shard: &Shard) -> bool {
        let mut engine = self.engine.borrow_mut();
        engine.as_mut().is_some_and(|engine| engine.turn(shard))
    }
}

/// Moves datagrams for ever.
async fn run(shard: &'static Shard, poller: Rc<Poller>) {
    loop {
        if let Err(error) = poller.wait().await {
            tracing::error!(%error, "datagrams can't be waited for");
            sleep(PAUSE).await;
        }
        // What is left is not told again by every driver.
        while (0..limits::DATAGRAM_TURNS).all(|_| shard.datagrams.turn(shard)) {
            give_way().await;
        }
    }
}
