//! Frames that leave.

use super::{Connection, ERRORS, Event, Farewell, Gone, Key, OUTPUT_BYTES, Role};
use crate::http1::Method;
use crate::http2::frame::{self, HEADER, Header, PAYLOAD};
use crate::http2::head::{OwnHead, write_trailers};
use crate::http2::hpack::Encoder;
use crate::http2::reason::Reason;

impl<T: Clone> Connection<T> {
    /// Opens a stream with a request; nothing follows if `is_last`. Whose it is may be told by
    /// [`Self::adopt`], if that is known only then.
    ///
    /// # Errors
    /// When no stream can be opened: nothing was sent.
    pub fn request(
        &mut self,
        tag: Option<T>,
        (head, text): (&OwnHead, &[u8]),
        scheme: &str,
        is_last: bool,
    ) -> Result<Key, Gone> {
        let most = usize::try_from(self.peer.streams).unwrap_or(usize::MAX);
        if !self.is_usable() || self.streams.len() >= most {
            return Err(Gone);
        }
        let id = match self.last {
            0 => 1,
            last => last + 2,
        };
        self.last = id;
        let mut stream = self.stream(id, head.method == Method::Head);
        stream.tag = tag;
        stream.has_sent_all = is_last;
        let key = self.streams.insert(stream);
        self.write_block(id, is_last, |encoder, out| {
            head.write_request(text, scheme, encoder, out);
        });
        Ok(key)
    }

    /// Answers a stream's request, with an interim response or the final one. `is_switched`: that the stream is a
    /// tunnel from here on.
    ///
    /// # Errors
    /// When the stream is over.
    pub fn respond(
        &mut self,
        key: Key,
        (head, text): (&OwnHead, &[u8]),
        is_switched: bool,
        is_last: bool,
    ) -> Result<(), Gone> {
        self.writable(key)?;
        // Nothing on a stream of HTTP/2 becomes another protocol by 101 (section 8.6).
        if head.status == 101 && !is_switched {
            return Ok(());
        }
        self.write_block(key.id(), is_last, |encoder, out| match is_switched {
            true => head.write_switched(text, encoder, out),
            false => head.write_response(text, encoder, out),
        });
        if is_last {
            self.sent_all(key);
        }
        Ok(())
    }

    /// Ends a message with field lines behind its body.
    ///
    /// # Errors
    /// When the stream is over.
    pub fn trailers(&mut self, key: Key, lines: &[u8]) -> Result<(), Gone> {
        self.writable(key)?;
        self.write_block(key.id(), true, |encoder, out| {
            write_trailers(lines, encoder, out);
        });
        self.sent_all(key);
        Ok(())
    }

    fn writable(&mut self, key: Key) -> Result<(), Gone> {
        let stream = self.streams.get(key);
        let is_open = stream.is_some_and(|stream| !stream.has_sent_all);
        is_open.then_some(()).ok_or(Gone)
    }

