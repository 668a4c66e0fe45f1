//! The PROXY protocol, versions 1 and 2, as a connection's first bytes (HAProxy's specification, revision
//! 2020/03/05): who the client is, told by a load balancer in front, or by us to a backend. Sans-IO; whom to
//! believe is the caller's business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

use crate::ir::ProxyHeader;

/// The longest header of version 1, line end included (specification, section 2.1).
const V1_BYTES_MAX: usize = 107;
/// Addresses and TLVs of version 2 together: far beyond what balancers send, and below a buffer's size.
const V2_BYTES_MAX: usize = 4096;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD_BYTES: usize = 16;

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Come again with the same bytes and more behind them.
    Partial,
    /// The header has so many bytes. No source: the balancer speaks for itself (a health check), or of
    /// something that has no IP address; the connection's own peer counts.
    Complete {
        len: usize,
        source: Option<SocketAddr>,
    },
}

/// Why the first bytes are no header. The connection is to be closed: a balancer that was set up otherwise
/// than we were would have its clients' addresses mixed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProxyProtocolError {
    #[error("the connection doesn't begin with a PROXY protocol header")]
    Missing,
    #[error("the PROXY protocol line is malformed or too long")]
    V1,
    #[error("PROXY protocol version {0} is not known")]
    Version(u8),
    #[error("PROXY protocol command {0} is not known")]
    Command(u8),
    #[error("the PROXY protocol header is longer than {V2_BYTES_MAX} bytes")]
    TooLong,
    #[error("the PROXY protocol header is too short for its addresses")]
    TooShort,
}

/// Reads a header from the front of `bytes`.
///
/// # Errors
/// [`ProxyProtocolError`].
pub fn parse(bytes: &[u8]) -> Result<Header, ProxyProtocolError> {
    let prefix = bytes.len().min(V2_SIGNATURE.len());
    if bytes.get(..prefix) == V2_SIGNATURE.get(..prefix) && prefix > 0 {
        return parse_v2(bytes);
    }
    let prefix = bytes.len().min(6);
    if bytes.get(..prefix) == b"PROXY ".get(..prefix) {
        return parse_v1(bytes);
    }
    Err(ProxyProtocolError::Missing)
}

fn parse_v1(bytes: &[u8]) -> Result<Header, ProxyProtocolError> {
    let Some(end) = bytes
        .windows(2)
        .take(V1_BYTES_MAX - 1)
        .position(|two| two == b"\r\n")
    else {
        let may_come = bytes.len() < V1_BYTES_MAX;
        return if may_come {
            Ok(Header::Partial)
        } else {
            Err(ProxyProtocolError::V1)
        };
    };
    let line = bytes
        .get(..end)
        .and_then(|line| std::str::from_utf8(line).ok());
    let source = line.and_then(v1_source).ok_or(ProxyProtocolError::V1)?;
    Ok(Header::Complete {
        len: end + 2,
        source,
    })
}

/// `PROXY TCP4 source destination source-port destination-port`; none at all if it is malformed.
fn v1_source(line: &str) -> Option<Option<SocketAddr>> {
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let words: Vec<&str> = words.collect();
    let [source, destination, source_port, destination_port] = words.as_slice() else {
        return None;
    };
    let address: IpAddr = match family {
        "TCP4" => {
            destination.parse::<Ipv4Addr>().ok()?;
            source.parse::<Ipv4Addr>().ok()?.into()
        }
        "TCP6" => {
            destination.parse::<Ipv6Addr>().ok()?;
            source.parse::<Ipv6Addr>().ok()?.into()
        }
        _ => return None,
    };
    destination_port.parse::<u16>().ok()?;
    Some(Some(SocketAddr::new(address, source_port.parse().ok()?)))
}

