//! Sockets that are read from and written to where [`super::ready`] says that they are ready: those of the epoll driver.

use std::cell::OnceCell;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, Socket, Type};

use super::buffer::Buffer;
use super::io::{Cancel, cancelled};
use super::ready::{Interest, Known, Member, Set};
use super::socket::{self, Way};

/// It joins its shard's set when it has to be waited for the first time: many a socket is closed, or handed to another shard,
/// before that.
pub(crate) struct Polled<S> {
    // Closed before its place is free.
    socket: S,
    set: &'static Set,
    member: OnceCell<Member>,
    /// There may be something to read as long as nothing is known of it.
    is_hopeful: bool,
}

impl<S: AsRawFd> Polled<S> {
    pub(crate) fn new(socket: S, set: &'static Set) -> Self {
        Self {
            socket,
            set,
            member: OnceCell::new(),
            is_hopeful: true,
        }
    }

    /// Of a connection that has just been made: what its client has to say is on its way still.
    pub(crate) fn just_made(socket: S, set: &'static Set) -> Self {
        Self {
            is_hopeful: false,
            ..Self::new(socket, set)
        }
    }

    pub(crate) fn set(&self) -> &'static Set {
        self.set
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// The socket, which this shard hears of no more.
    pub(crate) fn into_inner(mut self) -> S {
        if let Some(member) = self.member.take() {
            member.leave(self.socket.as_raw_fd());
        }
        self.socket
    }

    fn known(&self) -> Option<&Known> {
        self.member.get().map(|member| &**member.known())
    }

    /// Whether there may be something to read.
    fn may_read(&self) -> bool {
        self.known().map_or(self.is_hopeful, Known::is_readable)
    }

    fn may_write(&self) -> bool {
        self.known().is_none_or(Known::is_writable)
    }

    fn is_empty_now(&self) {
        if let Some(known) = self.known() {
            known.is_empty_now();
        }
    }

    /// Notes that all was taken that could be, otherwise than by a read.
    pub(crate) fn left_room(&self) {
        if let Some(known) = self.known() {
            known.left_room();
        }
    }

    /// Notes that nothing more is taken now.
    pub(crate) fn is_full_now(&self) {
        if let Some(known) = self.known() {
            known.is_full_now();
        }
    }

    /// Whether it is known that there is nothing to read now.
    pub(crate) fn is_empty(&self) -> bool {
        self.known().is_some_and(|known| !known.is_readable())
    }

    fn member(&self, interest: Interest) -> io::Result<&Member> {
        if let Some(member) = self.member.get() {
            return Ok(member);
        }
        let member = self.set.join(self.fd(), interest)?;
        Ok(self.member.get_or_init(|| member))
    }

    /// Wakes the reader when there is something, or when it is cancelled.
    fn wait_to_read<T>(
        &self,
        context: &Context<'_>,
        cancel: Option<&Cancel>,
    ) -> Poll<io::Result<T>> {
        let known = match self.member(Interest::Input) {
            Ok(member) => member.known(),
            Err(error) => return Poll::Ready(Err(error)),
        };
        known.wait_to_read(context);
        if let Some(cancel) = cancel {
            cancel.wakes(known);
        }
        Poll::Pending
    }

    fn wait_to_write<T>(&self, context: &Context<'_>) -> Poll<io::Result<T>> {
        let member = self.member(Interest::Both);
        match member.and_then(|member| member.await_output(self.fd()).map(|()| member)) {
            Ok(member) => member.known().wait_to_write(context),
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Pending
    }
}

impl Polled<TcpStream> {
    /// Waits as long as it takes; may be dropped.
    pub(crate) async fn connect(address: SocketAddr, set: &'static Set) -> io::Result<Self> {
        let kind = Type::STREAM.nonblocking();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if let Err(error) = socket.connect(&address.into())
            && error.raw_os_error() != Some(libc::EINPROGRESS)
        {
            return Err(error);
        }
        let stream = Self::new(socket.into(), set);
        // Only now, for a socket that isn't on its way anywhere is said to have failed.
        let known = stream.member(Interest::Both)?.known();
        poll_fn(|context| match known.is_writable() {
            true => Poll::Ready(()),
            false => {
                known.wait_to_write(context);
                Poll::Pending
            }
        })
        .await;
        let failed = match known.is_unsure() {
            true => stream.socket.take_error()?,
            false => None,
        };
        failed.map_or(Ok(stream), Err)
    }

