//! Datagrams, many with one system call: receiving and sending in batches, segments of one flow joined
//! (UDP_GRO, UDP_SEGMENT), and waiting for many sockets at once.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};

use super::epoll;
use super::io::Readiness;

/// Messages of a batch.
pub(crate) const SLOTS: usize = 32;
/// The most that a message can have: a datagram's largest payload, or segments of one flow.
const SLOT_BYTES: usize = 64 << 10;
/// Segments that the kernel takes at once (UDP_MAX_SEGMENTS of older kernels).
const MOST_SEGMENTS: usize = 64;

/// Room for a packet's local address and for its segments' size.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 80]);

/// What a receive or a send tells the kernel, slot by slot.
struct Headers {
    addresses: Vec<libc::sockaddr_in6>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) source: SocketAddr,
    /// The address that it was sent to, if the socket was asked to tell.
    pub(crate) local: Option<IpAddr>,
    length: usize,
    /// Of several datagrams of one flow that came as one message: the length of all but the last.
    segment: Option<u16>,
}

impl Received {
    /// Datagrams in the message.
    pub(crate) fn count(&self) -> u64 {
        match self.segment {
            Some(segment) if segment > 0 => {
                self.length.div_ceil(usize::from(segment)).max(1) as u64
            }
            _ => 1,
        }
    }

    /// Bytes in the message.
    pub(crate) fn length(&self) -> u64 {
        self.length as u64
    }
}

/// A message that goes on as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parcel {
    pub(crate) slot: usize,
    /// What it leaves by.
    pub(crate) socket: RawFd,
    pub(crate) to: SocketAddr,
    /// The address that it is sent from, where the socket has several.
    pub(crate) from: Option<IpAddr>,
}

/// Buffers for messages of a batch, which go on from where they came to. Pages that no message has filled
/// take no memory.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    received: Vec<Received>,
    incoming: Headers,
    outgoing: Headers,
}

