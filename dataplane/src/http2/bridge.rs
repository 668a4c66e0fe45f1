//! One stream of HTTP/2, seen as a connection of HTTP/1 that carries one exchange: whoever proxies reads
//! and writes the same bytes as on a socket. Owns what has come and was not read, and flow control: what is not
//! taken is not asked for, and what can't leave waits.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use ringgate_core::http1::Method;
use ringgate_core::http2::{Key, Reason, Request, Response};

use super::incoming::Incoming;
use super::link::Link;
use super::outgoing::{Outgoing, Way};
use crate::limits;
use crate::shard::timer::Interrupt;
use crate::sys::buffer::Buffer;
use crate::sys::socket::Shutdown;

pub(crate) struct Bridge {
    link: Rc<Link>,
    me: Weak<Self>,
    /// None: a stream that is opened by the first request that is written.
    key: Cell<Option<Key>>,
    incoming: RefCell<Incoming>,
    outgoing: RefCell<Outgoing>,
    /// What waits for room to leave.
    waiting: RefCell<Option<Buffer>>,
    /// Some of it has left, or can't.
    has_moved: Cell<bool>,
    /// Nothing more is read.
    has_read_all: Cell<bool>,
    is_aborted: Cell<bool>,
    is_cancelled: Cell<bool>,
    /// The peer has reset the stream, or its connection is gone.
    has_left: Cell<bool>,
    /// The peer says that it has done nothing of what was asked.
    is_refused: Cell<bool>,
    /// Of the one task that uses it.
    waker: RefCell<Option<Waker>>,
}

/// What became of a part that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing of it is left, or it can't be sent.
    All,
    Some,
    Nothing,
}

impl Bridge {
    /// A stream that a client has opened: its request comes by [`Self::read`], and the response goes out by
    /// [`Self::write`].
    pub(super) fn server(link: Rc<Link>, key: Key, request: Request, text: &[u8]) -> Rc<Self> {
        let method = match request.is_head {
            true => Method::Head,
            false => Method::Get,
        };
        let way = Way::Response {
            method,
            is_tunnel: request.is_tunnel,
        };
        let buffers = &link.shard.buffers;
        let incoming = Incoming::request(text, request.framing, request.is_last, buffers);
        Self::new(link, Some(key), incoming, Outgoing::new(way))
    }

    /// A stream that is opened by the first request that is written.
    pub(super) fn client(link: Rc<Link>, scheme: &'static str) -> Rc<Self> {
        let outgoing = Outgoing::new(Way::Request { scheme });
        Self::new(link, None, Incoming::default(), outgoing)
    }

