//! TLS on a shard: rustls without sockets of its own, around the shard's streams.
//!
//! - [`session`]: records in, plain text out, and back; knows no socket
//! - [`layer`]: a session on a stream, for one reader and one writer
//! - [`accept`]: a client's handshake: which listener its server name asks for, and what that serves
//! - [`credentials`]: certificates and authorities made ready by the configuration thread, for all shards
//! - [`uses`]: what of them is made of what
//! - [`resolve`]: which of a listener's certificates a client is shown; [`tickets`]: how it comes back
//! - [`verify`]: whom we believe

pub(crate) mod accept;
pub(crate) mod credentials;
pub(crate) mod layer;
mod resolve;
pub(crate) mod session;
mod tickets;
mod uses;
mod verify;
