//! Which sockets of a shard are ready, for the epoll driver: the kernel tells once of whatever changes (edge-triggered), and
//! what is known of a socket is kept here. The runtime would ask each socket until it has nothing more; here a read that
//! leaves room in its buffer has emptied the socket, and what comes later makes an event.
//!
//! Why nothing is overlooked: one thread reads, and takes events in [`Set::collect`] only. That a socket is empty is noted right
//! after the read that found it so. What came before was read, and what comes later makes an event that isn't taken yet,
//! even if it comes before the note is made. An event of what was read already does no harm: the next read finds nothing.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::io::{Readiness, give_way, sleep};

/// After an error that time may heal.
const PAUSE: Duration = Duration::from_millis(20);
/// Events that are taken with one system call.
const EVENTS: usize = 256;

const INPUT: u32 = libc::EPOLLIN as u32;
const OUTPUT: u32 = libc::EPOLLOUT as u32;
const URGENT: u32 = libc::EPOLLPRI as u32;
const END: u32 = libc::EPOLLRDHUP as u32;
/// Told whether one asks or not.
const FAILURE: u32 = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
const ONCE: u32 = libc::EPOLLET as u32;

/// Bits of [`Known`].
const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
/// The end is there, an error, or an urgent byte, at which a read stops: one that leaves room doesn't mean that nothing is
/// left, and only one that fails does.
const UNSURE: u8 = 4;

/// What is known of a socket, and who waits for more: one reader and one writer at most.
#[derive(Default)]
pub(crate) struct Known {
    bits: Cell<u8>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

impl Known {
    fn has(&self, bit: u8) -> bool {
        self.bits.get() & bit != 0
    }

    fn clear(&self, bits: u8) {
        self.bits.set(self.bits.get() & !bits);
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.has(READABLE)
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.has(WRITABLE)
    }

    /// Whether the connection may have ended, or failed.
    pub(crate) fn is_unsure(&self) -> bool {
        self.has(UNSURE)
    }

    /// A write may be tried at once.
    pub(crate) fn suppose_writable(&self) {
        self.bits.set(self.bits.get() | WRITABLE);
    }

    /// A read has left room in its buffer.
    pub(crate) fn left_room(&self) {
        if !self.has(UNSURE) {
            self.clear(READABLE);
        }
    }

    /// A read has found nothing.
    pub(crate) fn is_empty_now(&self) {
        self.clear(READABLE | UNSURE);
    }

    /// A write was not taken, or not all of it.
    pub(crate) fn is_full_now(&self) {
        self.clear(WRITABLE);
    }

    pub(crate) fn wait_to_read(&self, context: &Context<'_>) {
        wait(&self.reader, context);
    }

    pub(crate) fn wait_to_write(&self, context: &Context<'_>) {
        wait(&self.writer, context);
    }

    /// The reader looks again, whether there is something or not.
    pub(crate) fn wake_reader(&self) {
        wake(&self.reader);
    }

    fn note(&self, events: u32) {
        let is_for = |of: u32| events & of != 0;
        let mut bits = self.bits.get();
        if is_for(END | URGENT | FAILURE) {
            bits |= UNSURE;
        }
        let (reads, writes) = (
            is_for(INPUT | END | URGENT | FAILURE),
            is_for(OUTPUT | FAILURE),
        );
        if reads {
            bits |= READABLE;
        }
        if writes {
            bits |= WRITABLE;
        }
        self.bits.set(bits);
        if reads {
            wake(&self.reader);
        }
        if writes {
            wake(&self.writer);
        }
    }
}

fn wait(place: &Cell<Option<Waker>>, context: &Context<'_>) {
    let kept = place.take();
    let kept = kept.filter(|kept| kept.will_wake(context.waker()));
    place.set(Some(kept.unwrap_or_else(|| context.waker().clone())));
}

fn wake(place: &Cell<Option<Waker>>) {
    if let Some(waker) = place.take() {
        waker.wake();
    }
}

/// A socket's place in a set, until it is dropped. A socket that is closed leaves the kernel's set by itself.
pub(crate) struct Member {
    set: &'static Set,
    place: u32,
    known: Rc<Known>,
}

impl Member {
    pub(crate) fn known(&self) -> &Rc<Known> {
        &self.known
    }

    /// For a socket that stays open.
    pub(crate) fn leave(self, socket: RawFd) {
        let epoll = self.set.epoll.as_raw_fd();
        // SAFETY: takes numbers only; a socket that isn't in the set has nothing to be done about.
        unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, socket, std::ptr::null_mut()) };
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut places = self.set.places.borrow_mut();
        let index = self.place as usize;
        if let Some(place) = places.all.get_mut(index) {
            place.known = None;
            // Events of whoever was here are of nobody from now on.
            place.generation = place.generation.wrapping_add(1);
            places.free.push(self.place);
        }
    }
}

