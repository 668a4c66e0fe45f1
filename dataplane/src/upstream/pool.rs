//! A shard's upstream connections, by endpoint. Which endpoint a request goes to is `backing`'s.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringgate_core::balance;
use ringgate_core::http1::{ClientSide, ResponseHead};
use ringgate_core::ir::{BackendProtocol, Id};
use ringgate_core::table::{Backend, Slot};

use crate::http2::bridge::Bridge;
use crate::http2::client::{self, Place, Sessions};
use crate::limits;
use crate::shard::Shard;
use crate::shard::timer::Action;
use crate::shard::timer::{Millis, NO_PORT, Watched};
use crate::shared::health::{EndpointHealth, Failed};
use crate::sys::io::Stream;
use crate::sys::socket::{self, Shutdown};
use crate::tls::session::Session;
use crate::transport::Transport;
use crate::upstream::backing::{Asker, Backing};

/// A connection to an endpoint, with what is used again from request to request.
pub(crate) struct Connection {
    pub(crate) stream: Transport,
    pub(crate) watch: Watched,
    pub(crate) side: RefCell<ClientSide>,
    pub(crate) head: RefCell<ResponseHead>,
    /// Whether it has carried a request before: then it may have been closed meanwhile.
    pub(crate) is_reused: bool,
    /// When the client sent something of the request last, if that was after its head.
    pub(crate) uploaded: Cell<Option<Instant>>,
    pub(crate) endpoint: Rc<Endpoint>,
    /// The certificate that was shown: whom the backend takes us for.
    identity: Option<Id>,
    since: Millis,
    share: Share,
}

/// What of the endpoint's connections it is.
enum Share {
    All {
        _open: Open,
    },
    /// One stream of HTTP/2.
    Stream(Rc<Bridge>, Place),
}

/// Counts a connection to an endpoint as long as it lives.
struct Open(Rc<Endpoint>);

impl Open {
    fn on(endpoint: &Rc<Endpoint>) -> Self {
        endpoint.open.set(endpoint.open.get() + 1);
        Self(endpoint.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

/// One address, with its idle connections.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    /// Requests under way.
    pub(crate) load: Cell<u32>,
    /// What stands for it where keys are spread over endpoints.
    pub(super) key: u64,
    /// When it joined others of its backend, until it has its full share.
    pub(super) joined: Cell<Option<Millis>>,
    /// Connections, idle ones included.
    open: Cell<u32>,
    /// No longer part of its backend: connections to it aren't kept.
    is_gone: Cell<bool>,
    #[expect(
        clippy::vec_box,
        reason = "a connection is handed on as the box it lives in"
    )]
    idle: RefCell<Vec<Box<Connection>>>,
    /// Where the backend speaks HTTP/2.
    sessions: Sessions,
    /// None: its health isn't watched.
    health: RefCell<Option<Arc<EndpointHealth>>>,
}

/// Counts a request on an endpoint as long as it lives.
pub(crate) struct Load(Rc<Endpoint>);

impl Load {
    pub(crate) fn on(endpoint: &Rc<Endpoint>) -> Self {
        endpoint.load.set(endpoint.load.get() + 1);
        Self(endpoint.clone())
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.load.set(self.0.load.get() - 1);
    }
}

/// All upstreams of a shard.
#[derive(Default)]
pub(crate) struct Upstreams {
    backends: RefCell<HashMap<Slot, Backing, foldhash::fast::FixedState>>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Unavailable {
    /// The endpoint has as many connections as its policy allows.
    Full,
    Connect(io::Error),
}

impl Upstreams {
    /// The endpoint for a request, by the backend's balance; `tried` is avoided if there is another.
    pub(crate) fn choose(
        &self,
        shard: &Shard,
        backend: &Arc<Backend>,
        asker: Asker,
        tried: Option<SocketAddr>,
    ) -> Option<Rc<Endpoint>> {
        // A request that began under an older table must not bring that one's endpoints back.
        let table = shard.table();
        let Some(backend) = table.backend(backend.slot) else {
            let mut last = Backing::new(shard, backend);
            last.endpoints.iter().for_each(|endpoint| endpoint.go());
            return last.choose(shard, asker, tried);
        };
        let mut backends = self.backends.borrow_mut();
        let backing = backends
            .entry(backend.slot)
            .or_insert_with(|| Backing::new(shard, backend));
        if !Arc::ptr_eq(&backing.seen, backend) {
            backing.renew(shard, backend);
        }
        backing.choose(shard, asker, tried)
    }

