//! What is read from good requests.

use ringgate_core::http1::{
    FieldId, Form, Framing, Limits, Method, Parse, RequestHead, parse_request,
};

pub(crate) fn read(buf: &[u8]) -> RequestHead {
    let mut head = RequestHead::default();
    let result = parse_request(buf, &Limits::default(), &mut head);
    assert_eq!(result, Ok(Parse::Complete), "{}", buf.escape_ascii());
    head
}

/// A request of HTTP/1.1 with a `Host` and these lines.
fn with(lines: &str) -> (Vec<u8>, RequestHead) {
    let buf = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").into_bytes();
    let head = read(&buf);
    (buf, head)
}

#[test]
fn a_common_request_is_read() {
    let buf = b"POST /a/b?c=d&e HTTP/1.1\r\nHost: example.com:8080\r\nAccept:*/*\t\r\ncontent-length: 5\r\n\r\nhello";
    let head = read(buf);
    assert_eq!(
        (head.method, head.method_text.of(buf)),
        (Method::Post, &b"POST"[..])
    );
    assert_eq!(
        (head.form, head.target.of(buf)),
        (Form::Origin, &b"/a/b?c=d&e"[..])
    );
    assert_eq!(head.path(buf), b"/a/b");
    assert_eq!(head.query.unwrap().of(buf), b"c=d&e");
    assert_eq!(head.authority.of(buf), b"example.com:8080");
    assert_eq!(head.framing, Framing::Length(5));
    assert_eq!(&buf[head.len..], b"hello");
    assert!(head.keep_alive);
    let accept = head.fields[1];
    assert_eq!(
        (accept.id, accept.name.of(buf), accept.value.of(buf)),
        (FieldId::Other, &b"Accept"[..], &b"*/*"[..])
    );
    assert_eq!(head.fields[2].id, FieldId::ContentLength);
}

#[test]
fn targets_have_four_forms() {
    // line, form, path, query, authority
    let table = [
        ("GET /", Form::Origin, "/", None, "h:1"),
        ("GET /?", Form::Origin, "/", Some(""), "h:1"),
        ("GET //a/?b?c", Form::Origin, "//a/", Some("b?c"), "h:1"),
        (
            "GET http://o.test/p?q",
            Form::Absolute,
            "/p",
            Some("q"),
            "o.test",
        ),
        (
            "GET HTTP://o.test:80",
            Form::Absolute,
            "/",
            None,
            "o.test:80",
        ),
        (
            "GET https://[::1]:80?q",
            Form::Absolute,
            "/",
            Some("q"),
            "[::1]:80",
        ),
        ("OPTIONS http://o.test", Form::Absolute, "*", None, "o.test"),
        (
            "OPTIONS http://o.test?q",
            Form::Absolute,
            "/",
            Some("q"),
            "o.test",
        ),
        ("OPTIONS *", Form::Asterisk, "*", None, "h:1"),
        ("OPTIONS /o", Form::Origin, "/o", None, "h:1"),
        ("get /", Form::Origin, "/", None, "h:1"),
    ];
    for (line, form, path, query, authority) in table {
        let buf = format!("{line} HTTP/1.1\r\nHost: h:1\r\n\r\n").into_bytes();
        let head = read(&buf);
        assert_eq!(head.form, form, "{line}");
        assert_eq!(head.path(&buf), path.as_bytes(), "{line}");
        assert_eq!(
            head.query.map(|query| query.of(&buf)),
            query.map(str::as_bytes),
            "{line}"
        );
        assert_eq!(head.authority.of(&buf), authority.as_bytes(), "{line}");
    }
}

#[test]
fn connect_names_host_and_port() {
    let buf = b"CONNECT o.test:443 HTTP/1.1\r\nHost: h\r\n\r\n";
    let head = read(buf);
    assert_eq!(
        (head.form, head.authority.of(buf)),
        (Form::Authority, &b"o.test:443"[..])
    );
}

