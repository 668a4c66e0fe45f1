//! Deadlines of a shard's connections. A pending read or write can't be dropped under io_uring, so a
//! deadline acts on the socket: it shuts it down, or cancels one read, and the operation ends by itself.
//! What has no socket of its own, as a stream of HTTP/2, acts likewise ([`Interrupt`]).
//!
//! Setting a deadline costs two stores. One task sweeps all of them, no more often than every
//! [`limits::TICK_MS`], and sleeps until the earliest one.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::os::fd::RawFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use crate::limits;
use crate::sys::clock;
use crate::sys::io::Cancel;
use crate::sys::socket::{self, Shutdown};

/// Milliseconds since the shard began; [`NEVER`] is no deadline.
pub(crate) type Millis = u64;
pub(crate) const NEVER: Millis = Millis::MAX;
/// Of what is no client's connection.
pub(crate) const NO_PORT: u32 = 0;

/// What happens to the socket when its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Shutdown(Shutdown),
    /// Only the read that was started with [`Watch::cancel_handle`] ends: a client's next request is
    /// waited for without a buffer from here on.
    CancelRead,
    /// A client that was idle for too long is parted from.
    EndIdle,
}

/// What reads and writes without a socket of its own, and can be made to end that.
pub(crate) trait Interrupt {
    /// As a shutdown of a socket: reads bring 0 bytes from here on, or writes fail.
    fn shutdown(&self, how: Shutdown);
    /// Ends one read that waits, with the error ECANCELED.
    fn cancel_read(&self);
}

/// What a deadline acts on.
enum Target {
    Socket(RawFd),
    Task(Rc<dyn Interrupt>),
}

/// One connection's deadline.
pub(crate) struct Watch {
    target: Target,
    at: Cell<Millis>,
    action: Cell<Action>,
    has_fired: Cell<bool>,
    /// Of a client, the one that it came by.
    port: u32,
    cancel: Cancel,
}

impl Watch {
    /// Whether the deadline that was set last is what ended an operation.
    pub(crate) fn has_fired(&self) -> bool {
        self.has_fired.get()
    }

    /// No deadline until the next one is set.
    pub(crate) fn clear(&self) {
        self.at.set(NEVER);
    }

    pub(crate) fn cancel_handle(&self) -> &Cancel {
        self.cancel.renew()
    }

    /// Ends the read that was started with [`Self::cancel_handle`], without a deadline.
    pub(crate) fn cancel_read(&self) {
        self.act(Action::CancelRead);
    }

    fn fire(&self) {
        self.at.set(NEVER);
        self.has_fired.set(true);
        self.act(self.action.get());
    }

    fn act(&self, action: Action) {
        let how = match action {
            Action::Shutdown(how) => how,
            Action::EndIdle => Shutdown::Read,
            Action::CancelRead => return self.act_on_read(),
        };
        match &self.target {
            Target::Socket(socket) => socket::shutdown(*socket, how),
            Target::Task(task) => task.shutdown(how),
        }
    }

    fn act_on_read(&self) {
        if let Target::Task(task) = &self.target {
            task.cancel_read();
        } else {
            self.cancel.cancel();
        }
    }

    /// Ends the wait for a next request, as if its time were over: for draining.
    fn end_idle(&self) {
        let waits = matches!(self.action.get(), Action::CancelRead | Action::EndIdle);
        if self.at.get() != NEVER && waits {
            self.fire();
        }
    }
}

/// All watches of a shard.
pub(crate) struct Deadlines {
    start: Instant,
    /// The same, by the clock of [`clock::coarse`].
    start_coarse: Duration,
    watches: RefCell<Vec<Option<Rc<Watch>>>>,
    free: RefCell<Vec<usize>>,
    /// When the next sweep is due.
    next: Cell<Millis>,
    waker: RefCell<Option<Waker>>,
}

/// A watch that is swept as long as this lives. Must not outlive its socket.
pub(crate) struct Watched {
    watch: Rc<Watch>,
    place: usize,
    deadlines: &'static Deadlines,
}

impl std::ops::Deref for Watched {
    type Target = Watch;

    fn deref(&self) -> &Watch {
        &self.watch
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(watch) = self.deadlines.watches.borrow_mut().get_mut(self.place) {
            *watch = None;
        }
        self.deadlines.free.borrow_mut().push(self.place);
    }
}

impl Watched {
    /// Acts in `after` from `now`, unless set anew before.
    pub(crate) fn set(&self, now: Millis, after: Duration, action: Action) {
        let after = u64::try_from(after.as_millis()).unwrap_or(NEVER);
        self.set_at(now.saturating_add(after), action);
    }