    /// Whether a backend has an endpoint that is thought to work.
    pub(crate) fn has_working(&self, shard: &Shard, slot: Slot) -> bool {
        let mut backends = self.backends.borrow_mut();
        backends.get_mut(&slot).is_some_and(|backing| {
            backing.look_again(shard);
            !backing.fails_open()
        })
    }

    /// Forgets backends that are gone; their idle connections close.
    pub(crate) fn retire(&self, slots: &[Slot]) {
        let mut backends = self.backends.borrow_mut();
        for backing in slots.iter().filter_map(|slot| backends.remove(slot)) {
            backing.endpoints.iter().for_each(|endpoint| endpoint.go());
        }
    }

    /// Closes connections that were idle for too long, or that the other side has closed.
    pub(crate) fn prune(&self, now: Millis) {
        for backing in self.backends.borrow().values() {
            let keep = backing.seen.backend.settings.keep_alive.as_millis();
            let keep = Millis::try_from(keep).unwrap_or(Millis::MAX);
            for endpoint in &backing.endpoints {
                endpoint.idle.borrow_mut().retain(|connection| {
                    let idle = now.saturating_sub(connection.since);
                    idle < keep && connection.stream.is_quiet()
                });
                endpoint.sessions.prune(now, keep);
            }
        }
    }

    pub(crate) fn idle(&self) -> usize {
        let backends = self.backends.borrow();
        let endpoints = backends.values().flat_map(|backing| &backing.endpoints);
        let idle =
            endpoints.map(|endpoint| endpoint.idle.borrow().len() + endpoint.sessions.idle());
        idle.sum()
    }
}

impl Endpoint {
    pub(super) fn new(address: SocketAddr, joined: Option<Millis>) -> Rc<Self> {
        Rc::new(Self {
            address,
            load: Cell::new(0),
            key: balance::key_of_endpoint(address),
            joined: Cell::new(joined),
            open: Cell::new(0),
            is_gone: Cell::new(false),
            idle: RefCell::default(),
            sessions: Sessions::default(),
            health: RefCell::default(),
        })
    }

    /// What is thought of it from now on.
    pub(super) fn watch(&self, health: Option<Arc<EndpointHealth>>) {
        self.health.replace(health);
    }

    /// It isn't thought to work.
    pub(crate) fn is_out(&self) -> bool {
        let health = self.health.borrow();
        health.as_ref().is_some_and(|health| health.is_out())
    }

    /// Something failed there, and neither a client nor we are at fault.
    pub(crate) fn failed(&self, failed: Failed) {
        if let Some(health) = &*self.health.borrow() {
            health.failed(failed);
        }
    }

    pub(crate) fn succeeded(&self) {
        if let Some(health) = &*self.health.borrow() {
            health.succeeded();
        }
    }

    pub(crate) fn note(&self, verdict: Option<Result<(), Failed>>) {
        match verdict {
            Some(Ok(())) => self.succeeded(),
            Some(Err(failed)) => self.failed(failed),
            None => {}
        }
    }

    /// A connection: one from before if it is still good, else a new one.
    pub(crate) async fn connection(
        self: &Rc<Self>,
        shard: &'static Shard,
        backend: &Backend,
        certificate: Option<&Id>,
        within: Duration,
    ) -> Result<Box<Connection>, Unavailable> {
        // Shown in TLS only.
        let identity = certificate.filter(|_| backend.backend.tls.is_some());
        if backend.backend.protocol == BackendProtocol::Http2 {
            if let Some(connection) = self.stream_now(shard, identity) {
                return Ok(connection);
            }
            // Boxed, as most requests do without.
            return Box::pin(self.stream(shard, backend, identity, within)).await;
        }
        while let Some(connection) = self.take_idle(identity) {
            // What came since its last response answers nothing that we asked (RFC 9112, section 9.2).
            if connection.stream.is_quiet() {
                return Ok(connection);
            }
        }
        let how = Beginning::for_requests(backend, identity);
        // Boxed, as all that most requests do without: those under way are as large as the largest part.
        let (carrier, open) = Box::pin(self.open(shard, backend, &how, within)).await?;
        let share = Share::All { _open: open };
        Ok(self.connection_of(carrier, identity, share))
    }