#[test]
fn http_1_0_needs_no_host_and_closes_unless_asked() {
    let plain = read(b"GET / HTTP/1.0\r\n\r\n");
    assert!((plain.minor, plain.authority.is_empty(), plain.keep_alive) == (0, true, false));
    assert!(read(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    assert!(
        !read(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n").keep_alive
    );
    let asking = read(b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert!(asking.upgrade.is_none() && !asking.expect_continue);
}

#[test]
fn connection_options_are_gathered_from_all_lines() {
    let (_, head) = with("Connection: , Close ,x-mine\r\nConnection: keep-alive\r\n");
    assert!(head.connection.close && head.connection.keep_alive && head.connection.others);
    assert!(!head.keep_alive && !head.connection.upgrade);
}

#[test]
fn an_upgrade_counts_only_when_it_is_asked_for_in_full() {
    let table = [
        (
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            Some("websocket"),
        ),
        (
            "Connection: keep-alive, upgrade\r\nUpgrade: a, b\r\nContent-Length: 0\r\n",
            Some("a, b"),
        ),
        ("Upgrade: websocket\r\n", None),
        ("Connection: upgrade\r\n", None),
        ("Connection: upgrade\r\nUpgrade:\r\n", None),
        ("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n", None),
        (
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
            None,
        ),
        (
            "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
            None,
        ),
        (
            "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\n",
            None,
        ),
        ("Connection: upgrade\r\nUpgrade: websocket, H2C\r\n", None),
    ];
    for (lines, wanted) in table {
        let (buf, head) = with(lines);
        assert_eq!(
            head.upgrade.map(|span| span.of(&buf)),
            wanted.map(str::as_bytes),
            "{lines}"
        );
    }
}

#[test]
fn a_client_waits_only_with_a_body_to_send() {
    assert!(
        with("Expect: 100-Continue\r\nContent-Length: 1\r\n")
            .1
            .expect_continue
    );
    assert!(
        with("Expect: 100-continue\r\nTransfer-Encoding: Chunked\r\n")
            .1
            .expect_continue
    );
    assert!(!with("Expect: 100-continue\r\n").1.expect_continue);
    assert!(
        !with("Expect: 100-continue\r\nContent-Length: 0\r\n")
            .1
            .expect_continue
    );
    assert!(
        !with("Expect: 200-ok\r\nContent-Length: 1\r\n")
            .1
            .expect_continue
    );
}

#[test]
fn what_concerns_one_connection_is_not_passed_on() {
    let lines = "Connection: close, X-Mine, cookie, X-Forwarded-For, host\r\nKeep-Alive: 1\r\nProxy-Connection: a\r\n\
                 TE: trailers\r\nUpgrade: a\r\nHTTP2-Settings: a\r\nX-MINE: a\r\nCookie: a\r\nX-Forwarded-For: a\r\n\
                 X-Yours: a\r\nTrailer: a\r\nContent-Length: 0\r\n";
    let (buf, head) = with(lines);
    let passed: Vec<_> = head
        .fields
        .iter()
        .filter(|field| head.passes_on(field, &buf))
        .collect();
    let names: Vec<_> = passed
        .iter()
        .map(|field| field.name.of(&buf).escape_ascii().to_string())
        .collect();
    assert_eq!(
        names,
        ["Host", "Cookie", "X-Forwarded-For", "X-Yours", "Trailer"]
    );
    assert!(head.te_trailers);
}

#[test]
fn one_empty_line_before_a_request_is_skipped() {
    let buf = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(read(buf).len, buf.len());
}

#[test]
fn a_head_ends_before_the_pipelined_request() {
    let one = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let two = b"GET /2 HTTP/1.1\r\nHost: b\r\nX: y\r\n\r\n";
    let buf = [&one[..], two].concat();
    let mut head = read(&buf);
    assert_eq!(head.len, one.len());
    let rest = &buf[head.len..];
    assert_eq!(
        parse_request(rest, &Limits::default(), &mut head),
        Ok(Parse::Complete)
    );
    assert_eq!(
        (head.path(rest), head.fields.len(), head.len),
        (&b"/2"[..], 2, two.len())
    );
}

#[test]
fn places_beyond_a_buffer_are_empty() {
    let head = read(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.target.of(b"GET"), b"");
    assert_eq!((head.target.len(), head.target.is_empty()), (5, false));
}

#[test]
fn a_head_may_be_exactly_as_large_as_its_limits() {
    let buf = b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\nbody";
    let exact = Limits {
        request_line_bytes: 14,
        header_bytes: 15,
        header_fields: 2,
    };
    let mut head = RequestHead::default();
    assert_eq!(parse_request(buf, &exact, &mut head), Ok(Parse::Complete));
    let less = |limits: Limits| {
        parse_request(buf, &limits, &mut RequestHead::default()).map_err(|error| error.status())
    };
    assert_eq!(
        less(Limits {
            request_line_bytes: 13,
            ..exact
        }),
        Err(414)
    );
    assert_eq!(
        less(Limits {
            header_bytes: 14,
            ..exact
        }),
        Err(431)
    );
    assert_eq!(
        less(Limits {
            header_fields: 1,
            ..exact
        }),
        Err(431)
    );
}

#[test]
fn a_head_never_passes_64_kib_whatever_the_limits() {
    let limits = Limits {
        request_line_bytes: u32::MAX,
        header_bytes: u32::MAX,
        header_fields: u32::MAX,
    };
    let verdict = |buf: &[u8]| {
        parse_request(buf, &limits, &mut RequestHead::default()).map_err(|error| error.status())
    };
    let long_target = [b"GET /", &[b'a'; 70_000][..]].concat();
    assert_eq!(verdict(&long_target), Err(414));
    let long_value = [b"GET / HTTP/1.1\r\nHost: a\r\nB: ", &[b'a'; 70_000][..]].concat();
    assert_eq!(verdict(&long_value), Err(431));
    assert_eq!(verdict(&long_value[..60_000]), Ok(Parse::Partial));
}
