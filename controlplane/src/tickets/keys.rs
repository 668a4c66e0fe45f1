//! Keys as text: one a line, in base64, the oldest first. The last but one makes tickets, so that the last
//! is known everywhere before it is used; all open them. HAProxy's `tls-ticket-keys` are files like this.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringgate_core::ir::{TicketKey, TicketKeys};
use ringgate_core::limits;
use thiserror::Error;

/// Bytes of one, at least: what is derived of it can't be guessed then.
const LEAST_BYTES: usize = 32;

/// What is wrong with such a text. Never shows any of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TicketKeyError {
    #[error("there is no key in it: write some lines of `openssl rand -base64 48`")]
    None,
    #[error("it has more than {} keys: leave out the oldest", limits::TICKET_KEYS)]
    Many,
    #[error("line {line} is not base64: write what `openssl rand -base64 48` prints")]
    NotBase64 {
        /// From 1.
        line: usize,
    },
    #[error(
        "the key of line {line} has {bytes} bytes, and not {LEAST_BYTES} to {}: write what `openssl rand -base64 48` prints",
        limits::TICKET_KEY_BYTES
    )]
    Length { line: usize, bytes: usize },
}

/// Empty lines are passed over.
///
/// # Errors
/// When a line is no key, or there are none or too many.
pub fn parse(text: &str) -> Result<TicketKeys, TicketKeyError> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty());
    let mut keys: Vec<TicketKey> = lines
        .map(|(place, line)| key(place + 1, line))
        .collect::<Result<_, _>>()?;
    if keys.len() > limits::TICKET_KEYS {
        return Err(TicketKeyError::Many);
    }
    match keys.len() {
        0 => return Err(TicketKeyError::None),
        1 => {}
        count => keys[..count - 1].rotate_right(1),
    }
    Ok(TicketKeys { keys })
}

fn key(line: usize, text: &str) -> Result<TicketKey, TicketKeyError> {
    let bytes = STANDARD.decode(text);
    let bytes = bytes.map_err(|_| TicketKeyError::NotBase64 { line })?;
    match bytes.len() {
        LEAST_BYTES..=limits::TICKET_KEY_BYTES => Ok(TicketKey(bytes.into())),
        bytes => Err(TicketKeyError::Length { line, bytes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(byte: u8) -> String {
        STANDARD.encode([byte; 48]) + "\n"
    }

    fn parsed(bytes: &[u8]) -> Vec<u8> {
        let text: String = bytes.iter().map(|byte| line(*byte)).collect();
        let keys = parse(&text).unwrap().keys;
        keys.iter().map(|key| key.0[0]).collect()
    }

    #[test]
    fn the_last_but_one_comes_first() {
        assert_eq!(parsed(&[1]), [1]);
        assert_eq!(parsed(&[1, 2]), [1, 2]);
        assert_eq!(parsed(&[1, 2, 3]), [2, 1, 3]);
        assert_eq!(parsed(&[1, 2, 3, 4]), [3, 1, 2, 4]);
    }

    #[test]
    fn what_is_no_key_is_told_by_its_line_and_not_shown() {
        assert_eq!(parse("\n \n"), Err(TicketKeyError::None));
        let text = line(1) + "\nno key\n";
        assert_eq!(parse(&text), Err(TicketKeyError::NotBase64 { line: 3 }));
        let short = STANDARD.encode([1; 16]);
        let error = parse(&short).unwrap_err();
        assert_eq!(error, TicketKeyError::Length { line: 1, bytes: 16 });
        assert!(!error.to_string().contains(&short));
        let many = line(1).repeat(limits::TICKET_KEYS + 1);
        assert_eq!(parse(&many), Err(TicketKeyError::Many));
        assert!(!format!("{:?}", parse(&line(7))).contains('7'));
    }
}
