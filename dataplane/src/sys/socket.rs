//! Listening sockets and those of datagrams, and what is asked of a socket beside reading and writing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use ringgate_core::table::{Bind, IpProtocol};
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

use crate::limits;

/// Whether a port can be had at all: without SO_REUSEPORT, so that two processes that both use it don't
/// share a port unnoticed.
pub(crate) fn probe(bind: Bind) -> io::Result<()> {
    let probe = bound(bind, false)?;
    match bind.protocol {
        IpProtocol::Tcp => probe.listen(1),
        IpProtocol::Udp => Ok(()),
    }
}

/// Whether a connection failed for want of something here, which says nothing of the other side.
pub(crate) fn is_ours(error: &io::Error) -> bool {
    // So we say ourselves that something was set up wrong.
    let is_unsupported = error.kind() == io::ErrorKind::Unsupported;
    let number = error.raw_os_error();
    is_unsupported
        || number.is_some_and(|number| {
            matches!(
                number,
                libc::EMFILE
                    | libc::ENFILE
                    | libc::ENOMEM
                    | libc::ENOBUFS
                    | libc::EADDRNOTAVAIL
                    | libc::EADDRINUSE
                    | libc::EAGAIN
                    | libc::ENOSPC
                    | libc::EPERM
                    | libc::EACCES
            )
        })
}

/// A descriptor that there is always something to read from.
pub(crate) fn always_readable() -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved, and the descriptor is nobody else's.
    unsafe {
        match libc::eventfd(1, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            counter => Ok(OwnedFd::from_raw_fd(counter)),
        }
    }
}

/// A socket of a listener, for one shard.
#[derive(Debug)]
pub(crate) enum Bound {
    Connections(TcpListener),
    Datagrams(UdpSocket),
}

/// Sockets of a listener for all shards.
pub(crate) fn bind_all(bind: Bind, shards: usize) -> io::Result<Vec<Bound>> {
    (0..shards)
        .map(|shard| match bind.protocol {
            IpProtocol::Tcp => listen(bind).map(Bound::Connections),
            IpProtocol::Udp => {
                let socket = datagrams_at(bind)?;
                if shard == 0 {
                    // The first of the group, so that no flow comes to another socket before it is in force.
                    super::steering::by_client(&socket, shards)?;
                }
                Ok(Bound::Datagrams(socket))
            }
        })
        .collect()
}

fn listen(bind: Bind) -> io::Result<TcpListener> {
    let socket = bound(bind, true)?;
    socket.listen(limits::ACCEPT_QUEUE)?;
    Ok(socket.into())
}

