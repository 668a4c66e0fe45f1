//! The request line: method, target in its four forms, version (RFC 9112, section 3). Owns its syntax;
//! what a path means is `route`'s.

use memchr::{memchr, memmem};

use super::super::authority::{self, AuthorityError};
use super::super::method::Method;
use super::super::token::{target_end, token_end};
use super::{RequestHead, Span};

/// The form of a request target (RFC 9112, section 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host:port/path?query`
    Absolute,
    /// `host:port`, of CONNECT alone
    Authority,
    /// `*`, of OPTIONS alone
    Asterisk,
}

/// Why a request line is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("request line too long")]
    TooLong,
    #[error("method is not a token followed by one space")]
    Method,
    #[error("request target has a character that is not allowed")]
    TargetCharacter,
    #[error("request target has none of the four forms, or not the one for its method")]
    Target,
    #[error("request target has no valid host: {0}")]
    TargetHost(AuthorityError),
    #[error("no HTTP version at the end of the request line")]
    NoVersion,
    /// Neither the method nor the version is one of HTTP: whoever sent it doesn't understand an answer.
    #[error("this is not HTTP")]
    NotHttp,
    #[error("HTTP version is neither 1.1 nor 1.0")]
    Version,
    #[error("request line does not end in CRLF")]
    LineEnd,
}

impl RequestHead {
    /// Reads the line that begins at `start`; gives where the fields begin, or `None` when `buf` ends
    /// before that.
    pub(super) fn parse_line(
        &mut self,
        buf: &[u8],
        start: usize,
    ) -> Result<Option<usize>, LineError> {
        let method_end = token_end(buf, start);
        match buf.get(method_end) {
            // A lone CR may be the first half of the empty line that is skipped.
            Some(b'\r') if start == 0 && buf.len() == 1 => return Ok(None),
            Some(b' ') if method_end > start => {}
            Some(_) => return Err(LineError::Method),
            None => return Ok(None),
        }
        let target_start = method_end + 1;
        let target_end = target_end(buf, target_start);
        match buf.get(target_end) {
            Some(b' ') if target_end > target_start => {}
            Some(b'\r' | b'\n') => return Err(LineError::NoVersion),
            Some(_) => return Err(LineError::TargetCharacter),
            None => return Ok(None),
        }
        self.method_text = Span::new(start, method_end);
        self.method = Method::from_text(self.method_text.of(buf));
        let minor = match parse_version(buf, target_end + 1) {
            Ok(Some(minor)) => minor,
            Ok(None) => return Ok(None),
            Err(LineError::NoVersion) if self.method == Method::Other => {
                return Err(LineError::NotHttp);
            }
            Err(error) => return Err(error),
        };
        self.minor = minor;
        self.target = Span::new(target_start, target_end);
        self.parse_target(buf)?;
        Ok(Some(target_end + 1 + VERSION_BYTES))
    }

    fn parse_target(&mut self, buf: &[u8]) -> Result<(), LineError> {
        let target = self.target.of(buf);
        match (self.method, target) {
            (Method::Connect, _) => self.parse_authority_form(target),
            (_, [b'/', ..]) => {
                self.split_query(target, 0);
                Ok(())
            }
            (Method::Options, b"*") => {
                self.form = Form::Asterisk;
                self.path = self.target;
                Ok(())
            }
            _ => self.parse_absolute_form(target),
        }
    }

    /// RFC 9112, section 3.2.3: the port is not optional.
    fn parse_authority_form(&mut self, target: &[u8]) -> Result<(), LineError> {
        let (_, port) = authority::split(target).map_err(LineError::TargetHost)?;
        if port.is_none() {
            return Err(LineError::Target);
        }
        self.form = Form::Authority;
        self.authority = self.target;
        Ok(())
    }

    fn parse_absolute_form(&mut self, target: &[u8]) -> Result<(), LineError> {
        let scheme_end = memmem::find(target, b"://").ok_or(LineError::Target)?;
        let scheme = target.get(..scheme_end).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
            return Err(LineError::Target);
        }
        let start = scheme_end + 3;
        let rest = target.get(start..).unwrap_or_default();
        let end = start + memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
        let text = target.get(start..end).unwrap_or_default();
        authority::split(text).map_err(LineError::TargetHost)?;
        self.form = Form::Absolute;
        self.authority = Span::new(self.target.start() + start, self.target.start() + end);
        self.split_query(target, end);
        Ok(())
    }

    /// Path and query from `from` in the target on.
    fn split_query(&mut self, target: &[u8], from: usize) {
        let rest = target.get(from..).unwrap_or_default();
        let start = self.target.start() + from;
        let end = self.target.end();
        let mark = memchr(b'?', rest).map(|place| start + place);
        self.path = Span::new(start, mark.unwrap_or(end));
        self.query = mark.map(|place| Span::new(place + 1, end));
    }
}

/// `HTTP/1.1` and its CRLF.
pub(in super::super) const VERSION_BYTES: usize = 10;

fn parse_version(buf: &[u8], at: usize) -> Result<Option<u8>, LineError> {
    let Some(text) = buf.get(at..at + VERSION_BYTES) else {
        return Ok(None);
    };
    match text {
        b"HTTP/1.1\r\n" => Ok(Some(1)),
        b"HTTP/1.0\r\n" => Ok(Some(0)),
        _ => Err(version_error(text)),
    }
}

#[cold]
fn version_error(text: &[u8]) -> LineError {
    match text {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', ..] => LineError::LineEnd,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, ..]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            LineError::Version
        }
        _ => LineError::NoVersion,
    }
}
