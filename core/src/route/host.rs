//! A request's host as routes see it: lower case, without port and trailing dot.

use std::borrow::Cow;

/// The host of an authority (`host[:port]`, validated by the head's parser); borrowed as a rule.
///
/// Gateway API: "implementations MUST ignore any port value specified in the HTTP Host header".
#[must_use]
pub fn of_authority(authority: &[u8]) -> Cow<'_, str> {
    let authority = std::str::from_utf8(authority).unwrap_or_default();
    let end = match authority.rfind(':') {
        Some(colon) if !authority.ends_with(']') => colon,
        _ => authority.len(),
    };
    let host = authority.get(..end).unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// The port of an authority, if it names one.
#[must_use]
pub fn port_of_authority(authority: &[u8]) -> Option<u16> {
    let authority = std::str::from_utf8(authority).ok()?;
    let (_, port) = authority.rsplit_once(':')?;
    port.parse().ok()
}

/// What a wildcard could stand before: `a.b.c` gives `b.c`, then `c`.
pub fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    let mut rest = host;
    std::iter::from_fn(move || {
        let (_, suffix) = rest.split_once('.')?;
        rest = suffix;
        Some(suffix)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_case_and_trailing_dot_do_not_matter() {
        for (authority, host) in [
            ("a.example", "a.example"),
            ("A.Example:8080", "a.example"),
            ("a.example.", "a.example"),
            ("a.example.:80", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(of_authority(authority.as_bytes()), host, "{authority}");
        }
        assert_eq!(port_of_authority(b"a:81"), Some(81));
        assert_eq!(port_of_authority(b"[::1]"), None);
    }

    #[test]
    fn suffixes_go_from_the_longest_to_the_shortest() {
        assert_eq!(suffixes("a.b.c").collect::<Vec<_>>(), ["b.c", "c"]);
        assert_eq!(suffixes("a").count(), 0);
    }
}
