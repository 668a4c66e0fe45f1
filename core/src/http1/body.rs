//! One body on its way: read in its sender's framing, written in its receiver's (RFC 9112, sections 6
//! and 7). Owns where the body ends; when to read, and how much, is the caller's.

use super::chunked::{Decoder, Event};
use super::encode;
use super::field::{self, FieldError};
use super::framing::Framing;
use crate::grpc::web::{NotBase64, Recode};

/// Why a body can't be carried on. Its connection is of no more use, at either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("chunk size is not 1 to 16 hexadecimal digits")]
    ChunkSize,
    #[error("chunk extension has a control character")]
    Extension,
    #[error("chunk extensions too large")]
    ExtensionsTooLarge,
    #[error("chunk line does not end in CRLF")]
    LineEnd,
    #[error("chunk is longer than its size says")]
    ChunkEnd,
    #[error("trailer: {0}")]
    Trailer(FieldError),
    #[error("trailers too many or too large")]
    TrailersTooLarge,
    #[error("connection closed before the body's end")]
    Truncated,
    #[error("body is not as long as was announced to its receiver")]
    Length,
    #[error(transparent)]
    NotBase64(#[from] NotBase64),
}

/// A body between two connections.
///
/// The caller's loop: [`pump`](Self::pump) what there is (even if that is nothing: an empty body may
/// still need its last chunk written), send what it wrote, stop at [`is_done`](Self::is_done), read more.
#[derive(Clone, Debug)]
pub struct Relay {
    source: Source,
    sink: Sink,
    stage: Stage,
    /// Bytes left of the body ([`Source::Length`]) or of the present chunk.
    left: u64,
    received: u64,
    recoding: Option<Box<Recoding>>,
}

/// Of a body whose bytes change on their way: its receiver's framing, which is written around what comes
/// out.
#[derive(Clone, Debug)]
struct Recoding {
    recode: Recode,
    is_chunked: bool,
    /// As far as they came.
    trailers: Vec<u8>,
}

