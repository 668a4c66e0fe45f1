//! Either end of a connection, step by step: tables of what may come next.

use ringgate_core::http1::connection::{AnswerError, ConnectionField};
use ringgate_core::http1::{
    After, Answer, ClientSide, Framing, Limits, Method, Parse, Reply, ResponseHead, ServerSide,
    parse_response,
};

use crate::requests::read;

const LENGTH: Framing = Framing::Length(3);

fn asked(text: &str) -> ServerSide {
    let mut server = ServerSide::new();
    server.request(&read(text.as_bytes()));
    server
}

fn get() -> ServerSide {
    asked("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn upload(fields: &str) -> ServerSide {
    asked(&format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n{fields}\r\n"
    ))
}

#[test]
fn a_response_is_framed_so_that_its_client_finds_the_end() {
    use ConnectionField::{Close, KeepAlive, Omit};
    use Framing::{Chunked, UntilClose};
    let (new, old) = (
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    );
    let old_keep = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    let close = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    #[rustfmt::skip]
    let table = [
        (new, 200, LENGTH, LENGTH, Omit, After::Next),
        (new, 200, Chunked, Chunked, Omit, After::Next),
        (new, 200, UntilClose, Chunked, Omit, After::Next),
        (new, 200, Framing::None, Framing::Length(0), Omit, After::Next),
        (new, 204, Framing::None, Framing::None, Omit, After::Next),
        (new, 304, Framing::None, Framing::None, Omit, After::Next),
        (head, 200, Framing::None, Framing::None, Omit, After::Next),
        (head, 200, LENGTH, Framing::None, Omit, After::Next),
        (close, 200, LENGTH, LENGTH, Close, After::Close { unread: false }),
        (old, 200, LENGTH, LENGTH, Close, After::Close { unread: false }),
        (old_keep, 200, LENGTH, LENGTH, KeepAlive, After::Next),
        (old_keep, 200, Chunked, UntilClose, Close, After::Close { unread: false }),
        (old_keep, 304, Framing::None, Framing::None, KeepAlive, After::Next),
    ];
    for (request, status, from, framing, connection, after) in table {
        let mut server = asked(request);
        assert_eq!(
            server.response(status, from),
            Reply {
                framing,
                connection
            },
            "{request} {status} {from:?}"
        );
        assert_eq!(server.response_done(), after, "{request} {status} {from:?}");
    }
}

#[test]
fn what_could_not_be_read_is_answered_and_closed() {
    let mut server = ServerSide::new();
    assert_eq!(
        server.response(400, LENGTH),
        Reply {
            framing: LENGTH,
            connection: ConnectionField::Close
        }
    );
    assert!(matches!(server.response_done(), After::Close { .. }));
    // Also behind a request that was answered well.
    let mut server = get();
    server.response(200, LENGTH);
    assert_eq!(server.response_done(), After::Next);
    assert_eq!(
        server.response(400, LENGTH).connection,
        ConnectionField::Close
    );
    assert!(matches!(server.response_done(), After::Close { .. }));
}

/// CVE-2025-4366 of Pingora: a body that was not read was taken for the next request.
#[test]
fn a_request_body_is_read_before_the_next_request() {
    let mut server = upload("");
    server.request_body_started();
    assert_eq!(
        server.response(413, LENGTH).connection,
        ConnectionField::Omit
    );
    assert!(matches!(server.response_done(), After::Discard { .. }));
    let mut server = upload("");
    server.request_body_done();
    server.response(200, LENGTH);
    assert_eq!(server.response_done(), After::Next);
}

#[test]
fn a_client_that_waits_is_told_to_go_on_once() {
    let mut server = upload("Expect: 100-continue\r\n");
    assert!(server.must_continue());
    assert!(!server.must_continue() && !server.interim(100));
    let mut server = upload("Expect: 100-continue\r\n");
    assert!(server.interim(100));
    assert!(!server.must_continue() && !server.interim(100));
    let mut server = upload("Expect: 100-continue\r\n");
    server.request_body_started();
    assert!(!server.must_continue());
    assert!(!upload("").must_continue() && !get().must_continue());
}

/// Whether such a client sends its body or not is its choice: the next bytes could be either.
#[test]
fn a_client_that_still_waits_at_the_final_response_is_closed() {
    let mut server = upload("Expect: 100-continue\r\n");
    assert_eq!(
        server.response(413, LENGTH).connection,
        ConnectionField::Close
    );
    assert_eq!(server.response_done(), After::Close { unread: true });
    let mut server = upload("Expect: 100-continue\r\n");
    assert!(server.must_continue());
    assert_eq!(
        server.response(413, LENGTH).connection,
        ConnectionField::Omit
    );
    let mut server = upload("Expect: 100-continue\r\n");
    server.request_body_started();
    assert_eq!(
        server.response(413, LENGTH).connection,
        ConnectionField::Omit
    );
}

