//! Streams and listeners: what of the runtime the rest of this crate may use, so that it can be extended
//! or replaced here.
//!
//! Rules that come with io_uring: a future that waits for a read or a write is never dropped (the bytes
//! could be lost); [`Stream::abort`] ends it instead. Only [`Stream::readable`] and
//! [`Stream::writable`] may be dropped.

use std::cell::UnsafeCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use monoio::io::{AsyncReadRent, AsyncWriteRent, CancelableAsyncReadRent};
use monoio::net::{TcpListener, TcpStream, UnixStream};

use super::buffer::Buffer;
use super::socket;

/// A TCP connection. Reading and writing go on side by side.
pub(crate) struct Stream {
    inner: UnsafeCell<TcpStream>,
}

impl Stream {
    fn new(stream: TcpStream) -> Self {
        Self {
            inner: UnsafeCell::new(stream),
        }
    }

    /// Takes over a socket of another shard.
    pub(crate) fn from_std(socket: std::net::TcpStream) -> io::Result<Self> {
        // That one may have accepted it for another driver; see `socket::accept_now`.
        socket.set_nonblocking(true)?;
        TcpStream::from_std(socket).map(Self::new)
    }

    /// For another shard: of a stream that nobody reads from or writes to.
    pub(crate) fn into_std(self) -> std::net::TcpStream {
        let socket = self.inner.into_inner().into_raw_fd();
        // SAFETY: an open descriptor of a TCP socket, which is its owner's no more.
        unsafe { std::net::TcpStream::from_raw_fd(socket) }
    }

    /// Connects within `timeout`.
    pub(crate) async fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let connect = monoio::time::timeout(timeout, TcpStream::connect_addr(address));
        let stream = connect
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }

    /// Appends to the buffer, which must have room. 0 bytes: the peer has closed its side.
    pub(crate) async fn read(&self, buffer: Buffer) -> (io::Result<usize>, Buffer) {
        // SAFETY: the runtime's read takes `&mut` only to say "one reader"; it uses nothing of the stream
        // but its reference-counted descriptor, and all of it runs on this shard's thread. There is one
        // reader and one writer at a time, each in one future.
        let stream = unsafe { &mut *self.inner.get() };
        stream.read(buffer).await
    }

    /// As [`Self::read`], but ends with ECANCELED when it is cancelled, without a byte lost.
    pub(crate) async fn read_unless(
        &self,
        buffer: Buffer,
        cancelled: CancelHandle,
    ) -> (io::Result<usize>, Buffer) {
        // SAFETY: as in `read`.
        let stream = unsafe { &mut *self.inner.get() };
        stream.cancelable_read(buffer, cancelled).await
    }

    /// Sends all that is pending. The bytes stay in the buffer: see [`Buffer::rewind`]. `before_each`
    /// sets the deadline for what the kernel takes at a time, so that a slow peer isn't a dead one.
    pub(crate) async fn write(
        &self,
        mut buffer: Buffer,
        before_each: impl Fn(),
    ) -> (io::Result<()>, Buffer) {
        while !buffer.is_empty() {
            before_each();
            // SAFETY: as in `read`.
            let stream = unsafe { &mut *self.inner.get() };
            let (result, back) = stream.write(buffer).await;
            buffer = back;
            match result {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buffer),
                Ok(count) => buffer.mark_sent(count),
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(()), buffer)
    }

    /// Until there is something to read, or the peer has closed. May be dropped.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        // SAFETY: a shared reference beside the short exclusive ones of `read` and `write`, which end
        // before their first await point is reached.
        let stream = unsafe { &*self.inner.get() };
        stream.readable(false).await
    }

    /// Until the peer takes more, or the connection is gone. May be dropped.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        // SAFETY: as in `readable`.
        let stream = unsafe { &*self.inner.get() };
        stream.writable(false).await
    }

    pub(crate) fn fd(&self) -> RawFd {
        // SAFETY: as in `readable`.
        unsafe { &*self.inner.get() }.as_raw_fd()
    }

    /// Where the peer reached us.
    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        socket::local_address(self.fd())
    }

    /// Ends pending and future reads and writes; the descriptor stays until the stream is dropped.
    pub(crate) fn abort(&self) {
        socket::shutdown(self.fd(), socket::Shutdown::Both);
    }

    /// As [`Self::abort`], and tells the peer that what it has is not whole.
    pub(crate) fn reset(&self) {
        socket::reset(self.fd());
    }

    /// Says that nothing more is sent.
    pub(crate) fn finish(&self) {
        socket::shutdown(self.fd(), socket::Shutdown::Write);
    }

    /// What has come already, without waiting; at most `into`'s length.
    pub(crate) fn read_now(&self, into: &mut [u8]) -> io::Result<usize> {
        socket::read_now(self.fd(), into)
    }

    /// Appends what has come already to the buffer, without waiting.
    pub(crate) fn append_now(&self, buffer: &mut Buffer) -> io::Result<usize> {
        socket::append_now(self.fd(), buffer.out())
    }

    /// Whether a connection that was idle is still good: neither closed nor with bytes that nobody asked for.
    pub(crate) fn is_quiet(&self) -> bool {
        socket::is_quiet(self.fd())
    }
}

