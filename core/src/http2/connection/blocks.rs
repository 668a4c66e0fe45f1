//! Heads and trailers that come, in one frame or in several (RFC 9113, sections 4.3, 6.2 and 8).

use super::receive::Out;
use super::{Connection, Event, Key, Request, Response, Role};
use crate::http1::{Framing, Method};
use crate::http2::frame::{self, Header, MAX_31_BITS};
use crate::http2::head::{HeadError, HeadLimits, SectionReader, TrailersReader};
use crate::http2::hpack::Decoder;
use crate::http2::reason::Reason;
use crate::limits::INTERIM_RESPONSES;

/// A block of which more is to come.
#[derive(Debug)]
pub(super) struct Block {
    header: Header,
    bytes: Vec<u8>,
}

impl Block {
    pub(super) const fn stream(&self) -> u32 {
        self.header.stream
    }
}

/// What of a peer's block is kept beyond twice the fields that it may be: more can't be good for anything.
const MORE: usize = 16 << 10;

/// How many times as much as allowed a head may be when it is decoded, before that is taken for an attack: a few
/// bytes can stand for a large field (RFC 7541, section 7.3).
const HOPELESS: usize = 16;

type Outcome<'i, T> = Result<Option<Event<'i, T>>, Reason>;

impl<T: Clone> Connection<T> {
    pub(super) fn receive_headers<'i>(
        &mut self,
        header: Header,
        payload: &[u8],
        out: &mut Out<'_>,
    ) -> Outcome<'i, T> {
        if header.stream == 0 {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let fragment = fragment(header, payload)?;
        if header.has(frame::END_HEADERS) {
            return self.receive_block(header, fragment, out);
        }
        self.block = Some(Block {
            header,
            bytes: fragment.to_vec(),
        });
        Ok(None)
    }

    pub(super) fn receive_continuation<'i>(
        &mut self,
        header: Header,
        payload: &[u8],
        out: &mut Out<'_>,
    ) -> Outcome<'i, T> {
        let Some(mut block) = self.block.take() else {
            return Err(Reason::PROTOCOL_ERROR);
        };
        let most = usize::try_from(self.config.head.header_bytes).unwrap_or(usize::MAX);
        if block.bytes.len() + payload.len() > most.saturating_mul(2).saturating_add(MORE) {
            return Err(Reason::ENHANCE_YOUR_CALM);
        }
        block.bytes.extend_from_slice(payload);
        if header.has(frame::END_HEADERS) {
            return self.receive_block(block.header, &block.bytes, out);
        }
        self.block = Some(block);
        Ok(None)
    }

    /// A whole block. It is decoded whatever it is for, or the tables would be out of step.
    fn receive_block<'i>(
        &mut self,
        header: Header,
        block: &[u8],
        out: &mut Out<'_>,
    ) -> Outcome<'i, T> {
        out.text.clear();
        let is_last = header.has(frame::END_STREAM);
        let id = header.stream;
        if let Some(key) = self.streams.key(id) {
            return self.receive_on(key, block, is_last, out);
        }
        let is_new = self.config.role == Role::Server && id % 2 == 1 && id > self.last;
        if is_new && !self.is_ignored(id) {
            self.last = id;
            return self.receive_request(id, block, is_last, out);
        }
        if !is_new && (id.is_multiple_of(2) || id > self.last) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        self.skip_block(block)?;
        match self.is_ignored(id) {
            true => Ok(None),
            false => Err(Reason::STREAM_CLOSED),
        }
    }

    fn skip_block(&mut self, block: &[u8]) -> Result<(), Reason> {
        let skipped = self.decoder.decode(block, |_, _| ());
        skipped.map_err(|_| Reason::COMPRESSION_ERROR)
    }

    fn receive_request<'i>(
        &mut self,
        id: u32,
        block: &[u8],
        is_last: bool,
        out: &mut Out<'_>,
    ) -> Outcome<'i, T> {
        let most = usize::try_from(self.config.streams).unwrap_or(usize::MAX);
        if self.streams.len() >= most {
            self.skip_block(block)?;
            // It may not know yet how many it may open, and nothing was done for it.
            self.refuse(id)?;
            return Ok(None);
        }
        let limits = self.head_limits();
        let (reader, text) = (&mut self.requests, &mut *out.text);
        read(&mut self.decoder, block, limits, reader, text)?;
        let facts = match reader.finish(is_last, out.key, text) {
            Ok(facts) => facts,
            Err(error) => return self.malformed(id, error),
        };
        let is_head = facts.method == Method::Head;
        let mut stream = self.stream(id, is_head);
        stream.has_head = true;
        stream.expected = facts.content_length;
        stream.has_received_all = is_last;
        let key = self.streams.insert(stream);
        let request = Request {
            framing: facts.framing,
            is_head,
            is_tunnel: facts.is_tunnel,
            refusal: facts.refusal,
            grpc: facts.grpc,
            is_last,
        };
        Ok(Some(Event::Request(key, request)))
    }

    fn head_limits(&self) -> HeadLimits {
        HeadLimits {
            list_bytes: self.config.head.header_bytes,
            fields: self.config.head.header_fields,
        }
    }

    /// What a stream says is wrong, which ends that stream.
    fn malformed<'i>(&mut self, id: u32, error: HeadError) -> Outcome<'i, T> {
        self.mistake = Some(error);
        self.end_for_error(id, Reason::PROTOCOL_ERROR)
    }

    /// Of a stream that is open: a response's head, or trailers.
    fn receive_on<'i>(
        &mut self,
        key: Key,
        block: &[u8],
        is_last: bool,
        out: &mut Out<'_>,
    ) -> Outcome<'i, T> {
        let Some(stream) = self.streams.get(key) else {
            return Ok(None);
        };
        let (has_head, is_over) = (stream.has_head, stream.has_received_all);
        let (tag, is_head_request) = (stream.tag.clone(), stream.is_head_request);
        let is_short = stream.expected.is_some_and(|left| left > 0);
        if is_over {
            self.skip_block(block)?;
            return self.end_for_error(key.id(), Reason::STREAM_CLOSED);
        }
        if !has_head {
            return self.receive_response(key, (block, is_last), is_head_request, out);
        }
        let limits = self.head_limits();
        let (mut reader, text) = (TrailersReader::default(), &mut *out.text);
        read(&mut self.decoder, block, limits, &mut reader, text)?;
        if let Err(error) = reader.finish(text) {
            return self.malformed(key.id(), error);
        }
        if !is_last || is_short {
            return self.end_for_error(key.id(), Reason::PROTOCOL_ERROR);
        }
        self.received_all(key);
        Ok(tag.map(Event::Trailers))
    }

    fn receive_response<'i>(
        &mut self,
        key: Key,
        (block, is_last): (&[u8], bool),
        is_head_request: bool,
        out: &mut Out<'_>,
    ) -> Outcome<'i, T> {
        let limits = self.head_limits();
        let (reader, text) = (&mut self.responses, &mut *out.text);
        read(&mut self.decoder, block, limits, reader, text)?;
        let method = match is_head_request {
            true => Method::Head,
            false => Method::Get,
        };
        let facts = match reader.finish(is_last, method, text) {
            Ok(facts) => facts,
            Err(error) => return self.malformed(key.id(), error),
        };
        let Some(stream) = self.streams.get(key) else {
            return Ok(None);
        };
        let tag = stream.tag.clone();
        if facts.is_interim {
            stream.interims += 1;
            if stream.interims > INTERIM_RESPONSES {
                return self.end_for_error(key.id(), Reason::ENHANCE_YOUR_CALM);
            }
        } else {
            stream.has_head = true;
            stream.expected = match facts.framing {
                Framing::None => Some(0),
                _ => facts.content_length,
            };
        }
        if is_last {
            self.received_all(key);
        }
        let response = Response {
            framing: facts.framing,
            is_interim: facts.is_interim,
            is_last,
        };
        Ok(tag.map(|tag| Event::Response(tag, response)))
    }
}

