//! `host[:port]`, as it stands in a `Host` field or a request target (RFC 9110, section 7.2;
//! RFC 3986, section 3.2). Owns its syntax; which host is served is the table's to know.

use std::net::Ipv6Addr;

use memchr::memrchr;

use super::token::{decimal, is_host_name};

/// Why a text is no `host[:port]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    #[error("host is empty")]
    EmptyHost,
    #[error("host has a character that no host name has")]
    Host,
    #[error("host in brackets is no IPv6 address")]
    Ipv6,
    #[error("port is not a number from 0 to 65535")]
    Port,
}

/// Splits into the host (brackets of an IPv6 address included) and the port, and checks both.
///
/// Stricter than RFC 3986: sub-delims and percent-encoding (no name in DNS has them, and parsers differ
/// over them), `IPvFuture`, user information and an empty port are refused.
///
/// # Errors
/// When the text is no `host[:port]`.
pub fn split(authority: &[u8]) -> Result<(&[u8], Option<u16>), AuthorityError> {
    if authority.first() == Some(&b'[') {
        return split_ipv6(authority);
    }
    let (host, port) = match memrchr(b':', authority) {
        Some(colon) => (&authority[..colon], Some(&authority[colon + 1..])),
        None => (authority, None),
    };
    if host.is_empty() {
        return Err(AuthorityError::EmptyHost);
    }
    // A name in DNS has 253 characters (RFC 1035, section 2.3.4), and may end with a dot. The bound is also one
    // on the work of matching wildcards, which look at each label.
    if host.len() > 254 || !is_host_name(host) {
        return Err(AuthorityError::Host);
    }
    Ok((host, port.map(parse_port).transpose()?))
}

fn split_ipv6(authority: &[u8]) -> Result<(&[u8], Option<u16>), AuthorityError> {
    let close = memrchr(b']', authority).ok_or(AuthorityError::Ipv6)?;
    let (host, rest) = authority.split_at(close + 1);
    let address = host
        .get(1..close)
        .and_then(|inner| std::str::from_utf8(inner).ok());
    address
        .and_then(|text| text.parse::<Ipv6Addr>().ok())
        .ok_or(AuthorityError::Ipv6)?;
    match rest.split_first() {
        None => Ok((host, None)),
        Some((b':', port)) => Ok((host, Some(parse_port(port)?))),
        Some(_) => Err(AuthorityError::Port),
    }
}

fn parse_port(text: &[u8]) -> Result<u16, AuthorityError> {
    // At most five digits: `0000000080` is a number, but one that others read differently.
    if text.len() > 5 {
        return Err(AuthorityError::Port);
    }
    decimal(text)
        .and_then(|port| u16::try_from(port).ok())
        .ok_or(AuthorityError::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_split_and_checked() {
        use AuthorityError::{EmptyHost, Host, Ipv6, Port};
        type Split = Result<(&'static str, Option<u16>), AuthorityError>;
        let table: &[(&str, Split)] = &[
            ("example.com", Ok(("example.com", None))),
            ("EXAMPLE.com:8080", Ok(("EXAMPLE.com", Some(8080)))),
            ("a_b~c-1.", Ok(("a_b~c-1.", None))),
            ("127.0.0.1:80", Ok(("127.0.0.1", Some(80)))),
            ("[::1]", Ok(("[::1]", None))),
            ("[2001:db8::1]:443", Ok(("[2001:db8::1]", Some(443)))),
            ("[::ffff:1.2.3.4]", Ok(("[::ffff:1.2.3.4]", None))),
            ("", Err(EmptyHost)),
            (":80", Err(EmptyHost)),
            ("a:", Err(Port)),
            ("a:x", Err(Port)),
            ("a:+1", Err(Port)),
            ("a:65536", Err(Port)),
            ("a:000080", Err(Port)),
            ("a:1:2", Err(Host)),
            ("::1", Err(Host)),
            ("user@a", Err(Host)),
            ("a b", Err(Host)),
            ("a/b", Err(Host)),
            ("a%41", Err(Host)),
            ("a,b", Err(Host)),
            ("b\u{fc}cher", Err(Host)),
            ("[::1", Err(Ipv6)),
            ("[]", Err(Ipv6)),
            ("[fe80::1%25eth0]", Err(Ipv6)),
            ("[v1.a]", Err(Ipv6)),
            ("[a]b]", Err(Ipv6)),
            ("[::1]80", Err(Port)),
            ("[::1]:", Err(Port)),
        ];
        for (text, wanted) in table {
            let found = split(text.as_bytes());
            let found = found.map(|(host, port)| (std::str::from_utf8(host).unwrap(), port));
            assert_eq!(found, *wanted, "{text:?}");
        }
    }
}