    /// Sends what of a part of a body the peer's windows and the output have room for: so many bytes of it. The
    /// end is sent with the last of them.
    ///
    /// # Errors
    /// When the stream is over.
    pub fn data(&mut self, key: Key, bytes: &[u8], is_last: bool) -> Result<usize, Gone> {
        let room = OUTPUT_BYTES.saturating_sub(self.out.len());
        let connection = usize::try_from(self.send_window).unwrap_or(0);
        let stream = self.streams.get(key).ok_or(Gone)?;
        if stream.has_sent_all {
            return Err(Gone);
        }
        let window = usize::try_from(stream.send_window).unwrap_or(0);
        let count = bytes.len().min(window).min(connection).min(room);
        let is_last = is_last && count == bytes.len();
        if count == 0 && !is_last {
            return Ok(0);
        }
        stream.send_window -= i64::try_from(count).unwrap_or(i64::MAX);
        self.send_window -= i64::try_from(count).unwrap_or(i64::MAX);
        let mut rest = bytes.get(..count).unwrap_or_default();
        loop {
            let (part, behind) = rest.split_at(rest.len().min(PAYLOAD));
            let flags = match is_last && behind.is_empty() {
                true => frame::END_STREAM,
                false => 0,
            };
            frame::write(&mut self.out, frame::DATA, flags, key.id(), part);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        if is_last {
            self.sent_all(key);
        }
        Ok(count)
    }

    /// Ends a stream at once. Nothing happens to one that is over.
    pub fn reset(&mut self, key: Key, reason: Reason) {
        if let Some(stream) = self.streams.remove(key) {
            if !stream.has_received_all {
                self.streams.note_reset(key.id());
            }
            self.write_reset(key.id(), reason);
        }
    }

    /// Who reads has taken so many bytes of a stream, whose peer may send as many more; none: of one that is
    /// over.
    pub fn taken(&mut self, key: Option<Key>, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.taken = self.taken.saturating_add(bytes);
        if self.taken >= self.config.connection_window / 2 {
            self.give_back();
        }
        let half = self.config.stream_window / 2;
        let Some(stream) = key.and_then(|key| self.streams.get(key)) else {
            return;
        };
        stream.taken = stream.taken.saturating_add(bytes);
        if stream.taken >= half && !stream.has_received_all {
            let more = std::mem::take(&mut stream.taken);
            stream.receive_window += i64::from(more);
            let id = stream.id;
            self.write_window(id, more);
        }
    }

    /// To the connection's window.
    pub(super) fn give_back(&mut self) {
        let more = std::mem::take(&mut self.taken);
        if more > 0 {
            self.receive_window += i64::from(more);
            self.write_window(0, more);
        }
    }

    /// Ends the connection at once; what was written before is sent still.
    pub fn fail(&mut self, reason: Reason) {
        if !self.has_failed {
            self.has_failed = true;
            self.write_goaway(self.last_of_peer(), reason);
        }
    }

    /// A stream's mistake, which the connection survives unless there are too many.
    pub(super) fn end_for_error<'i>(
        &mut self,
        id: u32,
        reason: Reason,
    ) -> Result<Option<Event<'i, T>>, Reason> {
        self.errors += 1;
        if self.errors > ERRORS {
            return Err(Reason::ENHANCE_YOUR_CALM);
        }
        self.streams.note_reset(id);
        self.write_reset(id, reason);
        let key = self.streams.key(id);
        let stream = key.and_then(|key| self.streams.remove(key));
        Ok(stream
            .and_then(|stream| stream.tag)
            .map(|tag| Event::Reset {
                tag,
                reason,
                is_ours: true,
            }))
    }

    /// A stream that isn't looked at. A peer that goes on so means no good.
    pub(super) fn refuse(&mut self, id: u32) -> Result<(), Reason> {
        self.end_for_error(id, Reason::REFUSED_STREAM).map(drop)
    }

    /// The peer has ended its side.
    pub(super) fn received_all(&mut self, key: Key) {
        if let Some(stream) = self.streams.get(key) {
            stream.has_received_all = true;
            if stream.has_sent_all {
                self.streams.remove(key);
            }
        }
    }

    /// We have ended our side.
    pub(super) fn sent_all(&mut self, key: Key) {
        if let Some(stream) = self.streams.get(key) {
            stream.has_sent_all = true;
            if stream.has_received_all {
                self.streams.remove(key);
            }
        }
    }

    /// A head or trailers, which `encode` appends as one block.
    fn write_block(
        &mut self,
        id: u32,
        is_last: bool,
        encode: impl FnOnce(&mut Encoder, &mut Vec<u8>),
    ) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; HEADER]);
        encode(&mut self.encoder, &mut self.out);
        let begin = start + HEADER;
        let length = self.out.len() - begin;
        let end = if is_last { frame::END_STREAM } else { 0 };
        let mut header = Header {
            length: length.min(PAYLOAD),
            kind: frame::HEADERS,
            flags: end | frame::END_HEADERS,
            stream: id,
        };
        if length > PAYLOAD {
            self.split_block(begin + PAYLOAD, id);
            header.flags = end;
        }
        if let Some(place) = self.out.get_mut(start..begin) {
            place.copy_from_slice(&header.bytes());
        }
    }

    /// Puts what is too much for a frame into others.
    fn split_block(&mut self, begin: usize, id: u32) {
        let rest = self.out.split_off(begin);
        let mut parts = rest.chunks(PAYLOAD).peekable();
        while let Some(part) = parts.next() {
            let flags = match parts.peek() {
                Some(_) => 0,
                None => frame::END_HEADERS,
            };
            frame::write(&mut self.out, frame::CONTINUATION, flags, id, part);
        }
    }

    fn write_reset(&mut self, id: u32, reason: Reason) {
        let reason = reason.0.to_be_bytes();
        frame::write(&mut self.out, frame::RST_STREAM, 0, id, &reason);
    }

    fn write_window(&mut self, id: u32, more: u32) {
        let more = more.to_be_bytes();
        frame::write(&mut self.out, frame::WINDOW_UPDATE, 0, id, &more);
    }

    pub(super) fn write_goaway(&mut self, last: u32, reason: Reason) {
        let payload = [last.to_be_bytes(), reason.0.to_be_bytes()];
        let payload = payload.as_flattened();
        frame::write(&mut self.out, frame::GOAWAY, 0, 0, payload);
    }

    /// Says goodbye for good, if that isn't done: no stream beyond those that are open is looked at.
    pub fn close(&mut self) {
        if !matches!(self.farewell, Farewell::Said(_)) && !self.has_failed {
            self.farewell = Farewell::Said(self.last);
            self.write_goaway(self.last_of_peer(), Reason::NO_ERROR);
        }
    }

    /// The last stream that the peer has opened: servers open none.
    const fn last_of_peer(&self) -> u32 {
        match self.config.role {
            Role::Server => self.last,
            Role::Client => 0,
        }
    }
}
