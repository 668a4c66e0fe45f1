//! The link that an interface is on: who else on it has an address, and telling them that we do.
//!
//! Packet sockets, which need the capability NET_RAW. What the frames mean is `frames`' matter.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, bind};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use thiserror::Error;
use tokio::net::UdpSocket;

use super::frames::{self, ADVERTISEMENT, Heard, Mac, SOLICITATION};

#[derive(Debug, Error)]
pub enum LinkError {
    #[error("can't open a packet socket on {name}: {error}; it needs the capability NET_RAW")]
    Open { name: String, error: io::Error },
    #[error("interface {name} is gone")]
    Gone { name: String },
    #[error("can't speak on the link of {name}: {error}")]
    Speak { name: String, error: io::Error },
}

/// An Ethernet link.
#[derive(Debug)]
pub(super) struct Link {
    name: String,
    mac: Mac,
    sender: Socket,
    arp: UdpSocket,
    neighbours: UdpSocket,
}

/// How another host stands to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Has,
    /// And comes before us.
    Wants,
}

impl Link {
    pub(super) fn open(name: &str, mac: Mac) -> Result<Self, LinkError> {
        Ok(Self {
            name: name.to_owned(),
            mac,
            // One that says no protocol hears nothing.
            sender: packet_socket(name, 0)?,
            arp: listener(name, frames::ARP, &[])?,
            neighbours: listener(name, frames::IPV6, &neighbours_only())?,
        })
    }

    /// Tells everybody that the address is here.
    pub(super) fn announce(&self, address: IpAddr) -> Result<(), LinkError> {
        self.send(&frames::announcement(self.mac, address))
    }

    /// Asks who else has this one. Whoever has it says so; see `hear`.
    pub(super) fn probe(&self, address: IpAddr) -> Result<(), LinkError> {
        self.send(&frames::probe(self.mac, address))
    }

    /// What the next host that says something of an address says. Of two that probe for an address at once, the one with the lower
    /// Ethernet address may have it: were it nobody's, as RFC 5227 has it, both would come back at the same time. May be dropped.
    pub(super) async fn hear(&self) -> Result<(IpAddr, Mac, Claim), LinkError> {
        loop {
            let (mut arp, mut neighbour) = ([0; LONGEST], [0; LONGEST]);
            let (read, frame) = tokio::select! {
                read = self.arp.recv(&mut arp) => (read, &arp),
                read = self.neighbours.recv(&mut neighbour) => (read, &neighbour),
            };
            let length = read.map_err(|error| self.failed(error))?;
            let said = frame.get(..length);
            match said.and_then(|said| frames::heard(said, self.mac)) {
                Some(Heard::Holds(address, mac)) => return Ok((address, mac, Claim::Has)),
                Some(Heard::Probes(address, mac)) if mac < self.mac => {
                    return Ok((address, mac, Claim::Wants));
                }
                Some(Heard::Probes(..)) | None => {}
            }
        }
    }

    fn send(&self, frame: &[u8]) -> Result<(), LinkError> {
        let sent = self.sender.send(frame);
        sent.map(drop).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> LinkError {
        LinkError::Speak {
            name: self.name.clone(),
            error,
        }
    }
}

/// What comes of one protocol, and through the filter.
fn listener(name: &str, kind: u16, filter: &[SockFilter]) -> Result<UdpSocket, LinkError> {
    let socket = packet_socket(name, kind)?;
    let set = || {
        if !filter.is_empty() {
            socket.attach_filter(filter)?;
        }
        socket.set_nonblocking(true)?;
        // To the runtime a socket that messages are read from: what they hold is nothing to it.
        UdpSocket::from_std(std::net::UdpSocket::from(OwnedFd::from(socket)))
    };
    set().map_err(|error| LinkError::Open {
        name: name.to_owned(),
        error,
    })
}

/// What is asked for fits; the end of a longer frame says nothing to us.
const LONGEST: usize = 128;

/// A socket for whole frames of one protocol on one interface; 0 is none, and then it only sends.
fn packet_socket(name: &str, protocol: u16) -> Result<Socket, LinkError> {
    let failed = |error| LinkError::Open {
        name: name.to_owned(),
        error,
    };
    let protocol = Protocol::from(i32::from(protocol.to_be()));
    let domain = Domain::from(nix::libc::AF_PACKET);
    let socket = Socket::new(domain, Type::RAW, Some(protocol)).map_err(failed)?;
    let address = link_address(name).map_err(failed)?;
    let address = address.ok_or_else(|| LinkError::Gone {
        name: name.to_owned(),
    })?;
    bind(socket.as_raw_fd(), &address).map_err(|error| failed(error.into()))?;
    Ok(socket)
}

/// The kernel's own name for the interface in packet sockets: nobody else makes one without unsafe code.
fn link_address(name: &str) -> io::Result<Option<LinkAddr>> {
    let mut interfaces = getifaddrs()?.filter(|one| one.interface_name == name);
    Ok(interfaces.find_map(|one| one.address?.as_link_addr().copied()))
}

/// Neighbor advertisements and solicitations alone, by classic BPF: all else of IPv6 isn't copied to us.
fn neighbours_only() -> [SockFilter; 7] {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let is = |value: u8, yes, no| SockFilter::new(JUMP_IF_EQUAL, yes, no, value.into());
    [
        SockFilter::new(LOAD_BYTE, 0, 0, 20), // the next header
        is(58, 0, 4),
        SockFilter::new(LOAD_BYTE, 0, 0, 54), // the type of the message
        is(ADVERTISEMENT, 1, 0),
        is(SOLICITATION, 0, 1),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
