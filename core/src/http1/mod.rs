//! HTTP/1.1 and HTTP/1.0 without input or output (RFC 9110, RFC 9112): heads, bodies, and what a
//! connection may do next. It owns framing and its strictness; it knows no socket, no time, no route.
//!
//! The modules in the order in which a request passes them:
//!
//! - `token`, `list`: which bytes may stand where, and comma-separated lists
//! - [`field`]: header fields, as places in the buffer that they were read from
//! - [`authority`]: host and port
//! - [`framing`]: what the fields say about the message: length, persistence, upgrade
//! - [`request`], [`response`]: heads
//! - `chunked`, [`body`]: bodies on their way from one side to the other
//! - [`connection`]: reuse, interim responses, draining, at either end
//! - [`encode`]: heads and chunks written into a buffer
//!
//! Whatever two parsers could read differently is refused, not repaired: a gateway that guesses is how
//! requests are smuggled past it.

pub mod authority;
pub mod body;
mod chunked;
pub mod connection;
pub mod encode;
pub mod field;
pub mod framing;
mod list;
mod method;
mod progress;
pub mod request;
pub mod response;
mod token;

pub use body::{BodyError, Relay};
pub use connection::{After, Answer, ClientSide, Reply, ServerSide};
pub use field::{Field, FieldError, FieldId, Span};
pub use framing::{ConnectionOptions, Framing, FramingError};
pub use method::Method;
pub use request::{Form, LineError, RequestError, RequestHead, conclude_request, parse_request};
pub use response::{ResponseError, ResponseHead, parse_response};

use crate::ir::HttpLimits;

/// A head is never longer than this, whatever the limits say: a [`Span`] has 16-bit ends.
pub const HEAD_BYTES_MAX: usize = u16::MAX as usize;

/// How large a head may be. Sizes are in bytes as received, line ends included but for the first line's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request line or status line; beyond it a request gets 414.
    pub request_line_bytes: u32,
    /// All field lines together; beyond it a request gets 431.
    pub header_bytes: u32,
    /// How many field lines; beyond it a request gets 431.
    pub header_fields: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self::from(&HttpLimits::default())
    }
}

impl From<&HttpLimits> for Limits {
    fn from(limits: &HttpLimits) -> Self {
        Self {
            request_line_bytes: limits.request_line_bytes,
            header_bytes: limits.header_bytes,
            header_fields: limits.header_fields,
        }
    }
}

/// Whether a head is all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parse {
    /// The head's `len` tells where the body begins.
    Complete,
    /// Come again with the same bytes and more behind them.
    Partial,
}
