//! A request's query parameters (WHATWG URL, `application/x-www-form-urlencoded` parsing).

use std::borrow::Cow;

/// The first value of a parameter, decoded; Gateway API recommends the first where one is repeated.
#[must_use]
pub fn first<'q>(query: &'q [u8], name: &str) -> Option<Cow<'q, [u8]>> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let found = parts.next().unwrap_or_default();
        let value = parts.next().unwrap_or_default();
        (decode(found).as_ref() == name.as_bytes()).then(|| decode(value))
    })
}

/// `+` is a space; a `%` without two digits stands for itself.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                if let Some(decoded) = behind.get(..2).and_then(hex_pair) {
                    out.push(decoded);
                    rest = behind.get(2..).unwrap_or_default();
                } else {
                    out.push(byte);
                }
            }
            _ => out.push(byte),
        }
    }
    Cow::Owned(out)
}

fn hex_pair(digits: &[u8]) -> Option<u8> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_repeated_parameter_counts_and_is_decoded() {
        for (query, name, value) in [
            ("a=1&b=2", "b", Some("2")),
            ("a=1&a=2", "a", Some("1")),
            ("a", "a", Some("")),
            ("a=x%20y+z%zz", "a", Some("x y z%zz")),
            ("%61=1", "a", Some("1")),
            ("A=1", "a", None),
            ("", "a", None),
            ("a=1=2", "a", Some("1=2")),
        ] {
            let found = first(query.as_bytes(), name);
            assert_eq!(found.as_deref(), value.map(str::as_bytes), "{query} {name}");
        }
    }
}