/// A listening socket of one shard.
pub(crate) struct Listener {
    inner: TcpListener,
}

impl Listener {
    /// Takes a socket over that was made by [`socket::bind_all`].
    pub(crate) fn new(socket: std::net::TcpListener) -> io::Result<Self> {
        TcpListener::from_std(socket).map(|inner| Self { inner })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }

    /// The next connection; [`io::ErrorKind`] of an error code 125 when it was cancelled.
    pub(crate) async fn accept(&self, cancel: CancelHandle) -> io::Result<(Stream, SocketAddr)> {
        let (stream, peer) = self.inner.cancelable_accept(cancel).await?;
        Ok((Stream::new(stream), peer))
    }

    /// A connection that waits in the queue, if there is one.
    pub(crate) fn accept_now(&self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, peer) = socket::accept_now(self.inner.as_raw_fd())?;
        Ok((Stream::new(TcpStream::from_std(stream)?), peer))
    }
}

/// Any descriptor that can be waited for.
pub(crate) struct Readiness {
    inner: UnixStream,
}

impl Readiness {
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        // The runtime takes any descriptor under this name, and nothing but waiting is asked of it.
        UnixStream::from_std(descriptor.into()).map(|inner| Self { inner })
    }

    /// Until there is something to read. May be dropped.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.inner.readable(true).await
    }
}

impl AsRawFd for Readiness {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

/// A turn of the shard's loop: what is ready runs, and the kernel is asked for more.
pub(crate) struct Turn {
    /// There is always something to read.
    source: Readiness,
}

impl Turn {
    /// Of a descriptor from [`socket::always_readable`], on the shard.
    pub(crate) fn new(source: OwnedFd) -> io::Result<Self> {
        Readiness::new(source).map(|source| Self { source })
    }

    /// Until the one that goes on now is over.
    pub(crate) async fn over(&self) {
        // With epoll it is known already that there is something.
        give_way().await;
        // With io_uring the answer comes with the others of the next turn. There is no other answer.
        let _ = self.source.readable().await;
    }
}

/// Lets other tasks go on.
pub(crate) async fn give_way() {
    let mut has_waited = false;
    poll_fn(|context| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits; may be dropped.
pub(crate) async fn sleep(wait: Duration) {
    monoio::time::sleep(wait).await;
}

/// Runs a task on this shard, to its end. A panic ends the task alone (the runtime would let it end the
/// whole shard); the panic hook has told of it.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(monoio::spawn(Contained { task }));
}

struct Contained<F> {
    task: F,
}

impl<F: Future<Output = ()>> Future for Contained<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the task is pinned with what contains it, and never moved out.
        let task = unsafe { self.map_unchecked_mut(|contained| &mut contained.task) };
        let poll = std::panic::catch_unwind(AssertUnwindSafe(|| task.poll(context)));
        // After a panic the task is not polled again, only dropped.
        poll.unwrap_or(Poll::Ready(()))
    }
}

/// A read's side of it.
pub(crate) use monoio::io::CancelHandle;
/// The listening sockets' way to end an accept that waits.
pub(crate) use monoio::io::Canceller as Cancel;
