//! What happens to each datagram, with every branch in sight.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringgate_core::ir::Endpoints;
use ringgate_core::table::{Bind, StreamRule, Table, Target};
use slab::Slab;

use super::sessions::{Beginning, Client, Order, Peer, Session, SessionId, Sessions};
use super::sockets::{SocketId, Sockets};
use crate::shard::Shard;
use crate::shard::timer::Millis;
use crate::shared::health::Failed;
use crate::stream;
use crate::sys::datagram::{self, Batch, Event, Parcel, Poller};
use crate::telemetry::access_log::{StreamLine, Way};
use crate::telemetry::counters::Stream;
use crate::upstream::backing::Asker;
use crate::upstream::pool::Load;

/// A session that was used within so long holds up the end of a process that drains.
const BUSY_MS: Millis = 1_000;
/// Sessions that are ended in search of a socket for a new one, the longest idle first.
const EVICTIONS: usize = 8;
/// Tells sockets towards endpoints from those of ports.
const TOWARDS_ENDPOINTS: u64 = 1 << 32;

pub(super) fn token_of_socket(id: SocketId) -> u64 {
    TOWARDS_ENDPOINTS | u64::from(id.0)
}

struct Port {
    bind: Bind,
    socket: UdpSocket,
    order: Order,
}

/// All ports of a shard, and all that their datagrams need.
pub(super) struct Engine {
    pub(super) poller: Rc<Poller>,
    ports: Slab<Port>,
    binds: HashMap<Bind, usize>,
    sessions: Sessions,
    sockets: Sockets,
    batch: Batch,
    events: Vec<Event>,
    /// Where messages of the batch go on.
    outgoing: Vec<Parcel>,
}

impl Engine {
    /// `most`: sockets towards endpoints, of each family.
    pub(super) fn new(most: u32) -> io::Result<Self> {
        Ok(Self {
            poller: Rc::new(Poller::new()?),
            ports: Slab::new(),
            binds: HashMap::new(),
            sessions: Sessions::default(),
            sockets: Sockets::new(most),
            batch: Batch::new(),
            events: Vec::new(),
            outgoing: Vec::with_capacity(datagram::SLOTS),
        })
    }

    pub(super) fn open(&mut self, bind: Bind, socket: UdpSocket) -> io::Result<()> {
        let place = self.ports.vacant_key();
        self.poller.add(&socket, place as u64)?;
        let order = Order::default();
        self.ports.insert(Port {
            bind,
            socket,
            order,
        });
        self.binds.insert(bind, place);
        Ok(())
    }

    /// Ends the sessions of a port, too: nobody could answer their clients any more.
    pub(super) fn close(&mut self, shard: &Shard, bind: Bind) {
        let Some(place) = self.binds.remove(&bind) else {
            return;
        };
        let now = shard.deadlines.now();
        while let Some(oldest) = self.ports.get(place).and_then(|port| port.order.oldest()) {
            self.end(shard, oldest, None, now);
        }
        self.ports.try_remove(place);
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.count()
    }

    /// Sessions that were used just now.
    pub(super) fn busy(&self, now: Millis) -> usize {
        let ports = self.ports.iter();
        let newest = ports.filter_map(|(_, port)| self.sessions.get(port.order.newest()?));
        newest
            .filter(|session| now.saturating_sub(session.used) < BUSY_MS)
            .count()
    }

    /// Ends sessions that were idle for too long.
    pub(super) fn prune(&mut self, shard: &Shard) {
        let (table, now) = (shard.table(), shard.deadlines.now());
        let places: Vec<_> = self.binds.iter().map(|(bind, at)| (*bind, *at)).collect();
        for (bind, place) in places {
            let port = table.port(bind);
            let idle = port.map_or(0, |port| port.settings.timeouts.session_idle.as_millis());
            while let Some(oldest) = self.ports.get(place).and_then(|port| port.order.oldest()) {
                let used = self.sessions.get(oldest).map_or(0, |session| session.used);
                if u128::from(now.saturating_sub(used)) < idle {
                    break;
                }
                self.end(shard, oldest, None, now);
            }
        }
        self.sockets.prune(now);
        self.sessions.trim();
    }

