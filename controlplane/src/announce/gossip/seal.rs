//! Datagrams that only holders of the key can make, and each of them works once and for one process.
//!
//! A datagram carries the number of the process that sent it, of the one it is for, and a count, all under an
//! HMAC-SHA256. Numbers are drawn when a process starts: what was recorded before is for nobody, and what was recorded since has
//! a count that was seen. No clock has to be right. Whoever doesn't know the number of the other yet sends a greeting, for process 0,
//! which is good for nothing but a greeting in return.
//!
//! What is in them isn't secret.

use std::collections::HashMap;

use aws_lc_rs::hmac;
use thiserror::Error;

use crate::limits::{GOSSIP_KEYS, GOSSIP_PROCESSES};

/// Says that it is ours, and of which version.
const MAGIC: [u8; 4] = *b"rg\x00\x01";
/// Before the body: the magic, who it is from, who it is for, the count.
const HEADER: usize = 4 + 3 * 8;
/// A SHA-256.
const TAG: usize = 32;
/// What a datagram has beside its body.
pub(super) const AROUND: usize = HEADER + TAG;

/// A process: a number that was drawn when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Process(pub(super) u64);

/// In place of one that isn't known.
const NOBODY: Process = Process(0);

/// The least length of a key: what can be guessed is none.
const LEAST_BYTES: usize = 32;

/// What is wrong with a file of keys. Never shows any of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    #[error("there is no key in it: write what `openssl rand -base64 32` prints")]
    None,
    #[error("it has more than {GOSSIP_KEYS} lines: leave out the oldest keys")]
    Many,
    #[error(
        "line {line} has less than {LEAST_BYTES} characters: write what `openssl rand -base64 32` prints"
    )]
    Short {
        /// From 1.
        line: usize,
    },
}

/// Keys of a cluster of agents: the first makes datagrams, all open them, so that they can be changed while agents run.
pub struct Keys {
    first: hmac::Key,
    others: Vec<hmac::Key>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// One a line; empty lines are passed over.
    ///
    /// # Errors
    /// When there is none, there are too many, or one is short.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let lines = lines.enumerate().filter(|(_, line)| !line.is_empty());
        let key = |(place, line): (usize, &[u8])| match line.len() {
            LEAST_BYTES.. => Ok(hmac::Key::new(hmac::HMAC_SHA256, line)),
            _ => Err(KeyError::Short { line: place + 1 }),
        };
        let mut keys = lines.map(key).collect::<Result<Vec<_>, _>>()?;
        match keys.len() {
            0 => Err(KeyError::None),
            count if count > GOSSIP_KEYS => Err(KeyError::Many),
            _ => Ok(Self {
                first: keys.remove(0),
                others: keys,
            }),
        }
    }

    fn is_by_one(&self, bytes: &[u8], tag: &[u8]) -> bool {
        let mut keys = std::iter::once(&self.first).chain(&self.others);
        keys.any(|key| hmac::verify(key, bytes, tag).is_ok())
    }
}

/// Why a datagram is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) enum Bad {
    /// It is none of ours, or of another version.
    Foreign,
    /// Its tag is by none of our keys.
    Key,
    /// It came before.
    Replay,
    /// It says nothing that is understood.
    Malformed,
}

/// A datagram whose tag is right.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened<'d> {
    /// For this process, and the first of its kind.
    Fresh { from: Process, body: &'d [u8] },
    /// For another process than this one, or nobody: its sender has to learn our number.
    Greet { from: Process },
}

/// Makes and opens datagrams of one process.
#[derive(Debug)]
pub(super) struct Seal {
    keys: Keys,
    ours: Process,
    sent: u64,
    seen: HashMap<Process, Window>,
    /// Counts what was opened, so that the processes that were silent for longest can be told.
    opened: u64,
}

impl Seal {
    pub(super) fn new(keys: Keys, ours: Process) -> Self {
        Self {
            keys,
            ours,
            sent: 0,
            seen: HashMap::new(),
            opened: 0,
        }
    }

    pub(super) fn ours(&self) -> Process {
        self.ours
    }

    /// None of `to`: a greeting.
    pub(super) fn seal(&mut self, to: Option<Process>, body: &[u8]) -> Vec<u8> {
        self.sent += 1;
        let mut datagram = Vec::with_capacity(AROUND + body.len());
        datagram.extend(MAGIC);
        for number in [self.ours.0, to.unwrap_or(NOBODY).0, self.sent] {
            datagram.extend(number.to_be_bytes());
        }
        datagram.extend(body);
        let tag = hmac::sign(&self.keys.first, &datagram);
        datagram.extend(tag.as_ref());
        datagram
    }