#[test]
fn interim_responses_go_to_http_1_1_before_the_final_one() {
    let mut server = get();
    assert!(server.interim(103) && server.interim(102) && server.interim(103));
    assert!(!server.interim(101) && !server.interim(200));
    server.response(200, LENGTH);
    assert!(!server.interim(103));
    assert!(!asked("GET / HTTP/1.0\r\n\r\n").interim(103));
    assert!(!ServerSide::new().interim(103));
}

#[test]
fn only_who_asked_is_switched() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut server = asked(text);
    assert!(server.switching());
    assert_eq!(server.response_done(), After::Tunnel);
    assert!(!get().switching());
    // A backend that declines: an ordinary response.
    let mut server = asked(text);
    server.response(200, LENGTH);
    assert!(!server.switching());
    assert_eq!(server.response_done(), After::Next);
}

#[test]
fn draining_closes_after_the_response() {
    let mut server = get();
    assert!(!server.is_idle());
    server.drain();
    assert_eq!(
        server.response(200, LENGTH).connection,
        ConnectionField::Close
    );
    assert_eq!(server.response_done(), After::Close { unread: false });
    assert!(server.is_idle());
    let mut server = get();
    assert_eq!(
        server.response(200, LENGTH).connection,
        ConnectionField::Omit
    );
    server.drain();
    assert_eq!(server.response_done(), After::Close { unread: false });
}

#[test]
fn a_connection_once_closed_stays_so() {
    let mut server = asked("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    server.response(200, LENGTH);
    assert_eq!(server.response_done(), After::Close { unread: false });
    assert_eq!(server.response_done(), After::Close { unread: false });
}

fn answer(text: &str) -> ResponseHead {
    let mut head = ResponseHead::default();
    let parsed = parse_response(text.as_bytes(), &Limits::default(), Method::Get, &mut head);
    assert_eq!(parsed, Ok(Parse::Complete));
    head
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn sent(body: Framing) -> ClientSide {
    let mut client = ClientSide::new();
    client.request(body, false);
    client
}

#[test]
fn a_backend_connection_is_reused_only_when_clean() {
    let mut client = sent(Framing::None);
    assert!(!client.reuse(0));
    assert_eq!(
        client.response(&answer(OK)),
        Ok(Answer::Final { early: false })
    );
    assert!(!client.reuse(0), "the body is under way");
    client.response_body_done();
    assert!(client.reuse(0));
    assert!(!client.reuse(1), "bytes behind the response");

    let mut client = sent(Framing::None);
    client.response(&answer(EMPTY)).unwrap();
    assert!(client.reuse(0));

    for text in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let mut client = sent(Framing::None);
        client.response(&answer(text)).unwrap();
        client.response_body_done();
        assert!(!client.reuse(0), "{text}");
    }
}

#[test]
fn an_early_response_keeps_the_connection_only_if_the_body_still_goes_out() {
    let mut client = sent(LENGTH);
    assert_eq!(
        client.response(&answer(EMPTY)),
        Ok(Answer::Final { early: true })
    );
    assert!(!client.reuse(0));
    client.request_body_done();
    assert!(client.reuse(0));
}

#[test]
fn a_response_needs_a_request_and_is_final_once() {
    assert_eq!(
        ClientSide::new().response(&answer(OK)),
        Err(AnswerError::Unasked)
    );
    let mut client = sent(Framing::None);
    client.response(&answer(EMPTY)).unwrap();
    assert_eq!(client.response(&answer(EMPTY)), Err(AnswerError::Unasked));
    assert!(!client.reuse(0));
}

#[test]
fn interim_responses_are_bounded_and_lead_to_a_final_one() {
    let mut client = sent(Framing::None);
    let early_hints = answer("HTTP/1.1 103 Early Hints\r\n\r\n");
    for _ in 0..16 {
        assert_eq!(client.response(&early_hints), Ok(Answer::Interim));
    }
    assert_eq!(
        client.clone().response(&answer(EMPTY)),
        Ok(Answer::Final { early: false })
    );
    assert_eq!(
        client.response(&early_hints),
        Err(AnswerError::TooManyInterims)
    );
    assert!(!client.reuse(0));
}

/// CVE-2026-2833 of Pingora: bytes behind an `Upgrade` were tunnelled before the backend had agreed.
#[test]
fn a_backend_switches_only_when_asked() {
    let switching = answer(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    let mut client = sent(Framing::None);
    assert_eq!(
        client.response(&switching),
        Err(AnswerError::UnaskedUpgrade)
    );
    assert!(!client.reuse(0));
    let mut client = ClientSide::new();
    client.request(Framing::None, true);
    assert_eq!(
        client.clone().response(&answer(EMPTY)),
        Ok(Answer::Final { early: false })
    );
    assert_eq!(client.response(&switching), Ok(Answer::Switching));
    assert!(!client.reuse(0));
    assert_eq!(client.response(&answer(EMPTY)), Err(AnswerError::Unasked));
}
