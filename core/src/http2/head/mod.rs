//! Heads and trailers between HPACK's fields and HTTP/1 (RFC 9113, section 8; RFC 9110). Owns what a message
//! of HTTP/2 must keep that one of HTTP/1 doesn't know; all else that may be wrong with a head is found when
//! its text is parsed, by the same rules as if it had come by HTTP/1.
//!
//! - [`request`], [`response`]: what comes, field by field, as HTTP/1
//! - [`outgoing`]: what goes, from heads that we have written

pub mod outgoing;
pub mod request;
pub mod response;

#[cfg(test)]
mod tests;

pub use outgoing::{Foreign, OwnHead, write_trailers};
pub use request::{Refusal, RequestFacts, RequestReader};
pub use response::{ResponseFacts, ResponseReader, TrailersReader};

use crate::http1::FieldId;
use crate::http1::field::{is_lower_name, is_value};
use crate::http1::framing::content_length;

/// How large a head or a trailer section may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadLimits {
    /// All names and values, and 32 for each field (RFC 9113, section 6.5.2): what `SETTINGS_MAX_HEADER_LIST_SIZE`
    /// tells the peer.
    pub list_bytes: u32,
    /// Fields, each crumb of a cookie for itself, pseudo-fields not counted.
    pub fields: u32,
}

/// Why a head or trailer section is malformed: its stream is reset with `PROTOCOL_ERROR` (RFC 9113, section
/// 8.1.1), and the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("pseudo-field behind a field, or in trailers")]
    LatePseudo,
    #[error("pseudo-field that is not known here")]
    UnknownPseudo,
    #[error("pseudo-field comes twice")]
    RepeatedPseudo,
    #[error("pseudo-field is missing")]
    MissingPseudo,
    #[error("pseudo-field that this method doesn't have")]
    UnwantedPseudo,
    #[error(":method is not a token")]
    Method,
    #[error(":scheme is not valid")]
    Scheme,
    #[error(":authority is not valid")]
    Authority,
    #[error(":path is empty, or neither begins with a slash nor is the asterisk of OPTIONS")]
    Path,
    #[error(":protocol is not a token")]
    Protocol,
    #[error(":status is not a number from 100 to 999")]
    Status,
    #[error("header name is empty, or has a character that is not allowed or is in upper case")]
    Name,
    #[error("header value has a control character, or a space at an end")]
    Value,
    #[error("header that concerns a connection of HTTP/1")]
    ConnectionSpecific,
    #[error("TE that asks for more than trailers")]
    Te,
    #[error("Content-Length is not a decimal number, or comes twice and differs")]
    ContentLength,
    #[error("Content-Length of a message without a body")]
    NoBody,
    #[error("interim response that ends the stream")]
    LastInterim,
    #[error("headers too large, or too many")]
    TooLarge,
}

/// Writes one kind of field section in HTTP/1 as its fields come. How it ends is its own.
pub trait SectionReader {
    /// Begins another section, whose text is appended to `out`.
    fn begin(&mut self, limits: HeadLimits, out: &[u8]);

    /// Takes the next field. What is wrong with it is told at the end: all fields have to be decoded in any case.
    fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>);

    /// RFC 9113, section 6.5.2, of all fields that came: much more than the limit is an attack.
    fn list_bytes(&self) -> usize;
}

/// What was counted of a head against its limits.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    limits: HeadLimits,
    bytes: usize,
    fields: u32,
}

/// What a field counts beside its bytes (RFC 9113, section 6.5.2).
const FIELD: usize = 32;

impl Tally {
    fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Whether the limits are still kept.
    #[inline]
    fn add(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.bytes = self.bytes.saturating_add(name.len() + value.len() + FIELD);
        if name.first() != Some(&b':') {
            self.fields = self.fields.saturating_add(1);
        }
        let most = usize::try_from(self.limits.list_bytes).unwrap_or(usize::MAX);
        self.bytes <= most && self.fields <= self.limits.fields
    }
}

/// What holds for each field that is no pseudo-field (RFC 9113, sections 8.2.1 and 8.2.2).
#[inline]
fn check(name: &[u8], value: &[u8]) -> Result<FieldId, HeadError> {
    if !is_lower_name(name) {
        return Err(HeadError::Name);
    }
    if !is_value(value) {
        return Err(HeadError::Value);
    }
    let id = FieldId::of(name);
    match id {
        FieldId::Connection
        | FieldId::KeepAlive
        | FieldId::ProxyConnection
        | FieldId::TransferEncoding
        | FieldId::Upgrade => Err(HeadError::ConnectionSpecific),
        FieldId::Te if !value.eq_ignore_ascii_case(b"trailers") => Err(HeadError::Te),
        id => Ok(id),
    }
}

/// Whether this `Content-Length` is the first; any other must say the same.
fn note_length(known: &mut Option<u64>, value: &[u8]) -> Result<bool, HeadError> {
    let length = content_length(value).ok_or(HeadError::ContentLength)?;
    match known.replace(length) {
        None => Ok(true),
        Some(before) if before == length => Ok(false),
        Some(_) => Err(HeadError::ContentLength),
    }
}
