//! Frames (RFC 9113, sections 4.1 and 6): their headers, flags and types. What they mean is `connection`'s.

/// Bytes of a frame's header.
pub(super) const HEADER: usize = 9;
/// The largest payload, unless a peer says otherwise; we never do.
pub(super) const PAYLOAD: usize = 16 << 10;
/// Of windows and of streams' numbers.
pub(super) const MAX_31_BITS: u32 = u32::MAX >> 1;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const HAS_PRIORITY: u8 = 0x20;

/// What stands in front of each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Header {
    /// None: it isn't all there.
    pub(super) fn parse(input: &[u8]) -> Option<Self> {
        let (header, _) = input.split_first_chunk::<HEADER>()?;
        let [high, middle, low, kind, flags, stream @ ..] = *header;
        Some(Self {
            length: usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low),
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & MAX_31_BITS,
        })
    }

    /// `length` fits 24 bits.
    pub(super) fn bytes(self) -> [u8; HEADER] {
        let [.., high, middle, low] = self.length.to_be_bytes();
        let [a, b, c, d] = self.stream.to_be_bytes();
        [high, middle, low, self.kind, self.flags, a, b, c, d]
    }

    pub(super) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a frame with a short payload.
pub(super) fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let header = Header {
        length: payload.len(),
        kind,
        flags,
        stream,
    };
    out.extend_from_slice(&header.bytes());
    out.extend_from_slice(payload);
}

/// The first 32 bits of a payload, and what is behind them.
pub(super) fn number(payload: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = payload.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        write(&mut out, GOAWAY, 5, MAX_31_BITS, &[1, 2, 3]);
        let header = Header {
            length: 3,
            kind: GOAWAY,
            flags: 5,
            stream: MAX_31_BITS,
        };
        assert_eq!(Header::parse(&out), Some(header));
        assert_eq!(Header::parse(&out[..8]), None);
        let long = Header {
            length: 0xab_cdef,
            ..header
        };
        let mut bytes = long.bytes();
        // The reserved bit says nothing.
        bytes[5] |= 0x80;
        assert_eq!(Header::parse(&bytes), Some(long));
    }
}
