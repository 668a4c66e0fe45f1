//! What a client sees when backends, clients or time fail.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]
#![expect(unsafe_code, reason = "what the kernel has delivered is asked of it")]

mod support;

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use ringgate_core::ir::{
    BackendSettings, DownstreamTimeouts, HttpLimits, ListenerSettings, Retry, Timeouts,
};
use support::{Origin, PATIENCE, Then, Wanted, plain, rule};

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A backend that reads and never answers.
fn silent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut bytes = [0; 1000];
                while matches!(stream.read(&mut bytes), Ok(1..)) {}
            });
        }
    });
    address
}

#[test]
fn no_route_no_endpoint_and_no_listener_at_the_endpoint_have_their_status() {
    let gateway = Wanted::new()
        .backend("empty", &[])
        .backend("down", &[nobody()])
        .route(vec![
            support::Rule {
                matches: vec![support::prefix("/empty")],
                ..rule("empty")
            },
            support::Rule {
                matches: vec![support::prefix("/down")],
                ..rule("down")
            },
            support::Rule {
                matches: vec![support::prefix("/none")],
                backends: vec![],
                ..rule("x")
            },
        ])
        .start();
    assert_eq!(gateway.get("/").0, 404);
    assert_eq!(gateway.get("/empty").0, 503);
    assert_eq!(gateway.get("/down").0, 503);
    assert_eq!(gateway.get("/none").0, 500);
}

#[test]
fn a_connect_failure_goes_to_another_endpoint_once() {
    let origin = Origin::start(plain);
    let addresses = [nobody(), origin.address];
    let gateway = Wanted::new()
        .backend("one", &addresses)
        .route(vec![rule("one")])
        .start();
    for _ in 0..50 {
        assert_eq!(gateway.get("/").0, 200);
    }
    let mut client = gateway.connect();
    for _ in 0..50 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn a_reused_connection_that_closes_is_no_failure_for_an_idempotent_request() {
    let origin = Origin::start(|stream, request| {
        plain(stream, request);
        Then::Close
    });
    let wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    let gateway = wanted.start();
    let mut client = gateway.connect();
    for _ in 0..200 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
}

/// Waits until the other side's kernel has all that was sent, the end included.
fn arrived(stream: &TcpStream) {
    support::wait_until(|| {
        let mut unanswered: libc::c_int = 0;
        // SAFETY: the kernel writes a number.
        let told = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut unanswered) };
        (told == 0 && unanswered == 0).then_some(())
    });
}

/// The next connection; none: that fails.
fn next(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let (stream, _) = support::wait_until(|| listener.accept().ok());
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads a request's head and answers it.
fn answer(stream: &mut TcpStream, text: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let length = text.len();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}");
    stream.write_all(answer.as_bytes()).unwrap();
}

#[test]
fn an_idle_connection_that_ends_or_says_what_nobody_asked_for_is_not_used_again() {
    let unasked = |stream: &mut TcpStream| {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nunasked";
        stream.write_all(answer).unwrap();
    };
    let ends = |stream: &mut TcpStream| stream.shutdown(Shutdown::Write).unwrap();
    let ways: [&dyn Fn(&mut TcpStream); 2] = [&unasked, &ends];
    for driver in ["auto", "epoll"] {
        for meanwhile in ways {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let wanted = Wanted::new().backend("one", &[listener.local_addr().unwrap()]);
            let wanted = wanted.route(vec![rule("one")]);
            let gateway = wanted.start_with(&["--driver", driver]);
            let mut client = gateway.connect();
            // Not to be sent again if it fails.
            let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
            client.send(request);
            let mut first = next(&listener);
            answer(&mut first, "first");
            assert_eq!(client.response().text(), "first");
            meanwhile(&mut first);
            arrived(&first);
            client.send(request);
            let mut second = next(&listener);
            answer(&mut second, "second");
            assert_eq!(client.response().text(), "second", "{driver}");
            let ended = first.read(&mut [0; 100]);
            let is_reset = |error: &Error| error.kind() == ErrorKind::ConnectionReset;
            assert!(ended.as_ref().map_or_else(is_reset, |count| *count == 0));
        }
    }
}

#[test]
fn a_request_that_is_not_idempotent_is_never_sent_twice() {
    let origin = Origin::start(|_, _| Then::Close);
    let wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    let gateway = wanted.start();
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status, 502);
    origin.request();
    assert!(origin.has_none());
}

