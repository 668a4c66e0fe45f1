//! Streams and listeners: what of the runtime the rest of this crate may use, so that it can be extended
//! or replaced here.
//!
//! Rules that come with io_uring: a future that waits for a read or a write is never dropped (the bytes
//! could be lost); [`Stream::abort`] ends it instead. Only [`Stream::readable`] and
//! [`Stream::writable`] may be dropped.

use std::cell::{Cell, UnsafeCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use monoio::io::{AsyncReadRent, AsyncWriteRent, CancelHandle, CancelableAsyncReadRent, Canceller};
use monoio::net::{TcpListener, TcpStream, UnixStream};

use super::buffer::Buffer;
use super::polled::Polled;
use super::ready::{self, Known};
use super::socket;

/// A TCP connection. Reading and writing go on side by side.
pub(crate) struct Stream {
    inner: UnsafeCell<Inner>,
}

enum Inner {
    /// The runtime's: it tells what was done.
    Runtime(TcpStream),
    /// Of the epoll driver: it is told when something can be done.
    Polled(Polled<std::net::TcpStream>),
}

/// What a read or a write is done with.
enum Begun<'s> {
    Runtime(&'s mut TcpStream),
    Polled(&'s Polled<std::net::TcpStream>),
}

impl Stream {
    fn new(inner: Inner) -> Self {
        Self {
            inner: UnsafeCell::new(inner),
        }
    }

    /// A socket that doesn't wait.
    fn of(socket: std::net::TcpStream) -> io::Result<Self> {
        let inner = match ready::current() {
            Some(set) => Inner::Polled(Polled::new(socket, set)),
            None => Inner::Runtime(TcpStream::from_std(socket)?),
        };
        Ok(Self::new(inner))
    }

    fn inner(&self) -> &Inner {
        // SAFETY: a shared reference beside the short exclusive ones of `read` and `write`, which are of the
        // runtime's streams only, and end before their first await point is reached.
        unsafe { &*self.inner.get() }
    }

    /// For a read or a write.
    ///
    /// # Safety
    /// There is one reader and one writer at a time, each in one future.
    unsafe fn begin(&self) -> Begun<'_> {
        if let Some(polled) = self.polled() {
            return Begun::Polled(polled);
        }
        // SAFETY: the runtime's operations take `&mut` only to say "one reader" or "one writer"; they use nothing of the
        // stream but its reference-counted descriptor, and all of it runs on this shard's thread.
        match unsafe { &mut *self.inner.get() } {
            Inner::Runtime(stream) => Begun::Runtime(stream),
            Inner::Polled(polled) => Begun::Polled(polled),
        }
    }

    /// Of a stream that isn't the runtime's: what of it is known without asking the kernel.
    pub(super) fn polled(&self) -> Option<&Polled<std::net::TcpStream>> {
        match self.inner() {
            Inner::Runtime(_) => None,
            Inner::Polled(polled) => Some(polled),
        }
    }

    /// Takes over a socket of another shard.
    pub(crate) fn from_std(socket: std::net::TcpStream) -> io::Result<Self> {
        // That one may have accepted it for another driver; see `socket::accept_now`.
        socket.set_nonblocking(true)?;
        Self::of(socket)
    }

    /// For another shard: of a stream that nobody reads from or writes to.
    pub(crate) fn into_std(self) -> std::net::TcpStream {
        let socket = match self.inner.into_inner() {
            Inner::Runtime(stream) => stream.into_raw_fd(),
            Inner::Polled(polled) => return polled.into_inner(),
        };
        // SAFETY: an open descriptor of a TCP socket, which is its owner's no more.
        unsafe { std::net::TcpStream::from_raw_fd(socket) }
    }

    /// Connects within `timeout`.
    pub(crate) async fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let connect = async {
            if let Some(set) = ready::current() {
                return Polled::connect(address, set).await.map(Inner::Polled);
            }
            let stream = TcpStream::connect_addr(address).await?;
            stream.set_nodelay(true)?;
            Ok(Inner::Runtime(stream))
        };
        let connected = monoio::time::timeout(timeout, connect).await;
        let timed_out = || Err(io::ErrorKind::TimedOut.into());
        connected.unwrap_or_else(|_| timed_out()).map(Self::new)
    }

    /// Appends to the buffer, which must have room. 0 bytes: the peer has closed its side.
    pub(crate) async fn read(&self, mut buffer: Buffer) -> (io::Result<usize>, Buffer) {
        // SAFETY: whoever holds a stream has it read from, and written to, by one part at a time.
        match unsafe { self.begin() } {
            Begun::Runtime(stream) => stream.read(buffer).await,
            Begun::Polled(polled) => (polled.read(&mut buffer, None).await, buffer),
        }
    }

    /// As [`Self::read`], but ends with ECANCELED when it is cancelled, without a byte lost. An empty buffer may come
    /// back without room then.
    pub(crate) async fn read_unless(
        &self,
        mut buffer: Buffer,
        cancel: &Cancel,
    ) -> (io::Result<usize>, Buffer) {
        // SAFETY: as in `read`.
        match unsafe { self.begin() } {
            Begun::Runtime(_) if cancel.has_come() => (Err(cancelled()), buffer),
            Begun::Runtime(stream) => stream.cancelable_read(buffer, cancel.handle()).await,
            Begun::Polled(polled) => (polled.read(&mut buffer, Some(cancel)).await, buffer),
        }
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
            let result = match unsafe { self.begin() } {
                Begun::Runtime(stream) => {
                    let (result, back) = stream.write(buffer).await;
                    buffer = back;
                    result
                }
                Begun::Polled(polled) => polled.write(buffer.pending()).await,
            };
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
        match self.inner() {
            Inner::Runtime(stream) => stream.readable(false).await,
            Inner::Polled(polled) => polled.readable().await,
        }
    }

    /// Until the peer takes more, or the connection is gone. May be dropped.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self.inner() {
            Inner::Runtime(stream) => stream.writable(false).await,
            Inner::Polled(polled) => polled.writable().await,
        }
    }

    pub(crate) fn fd(&self) -> RawFd {
        match self.inner() {
            Inner::Runtime(stream) => stream.as_raw_fd(),
            Inner::Polled(polled) => polled.fd(),
        }
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
        match self.inner() {
            Inner::Runtime(stream) => socket::read_now(stream.as_raw_fd(), into),
            Inner::Polled(polled) => polled.read_now(into),
        }
    }

    /// Appends what has come already to the buffer, without waiting.
    pub(crate) fn append_now(&self, buffer: &mut Buffer) -> io::Result<usize> {
        match self.inner() {
            Inner::Runtime(stream) => socket::append_now(stream.as_raw_fd(), buffer.out()),
            Inner::Polled(polled) => polled.append_now(buffer),
        }
    }

    /// Whether it is known, without asking, that nothing has come, not even the end.
    pub(crate) fn is_empty(&self) -> bool {
        self.polled().is_some_and(Polled::is_empty)
    }

    /// Whether a connection that was idle is still good: neither closed nor with bytes that nobody asked for.
    pub(crate) fn is_quiet(&self) -> bool {
        match self.inner() {
            Inner::Runtime(stream) => socket::is_quiet(stream.as_raw_fd()),
            Inner::Polled(polled) => polled.is_quiet(),
        }
    }
}

