//! A request's head as it comes from a client (RFC 9113, section 8.3.1; extended CONNECT: RFC 8441).

use super::{HeadError, HeadLimits, SectionReader, Tally, check, note_length};
use crate::grpc::Carriage;
use crate::http1::field::{is_name, is_value};
use crate::http1::{Field, FieldId, Framing, HEAD_BYTES_MAX, Method, Span, encode};

/// What a connection keeps for pseudo-fields, and for cookies.
const SCRATCH: usize = 4 << 10;

/// Writes a request's head in HTTP/1.1 as its fields come. Meant to be used again for the next one, so that its
/// memory is allocated once.
#[derive(Debug, Default)]
pub struct RequestReader {
    tally: Tally,
    /// Where in `out` the head begins.
    start: usize,
    /// Where in the head they stand, for who reads it.
    fields: Vec<Field>,
    /// What is wrong first.
    error: Option<HeadError>,
    refusal: Option<Refusal>,
    /// The values of all pseudo-fields.
    pseudo: Vec<u8>,
    /// Where each of them stands there.
    places: [Option<(usize, usize)>; PSEUDO.len()],
    has_line: bool,
    content_length: Option<u64>,
    grpc: Option<Carriage>,
    /// All crumbs, joined (RFC 9113, section 8.2.3).
    cookie: Vec<u8>,
    has_cookie: bool,
}

#[derive(Clone, Copy)]
enum Pseudo {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
}

const PSEUDO: [(&[u8], Pseudo); 5] = [
    (b":method", Pseudo::Method),
    (b":scheme", Pseudo::Scheme),
    (b":authority", Pseudo::Authority),
    (b":path", Pseudo::Path),
    (b":protocol", Pseudo::Protocol),
];

/// What a head says beside its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// As the client has it: CONNECT where the text asks for another protocol with GET, which is what is answered.
    pub method: Method,
    /// Another protocol on this stream (RFC 8441): all bytes behind the head are its own.
    pub is_tunnel: bool,
    /// Of the body: the bytes of all DATA frames must be as many (RFC 9113, section 8.1.1).
    pub content_length: Option<u64>,
    /// How the body is to be written behind the text: [`Framing::UntilClose`] as it comes, as the text says its
    /// length or it is a tunnel's.
    pub framing: Framing,
    /// How a request of gRPC is carried; none: it is another.
    pub grpc: Option<Carriage>,
    /// The stream gets an answer of this status instead of the request going on; there is no text then.
    pub refusal: Option<Refusal>,
}

/// Why a request whose head is one of HTTP/2 is refused all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("Host differs from :authority")]
    Authority,
    #[error("headers too large, or too many")]
    TooLarge,
}

impl Refusal {
    /// The answer's status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Authority => 400,
            Self::TooLarge => 431,
        }
    }
}

impl SectionReader for RequestReader {
    fn begin(&mut self, limits: HeadLimits, out: &[u8]) {
        let (mut pseudo, mut cookie, mut fields) = (
            std::mem::take(&mut self.pseudo),
            std::mem::take(&mut self.cookie),
            std::mem::take(&mut self.fields),
        );
        fields.clear();
        for kept in [&mut pseudo, &mut cookie] {
            kept.clear();
            kept.shrink_to(SCRATCH);
        }
        *self = Self {
            tally: Tally::new(limits),
            start: out.len(),
            pseudo,
            cookie,
            fields,
            ..Self::default()
        };
    }

    #[inline]
    fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        if !self.tally.add(name, value) {
            self.refusal = Some(Refusal::TooLarge);
        }
        if self.error.is_some() || self.refusal == Some(Refusal::TooLarge) {
            return;
        }
        let taken = match name.first() {
            Some(b':') => self.pseudo(name, value),
            _ => self.regular(name, value, out),
        };
        self.error = taken.err();
    }

    fn list_bytes(&self) -> usize {
        self.tally.bytes
    }
}

impl RequestReader {
    /// Gives the places of the last head's fields away: see [`crate::http1::conclude_request`].
    pub const fn swap_fields(&mut self, fields: &mut Vec<Field>) {
        std::mem::swap(&mut self.fields, fields);
    }

