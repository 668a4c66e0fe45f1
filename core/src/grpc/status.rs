//! Statuses of gRPC (statuscodes.md), for replies that no backend made.

use crate::http1::encode;

/// The code that stands for a reply of this HTTP status: what a client makes of an HTTP status
/// (http-grpc-status-mapping.md), so that it learns the same from a reply in gRPC's own form; and of what is
/// larger than allowed, which has no place there, as servers of gRPC say it.
#[must_use]
pub fn code(http_status: u16) -> u8 {
    match http_status {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        413 | 431 => RESOURCE_EXHAUSTED,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

pub const UNKNOWN: u8 = 2;
/// What ran out is the client's own time (`grpc-timeout`), or that of the route.
pub const DEADLINE_EXCEEDED: u8 = 4;
pub const PERMISSION_DENIED: u8 = 7;
pub const RESOURCE_EXHAUSTED: u8 = 8;
pub const UNIMPLEMENTED: u8 = 12;
pub const INTERNAL: u8 = 13;
pub const UNAVAILABLE: u8 = 14;
pub const UNAUTHENTICATED: u8 = 16;

/// Appends field lines, of a head or of trailers, that tell a client of gRPC what became of its request.
pub fn fields(code: u8, text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"grpc-status: ");
    encode::decimal(out, code.into());
    out.extend_from_slice(b"\r\ngrpc-message: ");
    message(text, out);
    out.extend_from_slice(encode::CRLF);
}

/// A `grpc-message`: what isn't printable ASCII, and the percent sign, are percent-encoded
/// (PROTOCOL-HTTP2.md, "Responses"). Space at either end is left out, for HTTP would lose it.
fn message(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.trim_ascii() {
        match byte {
            b'%' | ..=0x1f | 0x7f.. => {
                let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied();
                out.push(b'%');
                out.extend(digit(byte >> 4).into_iter().chain(digit(byte & 15)));
            }
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_printable_ascii() {
        let mut out = Vec::new();
        message("100 % größer\n\n".as_bytes(), &mut out);
        assert_eq!(out, b"100 %25 gr%C3%B6%C3%9Fer");
        out.clear();
        fields(DEADLINE_EXCEEDED, b"late\n", &mut out);
        assert_eq!(out, b"grpc-status: 4\r\ngrpc-message: late\r\n");
    }

    #[test]
    fn http_statuses_have_the_codes_that_clients_and_servers_give_them() {
        let codes = [
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (413, 8),
            (431, 8),
            (429, 14),
            (502, 14),
            (503, 14),
            (504, 14),
            (500, 2),
            (405, 2),
        ];
        for (status, expected) in codes {
            assert_eq!(code(status), expected, "{status}");
        }
    }
}
