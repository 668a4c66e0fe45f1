//! A request's head (RFC 9112, sections 2, 3 and 5). Owns the request line and what must hold for the
//! head as a whole; the fields' syntax is `field`'s, their meaning for the body `framing`'s.

use super::authority::{self, AuthorityError};
use super::encode::CRLF;
use super::field::{self, Field, FieldError, Span};
use super::framing::{ConnectionOptions, Facts, Framing, FramingError};
use super::method::Method;
use super::progress::Progress;
use super::{HEAD_BYTES_MAX, Limits, Parse};

mod line;

pub use line::{Form, LineError};

/// A request's head; places are in the buffer that it was parsed from. Meant to be used again for the
/// next request, so that its fields' memory is allocated once.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    pub method: Method,
    pub method_text: Span,
    /// As received.
    pub target: Span,
    /// Without the query. Empty when an absolute-form target has none: see [`RequestHead::path`].
    pub path: Span,
    /// Behind the `?`.
    pub query: Option<Span>,
    /// `host[:port]`: from an absolute-form or authority-form target, else from `Host` (RFC 9112,
    /// section 3.2.2: a received `Host` is then ignored). Empty in HTTP/1.0 without either.
    pub authority: Span,
    pub form: Form,
    /// 0 or 1.
    pub minor: u8,
    pub fields: Vec<Field>,
    pub framing: Framing,
    /// What the client wants; see [`super::ServerSide`] for what it gets.
    pub keep_alive: bool,
    pub connection: ConnectionOptions,
    /// The client may wait for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// The client takes trailers (`TE: trailers`).
    pub te_trailers: bool,
    /// The protocols that the client would change to. Only in HTTP/1.1, if `Connection` names it, if there
    /// is no body, and never HTTP/2 in the clear: in all other cases `Upgrade` is to be ignored.
    pub upgrade: Option<Span>,
    /// Bytes of the head; the body begins behind them.
    pub len: usize,
    progress: Progress,
}

impl RequestHead {
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

    /// The path that is meant: an empty one is `/`, or `*` for OPTIONS (RFC 9112, section 3.2.4).
    #[must_use]
    pub fn path<'b>(&self, buf: &'b [u8]) -> &'b [u8] {
        match self.path.of(buf) {
            [] if self.method == Method::Options && self.query.is_none() => b"*",
            [] => b"/",
            path => path,
        }
    }

    /// Whether a received field is to be passed on: not if it concerns this connection only, and not if
    /// it is `Content-Length`, which is written anew.
    #[must_use]
    pub fn passes_on(&self, field: &Field, buf: &[u8]) -> bool {
        field::passes_on(field, &self.fields, self.connection.others, buf)
    }
}

/// Why a request is refused. The connection is to be closed after the answer: where the next request
/// would begin is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error(transparent)]
    Line(#[from] LineError),
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("Host is missing")]
    NoHost,
    #[error("more than one Host")]
    RepeatedHost,
    #[error("Host is not valid: {0}")]
    Host(AuthorityError),
}

impl RequestError {
    /// The answer's status: 400, 414, 431, 501 or 505.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Line(LineError::TooLong) => 414,
            Self::Line(LineError::Version) => 505,
            Self::Field(FieldError::TooMany | FieldError::TooLarge) => 431,
            Self::Field(FieldError::Framing(FramingError::UnknownCoding)) => 501,
            _ => 400,
        }
    }
}

