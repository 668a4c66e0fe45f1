//! Accepting: a shard's listening sockets, and how many clients it takes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use ringgate_core::table::Bind;

use crate::downstream;
use crate::shard::Shard;
use crate::sys::io::{Cancel, Listener, Stream, sleep, spawn};

/// After an error that time may heal (no descriptors left), and while there are too many clients.
const PAUSE: Duration = Duration::from_millis(20);

/// The listening sockets of a shard.
pub(crate) struct Accepting {
    open: RefCell<HashMap<Bind, Rc<Open>>>,
    clients: Rc<Cell<usize>>,
    most: usize,
}

/// Counts a client of a shard and of a port as long as it lives.
pub(crate) struct Client([Rc<Cell<usize>>; 2]);

impl Client {
    fn count(counts: [&Rc<Cell<usize>>; 2]) -> Self {
        Self(counts.map(|count| {
            count.set(count.get() + 1);
            count.clone()
        }))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        for count in &self.0 {
            count.set(count.get() - 1);
        }
    }
}

impl Accepting {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            open: RefCell::default(),
            clients: Rc::default(),
            most,
        }
    }

    pub(crate) fn clients(&self) -> usize {
        self.clients.get()
    }

    pub(crate) fn open(&self, shard: &'static Shard, bind: Bind, socket: std::net::TcpListener) {
        match Listener::new(socket) {
            Ok(listener) => {
                let accepting = Rc::new(Open::default());
                spawn(accept(shard, bind, listener, accepting.clone()));
                self.open.borrow_mut().insert(bind, accepting);
            }
            Err(error) => tracing::error!(%bind, %error, "a listening socket can't be used"),
        }
    }

    /// Stops accepting; connections that wait in the queue are still taken.
    pub(crate) fn close(&self, bind: Bind) {
        if let Some(open) = self.open.borrow_mut().remove(&bind) {
            open.close();
        }
    }

    pub(crate) fn close_all(&self) {
        for (_, open) in self.open.borrow_mut().drain() {
            open.close();
        }
    }
}

/// A listening socket's way to its end.
#[derive(Default)]
struct Open {
    is_closed: Cell<bool>,
    accepting: RefCell<Cancel>,
}

impl Open {
    fn close(&self) {
        self.is_closed.set(true);
        self.accepting.take().cancel();
    }
}

async fn accept(shard: &'static Shard, bind: Bind, listener: Listener, open: Rc<Open>) {
    let here = Rc::new(Cell::new(0));
    let cancel = open.accepting.borrow().handle();
    while !open.is_closed.get() {
        match listener.accept(cancel.clone()).await {
            Ok(client) => serve(shard, bind, client, &here),
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => break,
            Err(error) => pause_after(shard, &error).await,
        }
        // Those beyond the limit wait in the kernel's queue.
        while !open.is_closed.get() && is_full(shard, bind, here.get()) {
            shard.counters.full();
            sleep(PAUSE).await;
        }
    }
    // Closing a socket resets what waits in its queue, so the queue is emptied first.
    while let Ok(client) = listener.accept_now() {
        serve(shard, bind, client, &here);
    }
}

fn is_full(shard: &Shard, bind: Bind, here: usize) -> bool {
    let table = shard.table();
    let port = table.port(bind);
    let most = port.and_then(|port| port.settings.limits.connections);
    let most = most.and_then(|most| usize::try_from(most).ok());
    shard.accepting.clients() >= shard.accepting.most || most.is_some_and(|most| here >= most)
}

fn serve(
    shard: &'static Shard,
    bind: Bind,
    (stream, peer): (Stream, SocketAddr),
    here: &Rc<Cell<usize>>,
) {
    let client = Client::count([&shard.accepting.clients, here]);
    spawn(downstream::serve(shard, bind, stream, peer, client));
}

/// An error concerns one connection, or passes: it never ends the loop (RUSTSEC-2024-0376). But for those
/// of a connection that went away, there is a pause, so that one that stays doesn't spin.
async fn pause_after(shard: &'static Shard, error: &io::Error) {
    shard.counters.accept_failed();
    let of_one = [libc::ECONNABORTED, libc::EINTR, libc::EPROTO];
    if error
        .raw_os_error()
        .is_none_or(|code| !of_one.contains(&code))
    {
        tracing::warn!(%error, "a connection can't be accepted; for 'Too many open files' raise their limit");
        sleep(PAUSE).await;
    }
}
