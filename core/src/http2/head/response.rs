//! A response's head as it comes from a backend (RFC 9113, sections 8.1 and 8.3.2), and trailers of either side.

use super::{HeadError, HeadLimits, SectionReader, Tally, check, note_length};
use crate::http1::framing::content_length;
use crate::http1::{FieldId, Framing, Method, encode};

/// Writes a response's head in HTTP/1.1 as its fields come.
#[derive(Debug, Default)]
pub struct ResponseReader {
    tally: Tally,
    /// Where in `out` the head begins.
    start: usize,
    /// What is wrong first.
    error: Option<HeadError>,
    status: Option<u16>,
    content_length: Option<u64>,
}

/// What a head says beside its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFacts {
    pub status: u16,
    /// The final one is still to come.
    pub is_interim: bool,
    /// Of the body that follows, if any: the bytes of all DATA frames must be as many (RFC 9113, section 8.1.1).
    pub content_length: Option<u64>,
    /// How the body is to be written behind the text: [`Framing::UntilClose`] as it comes, as the text says its
    /// length.
    pub framing: Framing,
}

impl SectionReader for ResponseReader {
    fn begin(&mut self, limits: HeadLimits, out: &[u8]) {
        *self = Self {
            tally: Tally::new(limits),
            start: out.len(),
            ..Self::default()
        };
    }

    #[inline]
    fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let is_within = self.tally.add(name, value);
        if self.error.is_some() {
            return;
        }
        let taken = match name {
            _ if !is_within => Err(HeadError::TooLarge),
            [b':', ..] => self.pseudo(name, value, out),
            _ => self.regular(name, value, out),
        };
        self.error = taken.err();
    }

    fn list_bytes(&self) -> usize {
        self.tally.bytes
    }
}

impl ResponseReader {
    /// Ends the head; `is_whole`: the stream, too, so that there is neither a body nor trailers. `request` is
    /// the method that is answered. Nothing on a stream becomes another protocol by 101 (RFC 9113, section 8.6):
    /// such a response has no text.
    ///
    /// # Errors
    /// When the head is malformed: the stream is to be reset with `PROTOCOL_ERROR`.
    pub fn finish(
        &mut self,
        is_whole: bool,
        request: Method,
        out: &mut Vec<u8>,
    ) -> Result<ResponseFacts, HeadError> {
        let facts = self.facts(is_whole, request);
        match facts {
            Ok(ResponseFacts { status: 101, .. }) | Err(_) => out.truncate(self.start),
            Ok(facts) => {
                if matches!(facts.framing, Framing::Length(_) | Framing::Chunked) {
                    encode::framing(out, facts.framing);
                }
                encode::head_end(out);
            }
        }
        facts
    }

    fn facts(&self, is_whole: bool, request: Method) -> Result<ResponseFacts, HeadError> {
        self.error.map_or(Ok(()), Err)?;
        let status = self.status.ok_or(HeadError::MissingPseudo)?;
        let is_interim = status < 200;
        if is_interim && is_whole {
            return Err(HeadError::LastInterim);
        }
        let may_have_body = request != Method::Head && !is_interim && !matches!(status, 204 | 304);
        let content_length = self.content_length.filter(|_| may_have_body);
        if is_whole && content_length.is_some_and(|length| length > 0) {
            return Err(HeadError::NoBody);
        }
        let framing = match content_length {
            _ if !may_have_body => Framing::None,
            // How long it is only matters to who reads it: our parser, which reads the field.
            Some(_) => Framing::UntilClose,
            None if is_whole => Framing::Length(0),
            None => Framing::Chunked,
        };
        Ok(ResponseFacts {
            status,
            is_interim,
            content_length,
            framing,
        })
    }

    /// `:status` is the only one (RFC 9113, section 8.3.2).
    fn pseudo(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), HeadError> {
        if name != b":status" {
            return Err(HeadError::UnknownPseudo);
        }
        if self.status.is_some() {
            return Err(HeadError::RepeatedPseudo);
        }
        let number = content_length(value).filter(|_| value.len() == 3);
        let status = number.and_then(|number| u16::try_from(number).ok());
        let status = status.filter(|status| *status >= 100);
        self.status = Some(status.ok_or(HeadError::Status)?);
        encode::status_line(out, self.status.unwrap_or_default());
        Ok(())
    }

    fn regular(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), HeadError> {
        if self.status.is_none() {
            return Err(HeadError::MissingPseudo);
        }
        let id = check(name, value)?;
        let is_needed =
            id != FieldId::ContentLength || note_length(&mut self.content_length, value)?;
        if is_needed {
            encode::field(out, name, value);
        }
        Ok(())
    }
}

/// Writes trailers as field lines as they come.
#[derive(Debug, Default)]
pub struct TrailersReader {
    tally: Tally,
    start: usize,
    error: Option<HeadError>,
}

impl SectionReader for TrailersReader {
    fn begin(&mut self, limits: HeadLimits, out: &[u8]) {
        *self = Self {
            tally: Tally::new(limits),
            start: out.len(),
            error: None,
        };
    }

    fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let is_within = self.tally.add(name, value);
        if self.error.is_some() {
            return;
        }
        let taken = match name {
            _ if !is_within => Err(HeadError::TooLarge),
            // RFC 9113, section 8.1.
            [b':', ..] => Err(HeadError::LatePseudo),
            _ => check(name, value).map(drop),
        };
        match taken {
            Ok(()) => encode::field(out, name, value),
            Err(error) => self.error = Some(error),
        }
    }

    fn list_bytes(&self) -> usize {
        self.tally.bytes
    }
}

impl TrailersReader {
    /// Ends the section.
    ///
    /// # Errors
    /// When it is malformed: the stream is to be reset with `PROTOCOL_ERROR`.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), HeadError> {
        let Some(error) = self.error else {
            return Ok(());
        };
        out.truncate(self.start);
        Err(error)
    }
}
