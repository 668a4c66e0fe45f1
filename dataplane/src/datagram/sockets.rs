//! The sockets that datagrams go to endpoints from. Endpoints share them: an endpoint's answers are told
//! apart by the socket alone, so that a session has a socket of its own among those of its endpoint, and
//! a thousand endpoints need no more sockets than one.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use crate::limits;
use crate::shard::timer::Millis;
use crate::sys::datagram::Poller;
use crate::sys::socket;

/// An even number for IPv4, an odd one for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SocketId(pub(super) u32);

/// One that may be open.
#[derive(Debug, Default)]
struct Place {
    socket: Option<UdpSocket>,
    users: u32,
    /// When the last of them left.
    since: Millis,
}

/// Which sockets an endpoint is talked to from.
#[derive(Debug, Default)]
struct Used {
    /// Left, at that time; the longest ago first. A late answer to the session before must not reach the
    /// next one.
    resting: VecDeque<(Millis, u32)>,
    /// Places from here on were never used.
    next: u32,
    users: u32,
}

pub(super) struct Sockets {
    /// By family.
    places: [Vec<Place>; 2],
    endpoints: HashMap<SocketAddr, Used, foldhash::fast::RandomState>,
    /// Of each family.
    most: u32,
}

impl Sockets {
    pub(super) fn new(most: u32) -> Self {
        Self {
            places: Default::default(),
            endpoints: HashMap::default(),
            most,
        }
    }

    pub(super) fn descriptor(&self, id: SocketId) -> Option<RawFd> {
        let place = self.places[(id.0 & 1) as usize].get((id.0 >> 1) as usize)?;
        place.socket.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// A socket that no other session talks to the endpoint from, and none has lately.
    ///
    /// # Errors
    /// There is none: all are in use, or no more can be opened.
    pub(super) fn take(
        &mut self,
        endpoint: SocketAddr,
        poller: &Poller,
        now: Millis,
    ) -> io::Result<SocketId> {
        let used = self.endpoints.entry(endpoint).or_default();
        let longest = used.resting.front().copied();
        let has_rested = |(since, _): (Millis, u32)| since + limits::SOCKET_REST_MS <= now;
        let (mut is_new, next) = (false, used.next);
        let number = match longest {
            Some(longest) if has_rested(longest) => longest.1,
            _ if next < self.most => {
                is_new = true;
                next
            }
            Some((_, number)) => number,
            None => return Err(io::ErrorKind::AddrInUse.into()),
        };
        let id = match (self.open(number, endpoint, poller), longest) {
            (Ok(id), _) => id,
            // There are no more ports, or descriptors: better one that has hardly rested than none.
            (Err(_), Some((_, number))) if is_new => {
                is_new = false;
                self.open(number, endpoint, poller)?
            }
            (Err(error), _) => return Err(error),
        };
        let used = self.endpoints.entry(endpoint).or_default();
        match is_new {
            true => used.next += 1,
            false => drop(used.resting.pop_front()),
        }
        used.users += 1;
        Ok(id)
    }

    /// Counts a user of a socket, which is opened for the first one.
    fn open(&mut self, number: u32, endpoint: SocketAddr, poller: &Poller) -> io::Result<SocketId> {
        let family = u32::from(endpoint.is_ipv6());
        let places = &mut self.places[family as usize];
        if places.len() <= number as usize {
            places.resize_with(number as usize + 1, Place::default);
        }
        let place = &mut places[number as usize];
        let id = SocketId(number << 1 | family);
        if place.socket.is_none() {
            let socket = socket::datagrams_to(endpoint)?;
            poller.add(&socket, super::engine::token_of_socket(id))?;
            place.socket = Some(socket);
        }
        place.users += 1;
        Ok(id)
    }

    pub(super) fn give(&mut self, id: SocketId, endpoint: SocketAddr, now: Millis) {
        let number = id.0 >> 1;
        if let Some(place) = self.places[(id.0 & 1) as usize].get_mut(number as usize) {
            place.users -= 1;
            place.since = now;
        }
        if let Some(used) = self.endpoints.get_mut(&endpoint) {
            used.users -= 1;
            used.resting.push_back((now, number));
        }
    }

    /// Closes what nobody has used for a while, so that a next session has another port.
    pub(super) fn prune(&mut self, now: Millis) {
        let has_rested = |since: Millis| since + limits::SOCKET_REST_MS <= now;
        for places in &mut self.places {
            for place in places.iter_mut() {
                if place.users == 0 && has_rested(place.since) {
                    place.socket = None;
                }
            }
            while places.last().is_some_and(|place| place.socket.is_none()) {
                places.pop();
            }
        }
        self.endpoints.retain(|_, used| {
            used.users > 0
                || used
                    .resting
                    .back()
                    .is_some_and(|(since, _)| !has_rested(*since))
        });
    }
}
