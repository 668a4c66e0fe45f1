//! A connection's bytes as the rest of the data plane sees them: a stream, with or without TLS on it, or a
//! stream of HTTP/2 that carries one exchange.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::http2::bridge::Bridge;
use crate::limits;
use crate::sys::buffer::{Buffer, Pool};
use crate::sys::io::{Cancel, Stream};
use crate::tls::layer::Layer;
use crate::tls::session::Session;

/// Reading and writing go on side by side, one of each at a time. What holds for [`Stream`] holds here.
pub(crate) struct Transport {
    under: Under,
    tls: Option<Box<Layer>>,
}

enum Under {
    Stream(Stream),
    Http2(Rc<Bridge>),
}

impl Transport {
    pub(crate) fn plain(stream: Stream) -> Self {
        Self {
            under: Under::Stream(stream),
            tls: None,
        }
    }

    pub(crate) fn http2(bridge: Rc<Bridge>) -> Self {
        Self {
            under: Under::Http2(bridge),
            tls: None,
        }
    }

    /// TLS from here on, as soon as the handshake is over. `begun` are its first bytes, if some came.
    pub(crate) async fn encrypt(
        &mut self,
        session: Session,
        buffers: &'static Pool,
        begun: &mut [u8],
    ) -> io::Result<()> {
        let layer = Box::new(Layer::new(session, buffers));
        if let Under::Stream(stream) = &self.under {
            layer.handshake(stream, begun).await?;
        }
        self.tls = Some(layer);
        Ok(())
    }

    /// Whether both sides have agreed in TLS to speak HTTP/2 on it.
    pub(crate) fn has_agreed_on_http2(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_http2())
    }

    /// Until the peer takes its request back; never, where it can't say so.
    pub(crate) fn poll_left(&self, context: &mut Context<'_>) -> Poll<()> {
        match &self.under {
            Under::Http2(bridge) => bridge.poll_left(context),
            Under::Stream(_) => Poll::Pending,
        }
    }

    /// Whether the peer has said that it did nothing of what was asked (RFC 9113, section 8.7).
    pub(crate) fn is_refused(&self) -> bool {
        matches!(&self.under, Under::Http2(bridge) if bridge.is_refused())
    }

    /// Whether it is a stream of HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.under, Under::Http2(_))
    }

    /// Of the messages on it (RFC 9110, section 2.5); `minor` is that of HTTP/1.
    pub(crate) fn version(&self, minor: u8) -> &'static str {
        match minor {
            _ if self.is_http2() => "2.0",
            0 => "1.0",
            _ => "1.1",
        }
    }

    /// Makes room for what is read next. A stream of HTTP/2 does so itself, once something has come.
    pub(crate) fn make_room(&self, buffer: &mut Buffer, buffers: &Pool) {
        match buffer.capacity() {
            _ if self.is_http2() => {}
            0 => *buffer = buffers.take(),
            _ => buffer.reserve(limits::BUFFER_BYTES / 2),
        }
    }

    /// Appends to the buffer, which must have room: see [`Self::make_room`]. 0 bytes: the peer has closed its side.
    pub(crate) async fn read(&self, buffer: Buffer) -> (io::Result<usize>, Buffer) {
        match (&self.under, &self.tls) {
            (Under::Stream(stream), None) => stream.read(buffer).await,
            (Under::Stream(stream), Some(tls)) => tls.read(stream, buffer, None).await,
            (Under::Http2(bridge), _) => bridge.read(buffer).await,
        }
    }

    /// Appends what has come already, where that can be told without waiting; the buffer is made room in.
    pub(crate) fn read_now(&self, buffer: &mut Buffer) -> io::Result<usize> {
        let Some(stream) = self.bare() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        buffer.reserve(limits::BUFFER_BYTES);
        stream.append_now(buffer)
    }

    /// As [`Self::read`], but ends with ECANCELED when it is cancelled, without a byte lost.
    pub(crate) async fn read_unless(
        &self,
        buffer: Buffer,
        cancelled: &Cancel,
    ) -> (io::Result<usize>, Buffer) {
        match (&self.under, &self.tls) {
            (Under::Stream(stream), None) => stream.read_unless(buffer, cancelled).await,
            (Under::Stream(stream), Some(tls)) => tls.read(stream, buffer, Some(cancelled)).await,
            // Its watch tells the bridge itself.
            (Under::Http2(bridge), _) => bridge.read(buffer).await,
        }
    }

    /// Sends all that is pending: see [`Stream::write`].
    pub(crate) async fn write(
        &self,
        buffer: Buffer,
        before_each: impl Fn(),
    ) -> (io::Result<()>, Buffer) {
        match (&self.under, &self.tls) {
            (Under::Stream(stream), None) => stream.write(buffer, before_each).await,
            (Under::Stream(stream), Some(tls)) => tls.write(stream, buffer, before_each).await,
            (Under::Http2(bridge), _) => bridge.write(buffer, before_each).await,
        }
    }

    /// The connection itself, where its bytes are those that are carried.
    pub(crate) fn bare(&self) -> Option<&Stream> {
        match (&self.under, &self.tls) {
            (Under::Stream(stream), None) => Some(stream),
            _ => None,
        }
    }

    /// Where the peer reached us.
    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        match &self.under {
            Under::Stream(stream) => stream.local_address(),
            Under::Http2(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Until there is something to read, or the peer has closed. May be dropped.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match (&self.under, &self.tls) {
            (_, Some(tls)) if tls.has_plain() => Ok(()),
            (Under::Stream(stream), _) => stream.readable().await,
            (Under::Http2(_), _) => Ok(()),
        }
    }

    /// Says that nothing more is sent.
    pub(crate) async fn finish(&self) {
        self.close().await;
        match &self.under {
            Under::Stream(stream) => stream.finish(),
            Under::Http2(bridge) => bridge.finish(),
        }
    }

    /// Takes leave of the peer before the connection is dropped, where that is more than closing it.
    pub(crate) async fn close(&self) {
        if let (Under::Stream(stream), Some(tls)) = (&self.under, &self.tls) {
            tls.close(stream).await;
        }
    }

    /// Whether a connection that was idle is still good: neither closed nor with bytes that nobody asked for.
    pub(crate) fn is_quiet(&self) -> bool {
        match (&self.under, &self.tls) {
            (Under::Stream(stream), None) => stream.is_quiet(),
            (Under::Stream(stream), Some(tls)) => tls.is_quiet(stream),
            // It carries one exchange.
            (Under::Http2(_), _) => false,
        }
    }

    /// Ends pending and future reads and writes; the descriptor stays until the connection is dropped.
    pub(crate) fn abort(&self) {
        match &self.under {
            Under::Stream(stream) => stream.abort(),
            Under::Http2(bridge) => bridge.abort(),
        }
    }

    /// As [`Self::abort`], and tells the peer that what it has is not whole, whatever the bytes mean. In TLS the
    /// leave that isn't taken says so, and what was sent still arrives.
    pub(crate) fn reset(&self) {
        match (&self.under, &self.tls) {
            (Under::Stream(stream), None) => stream.reset(),
            (Under::Stream(stream), Some(_)) => stream.abort(),
            (Under::Http2(bridge), _) => bridge.abort(),
        }
    }
}
