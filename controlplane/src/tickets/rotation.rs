//! Keys that the leader keeps: when they are others, and how they lie in a Secret. Pure: time and chance are
//! arguments.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringgate_core::ir::TicketKeys;

use super::keys::{self, TicketKeyError};
use crate::limits::TICKET_PERIOD;

/// Keys of the Secret.
const KEYS: &str = "keys";
const ROTATED: &str = "rotated";

/// Bytes of a key.
pub type Fresh = [u8; 48];

/// Three keys: the one before, the one that makes tickets, and the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// As in a file.
    text: Text,
    keys: TicketKeys,
    rotated: SystemTime,
}

/// Never shown.
#[derive(Clone, PartialEq, Eq)]
struct Text(String);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("withheld")
    }
}

type Entries = BTreeMap<String, Vec<u8>>;

impl Kept {
    /// Out of a Secret's entries; None: there are none yet.
    ///
    /// # Errors
    /// When what is there is of no use.
    pub fn read(entries: &Entries) -> Result<Option<Self>, TicketKeyError> {
        let Some(text) = entries.get(KEYS) else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(text).into_owned();
        let rotated = entries.get(ROTATED);
        let rotated = rotated.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let rotated = UNIX_EPOCH + Duration::from_secs(rotated.unwrap_or_default());
        Self::of(text, rotated).map(Some)
    }

    fn of(text: String, rotated: SystemTime) -> Result<Self, TicketKeyError> {
        Ok(Self {
            keys: keys::parse(&text)?,
            text: Text(text),
            rotated,
        })
    }

    /// The Secret's entries.
    #[must_use]
    pub fn entries(&self) -> Entries {
        let rotated = self.rotated.duration_since(UNIX_EPOCH).unwrap_or_default();
        let rotated = rotated.as_secs().to_string();
        Entries::from([
            (KEYS.to_owned(), self.text.0.clone().into_bytes()),
            (ROTATED.to_owned(), rotated.into_bytes()),
        ])
    }

    #[must_use]
    pub fn keys(&self) -> &TicketKeys {
        &self.keys
    }

    /// What shall stand in the Secret at `now` in place of `known`; None: what stands there.
    ///
    /// # Errors
    /// Those of `fresh`, which makes a key.
    pub fn due<E: From<TicketKeyError>>(
        known: Option<&Self>,
        now: SystemTime,
        mut fresh: impl FnMut() -> Result<Fresh, E>,
    ) -> Result<Option<Self>, E> {
        let kept = match known {
            // A clock that was far ahead when it was written must not hold up the next.
            Some(one) if one.rotated + TICKET_PERIOD > now && one.rotated < now + TICKET_PERIOD => {
                return Ok(None);
            }
            Some(one) => one.text.0.lines().rev().take(2).collect(),
            None => Vec::new(),
        };
        let mut lines: Vec<String> = kept.into_iter().rev().map(str::to_owned).collect();
        while lines.len() < 3 {
            lines.push(STANDARD.encode(fresh()?));
        }
        let text = lines.join("\n") + "\n";
        Ok(Some(Self::of(text, now)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first bytes of the keys, the one in use first, after each of these seconds.
    fn at(seconds: &[u64]) -> Vec<Option<Vec<u8>>> {
        let mut next = 0;
        let mut fresh = || -> Result<Fresh, TicketKeyError> {
            next += 1;
            Ok([next; 48])
        };
        let mut known: Option<Kept> = None;
        let mut seen = Vec::new();
        for second in seconds {
            let now = UNIX_EPOCH + Duration::from_secs(*second);
            let due = Kept::due(known.as_ref(), now, &mut fresh).unwrap();
            let first = |one: &Kept| one.keys().keys.iter().map(|key| key.0[0]).collect();
            seen.push(due.as_ref().map(first));
            if let Some(due) = due {
                // As another leader reads it.
                known = Kept::read(&due.entries()).unwrap();
                assert_eq!(known.as_ref(), Some(&due));
            }
        }
        seen
    }

    #[test]
    fn the_next_key_is_known_for_a_period_before_it_makes_tickets() {
        let period = TICKET_PERIOD.as_secs();
        let start = 1_800_000_000;
        let seen = at(&[
            start,
            start + period - 1,
            start + period,
            start + 2 * period,
        ]);
        let expected = [
            Some(vec![2, 1, 3]),
            None,
            Some(vec![3, 2, 4]),
            Some(vec![4, 3, 5]),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_time_that_is_none_or_far_ahead_is_as_good_as_long_ago() {
        let start = 1_800_000_000;
        let seen = at(&[start, start - 3 * TICKET_PERIOD.as_secs()]);
        assert_eq!(seen[1], Some(vec![3, 2, 4]));
        assert_eq!(Kept::read(&Entries::new()), Ok(None));
        let keys = Entries::from([(KEYS.to_owned(), b"nonsense!".to_vec())]);
        let error = Kept::read(&keys).unwrap_err();
        assert_eq!(error, TicketKeyError::NotBase64 { line: 1 });
    }
}
