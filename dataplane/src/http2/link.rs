//! A connection that carries streams: what is read goes to the state machine and from there to the streams, and
//! what they have written leaves in one piece. One task for each connection; streams have their own, and write
//! straight into what leaves next.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ringgate_core::http2::{
    Account, Config, Connection, Event, Failed, Flood, Key, PREFACE, Reason, Request, Role,
};

use super::bridge::{Bridge, Sent};
use crate::limits;
use crate::shard::Shard;
use crate::shard::timer::{Action, Watched};
use crate::sys::buffer::Buffer;
use crate::sys::socket::Shutdown;
use crate::transport::Transport;

/// The state machine, with streams by what carries them.
pub(super) type Core = Connection<Weak<Bridge>>;

/// See the module.
pub(super) struct Link {
    pub(super) shard: &'static Shard,
    core: RefCell<Core>,
    account: RefCell<Account>,
    /// Streams that wait for room to write, in turn.
    waiting: RefCell<VecDeque<Weak<Bridge>>>,
    /// Of the connection's task.
    waker: RefCell<Option<Waker>>,
    /// Why the connection can't go on.
    failed: Cell<Option<Why>>,
    /// What is left is sent, and the connection ends.
    is_over: Cell<bool>,
    /// Something has happened that another part of the task waits for.
    has_news: Cell<bool>,
}

/// Why a connection has ended that wasn't to end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    Flood(Flood),
    /// The peer's bytes are no HTTP/2.
    Error(Reason),
}

/// What is under it.
pub(super) struct Line<'l> {
    pub(super) transport: &'l Transport,
    pub(super) watch: &'l Watched,
    /// How long the peer may take for a part of what is sent to it.
    pub(super) idle: Duration,
}

/// Whose connection it is.
pub(super) trait User {
    /// A stream that the peer has opened.
    fn request(&self, key: Key, request: Request, text: &[u8]);
    /// Before anything is read or written: says goodbye where there is a reason to.
    fn turn(&self, context: &mut Context<'_>);
    /// Whether something is under way, so that bytes are likely to come.
    fn is_busy(&self) -> bool;
}

impl Link {
    pub(super) fn new(shard: &'static Shard, config: Config) -> Rc<Self> {
        let preface = match config.role {
            Role::Server => PREFACE.len(),
            Role::Client => 0,
        };
        Rc::new(Self {
            shard,
            core: RefCell::new(Connection::new(config)),
            account: RefCell::new(Account::new(preface, shard.deadlines.now())),
            waiting: RefCell::default(),
            waker: RefCell::default(),
            failed: Cell::default(),
            is_over: Cell::new(false),
            has_news: Cell::new(false),
        })
    }

    /// To read or to write; what is written leaves when the connection's task has its turn.
    pub(super) fn core(&self) -> RefMut<'_, Core> {
        let mut core = self.core.borrow_mut();
        if core.output().capacity() == 0 {
            std::mem::swap(core.output(), self.shard.buffers.take().out());
        }
        core
    }

    /// Of what it is, without writing.
    pub(super) fn peek<T>(&self, look: impl FnOnce(&Core) -> T) -> T {
        look(&self.core.borrow())
    }

    /// Why the connection has ended, if that wasn't told before.
    pub(super) fn take_failure(&self) -> Option<Why> {
        self.failed.take()
    }

