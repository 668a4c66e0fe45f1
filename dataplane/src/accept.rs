//! Accepting: a shard's listening sockets, and how many clients it takes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use ringgate_core::table::Bind;

use crate::downstream;
use crate::shard::Shard;
use crate::sys::io::{Cancel, Listener, Stream, sleep, spawn};
use crate::sys::socket;

/// After an error that time may heal (no descriptors left), and while there are too many clients.
const PAUSE: Duration = Duration::from_millis(20);

/// The listening sockets of a shard.
pub(crate) struct Accepting {
    open: RefCell<HashMap<Bind, Rc<Open>>>,
    /// How many were ever opened.
    opened: Cell<u32>,
    clients: Rc<Cell<usize>>,
    most: usize,
}

/// Counts a client of a shard and of a port as long as it lives.
pub(crate) struct Client(Rc<Open>);

impl Client {
    fn count(open: &Rc<Open>) -> Self {
        for count in open.counts() {
            count.set(count.get() + 1);
        }
        Self(open.clone())
    }

    pub(crate) fn port(&self) -> Rc<Open> {
        self.0.clone()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        for count in self.0.counts() {
            count.set(count.get() - 1);
        }
    }
}

impl Accepting {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            open: RefCell::default(),
            opened: Cell::new(0),
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
                self.opened.set(self.opened.get() + 1);
                let accepting = Rc::new(Open {
                    number: self.opened.get(),
                    listener: listener.fd(),
                    is_closed: Cell::new(false),
                    is_hushed: Cell::new(false),
                    accepting: RefCell::default(),
                    clients: Cell::new(0),
                    all_clients: self.clients.clone(),
                });
                spawn(accept(shard, bind, listener, accepting.clone()));
                self.open.borrow_mut().insert(bind, accepting);
            }
            Err(error) => tracing::error!(%bind, %error, "a listening socket can't be used"),
        }
    }

    /// Stops accepting; connections that wait in the queue are still taken. Those that are idle end, the others
    /// with what is under way.
    pub(crate) fn close(&self, shard: &Shard, bind: Bind) {
        if let Some(open) = self.open.borrow_mut().remove(&bind) {
            open.close();
            shard.deadlines.end_idle(Some(open.number));
        }
    }

    pub(crate) fn close_all(&self) {
        let mut all = self.open.borrow_mut();
        for (_, open) in all.extract_if(|_, open| !open.is_hushed.get()) {
            open.close();
        }
    }

    /// Listeners on addresses of their own, which may be another node's soon, hear no new connection from now on. Those that are
    /// being made are still taken.
    pub(crate) fn hush_all(&self) {
        let open = self.open.borrow();
        for (bind, open) in open.iter().filter(|(bind, _)| bind.address.is_some()) {
            if let Err(error) = socket::hush(open.listener) {
                tracing::warn!(%bind, %error, "new connections are refused here until the address is another node's");
            } else {
                open.is_hushed.set(true);
                open.is_closed.set(true);
            }
        }
    }
}

/// A listening socket's way to its end, which its connections go with it.
pub(crate) struct Open {
    /// Names it among all of the shard, those that are gone included.
    pub(crate) number: u32,
    /// Open as long as `accept` runs, which `close` alone ends.
    listener: RawFd,
    /// No new connection is heard, but the socket stays.
    is_hushed: Cell<bool>,
    is_closed: Cell<bool>,
    accepting: RefCell<Cancel>,
    clients: Cell<usize>,
    /// Of the shard.
    all_clients: Rc<Cell<usize>>,
}

impl Open {
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    fn accepts(&self) -> bool {
        !self.is_closed.get() || self.is_hushed.get()
    }

    fn counts(&self) -> [&Cell<usize>; 2] {
        [&self.clients, &self.all_clients]
    }

    fn close(&self) {
        self.is_closed.set(true);
        self.is_hushed.set(false);
        self.accepting.take().cancel();
    }
}

async fn accept(shard: &'static Shard, bind: Bind, listener: Listener, open: Rc<Open>) {
    let cancel = open.accepting.borrow().handle();
    while open.accepts() {
        match listener.accept(cancel.clone()).await {
            Ok(client) => serve(shard, bind, client, &open),
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => break,
            Err(error) => pause_after(shard, &error).await,
        }
        // Those beyond the limit wait in the kernel's queue.
        while open.accepts() && is_full(shard, bind, open.clients.get()) {
            shard.counters.full();
            sleep(PAUSE).await;
        }
    }
    // Closing a socket resets what waits in its queue, so the queue is emptied first.
    while let Ok(client) = listener.accept_now() {
        serve(shard, bind, client, &open);
    }
}

fn is_full(shard: &Shard, bind: Bind, here: usize) -> bool {
    let table = shard.table();
    let port = table.port(bind);
    let most = port.and_then(|port| port.settings.limits.connections);
    let most = most.and_then(|most| usize::try_from(most).ok());
    shard.accepting.clients() >= shard.accepting.most || most.is_some_and(|most| here >= most)
}

fn serve(shard: &'static Shard, bind: Bind, (stream, peer): (Stream, SocketAddr), open: &Rc<Open>) {
    let client = Client::count(open);
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