// SAFETY: the pointers in headers are set anew for each call from vectors of the same batch, and are
// meaningless in between.
unsafe impl Send for Batch {}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; SLOTS * SLOT_BYTES],
            received: Vec::with_capacity(SLOTS),
            incoming: Headers::new(),
            outgoing: Headers::new(),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.received.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.received.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() == SLOTS
    }

    /// One of those that are there.
    pub(crate) fn received(&self, slot: usize) -> Received {
        self.received[slot]
    }

    /// Receives what has come, without waiting, behind what is there.
    pub(crate) fn receive(&mut self, socket: RawFd) -> io::Result<()> {
        let first = self.received.len();
        let room = SLOTS - first;
        let Headers {
            addresses,
            controls,
            vectors,
            messages,
        } = &mut self.incoming;
        let slots = self.bytes.chunks_exact_mut(SLOT_BYTES).skip(first);
        for (place, bytes) in slots.enumerate().take(room) {
            vectors[place] = libc::iovec {
                iov_base: bytes.as_mut_ptr().cast(),
                iov_len: bytes.len(),
            };
            let header = &mut messages[place].msg_hdr;
            header.msg_name = (&raw mut addresses[place]).cast();
            header.msg_namelen = ADDRESS_BYTES;
            header.msg_iov = &raw mut vectors[place];
            header.msg_iovlen = 1;
            header.msg_control = controls[place].0.as_mut_ptr().cast();
            header.msg_controllen = controls[place].0.len() as _;
            header.msg_flags = 0;
        }
        let (messages, room) = (messages.as_mut_ptr(), u32::try_from(room).unwrap_or(0));
        // SAFETY: each header names memory of this batch that outlives the call, with its length.
        let count = unsafe {
            libc::recvmmsg(
                socket,
                messages,
                room,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for place in 0..count {
            let received = self.incoming.received(place);
            self.received.push(received);
        }
        Ok(())
    }

    /// Sends messages on, those that leave by one socket together. What can't be sent is lost, as datagrams
    /// are; how many.
    pub(crate) fn send(&mut self, parcels: &[Parcel]) -> u64 {
        let runs = parcels.chunk_by(|one, next| one.socket == next.socket);
        runs.map(|run| self.send_run(run)).sum()
    }

    fn send_run(&mut self, parcels: &[Parcel]) -> u64 {
        let Some(socket) = parcels.first().map(|parcel| parcel.socket) else {
            return 0;
        };
        for (place, parcel) in parcels.iter().enumerate() {
            let received = self.received[parcel.slot];
            let bytes = &self.bytes[parcel.slot * SLOT_BYTES..][..received.length];
            self.outgoing
                .prepare(place, bytes, parcel, received.segment);
        }
        let (mut sent, mut lost) = (0, 0);
        while sent < parcels.len() {
            let left = &mut self.outgoing.messages[sent..parcels.len()];
            let (messages, length) = (left.as_mut_ptr(), u32::try_from(left.len()).unwrap_or(0));
            // SAFETY: each header names memory of this batch that outlives the call, with its length.
            let count =
                unsafe { libc::sendmmsg(socket, messages, length, libc::MSG_DONTWAIT as _) };
            match usize::try_from(count) {
                Ok(count) => sent += count,
                Err(_) => {
                    lost += self.send_apart(&parcels[sent]);
                    sent += 1;
                }
            }
        }
        lost
    }

    /// A message again that the kernel didn't take. An error may be another message's, that an ICMP message
    /// answered; and a path may not take segments: each datagram goes alone.
    fn send_apart(&mut self, parcel: &Parcel) -> u64 {
        let received = self.received[parcel.slot];
        let bytes = &self.bytes[parcel.slot * SLOT_BYTES..][..received.length];
        let segment = received.segment.map_or(bytes.len(), usize::from).max(1);
        let mut lost = 0;
        let mut chunks = bytes.chunks(segment);
        // A datagram may be empty.
        let first = chunks.next().unwrap_or_default();
        for datagram in std::iter::once(first).chain(chunks) {
            self.outgoing.prepare(0, datagram, parcel, None);
            let message = self.outgoing.messages.as_mut_ptr();
            // SAFETY: as in `send_run`.
            let count =
                unsafe { libc::sendmmsg(parcel.socket, message, 1, libc::MSG_DONTWAIT as _) };
            lost += u64::from(count < 1);
        }
        lost
    }
}

impl Headers {
    fn new() -> Self {
        // SAFETY: all of these are plain old data, for which zeros are valid.
        let (address, message, vector) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Self {
            addresses: vec![address; SLOTS],
            controls: vec![Control([0; 80]); SLOTS],
            vectors: vec![vector; SLOTS],
            messages: vec![message; SLOTS],
        }
    }

    fn received(&self, place: usize) -> Received {
        let message = &self.messages[place];
        let mut received = Received {
            source: socket_address(&self.addresses[place]),
            local: None,
            length: message.msg_len as usize,
            segment: None,
        };
        // SAFETY: the kernel has filled the control buffer, and says its length in the header.
        let mut control = unsafe { libc::CMSG_FIRSTHDR(&raw const message.msg_hdr) };
        while !control.is_null() {
            // SAFETY: the macros keep within the buffer; the types are those of the messages.
            unsafe {
                let kind = ((*control).cmsg_level, (*control).cmsg_type);
                let data = libc::CMSG_DATA(control);
                match kind {
                    (libc::SOL_UDP, libc::UDP_GRO) => {
                        let segment: libc::c_int = data.cast::<libc::c_int>().read_unaligned();
                        received.segment = u16::try_from(segment).ok();
                    }
                    (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                        let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                        let address = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
                        received.local = Some(address.into());
                    }
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                        let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                        received.local = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                    }
                    _ => {}
                }
                control = libc::CMSG_NXTHDR(&raw const message.msg_hdr, control);
            }
        }
        received
    }

    fn prepare(&mut self, place: usize, bytes: &[u8], parcel: &Parcel, segment: Option<u16>) {
        let length = write_address(parcel.to, &mut self.addresses[place]);
        self.vectors[place] = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let header = &mut self.messages[place].msg_hdr;
        header.msg_name = (&raw mut self.addresses[place]).cast();
        header.msg_namelen = length;
        header.msg_iov = &raw mut self.vectors[place];
        header.msg_iovlen = 1;
        header.msg_control = self.controls[place].0.as_mut_ptr().cast();
        header.msg_flags = 0;
        let mut used = 0;
        match parcel.from {
            Some(IpAddr::V4(from)) => {
                // SAFETY: zeros are valid.
                let mut info: libc::in_pktinfo = unsafe { zeroed() };
                info.ipi_spec_dst.s_addr = u32::from(from).to_be();
                let kind = (libc::IPPROTO_IP, libc::IP_PKTINFO);
                used += self.controls[place].put(used, kind, info);
            }
            Some(IpAddr::V6(from)) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr {
                        s6_addr: from.octets(),
                    },
                    ipi6_ifindex: 0,
                };
                let kind = (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO);
                used += self.controls[place].put(used, kind, info);
            }
            None => {}
        }
        let is_joined = |segment: &u16| {
            let segment = usize::from(*segment);
            bytes.len() > segment && bytes.len() <= segment * MOST_SEGMENTS
        };
        if let Some(segment) = segment.filter(is_joined) {
            let kind = (libc::SOL_UDP, libc::UDP_SEGMENT);
            used += self.controls[place].put(used, kind, segment);
        }
        self.messages[place].msg_hdr.msg_controllen = used as _;
    }
}

