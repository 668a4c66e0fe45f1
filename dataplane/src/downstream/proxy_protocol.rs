//! The PROXY protocol header of a trusted balancer, before anything else on the connection.

use std::net::SocketAddr;

use ringgate_core::ir::ProxyProtocol;
use ringgate_core::proxy_protocol::{Header, ProxyProtocolError, parse};
use thiserror::Error;

use super::{Downstream, h1, is_trusted};
use crate::limits;
use crate::shard::timer::Action;
use crate::sys::buffer::Buffer;
use crate::sys::socket::Shutdown;

/// The peer's fault: the connection is closed.
#[derive(Debug, Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Header(#[from] ProxyProtocolError),
    #[error("it closed, or took too long, before its PROXY protocol header was whole")]
    Incomplete,
}

/// Learns who the client is, if the listener reads the protocol and the peer is trusted. Gives what came
/// behind the header, if anything was read at all.
///
/// The client is then trusted or not in its own right: a balancer that passes bytes on doesn't vouch for the
/// headers in them.
pub(super) async fn receive(downstream: &mut Downstream) -> Result<Option<Buffer>, Refused> {
    let (mode, within) = h1::settings(downstream, |settings| {
        (settings.proxy_protocol, settings.timeouts.header)
    });
    if mode == ProxyProtocol::Off || !downstream.is_trusted {
        return Ok(None);
    }
    let now = downstream.shard.deadlines.now();
    downstream
        .watch
        .set(now, within, Action::Shutdown(Shutdown::Both));
    let mut input = downstream.shard.buffers.take();
    let source = loop {
        if let Header::Complete { len, source } = parse(input.pending())? {
            input.consume(len);
            break source;
        }
        input.reserve(limits::BUFFER_BYTES / 2);
        let (read, back) = downstream.stream.read(input).await;
        input = back;
        if !matches!(read, Ok(1..)) {
            return Err(Refused::Incomplete);
        }
    };
    if let Some(source) = source {
        downstream.client = SocketAddr::new(source.ip().to_canonical(), source.port());
        downstream.is_trusted = is_trusted(downstream.shard, downstream.bind, downstream.client);
    }
    if input.is_empty() {
        downstream.shard.buffers.give(input);
        return Ok(None);
    }
    Ok(Some(input))
}
