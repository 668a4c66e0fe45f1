//! What a peer may cost us on a connection of HTTP/2 beyond the requests that it sends (RFC 9113, section
//! 10.5). Owns the account of frames; frames' meaning is `connection`'s.
//!
//! Each frame that carries nothing (a ping, a setting, a reset, an empty DATA) is paid for from a budget
//! that useful work fills again: requests, bodies, what we send, and time. Who only floods runs out.

/// The budget of a connection that behaves, in frames.
const FULL: u32 = 1_000;
/// What comes back each second, so that a quiet connection may ping for ever.
const A_SECOND: u64 = 100;
/// A reset undoes a request for which the budget has got one frame, and has made us work for it
/// (CVE-2023-44487).
const RESET: u32 = 5;
/// Bytes that we send for which a peer may answer with a frame (WINDOW_UPDATE, or a PING to measure).
const SENT_A_FRAME: usize = 4 << 10;
const HEADER: usize = 9;

/// Of what a peer sent too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flood {
    EmptyData,
    Priority,
    Reset,
    Settings,
    Ping,
    WindowUpdate,
    Continuation,
    Unknown,
}

impl Flood {
    pub const ALL: [Self; 8] = [
        Self::EmptyData,
        Self::Priority,
        Self::Reset,
        Self::Settings,
        Self::Ping,
        Self::WindowUpdate,
        Self::Continuation,
        Self::Unknown,
    ];

    /// As metrics call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmptyData => "empty_data",
            Self::Priority => "priority",
            Self::Reset => "reset",
            Self::Settings => "settings",
            Self::Ping => "ping",
            Self::WindowUpdate => "window_update",
            Self::Continuation => "continuation",
            Self::Unknown => "unknown_frame",
        }
    }
}

/// The account of one connection.
#[derive(Clone, Debug)]
pub struct Account {
    header: [u8; HEADER],
    /// Bytes of `header` that are there.
    have: usize,
    /// Bytes of the preface or of a frame's payload that are still to come.
    skip: usize,
    left: u32,
    /// The same, for resets: bodies don't pay for them, as crumbs of them cost next to nothing.
    left_of_resets: u32,
    /// Bytes sent that have not made a whole frame of budget yet.
    sent: usize,
    /// In milliseconds.
    since: u64,
}

impl Account {
    /// Of a connection whose peer sends a preface of so many bytes first. `now` is in milliseconds, of any
    /// clock that doesn't go back.
    #[must_use]
    pub const fn new(preface: usize, now: u64) -> Self {
        Self {
            header: [0; HEADER],
            have: 0,
            skip: preface,
            left: FULL,
            left_of_resets: FULL,
            sent: 0,
            since: now,
        }
    }

