//! Heads and chunks written into a buffer. Owns the bytes' form and the standard reason phrases; what
//! is written is the caller's choice, and names and values must be clean (see [`super::field::is_name`]
//! and [`super::field::is_value`]): what was parsed is, configuration is checked when it is compiled.

use super::field::Field;
use super::framing::Framing;

/// `GET /path?query HTTP/1.1`. The version is always our own (RFC 9110, section 2.5).
pub fn request_line(out: &mut Vec<u8>, method: &[u8], path: &[u8], query: Option<&[u8]>) {
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(path);
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// `HTTP/1.1 200 OK`, with the standard reason phrase. `status` has three digits.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    status_line_with(out, status, reason(status).as_bytes());
}

/// `HTTP/1.1 200 Fine`: with the backend's own reason phrase.
pub fn status_line_with(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    debug_assert!((100..=999).contains(&status));
    let digit = |value: u16| b'0' + (value % 10) as u8;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(reason);
    out.extend_from_slice(CRLF);
}

pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(CRLF);
}

pub fn field_decimal(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    decimal(out, value);
    out.extend_from_slice(CRLF);
}

/// A received field as it came, `buf` being what its head was parsed from.
#[inline]
pub fn field_copy(out: &mut Vec<u8>, received: &Field, buf: &[u8]) {
    let (start, end) = (received.name.start(), received.value.end());
    let line = buf.get(start..end).unwrap_or_default();
    // Nearly all senders write one space behind the colon: then the line is copied in one go.
    if received.value.start() == received.name.end() + 2
        && line.get(received.name.len() + 1) == Some(&b' ')
    {
        out.extend_from_slice(line);
        out.extend_from_slice(CRLF);
    } else {
        field(out, received.name.of(buf), received.value.of(buf));
    }
}

/// The field that announces a body, if one is needed.
pub fn framing(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => field_decimal(out, b"content-length", length),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
}

/// The empty line behind a head's fields.
pub fn head_end(out: &mut Vec<u8>) {
    out.extend_from_slice(CRLF);
}

/// The line before a chunk of `size` bytes, which is not 0: an empty chunk would end the body.
pub fn chunk_start(out: &mut Vec<u8>, size: u64) {
    debug_assert!(size > 0);
    hex(out, size);
    out.extend_from_slice(CRLF);
}

/// The end of a chunk's line and of its bytes.
pub fn chunk_end(out: &mut Vec<u8>) {
    out.extend_from_slice(CRLF);
}

/// The last chunk; trailer fields and then [`head_end`] follow.
pub fn last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
}

pub const CRLF: &[u8] = b"\r\n";

/// The whole interim response that lets a client send its body (RFC 9110, section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

pub fn decimal(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(digits(value, &mut [0; DIGITS]));
}

/// What the largest number has.
pub(crate) const DIGITS: usize = 20;

/// A number's decimal digits, at the end of `room`.
pub(crate) fn digits(mut value: u64, room: &mut [u8; DIGITS]) -> &[u8] {
    let mut start = room.len();
    for place in room.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        start -= 1;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    room.get(start..).unwrap_or_default()
}

pub fn hex(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 16];
    let mut start = digits.len();
    for place in digits.iter_mut().rev() {
        let digit = (value & 15) as u8;
        *place = if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        };
        start -= 1;
        value >>= 4;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

/// The reason phrases of the IANA registry of status codes; empty for others.
#[must_use]
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400..=499 => reason_of_client_error(status),
        500..=599 => reason_of_server_error(status),
        _ => "",
    }
}

const fn reason_of_client_error(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        _ => "",
    }
}

const fn reason_of_server_error(status: u16) -> &'static str {
    match status {
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_those_of_the_standard_library() {
        for value in [
            0,
            1,
            9,
            10,
            15,
            16,
            255,
            256,
            1_000_000,
            u64::MAX - 1,
            u64::MAX,
        ] {
            assert_eq!(written(|out| decimal(out, value)), value.to_string());
            assert_eq!(written(|out| hex(out, value)), format!("{value:x}"));
        }
    }

    #[test]
    fn lines_have_their_form() {
        assert_eq!(
            written(|out| request_line(out, b"GET", b"/a", None)),
            "GET /a HTTP/1.1\r\n"
        );
        assert_eq!(
            written(|out| request_line(out, b"GET", b"/a", Some(b""))),
            "GET /a? HTTP/1.1\r\n"
        );
        assert_eq!(
            written(|out| status_line(out, 404)),
            "HTTP/1.1 404 Not Found\r\n"
        );
        assert_eq!(written(|out| status_line(out, 799)), "HTTP/1.1 799 \r\n");
        assert_eq!(
            written(|out| framing(out, Framing::Length(0))),
            "content-length: 0\r\n"
        );
        assert_eq!(written(|out| framing(out, Framing::None)), "");
        assert_eq!(written(|out| chunk_start(out, 4096)), "1000\r\n");
        assert_eq!(
            CONTINUE,
            written(|out| {
                status_line(out, 100);
                head_end(out);
            })
            .as_bytes()
        );
    }
}
