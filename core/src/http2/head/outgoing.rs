//! Heads and trailers that go out, from HTTP/1 to HPACK. We have written them ourselves, from heads that our
//! parsers had found good: to find each field's place in them is enough. What HTTP/1 takes for a name or a value,
//! HTTP/2 takes too, but for the names' case.

use memchr::memchr;

use crate::http1::encode::{DIGITS, digits};
use crate::http1::framing::content_length;
use crate::http1::{Framing, Method};
use crate::http2::hpack::Encoder;

/// A head's lines. Meant to be used again for the next one, so that its memory is allocated once.
#[derive(Debug, Default)]
pub struct OwnHead {
    /// Where each line begins, where its name ends, and where the line ends.
    lines: Vec<(usize, usize, usize)>,
    /// Bytes of the head.
    pub len: usize,
    /// Of the body that follows.
    pub framing: Framing,
    /// Of a response; 0: it is a request.
    pub status: u16,
    /// Of a request.
    pub method: Method,
    /// Ends of the method and of the target.
    places: (usize, usize),
    content_length: Option<u64>,
    is_chunked: bool,
    takes_trailers: bool,
    has_upgrade: bool,
}

/// The text is not what we write: a head of ours that is not whole, or no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a head that was written here")]
pub struct Foreign;

const VERSION: &[u8] = b"HTTP/1.1";

impl OwnHead {
    /// Finds a request's lines.
    ///
    /// # Errors
    /// When it is no head of ours, which `Host` comes first in.
    pub fn request(&mut self, text: &[u8]) -> Result<(), Foreign> {
        let line = self.begin(text)?;
        let line = text.get(..line).ok_or(Foreign)?;
        let method = memchr(b' ', line).ok_or(Foreign)?;
        let target = line.len().checked_sub(VERSION.len() + 1).ok_or(Foreign)?;
        if target <= method || line.get(target + 1..) != Some(VERSION) {
            return Err(Foreign);
        }
        self.places = (method, target);
        self.method = Method::from_text(line.get(..method).unwrap_or_default());
        let is_path = matches!(line.get(method + 1), Some(b'/' | b'*'));
        let is_host =
            |(start, end, _): &(usize, usize, usize)| text.get(*start..*end) == Some(b"host");
        if !is_path || !self.lines.first().is_some_and(is_host) {
            return Err(Foreign);
        }
        self.framing = match self.content_length {
            _ if self.is_chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::None,
        };
        Ok(())
    }

    /// Finds a response's lines; `request` is the method that it answers.
    ///
    /// # Errors
    /// When it is no head of ours.
    pub fn response(&mut self, text: &[u8], request: Method) -> Result<(), Foreign> {
        self.begin(text)?;
        let status = text.strip_prefix(VERSION).and_then(|rest| rest.get(1..4));
        let status = status.and_then(content_length).ok_or(Foreign)?;
        self.status = u16::try_from(status).map_err(|_| Foreign)?;
        let has_body = request != Method::Head && !matches!(self.status, 100..=199 | 204 | 304);
        self.framing = match self.content_length {
            _ if !has_body => Framing::None,
            _ if self.is_chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        };
        Ok(())
    }

    /// Whether the final response follows.
    #[must_use]
    pub const fn is_interim(&self) -> bool {
        matches!(self.status, 100..=199) && !(self.status == 101 && self.has_upgrade)
    }

    /// All lines but the first one, whose end it gives.
    fn begin(&mut self, text: &[u8]) -> Result<usize, Foreign> {
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        *self = Self {
            lines,
            ..Self::default()
        };
        let first = memchr(b'\n', text).ok_or(Foreign)?;
        let mut start = first + 1;
        loop {
            let rest = text.get(start..).unwrap_or_default();
            let newline = memchr(b'\n', rest).ok_or(Foreign)?;
            let line = rest.get(..newline.saturating_sub(1)).unwrap_or_default();
            if line.is_empty() {
                self.len = start + newline + 1;
                return first.checked_sub(1).ok_or(Foreign);
            }
            let colon = memchr(b':', line).ok_or(Foreign)?;
            let (name, value) = line.split_at(colon);
            if self.is_passed(name, value.get(1..).unwrap_or_default().trim_ascii())? {
                self.lines.push((start, start + colon, start + line.len()));
            }
            start += newline + 1;
        }
    }

    /// Whether a field goes on in HTTP/2 as it is (RFC 9113, section 8.2.2).
    fn is_passed(&mut self, name: &[u8], value: &[u8]) -> Result<bool, Foreign> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is(b"te") => self.takes_trailers = true,
            4 if is(b"host") && !self.lines.is_empty() => return Err(Foreign),
            7 if is(b"upgrade") => self.has_upgrade = true,
            10 if is(b"connection") || is(b"keep-alive") => {}
            14 if is(b"content-length") => {
                self.content_length = Some(content_length(value).ok_or(Foreign)?);
            }
            16 if is(b"proxy-connection") => {}
            17 if is(b"transfer-encoding") => self.is_chunked = true,
            _ => return Ok(true),
        }
        Ok(false)
    }

    /// The request towards a backend (RFC 9113, section 8.3.1). `text` is what its lines were found in.
    pub fn write_request(
        &self,
        text: &[u8],
        scheme: &str,
        encoder: &mut Encoder,
        out: &mut Vec<u8>,
    ) {
        let (method, target) = self.places;
        let of = |start: usize, end: usize| text.get(start..end).unwrap_or_default();
        encoder.lower(b":method", of(0, method), out);
        encoder.lower(b":scheme", scheme.as_bytes(), out);
        let Some(((_, name, end), rest)) = self.lines.split_first() else {
            return;
        };
        let authority = of(*name + 1, *end).trim_ascii();
        if !authority.is_empty() {
            encoder.lower(b":authority", authority, out);
        }
        encoder.lower(b":path", of(method + 1, target), out);
        write_lines(rest, text, encoder, out);
        if let Some(length) = self.content_length {
            write_length(length, encoder, out);
        }
        if self.takes_trailers {
            encoder.lower(b"te", b"trailers", out);
        }
    }

    /// The response towards a client (RFC 9113, section 8.3.2). `text` is what its lines were found in.
    pub fn write_response(&self, text: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
        write_status(self.status, encoder, out);
        write_lines(&self.lines, text, encoder, out);
        if let Some(length) = self.content_length {
            write_length(length, encoder, out);
        }
    }

    /// What was a 101 in HTTP/1, as the answer to an extended CONNECT (RFC 8441, section 5).
    pub fn write_switched(&self, text: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
        write_status(200, encoder, out);
        for line in &self.lines {
            let name = text.get(line.0..line.1).unwrap_or_default();
            if !name.eq_ignore_ascii_case(b"sec-websocket-accept") {
                write_lines(std::slice::from_ref(line), text, encoder, out);
            }
        }
    }
}

fn write_lines(
    lines: &[(usize, usize, usize)],
    text: &[u8],
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) {
    for (start, colon, end) in lines {
        let name = text.get(*start..*colon).unwrap_or_default();
        let value = text.get(*colon + 1..*end).unwrap_or_default();
        encoder.field(name, value.trim_ascii(), out);
    }
}

/// Trailers, from field lines that our parser has written.
pub fn write_trailers(lines: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        encoder.field(name, value, out);
    }
}

fn write_status(status: u16, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let mut room = [0; DIGITS];
    encoder.lower(b":status", digits(status.into(), &mut room), out);
}

fn write_length(length: u64, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let mut room = [0; DIGITS];
    encoder.lower(b"content-length", digits(length, &mut room), out);
}
