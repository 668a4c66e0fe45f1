//! What goes out on a stream of HTTP/2, from HTTP/1.

use std::io;
use std::rc::Weak;

use ringgate_core::http1::{Framing, Method, Relay};
use ringgate_core::http2::head::OwnHead;
use ringgate_core::http2::{Gone, Key};

use super::bridge::Bridge;
use super::link::Core;
use crate::sys::buffer::Buffer;

/// Which message goes out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Request {
        scheme: &'static str,
    },
    Response {
        method: Method,
        /// The request was an extended CONNECT (RFC 8441).
        is_tunnel: bool,
    },
}

/// To the peer.
pub(super) struct Outgoing {
    way: Way,
    stage: Stage,
    relay: Relay,
    /// Bytes of the body at the front of what waits, and framing behind them.
    run: usize,
    behind: usize,
    trailers: Vec<u8>,
    error: Option<io::Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Body,
    Tunnel,
    Over,
}

impl Outgoing {
    pub(super) fn new(way: Way) -> Self {
        Self {
            way,
            stage: Stage::Head,
            relay: Relay::discard(Framing::None),
            run: 0,
            behind: 0,
            trailers: Vec::new(),
            error: None,
        }
    }

    pub(super) fn is_head(&self) -> bool {
        self.stage == Stage::Head
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    pub(super) fn is_response(&self) -> bool {
        matches!(self.way, Way::Response { .. })
    }

    /// Nothing more can be sent.
    pub(super) fn end(&mut self) {
        self.stage = Stage::Over;
    }

    /// What has waited can't be sent.
    pub(super) fn broken(&mut self, error: io::Error) {
        self.error = Some(error);
    }

    /// Of what has waited.
    pub(super) fn result(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// Sends the heads that are at the front; whether the final one was among them.
    pub(super) fn respond(
        &mut self,
        core: &mut Core,
        key: Key,
        buffer: &mut Buffer,
        head: &mut OwnHead,
    ) -> io::Result<bool> {
        let Way::Response { method, is_tunnel } = self.way else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        while !buffer.is_empty() {
            let text = buffer.pending();
            head.response(text, method).map_err(io::Error::other)?;
            let is_switched = head.status == 101 && is_tunnel;
            let is_last = head.framing.is_empty() && !is_switched && !head.is_interim();
            let sent = core.respond(key, (head, text), is_switched, is_last);
            sent.map_err(io::Error::other)?;
            buffer.mark_sent(head.len);
            if is_switched || !head.is_interim() {
                self.begin(head.framing, is_switched);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Opens the stream with the head that is at the front. An error within: no stream can be opened.
    pub(super) fn request(
        &mut self,
        core: &mut Core,
        whose: Weak<Bridge>,
        buffer: &mut Buffer,
        head: &mut OwnHead,
    ) -> io::Result<Result<Key, Gone>> {
        let Way::Request { scheme } = self.way else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let text = buffer.pending();
        head.request(text).map_err(io::Error::other)?;
        let is_last = head.framing.is_empty();
        let opened = core.request(Some(whose), (head, text), scheme, is_last);
        if opened.is_ok() {
            buffer.mark_sent(head.len);
            self.begin(head.framing, false);
        }
        Ok(opened)
    }

    fn begin(&mut self, framing: Framing, is_tunnel: bool) {
        self.relay = Relay::new(framing, Framing::UntilClose);
        self.stage = match framing.is_empty() {
            _ if is_tunnel => Stage::Tunnel,
            true => Stage::Over,
            false => Stage::Body,
        };
    }

    /// Sends what there is room for, `most` bytes at most.
    pub(super) fn send_body(
        &mut self,
        core: &mut Core,
        key: Key,
        buffer: &mut Buffer,
        most: usize,
    ) -> io::Result<()> {
        match self.stage {
            Stage::Body => self.send_parts(core, key, buffer, most),
            Stage::Tunnel => {
                let part = buffer.pending();
                let part = part.get(..most.min(part.len())).unwrap_or_default();
                let sent = core.data(key, part, false).map_err(io::Error::other)?;
                buffer.mark_sent(sent);
                Ok(())
            }
            Stage::Head | Stage::Over if buffer.is_empty() => Ok(()),
            Stage::Head | Stage::Over => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn send_parts(
        &mut self,
        core: &mut Core,
        key: Key,
        buffer: &mut Buffer,
        mut most: usize,
    ) -> io::Result<()> {
        loop {
            if self.run == 0 && !self.relay.is_done() {
                self.look(buffer)?;
            }
            let is_end = self.relay.is_done() && self.trailers.is_empty();
            if self.run > 0 || is_end {
                let count = self.run.min(most);
                let part = buffer.pending().get(..count).unwrap_or_default();
                let is_last = is_end && count == self.run;
                let sent = core.data(key, part, is_last).map_err(io::Error::other)?;
                buffer.mark_sent(sent);
                self.run -= sent;
                most -= sent;
                if self.run > 0 {
                    return Ok(());
                }
            }
            buffer.mark_sent(std::mem::take(&mut self.behind));
            if self.relay.is_done() {
                self.stage = Stage::Over;
                if !is_end {
                    let sent = core.trailers(key, &self.trailers);
                    sent.map_err(io::Error::other)?;
                }
                return Ok(());
            }
            if buffer.is_empty() {
                return Ok(());
            }
        }
    }

    /// What is next: bytes of the body, and the framing around them.
    fn look(&mut self, buffer: &mut Buffer) -> io::Result<()> {
        let (relay, trailers) = (&mut self.relay, &mut self.trailers);
        let before = relay.read_framing_alone(buffer.pending(), trailers);
        buffer.mark_sent(before.map_err(io::Error::other)?);
        let pending = buffer.pending();
        self.run = relay.verbatim(pending.len());
        relay.advance(self.run);
        let rest = pending.get(self.run..).unwrap_or_default();
        let behind = relay.read_framing_alone(rest, trailers);
        self.behind = behind.map_err(io::Error::other)?;
        Ok(())
    }

    /// Says that a tunnel's side is over; whether it was one.
    pub(super) fn finish(&mut self, core: &mut Core, key: Key) -> bool {
        let is_tunnel = self.stage == Stage::Tunnel;
        if is_tunnel {
            self.stage = Stage::Over;
            // The peer may be gone already.
            let _ = core.data(key, &[], true);
        }
        is_tunnel
    }
}
