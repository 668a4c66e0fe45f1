//! The downstream side: a client's connection, from request to request.

pub(crate) mod h1;
mod proxy_protocol;
pub(crate) mod reply;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use ringgate_core::table::{Bind, Carries, Slot};

use crate::accept::{Client, Open};
use crate::http2::bridge::Bridge;
use crate::limits;
use crate::shard::Shard;
use crate::shard::timer::{Action, NO_PORT, Watched};
use crate::stream;
use crate::sys::buffer::Buffer;
use crate::sys::io::Stream;
use crate::sys::socket::Shutdown;
use crate::tls;
use crate::tls::accept::Accepted;
use crate::transport::Transport;

/// A client's connection: what stays the same from request to request. Small, for idle connections
/// hold nothing else.
pub(crate) struct Downstream {
    pub(crate) shard: &'static Shard,
    pub(crate) bind: Bind,
    pub(crate) port: Rc<Open>,
    pub(crate) stream: Transport,
    pub(crate) watch: Watched,
    /// The client: the peer, unless PROXY protocol says otherwise.
    pub(crate) client: SocketAddr,
    /// Whether what the peer says about the client is believed.
    pub(crate) is_trusted: bool,
    /// The listener that the client's TLS handshake was with; none: plain text.
    pub(crate) secured_by: Option<Slot>,
}

impl Downstream {
    /// Whether its present request is the last one: the shard drains, or the port is gone.
    pub(crate) fn is_ending(&self) -> bool {
        self.port.is_closed()
    }

    /// Whether the listener that the client's TLS is with is gone, though its port may not be.
    pub(crate) fn is_orphaned(&self) -> bool {
        let table = self.shard.table();
        let port = table.port(self.bind);
        let is_there = |slot| port.is_some_and(|port| port.listeners().any(|one| one.slot == slot));
        self.secured_by.is_some_and(|slot| !is_there(slot))
    }

    /// Of the URIs that the client asks for (RFC 9110, section 4.2).
    pub(crate) fn scheme(&self) -> &'static str {
        match self.secured_by {
            Some(_) => "https",
            None => "http",
        }
    }

    /// Of the client's messages (RFC 9110, section 2.5); `minor` is that of HTTP/1.
    pub(crate) fn version(&self, minor: u8) -> &'static str {
        self.stream.version(minor)
    }

    /// The same client's, for one stream of its HTTP/2.
    pub(crate) fn stream(&self, bridge: Rc<Bridge>) -> Self {
        Self {
            shard: self.shard,
            bind: self.bind,
            port: self.port.clone(),
            watch: self.shard.deadlines.watch_task(bridge.clone(), NO_PORT),
            stream: Transport::http2(bridge),
            client: self.client,
            is_trusted: self.is_trusted,
            secured_by: self.secured_by,
        }
    }

    /// For what goes to the client, or to a backend for it. Streams of HTTP/2 are many, and have small ones.
    pub(crate) fn buffer(&self) -> Buffer {
        match self.stream.is_http2() {
            true => self.shard.buffers.take_small(),
            false => self.shard.buffers.take(),
        }
    }

    /// For a head that we write, and what of the body goes with it.
    pub(crate) fn buffer_for(&self, body: usize) -> Buffer {
        match self.stream.is_http2() {
            true => self.shard.buffers.take_small(),
            false => self.shard.buffers.take_for(body + limits::HEAD_BYTES),
        }
    }

    /// What of a body is taken at a time. Of a connection's streams there are many at a time, and their frames
    /// are no larger anyway.
    pub(crate) fn body_buffer(&self) -> usize {
        match self.stream.is_http2() {
            true => limits::BUFFER_BYTES,
            false => limits::BODY_BUFFER_BYTES,
        }
    }

    /// Makes an empty buffer one for a large body.
    pub(crate) fn enlarge(&self, buffer: &mut Buffer) {
        if buffer.capacity() >= self.body_buffer() {
            return;
        }
        let larger = match self.stream.is_http2() {
            true => self.shard.buffers.take(),
            false => self.shard.buffers.take_large(),
        };
        self.shard.buffers.give(std::mem::replace(buffer, larger));
    }

    /// Where the client reached us; of a connection that is gone already, nowhere.
    pub(crate) fn local_address(&self) -> SocketAddr {
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.bind.port);
        self.stream.local_address().unwrap_or(nowhere)
    }

    /// Sends all of a buffer, which comes back with it; the client may take no longer than `idle` for each
    /// part that it takes.
    pub(crate) async fn write(&self, out: Buffer, idle: Duration) -> (io::Result<()>, Buffer) {
        let alive = || {
            let now = self.shard.deadlines.now();
            self.watch.set(now, idle, Action::Shutdown(Shutdown::Both));
        };
        self.stream.write(out, alive).await
    }
}