    /// Moves what has come; whether there was anything.
    pub(super) fn turn(&mut self, shard: &Shard) -> bool {
        let mut events = std::mem::take(&mut self.events);
        self.poller.ready(&mut events);
        let now = shard.deadlines.now();
        for event in &events {
            let place = event.token & (TOWARDS_ENDPOINTS - 1);
            if event.token & TOWARDS_ENDPOINTS == 0 {
                self.upward(shard, usize::try_from(place).unwrap_or(0), now);
            } else {
                let socket = SocketId(u32::try_from(place).unwrap_or(0));
                self.downward(shard, socket, event.has_error, now);
            }
        }
        self.flush(shard);
        let any = !events.is_empty();
        self.events = events;
        any
    }

    /// From clients of a port to endpoints.
    fn upward(&mut self, shard: &Shard, place: usize, now: Millis) {
        let Some(socket) = self.ports.get(place).map(|port| port.socket.as_raw_fd()) else {
            return;
        };
        for slot in self.receive(shard, socket) {
            let received = self.batch.received(slot);
            let client = Client {
                port: u32::try_from(place).unwrap_or(0),
                address: received.source,
                local: received.local,
            };
            let session = self.session(shard, client, now);
            let way = session.and_then(|id| {
                let session = self.sessions.get_mut(id)?;
                session.sent += received.length();
                let (socket, to) = (session.peer.socket, session.peer.address());
                self.note_use(id, now);
                Some((self.sockets.descriptor(socket)?, to))
            });
            match way {
                Some((socket, to)) => {
                    self.outgoing.push(Parcel {
                        slot,
                        socket,
                        to,
                        from: None,
                    });
                    shard
                        .counters
                        .total(|totals| totals.datagrams_sent += received.count());
                }
                None => drop_datagrams(shard, received.count()),
            }
        }
    }

    /// From endpoints to clients.
    fn downward(&mut self, shard: &Shard, id: SocketId, has_error: bool, now: Millis) {
        let Some(socket) = self.sockets.descriptor(id) else {
            return;
        };
        if has_error {
            while let Some(endpoint) = datagram::refused_destination(socket) {
                let session = self.sessions.of_peer(id, endpoint);
                if let Some(session) = session.and_then(|one| self.sessions.get_mut(one)) {
                    session.is_refused = true;
                    session.peer.load.endpoint().failed(Failed::Refused);
                }
            }
        }
        for slot in self.receive(shard, socket) {
            let received = self.batch.received(slot);
            // Whoever isn't talked to from here has nothing to say.
            let session = self.sessions.of_peer(id, received.source);
            let way = session.and_then(|id| {
                let session = self.sessions.get_mut(id)?;
                session.received += received.length();
                session.is_refused = false;
                session.peer.load.endpoint().succeeded();
                let client = session.client;
                self.note_use(id, now);
                let port = self.ports.get(client.port as usize)?;
                Some((port.socket.as_raw_fd(), client))
            });
            match way {
                Some((socket, client)) => {
                    self.outgoing.push(Parcel {
                        slot,
                        socket,
                        to: client.address,
                        from: client.local,
                    });
                    let counters = &shard.counters;
                    counters.total(|totals| totals.datagrams_received += received.count());
                }
                None => drop_datagrams(shard, received.count()),
            }
        }
    }

    /// Takes what has come at a socket into the batch: where it is there.
    fn receive(&mut self, shard: &Shard, socket: RawFd) -> std::ops::Range<usize> {
        if self.batch.is_full() {
            self.flush(shard);
        }
        let first = self.batch.len();
        // An error is an earlier datagram's, and told elsewhere.
        let _ = self.batch.receive(socket);
        first..self.batch.len()
    }

