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
use crate::neighbours::{Handed, Neighbours};
use crate::shard::Shard;
use crate::shared::loads::Kept;
use crate::sys::io::{Cancel, Listener, Stream, sleep, spawn};
use crate::sys::socket;

/// After an error that time may heal (no descriptors left), and while there are too many clients.
const PAUSE: Duration = Duration::from_millis(20);
/// A connection that no shard takes is served where it came to.
const HOPS: u8 = 3;

/// The listening sockets of a shard.
pub(crate) struct Accepting {
    open: RefCell<HashMap<Bind, Rc<Open>>>,
    /// How many were ever opened.
    opened: Cell<u32>,
    most: usize,
    is_draining: Cell<bool>,
    pub(crate) neighbours: Neighbours,
}

/// Counts a client of a port as long as it lives; its shard counts it already.
pub(crate) struct Client(Rc<Open>);

impl Client {
    fn count(open: &Rc<Open>) -> Self {
        open.clients.set(open.clients.get() + 1);
        Self(open.clone())
    }

    pub(crate) fn port(&self) -> Rc<Open> {
        self.0.clone()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.clients.set(self.0.clients.get() - 1);
        self.0.shard.accepting.neighbours.gone();
    }
}

impl Accepting {
    pub(crate) fn new(most: usize, neighbours: Neighbours) -> Self {
        Self {
            open: RefCell::default(),
            opened: Cell::new(0),
            most,
            is_draining: Cell::new(false),
            neighbours,
        }
    }

    pub(crate) fn clients(&self) -> usize {
        self.neighbours.clients()
    }

    pub(crate) fn open(&self, shard: &'static Shard, bind: Bind, socket: std::net::TcpListener) {
        match Listener::new(socket) {
            Ok(listener) => {
                let accepting = self.opening(shard, Some(listener.fd()));
                spawn(accept(shard, bind, listener, accepting.clone()));
                self.open.borrow_mut().insert(bind, accepting);
            }
            Err(error) => tracing::error!(%bind, %error, "a listening socket can't be used"),
        }
    }

    fn opening(&self, shard: &'static Shard, listener: Option<RawFd>) -> Rc<Open> {
        self.opened.set(self.opened.get() + 1);
        Rc::new(Open {
            shard,
            number: self.opened.get(),
            listener,
            is_closed: Cell::new(listener.is_none()),
            is_hushed: Cell::new(false),
            accepting: Cancel::default(),
            clients: Cell::new(0),
            kept: Kept::default(),
        })
    }

    /// Takes a connection that another shard has accepted, or that comes back from there.
    pub(crate) fn take(&self, shard: &'static Shard, handed: Handed) {
        let bind = handed.bind;
        let open = self.open.borrow().get(&bind).cloned();
        if let Some(refused_by) = handed.refused_by {
            self.neighbours.pass_over(refused_by);
            return match open.filter(|_| handed.hops < HOPS) {
                Some(open) => {
                    self.neighbours.take_back();
                    try_another(shard, handed, &open);
                }
                None => self.take_anyway(shard, handed),
            };
        }
        // It is among the clients already.
        let others = self.clients().saturating_sub(1);
        let has_room = |open: &Rc<Open>| !is_full(shard, bind, open.taken(), others);
        match open.filter(has_room) {
            Some(open) => {
                shard.counters.total(|totals| totals.handed_over += 1);
                serve_handed(shard, handed, &open);
            }
            None if self.is_draining.get() => self.take_anyway(shard, handed),
            // The port is not yet open here, or not any more, or there are too many.
            None => {
                if let Err(handed) = self.neighbours.send_back(handed) {
                    self.take_anyway(shard, handed);
                }
            }
        }
    }