    pub(super) fn open<'d>(&mut self, datagram: &'d [u8]) -> Result<Opened<'d>, Bad> {
        let (signed, tag) = datagram.split_last_chunk::<TAG>().ok_or(Bad::Foreign)?;
        let rest = signed.strip_prefix(&MAGIC).ok_or(Bad::Foreign)?;
        let (from, rest) = number(rest).ok_or(Bad::Foreign)?;
        let (to, rest) = number(rest).ok_or(Bad::Foreign)?;
        let (count, body) = number(rest).ok_or(Bad::Foreign)?;
        if !self.keys.is_by_one(signed, tag) {
            return Err(Bad::Key);
        }
        let from = Process(from);
        if Process(to) != self.ours {
            return Ok(Opened::Greet { from });
        }
        if !self.window(from).is_new(count) {
            return Err(Bad::Replay);
        }
        Ok(Opened::Fresh { from, body })
    }

    /// Whoever was silent for longest is forgotten where there are too many; by then it is another process that
    /// runs there.
    fn window(&mut self, of: Process) -> &mut Window {
        self.opened += 1;
        if self.seen.len() >= GOSSIP_PROCESSES && !self.seen.contains_key(&of) {
            let oldest = self.seen.iter().min_by_key(|(_, window)| window.used);
            if let Some(oldest) = oldest.map(|(process, _)| *process) {
                self.seen.remove(&oldest);
            }
        }
        let window = self.seen.entry(of).or_default();
        window.used = self.opened;
        window
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}

/// Which counts of a process have come: datagrams overtake each other (as in RFC 4303, section 3.4.3).
#[derive(Debug, Default)]
struct Window {
    highest: u64,
    /// Bit 0 is `highest` itself.
    before: u64,
    used: u64,
}

impl Window {
    fn is_new(&mut self, count: u64) -> bool {
        if let Some(ahead) = count.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
            self.before = self.before.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let behind = u32::try_from(self.highest - count).unwrap_or(u32::MAX);
        let bit = 1_u64.checked_shl(behind).unwrap_or(0);
        let is_new = bit != 0 && self.before & bit == 0;
        self.before |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
    const OTHER: &[u8] = b"another-key-of-32-characters-or-more";

    fn seal(key: &[u8], process: u64) -> Seal {
        Seal::new(Keys::parse(key).unwrap(), Process(process))
    }

    #[test]
    fn a_datagram_is_opened_once_by_the_process_that_it_is_for() {
        let (mut one, mut two) = (seal(KEY, 1), seal(KEY, 2));
        let datagram = one.seal(Some(Process(2)), b"hello");
        let fresh = Opened::Fresh {
            from: Process(1),
            body: b"hello",
        };
        assert_eq!(two.open(&datagram), Ok(fresh));
        assert_eq!(two.open(&datagram), Err(Bad::Replay));
        // The same node, started again.
        let greet = Opened::Greet { from: Process(1) };
        assert_eq!(seal(KEY, 3).open(&datagram), Ok(greet));
    }

    #[test]
    fn no_change_to_a_datagram_goes_unnoticed() {
        let (mut one, mut two) = (seal(KEY, 1), seal(KEY, 2));
        let datagram = one.seal(Some(Process(2)), b"hello");
        for place in 0..datagram.len() {
            let mut changed = datagram.clone();
            changed[place] ^= 1;
            assert!(two.open(&changed).is_err(), "byte {place}");
        }
        for end in 0..datagram.len() {
            assert!(two.open(&datagram[..end]).is_err(), "{end} bytes");
        }
        assert_eq!(seal(OTHER, 2).open(&datagram), Err(Bad::Key));
        assert!(matches!(two.open(&datagram), Ok(Opened::Fresh { .. })));
    }

    #[test]
    fn datagrams_may_overtake_each_other() {
        let (mut one, mut two) = (seal(KEY, 1), seal(KEY, 2));
        let mut sent: Vec<_> = (0..40).map(|_| one.seal(Some(Process(2)), b"")).collect();
        sent.reverse();
        for datagram in &sent {
            assert!(two.open(datagram).is_ok());
        }
        for datagram in &sent {
            assert_eq!(two.open(datagram), Err(Bad::Replay));
        }
        let late = one.seal(Some(Process(2)), b"");
        for _ in 0..100 {
            two.open(&one.seal(Some(Process(2)), b"")).unwrap();
        }
        assert_eq!(
            two.open(&late),
            Err(Bad::Replay),
            "too late to be told from one"
        );
    }

    #[test]
    fn keys_change_while_agents_run() {
        let both = [KEY, b"\n", OTHER, b"\n"].concat();
        let (mut old, mut between) = (seal(KEY, 1), seal(&both, 2));
        let mut new = seal(OTHER, 3);
        assert!(between.open(&old.seal(Some(Process(2)), b"")).is_ok());
        assert!(between.open(&new.seal(Some(Process(2)), b"")).is_ok());
        assert!(old.open(&between.seal(Some(Process(1)), b"")).is_ok());
        assert!(new.open(&between.seal(Some(Process(3)), b"")).is_err());
    }

    #[test]
    fn keys_that_can_be_guessed_are_refused() {
        assert_eq!(Keys::parse(b" \n\n").unwrap_err(), KeyError::None);
        let short = Keys::parse(&[KEY, b"\n\nsecret\n"].concat());
        assert_eq!(short.unwrap_err(), KeyError::Short { line: 3 });
        let many = [KEY, b"\n"].concat().repeat(GOSSIP_KEYS + 1);
        assert_eq!(Keys::parse(&many).unwrap_err(), KeyError::Many);
    }

    #[test]
    fn processes_that_come_and_go_are_not_kept_for_ever() {
        let mut one = seal(KEY, u64::MAX);
        for process in 1..=2 * GOSSIP_PROCESSES as u64 {
            let datagram = seal(KEY, process).seal(Some(Process(u64::MAX)), b"");
            one.open(&datagram).unwrap();
        }
        assert_eq!(one.seen.len(), GOSSIP_PROCESSES);
    }
}