#[test]
fn configured_statuses_are_retried_and_the_last_answer_is_passed_on() {
    let origin = Origin::start(|stream, _| {
        stream
            .write_all(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy")
            .unwrap();
        Then::Next
    });
    let retry = Retry {
        codes: vec![503],
        attempts: 2,
        backoff: Some(Duration::from_millis(1)),
    };
    let wanted = Wanted::new().backend("one", &[origin.address]);
    let rule = support::Rule {
        retry: Some(retry),
        ..rule("one")
    };
    let gateway = wanted.route(vec![rule]).start();
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    client.send("cde");
    let response = client.response();
    assert_eq!((response.status, response.text()), (503, "busy".into()));
    for _ in 0..3 {
        assert_eq!(origin.request().body, b"abcde", "the body is sent again");
    }
    assert!(origin.has_none());
}

#[test]
fn slow_backends_become_504_at_the_routes_timeouts() {
    let address = silent();
    let timed = |timeouts| support::Rule {
        timeouts,
        ..rule("one")
    };
    let short = Some(Duration::from_millis(200));
    for timeouts in [
        Timeouts {
            request: short,
            backend_request: None,
        },
        Timeouts {
            request: None,
            backend_request: short,
        },
    ] {
        let gateway = Wanted::new()
            .backend("one", &[address])
            .route(vec![timed(timeouts)])
            .start();
        let began = Instant::now();
        assert_eq!(gateway.get("/").0, 504);
        let took = began.elapsed();
        assert!(
            took >= Duration::from_millis(200) && took < PATIENCE,
            "{took:?}"
        );
    }
}

#[test]
fn a_silent_backend_ends_at_its_idle_timeout() {
    let mut wanted = Wanted::new();
    let idle_timeout = Duration::from_millis(150);
    let settings = BackendSettings {
        idle_timeout,
        ..BackendSettings::default()
    };
    wanted.backend_with("one", &[silent()], settings);
    assert_eq!(wanted.route(vec![rule("one")]).start().get("/").0, 504);
}

fn with_settings(settings: ListenerSettings) -> (support::DataPlane, Origin) {
    let origin = Origin::start(plain);
    let mut wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    wanted.listener(settings);
    (wanted.start(), origin)
}

#[test]
fn a_head_that_does_not_end_is_cut_at_its_timeout() {
    let timeouts = DownstreamTimeouts {
        header: Duration::from_millis(200),
        ..DownstreamTimeouts::default()
    };
    let (gateway, origin) = with_settings(ListenerSettings {
        timeouts,
        ..ListenerSettings::default()
    });
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    let response = client.response();
    assert_eq!(
        (response.status, response.field("connection")),
        (408, Some("close"))
    );
    assert!(client.is_closed());
    assert!(origin.has_none());
}

#[test]
fn a_body_that_does_not_come_is_cut_at_its_timeout() {
    let timeouts = DownstreamTimeouts {
        idle: Duration::from_millis(200),
        ..DownstreamTimeouts::default()
    };
    let (gateway, _origin) = with_settings(ListenerSettings {
        timeouts,
        ..ListenerSettings::default()
    });
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!(client.response().status, 408);
    assert!(client.is_closed());
}

#[test]
fn an_idle_connection_ends_at_the_keep_alive_timeout() {
    let timeouts = DownstreamTimeouts {
        keep_alive: Duration::from_millis(300),
        ..DownstreamTimeouts::default()
    };
    let (gateway, _origin) = with_settings(ListenerSettings {
        timeouts,
        ..ListenerSettings::default()
    });
    assert!(gateway.connect().is_closed());
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert!(client.is_closed());
}

#[test]
fn bodies_beyond_the_limit_are_413_whether_announced_or_not() {
    let limits = HttpLimits {
        body_bytes: Some(10),
        ..HttpLimits::default()
    };
    let (gateway, _origin) = with_settings(ListenerSettings {
        limits,
        ..ListenerSettings::default()
    });
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    assert_eq!(client.response().status, 413);
    let mut client = gateway.connect();
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n");
    client.send("8\r\n12345678\r\n0\r\n\r\n");
    assert_eq!(client.response().status, 413);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1234567890");
    assert_eq!(client.response().status, 200);
}

#[test]
fn broken_chunks_are_refused_and_never_end_a_body_for_the_backend() {
    let (gateway, origin) = with_settings(ListenerSettings::default());
    for chunk in [
        "0x1\r\na\r\n0\r\n\r\n",
        "2\r\na\r\n0\r\n\r\n",
        "\r\n",
        "1;\u{1}\r\na\r\n0\r\n\r\n",
    ] {
        let mut client = gateway.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(chunk);
        assert_eq!(client.response().status, 400, "{chunk:?}");
        assert!(client.is_closed());
    }
    assert!(origin.has_none(), "no backend got a whole request");
}

#[test]
fn a_client_that_goes_away_harms_nobody() {
    let (gateway, _origin) = with_settings(ListenerSettings::default());
    for _ in 0..50 {
        let mut client = gateway.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
        drop(client);
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        drop(client);
    }
    assert_eq!(gateway.get("/").0, 200);
}

#[test]
fn clients_beyond_a_listeners_limit_wait_for_their_turn() {
    let limits = HttpLimits {
        connections: Some(1),
        ..HttpLimits::default()
    };
    let (gateway, _origin) = with_settings(ListenerSettings {
        limits,
        ..ListenerSettings::default()
    });
    let mut first = gateway.connect();
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(first.response().status, 200);
    let mut second = gateway.connect();
    second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    while !gateway.ask_admin("/metrics").contains("ringgate_clients 1") {
        thread::yield_now();
    }
    first.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(first.response().status, 200);
    assert_eq!(second.response().status, 200);
}

#[test]
fn a_streamed_body_is_never_sent_a_second_time_in_part() {
    let origin = Origin::start(|stream, request| {
        // The first request warms the connection up; the second one's body is read, then it closes.
        if request.line.starts_with("GET") {
            return plain(stream, request);
        }
        Then::Close
    });
    let wanted = Wanted::new().backend("one", &[origin.address]);
    let gateway = wanted.route(vec![rule("one")]).start();
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 200);
    origin.request();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    while !gateway
        .ask_admin("/metrics")
        .contains("ringgate_idle_upstreams 0")
    {
        thread::yield_now();
    }
    client.send("defghij");
    assert_eq!(client.response().status, 502);
    assert_eq!(origin.request().body, b"abcdefghij");
    assert!(origin.has_none(), "half of a body would be another request");
}