    /// Appends to the buffer, which must have room. One that nothing came into may come back without any.
    pub(crate) async fn read(
        &self,
        buffer: &mut Buffer,
        cancel: Option<&Cancel>,
    ) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, buffer, cancel)).await
    }

    fn poll_read(
        &self,
        context: &Context<'_>,
        buffer: &mut Buffer,
        cancel: Option<&Cancel>,
    ) -> Poll<io::Result<usize>> {
        if cancel.is_some_and(Cancel::has_come) {
            return Poll::Ready(Err(cancelled()));
        }
        if self.may_read() {
            self.set.refill(buffer);
            match self.append_now(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
        self.set.rest(buffer);
        self.wait_to_read(context, cancel)
    }

    /// Appends what has come already to the buffer, without waiting.
    pub(crate) fn append_now(&self, buffer: &mut Buffer) -> io::Result<usize> {
        let room = buffer.room();
        self.receive(room, || socket::append_now(self.fd(), buffer.out()))
    }

    /// What has come already, without waiting.
    pub(crate) fn read_now(&self, into: &mut [u8]) -> io::Result<usize> {
        self.receive(into.len(), || socket::read_now(self.fd(), into))
    }

    fn receive(
        &self,
        room: usize,
        receive: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<usize> {
        if !self.may_read() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = receive();
        if let Some(known) = self.known() {
            match &result {
                // The end stays where it is.
                Ok(count) if *count > 0 && *count < room => known.left_room(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => known.is_empty_now(),
                Ok(_) | Err(_) => {}
            }
        }
        result
    }

    /// Sends what the kernel takes at a time.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_write(context, bytes)).await
    }

    fn poll_write(&self, context: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.may_write() {
            match socket::write_now(self.fd(), bytes) {
                Ok(count) => {
                    if count < bytes.len() {
                        self.is_full_now();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_full_now(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.wait_to_write(context)
    }

    /// Until there is something to read, or the peer has closed. May be dropped.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        let mut has_waited = false;
        poll_fn(|context| {
            if self.may_read() {
                // What was read last may have been the last of it.
                if has_waited || socket::is_ready(self.fd(), Way::In) {
                    return Poll::Ready(Ok(()));
                }
                self.is_empty_now();
            }
            has_waited = true;
            self.wait_to_read(context, None)
        })
        .await
    }

    /// Until the peer takes more, or the connection is gone. May be dropped.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|context| {
            if self.may_write() {
                if socket::is_ready(self.fd(), Way::Out) {
                    return Poll::Ready(Ok(()));
                }
                self.is_full_now();
            }
            self.wait_to_write(context)
        })
        .await
    }

    /// Whether nothing waits to be read: no byte, no end, no error. It isn't asked where it is known: what has come since
    /// events were taken last, a moment ago, is not seen, as what is still on its way never is.
    pub(crate) fn is_quiet(&self) -> bool {
        if self.is_empty() {
            return true;
        }
        let is_quiet = socket::is_quiet(self.fd());
        if is_quiet {
            self.is_empty_now();
        }
        is_quiet
    }
}

impl Polled<TcpListener> {
    /// The next connection; ECANCELED: there is no next one.
    pub(crate) async fn accept(&self, cancel: &Cancel) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| self.poll_accept(context, cancel)).await
    }

    fn poll_accept(
        &self,
        context: &Context<'_>,
        cancel: &Cancel,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        if cancel.has_come() {
            return Poll::Ready(Err(cancelled()));
        }
        if self.may_read() {
            match socket::accept_now(self.fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_empty_now(),
                result => return Poll::Ready(result),
            }
        }
        self.wait_to_read(context, Some(cancel))
    }
}

#[cfg(test)]
#[path = "polled_tests.rs"]
mod tests;
