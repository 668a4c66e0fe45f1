//! Bytes between a connection and the HTTP/2 library, which polls and borrows where io_uring wants to own
//! buffers and be left alone until it is done. Both run in one task, in turns.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use ringgate_core::http2::{Account, Flood};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits;
use crate::shard::Shard;
use crate::shard::timer::{Action, Watched};
use crate::sys::buffer::Buffer;
use crate::sys::socket::Shutdown;
use crate::transport::Transport;

/// What the library reads from and writes to.
pub(super) struct Wire(pub(super) Rc<Shared>);

/// What lies between.
pub(super) struct Shared {
    shard: &'static Shard,
    incoming: RefCell<Buffer>,
    outgoing: RefCell<Buffer>,
    account: RefCell<Account>,
    /// Of what the peer sent too many.
    flood: Cell<Option<Flood>>,
    has_ended: Cell<bool>,
    /// Something has come from the peer: its settings, for these are first.
    has_heard: Cell<bool>,
    failure: Cell<Option<io::ErrorKind>>,
    /// The library is done: what is left is sent, and the connection ends.
    is_over: Cell<bool>,
    /// The library waits for what is written to leave.
    is_full: Cell<bool>,
    /// Something has happened that the library waits for.
    has_news: Cell<bool>,
}

/// The connection under it.
pub(super) struct Line<'l> {
    pub(super) transport: &'l Transport,
    pub(super) watch: &'l Watched,
    /// How long the peer may take for a part of what is sent to it.
    pub(super) idle: Duration,
}

impl Shared {
    /// `begun` has come already. `preface` is how many bytes the peer sends before its first frame.
    pub(super) fn new(shard: &'static Shard, begun: Option<Buffer>, preface: usize) -> Rc<Self> {
        let mut account = Account::new(preface, shard.deadlines.now());
        let incoming = begun.unwrap_or_default();
        let flood = account.received(incoming.pending(), shard.deadlines.now());
        Rc::new(Self {
            shard,
            incoming: RefCell::new(incoming),
            outgoing: RefCell::default(),
            account: RefCell::new(account),
            flood: Cell::new(flood.err()),
            has_ended: Cell::new(false),
            has_heard: Cell::new(false),
            failure: Cell::new(None),
            is_over: Cell::new(false),
            is_full: Cell::new(false),
            has_news: Cell::new(false),
        })
    }

    /// Of what the peer has sent more than is borne, if it has.
    pub(super) fn flood(&self) -> Option<Flood> {
        self.flood.get()
    }

    pub(super) fn has_heard(&self) -> bool {
        self.has_heard.get()
    }

    /// Runs the library until it is done with the connection, which then ends. `is_busy`: whether something
    /// is under way, so that bytes are likely to come.
    pub(super) async fn run<T>(
        &self,
        line: Line<'_>,
        is_busy: impl Fn() -> bool,
        mut library: Pin<&mut impl Future<Output = T>>,
    ) -> T {
        let mut receive = pin!(self.receive(&line, is_busy));
        let mut send = pin!(self.send(&line));
        let (mut output, mut has_received, mut has_sent) = (None, false, false);
        poll_fn(|context| {
            has_received = has_received || receive.as_mut().poll(context).is_ready();
            loop {
                self.has_news.set(false);
                if output.is_none()
                    && let Poll::Ready(result) = library.as_mut().poll(context)
                {
                    self.is_over.set(true);
                    output = Some(result);
                }
                has_sent = has_sent || send.as_mut().poll(context).is_ready();
                // It has most likely taken what came.
                has_received = has_received || receive.as_mut().poll(context).is_ready();
                if !self.has_news.get() {
                    break;
                }
            }
            match output.take() {
                Some(output) if has_received && has_sent => Poll::Ready(output),
                not_yet => {
                    output = not_yet;
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Until a condition holds that the library brings about, after which [`Self::run`] polls again.
    async fn until(&self, holds: impl Fn() -> bool) {
        poll_fn(|_| {
            if holds() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Reads whenever the library has taken what came before; to nowhere, when it is done.
    async fn receive(&self, line: &Line<'_>, is_busy: impl Fn() -> bool) {
        loop {
            self.until(|| self.is_over.get() || self.incoming.borrow().is_empty())
                .await;
            if !is_busy() && !self.is_over.get() {
                // A connection that waits holds no buffer.
                let buffer = self.incoming.take();
                self.shard.buffers.give(buffer);
                if line.transport.readable().await.is_err() {
                    break;
                }
            }
            let mut buffer = self.incoming.take();
            if buffer.capacity() == 0 {
                buffer = self.shard.buffers.take();
            }
            buffer.clear();
            let (read, buffer) = line.transport.read(buffer).await;
            match read {
                Ok(1..) => self.count(buffer.pending()),
                Ok(_) => break,
                Err(error) => {
                    self.failure.set(Some(error.kind()));
                    break;
                }
            }
            *self.incoming.borrow_mut() = buffer;
            self.has_news.set(true);
        }
        self.has_ended.set(true);
        self.has_news.set(true);
    }

    fn count(&self, bytes: &[u8]) {
        self.has_heard.set(true);
        let now = self.shard.deadlines.now();
        if let Err(flood) = self.account.borrow_mut().received(bytes, now) {
            self.flood.set(Some(flood));
        }
    }

    /// Writes whatever the library has written; at the end takes leave.
    async fn send(&self, line: &Line<'_>) {
        let now = || self.shard.deadlines.now();
        loop {
            self.until(|| self.is_over.get() || !self.outgoing.borrow().is_empty())
                .await;
            if self.outgoing.borrow().is_empty() {
                break;
            }
            let out = self.outgoing.take();
            self.account.borrow_mut().sent(out.len());
            let alive = || {
                let until = Action::Shutdown(Shutdown::Both);
                line.watch.set(now(), line.idle, until);
            };
            let (sent, out) = line.transport.write(out, alive).await;
            line.watch.clear();
            self.shard.buffers.give(out);
            self.has_news
                .set(self.is_full.take() || self.has_news.get());
            if let Err(error) = sent {
                self.failure.set(Some(error.kind()));
                self.has_news.set(true);
                line.transport.abort();
                self.until(|| self.is_over.get()).await;
                break;
            }
        }
        // What the peer still sends is read for a while, or its unread bytes would make the kernel reset the
        // connection, and our last frames with it.
        line.watch.linger();
        line.transport.finish().await;
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.shard.buffers.give(self.incoming.take());
        self.shard.buffers.give(self.outgoing.take());
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let shared = &self.0;
        let mut incoming = shared.incoming.borrow_mut();
        if !incoming.is_empty() {
            let count = incoming.len().min(into.remaining());
            into.put_slice(incoming.pending().get(..count).unwrap_or_default());
            incoming.consume(count);
            return Poll::Ready(Ok(()));
        }
        match shared.failure.get() {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None if shared.has_ended.get() => Poll::Ready(Ok(())),
            // Polled again when there are news.
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let shared = &self.0;
        if let Some(kind) = shared.failure.get() {
            return Poll::Ready(Err(kind.into()));
        }
        let mut outgoing = shared.outgoing.borrow_mut();
        if outgoing.len() >= limits::H2_OUTGOING_BYTES {
            shared.is_full.set(true);
            return Poll::Pending;
        }
        if outgoing.capacity() == 0 {
            *outgoing = shared.shard.buffers.take();
        }
        let before = outgoing.len();
        for part in parts {
            outgoing.out().extend_from_slice(part);
        }
        Poll::Ready(Ok(outgoing.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.failure.get() {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is left goes out when the library is done: see `Shared::send`.
        Poll::Ready(Ok(()))
    }
}
