//! The framing bytes of a chunked body (RFC 9112, section 7.1), read one by one as they come. Owns
//! sizes, extensions (dropped) and trailer lines; the chunks' bytes themselves are `body`'s.

use memchr::memchr;

use super::body::BodyError;
use super::token::{hex_digit, is_value_byte};
use crate::limits::{
    CHUNK_EXTENSION_BYTES, CHUNK_EXTENSIONS_BYTES, CHUNK_SIZE_DIGITS, TRAILER_BYTES, TRAILER_FIELDS,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Decoder {
    state: State,
    extensions_bytes: u64,
    trailer_bytes: u32,
    trailer_fields: u32,
    /// A trailer line that came in parts, until it is whole: the sender's splits don't matter.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Size { digits: u8, size: u64 },
    Extension { size: u64, bytes: u32 },
    SizeLf { size: u64 },
    DataCr,
    DataLf,
    TrailerLine,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { digits: 0, size: 0 }
    }
}

/// What the bytes that were read said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing whole yet, and the input is used up.
    More,
    /// So many bytes of the body follow, at least 1; tell [`Decoder::chunk_done`] when they are read.
    Chunk(u64),
    /// The last chunk's line; trailer lines follow.
    Last,
    /// A trailer line: see [`Decoder::line`].
    Trailer,
    /// The body's end.
    End,
}

impl Decoder {
    /// The trailer line of the last [`Event::Trailer`], with its CRLF; `part` is what was read for that.
    pub(super) fn line<'l>(&'l self, part: &'l [u8]) -> &'l [u8] {
        match &*self.line {
            [] => part,
            line => line,
        }
    }

    pub(super) fn chunk_done(&mut self) {
        self.state = State::DataCr;
    }

    /// Reads framing bytes from the front of `input` until something is whole; `received` is the size
    /// of the body so far. Gives how many bytes were read.
    pub(super) fn read(
        &mut self,
        input: &[u8],
        received: u64,
    ) -> Result<(usize, Event), BodyError> {
        if let State::TrailerLine = self.state {
            return self.read_trailer(input);
        }
        for (place, &byte) in input.iter().enumerate() {
            self.state = self.step(byte, received)?;
            if let State::SizeLf { size } = self.state
                && byte == b'\n'
            {
                return Ok((place + 1, self.begin_chunk(size)));
            }
        }
        Ok((input.len(), Event::More))
    }

    fn begin_chunk(&mut self, size: u64) -> Event {
        if size == 0 {
            self.state = State::TrailerLine;
            return Event::Last;
        }
        Event::Chunk(size)
    }

    fn step(&mut self, byte: u8, received: u64) -> Result<State, BodyError> {
        match (self.state, byte) {
            (State::Size { digits, size }, _) => size_step(digits, size, byte),
            (State::Extension { size, .. }, b'\r') => Ok(State::SizeLf { size }),
            (State::Extension { size, bytes }, _) if is_value_byte(byte) => {
                self.extensions_bytes += 1;
                let message_max = CHUNK_EXTENSIONS_BYTES.saturating_add(received / 8);
                if bytes >= CHUNK_EXTENSION_BYTES || self.extensions_bytes > message_max {
                    return Err(BodyError::ExtensionsTooLarge);
                }
                Ok(State::Extension {
                    size,
                    bytes: bytes + 1,
                })
            }
            (State::Extension { .. }, _) => Err(BodyError::Extension),
            (State::SizeLf { .. }, b'\n') => Ok(self.state),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::default()),
            (State::DataCr | State::DataLf, _) => Err(BodyError::ChunkEnd),
            (State::SizeLf { .. } | State::TrailerLine, _) => Err(BodyError::LineEnd),
        }
    }

    fn read_trailer(&mut self, input: &[u8]) -> Result<(usize, Event), BodyError> {
        if self.line.ends_with(b"\n") {
            self.line.clear();
        }
        let newline = memchr(b'\n', input);
        let taken = newline.map_or(input.len(), |place| place + 1);
        self.trailer_bytes = self
            .trailer_bytes
            .saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
        if self.trailer_bytes > TRAILER_BYTES {
            return Err(BodyError::TrailersTooLarge);
        }
        let part = input.get(..taken).unwrap_or_default();
        // One that came as a whole is read where it lies.
        if newline.is_none() || !self.line.is_empty() {
            self.line.extend_from_slice(part);
        }
        if newline.is_none() {
            return Ok((taken, Event::More));
        }
        if self.line(part) == b"\r\n" {
            return Ok((taken, Event::End));
        }
        self.trailer_fields += 1;
        if self.trailer_fields > TRAILER_FIELDS {
            return Err(BodyError::TrailersTooLarge);
        }
        Ok((taken, Event::Trailer))
    }
}

fn size_step(digits: u8, size: u64, byte: u8) -> Result<State, BodyError> {
    if let Some(digit) = hex_digit(byte) {
        if digits == CHUNK_SIZE_DIGITS {
            return Err(BodyError::ChunkSize);
        }
        return Ok(State::Size {
            digits: digits + 1,
            size: size << 4 | u64::from(digit),
        });
    }
    match byte {
        _ if digits == 0 => Err(BodyError::ChunkSize),
        b'\r' => Ok(State::SizeLf { size }),
        b';' => Ok(State::Extension { size, bytes: 0 }),
        _ => Err(BodyError::ChunkSize),
    }
}
