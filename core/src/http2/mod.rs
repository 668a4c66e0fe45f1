//! HTTP/2 without sockets (RFC 9113): bytes in, decisions out.
//!
//! - `account`: what a peer may cost us beyond the requests that it sends
//! - [`hpack`]: fields in few bytes (RFC 7541)
//! - [`head`]: heads and trailers between those fields and HTTP/1

mod account;
pub mod head;
pub mod hpack;

pub use account::{Account, Flood};

/// What comes before the first frame of a client.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