    /// A new connection, for one client alone.
    pub(crate) async fn alone(
        self: &Rc<Self>,
        shard: &'static Shard,
        backend: &Backend,
        how: &Beginning<'_>,
    ) -> Result<Box<Connection>, Unavailable> {
        let (carrier, open) = self.open(shard, backend, how, Duration::MAX).await?;
        let share = Share::All { _open: open };
        Ok(self.connection_of(carrier, how.certificate, share))
    }

    fn connection_of(
        self: &Rc<Self>,
        (stream, watch): (Transport, Watched),
        identity: Option<&Id>,
        share: Share,
    ) -> Box<Connection> {
        Box::new(Connection {
            stream,
            watch,
            side: RefCell::default(),
            head: RefCell::default(),
            is_reused: false,
            uploaded: Cell::default(),
            endpoint: self.clone(),
            identity: identity.cloned(),
            since: 0,
            share,
        })
    }

    /// A stream of HTTP/2, on a connection that is there and has room.
    fn stream_now(
        self: &Rc<Self>,
        shard: &'static Shard,
        identity: Option<&Id>,
    ) -> Option<Box<Connection>> {
        let (bridge, place) = self.sessions.stream(shard, identity)?;
        if self.is_gone.get() {
            self.sessions.end();
        }
        let watch = shard.deadlines.watch_task(bridge.clone(), NO_PORT);
        let carrier = (Transport::http2(bridge.clone()), watch);
        let share = Share::Stream(bridge, place);
        let connection = self.connection_of(carrier, identity, share);
        connection.head.replace(shard.http2.take_response());
        Some(connection)
    }

    /// A stream of HTTP/2, on a connection that others may use too; the first request opens it, and those
    /// that come meanwhile wait for it.
    async fn stream(
        self: &Rc<Self>,
        shard: &'static Shard,
        backend: &Backend,
        identity: Option<&Id>,
        within: Duration,
    ) -> Result<Box<Connection>, Unavailable> {
        loop {
            if let Some(connection) = self.stream_now(shard, identity) {
                return Ok(connection);
            }
            let Some(connecting) = self.sessions.begin() else {
                let opened = self.sessions.wait().await;
                opened.map_err(Unavailable::Connect)?;
                continue;
            };
            let how = Beginning::for_requests(backend, identity);
            let (carrier, open) = self.open(shard, backend, &how, within).await?;
            let scheme = match backend.backend.tls {
                Some(_) => "https",
                None => "http",
            };
            let as_whom = (scheme, identity.cloned());
            let sessions = &self.sessions;
            sessions.open(shard, carrier, as_whom, connecting, open);
        }
    }

    /// A new connection.
    async fn open(
        self: &Rc<Self>,
        shard: &'static Shard,
        backend: &Backend,
        how: &Beginning<'_>,
        within: Duration,
    ) -> Result<((Transport, Watched), Open), Unavailable> {
        let settings = &backend.backend.settings;
        let most = settings.max_connections;
        if most.is_some_and(|most| self.open.get() >= most) {
            return Err(Unavailable::Full);
        }
        // Counted before it is there, so that a burst keeps within the bound too.
        let open = Open::on(self);
        let timeout = settings.connect_timeout.min(within);
        let until = shard.deadlines.until(timeout);
        let connected = self.connect(shard, backend, how, timeout).await;
        if let Err(error) = &connected {
            // Who waits for less time than the policy gives has to know whether that counts.
            let is_cut = timeout < settings.connect_timeout && shard.deadlines.now() >= until;
            if !is_cut && !socket::is_ours(error) {
                self.failed(Failed::Connect);
            }
        }
        shard.counters.total(|totals| match &connected {
            Ok(_) => totals.upstream_connections += 1,
            Err(_) => totals.upstream_connect_failures += 1,
        });
        Ok((connected.map_err(Unavailable::Connect)?, open))
    }

