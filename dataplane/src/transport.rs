//! A connection's bytes as the rest of the data plane sees them: a stream, with or without TLS on it.

use std::io;

use crate::sys::buffer::{Buffer, Pool};
use crate::sys::io::{CancelHandle, Stream};
use crate::tls::layer::Layer;
use crate::tls::session::Session;

/// Reading and writing go on side by side, one of each at a time. What holds for [`Stream`] holds here.
pub(crate) struct Transport {
    stream: Stream,
    tls: Option<Box<Layer>>,
}

impl Transport {
    pub(crate) fn plain(stream: Stream) -> Self {
        Self { stream, tls: None }
    }

    /// TLS from here on, as soon as the handshake is over. `begun` are its first bytes, if some came.
    pub(crate) async fn encrypt(
        &mut self,
        session: Session,
        buffers: &'static Pool,
        begun: &mut [u8],
    ) -> io::Result<()> {
        let layer = Box::new(Layer::new(session, buffers));
        layer.handshake(&self.stream, begun).await?;
        self.tls = Some(layer);
        Ok(())
    }

    /// Appends to the buffer, which must have room. 0 bytes: the peer has closed its side.
    pub(crate) async fn read(&self, buffer: Buffer) -> (io::Result<usize>, Buffer) {
        match &self.tls {
            None => self.stream.read(buffer).await,
            Some(tls) => tls.read(&self.stream, buffer, None).await,
        }
    }

    /// As [`Self::read`], but ends with ECANCELED when it is cancelled, without a byte lost.
    pub(crate) async fn read_unless(
        &self,
        buffer: Buffer,
        cancelled: CancelHandle,
    ) -> (io::Result<usize>, Buffer) {
        match &self.tls {
            None => self.stream.read_unless(buffer, cancelled).await,
            Some(tls) => tls.read(&self.stream, buffer, Some(cancelled)).await,
        }
    }

    /// Sends all that is pending: see [`Stream::write`].
    pub(crate) async fn write(
        &self,
        buffer: Buffer,
        before_each: impl Fn(),
    ) -> (io::Result<()>, Buffer) {
        match &self.tls {
            None => self.stream.write(buffer, before_each).await,
            Some(tls) => tls.write(&self.stream, buffer, before_each).await,
        }
    }

    /// Until there is something to read, or the peer has closed. May be dropped.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match &self.tls {
            Some(tls) if tls.has_plain() => Ok(()),
            _ => self.stream.readable().await,
        }
    }

    /// Says that nothing more is sent.
    pub(crate) async fn finish(&self) {
        self.close().await;
        self.stream.finish();
    }

    /// Takes leave of the peer before the connection is dropped, where that is more than closing it.
    pub(crate) async fn close(&self) {
        if let Some(tls) = &self.tls {
            tls.close(&self.stream).await;
        }
    }

    /// Whether a connection that was idle is still good: neither closed nor with bytes that nobody asked for.
    pub(crate) fn is_quiet(&self) -> bool {
        match &self.tls {
            None => self.stream.is_quiet(),
            Some(tls) => tls.is_quiet(&self.stream),
        }
    }

    /// Ends pending and future reads and writes; the descriptor stays until the connection is dropped.
    pub(crate) fn abort(&self) {
        self.stream.abort();
    }
}
