//! One stream of HTTP/2, seen as a connection of HTTP/1 that carries one exchange: whoever proxies reads
//! and writes the same bytes as on a socket. Owns the translation as it goes, and flow control: what is not
//! taken is not asked for, and what can't leave is not written.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use ringgate_core::http1::{Framing, Method, Parse, RequestHead, parse_request};

use super::head;
use super::incoming::{Incoming, is_refusal, poll_body, poll_head};
use super::outgoing::{OWN_HEAD, Outgoing, Piece, body_of, send_response};
use crate::limits;
use crate::shard::timer::Interrupt;
use crate::sys::buffer::Buffer;
use crate::sys::socket::Shutdown;

pub(crate) struct Bridge {
    incoming: RefCell<Incoming>,
    outgoing: RefCell<Outgoing>,
    /// What a stream that can't be completed is reset with.
    reason: Reason,
    has_read_all: Cell<bool>,
    is_aborted: Cell<bool>,
    is_cancelled: Cell<bool>,
    /// The peer says that it has done nothing of what was asked.
    is_refused: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
}

impl Bridge {
    /// A stream that a client has opened: its request's head is known, its body comes by [`Self::read`], and
    /// the response goes out by [`Self::write`].
    pub(super) fn server(
        body: RecvStream,
        framing: Framing,
        to: SendResponse<Bytes>,
        (method, is_connect): (Method, bool),
    ) -> Self {
        let outgoing = Outgoing::Response {
            to,
            method,
            is_connect,
            text: Vec::new(),
        };
        Self::new(
            Incoming::Body(body, framing),
            outgoing,
            Reason::INTERNAL_ERROR,
        )
    }

    /// A stream that is opened by the first request that is written.
    pub(super) fn client(to: SendRequest<Bytes>, scheme: &'static str) -> Self {
        let outgoing = Outgoing::Request {
            to,
            scheme,
            text: Vec::new(),
        };
        Self::new(Incoming::Later, outgoing, Reason::CANCEL)
    }

    fn new(incoming: Incoming, outgoing: Outgoing, reason: Reason) -> Self {
        Self {
            incoming: RefCell::new(incoming),
            outgoing: RefCell::new(outgoing),
            reason,
            has_read_all: Cell::new(false),
            is_aborted: Cell::new(false),
            is_cancelled: Cell::new(false),
            is_refused: Cell::new(false),
            reader: RefCell::default(),
            writer: RefCell::default(),
        }
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
        if self.has_read_all.get() || self.is_aborted.get() {
            return Poll::Ready(Ok(0));
        }
        let before = buffer.len();
        let mut incoming = self.incoming.borrow_mut();
        while buffer.len() - before < limits::BUFFER_BYTES / 2 {
            let step = match &mut *incoming {
                Incoming::Later => Poll::Pending,
                Incoming::Response(response, method) => {
                    match poll_head(context, response, *method, buffer) {
                        Poll::Ready(Ok(Some(body))) => {
                            *incoming = body;
                            Poll::Ready(Ok(()))
                        }
                        other => other.map_ok(drop),
                    }
                }
                Incoming::Body(body, framing) => match poll_body(context, body, *framing, buffer) {
                    Poll::Ready(Ok(true)) => Poll::Ready(Ok(())),
                    Poll::Ready(Ok(false)) => {
                        *incoming = Incoming::Over;
                        Poll::Ready(Ok(()))
                    }
                    other => other.map_ok(drop),
                },
                Incoming::Over => break,
            };
            match step {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.is_refused.set(is_refusal(&error));
                    return Poll::Ready(Err(io::Error::other(error)));
                }
                Poll::Pending if buffer.len() > before => break,
                Poll::Pending => {
                    keep(&self.reader, context);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(buffer.len() - before))
    }

    /// Sends what is pending in the buffer, which is HTTP/1; what the peer's windows have no room for is
    /// waited for. `before_each` is called before each part.
    pub(crate) async fn write(
        &self,
        mut buffer: Buffer,
        before_each: impl Fn(),
    ) -> (io::Result<()>, Buffer) {
        while !buffer.is_empty() {
            if self.is_aborted.get() {
                return (Err(io::ErrorKind::BrokenPipe.into()), buffer);
            }
            let sent = match self.translate(&mut buffer) {
                Ok(piece) => self.send(piece, &before_each).await,
                Err(error) => Err(error),
            };
            if sent.is_err() {
                return (sent, buffer);
            }
        }
        (Ok(()), buffer)
    }

    /// Takes what is pending, or a part of it, and says what of a body is to be sent for it.
    fn translate(&self, buffer: &mut Buffer) -> io::Result<Piece> {
        let mut outgoing = self.outgoing.borrow_mut();
        if let Outgoing::Request { text, .. } | Outgoing::Response { text, .. } = &mut *outgoing {
            text.extend_from_slice(buffer.pending());
            buffer.mark_sent(buffer.len());
            let text = std::mem::take(text);
            let rest = match *outgoing {
                Outgoing::Request { .. } => self.send_request(&mut outgoing, text)?,
                _ => send_response(&mut outgoing, text)?,
            };
            return outgoing.body(&rest).map(|(piece, _)| piece);
        }
        if self.is_server()
            && let Some(piece) = outgoing.whole(buffer)
        {
            return Ok(piece);
        }
        let (piece, used) = outgoing.body(buffer.pending())?;
        buffer.mark_sent(used);
        Ok(piece)
    }

    /// Responses go out once. Requests may have to be sent again.
    fn is_server(&self) -> bool {
        self.reason == Reason::INTERNAL_ERROR
    }

    /// Opens the stream if the head is whole; gives what came behind it.
    fn send_request(&self, outgoing: &mut Outgoing, text: Vec<u8>) -> io::Result<Bytes> {
        let Outgoing::Request {
            to,
            scheme,
            text: kept,
        } = outgoing
        else {
            return Ok(Bytes::new());
        };
        let mut head = RequestHead::default();
        match parse_request(&text, &OWN_HEAD, &mut head) {
            Ok(Parse::Complete) => {}
            Ok(Parse::Partial) => {
                *kept = text;
                return Ok(Bytes::new());
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        let text = Bytes::from(text);
        let request = head::request_of(&head, &text, scheme).map_err(io::Error::other)?;
        let is_whole = head.framing.is_empty();
        let (response, body) = to.send_request(request, is_whole).map_err(|error| {
            self.is_refused.set(true);
            io::Error::other(error)
        })?;
        *outgoing = body_of(body, head.framing);
        *self.incoming.borrow_mut() = Incoming::Response(response, head.method);
        wake(&self.reader);
        Ok(text.slice(head.len..))
    }

    async fn send(&self, piece: Piece, before_each: &impl Fn()) -> io::Result<()> {
        let Piece {
            mut bytes,
            trailers,
            is_last,
        } = piece;
        let ends_with_data = is_last && trailers.is_empty();
        while !bytes.is_empty() {
            before_each();
            let room = poll_fn(|context| self.poll_room(context, bytes.len())).await?;
            let part = bytes.split_to(room.min(bytes.len()));
            let is_end = bytes.is_empty() && ends_with_data;
            self.with_stream(|stream| stream.send_data(part, is_end))?;
            if is_end {
                *self.outgoing.borrow_mut() = Outgoing::Over;
                return Ok(());
            }
        }
        if !is_last {
            return Ok(());
        }
        if trailers.is_empty() {
            self.with_stream(|stream| stream.send_data(Bytes::new(), true))?;
        } else {
            let trailers = head::trailers_of(&trailers).map_err(io::Error::other)?;
            self.with_stream(|stream| stream.send_trailers(trailers))?;
        }
        *self.outgoing.borrow_mut() = Outgoing::Over;
        Ok(())
    }

    /// Until the peer takes at least a byte more.
    fn poll_room(&self, context: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let mut outgoing = self.outgoing.borrow_mut();
        let stream = match &mut *outgoing {
            Outgoing::Body(stream, _) | Outgoing::Tunnel(stream) if !self.is_aborted.get() => {
                stream
            }
            _ => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        stream.reserve_capacity(wanted);
        loop {
            let room = stream.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room));
            }
            match stream.poll_capacity(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(io::Error::other(error))),
                Poll::Ready(None) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Poll::Pending => {
                    keep(&self.writer, context);
                    return Poll::Pending;
                }
            }
        }
    }

