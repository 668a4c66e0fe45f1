//! Sessions of datagrams: found by their client, found by whom they talk to, and in the order in which they
//! were last used. Knows no socket.

use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use ringgate_core::table::Slot;
use slab::Slab;

use super::sockets::SocketId;
use crate::shard::timer::Millis;
use crate::upstream::pool::Load;

/// Where a session stands in [`Sessions`].
pub(super) type SessionId = u32;
/// No session.
const NONE: SessionId = SessionId::MAX;
/// A session that was used so recently keeps its place in the order: 2 stores saved for each datagram of a
/// busy one.
const SAME_TIME_MS: Millis = 500;

/// Whose datagrams a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Client {
    pub(super) port: u32,
    pub(super) address: SocketAddr,
    /// Which of our addresses it sends to, where the port has several.
    pub(super) local: Option<IpAddr>,
}

/// Whom a session's datagrams go to.
pub(super) struct Peer {
    pub(super) socket: SocketId,
    pub(super) backend: Slot,
    pub(super) load: Load,
}

impl Peer {
    pub(super) fn address(&self) -> SocketAddr {
        self.load.endpoint().address
    }
}

pub(super) struct Session {
    pub(super) client: Client,
    pub(super) peer: Peer,
    pub(super) listener: Slot,
    pub(super) rule: Slot,
    /// The change of the table that it was looked up after.
    pub(super) epoch: u32,
    /// The endpoint doesn't take its datagrams.
    pub(super) is_refused: bool,
    pub(super) began: Millis,
    pub(super) used: Millis,
    /// Bytes to the endpoint, and to the client.
    pub(super) sent: u64,
    pub(super) received: u64,
    older: SessionId,
    newer: SessionId,
}

/// What a session begins with.
pub(super) struct Beginning {
    pub(super) client: Client,
    pub(super) peer: Peer,
    pub(super) listener: Slot,
    pub(super) rule: Slot,
    pub(super) epoch: u32,
}

/// The sessions of one port, by their last use.
#[derive(Debug)]
pub(super) struct Order {
    oldest: SessionId,
    newest: SessionId,
    count: usize,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            oldest: NONE,
            newest: NONE,
            count: 0,
        }
    }
}

impl Order {
    pub(super) fn oldest(&self) -> Option<SessionId> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    pub(super) fn newest(&self) -> Option<SessionId> {
        (self.newest != NONE).then_some(self.newest)
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }
}

/// All sessions of a shard. Hashes are seeded: whoever sends datagrams chooses the addresses in them.
#[derive(Default)]
pub(super) struct Sessions {
    all: Slab<Session>,
    by_client: HashTable<SessionId>,
    by_peer: HashTable<SessionId>,
    hasher: RandomState,
}

impl Sessions {
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.all.get_mut(id as usize)
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.all.get(id as usize)
    }

    pub(super) fn of_client(&self, client: &Client) -> Option<SessionId> {
        let hash = self.hasher.hash_one(client);
        let is_it = |id: &SessionId| self.get(*id).is_some_and(|one| one.client == *client);
        self.by_client.find(hash, is_it).copied()
    }

    /// The session whose datagrams a socket exchanges with an endpoint.
    pub(super) fn of_peer(&self, socket: SocketId, endpoint: SocketAddr) -> Option<SessionId> {
        let hash = self.hasher.hash_one((socket, endpoint));
        let is_it = |id: &SessionId| {
            self.get(*id)
                .is_some_and(|one| one.peer.socket == socket && one.peer.address() == endpoint)
        };
        self.by_peer.find(hash, is_it).copied()
    }

    /// None: there are as many sessions as numbers for them.
    pub(super) fn begin(
        &mut self,
        order: &mut Order,
        beginning: Beginning,
        now: Millis,
    ) -> Option<SessionId> {
        let id = SessionId::try_from(self.all.vacant_key()).ok();
        let id = id.filter(|id| *id != NONE)?;
        let Beginning {
            client,
            peer,
            listener,
            rule,
            epoch,
        } = beginning;
        self.all.insert(Session {
            client,
            peer,
            listener,
            rule,
            epoch,
            is_refused: false,
            began: now,
            used: now,
            sent: 0,
            received: 0,
            older: NONE,
            newer: NONE,
        });
        let Self {
            all,
            by_client,
            hasher,
            ..
        } = self;
        let rehash = |id: &SessionId| hash_client(hasher, all, *id);
        by_client.insert_unique(hasher.hash_one(client), id, rehash);
        self.join_peer(id);
        self.append(order, id);
        Some(id)
    }

    /// Takes a session out.
    pub(super) fn end(&mut self, order: &mut Order, id: SessionId) -> Option<Session> {
        let client = self.get(id)?.client;
        self.part(order, id);
        self.leave_peer(id);
        let hash = self.hasher.hash_one(client);
        if let Ok(entry) = self.by_client.find_entry(hash, |one| *one == id) {
            entry.remove();
        }
        self.all.try_remove(id as usize)
    }

    /// Notes that a session was used.
    pub(super) fn touch(&mut self, order: &mut Order, id: SessionId, now: Millis) {
        let Some(session) = self.get_mut(id) else {
            return;
        };
        if now.saturating_sub(session.used) >= SAME_TIME_MS {
            session.used = now;
            self.part(order, id);
            self.append(order, id);
        }
    }

    /// Gives memory back after a burst.
    pub(super) fn trim(&mut self) {
        if self.all.is_empty() {
            let hasher = std::mem::take(&mut self.hasher);
            *self = Self {
                hasher,
                ..Self::default()
            };
        }
    }

    fn join_peer(&mut self, id: SessionId) {
        let Self {
            all,
            by_peer,
            hasher,
            ..
        } = self;
        let hash = hash_peer(hasher, all, id);
        by_peer.insert_unique(hash, id, |id| hash_peer(hasher, all, *id));
    }

    fn leave_peer(&mut self, id: SessionId) {
        let hash = hash_peer(&self.hasher, &self.all, id);
        if let Ok(entry) = self.by_peer.find_entry(hash, |one| *one == id) {
            entry.remove();
        }
    }

    fn append(&mut self, order: &mut Order, id: SessionId) {
        let last = std::mem::replace(&mut order.newest, id);
        if let Some(session) = self.get_mut(id) {
            (session.older, session.newer) = (last, NONE);
        }
        match self.get_mut(last) {
            Some(last) => last.newer = id,
            None => order.oldest = id,
        }
        order.count += 1;
    }

    fn part(&mut self, order: &mut Order, id: SessionId) {
        let Some(Session { older, newer, .. }) = self.get(id) else {
            return;
        };
        let (older, newer) = (*older, *newer);
        match self.get_mut(older) {
            Some(session) => session.newer = newer,
            None => order.oldest = newer,
        }
        match self.get_mut(newer) {
            Some(session) => session.older = older,
            None => order.newest = older,
        }
        order.count -= 1;
    }
}

fn hash_client(hasher: &RandomState, all: &Slab<Session>, id: SessionId) -> u64 {
    let session = all.get(id as usize);
    session.map_or(0, |session| hasher.hash_one(session.client))
}

fn hash_peer(hasher: &RandomState, all: &Slab<Session>, id: SessionId) -> u64 {
    let session = all.get(id as usize);
    session.map_or(0, |session| {
        hasher.hash_one((session.peer.socket, session.peer.address()))
    })
}