    /// Whoever is parted from has so long to read our last bytes, and to say goodbye.
    pub(crate) fn linger(&self) {
        let wait = Duration::from_millis(limits::LINGER_MS);
        self.set(self.deadlines.now(), wait, Action::Shutdown(Shutdown::Both));
    }

    pub(crate) fn set_at(&self, at: Millis, action: Action) {
        self.watch.at.set(at);
        self.watch.action.set(action);
        self.watch.has_fired.set(false);
        self.deadlines.expect(at);
    }
}

impl Deadlines {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            start_coarse: clock::precise(),
            watches: RefCell::default(),
            free: RefCell::default(),
            next: Cell::new(NEVER),
            waker: RefCell::default(),
        }
    }

    /// Up to a tick of the kernel (4 ms) ago: a request asks ten times, for deadlines that are swept every
    /// [`limits::TICK_MS`].
    pub(crate) fn now(&self) -> Millis {
        let elapsed = clock::coarse().saturating_sub(self.start_coarse);
        Millis::try_from(elapsed.as_millis()).unwrap_or(NEVER)
    }

    /// When so much time has passed.
    pub(crate) fn until(&self, after: Duration) -> Millis {
        let after = Millis::try_from(after.as_millis()).unwrap_or(NEVER);
        self.now().saturating_add(after)
    }

    pub(crate) fn at(&self, instant: Instant) -> Millis {
        let elapsed = instant.saturating_duration_since(self.start);
        u64::try_from(elapsed.as_millis()).unwrap_or(NEVER)
    }

    /// `port` is the number of the client's, or [`NO_PORT`].
    pub(crate) fn watch(&'static self, socket: RawFd, port: u32) -> Watched {
        self.watch_target(Target::Socket(socket), port)
    }

    pub(crate) fn watch_task(&'static self, task: Rc<dyn Interrupt>, port: u32) -> Watched {
        self.watch_target(Target::Task(task), port)
    }

    fn watch_target(&'static self, target: Target, port: u32) -> Watched {
        let watch = Rc::new(Watch {
            target,
            at: Cell::new(NEVER),
            action: Cell::new(Action::Shutdown(Shutdown::Both)),
            has_fired: Cell::new(false),
            port,
            cancel: Cancel::default(),
        });
        let mut watches = self.watches.borrow_mut();
        let place = self.free.borrow_mut().pop().unwrap_or(watches.len());
        if place == watches.len() {
            watches.push(None);
        }
        if let Some(slot) = watches.get_mut(place) {
            *slot = Some(watch.clone());
        }
        Watched {
            watch,
            place,
            deadlines: self,
        }
    }

    fn expect(&self, at: Millis) {
        if at >= self.next.get() {
            return;
        }
        self.next.set(at);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Ends every wait for a next request of a port's clients, or of all: for draining.
    pub(crate) fn end_idle(&self, port: Option<u32>) {
        let all = self.all().into_iter();
        for watch in all.filter(|watch| port.is_none_or(|port| watch.port == port)) {
            watch.end_idle();
        }
    }

    fn all(&self) -> Vec<Rc<Watch>> {
        self.watches.borrow().iter().flatten().cloned().collect()
    }

    /// Fires what is due; says when the next one is.
    fn sweep(&self, now: Millis) -> Millis {
        let mut next = NEVER;
        let mut due = Vec::new();
        for watch in self.watches.borrow().iter().flatten() {
            if watch.at.get() <= now {
                due.push(watch.clone());
            } else {
                next = next.min(watch.at.get());
            }
        }
        for watch in due {
            watch.fire();
        }
        next.max(now + limits::TICK_MS)
    }

    /// Sweeps for ever.
    pub(crate) async fn run(&self) {
        loop {
            let next = self.sweep(self.now());
            self.next.set(next);
            self.wait().await;
        }
    }

    /// Until `next` is due; an earlier deadline that is set meanwhile brings it forward.
    async fn wait(&self) {
        loop {
            let next = self.next.get();
            let now = self.now();
            if next <= now {
                return;
            }
            let wait = Duration::from_millis((next - now).min(60_000));
            let mut sleep = pin!(monoio::time::sleep(wait));
            poll_fn(|context| {
                *self.waker.borrow_mut() = Some(context.waker().clone());
                if self.next.get() < next {
                    return Poll::Ready(());
                }
                sleep.as_mut().poll(context)
            })
            .await;
            if self.next.get() < next {
                // At least a tick, so that many short deadlines don't make many sweeps.
                monoio::time::sleep(Duration::from_millis(limits::TICK_MS)).await;
            }
        }
    }
}
