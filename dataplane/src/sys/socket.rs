//! Listening sockets, and what is asked of a socket beside reading and writing.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::{BorrowedFd, RawFd};

use ringgate_core::table::Bind;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::limits;

/// Whether a port can be had at all: without SO_REUSEPORT, so that two processes that both use it don't
/// share a port unnoticed.
pub(crate) fn probe(bind: Bind) -> io::Result<()> {
    let probe = bound(bind, false)?;
    probe.listen(1)
}

/// A listening socket for one shard.
pub(crate) fn listen(bind: Bind) -> io::Result<std::net::TcpListener> {
    let socket = bound(bind, true)?;
    socket.listen(limits::ACCEPT_QUEUE)?;
    Ok(socket.into())
}

fn bound(bind: Bind, shared: bool) -> io::Result<Socket> {
    match bind.address {
        Some(address) => bound_to(SocketAddr::new(address, bind.port), shared),
        None => {
            let every = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), bind.port);
            match bound_to(every, shared) {
                // A host without IPv6.
                Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => bound_to(
                    SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), bind.port),
                    shared,
                ),
                result => result,
            }
        }
    }
}

fn bound_to(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    // Accepted connections inherit it.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        let every = address.ip() == Ipv6Addr::UNSPECIFIED;
        socket.set_only_v6(!every)?;
    } else {
        // The address may not be on an interface yet.
        socket.set_freebind_v4(true)?;
    }
    if address.is_ipv6() {
        socket.set_freebind_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A connection from a listener's queue, without waiting.
pub(crate) fn accept_now(listener: RawFd) -> io::Result<(TcpStream, SocketAddr)> {
    // SAFETY: the caller's listener outlives this call.
    let listener = unsafe { BorrowedFd::borrow_raw(listener) };
    let (socket, peer) = SockRef::from(&listener).accept()?;
    let peer = peer.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    // Not inherited from the listener; the epoll driver would block its shard.
    socket.set_nonblocking(true)?;
    Ok((socket.into(), peer))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shutdown {
    Read,
    Write,
    Both,
}

/// Pending operations on the socket end. A socket that is closed already is left alone.
pub(crate) fn shutdown(socket: RawFd, how: Shutdown) {
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: takes numbers only; an error (not connected any more) has nothing to be done about.
    let _ = unsafe { libc::shutdown(socket, how) };
}

/// Whether nothing waits to be read: no byte, no end, no error.
pub(crate) fn is_quiet(socket: RawFd) -> bool {
    let mut byte = 0_u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: writes at most one byte to `byte`.
    let count = unsafe { libc::recv(socket, (&raw mut byte).cast(), 1, flags) };
    count < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
}

/// Where a connection's peer reached us.
pub(crate) fn local_address(socket: RawFd) -> io::Result<SocketAddr> {
    // SAFETY: the caller's socket outlives this call.
    let socket = unsafe { BorrowedFd::borrow_raw(socket) };
    let address = SockRef::from(&socket).local_addr()?;
    address
        .as_socket()
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What waits to be read, without waiting for it.
pub(crate) fn read_now(socket: RawFd, into: &mut [u8]) -> io::Result<usize> {
    let (place, length) = (into.as_mut_ptr().cast(), into.len());
    // SAFETY: writes at most `length` bytes to `into`.
    let count = unsafe { libc::recv(socket, place, length, libc::MSG_DONTWAIT) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// The most descriptors that this process may open; the soft limit is raised to the hard one.
pub(crate) fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: writes to `limit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 1024;
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: reads from `limit`; if it fails, the old limit holds, and accept errors say so.
    let _ = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    limit.rlim_cur
}