fn datagrams_at(bind: Bind) -> io::Result<UdpSocket> {
    let socket = bound(bind, true)?;
    prepare_for_datagrams(&socket);
    if bind.address.is_none() {
        // Answers leave from the address that was asked.
        match socket.domain()? {
            Domain::IPV4 => set(&socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
            _ => set(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
        }
    }
    Ok(socket.into())
}

/// A socket that datagrams to endpoints like this one leave from, with a port of the kernel's choice.
pub(crate) fn datagrams_to(endpoint: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(endpoint),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    prepare_for_datagrams(&socket);
    let any: IpAddr = match endpoint {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // ICMP messages are told, with the destination that they are about.
    match endpoint {
        SocketAddr::V4(_) => set(&socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            set(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)?;
        }
    }
    // Bound now, so that it is known now whether there is a port.
    socket.bind(&SocketAddr::new(any, 0).into())?;
    Ok(socket.into())
}

/// What makes datagrams cheaper; whoever can't does without.
fn prepare_for_datagrams(socket: &Socket) {
    let _ = set(socket, libc::SOL_UDP, libc::UDP_GRO, 1);
    // As much as the host allows (`net.core.rmem_max`).
    let _ = socket.set_recv_buffer_size(limits::DATAGRAM_QUEUE_BYTES);
    let _ = socket.set_send_buffer_size(limits::DATAGRAM_QUEUE_BYTES);
}

fn set(socket: &Socket, level: i32, option: i32, value: libc::c_int) -> io::Result<()> {
    let (place, length) = ((&raw const value).cast(), size_of_val(&value));
    let length = libc::socklen_t::try_from(length).unwrap_or(0);
    // SAFETY: reads `value`.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, place, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn bound(bind: Bind, shared: bool) -> io::Result<Socket> {
    let bound_to = |address| bound_to(bind.protocol, SocketAddr::new(address, bind.port), shared);
    match bind.address {
        Some(address) => bound_to(address),
        None => match bound_to(Ipv6Addr::UNSPECIFIED.into()) {
            // A host without IPv6.
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                bound_to(Ipv4Addr::UNSPECIFIED.into())
            }
            result => result,
        },
    }
}

fn bound_to(protocol: IpProtocol, address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let (kind, protocol) = match protocol {
        IpProtocol::Tcp => (Type::STREAM, Protocol::TCP),
        IpProtocol::Udp => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if kind == Type::STREAM {
        // Of datagrams this would let another process take the port unnoticed.
        socket.set_reuse_address(true)?;
        // Accepted connections inherit it.
        socket.set_tcp_nodelay(true)?;
    }
    socket.set_reuse_port(shared)?;
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

/// A listening socket hears no first message of a connection from now on: whoever sent it sends it again after a second
/// (RFC 6298, section 2.1), to whoever has the address then. Connections that are being made or wait in its queue are whole.
pub(crate) fn hush(listener: RawFd) -> io::Result<()> {
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // Of the TCP header, where a filter of a TCP socket begins (RFC 9293, section 3.1).
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let filter = [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    // SAFETY: the caller's listener outlives this call.
    let listener = unsafe { BorrowedFd::borrow_raw(listener) };
    SockRef::from(&listener).attach_filter(&filter)
}

/// Whether an address is on an interface of this machine: without IP_FREEBIND, others can't be bound.
pub(crate) fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

/// A connection from a listener's queue, without waiting.
pub(crate) fn accept_now(listener: RawFd) -> io::Result<(TcpStream, SocketAddr)> {
    // SAFETY: the caller's listener outlives this call.
    let listener = unsafe { BorrowedFd::borrow_raw(listener) };
    // Not waiting isn't inherited from the listener; the epoll driver would block its shard.
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let (socket, peer) = SockRef::from(&listener).accept4(flags)?;
    let peer = peer.as_socket().ok_or(io::ErrorKind::InvalidData)?;
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

/// Ends a connection by a reset (RFC 9293, section 3.10.5), so that its peer doesn't take it for whole. Pending
/// operations end.
pub(crate) fn reset(socket: RawFd) {
    // SAFETY: zeros are valid.
    let mut nobody: libc::sockaddr = unsafe { std::mem::zeroed() };
    nobody.sa_family = libc::sa_family_t::try_from(libc::AF_UNSPEC).unwrap_or(0);
    let length = libc::socklen_t::try_from(size_of_val(&nobody)).unwrap_or(0);
    // SAFETY: reads the address, which is alive.
    let is_reset = unsafe { libc::connect(socket, &raw const nobody, length) } == 0;
    if !is_reset {
        shutdown(socket, Shutdown::Both);
    }
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

/// Appends what waits to be read, as far as there is room, without waiting for it.
pub(crate) fn append_now(socket: RawFd, into: &mut Vec<u8>) -> io::Result<usize> {
    let spare = into.spare_capacity_mut();
    let (place, length) = (spare.as_mut_ptr().cast(), spare.len());
    // SAFETY: writes at most `length` bytes to the vector's spare capacity.
    let count = unsafe { libc::recv(socket, place, length, libc::MSG_DONTWAIT) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has written so many bytes behind those that were there.
    unsafe { into.set_len(into.len() + count) };
    Ok(count)
}

/// Sends what the kernel takes now, without waiting for it.
pub(crate) fn write_now(socket: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: reads at most so many bytes of `bytes`.
    let count = unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// What a socket may be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// Whether a socket is ready, or will never be.
pub(crate) fn is_ready(socket: RawFd, way: Way) -> bool {
    let mut asked = libc::pollfd {
        fd: socket,
        events: match way {
            Way::In => libc::POLLIN,
            Way::Out => libc::POLLOUT,
        },
        revents: 0,
    };
    // SAFETY: reads and writes `asked`, and doesn't wait.
    let ready = unsafe { libc::poll(&raw mut asked, 1, 0) };
    ready != 0
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
