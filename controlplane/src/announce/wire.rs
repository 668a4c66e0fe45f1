//! The socket of gossip, and where the others may be found.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use hickory_resolver::TokioResolver;
use ringgate_identity::host_port::HostPort;
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use crate::limits::{GOSSIP_DATAGRAM, GOSSIP_RESOLVE, GOSSIP_RESOLVE_SOON};
use crate::resolve;

/// Sends and receives datagrams of both families, where the host has both.
#[derive(Debug)]
pub(super) struct Wire {
    socket: UdpSocket,
    is_ipv6: bool,
}

impl Wire {
    pub(super) fn bind(listen: SocketAddr) -> io::Result<Self> {
        let (socket, listen) = match Socket::new(
            Domain::for_address(listen),
            Type::DGRAM,
            Some(Protocol::UDP),
        ) {
            // A host without IPv6.
            Err(_) if listen.ip() == Ipv6Addr::UNSPECIFIED => {
                let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
                (
                    socket,
                    SocketAddr::from((Ipv4Addr::UNSPECIFIED, listen.port())),
                )
            }
            socket => (socket?, listen),
        };
        if listen.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&listen.into())?;
        Ok(Self {
            socket: UdpSocket::from_std(socket.into())?,
            is_ipv6: listen.is_ipv6(),
        })
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// One that can't be sent is as good as lost.
    pub(super) fn send(&self, to: SocketAddr, datagram: &[u8]) {
        let to = match to {
            SocketAddr::V4(to) if self.is_ipv6 => {
                SocketAddrV6::new(to.ip().to_ipv6_mapped(), to.port(), 0, 0).into()
            }
            to => to,
        };
        let _ = self.socket.try_send_to(datagram, to);
    }

    /// Until one may be there. May be dropped.
    pub(super) async fn readable(&self) {
        // What is wrong the next read tells.
        let _ = self.socket.readable().await;
    }

    /// One that has come, if there is one; those that are too long are cut, and then none of ours.
    pub(super) fn receive<'b>(
        &self,
        buffer: &'b mut [u8; GOSSIP_DATAGRAM],
    ) -> Option<(SocketAddr, &'b [u8])> {
        loop {
            match self.socket.try_recv_from(buffer) {
                Ok((length, from)) => {
                    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                    return Some((from, buffer.get(..length)?));
                }
                // What another's kernel says of what was sent to it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return None,
            }
        }
    }
}

/// Where the others reach this host, as the way to one of them tells.
pub(super) fn address_towards(peer: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind(SocketAddr::new(any, 0))?;
    // Sends nothing.
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

/// Looks peers up, again and again, until nobody wants to know.
pub(super) async fn look_up(peers: Vec<HostPort>, found: watch::Sender<BTreeSet<SocketAddr>>) {
    let resolver = match resolve::system() {
        Ok(resolver) => Some(resolver),
        Err(error) => {
            warn!("names of peers can't be looked up, addresses can: {error}");
            None
        }
    };
    let mut told = None;
    while !found.is_closed() {
        let mut addresses = BTreeSet::new();
        let mut failed = None;
        for peer in &peers {
            match look_one_up(resolver.as_ref(), peer).await {
                Ok(some) => addresses.extend(some),
                Err(error) => failed = Some(format!("{peer}: {error}")),
            }
        }
        if let Some(text) = failed.as_ref().filter(|_| failed != told) {
            warn!("a peer isn't found, it is looked up again: {text}");
        }
        let pause = match failed.is_some() || addresses.is_empty() {
            true => GOSSIP_RESOLVE_SOON,
            false => GOSSIP_RESOLVE,
        };
        told = failed;
        // What isn't found now may still be where it was.
        if told.is_none() || !addresses.is_empty() {
            crate::wake::tell(&found, addresses);
        }
        sleep(pause).await;
    }
}

async fn look_one_up(
    resolver: Option<&TokioResolver>,
    peer: &HostPort,
) -> Result<Vec<SocketAddr>, String> {
    let name = match peer.host() {
        ServerName::IpAddress(address) => {
            return Ok(vec![SocketAddr::new((*address).into(), peer.port())]);
        }
        ServerName::DnsName(name) => name,
        _ => return Err("is neither a name nor an address".to_owned()),
    };
    let resolver = resolver.ok_or("there is no resolver")?;
    let found = resolver.lookup_ip(name.as_ref()).await;
    let found = found.map_err(|error| error.to_string())?;
    Ok(found
        .iter()
        .map(|address| SocketAddr::new(address, peer.port()))
        .collect())
}
