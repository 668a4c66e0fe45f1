//! What the fields say about the message itself: where its body ends, whether the connection stays,
//! whether it is to become something else (RFC 9112, sections 6, 7 and 9; RFC 9110, section 7.8).

use memchr::memchr_iter;

use super::field::{Field, FieldId, Span};
use super::list;
use super::token::{decimal, is_token};
use crate::limits::CONNECTION_OPTIONS;

/// How a body's end is known (RFC 9112, section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// No body follows the head.
    #[default]
    None,
    /// So many bytes follow; 0 is said in the head, unlike [`Framing::None`].
    Length(u64),
    Chunked,
    /// Until the sender closes: responses only.
    UntilClose,
}

impl Framing {
    /// Whether no byte follows the head.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

/// Why a message's end would be in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("Content-Length is not a decimal number")]
    ContentLength,
    #[error("more than one Content-Length")]
    RepeatedContentLength,
    #[error("Content-Length beside Transfer-Encoding")]
    BothLengthAndCoding,
    #[error("more than one Transfer-Encoding")]
    RepeatedTransferEncoding,
    #[error("Transfer-Encoding is not chunked alone")]
    TransferEncoding,
    #[error("Transfer-Encoding in HTTP/1.0")]
    TransferEncodingInHttp10,
    #[error("transfer coding is not known")]
    UnknownCoding,
    #[error("more than {CONNECTION_OPTIONS} options in Connection")]
    ConnectionOptions,
}

/// The options of all `Connection` fields (RFC 9110, section 7.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionOptions {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
    /// Names of fields that we have no option for, which then must not be passed on.
    pub others: bool,
}

impl ConnectionOptions {
    fn add(&mut self, value: &[u8]) {
        for option in list::members(value) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                self.others = true;
            }
        }
    }
}

/// What a `Content-Length` says (RFC 9110, section 8.6).
pub(crate) fn content_length(value: &[u8]) -> Option<u64> {
    decimal(value)
}

/// What was seen so far in a head's fields.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// From the first line; known before any field.
    pub(super) minor: u8,
    pub(super) hosts: u32,
    pub(super) host: Span,
    pub(super) content_length: Option<u64>,
    pub(super) is_chunked: bool,
    pub(super) connection: ConnectionOptions,
    pub(super) expect_continue: bool,
    pub(super) te_trailers: bool,
    options: usize,
    upgrades: u32,
    upgrade: Span,
}

impl Facts {
    pub(super) fn new(minor: u8) -> Self {
        Self {
            minor,
            ..Self::default()
        }
    }

    #[inline]
    pub(super) fn note(&mut self, buf: &[u8], field: &Field) -> Result<(), FramingError> {
        match field.id {
            FieldId::ContentLength => return self.note_length(field.value.of(buf)),
            FieldId::TransferEncoding => return self.note_coding(field.value.of(buf)),
            FieldId::Connection => return self.note_connection(field.value.of(buf)),
            FieldId::Host => {
                self.hosts += 1;
                self.host = field.value;
            }
            FieldId::Upgrade => {
                self.upgrades += 1;
                self.upgrade = field.value;
            }
            FieldId::Expect => {
                self.expect_continue |= list::has(field.value.of(buf), b"100-continue");
            }
            FieldId::Te => self.te_trailers |= list::has(field.value.of(buf), b"trailers"),
            _ => {}
        }
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) -> Result<(), FramingError> {
        self.options += 1 + memchr_iter(b',', value).count();
        if self.options > CONNECTION_OPTIONS {
            return Err(FramingError::ConnectionOptions);
        }
        self.connection.add(value);
        Ok(())
    }

    /// RFC 9112, section 6.3, allows equal repeats to be taken for one; we refuse them as others may
    /// read the first, the last, or the list.
    fn note_length(&mut self, value: &[u8]) -> Result<(), FramingError> {
        if self.content_length.is_some() {
            return Err(FramingError::RepeatedContentLength);
        }
        if self.is_chunked {
            return Err(FramingError::BothLengthAndCoding);
        }
        self.content_length = Some(content_length(value).ok_or(FramingError::ContentLength)?);
        Ok(())
    }

    fn note_coding(&mut self, value: &[u8]) -> Result<(), FramingError> {
        // RFC 9112, section 6.1: such a message's framing is faulty, even if the coding is.
        if self.minor == 0 {
            return Err(FramingError::TransferEncodingInHttp10);
        }
        if self.is_chunked {
            return Err(FramingError::RepeatedTransferEncoding);
        }
        if self.content_length.is_some() {
            return Err(FramingError::BothLengthAndCoding);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(coding_error(value));
        }
        self.is_chunked = true;
        Ok(())
    }

    /// A request without a length has no body (RFC 9112, section 6.3).
    pub(super) fn framing(&self) -> Framing {
        match self.content_length {
            _ if self.is_chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::None,
        }
    }

    /// RFC 9112, section 9.3.
    pub(super) fn keep_alive(&self) -> bool {
        !self.connection.close && (self.minor > 0 || self.connection.keep_alive)
    }

    /// The one `Upgrade` field, if `Connection` names it too (RFC 9110, section 7.8).
    ///
    /// HTTP/2 in the clear is none of them: who is tunnelled into it talks to the backend past the gateway.
    pub(super) fn upgrade(&self, buf: &[u8]) -> Option<Span> {
        let wanted = self.minor > 0 && self.connection.upgrade && self.upgrades == 1;
        let is_other = wanted && !list::has(self.upgrade.of(buf), b"h2c");
        (is_other && !self.upgrade.is_empty()).then_some(self.upgrade)
    }
}

/// A coding that we don't know, with `chunked` last, could be carried out by others; everything else
/// leaves the end in doubt (RFC 9112, sections 6.1 and 6.3).
fn coding_error(value: &[u8]) -> FramingError {
    let mut codings: Vec<&[u8]> = list::members(value).collect();
    let last = codings.pop().unwrap_or_default();
    let is_unknown = |coding: &&[u8]| is_token(coding) && !coding.eq_ignore_ascii_case(b"chunked");
    if last.eq_ignore_ascii_case(b"chunked")
        && !codings.is_empty()
        && codings.iter().all(is_unknown)
    {
        return FramingError::UnknownCoding;
    }
    FramingError::TransferEncoding
}