    fn new(link: Rc<Link>, key: Option<Key>, incoming: Incoming, outgoing: Outgoing) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            link,
            me: me.clone(),
            key: Cell::new(key),
            incoming: RefCell::new(incoming),
            outgoing: RefCell::new(outgoing),
            waiting: RefCell::default(),
            has_moved: Cell::default(),
            has_read_all: Cell::default(),
            is_aborted: Cell::default(),
            is_cancelled: Cell::default(),
            has_left: Cell::default(),
            is_refused: Cell::default(),
            waker: RefCell::default(),
        })
    }

    /// A head has come, interim or final.
    pub(super) fn response(&self, response: Response, text: &[u8]) {
        let buffers = &self.link.shard.buffers;
        self.incoming.borrow_mut().response(response, text, buffers);
        self.wake();
    }

    /// A part of the body has come.
    pub(super) fn data(&self, bytes: &[u8], is_last: bool) {
        if self.is_deaf() {
            self.link.taken(self.key.get(), bytes.len());
        } else {
            let buffers = &self.link.shard.buffers;
            self.incoming.borrow_mut().data(bytes, is_last, buffers);
        }
        self.wake();
    }

    /// Trailers have come, and with them the end.
    pub(super) fn trailers(&self, text: &[u8]) {
        let buffers = &self.link.shard.buffers;
        self.incoming.borrow_mut().trailers(text, buffers);
        self.wake();
    }

    /// Nobody reads it any more.
    fn is_deaf(&self) -> bool {
        self.has_read_all.get() || self.is_aborted.get()
    }

    /// The stream was reset, by the peer or for its mistakes.
    pub(super) fn reset(&self, reason: Reason, is_ours: bool) {
        tracing::debug!(%reason, is_ours, "a stream is reset");
        self.fail(
            "the stream was reset",
            reason == Reason::REFUSED_STREAM && !is_ours,
        );
    }

    /// The stream is over before its end. `is_refused`: the peer has done nothing for it.
    pub(super) fn fail(&self, why: &'static str, is_refused: bool) {
        self.incoming.borrow_mut().fail(why);
        self.outgoing.borrow_mut().end();
        self.is_refused.set(is_refused);
        self.has_left.set(true);
        self.has_moved.set(true);
        self.wake();
    }

    /// Appends what has come, as HTTP/1. 0 bytes at the end.
    pub(crate) async fn read(&self, mut buffer: Buffer) -> (io::Result<usize>, Buffer) {
        let read = poll_fn(|context| self.poll_read(context, &mut buffer)).await;
        (read, buffer)
    }

    fn poll_read(&self, context: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        if self.is_cancelled.take() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(libc::ECANCELED)));
        }
        if self.is_deaf() {
            return Poll::Ready(Ok(0));
        }
        let mut incoming = self.incoming.borrow_mut();
        match incoming.take(buffer, &self.link.shard.buffers) {
            Some(Ok((count, of_body))) => {
                if of_body > 0 {
                    self.link.taken(self.key.get(), of_body);
                }
                Poll::Ready(Ok(count))
            }
            Some(Err(why)) => Poll::Ready(Err(io::Error::other(why))),
            None => {
                self.keep_waker(context);
                Poll::Pending
            }
        }
    }

    /// Sends what is pending in the buffer, which is HTTP/1; what the peer's windows have no room for is
    /// waited for. `before_each` is called before each part.
    pub(crate) async fn write(
        &self,
        mut buffer: Buffer,
        before_each: impl Fn(),
    ) -> (io::Result<()>, Buffer) {
        before_each();
        match self.send(&mut buffer, usize::MAX) {
            Ok(Sent::All) => return (Ok(()), buffer),
            Ok(_) => {}
            Err(error) => return (Err(error), buffer),
        }
        self.waiting.replace(Some(buffer));
        self.link.wait_for_room(self.me.clone());
        self.link.wake();
        let sent = poll_fn(|context| self.poll_sent(context, &before_each)).await;
        (sent, self.waiting.take().unwrap_or_default())
    }

    fn poll_sent(
        &self,
        context: &mut Context<'_>,
        before_each: &impl Fn(),
    ) -> Poll<io::Result<()>> {
        if self.is_aborted.get() || self.has_left.get() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.has_moved.take() {
            if self.waiting.borrow().as_ref().is_none_or(Buffer::is_empty) {
                return Poll::Ready(self.outgoing.borrow_mut().result());
            }
            before_each();
        }
        self.keep_waker(context);
        Poll::Pending
    }

    /// Sends a part of what waits, if there is room for it.
    pub(super) fn send_waiting(&self) -> Sent {
        let mut waiting = self.waiting.borrow_mut();
        let Some(buffer) = waiting.as_mut() else {
            return Sent::All;
        };
        let sent = self.send(buffer, limits::BUFFER_BYTES);
        let sent = sent.unwrap_or_else(|error| {
            self.outgoing.borrow_mut().broken(error);
            // Not cleared: it may be a request that is sent once more.
            let left = buffer.len();
            buffer.mark_sent(left);
            Sent::All
        });
        if sent != Sent::Nothing {
            self.has_moved.set(true);
            drop(waiting);
            self.wake();
        }
        sent
    }

    /// Sends what there is room for, `most` bytes of a body at most.
    fn send(&self, buffer: &mut Buffer, most: usize) -> io::Result<Sent> {
        if self.is_aborted.get() || self.has_left.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let before = buffer.len();
        let mut outgoing = self.outgoing.borrow_mut();
        if outgoing.is_head() && !self.send_head(&mut outgoing, buffer)? {
            // Interim heads are to leave at once: what the client waits for, before it sends a body.
            self.link.wake();
            return Ok(Sent::All);
        }
        let is_turn = most < usize::MAX || !self.link.has_waiting();
        if let (Some(key), true) = (self.key.get(), is_turn) {
            outgoing.send_body(&mut self.link.core(), key, buffer, most)?;
        }
        if buffer.len() < before {
            self.link.wake();
        }
        Ok(match buffer.len() {
            0 => Sent::All,
            length if length < before => Sent::Some,
            _ => Sent::Nothing,
        })
    }

    /// Whether the head is all there, and sent.
    fn send_head(&self, outgoing: &mut Outgoing, buffer: &mut Buffer) -> io::Result<bool> {
        let head = &mut *self.link.shard.http2.head.borrow_mut();
        let mut core = self.link.core();
        if let Some(key) = self.key.get() {
            return outgoing.respond(&mut core, key, buffer, head);
        }
        let opened = outgoing.request(&mut core, self.me.clone(), buffer, head)?;
        match opened {
            Ok(key) => {
                self.key.set(Some(key));
                Ok(true)
            }
            Err(gone) => {
                self.is_refused.set(true);
                Err(io::Error::other(gone))
            }
        }
    }

    /// Says that nothing more is sent: only a tunnel ends without having said so.
    pub(crate) fn finish(&self) {
        if let Some(key) = self.key.get()
            && self
                .outgoing
                .borrow_mut()
                .finish(&mut self.link.core(), key)
        {
            self.link.wake();
        }
    }

    /// Ends pending and future reads and writes, and the stream.
    pub(crate) fn abort(&self) {
        self.is_aborted.set(true);
        self.has_moved.set(true);
        let reason = match self.outgoing.borrow().is_response() {
            true => Reason::INTERNAL_ERROR,
            false => Reason::CANCEL,
        };
        self.reset_with(reason);
        self.wake();
    }

    fn reset_with(&self, reason: Reason) {
        self.outgoing.borrow_mut().end();
        if let Some(key) = self.key.get() {
            self.link.core().reset(key, reason);
            self.link.wake();
        }
    }

    /// Until the client takes its request back.
    pub(crate) fn poll_left(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_left.get() {
            return Poll::Ready(());
        }
        self.keep_waker(context);
        Poll::Pending
    }

    /// Whether the peer has said that it did nothing of what was asked, so that it may be asked again.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused.get()
    }

    /// Until the peer has ended its side of a body whose length said that it was over: a few bytes of framing
    /// that are on their way.
    pub(super) fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_ended() {
            return Poll::Ready(());
        }
        self.keep_waker(context);
        Poll::Pending
    }

    /// The peer has reset the stream, or its connection is gone.
    pub(super) fn has_left(&self) -> bool {
        self.has_left.get()
    }

    /// The peer will send nothing more.
    pub(super) fn has_ended(&self) -> bool {
        self.incoming.borrow().is_over() || self.has_left.get()
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

    fn wake(&self) {
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Bridge {
    /// A message that was not completed must not look complete.
    fn drop(&mut self) {
        let unread = self.incoming.get_mut().close(&self.link.shard.buffers);
        if unread > 0 {
            self.link.taken(None, unread);
        }
        if !self.outgoing.get_mut().is_over() {
            self.abort();
        } else if !self.incoming.get_mut().is_over() {
            // It was answered before it was all there, or what is left of the answer matters to nobody.
            let is_response = self.outgoing.get_mut().is_response();
            self.reset_with(match is_response {
                true => Reason::NO_ERROR,
                false => Reason::CANCEL,
            });
        }
    }
}

impl Interrupt for Bridge {
    fn shutdown(&self, how: Shutdown) {
        match how {
            Shutdown::Read => {
                self.has_read_all.set(true);
                self.wake();
            }
            Shutdown::Write | Shutdown::Both => self.abort(),
        }
    }

    fn cancel_read(&self) {
        self.is_cancelled.set(true);
        self.wake();
    }
}