    /// Sends on what the batch holds.
    fn flush(&mut self, shard: &Shard) {
        let lost = self.batch.send(&self.outgoing);
        if lost > 0 {
            drop_datagrams(shard, lost);
        }
        self.outgoing.clear();
        self.batch.clear();
    }

    /// A client's session, with an endpoint that may have its datagrams.
    fn session(&mut self, shard: &Shard, client: Client, now: Millis) -> Option<SessionId> {
        let Some(id) = self.sessions.of_client(&client) else {
            return self.begin(shard, client, None, now);
        };
        let epoch = shard.datagrams.epoch();
        let session = self.sessions.get(id)?;
        if session.is_refused {
            let tried = session.peer.address();
            self.end(shard, id, Some("refused"), now);
            return self.begin(shard, client, Some(tried), now);
        }
        if is_lost(shard, session) {
            let tried = session.peer.address();
            self.end(shard, id, Some("unhealthy"), now);
            return self.begin(shard, client, Some(tried), now);
        }
        if session.epoch == epoch {
            return Some(id);
        }
        let bind = self.ports.get(client.port as usize)?.bind;
        if is_in_force(&shard.table(), bind, session) {
            self.sessions.get_mut(id)?.epoch = epoch;
            return Some(id);
        }
        self.end(shard, id, None, now);
        self.begin(shard, client, None, now)
    }

    /// A new client; none where there is nobody to talk to. `tried` is avoided.
    fn begin(
        &mut self,
        shard: &Shard,
        client: Client,
        tried: Option<SocketAddr>,
        now: Millis,
    ) -> Option<SessionId> {
        let place = client.port as usize;
        let (table, bind) = (shard.table(), self.ports.get(place)?.bind);
        let port = table.port(bind)?;
        if !port.settings.lets_in(client.address.ip()) {
            shard.counters.total(|totals| totals.refused_sources += 1);
            return None;
        }
        let listener = port.listener("")?;
        let rule = listener.stream("");
        let most = usize::try_from(port.settings.limits.sessions).unwrap_or(usize::MAX);
        while self.ports.get(place)?.order.count() >= most.max(1) {
            self.end_oldest(shard, place, now);
        }
        let asker = Asker::client(client.address.ip());
        let rule_of = rule.map(|rule| &**rule);
        let peer = self.peer(shard, (place, rule_of), asker, tried, now);
        let counted = (listener.slot, rule.map(|rule| rule.slot));
        let peer = match peer {
            Ok(peer) => peer,
            Err(reason) => {
                tracing::debug!(client = %client.address, reason, "datagrams go nowhere");
                shard.counters.stream(counted, Stream::refused());
                return None;
            }
        };
        shard.counters.stream(counted, Stream::opened());
        let beginning = Beginning {
            client,
            peer,
            listener: listener.slot,
            rule: rule?.slot,
            epoch: shard.datagrams.epoch(),
        };
        let order = &mut self.ports.get_mut(place)?.order;
        self.sessions.begin(order, beginning, now)
    }

    /// Whom a new session's datagrams go to.
    fn peer(
        &mut self,
        shard: &Shard,
        (place, rule): (usize, Option<&StreamRule>),
        asker: Asker,
        tried: Option<SocketAddr>,
        now: Millis,
    ) -> Result<Peer, &'static str> {
        let backend = stream::choose(shard, rule.ok_or("no_route")?)?;
        let endpoint = shard.upstreams.choose(shard, &backend, asker, tried);
        let load = Load::on(&endpoint.ok_or("no_endpoint")?);
        let address = load.endpoint().address;
        for _ in 0..EVICTIONS {
            if let Ok(socket) = self.sockets.take(address, &self.poller, now) {
                return Ok(Peer {
                    socket,
                    backend: backend.slot,
                    load,
                });
            }
            self.end_oldest(shard, place, now);
        }
        Err("no_socket")
    }

    fn end_oldest(&mut self, shard: &Shard, place: usize, now: Millis) {
        if let Some(oldest) = self.ports.get(place).and_then(|port| port.order.oldest()) {
            self.end(shard, oldest, None, now);
        }
    }

    fn end(&mut self, shard: &Shard, id: SessionId, error: Option<&'static str>, now: Millis) {
        let place = self.sessions.get(id).map(|one| one.client.port as usize);
        let Some(port) = place.and_then(|place| self.ports.get_mut(place)) else {
            return;
        };
        let Some(session) = self.sessions.end(&mut port.order, id) else {
            return;
        };
        let address = session.peer.address();
        self.sockets.give(session.peer.socket, address, now);
        let counted = (session.listener, Some(session.rule));
        let carried = Stream::carried(session.sent, session.received);
        shard.counters.stream(counted, carried);
        if shard.log.is_on() {
            log(shard, port.bind, &session, error, now);
        }
    }

    fn note_use(&mut self, id: SessionId, now: Millis) {
        let place = self.sessions.get(id).map(|one| one.client.port as usize);
        if let Some(port) = place.and_then(|place| self.ports.get_mut(place)) {
            self.sessions.touch(&mut port.order, id, now);
        }
    }
}