/// A listening socket of one shard.
pub(crate) enum Listener {
    Runtime(TcpListener),
    Polled(Polled<std::net::TcpListener>),
}

impl Listener {
    /// Takes a socket over that was made by [`socket::bind_all`].
    pub(crate) fn new(socket: std::net::TcpListener) -> io::Result<Self> {
        Ok(match ready::current() {
            Some(set) => Self::Polled(Polled::new(socket, set)),
            None => Self::Runtime(TcpListener::from_std(socket)?),
        })
    }

    pub(crate) fn fd(&self) -> RawFd {
        match self {
            Self::Runtime(listener) => listener.as_raw_fd(),
            Self::Polled(polled) => polled.fd(),
        }
    }

    /// The next connection; an error of code ECANCELED when it was cancelled.
    pub(crate) async fn accept(&self, cancel: &Cancel) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Runtime(_) if cancel.has_come() => Err(cancelled()),
            Self::Runtime(listener) => {
                let (stream, peer) = listener.cancelable_accept(cancel.handle()).await?;
                Ok((Stream::new(Inner::Runtime(stream)), peer))
            }
            Self::Polled(polled) => {
                let (socket, peer) = polled.accept(cancel).await?;
                let inner = Inner::Polled(Polled::just_made(socket, polled.set()));
                Ok((Stream::new(inner), peer))
            }
        }
    }

    /// A connection that waits in the queue, if there is one.
    pub(crate) fn accept_now(&self) -> io::Result<(Stream, SocketAddr)> {
        let (socket, peer) = socket::accept_now(self.fd())?;
        Ok((Stream::of(socket)?, peer))
    }
}

/// Ends a read or an accept that waits, with the error ECANCELED. One at a time is waited for with it.
#[derive(Default)]
pub(crate) struct Cancel {
    has_come: Cell<bool>,
    waiting: Cell<Waiting>,
}

/// Whoever waits.
#[derive(Default)]
enum Waiting {
    #[default]
    Nobody,
    Runtime(Canceller),
    Polled(Rc<Known>),
}

impl Cancel {
    /// For the next one that waits: what came before is not meant for it.
    pub(crate) fn renew(&self) -> &Self {
        self.has_come.set(false);
        self
    }

    pub(crate) fn cancel(&self) {
        self.has_come.set(true);
        match self.waiting.take() {
            Waiting::Nobody => {}
            Waiting::Runtime(canceller) => drop(canceller.cancel()),
            Waiting::Polled(known) => known.wake_reader(),
        }
    }

    pub(super) fn has_come(&self) -> bool {
        self.has_come.get()
    }

    /// The runtime's way to be told.
    fn handle(&self) -> CancelHandle {
        let canceller = match self.waiting.take() {
            Waiting::Runtime(canceller) => canceller,
            Waiting::Nobody | Waiting::Polled(_) => Canceller::new(),
        };
        let handle = canceller.handle();
        self.waiting.set(Waiting::Runtime(canceller));
        handle
    }

    /// Whose reader is woken.
    pub(super) fn wakes(&self, known: &Rc<Known>) {
        self.waiting.set(match self.waiting.take() {
            Waiting::Polled(kept) if Rc::ptr_eq(&kept, known) => Waiting::Polled(kept),
            _ => Waiting::Polled(known.clone()),
        });
    }
}

/// What a read says that was cancelled.
pub(super) fn cancelled() -> io::Error {
    io::Error::from_raw_os_error(libc::ECANCELED)
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
        // Not "relaxed", by which the epoll driver calls for ever ready what was so once.
        self.inner.readable(false).await
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
