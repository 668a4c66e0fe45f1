//! Cookies of a request (RFC 6265, section 5.4).

/// The value of the first cookie of this name in a `Cookie` field, quotes included.
#[must_use]
pub fn find<'v>(field: &'v [u8], name: &str) -> Option<&'v [u8]> {
    // Several fields are joined by commas, though they aren't a list: in HTTP/1 there must be one only.
    let pairs = field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let mut pairs = pairs.filter_map(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=')?;
        Some((pair.get(..end)?, pair.get(end + 1..)?))
    });
    pairs
        .find(|(of, _)| *of == name.as_bytes())
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        for (field, expected) in [
            ("id=1", Some("1")),
            ("a=2; id=1; id=3", Some("1")),
            ("a=2;id=x=y;", Some("x=y")),
            ("id=", Some("")),
            ("xid=1; ID=2; id", None),
            ("", None),
        ] {
            let found = find(field.as_bytes(), "id").map(|value| str::from_utf8(value).unwrap());
            assert_eq!(found, expected, "{field}");
        }
    }
}
