//! HTTP/2 without sockets (RFC 9113): bytes in, decisions out.
//!
//! - `account`: what a peer may cost us beyond the requests that it sends
//! - [`hpack`]: fields in few bytes (RFC 7541)
//! - [`head`]: heads and trailers between those fields and HTTP/1
//! - `frame`, `settings`, `reason`: what the two sides say to each other
//! - [`connection`]: a connection at either end

mod account;
pub mod connection;
mod frame;
pub mod head;
pub mod hpack;
mod reason;
mod settings;

pub use account::{Account, Flood};
pub use connection::{
    Config, Connection, Event, Failed, Gone, Key, Received, Request, Response, Role,
};
pub use reason::Reason;

/// What comes before the first frame of a client.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