    /// Appends a field.
    #[inline]
    fn put(&mut self, (id, name): (FieldId, &[u8]), value: &[u8], out: &mut Vec<u8>) {
        let start = out.len() - self.start;
        encode::field(out, name, value);
        let value_end = out.len() - self.start - encode::CRLF.len();
        if value_end > HEAD_BYTES_MAX {
            self.refusal = Some(Refusal::TooLarge);
            return;
        }
        self.fields.push(Field {
            id,
            name: Span::new(start, start + name.len()),
            value: Span::new(value_end - value.len(), value_end),
        });
    }

    /// Ends the head; `is_whole`: the stream, too, so that there is neither a body nor trailers. `key` makes a
    /// fresh `Sec-WebSocket-Key`, for backends of HTTP/1 (RFC 6455, section 4.1).
    ///
    /// # Errors
    /// When the head is malformed: the stream is to be reset with `PROTOCOL_ERROR`.
    pub fn finish(
        &mut self,
        is_whole: bool,
        key: impl FnOnce() -> String,
        out: &mut Vec<u8>,
    ) -> Result<RequestFacts, HeadError> {
        let written = match (self.error, self.refusal) {
            (Some(error), _) => Err(error),
            (None, Some(Refusal::TooLarge)) => Ok(()),
            (None, _) => self.write_end(is_whole, key, out),
        };
        if written.is_err() || self.refusal.is_some() {
            out.truncate(self.start);
        }
        written?;
        let method = Method::from_text(self.of(Pseudo::Method).unwrap_or_default());
        let is_tunnel = self.of(Pseudo::Protocol).is_some();
        let framing = match self.content_length {
            _ if is_tunnel => Framing::UntilClose,
            _ if is_whole => Framing::None,
            Some(_) => Framing::UntilClose,
            None => Framing::Chunked,
        };
        Ok(RequestFacts {
            method,
            is_tunnel,
            content_length: self.content_length,
            framing,
            grpc: self.grpc.filter(|_| method == Method::Post),
            refusal: self.refusal,
        })
    }

    fn of(&self, pseudo: Pseudo) -> Option<&[u8]> {
        let (start, end) = (*self.places.get(pseudo as usize)?)?;
        self.pseudo.get(start..end)
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        if self.has_line {
            return Err(HeadError::LatePseudo);
        }
        let known = PSEUDO.iter().find(|(known, _)| *known == name);
        let (_, pseudo) = known.ok_or(HeadError::UnknownPseudo)?;
        let place = self.places.get_mut(*pseudo as usize);
        let place = place.ok_or(HeadError::UnknownPseudo)?;
        if place.is_some() {
            return Err(HeadError::RepeatedPseudo);
        }
        check_pseudo(*pseudo, value)?;
        let start = self.pseudo.len();
        self.pseudo.extend_from_slice(value);
        *place = Some((start, self.pseudo.len()));
        Ok(())
    }

    fn regular(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), HeadError> {
        if !self.has_line {
            self.write_line(out)?;
        }
        let id = check(name, value)?;
        match id {
            FieldId::Host => return self.host(value, out),
            FieldId::Cookie => {
                if self.has_cookie {
                    self.cookie.extend_from_slice(b"; ");
                }
                self.has_cookie = true;
                self.cookie.extend_from_slice(value);
                return Ok(());
            }
            // CONNECT has no content (RFC 9110, section 9.3.6).
            FieldId::ContentLength if self.of(Pseudo::Protocol).is_some() => return Ok(()),
            FieldId::ContentLength if !note_length(&mut self.content_length, value)? => {
                return Ok(());
            }
            FieldId::ContentType => self.grpc = self.grpc.or_else(|| Carriage::of(value)),
            _ => {}
        }
        self.put((id, name), value, out);
        Ok(())
    }

    /// Stands for `:authority` if there is none; our parser refuses a second one.
    fn host(&mut self, value: &[u8], out: &mut Vec<u8>) -> Result<(), HeadError> {
        match self.of(Pseudo::Authority) {
            Some(authority) if authority.eq_ignore_ascii_case(value) => {}
            Some(_) => self.refusal = Some(Refusal::Authority),
            None => self.put((FieldId::Host, b"host"), value, out),
        }
        Ok(())
    }

