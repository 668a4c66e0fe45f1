//! The downstream side: a client's connection, from request to request.

pub(crate) mod h1;
mod proxy_protocol;
pub(crate) mod reply;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ringgate_core::table::Bind;

use crate::accept::Client;
use crate::shard::Shard;
use crate::shard::timer::{Action, Watched};
use crate::sys::buffer::Buffer;
use crate::sys::io::Stream;
use crate::sys::socket::Shutdown;

/// A client's connection: what stays the same from request to request. Small, for idle connections
/// hold nothing else.
pub(crate) struct Downstream {
    pub(crate) shard: &'static Shard,
    pub(crate) bind: Bind,
    pub(crate) stream: Stream,
    pub(crate) watch: Watched,
    /// The client: the peer, unless PROXY protocol says otherwise.
    pub(crate) client: SocketAddr,
    /// Whether what the peer says about the client is believed.
    pub(crate) is_trusted: bool,
    _counted: Client,
}

impl Downstream {
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
    let watch = shard.deadlines.watch(stream.fd());
    let client = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let mut downstream = Downstream {
        shard,
        bind,
        stream,
        watch,
        client,
        is_trusted: is_trusted(shard, bind, client),
        _counted: counted,
    };
    async move {
        match Box::pin(proxy_protocol::receive(&mut downstream)).await {
            Ok(begun) => h1::serve(&downstream, begun).await,
            Err(error) => {
                tracing::debug!(peer = %client, %error, "a connection is refused");
                shard.counters.total(|totals| totals.refused_requests += 1);
            }
        }
    }
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