    /// A reader has taken bytes of a stream; none: of one that is over.
    pub(super) fn taken(&self, key: Option<Key>, bytes: usize) {
        let mut core = self.core();
        core.taken(key, bytes);
        if !core.output().is_empty() {
            drop(core);
            self.wake();
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Gives the connection's task a turn.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Whether a stream has to wait for others that have written more than there is room for.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// Lets a stream write when there is room, after those that wait already.
    pub(super) fn wait_for_room(&self, bridge: Weak<Bridge>) {
        self.waiting.borrow_mut().push_back(bridge);
    }

    /// Ends the connection for what the peer has done.
    pub(super) fn fail(&self, why: Why) {
        let reason = match why {
            Why::Flood(_) => Reason::ENHANCE_YOUR_CALM,
            Why::Error(reason) => reason,
        };
        self.core().fail(reason);
        self.failed.set(Some(why));
        self.end();
    }

    /// Ends the connection, and streams that are open.
    pub(super) fn end(&self) {
        self.is_over.set(true);
        self.has_news.set(true);
        loop {
            let next = self.core().next_cut();
            let Some(tag) = next else { break };
            if let Some(bridge) = tag.upgrade() {
                bridge.fail("the connection has ended", false);
            }
        }
        self.waiting.take();
        self.wake();
    }

    /// Serves the connection to its end. `begun` is what has come already.
    pub(super) async fn run(&self, line: Line<'_>, user: &impl User, begun: Buffer) {
        let mut receive = pin!(self.receive(&line, user, begun));
        let mut send = pin!(self.send(&line));
        let (mut has_received, mut has_sent) = (false, false);
        poll_fn(|context| {
            self.keep_waker(context);
            loop {
                self.has_news.set(false);
                user.turn(context);
                has_received = has_received || receive.as_mut().poll(context).is_ready();
                if self.core.borrow().is_over() && !self.is_over.get() {
                    self.end();
                }
                self.let_write();
                has_sent = has_sent || send.as_mut().poll(context).is_ready();
                if !self.has_news.get() {
                    break;
                }
            }
            match has_received && has_sent {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    fn keep_waker(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|kept| kept.will_wake(context.waker()))
        {
            *waker = Some(context.waker().clone());
        }
    }

    /// Until a condition holds that another part of the task brings about.
    async fn until(&self, holds: impl Fn() -> bool) {
        poll_fn(|_| match holds() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Reads whenever what came before was taken; to nowhere, when the connection is to end.
    async fn receive(&self, line: &Line<'_>, user: &impl User, mut buffer: Buffer) {
        self.count(buffer.pending());
        loop {
            self.until(|| self.is_over.get() || !self.core.borrow().is_full())
                .await;
            self.take_in(&mut buffer, user);
            if !self.is_over.get() && self.core.borrow().is_full() {
                continue;
            }
            if buffer.is_empty() && !user.is_busy() && !self.is_over.get() {
                // A connection that waits holds no buffer.
                self.shard.buffers.give(std::mem::take(&mut buffer));
                self.core.borrow_mut().shrink();
                self.give_output_back();
                if line.transport.readable().await.is_err() {
                    break;
                }
            }
            match buffer.capacity() {
                0 => buffer = self.shard.buffers.take(),
                _ if buffer.is_empty() => {}
                _ => buffer.reserve(limits::BUFFER_BYTES),
            }
            let before = buffer.len();
            self.give_output_back();
            let handle = line.watch.cancel_handle();
            let (read, back) = line.transport.read_unless(buffer, handle).await;
            buffer = back;
            match read {
                Ok(1..) => self.count(buffer.pending().get(before..).unwrap_or_default()),
                // Nothing has come for a while: it is waited for without a buffer.
                Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {}
                Ok(_) | Err(_) => break,
            }
            self.has_news.set(true);
        }
        self.shard.buffers.give(buffer);
        if !self.is_over.get() {
            self.end();
        }
    }

    fn count(&self, bytes: &[u8]) {
        let now = self.shard.deadlines.now();
        let counted = self.account.borrow_mut().received(bytes, now);
        if let Err(flood) = counted
            && !self.is_over.get()
        {
            self.fail(Why::Flood(flood));
        }
    }

    /// Takes what has come, as long as there is room for what that makes us say.
    fn take_in(&self, buffer: &mut Buffer, user: &impl User) {
        if buffer.is_empty() {
            return;
        }
        let mut text = self.shard.buffers.take();
        let key = || self.websocket_key();
        while !buffer.is_empty() && !self.is_over.get() && !self.core.borrow().is_full() {
            let received = self.core().receive(buffer.pending(), text.out(), &key);
            match received {
                Ok(received) => {
                    let (used, is_all) = (received.used, received.event.is_none());
                    if let Some(event) = received.event {
                        self.dispatch(event, text.pending(), user);
                    }
                    buffer.consume(used);
                    if is_all {
                        break;
                    }
                }
                Err(Failed(reason)) => self.fail(Why::Error(reason)),
            }
        }
        if let Some(mistake) = self.core.borrow_mut().take_mistake() {
            tracing::debug!(%mistake, "a head is malformed");
        }
        if self.is_over.get() {
            buffer.clear();
        }
        self.shard.buffers.give(text);
    }

    /// 16 random bytes in Base64 (RFC 6455, section 4.1).
    fn websocket_key(&self) -> String {
        let mut random = self.shard.random.borrow_mut();
        let halves = [random.bits().to_be_bytes(), random.bits().to_be_bytes()];
        BASE64_STANDARD.encode(halves.as_flattened())
    }

    fn dispatch(&self, event: Event<'_, Weak<Bridge>>, text: &[u8], user: &impl User) {
        match event {
            Event::Request(key, request) => user.request(key, request, text),
            Event::Response(tag, response) => {
                if let Some(bridge) = tag.upgrade() {
                    bridge.response(response, text);
                }
            }
            Event::Data {
                tag,
                bytes,
                is_last,
            } => match tag.upgrade() {
                Some(bridge) => bridge.data(bytes, is_last),
                None => self.taken(None, bytes.len()),
            },
            Event::Trailers(tag) => {
                if let Some(bridge) = tag.upgrade() {
                    bridge.trailers(text);
                }
            }
            Event::Reset {
                tag,
                reason,
                is_ours,
            } => {
                if let Some(bridge) = tag.upgrade() {
                    bridge.reset(reason, is_ours);
                }
            }
            Event::Settings => {}
            Event::GoAway(reason) => self.part(reason),
        }
    }

    /// The peer has said goodbye: what it didn't look at may be asked elsewhere.
    fn part(&self, reason: Reason) {
        if reason != Reason::NO_ERROR {
            tracing::debug!(%reason, "the peer of a connection says goodbye");
        }
        loop {
            let next = self.core().next_refused();
            let Some(tag) = next else { break };
            if let Some(bridge) = tag.upgrade() {
                bridge.fail("the peer has said goodbye", true);
            }
        }
    }

    /// Lets streams that wait write a part each, in turn.
    fn let_write(&self) {
        loop {
            let count = self.waiting.borrow().len();
            let mut has_written = false;
            for _ in 0..count {
                if !self.core.borrow().has_room() {
                    return;
                }
                let next = self.waiting.borrow_mut().pop_front();
                let Some(bridge) = next.as_ref().and_then(Weak::upgrade) else {
                    continue;
                };
                match bridge.send_waiting() {
                    Sent::All => has_written = true,
                    Sent::Some => {
                        has_written = true;
                        self.waiting.borrow_mut().extend(next);
                    }
                    Sent::Nothing => self.waiting.borrow_mut().extend(next),
                }
            }
            if !has_written {
                return;
            }
        }
    }

    /// Writes whatever there is; at the end takes leave.
    async fn send(&self, line: &Line<'_>) {
        let now = || self.shard.deadlines.now();
        loop {
            self.until(|| self.is_over.get() || !self.core.borrow_mut().output().is_empty())
                .await;
            let mut out = Buffer::default();
            std::mem::swap(out.out(), self.core.borrow_mut().output());
            if out.is_empty() {
                self.shard.buffers.give(out);
                break;
            }
            self.account.borrow_mut().sent(out.len());
            let alive = || {
                let until = Action::Shutdown(Shutdown::Both);
                line.watch.set(now(), line.idle, until);
            };
            let (sent, out) = line.transport.write(out, alive).await;
            line.watch.clear();
            self.shard.buffers.give(out);
            self.has_news.set(true);
            if sent.is_err() {
                line.transport.abort();
                self.end();
                break;
            }
        }
        // What the peer still sends is read for a while, or its unread bytes would make the kernel reset the
        // connection, and our last frames with it.
        line.watch.linger();
        line.transport.finish().await;
    }

    fn give_output_back(&self) {
        let mut core = self.core.borrow_mut();
        if core.output().is_empty() {
            let mut out = Buffer::default();
            std::mem::swap(out.out(), core.output());
            self.shard.buffers.give(out);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut out = Buffer::default();
        std::mem::swap(out.out(), self.core.get_mut().output());
        self.shard.buffers.give(out);
    }
}
