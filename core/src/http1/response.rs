//! A response's head (RFC 9112, sections 4 and 6.3). Owns the status line and what a response's head
//! means as a whole. A backend's head gets the same strictness as a client's: what is refused here
//! becomes a 502, never somebody's response.

use super::field::{self, Field, FieldError, Span};
use super::framing::{ConnectionOptions, Facts, Framing};
use super::method::Method;
use super::progress::Progress;
use super::request::window_end;
use super::token::value_end;
use super::{Limits, Parse};

/// A response's head; places are in the buffer that it was parsed from.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// 100 to 999.
    pub status: u16,
    pub reason: Span,
    /// 0 or 1.
    pub minor: u8,
    pub fields: Vec<Field>,
    /// Of the body that really follows: none after HEAD, whatever the fields say.
    pub framing: Framing,
    /// What the field says; in a response to HEAD and in a 304 it tells of a body that does not follow.
    pub content_length: Option<u64>,
    /// Whether the backend leaves the connection open; never when the body ends with the connection.
    pub keep_alive: bool,
    pub connection: ConnectionOptions,
    /// In a 101: what the connection changes to.
    pub upgrade: Option<Span>,
    /// Bytes of the head; the body begins behind them.
    pub len: usize,
    progress: Progress,
}

impl ResponseHead {
    /// Forgets what is left of a head that was not completed. To be called before a head that was used
    /// for one connection is used for another.
    pub fn reset(&mut self) {
        self.fields.clear();
        let fields = std::mem::take(&mut self.fields);
        *self = Self {
            fields,
            ..Self::default()
        };
    }

    /// Whether the final response is still to come (RFC 9110, section 15.2).
    #[must_use]
    pub const fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// Whether a received field is to be passed on: not if it concerns this connection only, and not if
    /// it is `Content-Length`, which is written anew.
    #[must_use]
    pub fn passes_on(&self, field: &Field, buf: &[u8]) -> bool {
        field::passes_on(field, &self.fields, self.connection.others, buf)
    }
}

/// Why a response is refused: the backend's fault (502), and its connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    #[error("status line too long")]
    TooLong,
    #[error("status line does not begin with HTTP/1.1 or HTTP/1.0")]
    Version,
    #[error("status is not a number from 100 to 999")]
    Status,
    #[error("reason phrase has a control character, or the status line does not end in CRLF")]
    Reason,
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("body announced in a {status} response, which has none")]
    UnexpectedBody { status: u16 },
    #[error("101 response that names no protocol")]
    NoUpgrade,
}

/// Reads one response's head, to a request of method `request`, from the front of `buf`. The same bytes
/// give the same result however they were split over calls.
///
/// # Errors
/// When the head is not one that every other parser would read in the same way, or breaks a limit.
pub fn parse_response(
    buf: &[u8],
    limits: &Limits,
    request: Method,
    head: &mut ResponseHead,
) -> Result<Parse, ResponseError> {
    if !head.progress.is_worth_parsing(buf) {
        return Ok(Parse::Partial);
    }
    head.reset();
    match head.parse(buf, limits, request)? {
        None => Ok(Parse::Complete),
        Some(limit) => {
            head.fields.clear();
            head.progress = Progress::ran_out(buf.len(), limit);
            Ok(Parse::Partial)
        }
    }
}

impl ResponseHead {
    /// `None` when complete, else where the window ended that the bytes did not fill.
    fn parse(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        request: Method,
    ) -> Result<Option<usize>, ResponseError> {
        let line_limit = window_end(0, limits.request_line_bytes);
        let Some(fields_start) = self.parse_line(buf.get(..line_limit).unwrap_or(buf))? else {
            return ran_out(buf, line_limit, ResponseError::TooLong);
        };
        let limit = window_end(fields_start, limits.header_bytes);
        let window = buf.get(..limit).unwrap_or(buf);
        let mut facts = Facts::new(self.minor);
        let end = field::parse_fields(
            window,
            fields_start,
            limits.header_fields,
            &mut self.fields,
            &mut facts,
        )?;
        let Some(end) = end else {
            return ran_out(buf, limit, FieldError::TooLarge.into());
        };
        self.len = end;
        self.conclude(buf, &facts, request)?;
        Ok(None)
    }

    /// `HTTP/1.1 200 OK`. The space behind the status is required (RFC 9112, section 4), but some
    /// servers leave it out with the reason, and nothing hangs on it.
    fn parse_line(&mut self, buf: &[u8]) -> Result<Option<usize>, ResponseError> {
        let Some((start, rest)) = buf.split_at_checked(STATUS_END) else {
            return Ok(None);
        };
        self.minor = match start.first_chunk() {
            Some(b"HTTP/1.1 ") => 1,
            Some(b"HTTP/1.0 ") => 0,
            _ => return Err(ResponseError::Version),
        };
        self.status = parse_status(start.last_chunk())?;
        let reason_start = match rest.first() {
            None => return Ok(None),
            Some(b' ') => STATUS_END + 1,
            Some(b'\r') => STATUS_END,
            Some(_) => return Err(ResponseError::Status),
        };
        let end = value_end(buf, reason_start);
        self.reason = Span::new(reason_start, end);
        match (buf.get(end), buf.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => Ok(Some(end + 2)),
            (None, _) | (Some(b'\r'), None) => Ok(None),
            _ => Err(ResponseError::Reason),
        }
    }

    /// RFC 9112, section 6.3.
    fn conclude(
        &mut self,
        buf: &[u8],
        facts: &Facts,
        request: Method,
    ) -> Result<(), ResponseError> {
        self.connection = facts.connection;
        self.content_length = facts.content_length;
        self.framing = self.framing_of(facts, request)?;
        self.keep_alive = facts.keep_alive() && self.framing != Framing::UntilClose;
        if self.status == 101 {
            self.upgrade = Some(facts.upgrade(buf).ok_or(ResponseError::NoUpgrade)?);
        }
        Ok(())
    }

    fn framing_of(&self, facts: &Facts, request: Method) -> Result<Framing, ResponseError> {
        if self.status < 200 || self.status == 204 {
            // RFC 9110, section 8.6, and RFC 9112, section 6.1, forbid both fields here; a length of 0
            // is common and harmless, all else leaves open whether a body follows.
            if facts.is_chunked || facts.content_length.unwrap_or(0) != 0 {
                return Err(ResponseError::UnexpectedBody {
                    status: self.status,
                });
            }
            return Ok(Framing::None);
        }
        if request == Method::Head || self.status == 304 {
            return Ok(Framing::None);
        }
        Ok(match facts.framing() {
            Framing::None => Framing::UntilClose,
            framing => framing,
        })
    }
}

/// Where the status ends in `HTTP/1.1 200`.
const STATUS_END: usize = 12;

fn parse_status(digits: Option<&[u8; 3]>) -> Result<u16, ResponseError> {
    match digits {
        Some(
            [
                hundreds @ b'1'..=b'9',
                tens @ b'0'..=b'9',
                ones @ b'0'..=b'9',
            ],
        ) => {
            let digit = |byte: &u8| u16::from(byte - b'0');
            Ok(digit(hundreds) * 100 + digit(tens) * 10 + digit(ones))
        }
        _ => Err(ResponseError::Status),
    }
}

/// A window that is full cannot be completed by more bytes.
fn ran_out(buf: &[u8], limit: usize, error: ResponseError) -> Result<Option<usize>, ResponseError> {
    if buf.len() >= limit {
        Err(error)
    } else {
        Ok(Some(limit))
    }
}