    fn with_stream(
        &self,
        act: impl FnOnce(&mut SendStream<Bytes>) -> Result<(), h2::Error>,
    ) -> io::Result<()> {
        match &mut *self.outgoing.borrow_mut() {
            Outgoing::Body(stream, _) | Outgoing::Tunnel(stream) => {
                act(stream).map_err(io::Error::other)
            }
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Says that nothing more is sent: only a tunnel ends without having said so.
    pub(crate) fn finish(&self) {
        let mut outgoing = self.outgoing.borrow_mut();
        if let Outgoing::Tunnel(stream) = &mut *outgoing {
            // The peer may be gone already.
            let _ = stream.send_data(Bytes::new(), true);
            *outgoing = Outgoing::Over;
        }
    }

    /// Ends pending and future reads and writes, and the stream.
    pub(crate) fn abort(&self) {
        self.is_aborted.set(true);
        let mut outgoing = self.outgoing.borrow_mut();
        match &mut *outgoing {
            Outgoing::Response { to, .. } => to.send_reset(self.reason),
            Outgoing::Body(stream, _) | Outgoing::Tunnel(stream) => stream.send_reset(self.reason),
            Outgoing::Request { .. } | Outgoing::Over => {}
        }
        drop(outgoing);
        wake(&self.reader);
        wake(&self.writer);
    }

    /// Until the client takes its request back.
    pub(crate) fn poll_left(&self, context: &mut Context<'_>) -> Poll<()> {
        self.outgoing.borrow_mut().poll_reset(context)
    }

    /// Whether the peer has said that it did nothing of what was asked, so that it may be asked again.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused.get()
    }

    /// The rest of a body whose end is known by its length: a few bytes of framing that are on their way.
    pub(super) fn rest(&self) -> Option<RecvStream> {
        match self.incoming.replace(Incoming::Over) {
            Incoming::Body(body, _) if !body.is_end_stream() => Some(body),
            _ => None,
        }
    }
}

impl Drop for Bridge {
    /// A message that was not completed must not look complete.
    fn drop(&mut self) {
        if !matches!(*self.outgoing.borrow(), Outgoing::Over) {
            self.abort();
        }
    }
}

impl Interrupt for Bridge {
    fn shutdown(&self, how: Shutdown) {
        match how {
            Shutdown::Read => {
                self.has_read_all.set(true);
                wake(&self.reader);
            }
            Shutdown::Write | Shutdown::Both => self.abort(),
        }
    }

    fn cancel_read(&self) {
        self.is_cancelled.set(true);
        wake(&self.reader);
    }
}

fn keep(place: &RefCell<Option<Waker>>, context: &Context<'_>) {
    *place.borrow_mut() = Some(context.waker().clone());
}

fn wake(place: &RefCell<Option<Waker>>) {
    if let Some(waker) = place.take() {
        waker.wake();
    }
}
