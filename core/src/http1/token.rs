//! Which bytes may stand where in a head: tables, and searches for the first byte that may not.
//! Owns no meaning, only character classes (RFC 9110, section 5.6) and numbers.

/// What a byte may be part of; one table for all classes keeps one cache line's worth of lookups.
const TOKEN: u8 = 1;
const TARGET: u8 = 2;
const VALUE: u8 = 4;
const HOST: u8 = 8;
const LOWER: u8 = 16;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class(byte as u8);
        byte += 1;
    }
    table
}

const fn class(byte: u8) -> u8 {
    let mut class = 0;
    if byte.is_ascii_alphanumeric() || is_token_mark(byte) {
        class |= TOKEN;
        if !byte.is_ascii_uppercase() {
            class |= LOWER;
        }
    }
    // A fragment never goes over the wire (RFC 9110, section 4.2.5): parsers disagree on what `#` ends.
    if byte.is_ascii_graphic() && byte != b'#' {
        class |= TARGET;
    }
    if byte == b'\t' || byte >= 0x20 && byte != 0x7f {
        class |= VALUE;
    }
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
        class |= HOST;
    }
    class
}

const fn is_token_mark(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'
            | b'_'
            | b'`'
            | b'|'
            | b'~'
    )
}

#[inline]
const fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

#[inline]
fn end_of(class: u8, buf: &[u8], from: usize) -> usize {
    let rest = buf.get(from..).unwrap_or_default();
    from + rest
        .iter()
        .position(|&byte| !is(byte, class))
        .unwrap_or(rest.len())
}

/// Where the token that begins at `from` ends (RFC 9110, section 5.6.2).
#[inline]
pub(super) fn token_end(buf: &[u8], from: usize) -> usize {
    end_of(TOKEN, buf, from)
}

/// Where the request target that begins at `from` ends: visible ASCII but `#`.
#[inline]
pub(super) fn target_end(buf: &[u8], from: usize) -> usize {
    end_of(TARGET, buf, from)
}

/// A token is never empty.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is(byte, TOKEN))
}

/// A token without letters in upper case, as which names stand in HTTP/2 (RFC 9113, section 8.2.1).
pub(super) fn is_lower_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is(byte, LOWER))
}

/// The unreserved characters of RFC 3986, of which names in DNS are made.
pub(super) fn is_host_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is(byte, HOST))
}

pub(super) const fn is_value_byte(byte: u8) -> bool {
    is(byte, VALUE)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// The high bit of each byte below 0x20 or equal to 0x7f. Only the lowest mark is exact: a borrow may
/// add false ones above it.
#[inline]
const fn control_marks(block: u64) -> u64 {
    let del = block ^ (ONES * 0x7f);
    let below = block.wrapping_sub(ONES * 0x20) & !block;
    let equal = del.wrapping_sub(ONES) & !del;
    (below | equal) & HIGHS
}

/// Where the field value that begins at `from` ends: the first control byte other than HTAB
/// (RFC 9110, section 5.5). Eight bytes at a time, for values are most of a head.
#[inline]
pub(super) fn value_end(buf: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(block) = block(buf, at) {
        let marks = control_marks(block);
        if marks == 0 {
            at += 8;
            continue;
        }
        at += marks.trailing_zeros() as usize / 8;
        if buf.get(at) != Some(&b'\t') {
            return at;
        }
        at += 1;
    }
    end_of(VALUE, buf, at)
}

#[inline]
fn block(buf: &[u8], at: usize) -> Option<u64> {
    let bytes = buf.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*bytes))
}

/// Decimal digits alone, at least one, no sign, no overflow (RFC 9110, section 8.6).
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for &byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    Some(value)
}

/// One hexadecimal digit's value.
#[inline]
pub(super) const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Without the spaces and tabs at both ends (OWS, RFC 9110, section 5.6.3).
pub(super) fn trim_ows(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_end_agrees_with_the_table_at_every_byte_and_offset() {
        for byte in 0..=u8::MAX {
            for place in 0..20 {
                let mut text = *b"abcdefgh\tijklmno\xff~ z";
                text[place] = byte;
                let plain = text.iter().position(|&b| !is_value_byte(b)).unwrap_or(20);
                assert_eq!(value_end(&text, 0), plain, "byte {byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn decimals_are_digits_within_64_bits() {
        for (text, value) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("1 ", None),
            ("1,1", None),
            ("0x1", None),
        ] {
            assert_eq!(decimal(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn tokens_are_those_of_rfc_9110() {
        let marks = b"!#$%&'*+-.^_`|~";
        for byte in 0..=u8::MAX {
            let wanted = byte.is_ascii_alphanumeric() || marks.contains(&byte);
            assert_eq!(is_token(&[byte]), wanted, "{byte:#x}");
            let is_lower = wanted && !byte.is_ascii_uppercase();
            assert_eq!(is_lower_token(&[byte]), is_lower, "{byte:#x}");
        }
        assert!(!is_token(b""));
    }

    #[test]
    fn ows_is_trimmed_at_both_ends_only() {
        assert_eq!(trim_ows(b" \t a b\t "), b"a b");
        assert_eq!(trim_ows(b" \t "), b"");
    }
}
