//! What the two sides of a connection allow each other (RFC 9113, section 6.5; RFC 8441).

use super::frame::{self, MAX_31_BITS};
use super::reason::Reason;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// Bytes of one setting.
const ONE: usize = 6;

/// What may be said of frames' payloads.
const FRAME_SIZES: std::ops::Range<u32> = 16 << 10..1 << 24;
/// A window before anything was said.
pub(super) const INITIAL_WINDOW: u32 = 65_535;

/// Of a peer, as far as they concern us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// The smallest that was said, and the last, if one was (RFC 7541, section 4.2).
    pub(super) table: Option<(u32, u32)>,
    pub(super) streams: u32,
    pub(super) window: u32,
}

impl Settings {
    /// Until the peer's have come.
    pub(super) const fn before(streams: u32) -> Self {
        Self {
            table: None,
            streams,
            window: INITIAL_WINDOW,
        }
    }

    /// Takes over what a frame says. `from_server`: a server doesn't allow pushes, for a client sends none.
    pub(super) fn receive(&mut self, payload: &[u8], from_server: bool) -> Result<(), Reason> {
        let (settings, rest) = payload.as_chunks::<ONE>();
        if !rest.is_empty() {
            return Err(Reason::FRAME_SIZE_ERROR);
        }
        for [high, low, value @ ..] in settings {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*high, *low]) {
                HEADER_TABLE_SIZE => {
                    let smallest = self
                        .table
                        .map_or(value, |(smallest, _)| smallest.min(value));
                    self.table = Some((smallest, value));
                }
                ENABLE_PUSH if value > u32::from(!from_server) => {
                    return Err(Reason::PROTOCOL_ERROR);
                }
                ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(Reason::PROTOCOL_ERROR),
                MAX_CONCURRENT_STREAMS => self.streams = value,
                INITIAL_WINDOW_SIZE if value > MAX_31_BITS => {
                    return Err(Reason::FLOW_CONTROL_ERROR);
                }
                INITIAL_WINDOW_SIZE => self.window = value,
                // Ours have the smallest largest size there is.
                MAX_FRAME_SIZE if !FRAME_SIZES.contains(&value) => {
                    return Err(Reason::PROTOCOL_ERROR);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What we say of ourselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    /// That the peer may have open; none: it can't open any.
    pub(super) streams: Option<u32>,
    pub(super) window: u32,
    pub(super) header_list: u32,
    /// Extended CONNECT (RFC 8441) is understood.
    pub(super) connect: bool,
}

impl Own {
    /// Appends the frame.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let push = self.streams.is_none().then_some((ENABLE_PUSH, 0));
        let streams = self.streams.map(|most| (MAX_CONCURRENT_STREAMS, most));
        let connect = self.connect.then_some((ENABLE_CONNECT_PROTOCOL, 1));
        let always = [
            (INITIAL_WINDOW_SIZE, self.window),
            (MAX_HEADER_LIST_SIZE, self.header_list),
        ];
        let all = always.into_iter().chain(push).chain(streams).chain(connect);
        let mut payload = Vec::with_capacity(5 * ONE);
        for (name, value) in all {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        frame::write(out, frame::SETTINGS, 0, 0, &payload);
    }
}