/// Reads one request's head from the front of `buf`. The same bytes give the same result however they
/// were split over calls. One empty line before the request is skipped (RFC 9112, section 2.2).
///
/// # Errors
/// When the head is not one that every other parser would read in the same way, or breaks a limit.
pub fn parse_request(
    buf: &[u8],
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<Parse, RequestError> {
    if !head.progress.is_worth_parsing(buf) {
        return Ok(Parse::Partial);
    }
    head.reset();
    match head.parse(buf, limits)? {
        Outcome::Complete => Ok(Parse::Complete),
        Outcome::RanOut { limit } => {
            head.fields.clear();
            head.progress = Progress::ran_out(buf.len(), limit);
            Ok(Parse::Partial)
        }
    }
}

/// As [`parse_request`], of a whole head in HTTP/1.1 that was written here from fields that are good each for
/// itself: `head.fields` has their places already, and only what they mean together is looked at.
///
/// # Errors
/// As [`parse_request`].
pub fn conclude_request(
    buf: &[u8],
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<(), RequestError> {
    let fields = std::mem::take(&mut head.fields);
    *head = RequestHead {
        fields,
        ..RequestHead::default()
    };
    let line_limit = window_end(0, limits.request_line_bytes);
    let line = buf.get(..line_limit).unwrap_or(buf);
    let fields_start = head.parse_line(line, 0)?.ok_or(LineError::TooLong)?;
    if head.fields.len() > limits.header_fields as usize {
        return Err(FieldError::TooMany.into());
    }
    let last = head.fields.last();
    head.len = last.map_or(fields_start, |last| last.value.end() + CRLF.len()) + CRLF.len();
    if head.len > window_end(fields_start, limits.header_bytes) {
        return Err(FieldError::TooLarge.into());
    }
    let mut facts = Facts::new(head.minor);
    for field in &head.fields {
        field::check_lookalike(field.id, field.name.of(buf))?;
        facts.note(buf, field).map_err(FieldError::from)?;
    }
    head.conclude(buf, &facts)
}

enum Outcome {
    Complete,
    RanOut { limit: usize },
}

impl RequestHead {
    fn parse(&mut self, buf: &[u8], limits: &Limits) -> Result<Outcome, RequestError> {
        let start = if buf.starts_with(b"\r\n") { 2 } else { 0 };
        let line_limit = window_end(start, limits.request_line_bytes);
        let line = buf.get(..line_limit).unwrap_or(buf);
        let Some(fields_start) = self.parse_line(line, start)? else {
            return ran_out(buf, line_limit, LineError::TooLong.into());
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
        self.conclude(buf, &facts)?;
        Ok(Outcome::Complete)
    }

    /// What can be told only when all fields are known.
    fn conclude(&mut self, buf: &[u8], facts: &Facts) -> Result<(), RequestError> {
        self.check_host(buf, facts)?;
        self.framing = facts.framing();
        self.keep_alive = facts.keep_alive();
        self.connection = facts.connection;
        self.te_trailers = facts.te_trailers;
        self.expect_continue = facts.expect_continue && self.minor > 0 && !self.framing.is_empty();
        self.upgrade = if self.framing.is_empty() {
            facts.upgrade(buf)
        } else {
            None
        };
        Ok(())
    }

    /// RFC 9112, section 3.2: exactly one valid `Host` in HTTP/1.1; in HTTP/1.0 at most one.
    fn check_host(&mut self, buf: &[u8], facts: &Facts) -> Result<(), RequestError> {
        match facts.hosts {
            0 if self.minor == 0 => return Ok(()),
            0 => return Err(RequestError::NoHost),
            1 => {}
            _ => return Err(RequestError::RepeatedHost),
        }
        authority::split(facts.host.of(buf)).map_err(RequestError::Host)?;
        if matches!(self.form, Form::Origin | Form::Asterisk) {
            self.authority = facts.host;
        }
        Ok(())
    }
}

/// Where a part of `bytes` at most, and the CRLF behind it, ends that begins at `start`.
pub(super) fn window_end(start: usize, bytes: u32) -> usize {
    start
        .saturating_add(bytes as usize)
        .saturating_add(2)
        .min(HEAD_BYTES_MAX)
}

/// A window that is full cannot be completed by more bytes.
fn ran_out(buf: &[u8], limit: usize, error: RequestError) -> Result<Outcome, RequestError> {
    if buf.len() >= limit {
        Err(error)
    } else {
        Ok(Outcome::RanOut { limit })
    }
}