/// The sockets of a shard.
pub(crate) struct Set {
    epoll: OwnedFd,
    places: RefCell<Places>,
    events: RefCell<Vec<libc::epoll_event>>,
}

#[derive(Default)]
struct Places {
    all: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Place {
    generation: u32,
    known: Option<Rc<Known>>,
}

thread_local! {
    static CURRENT: Cell<Option<&'static Set>> = const { Cell::new(None) };
}

/// The calling thread's set, where there is one.
pub(crate) fn current() -> Option<&'static Set> {
    CURRENT.get()
}

impl Set {
    /// Lives as long as the calling shard, and that is as long as the process; [`Self::run`] keeps it.
    pub(crate) fn begin() -> io::Result<()> {
        let set: &'static Self = Box::leak(Box::new(Self::new()?));
        CURRENT.set(Some(set));
        Ok(())
    }

    fn new() -> io::Result<Self> {
        // SAFETY: takes numbers only; the descriptor is ours alone.
        let epoll = unsafe {
            match libc::epoll_create1(libc::EPOLL_CLOEXEC) {
                -1 => return Err(io::Error::last_os_error()),
                epoll => OwnedFd::from_raw_fd(epoll),
            }
        };
        let none = libc::epoll_event { events: 0, u64: 0 };
        Ok(Self {
            epoll,
            places: RefCell::default(),
            events: RefCell::new(vec![none; EVENTS]),
        })
    }

    /// What is so of the socket already is told as what changes later is.
    pub(crate) fn join(&'static self, socket: RawFd) -> io::Result<Member> {
        let known = Rc::new(Known::default());
        let (place, token) = self.places.borrow_mut().give(&known);
        // From here on the place is taken back, whatever happens.
        let member = Member {
            set: self,
            place,
            known,
        };
        let mut event = libc::epoll_event {
            events: INPUT | OUTPUT | URGENT | END | ONCE,
            u64: token,
        };
        let epoll = self.epoll.as_raw_fd();
        // SAFETY: reads `event`.
        match unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket, &raw mut event) } {
            0 => Ok(member),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Takes all events that are there, and wakes those who wait for them.
    pub(crate) fn collect(&self) {
        let mut events = self.events.borrow_mut();
        let room = libc::c_int::try_from(events.len()).unwrap_or(0);
        loop {
            let (epoll, into) = (self.epoll.as_raw_fd(), events.as_mut_ptr());
            // SAFETY: writes at most `room` events, and there are so many places.
            let count = unsafe { libc::epoll_wait(epoll, into, room, 0) };
            let count = usize::try_from(count).unwrap_or(0);
            for event in events.iter().take(count) {
                // Not borrowed while somebody is woken.
                let known = self.places.borrow().known(event.u64);
                if let Some(known) = known {
                    known.note(event.events);
                }
            }
            if count < EVENTS {
                return;
            }
        }
    }

    /// Takes events for ever.
    pub(crate) async fn run(&self) {
        while let Err(error) = self.take_events().await {
            tracing::error!(%error, "sockets can't be waited for");
            sleep(PAUSE).await;
        }
    }

    async fn take_events(&self) -> io::Result<()> {
        let epoll = Readiness::new(self.epoll.try_clone()?)?;
        loop {
            let mut more = pin!(epoll.readable());
            // Taken before it is asked whether there are more: then the answer is mostly no, and that waits.
            let more = poll_fn(|context| {
                self.collect();
                more.as_mut().poll(context)
            });
            more.await?;
            give_way().await;
        }
    }
}

impl Places {
    /// A place, and what its events are known by.
    fn give(&mut self, known: &Rc<Known>) -> (u32, u64) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.all.push(Place::default());
            u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
        });
        let mut generation = 0;
        if let Some(given) = self.all.get_mut(place as usize) {
            given.known = Some(known.clone());
            generation = given.generation;
        }
        (place, u64::from(generation) << 32 | u64::from(place))
    }

    /// Whom an event is about; nobody: the socket that it is about is gone.
    fn known(&self, token: u64) -> Option<Rc<Known>> {
        let (generation, place) = ((token >> 32) as u32, token as u32);
        let place = self.all.get(place as usize)?;
        let is_same = place.generation == generation;
        place.known.clone().filter(|_| is_same)
    }
}
