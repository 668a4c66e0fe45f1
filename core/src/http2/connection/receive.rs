//! Frames that come.

use super::{Connection, Event, Failed, Farewell, Key, Received, Role};
use crate::http2::PREFACE;
use crate::http2::frame::{self, HEADER, Header, MAX_31_BITS, PAYLOAD};
use crate::http2::reason::Reason;
use crate::http2::settings::Settings;

/// A frame of DATA whose payload comes.
#[derive(Debug)]
pub(super) struct Data {
    /// None: nobody wants it.
    key: Option<Key>,
    left: usize,
    padding: usize,
    is_last: bool,
}

/// What a frame has brought, or that the connection can't go on.
type Outcome<'i, T> = Result<Option<Event<'i, T>>, Reason>;

/// Where heads are written.
pub(super) struct Out<'o> {
    pub(super) text: &'o mut Vec<u8>,
    pub(super) key: &'o dyn Fn() -> String,
}

/// How much of the input a step has taken, and what that has brought. None: there is too little of it.
type Step<'i, T> = Option<(usize, Option<Event<'i, T>>)>;

/// In a PING, that its answer means: what was on its way when we said goodbye has come.
const FAREWELL: [u8; 8] = *b"ringgate";

impl<T: Clone> Connection<T> {
    /// Takes from the front of what has come. Heads and trailers are written to `text`, which is cleared before;
    /// `key` makes a fresh `Sec-WebSocket-Key`.
    ///
    /// # Errors
    /// When the connection can't go on: the peer is told by what lies in the output.
    pub fn receive<'i>(
        &mut self,
        input: &'i [u8],
        text: &mut Vec<u8>,
        key: &dyn Fn() -> String,
    ) -> Result<Received<'i, T>, Failed> {
        let mut used = 0;
        let mut out = Out { text, key };
        loop {
            let rest = input.get(used..).unwrap_or_default();
            match self.step(rest, &mut out) {
                Ok(None) => return Ok(Received { used, event: None }),
                Ok(Some((step, event))) => {
                    used += step;
                    if event.is_some() {
                        return Ok(Received { used, event });
                    }
                }
                Err(reason) => {
                    self.fail(reason);
                    return Err(Failed(reason));
                }
            }
        }
    }

    fn step<'i>(&mut self, input: &'i [u8], out: &mut Out<'_>) -> Result<Step<'i, T>, Reason> {
        if self.has_failed {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if self.preface > 0 {
            return self.receive_preface(input);
        }
        if self.data.is_some() {
            return Ok(self.receive_data(input));
        }
        let Some(header) = Header::parse(input) else {
            return Ok(None);
        };
        self.check(header)?;
        let behind = input.get(HEADER..).unwrap_or_default();
        if header.kind == frame::DATA {
            let Some(padded) = padding(header, behind)? else {
                return Ok(None);
            };
            let event = self.begin_data(header, padded)?;
            let used = HEADER + usize::from(header.has(frame::PADDED));
            return Ok(Some((used, event)));
        }
        let Some(payload) = behind.get(..header.length) else {
            return Ok(None);
        };
        let event = self.receive_frame(header, payload, out)?;
        Ok(Some((HEADER + header.length, event)))
    }

    fn receive_preface<'i>(&mut self, input: &'i [u8]) -> Result<Step<'i, T>, Reason> {
        let count = self.preface.min(input.len());
        let wanted = PREFACE.get(PREFACE.len() - self.preface..);
        let (wanted, came) = (
            wanted.and_then(|rest| rest.get(..count)),
            input.get(..count),
        );
        if wanted != came {
            return Err(Reason::PROTOCOL_ERROR);
        }
        self.preface -= count;
        Ok((count > 0).then_some((count, None)))
    }

    /// What holds for each frame where it stands.
    fn check(&self, header: Header) -> Result<(), Reason> {
        if header.length > PAYLOAD {
            return Err(Reason::FRAME_SIZE_ERROR);
        }
        let is_settings = header.kind == frame::SETTINGS && !header.has(frame::ACK);
        if !self.has_settings && !is_settings {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let is_continued = header.kind == frame::CONTINUATION;
        let expected = self.block.as_ref().map(|block| block.stream());
        match expected {
            Some(stream) if !is_continued || header.stream != stream => Err(Reason::PROTOCOL_ERROR),
            None if is_continued => Err(Reason::PROTOCOL_ERROR),
            _ => Ok(()),
        }
    }

    fn receive_frame<'i>(
        &mut self,
        header: Header,
        payload: &'i [u8],
        out: &mut Out<'_>,
    ) -> Outcome<'i, T> {
        match header.kind {
            frame::HEADERS => self.receive_headers(header, payload, out),
            frame::CONTINUATION => self.receive_continuation(header, payload, out),
            frame::PRIORITY => self.receive_priority(header, payload),
            frame::RST_STREAM => self.receive_reset(header, payload),
            frame::SETTINGS => self.receive_settings(header, payload),
            frame::PING => self.receive_ping(header, payload).map(|()| None),
            frame::GOAWAY => self.receive_goaway(header, payload),
            frame::WINDOW_UPDATE => self.receive_window(header, payload),
            // We have said that we take none, and clients send none.
            frame::PUSH_PROMISE => Err(Reason::PROTOCOL_ERROR),
            _ => Ok(None),
        }
    }

    /// The number of a stream that was opened once: others are idle, where little may come.
    fn opened(&self, stream: u32) -> Result<(), Reason> {
        let was_opened = stream % 2 == 1 && stream <= self.last;
        match was_opened || self.is_ignored(stream) {
            true => Ok(()),
            false => Err(Reason::PROTOCOL_ERROR),
        }
    }

    fn begin_data<'i>(&mut self, header: Header, padding: Option<u8>) -> Outcome<'i, T> {
        self.opened(header.stream)?;
        let frame = u32::try_from(header.length).unwrap_or(u32::MAX);
        self.receive_window -= i64::from(frame);
        if self.receive_window < 0 {
            return Err(Reason::FLOW_CONTROL_ERROR);
        }
        let overhead = padding.map_or(0, |padding| usize::from(padding) + 1);
        let Some(left) = header.length.checked_sub(overhead) else {
            return Err(Reason::PROTOCOL_ERROR);
        };
        let mut data = Data {
            key: self.streams.key(header.stream),
            left,
            padding: padding.map_or(0, usize::from),
            is_last: header.has(frame::END_STREAM),
        };
        let refused = match data.key {
            Some(key) => self.count_data(key, frame, left, data.is_last),
            None if self.is_ignored(header.stream) => Ok(()),
            None => Err(Reason::STREAM_CLOSED),
        };
        let event = match refused {
            Ok(()) => None,
            Err(reason) => {
                data.key = None;
                self.end_for_error(header.stream, reason)?
            }
        };
        // What holds no bytes of the body is taken at once.
        let unread = match data.key {
            Some(_) => overhead,
            None => header.length,
        };
        self.taken(data.key, unread);
        self.data = Some(data);
        Ok(event)
    }

    /// Whether a stream's window and its announced length have room for a frame.
    fn count_data(
        &mut self,
        key: Key,
        frame: u32,
        bytes: usize,
        is_last: bool,
    ) -> Result<(), Reason> {
        let Some(stream) = self.streams.get(key) else {
            return Ok(());
        };
        if stream.has_received_all {
            return Err(Reason::STREAM_CLOSED);
        }
        if !stream.has_head {
            return Err(Reason::PROTOCOL_ERROR);
        }
        stream.receive_window -= i64::from(frame);
        if stream.receive_window < 0 {
            return Err(Reason::FLOW_CONTROL_ERROR);
        }
        if let Some(expected) = &mut stream.expected {
            let left = expected.checked_sub(bytes as u64);
            *expected = left.ok_or(Reason::PROTOCOL_ERROR)?;
            if is_last && *expected > 0 {
                return Err(Reason::PROTOCOL_ERROR);
            }
        }
        Ok(())
    }

    /// Of a frame of DATA, what has come.
    fn receive_data<'i>(&mut self, input: &'i [u8]) -> Step<'i, T> {
        let data = self.data.as_mut()?;
        let count = data.left.min(input.len());
        if count == 0 && data.left > 0 {
            return None;
        }
        data.left -= count;
        let is_last = data.left == 0 && std::mem::take(&mut data.is_last);
        let key = data.key.filter(|_| count > 0 || is_last);
        if let Some(key) = key {
            let tag = self.streams.get(key).and_then(|stream| stream.tag.clone());
            if is_last {
                self.received_all(key);
            }
            if tag.is_none() {
                // The stream was ended while the frame came: nobody else gives these bytes back.
                self.taken(None, count);
            }
            let bytes = input.get(..count).unwrap_or_default();
            return Some((
                count,
                tag.map(|tag| Event::Data {
                    tag,
                    bytes,
                    is_last,
                }),
            ));
        }
        let behind = input.get(count..).unwrap_or_default();
        let skipped = data.padding.min(behind.len());
        data.padding -= skipped;
        let is_over = data.left == 0 && data.padding == 0;
        if is_over {
            self.data = None;
        }
        (is_over || count + skipped > 0).then_some((count + skipped, None))
    }

    fn receive_priority<'i>(&mut self, header: Header, payload: &[u8]) -> Outcome<'i, T> {
        if header.stream == 0 {
            return Err(Reason::PROTOCOL_ERROR);
        }
        match frame::number(payload) {
            Some((on, [_])) if on & MAX_31_BITS != header.stream => Ok(None),
            Some((_, [_])) => Err(Reason::PROTOCOL_ERROR),
            _ => Err(Reason::FRAME_SIZE_ERROR),
        }
    }

    fn receive_reset<'i>(&mut self, header: Header, payload: &[u8]) -> Outcome<'i, T> {
        let Some((reason, [])) = frame::number(payload) else {
            return Err(Reason::FRAME_SIZE_ERROR);
        };
        self.opened(header.stream)?;
        let key = self.streams.key(header.stream);
        let stream = key.and_then(|key| self.streams.remove(key));
        Ok(stream
            .and_then(|stream| stream.tag)
            .map(|tag| Event::Reset {
                tag,
                reason: Reason(reason),
                is_ours: false,
            }))
    }

    fn receive_settings<'i>(&mut self, header: Header, payload: &[u8]) -> Outcome<'i, T> {
        if header.stream != 0 {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if header.has(frame::ACK) {
            let is_empty = payload.is_empty();
            return is_empty.then_some(None).ok_or(Reason::FRAME_SIZE_ERROR);
        }
        if !self.has_settings {
            self.has_settings = true;
            self.peer = Settings::before(u32::MAX);
        }
        let before = self.peer.window;
        let is_server = self.config.role == Role::Client;
        self.peer.receive(payload, is_server)?;
        if let Some((smallest, last)) = self.peer.table.take() {
            self.encoder.set_table_size(smallest);
            self.encoder.set_table_size(last);
        }
        let difference = i64::from(self.peer.window) - i64::from(before);
        if difference != 0 {
            for stream in self.streams.iter_mut() {
                stream.send_window += difference;
                if stream.send_window > MAX_31_BITS.into() {
                    return Err(Reason::FLOW_CONTROL_ERROR);
                }
            }
        }
        frame::write(&mut self.out, frame::SETTINGS, frame::ACK, 0, &[]);
        Ok(Some(Event::Settings))
    }

    fn receive_ping(&mut self, header: Header, payload: &[u8]) -> Result<(), Reason> {
        if header.stream != 0 {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if payload.len() != FAREWELL.len() {
            return Err(Reason::FRAME_SIZE_ERROR);
        }
        if !header.has(frame::ACK) {
            frame::write(&mut self.out, frame::PING, frame::ACK, 0, payload);
        } else if self.farewell == Farewell::Begun && payload == FAREWELL {
            self.farewell = Farewell::Said(self.last);
            self.write_goaway(self.last, Reason::NO_ERROR);
        }
        Ok(())
    }

    /// Says goodbye; requests that are on their way are taken still.
    pub fn shut_down(&mut self) {
        if self.farewell == Farewell::No && !self.has_failed {
            self.farewell = Farewell::Begun;
            self.write_goaway(MAX_31_BITS, Reason::NO_ERROR);
            frame::write(&mut self.out, frame::PING, 0, 0, &FAREWELL);
        }
    }

    fn receive_goaway<'i>(&mut self, header: Header, payload: &[u8]) -> Outcome<'i, T> {
        if header.stream != 0 {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let Some((last, (reason, _))) =
            frame::number(payload).and_then(|(last, rest)| Some((last, frame::number(rest)?)))
        else {
            return Err(Reason::FRAME_SIZE_ERROR);
        };
        // What it means for a server: the client takes no pushes, of which we send none.
        if self.config.role == Role::Client {
            let last = last & MAX_31_BITS;
            let before = self.peer_last.unwrap_or(MAX_31_BITS);
            if last > before {
                return Err(Reason::PROTOCOL_ERROR);
            }
            self.peer_last = Some(last);
        }
        Ok(Some(Event::GoAway(Reason(reason))))
    }

    fn receive_window<'i>(&mut self, header: Header, payload: &[u8]) -> Outcome<'i, T> {
        let Some((more, [])) = frame::number(payload) else {
            return Err(Reason::FRAME_SIZE_ERROR);
        };
        let more = i64::from(more & MAX_31_BITS);
        if header.stream == 0 {
            self.send_window += more;
            return match more {
                0 => Err(Reason::PROTOCOL_ERROR),
                _ if self.send_window > MAX_31_BITS.into() => Err(Reason::FLOW_CONTROL_ERROR),
                _ => Ok(None),
            };
        }
        self.opened(header.stream)?;
        let key = self.streams.key(header.stream);
        let Some(stream) = key.and_then(|key| self.streams.get(key)) else {
            return Ok(None);
        };
        stream.send_window += more;
        match more {
            0 => self.end_for_error(header.stream, Reason::PROTOCOL_ERROR),
            _ if stream.send_window > MAX_31_BITS.into() => {
                self.end_for_error(header.stream, Reason::FLOW_CONTROL_ERROR)
            }
            _ => Ok(None),
        }
    }

    /// Whether frames of a stream that isn't open are no mistake.
    pub(super) fn is_ignored(&self, stream: u32) -> bool {
        let is_late = matches!(self.farewell, Farewell::Said(last) if stream > last)
            && self.config.role == Role::Server;
        // Streams of our own have ended because we or the peer said so. Which, is not remembered for ever, and others'
        // streams must not end for what is late of one.
        let is_own = self.config.role == Role::Client && stream % 2 == 1 && stream <= self.last;
        is_late || is_own || self.streams.was_reset(stream)
    }
}

/// How much padding a frame's payload says that it has, which stands in its first byte. None: that has not
/// come.
fn padding(header: Header, payload: &[u8]) -> Result<Option<Option<u8>>, Reason> {
    if !header.has(frame::PADDED) {
        return Ok(Some(None));
    }
    match payload.first() {
        _ if header.length == 0 => Err(Reason::FRAME_SIZE_ERROR),
        Some(padding) => Ok(Some(Some(*padding))),
        None => Ok(None),
    }
}
