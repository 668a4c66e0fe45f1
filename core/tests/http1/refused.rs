//! What is refused, and with which status. Among it what was exploited in other proxies.

use ringgate_core::http1::{Limits, Parse, RequestHead, parse_request};

fn status(buf: &[u8]) -> Result<Parse, u16> {
    parse_request(buf, &Limits::default(), &mut RequestHead::default()).map_err(|error| {
        assert!(!error.to_string().is_empty());
        error.status()
    })
}

fn refuse(wanted: u16, buf: impl AsRef<[u8]>) {
    let buf = buf.as_ref();
    assert_eq!(status(buf), Err(wanted), "{}", buf.escape_ascii());
}

/// The request line alone is wrong.
fn refuse_line(wanted: u16, line: &str) {
    refuse(wanted, format!("{line}\r\nHost: a\r\n\r\n"));
}

/// The fields alone are wrong; the request has a `Host`.
fn refuse_fields(wanted: u16, fields: impl AsRef<[u8]>) {
    refuse(
        wanted,
        [b"POST / HTTP/1.1\r\nHost: a\r\n", fields.as_ref(), b"\r\n"].concat(),
    );
}

#[test]
fn request_lines_have_one_form() {
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /",
        "GET / ",
        "GET HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/11",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / XTTP/1.1",
        "G[T / HTTP/1.1",
        "GET / HTTP/1.1\r",
        "G\0T / HTTP/1.1",
    ] {
        refuse_line(400, line);
    }
}

#[test]
fn line_ends_are_crlf() {
    refuse(400, "GET / HTTP/1.1\nHost: a\n\n");
    refuse(400, "GET / HTTP/1.1\r\nHost: a\n\r\n");
    refuse(400, "GET / HTTP/1.1\r\nHost: a\r\n\n");
    refuse(400, "GET / HTTP/1.1\r\nHost: a\r\n\rX");
    refuse(400, "GET / HTTP/1.1\r\nHost: a\rB: c\r\n\r\n");
    refuse(400, "GET / HTTP/1.1\rHost: a\r\n\r\n");
    refuse(400, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    refuse(400, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn versions_are_1_1_and_1_0() {
    for line in [
        "GET / HTTP/2.0",
        "GET / HTTP/1.2",
        "GET / HTTP/0.9",
        "GET / HTTP/3.1",
        "PRI * HTTP/2.0",
    ] {
        refuse_line(505, line);
    }
}

#[test]
fn targets_are_visible_ascii_in_the_form_for_their_method() {
    for line in [
        "GET * HTTP/1.1",
        "GET a HTTP/1.1",
        "GET o.test:443 HTTP/1.1",
        "GET ?a HTTP/1.1",
        "GET ftp://o.test/ HTTP/1.1",
        "GET http:/o.test/ HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "GET http://u@o.test/ HTTP/1.1",
        "GET http://o.test:x/ HTTP/1.1",
        "OPTIONS ** HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "CONNECT o.test HTTP/1.1",
        "CONNECT http://o.test:443 HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /\x01 HTTP/1.1",
        "GET /a\tb HTTP/1.1",
        // CVE-2023-45539 of HAProxy: `#` let a path end otherwise than the backend thought.
        "GET /a#b HTTP/1.1",
        "GET #a HTTP/1.1",
        "GET http://o.test#/ HTTP/1.1",
    ] {
        refuse_line(400, line);
    }
}

#[test]
fn field_names_are_tokens_with_a_colon_behind_them() {
    for fields in [
        "A : b\r\n",
        "A\t: b\r\n",
        " A: b\r\n",
        "\tA: b\r\n",
        "A b: c\r\n",
        "A\r\n",
        "A\0: b\r\n",
        "A\u{e9}: b\r\n",
        "(A): b\r\n",
        "A;: b\r\n",
        "A: b\r\n c\r\n",
        // CVE-2023-25725 of HAProxy: an empty name ended the list of headers.
        ": b\r\n",
        "A: b\r\n:\r\nC: d\r\n",
        " : b\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length\t: 1\r\n",
        "Content_Length: 1\r\n",
        "Transfer--Encoding: chunked\r\n",
    ] {
        refuse_fields(400, fields);
    }
}

#[test]
fn field_values_have_no_control_characters() {
    for byte in (0..=0x1f_u8).chain([0x7f]).filter(|&byte| byte != b'\t') {
        refuse_fields(400, [b"A: b", &[byte][..], b"c\r\n"].concat());
        refuse_fields(
            400,
            [
                b"A: long enough to take the fast way ",
                &[byte][..],
                b"\r\n",
            ]
            .concat(),
        );
    }
    let kept = b"GET / HTTP/1.1\r\nHost: a\r\nA: b\tc\xff\r\n\r\n";
    assert_eq!(status(kept), Ok(Parse::Complete));
}

#[test]
fn there_is_one_content_length_of_digits() {
    for fields in [
        // CVE-2023-40225 of HAProxy: an empty value was passed on.
        "Content-Length:\r\n",
        "Content-Length: \r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1a\r\n",
        "Content-Length: 1.0\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: ,1\r\n",
        "Content-Length: \"1\"\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\ncontent-length: 2\r\n",
        "Content-Length: 0\r\nContent-Length:\r\n",
    ] {
        refuse_fields(400, fields);
    }
}

#[test]
fn chunked_is_the_only_coding_and_never_beside_a_length() {
    for fields in [
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked, identity, chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked;a=b\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chun ked\r\n",
        "Transfer-Encoding: gzip;q=1, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: gzip, chunked\r\n",
    ] {
        refuse_fields(400, fields);
    }
    refuse_fields(501, "Transfer-Encoding: gzip, chunked\r\n");
    refuse_fields(501, "Transfer-Encoding: identity, gzip ,CHUNKED\r\n");
}

/// CVE-2026-2835 of Pingora: the coding was ignored, the body became the next request.
#[test]
fn http_1_0_has_no_transfer_codings() {
    refuse(
        400,
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    refuse(
        400,
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
    );
}

#[test]
fn there_is_one_valid_host() {
    refuse(400, "GET / HTTP/1.1\r\n\r\n");
    refuse(400, "GET http://a/ HTTP/1.1\r\n\r\n");
    for host in [
        "", " ", "a b", "a/b", "a,b", "u@a", "a:", "a:b", "a:99999", "[::1", "[]", "a\\b",
        "\u{e9}", "a?", "http://a",
    ] {
        refuse(400, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        refuse(400, format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"));
        refuse(
            400,
            format!("GET http://a/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        );
    }
    refuse(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
    refuse(400, "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n");
}

#[test]
fn limits_have_their_status() {
    refuse(
        414,
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000)),
    );
    refuse_fields(431, format!("A: {}\r\n", "b".repeat(17_000)));
    refuse_fields(431, "A: b\r\n".repeat(100));
    refuse_fields(400, format!("Connection: a{}\r\n", ", b".repeat(32)));
    refuse_fields(400, format!("Connection: {}\r\n", ",".repeat(32)));
    refuse_fields(400, "Connection: a\r\n".repeat(33));
    refuse_fields(431, format!("{}: b\r\n", "a".repeat(17_000)));
}