    /// TCP, what goes before all else, and TLS; all within `timeout`.
    async fn connect(
        &self,
        shard: &'static Shard,
        backend: &Backend,
        how: &Beginning<'_>,
        timeout: Duration,
    ) -> io::Result<(Transport, Watched)> {
        let until = shard.deadlines.until(timeout);
        let stream = Stream::connect(self.address, timeout).await?;
        let watch = shard.deadlines.watch(stream.fd(), NO_PORT);
        let mut stream = Transport::plain(stream);
        if how.is_encrypted || !how.header.is_empty() {
            watch.set_at(until, Action::Shutdown(Shutdown::Both));
            // Boxed, for most backends are spoken to in plain text.
            Box::pin(begin(&mut stream, shard, backend, how)).await?;
            watch.clear();
        }
        Ok((stream, watch))
    }

    /// Is part of its backend no more. Requests under way go on; idle connections close, which also
    /// unties the circle of references between them and their endpoint.
    pub(super) fn go(&self) {
        self.is_gone.set(true);
        drop(self.idle.take());
        self.sessions.end();
    }

    fn take_idle(&self, identity: Option<&Id>) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        let place = idle
            .iter()
            .rposition(|connection| connection.identity.as_ref() == identity)?;
        Some(idle.remove(place))
    }
}

/// How a connection begins.
pub(crate) struct Beginning<'h> {
    pub(crate) is_encrypted: bool,
    /// Shown in TLS, if the backend asks for one.
    pub(crate) certificate: Option<&'h Id>,
    /// In front of all else, TLS too.
    pub(crate) header: &'h [u8],
}

impl<'h> Beginning<'h> {
    /// What may be shared by requests.
    fn for_requests(backend: &Backend, certificate: Option<&'h Id>) -> Self {
        Self {
            is_encrypted: backend.backend.tls.is_some(),
            certificate,
            header: &[],
        }
    }
}

async fn begin(
    stream: &mut Transport,
    shard: &'static Shard,
    backend: &Backend,
    how: &Beginning<'_>,
) -> io::Result<()> {
    if !how.header.is_empty() {
        let mut header = shard.buffers.take();
        header.out().extend_from_slice(how.header);
        let (sent, header) = stream.write(header, || ()).await;
        shard.buffers.give(header);
        sent?;
    }
    match how.is_encrypted {
        true => encrypt(stream, shard, backend, how.certificate).await,
        false => Ok(()),
    }
}

/// The handshake with a backend. What can't be encrypted as its policy says is not sent at all.
async fn encrypt(
    stream: &mut Transport,
    shard: &'static Shard,
    backend: &Backend,
    identity: Option<&Id>,
) -> io::Result<()> {
    let table = shard.table();
    let Some(to) = table.credentials().backend(backend.slot).cloned() else {
        let why = "its TLS settings can't be used";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    };
    drop(table);
    let session = Session::client(to.config(identity).clone(), to.name.clone())?;
    stream.encrypt(session, &shard.buffers, &mut []).await?;
    let is_wanted = backend.backend.protocol == BackendProtocol::Http2;
    if is_wanted && !stream.has_agreed_on_http2() {
        return Err(io::Error::other("it doesn't offer h2 by ALPN"));
    }
    Ok(())
}

/// Keeps a connection for a next request. The latest one is taken first, so that those of a burst
/// grow old and close.
pub(crate) fn keep(mut connection: Box<Connection>, now: Millis) {
    if let Share::Stream(bridge, place) = connection.share {
        let head = connection.head.into_inner();
        place.shard().http2.give_response(head);
        return client::finish(bridge, place);
    }
    let endpoint = connection.endpoint.clone();
    if endpoint.is_gone.get() {
        return;
    }
    connection.watch.clear();
    connection.is_reused = true;
    connection.since = now;
    let mut idle = endpoint.idle.borrow_mut();
    if idle.len() < limits::IDLE_UPSTREAMS {
        idle.push(connection);
    }
}