impl Control {
    /// Writes a control message at `place`, which is aligned; how many bytes it takes.
    fn put<T: Copy>(&mut self, place: usize, (level, kind): (i32, i32), value: T) -> usize {
        let length = u32::try_from(size_of::<T>()).unwrap_or(0);
        // SAFETY: arithmetic only.
        let (space, length) = unsafe { (libc::CMSG_SPACE(length), libc::CMSG_LEN(length)) };
        let space = space as usize;
        let Some(room) = self.0.get_mut(place..place + space) else {
            return 0;
        };
        room.fill(0);
        let header = libc::cmsghdr {
            cmsg_len: length as _,
            cmsg_level: level,
            cmsg_type: kind,
        };
        let start = room.as_mut_ptr();
        // SAFETY: `room` has space for a header and the value behind it.
        unsafe {
            start.cast::<libc::cmsghdr>().write_unaligned(header);
            let data = libc::CMSG_DATA(start.cast_const().cast());
            data.cast::<T>().write_unaligned(value);
        }
        space
    }
}

/// The destination of a datagram that an ICMP message has answered, off a socket's error queue.
pub(crate) fn refused_destination(socket: RawFd) -> Option<SocketAddr> {
    // SAFETY: zeros are valid.
    let mut address: libc::sockaddr_in6 = unsafe { zeroed() };
    let (mut byte, mut control) = (0_u8, Control([0; 80]));
    let mut vector = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: zeros are valid.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = (&raw mut address).cast();
    header.msg_namelen = ADDRESS_BYTES;
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: the header names memory that outlives the call.
    if unsafe { libc::recvmsg(socket, &raw mut header, flags) } < 0 {
        return None;
    }
    Some(socket_address(&address))
}

const ADDRESS_BYTES: libc::socklen_t = size_of::<libc::sockaddr_in6>() as libc::socklen_t;

/// What the kernel has written: an address of either family.
fn socket_address(address: &libc::sockaddr_in6) -> SocketAddr {
    if i32::from(address.sin6_family) == libc::AF_INET {
        // SAFETY: the family says that it is of this type, which is smaller and no more aligned.
        let address = unsafe { *(&raw const *address).cast::<libc::sockaddr_in>() };
        let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
        return SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into();
    }
    let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
    let (port, flow) = (u16::from_be(address.sin6_port), address.sin6_flowinfo);
    SocketAddrV6::new(ip, port, flow, address.sin6_scope_id).into()
}

/// The length of what was written.
fn write_address(address: SocketAddr, into: &mut libc::sockaddr_in6) -> libc::socklen_t {
    match address {
        SocketAddr::V4(address) => {
            let family = libc::AF_INET as libc::sa_family_t;
            let address = libc::sockaddr_in {
                sin_family: family,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from(*address.ip()).to_be(),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: it is smaller than what is there, and no more aligned.
            unsafe { (&raw mut *into).cast::<libc::sockaddr_in>().write(address) };
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(address) => {
            *into = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: libc::in6_addr {
                    s6_addr: address.ip().octets(),
                },
                sin6_scope_id: address.scope_id(),
            };
            ADDRESS_BYTES
        }
    }
}

/// Sockets of which some may be ready: level-triggered, so that what is left is told again.
pub(crate) struct Poller {
    epoll: Readiness,
}

/// What a socket is known by, and what of it is ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) token: u64,
    /// An error waits to be fetched.
    pub(crate) has_error: bool,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Readiness::new(epoll::create()?).map(|epoll| Self { epoll })
    }

    /// A socket that is closed goes by itself.
    pub(crate) fn add(&self, socket: &impl AsRawFd, token: u64) -> io::Result<()> {
        let input = u32::try_from(libc::EPOLLIN).unwrap_or(0);
        let (add, socket) = (libc::EPOLL_CTL_ADD, socket.as_raw_fd());
        epoll::control(&self.epoll, add, socket, input, token)
    }

    /// Until a socket may be ready.
    pub(crate) async fn wait(&self) -> io::Result<()> {
        self.epoll.readable().await
    }

    /// Those that are ready, without waiting.
    pub(crate) fn ready(&self, into: &mut Vec<Event>) {
        into.clear();
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        let error = u32::try_from(libc::EPOLLERR).unwrap_or(0);
        let taken = epoll::take(&self.epoll, &mut events);
        into.extend(taken.iter().map(|event| Event {
            token: event.u64,
            has_error: event.events & error != 0,
        }));
    }
}