    /// Counts bytes that came, in whatever pieces.
    ///
    /// # Errors
    /// Of what there was too much: the connection is to end with ENHANCE_YOUR_CALM.
    pub fn received(&mut self, mut bytes: &[u8], now: u64) -> Result<(), Flood> {
        let seconds_a_thousandth = now.saturating_sub(self.since).saturating_mul(A_SECOND);
        if seconds_a_thousandth >= 1_000 {
            self.since = now;
            self.refill(u32::try_from(seconds_a_thousandth / 1_000).unwrap_or(FULL));
        }
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let wanted = (HEADER - self.have).min(bytes.len());
            let (head, rest) = bytes.split_at(wanted);
            if let Some(place) = self.header.get_mut(self.have..self.have + wanted) {
                place.copy_from_slice(head);
            }
            self.have += wanted;
            bytes = rest;
            if self.have == HEADER {
                self.have = 0;
                self.frame()?;
            }
        }
        Ok(())
    }

    /// Counts bytes that we sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        let frames = self.sent / SENT_A_FRAME;
        self.sent %= SENT_A_FRAME;
        self.refill(u32::try_from(frames).unwrap_or(FULL));
    }

    fn refill(&mut self, frames: u32) {
        self.left = self.left.saturating_add(frames).min(FULL);
        self.left_of_resets = self.left_of_resets.saturating_add(frames).min(FULL);
    }

    /// RFC 9113, sections 4.1 and 6.
    fn frame(&mut self) -> Result<(), Flood> {
        let [high, middle, low, kind, ..] = self.header;
        self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let (flood, cost) = match kind {
            0 if self.skip > 0 => {
                self.left = self.left.saturating_add(1).min(FULL);
                return Ok(());
            }
            1 => {
                self.refill(1);
                return Ok(());
            }
            0 => (Flood::EmptyData, 1),
            2 => (Flood::Priority, 1),
            3 => {
                let left = self.left_of_resets.checked_sub(RESET);
                self.left_of_resets = left.ok_or(Flood::Reset)?;
                return Ok(());
            }
            4 => (Flood::Settings, 1),
            6 => (Flood::Ping, 1),
            8 => (Flood::WindowUpdate, 1),
            9 => (Flood::Continuation, 1),
            _ => (Flood::Unknown, 1),
        };
        self.left = self.left.checked_sub(cost).ok_or(flood)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http2::PREFACE;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(length).unwrap().to_be_bytes();
        let mut frame = vec![high, middle, low, kind, 0, 0, 0, 0, 1];
        frame.resize(HEADER + length, 0xaa);
        frame
    }

    fn feed(account: &mut Account, frames: &[Vec<u8>], times: usize) -> Option<(usize, Flood)> {
        (0..times).find_map(|turn| {
            let bytes = frames.concat();
            account.received(&bytes, 0).err().map(|flood| (turn, flood))
        })
    }

    #[test]
    fn each_kind_of_flood_ends() {
        let kinds = [
            (0, 0),
            (2, 5),
            (3, 4),
            (4, 0),
            (6, 8),
            (8, 4),
            (9, 10),
            (77, 3),
        ];
        for ((kind, length), flood) in kinds.into_iter().zip(Flood::ALL) {
            let mut account = Account::new(0, 0);
            let ended = feed(&mut account, &[frame(kind, length)], 2_000);
            assert_eq!(
                ended.map(|(_, found)| found),
                Some(flood),
                "frame type {kind}"
            );
        }
    }

    #[test]
    fn requests_that_are_taken_back_at_once_are_a_flood() {
        let mut account = Account::new(0, 0);
        let ended = feed(&mut account, &[frame(1, 20), frame(3, 4)], 1_000);
        assert_eq!(ended, Some((249, Flood::Reset)));
    }

    #[test]
    fn what_comes_with_work_is_not_a_flood() {
        let mut account = Account::new(0, 0);
        let unary = [frame(1, 20), frame(0, 5), frame(8, 4), frame(6, 8)];
        assert_eq!(feed(&mut account, &unary, 100_000), None);
        for _ in 0..100_000 {
            account.sent(16 << 10);
            let answers = [frame(8, 4), frame(8, 4), frame(6, 8)].concat();
            assert_eq!(account.received(&answers, 0), Ok(()));
        }
        for second in 0..10_000 {
            assert_eq!(account.received(&frame(6, 8), second * 1_000), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn pieces_count_as_the_whole(
            frames in prop::collection::vec((0_u8..12, 0_usize..40), 0..60),
            cuts in prop::collection::vec(1_usize..30, 1..200),
        ) {
            let mut bytes = PREFACE.to_vec();
            bytes.extend(frames.iter().flat_map(|(kind, length)| frame(*kind, *length)));
            let mut whole = Account::new(PREFACE.len(), 0);
            let at_once = whole.received(&bytes, 0);
            let mut pieces = Account::new(PREFACE.len(), 0);
            let (mut rest, mut cuts) = (&bytes[..], cuts.into_iter().cycle());
            let mut in_pieces = Ok(());
            while !rest.is_empty() && in_pieces.is_ok() {
                let (piece, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                in_pieces = pieces.received(piece, 0);
                rest = later;
            }
            prop_assert_eq!(at_once, in_pieces);
            if at_once.is_ok() {
                prop_assert_eq!(whole.left, pieces.left);
                prop_assert_eq!(whole.skip, pieces.skip);
            }
        }
    }
}