/// Serves a connection to its end.
///
/// Not an `async fn`, which would hold its arguments a second time beside what is made of them: an idle
/// connection costs little more than this future.
pub(crate) fn serve(
    shard: &'static Shard,
    bind: Bind,
    stream: Stream,
    peer: SocketAddr,
    counted: Client,
) -> impl Future<Output = ()> {
    shard.counters.total(|totals| totals.connections += 1);
    let port = counted.port();
    let watch = shard.deadlines.watch(stream.fd(), port.number);
    let client = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let mut downstream = Downstream {
        shard,
        bind,
        port,
        stream: Transport::plain(stream),
        watch,
        client,
        is_trusted: is_trusted(shard, bind, client),
        secured_by: None,
    };
    async move {
        let _counted = counted;
        match Box::pin(begin(&mut downstream)).await {
            Ok(Begun::Requests(begun)) => h1::serve(&downstream, begun).await,
            Ok(Begun::Stream(accepted)) => {
                // One that is refused ends without leave, so that the client takes it for what it is.
                if !Box::pin(stream::serve(&downstream, *accepted)).await {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(client = %downstream.client, %error, "a connection is refused");
            }
        }
        if downstream.secured_by.is_some() {
            Box::pin(part(&downstream)).await;
        }
    }
}

/// Why a connection carries no request at all.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    ProxyProtocol(#[from] proxy_protocol::Refused),
    #[error(transparent)]
    Tls(#[from] tls::accept::Refused),
    #[error("its address is none of those that the listener lets in")]
    Source,
}

/// What a connection is for.
enum Begun {
    /// With what of the first one has come. Boxed for the sake of idle connections: most have nothing.
    Requests(Option<Box<Buffer>>),
    Stream(Box<Accepted>),
}

/// What comes before the first request: who the client is, and TLS.
/// The error is boxed for the sake of idle connections, whose future has room for it.
async fn begin(downstream: &mut Downstream) -> Result<Begun, Box<Refused>> {
    let shard = downstream.shard;
    let begun = proxy_protocol::receive(downstream).await.map_err(|error| {
        shard.counters.total(|totals| totals.refused_requests += 1);
        Box::new(Refused::from(error))
    })?;
    let table = shard.table();
    let port = table.port(downstream.bind);
    if port.is_some_and(|port| !port.settings.lets_in(downstream.client.ip())) {
        shard.counters.total(|totals| totals.refused_sources += 1);
        return Err(Box::new(Refused::Source));
    }
    if !port.is_some_and(|port| port.is_encrypted) {
        let listener = port.and_then(|port| port.listener(""));
        let carries = listener.filter(|listener| listener.carries == Carries::Bytes);
        return Ok(match carries {
            Some(listener) => Begun::Stream(Box::new(Accepted::plain(listener.slot, begun))),
            None => Begun::Requests(begun.map(Box::new)),
        });
    }
    drop(table);
    let accepted = tls::accept::accept(downstream, begun).await;
    shard.counters.total(|totals| match &accepted {
        Ok(accepted) if accepted.carries == Carries::Tls => {}
        Ok(_) => totals.handshakes += 1,
        Err(_) => totals.handshake_failures += 1,
    });
    let accepted = accepted.map_err(|error| Box::new(Refused::from(error)))?;
    if accepted.carries != Carries::Tls {
        downstream.secured_by = Some(accepted.listener);
    }
    match accepted.carries {
        Carries::Requests => Ok(Begun::Requests(None)),
        Carries::Bytes | Carries::Tls | Carries::Datagrams => Ok(Begun::Stream(Box::new(accepted))),
    }
}

/// Takes leave, so that the client knows that nothing was cut off (RFC 8446, section 6.1).
async fn part(downstream: &Downstream) {
    downstream.watch.linger();
    downstream.stream.close().await;
}

/// Whether an address is one of the listener's trusted proxies.
fn is_trusted(shard: &Shard, bind: Bind, client: SocketAddr) -> bool {
    let table = shard.table();
    let networks = table.port(bind).map(|port| &port.settings.trusted_proxies);
    networks.is_some_and(|networks| networks.iter().any(|one| one.contains(client.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F: Future>(_: fn(&'static Shard, Bind, Stream, SocketAddr, Client) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_is_small() {
        let size = size(serve);
        assert!(size <= 512, "an idle connection's future has {size} bytes");
    }
}