/// Decodes a block, whose fields are read. What is wrong with them is told when the reader ends.
fn read(
    decoder: &mut Decoder,
    block: &[u8],
    limits: HeadLimits,
    reader: &mut impl SectionReader,
    text: &mut Vec<u8>,
) -> Result<(), Reason> {
    reader.begin(limits, text);
    let decoded = decoder.decode(block, |name, value| reader.field(name, value, text));
    decoded.map_err(|_| Reason::COMPRESSION_ERROR)?;
    let most = usize::try_from(limits.list_bytes).unwrap_or(usize::MAX);
    match reader.list_bytes() > most.saturating_mul(HOPELESS) {
        true => Err(Reason::ENHANCE_YOUR_CALM),
        false => Ok(()),
    }
}

/// What of a HEADERS frame is of the block: without padding and priority.
fn fragment(header: Header, payload: &[u8]) -> Result<&[u8], Reason> {
    let mut rest = payload;
    let mut padding = 0;
    if header.has(frame::PADDED) {
        let (first, behind) = rest.split_first().ok_or(Reason::FRAME_SIZE_ERROR)?;
        padding = usize::from(*first);
        rest = behind;
    }
    if header.has(frame::HAS_PRIORITY) {
        let (on, behind) = frame::number(rest).ok_or(Reason::FRAME_SIZE_ERROR)?;
        if on & MAX_31_BITS == header.stream {
            return Err(Reason::PROTOCOL_ERROR);
        }
        rest = behind.get(1..).ok_or(Reason::FRAME_SIZE_ERROR)?;
    }
    let length = rest.len().checked_sub(padding);
    let length = length.ok_or(Reason::PROTOCOL_ERROR)?;
    Ok(rest.get(..length).unwrap_or_default())
}