    /// The request line and `Host`, when all pseudo-fields are there (RFC 9113, section 8.3.1 and 8.5).
    fn write_line(&mut self, out: &mut Vec<u8>) -> Result<(), HeadError> {
        self.has_line = true;
        let missing = HeadError::MissingPseudo;
        let method = self.of(Pseudo::Method).ok_or(missing)?;
        let (scheme, path) = (self.of(Pseudo::Scheme), self.of(Pseudo::Path));
        let authority = self.of(Pseudo::Authority);
        let (method, target) = match (method, self.of(Pseudo::Protocol)) {
            (b"CONNECT", None) if scheme.or(path).is_some() => {
                return Err(HeadError::UnwantedPseudo);
            }
            (b"CONNECT", None) => (method, authority.ok_or(missing)?),
            (_, Some(_)) if method != b"CONNECT" => return Err(HeadError::UnwantedPseudo),
            (_, protocol) => {
                let path = path.filter(|_| scheme.is_some()).ok_or(missing)?;
                if path.first() != Some(&b'/') && (method, path) != (b"OPTIONS", b"*") {
                    return Err(HeadError::Path);
                }
                let method = protocol.map_or(method, |_| b"GET");
                (method, path)
            }
        };
        encode::request_line(out, method, target, None);
        if authority.is_some() {
            let pseudo = std::mem::take(&mut self.pseudo);
            let place = self.places.get(Pseudo::Authority as usize).copied();
            let (start, end) = place.flatten().unwrap_or_default();
            let authority = pseudo.get(start..end).unwrap_or_default();
            self.put((FieldId::Host, b"host"), authority, out);
            self.pseudo = pseudo;
        }
        Ok(())
    }

    fn write_end(
        &mut self,
        is_whole: bool,
        key: impl FnOnce() -> String,
        out: &mut Vec<u8>,
    ) -> Result<(), HeadError> {
        if !self.has_line {
            self.write_line(out)?;
        }
        if is_whole && self.content_length.is_some_and(|length| length > 0) {
            return Err(HeadError::NoBody);
        }
        if self.has_cookie {
            let cookie = std::mem::take(&mut self.cookie);
            self.put((FieldId::Cookie, b"cookie"), &cookie, out);
            self.cookie = cookie;
        }
        if let Some(protocol) = self.of(Pseudo::Protocol).map(<[u8]>::to_vec) {
            self.put((FieldId::Connection, b"connection"), b"upgrade", out);
            self.put((FieldId::Upgrade, b"upgrade"), &protocol, out);
            if protocol.eq_ignore_ascii_case(b"websocket") {
                let name = b"sec-websocket-key";
                self.put((FieldId::of(name), name), key().as_bytes(), out);
            }
        } else if !is_whole && self.content_length.is_none() {
            let name = b"transfer-encoding";
            self.put((FieldId::TransferEncoding, name), b"chunked", out);
        }
        encode::head_end(out);
        Ok(())
    }
}

/// That each stays what it is when it stands in HTTP/1; what else it must be is seen there.
fn check_pseudo(pseudo: Pseudo, value: &[u8]) -> Result<(), HeadError> {
    let is_line_part = || !value.contains(&b' ') && !value.contains(&b'\t') && is_value(value);
    let (is_good, error) = match pseudo {
        Pseudo::Method => (is_name(value), HeadError::Method),
        Pseudo::Protocol => (is_name(value), HeadError::Protocol),
        Pseudo::Scheme => (is_scheme(value), HeadError::Scheme),
        Pseudo::Authority => (!value.is_empty() && is_line_part(), HeadError::Authority),
        Pseudo::Path => (!value.is_empty() && is_line_part(), HeadError::Path),
    };
    is_good.then_some(()).ok_or(error)
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &[u8]) -> bool {
    let is_mark = |byte: &u8| matches!(byte, b'+' | b'-' | b'.');
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte))
}
