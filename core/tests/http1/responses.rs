//! What is read from responses, and what is refused of a backend.

use ringgate_core::http1::{
    Framing, Limits, Method, Parse, ResponseError, ResponseHead, parse_response,
};

fn read(buf: &[u8], request: Method) -> Result<ResponseHead, ResponseError> {
    let mut head = ResponseHead::default();
    let parsed = parse_response(buf, &Limits::default(), request, &mut head)?;
    assert_eq!(parsed, Parse::Complete, "{}", buf.escape_ascii());
    Ok(head)
}

#[test]
fn a_common_response_is_read() {
    let buf = b"HTTP/1.1 200 All right\r\nDate: now\r\nContent-Length: 2\r\n\r\nok";
    let head = read(buf, Method::Get).unwrap();
    assert_eq!(
        (head.status, head.reason.of(buf), head.minor),
        (200, &b"All right"[..], 1)
    );
    assert_eq!(
        (head.framing, head.content_length),
        (Framing::Length(2), Some(2))
    );
    assert_eq!(&buf[head.len..], b"ok");
    assert!(head.keep_alive && !head.is_interim());
}

#[test]
fn a_body_ends_as_section_6_3_says() {
    use Framing::{Chunked, Length, UntilClose};
    #[rustfmt::skip]
    let table = [
        ("1.1 200 OK", "", Method::Get, UntilClose, false),
        ("1.1 200 OK", "Content-Length: 0\r\n", Method::Get, Length(0), true),
        ("1.1 200 OK", "Transfer-Encoding: CHUNKED\r\n", Method::Get, Chunked, true),
        ("1.1 200 OK", "Connection: close\r\nContent-Length: 1\r\n", Method::Get, Length(1), false),
        ("1.0 200 OK", "Content-Length: 1\r\n", Method::Get, Length(1), false),
        ("1.0 200 OK", "Connection: keep-alive\r\nContent-Length: 1\r\n", Method::Get, Length(1), true),
        ("1.0 200 OK", "Connection: keep-alive\r\n", Method::Get, UntilClose, false),
        ("1.1 200 OK", "Content-Length: 9\r\n", Method::Head, Framing::None, true),
        ("1.1 200 OK", "Transfer-Encoding: chunked\r\n", Method::Head, Framing::None, true),
        ("1.1 200 OK", "", Method::Head, Framing::None, true),
        ("1.1 304 Not Modified", "Content-Length: 9\r\n", Method::Get, Framing::None, true),
        ("1.1 204 No Content", "", Method::Get, Framing::None, true),
        ("1.1 204 No Content", "Content-Length: 0\r\n", Method::Get, Framing::None, true),
        ("1.1 103 Early Hints", "Link: a\r\n", Method::Get, Framing::None, true),
    ];
    for (line, fields, method, framing, keep_alive) in table {
        let head = read(format!("HTTP/{line}\r\n{fields}\r\n").as_bytes(), method).unwrap();
        assert_eq!(
            (head.framing, head.keep_alive),
            (framing, keep_alive),
            "{line} {fields} {method:?}"
        );
    }
}

#[test]
fn a_reason_may_be_missing_with_its_space() {
    for line in ["HTTP/1.1 200 ", "HTTP/1.1 200"] {
        let text = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        assert!(
            read(text.as_bytes(), Method::Get)
                .unwrap()
                .reason
                .is_empty()
        );
    }
}

#[test]
fn a_101_names_its_protocol() {
    let buf =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let head = read(buf, Method::Get).unwrap();
    assert_eq!(head.upgrade.unwrap().of(buf), b"websocket");
    assert!(!head.is_interim());
    for fields in ["", "Upgrade: websocket\r\n", "Connection: upgrade\r\n"] {
        let text = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
        assert_eq!(
            read(text.as_bytes(), Method::Get).unwrap_err(),
            ResponseError::NoUpgrade
        );
    }
}

#[test]
fn only_a_101_upgrades() {
    let buf = b"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n";
    assert!(read(buf, Method::Get).unwrap().upgrade.is_none());
}

#[test]
fn a_faulty_backend_is_refused() {
    for text in [
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 +20 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 200\tOK\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 OK\rA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert!(
            read(text.as_bytes(), Method::Get).is_err(),
            "{}",
            text.escape_debug()
        );
    }
    // A response to HEAD has no body, but its fields are read as strictly.
    assert!(
        read(
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            Method::Head
        )
        .is_err()
    );
}

#[test]
fn limits_hold_for_backends_too() {
    let limits = Limits {
        request_line_bytes: 20,
        header_bytes: 30,
        header_fields: 2,
    };
    let verdict = |text: String| {
        parse_response(
            text.as_bytes(),
            &limits,
            Method::Get,
            &mut ResponseHead::default(),
        )
    };
    assert_eq!(
        verdict(format!("HTTP/1.1 200 {}", "a".repeat(20))),
        Err(ResponseError::TooLong)
    );
    assert!(verdict(format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(30))).is_err());
    assert!(verdict(format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(3))).is_err());
    assert_eq!(
        verdict(format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(2))),
        Ok(Parse::Complete)
    );
}