fn drop_datagrams(shard: &Shard, count: u64) {
    let counters = &shard.counters;
    counters.total(|totals| totals.datagrams_dropped += count);
}

/// Whether its endpoint isn't thought to work, and another one is: who sends datagrams may never learn that nobody
/// has them, and begin anew.
fn is_lost(shard: &Shard, session: &Session) -> bool {
    session.peer.load.endpoint().is_out()
        && shard.upstreams.has_working(shard, session.peer.backend)
}

/// Whether a session would still begin as it did: its route is the listener's, and its endpoint the backend's.
fn is_in_force(table: &Table, bind: Bind, session: &Session) -> bool {
    let listener = table.port(bind).and_then(|port| port.listener(""));
    let rule = listener.and_then(|listener| listener.stream(""));
    let target = Target::Backend(session.peer.backend);
    let is_target = |rule: &Arc<StreamRule>| {
        let mut targets = rule.targets.iter();
        targets.any(|one| one.target == target && one.weight > 0)
    };
    let backend = table.backend(session.peer.backend);
    let has_endpoint = backend.is_some_and(|backend| match &backend.backend.endpoints {
        Endpoints::Addresses(all) => {
            let address = session.peer.address();
            all.binary_search_by_key(&address, |one| one.address)
                .is_ok()
        }
        Endpoints::Echo(_) => false,
    });
    has_endpoint
        && listener.is_some_and(|listener| listener.slot == session.listener)
        && rule.is_some_and(|rule| rule.slot == session.rule && is_target(rule))
}

fn log(shard: &Shard, bind: Bind, session: &Session, error: Option<&'static str>, now: Millis) {
    let table = shard.table();
    let listener = table.port(bind).and_then(|port| port.listener(""));
    let listener = listener.filter(|listener| listener.slot == session.listener);
    if listener.is_some_and(|listener| !listener.settings.access_log) {
        return;
    }
    let rule = listener.and_then(|listener| listener.stream(""));
    let rule = rule.filter(|rule| rule.slot == session.rule);
    let client = session.client.address;
    let way = Way {
        client: SocketAddr::new(client.ip().to_canonical(), client.port()),
        took: Duration::from_millis(now.saturating_sub(session.began)),
        gateway: listener.map(|listener| listener.gateway.to_string()),
        listener: listener.map(|listener| &*listener.name),
        route_kind: rule.map(|rule| rule.kind),
        route: rule.map(|rule| rule.route.to_string()),
        rule: rule.map(|rule| rule.name.to_string()),
        backend: table
            .backend(session.peer.backend)
            .map(|backend| &**backend),
        endpoint: Some(session.peer.address()),
        attempts: 1,
        error,
    };
    let line = StreamLine {
        way,
        server_name: "",
        sent_bytes: session.sent,
        received_bytes: session.received,
    };
    if !shard.log.send_stream(&line) {
        shard.counters.total(|totals| totals.log_lines_dropped += 1);
    }
}