    /// If its port is gone, a connection is served as those are that were taken from its queue at the end.
    fn take_anyway(&self, shard: &'static Shard, handed: Handed) {
        let open = self.open.borrow().get(&handed.bind).cloned();
        let open = open.unwrap_or_else(|| self.opening(shard, None));
        serve_handed(shard, handed, &open);
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
        self.is_draining.set(true);
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
            let Some(listener) = open.listener else {
                continue;
            };
            if let Err(error) = socket::hush(listener) {
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
    shard: &'static Shard,
    /// Names it among all of the shard, those that are gone included.
    pub(crate) number: u32,
    /// Open as long as `accept` runs, which `close` alone ends. None: it was gone already.
    listener: Option<RawFd>,
    /// No new connection is heard, but the socket stays.
    is_hushed: Cell<bool>,
    is_closed: Cell<bool>,
    accepting: Cancel,
    clients: Cell<usize>,
    kept: Kept,
}

impl Open {
    /// Those who are here, and those who may come back.
    fn taken(&self) -> usize {
        self.clients.get() + self.kept.places()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    fn accepts(&self) -> bool {
        !self.is_closed.get() || self.is_hushed.get()
    }

    fn close(&self) {
        self.is_closed.set(true);
        self.is_hushed.set(false);
        self.accepting.cancel();
    }
}

async fn accept(shard: &'static Shard, bind: Bind, listener: Listener, open: Rc<Open>) {
    while open.accepts() {
        match listener.accept(&open.accepting).await {
            Ok(client) => accepted(shard, bind, client, &open),
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => break,
            Err(error) => pause_after(shard, &error).await,
        }
        // Those beyond the limit wait in the kernel's queue.
        while open.accepts() && is_full(shard, bind, open.taken(), shard.accepting.clients()) {
            shard.counters.full();
            sleep(PAUSE).await;
        }
    }
    // Closing a socket resets what waits in its queue, so the queue is emptied first.
    while let Ok(client) = listener.accept_now() {
        keep(shard, bind, client, &open);
    }
}

fn is_full(shard: &Shard, bind: Bind, here: usize, clients: usize) -> bool {
    let table = shard.table();
    let port = table.port(bind);
    let most = port.and_then(|port| port.settings.limits.connections);
    let most = most.and_then(|most| usize::try_from(most).ok());
    clients >= shard.accepting.most || most.is_some_and(|most| here >= most)
}

/// Serves a connection here, or sends it to the shard that shall.
fn accepted(
    shard: &'static Shard,
    bind: Bind,
    (stream, peer): (Stream, SocketAddr),
    open: &Rc<Open>,
) {
    let neighbours = &shard.accepting.neighbours;
    if open.is_closed() {
        return keep(shard, bind, (stream, peer), open);
    }
    let there = neighbours.place();
    if there == shard.index {
        return serve(shard, bind, (stream, peer), open);
    }
    let handed = Handed {
        bind,
        socket: stream.into_std(),
        peer,
        from: shard.index,
        refused_by: None,
        hops: 1,
        _place: open.kept.one(),
    };
    if let Err(handed) = neighbours.send(there, handed) {
        serve_handed(shard, handed, open);
    }
}

/// Tries another shard for a connection that one has refused.
fn try_another(shard: &'static Shard, mut handed: Handed, open: &Rc<Open>) {
    let neighbours = &shard.accepting.neighbours;
    handed.refused_by = None;
    handed.hops += 1;
    let there = neighbours.place();
    let sent = match there == shard.index {
        true => Err(handed),
        false => neighbours.send(there, handed),
    };
    if let Err(handed) = sent {
        serve_handed(shard, handed, open);
    }
}

/// Serves a connection here that is counted here already.
fn serve_handed(shard: &'static Shard, handed: Handed, open: &Rc<Open>) {
    match Stream::from_std(handed.socket) {
        Ok(stream) => serve(shard, handed.bind, (stream, handed.peer), open),
        Err(error) => {
            shard.counters.accept_failed();
            tracing::warn!(%error, "a connection of another shard can't be taken");
            shard.accepting.neighbours.gone();
        }
    }
}

fn keep(shard: &'static Shard, bind: Bind, client: (Stream, SocketAddr), open: &Rc<Open>) {
    shard.accepting.neighbours.keep();
    serve(shard, bind, client, open);
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