impl Recoding {
    /// Appends what `bytes` become, and the end behind them if `is_last`.
    fn write(&mut self, bytes: &[u8], is_last: bool, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let mut recoded = Vec::new();
        self.recode.bytes(bytes, &mut recoded)?;
        if is_last {
            self.recode.end(&self.trailers, &mut recoded)?;
        }
        if !self.is_chunked {
            out.append(&mut recoded);
            return Ok(());
        }
        if !recoded.is_empty() {
            encode::chunk_start(out, recoded.len() as u64);
            out.append(&mut recoded);
            encode::chunk_end(out);
        }
        if is_last {
            encode::last_chunk(out);
            encode::head_end(out);
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Source {
    Length,
    Chunked(Decoder),
    UntilClose,
}

#[derive(Clone, Copy, Debug)]
enum Sink {
    /// To nobody: the body is only read to its end.
    Discard,
    /// As it is. `left` is what was announced and is still to come.
    Raw { left: Option<u64> },
    /// In chunks as long as the sender's, so that their bytes can be sent on untouched.
    Chunked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Before the first byte of a body of known length.
    Start,
    /// Within the body's bytes.
    Data,
    /// Within framing bytes: chunked only.
    Framing,
    /// Behind the last chunk: chunked only.
    Trailers,
    Done,
}

impl Relay {
    /// `to` is what the receiver was told; [`Framing::None`] discards the body.
    #[must_use]
    pub fn new(from: Framing, to: Framing) -> Self {
        let (source, stage, left) = match from {
            Framing::None => (Source::Length, Stage::Start, 0),
            Framing::Length(length) => (Source::Length, Stage::Start, length),
            Framing::Chunked => (Source::Chunked(Decoder::default()), Stage::Framing, 0),
            Framing::UntilClose => (Source::UntilClose, Stage::Data, u64::MAX),
        };
        let sink = match to {
            Framing::None => Sink::Discard,
            Framing::Length(length) => Sink::Raw { left: Some(length) },
            Framing::UntilClose => Sink::Raw { left: None },
            Framing::Chunked => Sink::Chunked,
        };
        let nothing_to_do = from.is_empty()
            && matches!(
                sink,
                Sink::Discard
                    | Sink::Raw {
                        left: None | Some(0)
                    }
            );
        let stage = if nothing_to_do { Stage::Done } else { stage };
        Self {
            source,
            sink,
            stage,
            left,
            received: 0,
            recoding: None,
        }
    }

    /// A body that isn't empty, of which `recode` changes the bytes: `to` is [`Framing::Chunked`] or
    /// [`Framing::UntilClose`], for nobody knows its length before its end.
    #[must_use]
    pub fn recoding(from: Framing, to: Framing, recode: Recode) -> Self {
        let recoding = Recoding {
            recode,
            is_chunked: to == Framing::Chunked,
            trailers: Vec::new(),
        };
        Self {
            recoding: Some(Box::new(recoding)),
            ..Self::new(from, Framing::UntilClose)
        }
    }

    /// A body that is read and thrown away, so that the next request can be read.
    #[must_use]
    pub fn discard(from: Framing) -> Self {
        Self::new(from, Framing::None)
    }

    /// The same body from here on to nobody: for a local reply in the middle of an upload.
    #[must_use]
    pub fn into_discard(self) -> Self {
        let ended = self.stage == Stage::Start && self.left == 0;
        let stage = if ended { Stage::Done } else { self.stage };
        Self {
            sink: Sink::Discard,
            stage,
            recoding: None,
            ..self
        }
    }

    /// Whether the body was carried over whole, its end included.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Bytes of the body so far, framing not counted.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Reads from the front of `input` and appends to `out`: about `room` bytes, for the framing around a
    /// piece of the body goes with it. Gives how many bytes of `input` were used: at least one of a body
    /// that goes on, and all unless `room` ran out or the body ended before them.
    ///
    /// # Errors
    /// When the sender breaks its framing, or the body is not as long as the receiver was told. What was
    /// appended up to there may be sent, but never ends the body for the receiver.
    pub fn pump(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<usize, BodyError> {
        match self.recoding.take() {
            None => self.pump_apart(input, out, room, &mut Vec::new()),
            Some(mut recoding) => {
                let used = self.pump_recoding(&mut recoding, input, out, room);
                self.recoding = Some(recoding);
                used
            }
        }
    }

    fn pump_recoding(
        &mut self,
        recoding: &mut Recoding,
        input: &[u8],
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<usize, BodyError> {
        if self.is_done() {
            return Ok(0);
        }
        let mut bytes = Vec::new();
        let used = self.pump_apart(input, &mut bytes, room, &mut recoding.trailers)?;
        recoding.write(&bytes, self.is_done(), out)?;
        Ok(used)
    }

    /// As [`pump`](Self::pump), for a receiver with a framing of its own (HTTP/2): [`Framing::UntilClose`] to
    /// us. Trailers that may be passed on are appended to `trailers` as field lines.
    ///
    /// # Errors
    /// As [`pump`](Self::pump).
    pub fn pump_apart(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        room: usize,
        trailers: &mut Vec<u8>,
    ) -> Result<usize, BodyError> {
        let out_max = out.len().saturating_add(room.max(1));
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let step = match self.stage {
                Stage::Done => break,
                Stage::Start => self.start(out)?,
                Stage::Framing | Stage::Trailers if rest.is_empty() => break,
                Stage::Framing | Stage::Trailers => self.read_framing(rest, out, trailers)?,
                Stage::Data if self.left == 0 => self.end_run(out)?,
                Stage::Data if rest.is_empty() => break,
                Stage::Data => {
                    let room_left = out_max
                        .saturating_sub(out.len())
                        .max(usize::from(used == 0));
                    match self.copy(rest, out, room_left)? {
                        0 => break,
                        copied => copied,
                    }
                }
            };
            used += step;
        }
        Ok(used)
    }

    /// Reads framing alone from the front of `input`, up to bytes of the body or to its end, for a receiver with
    /// a framing of its own: what is then [`verbatim`](Self::verbatim) is sent on. Gives how many bytes of `input`
    /// were used; trailers are appended to `trailers`.
    ///
    /// # Errors
    /// As [`pump`](Self::pump).
    pub fn read_framing_alone(
        &mut self,
        input: &[u8],
        trailers: &mut Vec<u8>,
    ) -> Result<usize, BodyError> {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            match self.stage {
                Stage::Framing | Stage::Trailers if !rest.is_empty() => {
                    used += self.read_framing(rest, &mut Vec::new(), trailers)?;
                }
                Stage::Data if self.left == 0 => drop(self.end_run(&mut Vec::new())?),
                _ => return Ok(used),
            }
        }
    }

    /// How many bytes at the front of an input of `input_len` bytes may be sent on as they are, without
    /// [`pump`](Self::pump). Call [`advance`](Self::advance) with what was sent. With [`usize::MAX`] it
    /// tells how much may be moved from socket to socket unseen.
    #[must_use]
    pub fn verbatim(&self, input_len: usize) -> usize {
        let can_pass = match (&self.source, self.sink) {
            (Source::Length, Sink::Raw { left }) => left == Some(self.left) || left.is_none(),
            (Source::UntilClose, Sink::Raw { left }) => left.is_none(),
            (Source::Chunked(_), Sink::Chunked) => true,
            (Source::Chunked(_), Sink::Raw { left }) => left.is_none(),
            _ => false,
        };
        let is_recoded = self.recoding.is_some();
        if is_recoded || !can_pass || !matches!(self.stage, Stage::Data | Stage::Start) {
            return 0;
        }
        usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(input_len)
    }

    /// After `n` bytes, at most what [`verbatim`](Self::verbatim) gave, were sent on as they are.
    pub fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.verbatim(n));
        self.stage = if self.stage == Stage::Start {
            Stage::Data
        } else {
            self.stage
        };
        self.count(n as u64);
        if let Sink::Raw { left: Some(left) } = &mut self.sink {
            *left = left.saturating_sub(n as u64);
        }
        if self.left == 0 && matches!(self.source, Source::Length) {
            self.stage = Stage::Done;
        }
    }

    /// The sender has closed its side. That ends a body of [`Framing::UntilClose`], and the last chunk
    /// is written if the receiver gets chunks.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] when the body is not whole: the receiver must be told by a close.
    pub fn end_of_stream(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        match (self.stage, &self.source) {
            (Stage::Done, _) => Ok(()),
            (_, Source::UntilClose) => {
                self.finish(out)?;
                let recoding = self.recoding.as_mut();
                recoding.map_or(Ok(()), |recoding| recoding.write(&[], true, out))
            }
            (Stage::Start, _) if self.left == 0 => self.pump(&[], out, 0).map(drop),
            _ => Err(BodyError::Truncated),
        }
    }

    /// Ends the body for the receiver though the sender hasn't, with trailers (field lines) that say why. False:
    /// only a close can tell, for the receiver gets no chunks, or is in the middle of one.
    pub fn end_early(&mut self, trailers: &[u8], out: &mut Vec<u8>) -> bool {
        let is_at_end = self.stage == Stage::Data && self.left == 0;
        let is_between = match self.source {
            Source::Chunked(_) => self.stage == Stage::Framing || is_at_end,
            Source::UntilClose => self.stage == Stage::Data,
            Source::Length => false,
        };
        let can_end = is_between && self.recoding.is_none() && matches!(self.sink, Sink::Chunked);
        if can_end {
            if is_at_end {
                encode::chunk_end(out);
            }
            encode::last_chunk(out);
            out.extend_from_slice(trailers);
            encode::head_end(out);
            self.stage = Stage::Done;
        }
        can_end
    }

    fn start(&mut self, out: &mut Vec<u8>) -> Result<usize, BodyError> {
        if self.left == 0 {
            self.finish(out)?;
        } else {
            self.begin_run(self.left, out);
        }
        Ok(0)
    }

    fn begin_run(&mut self, size: u64, out: &mut Vec<u8>) {
        self.left = size;
        self.stage = Stage::Data;
        if let Sink::Chunked = self.sink {
            encode::chunk_start(out, size);
        }
    }

    fn end_run(&mut self, out: &mut Vec<u8>) -> Result<usize, BodyError> {
        if let Sink::Chunked = self.sink {
            encode::chunk_end(out);
        }
        match &mut self.source {
            Source::Chunked(decoder) => {
                decoder.chunk_done();
                self.stage = Stage::Framing;
            }
            Source::Length | Source::UntilClose => self.finish(out)?,
        }
        Ok(0)
    }

    /// The end of the body, for a receiver that gets no trailers from its sender.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        if let Sink::Raw { left: Some(1..) } = self.sink {
            return Err(BodyError::Length);
        }
        if let Sink::Chunked = self.sink {
            encode::last_chunk(out);
            encode::head_end(out);
        }
        self.stage = Stage::Done;
        Ok(())
    }

    fn copy(&mut self, rest: &[u8], out: &mut Vec<u8>, room: usize) -> Result<usize, BodyError> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let wanted = rest.len().min(left);
        let taken = if let Sink::Discard = self.sink {
            wanted
        } else {
            wanted.min(room)
        };
        let bytes = rest.get(..taken).unwrap_or_default();
        self.count(taken as u64);
        match &mut self.sink {
            Sink::Discard => {}
            Sink::Raw { left: Some(left) } => {
                *left = left.checked_sub(taken as u64).ok_or(BodyError::Length)?;
                out.extend_from_slice(bytes);
            }
            // A stream has no chunks of its own: each turn's bytes make one.
            Sink::Chunked if matches!(self.source, Source::UntilClose) && taken > 0 => {
                encode::chunk_start(out, taken as u64);
                out.extend_from_slice(bytes);
                encode::chunk_end(out);
            }
            Sink::Raw { left: None } | Sink::Chunked => out.extend_from_slice(bytes),
        }
        Ok(taken)
    }

    fn count(&mut self, taken: u64) {
        self.received = self.received.saturating_add(taken);
        if !matches!(self.source, Source::UntilClose) {
            self.left = self.left.saturating_sub(taken);
        }
    }

    fn read_framing(
        &mut self,
        rest: &[u8],
        out: &mut Vec<u8>,
        trailers: &mut Vec<u8>,
    ) -> Result<usize, BodyError> {
        let Source::Chunked(decoder) = &mut self.source else {
            return Ok(0);
        };
        let (used, event) = decoder.read(rest, self.received)?;
        match event {
            Event::More => {}
            Event::Chunk(size) => self.begin_run(size, out),
            Event::Last => self.last_chunk(out)?,
            Event::Trailer => {
                let line = decoder.line(rest.get(..used).unwrap_or_default());
                match self.sink {
                    Sink::Chunked => write_trailer(line, out)?,
                    Sink::Raw { left: None } => write_trailer(line, trailers)?,
                    _ => write_trailer(line, &mut Vec::new())?,
                }
            }
            Event::End => {
                if let Sink::Chunked = self.sink {
                    encode::head_end(out);
                }
                self.stage = Stage::Done;
            }
        }
        Ok(used)
    }

    fn last_chunk(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        self.stage = Stage::Trailers;
        match self.sink {
            Sink::Raw { left: Some(1..) } => return Err(BodyError::Length),
            Sink::Chunked => encode::last_chunk(out),
            Sink::Raw { .. } | Sink::Discard => {}
        }
        Ok(())
    }
}

/// Written behind a trailer's colon, where its sender may have left it out.
const SPACE: usize = 1;

/// A trailer goes on if it is one that may be a trailer at all.
fn write_trailer(line: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
    let parsed = field::parse_line(line, 0).map_err(BodyError::Trailer)?;
    let Some((trailer, _)) = parsed else {
        return Err(BodyError::LineEnd);
    };
    if trailer.id.may_trail() {
        out.reserve(line.len() + SPACE);
        encode::field_copy(out, &trailer, line);
    }
    Ok(())
}