fn parse_v2(bytes: &[u8]) -> Result<Header, ProxyProtocolError> {
    let Some(&[version_command, family, high, low]) = bytes.get(12..V2_HEAD_BYTES) else {
        return Ok(Header::Partial);
    };
    if version_command >> 4 != 2 {
        return Err(ProxyProtocolError::Version(version_command >> 4));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_BYTES_MAX {
        return Err(ProxyProtocolError::TooLong);
    }
    let len = V2_HEAD_BYTES + length;
    let Some(rest) = bytes.get(V2_HEAD_BYTES..len) else {
        return Ok(Header::Partial);
    };
    let source = match version_command & 0xf {
        0 => None,
        1 => v2_source(family, rest)?,
        other => return Err(ProxyProtocolError::Command(other)),
    };
    Ok(Header::Complete { len, source })
}

/// Families that have no IP address (Unix sockets, unspecified) have no source: they are no error
/// (CVE-2024-23325 was a crash on them).
fn v2_source(family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, ProxyProtocolError> {
    let source = match family >> 4 {
        1 => {
            let block = rest
                .first_chunk::<12>()
                .ok_or(ProxyProtocolError::TooShort)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *block;
            let port = u16::from_be_bytes([high, low]);
            SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port)
        }
        2 => {
            let block = rest
                .first_chunk::<36>()
                .ok_or(ProxyProtocolError::TooShort)?;
            let (address, behind) = block.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
            let port = behind
                .get(16..18)
                .and_then(|port| <[u8; 2]>::try_from(port).ok());
            let port = u16::from_be_bytes(port.unwrap_or_default());
            SocketAddr::new(Ipv6Addr::from(*address).into(), port)
        }
        _ => return Ok(None),
    };
    Ok(Some(source))
}

/// Appends the header of a connection that is for nobody but us, as a health check's (specification, sections
/// 2.1 and 2.2).
pub fn write_own(version: ProxyHeader, out: &mut Vec<u8>) {
    match version {
        ProxyHeader::V1 => out.extend_from_slice(b"PROXY UNKNOWN\r\n"),
        ProxyHeader::V2 => {
            out.extend_from_slice(V2_SIGNATURE);
            // Version 2, command LOCAL; no family, and nothing that follows.
            out.extend_from_slice(&[0x20, 0, 0, 0]);
        }
    }
}

/// Appends the header of a connection from `source` that came to `destination`. Both are written as IPv6 if
/// either is.
pub fn write(version: ProxyHeader, source: SocketAddr, destination: SocketAddr, out: &mut Vec<u8>) {
    let (from, to) = same_family(source.ip().to_canonical(), destination.ip().to_canonical());
    let (source, destination) = (source.port(), destination.port());
    match version {
        ProxyHeader::V1 => {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            let line = format!("PROXY {family} {from} {to} {source} {destination}\r\n");
            out.extend_from_slice(line.as_bytes());
        }
        ProxyHeader::V2 => {
            out.extend_from_slice(V2_SIGNATURE);
            // Version 2, command PROXY; then the family with a stream, and the length of what follows.
            let (family, length) = if from.is_ipv4() {
                (0x11, 12)
            } else {
                (0x21, 36)
            };
            out.extend_from_slice(&[0x21, family, 0, length]);
            for address in [from, to] {
                match address {
                    IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
                    IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
                }
            }
            out.extend_from_slice(&source.to_be_bytes());
            out.extend_from_slice(&destination.to_be_bytes());
        }
    }
}

fn same_family(one: IpAddr, other: IpAddr) -> (IpAddr, IpAddr) {
    let mapped = |address| match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        v6 => v6,
    };
    match one.is_ipv4() == other.is_ipv4() {
        true => (one, other),
        false => (mapped(one), mapped(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    fn complete(len: usize, source: &str) -> Result<Header, ProxyProtocolError> {
        Ok(Header::Complete {
            len,
            source: source.parse().ok(),
        })
    }

    #[test]
    fn version_1_names_the_client() {
        let line = b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\nGET /";
        assert_eq!(parse(line), complete(41, "192.0.2.1:56324"));
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n";
        assert_eq!(parse(line), complete(32, "[2001:db8::1]:1"));
        assert_eq!(parse(b"PROXY UNKNOWN whatever\r\n"), complete(24, ""));
    }

    #[test]
    fn version_2_names_the_client_and_tlvs_are_passed_over() {
        let mut rest = vec![192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 4, 1, 187];
        assert_eq!(parse(&v2(1, 0x11, &rest)), complete(28, "192.0.2.1:56324"));
        rest.extend([3, 0, 1, b'x']);
        assert_eq!(parse(&v2(1, 0x11, &rest)), complete(32, "192.0.2.1:56324"));
        let mut rest = [0; 36];
        rest[..2].copy_from_slice(&[0x20, 1]);
        rest[33] = 80;
        assert_eq!(parse(&v2(1, 0x21, &rest)), complete(52, "[2001::]:80"));
    }

    #[test]
    fn health_checks_and_other_families_have_no_source() {
        assert_eq!(parse(&v2(0, 0, &[])), complete(16, ""));
        assert_eq!(parse(&v2(1, 0x31, &[0; 216])), complete(232, ""));
        assert_eq!(parse(&v2(1, 0x00, &[])), complete(16, ""));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 120]].concat();
        for (bytes, error) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), ProxyProtocolError::Missing),
            (
                b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n".to_vec(),
                ProxyProtocolError::V1,
            ),
            (
                b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n".to_vec(),
                ProxyProtocolError::V1,
            ),
            (
                b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(),
                ProxyProtocolError::V1,
            ),
            (long, ProxyProtocolError::V1),
            (v2(2, 0x11, &[0; 12]), ProxyProtocolError::Command(2)),
            (v2(1, 0x11, &[0; 11]), ProxyProtocolError::TooShort),
            (v2(1, 0x11, &[0; 5000]), ProxyProtocolError::TooLong),
        ] {
            assert_eq!(parse(&bytes), Err(error));
        }
    }

    #[test]
    fn every_prefix_of_a_header_waits_for_more() {
        let headers = [
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
            v2(1, 0x11, &[7; 12]),
        ];
        for header in headers {
            for end in 0..header.len() {
                assert_eq!(parse(&header[..end]), Ok(Header::Partial), "{end}");
            }
        }
    }

    #[test]
    fn headers_are_written_as_the_specification_has_them() {
        let written = |version, source: &str, destination: &str| {
            let mut out = Vec::new();
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            write(version, source, destination, &mut out);
            out
        };
        assert_eq!(
            written(ProxyHeader::V1, "192.0.2.1:56324", "10.0.0.1:443"),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n"
        );
        assert_eq!(
            written(ProxyHeader::V1, "[2001:db8::1]:1", "10.0.0.1:443"),
            b"PROXY TCP6 2001:db8::1 ::ffff:10.0.0.1 1 443\r\n"
        );
        let addresses = [192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 4, 1, 187];
        assert_eq!(
            written(ProxyHeader::V2, "[::ffff:192.0.2.1]:56324", "10.0.0.1:443"),
            v2(1, 0x11, &addresses)
        );
    }

    #[test]
    fn our_own_connections_have_no_client() {
        for (version, length) in [(ProxyHeader::V1, 15), (ProxyHeader::V2, 16)] {
            let mut out = Vec::new();
            write_own(version, &mut out);
            assert_eq!(parse(&out), complete(length, ""));
            assert_eq!(out.len(), length);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(
            source: (IpAddr, u16),
            destination: (IpAddr, u16),
            behind in proptest::collection::vec(0_u8.., 0..64),
        ) {
            let (source, destination) = (SocketAddr::from(source), SocketAddr::from(destination));
            for version in [ProxyHeader::V1, ProxyHeader::V2] {
                let mut bytes = Vec::new();
                write(version, source, destination, &mut bytes);
                let len = bytes.len();
                for end in 0..len {
                    proptest::prop_assert_eq!(parse(&bytes[..end]), Ok(Header::Partial));
                }
                bytes.extend(&behind);
                let Ok(Header::Complete { len: read, source: Some(found) }) = parse(&bytes) else {
                    panic!("not read: {bytes:?}");
                };
                proptest::prop_assert_eq!(read, len);
                proptest::prop_assert_eq!(found.ip().to_canonical(), source.ip().to_canonical());
                proptest::prop_assert_eq!(found.port(), source.port());
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(0_u8.., 0..64)) {
            let _ = parse(&bytes);
            let _ = parse(&[V2_SIGNATURE.as_slice(), &bytes].concat());
            let _ = parse(&[b"PROXY ".as_slice(), &bytes].concat());
        }
    }
}
