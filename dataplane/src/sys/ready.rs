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
use std::os::fd::{OwnedFd, RawFd};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::buffer::{Buffer, Pool};
use super::epoll;
use super::io::{Readiness, give_way, sleep};
use crate::limits;

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
    fn suppose_writable(&self) {
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

/// What a socket is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// That it can be written to would be an event for nobody: it is tried first.
    Input,
    Both,
}

impl Interest {
    fn events(self) -> u32 {
        let input = INPUT | URGENT | END | ONCE;
        match self {
            Self::Input => input,
            Self::Both => input | OUTPUT,
        }
    }
}

/// A socket's place in a set, until it is dropped. A socket that is closed leaves the kernel's set by itself.
pub(crate) struct Member {
    set: &'static Set,
    token: Token,
    interest: Cell<Interest>,
    known: Rc<Known>,
}

impl Member {
    pub(crate) fn known(&self) -> &Rc<Known> {
        &self.known
    }

    #[cfg(test)]
    pub(super) fn token(&self) -> u64 {
        self.token
    }

    /// From now on that it can be written to is told, too.
    pub(crate) fn await_output(&self, socket: RawFd) -> io::Result<()> {
        if self.interest.get() == Interest::Input {
            let events = Interest::Both.events();
            self.set
                .control(libc::EPOLL_CTL_MOD, socket, events, self.token)?;
            self.interest.set(Interest::Both);
        }
        Ok(())
    }

    /// For a socket that stays open.
    pub(crate) fn leave(self, socket: RawFd) {
        // One that isn't in the kernel's set has nothing to be done about.
        let _ = self.set.control(libc::EPOLL_CTL_DEL, socket, 0, self.token);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.set.places.borrow_mut().take(self.token);
    }
}

/// The sockets of a shard.
pub(crate) struct Set {
    epoll: OwnedFd,
    places: RefCell<Places>,
    /// Where readers put their buffers while they wait.
    buffers: Cell<Option<&'static Pool>>,
    events: RefCell<Vec<libc::epoll_event>>,
}

/// What a socket's events are known by: its place, and above it how many were there before.
type Token = u64;

#[derive(Default)]
struct Places {
    all: Vec<Place>,
    free: Vec<usize>,
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
        let none = libc::epoll_event { events: 0, u64: 0 };
        Ok(Self {
            epoll: epoll::create()?,
            places: RefCell::default(),
            buffers: Cell::default(),
            events: RefCell::new(vec![none; EVENTS]),
        })
    }

    /// From now on readers that wait hold no buffers of the usual size, so that a few that are warm serve all.
    pub(crate) fn lend(&self, buffers: &'static Pool) {
        self.buffers.set(Some(buffers));
    }

    /// A buffer for who has given its own back.
    pub(crate) fn refill(&self, buffer: &mut Buffer) {
        if buffer.capacity() == 0
            && let Some(buffers) = self.buffers.get()
        {
            *buffer = buffers.take();
        }
    }

    /// Takes the buffer of who is to wait, if nothing is in it.
    pub(crate) fn rest(&self, buffer: &mut Buffer) {
        if buffer.is_empty()
            && buffer.capacity() == limits::BUFFER_BYTES
            && let Some(buffers) = self.buffers.get()
        {
            buffers.give(std::mem::take(buffer));
        }
    }

    /// What is so of the socket already is told as what changes later is.
    pub(crate) fn join(&'static self, socket: RawFd, interest: Interest) -> io::Result<Member> {
        let known = Rc::new(Known::default());
        if interest == Interest::Input {
            known.suppose_writable();
        }
        // From here on the place is given back, whatever happens.
        let member = Member {
            set: self,
            token: self.places.borrow_mut().give(&known),
            interest: Cell::new(interest),
            known,
        };
        self.control(libc::EPOLL_CTL_ADD, socket, interest.events(), member.token)?;
        Ok(member)
    }

    fn control(&self, what: i32, socket: RawFd, events: u32, token: Token) -> io::Result<()> {
        epoll::control(&self.epoll, what, socket, events, token)
    }

    /// Takes all events that are there, and wakes those who wait for them.
    pub(crate) fn collect(&self) {
        let mut events = self.events.borrow_mut();
        loop {
            let taken = epoll::take(&self.epoll, &mut events);
            for event in taken {
                // Not borrowed while somebody is woken.
                let known = self.places.borrow().known(event.u64);
                if let Some(known) = known {
                    known.note(event.events);
                }
            }
            if taken.len() < EVENTS {
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
    fn give(&mut self, known: &Rc<Known>) -> Token {
        let index = self.free.pop().unwrap_or_else(|| {
            self.all.push(Place::default());
            self.all.len() - 1
        });
        let place = &mut self.all[index];
        place.known = Some(known.clone());
        u64::from(place.generation) << 32 | index as Token
    }

    fn take(&mut self, token: Token) {
        let index = index(token);
        let place = &mut self.all[index];
        place.known = None;
        // Events of whoever was here are about nobody from now on.
        place.generation = place.generation.wrapping_add(1);
        self.free.push(index);
    }

    /// Whom an event is about; nobody: the socket that it is about is gone.
    fn known(&self, token: Token) -> Option<Rc<Known>> {
        let place = self.all.get(index(token))?;
        let is_same = u64::from(place.generation) == token >> 32;
        place.known.clone().filter(|_| is_same)
    }
}

fn index(token: Token) -> usize {
    (token & u64::from(u32::MAX)) as usize
}

#[cfg(test)]
impl Set {
    pub(super) fn for_test() -> &'static Self {
        let set = Self::new().expect("the kernel has epoll");
        Box::leak(Box::new(set))
    }

    /// As [`Self::run`] does once, but the thread waits; false: nothing has come for so long.
    pub(super) fn collect_within(&self, wait: Duration) -> bool {
        use std::os::fd::AsRawFd;

        let mut asked = libc::pollfd {
            fd: self.epoll.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let wait = libc::c_int::try_from(wait.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: reads and writes `asked`.
        let ready = unsafe { libc::poll(&raw mut asked, 1, wait) };
        self.collect();
        ready > 0
    }
}