#[test]
fn what_stands_behind_a_broken_chunk_is_never_a_request() {
    let (gateway, origin) = with_settings(ListenerSettings::default());
    let mut client = gateway.connect();
    let filler = "x".repeat(33 - "\r\nA\r\n2G".len());
    client.send(&format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n2G{filler}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    ));
    let response = client.response();
    assert_eq!(
        (response.status, response.field("connection")),
        (400, Some("close"))
    );
    assert!(client.is_closed());
    assert!(origin.has_none());
}

#[test]
fn a_backend_that_is_slower_than_the_clients_idle_timeout_keeps_the_client() {
    let origin = Origin::start(|stream, request| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
            .unwrap();
        thread::sleep(Duration::from_millis(400));
        let _ = request;
        stream.write_all(b"b").unwrap();
        Then::Next
    });
    let mut wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    let short = Duration::from_millis(150);
    let timeouts = DownstreamTimeouts {
        header: short,
        keep_alive: short,
        idle: short,
        ..DownstreamTimeouts::default()
    };
    wanted.listener(ListenerSettings {
        timeouts,
        ..ListenerSettings::default()
    });
    let gateway = wanted.start();
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    client.send("st: a\r\n\r\n");
    assert_eq!(client.response().text(), "ab");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "ab");
}

#[test]
fn a_reset_does_not_end_a_response_in_good_order() {
    let origin = Origin::start(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf").unwrap();
        // Closing with unread bytes resets the connection.
        thread::sleep(Duration::from_millis(100));
        socket2::SockRef::from(&*stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        Then::Reset
    });
    let wanted = Wanted::new().backend("one", &[origin.address]);
    let gateway = wanted.route(vec![rule("one")]).start();
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    let rest = String::from_utf8(client.rest()).unwrap();
    assert!(
        rest.contains("half") && !rest.contains("0\r\n\r\n"),
        "{rest:?}"
    );
}
