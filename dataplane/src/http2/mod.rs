//! HTTP/2 (RFC 9113) by the `h2` crate, on either side of the gateway.
//!
//! Each stream is a [`bridge::Bridge`]: one more kind of transport, which speaks HTTP/1 inwards. So there is
//! one way that requests go, with one set of filters, retries and bounds, whatever the two sides speak; and
//! what HTTP/1 couldn't frame safely is refused by the parser that refuses it in HTTP/1.
//!
//! - `wire`: bytes between a connection and the library
//! - `head`: heads and trailers between the versions
//! - `incoming`, `outgoing`: the two directions of a stream; [`bridge`]: both; [`server`]: a client's connection; [`client`]: an endpoint's connections

pub(crate) mod bridge;
pub(crate) mod client;
mod head;
mod incoming;
mod outgoing;
pub(crate) mod server;
mod wire;
