//! HTTP/2 towards clients and backends, through the real data plane.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, Request};
use ringgate_core::ir::{DownstreamTimeouts, ListenerSettings};
use support::http2::{self, Client, answer, echo, get, post, talk};
use support::{DataPlane, Origin, Request as Got, Then, Wanted, plain, rule};

/// In front of a backend of HTTP/1.
fn before(script: support::Script) -> (DataPlane, Origin) {
    let origin = Origin::start(script);
    let wanted = Wanted::new().backend("one", &[origin.address]);
    (wanted.route(vec![rule("one")]).start(), origin)
}

/// In front of a backend of HTTP/2.
fn before_http2(origin: &http2::Origin) -> DataPlane {
    wanted_http2(origin).start()
}

fn wanted_http2(origin: &http2::Origin) -> Wanted {
    let wanted = Wanted::new().backend("one", &[origin.address]);
    wanted.by_http2().route(vec![rule("one")])
}

#[test]
fn a_request_goes_to_a_backend_of_http1_and_back() {
    let (gateway, origin) = before(plain);
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let mut request = get("/a/../b?q=1");
        let headers = request.headers_mut();
        headers.append("cookie", "a=1".parse().unwrap());
        headers.append("cookie", "b=2".parse().unwrap());
        headers.append("x-one", "1".parse().unwrap());
        let (response, _) = client.ask(request, true).await;
        let answer = answer(response).await.unwrap();
        assert_eq!((answer.status(), answer.text()), (200, "GET".into()));
        assert_eq!(answer.field("content-length"), Some("3"));
        assert!(answer.field("date").is_some());
    });
    let request = origin.request();
    assert_eq!(request.line, "GET /b?q=1 HTTP/1.1");
    assert_eq!(request.field("host"), Some("a.example"));
    assert_eq!(request.field("cookie"), Some("a=1; b=2"));
    assert_eq!(request.field("x-one"), Some("1"));
    assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.field("transfer-encoding"), None);
}

#[test]
fn streams_of_a_connection_go_side_by_side() {
    let (gateway, _origin) = before(plain);
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        // From here on it knows how many streams it may open at a time.
        assert_eq!(client.get("/").await.status(), 200);
        let mut responses = Vec::new();
        for turn in 0..300 {
            responses.push(client.ask(get(&format!("/{turn}")), true).await.0);
        }
        for response in responses {
            assert_eq!(answer(response).await.unwrap().text(), "GET");
        }
    });
}

/// Answers with the request's body, and a trailer if it came in chunks.
fn back(stream: &mut TcpStream, request: &Got) -> Then {
    let length = request.body.len();
    if request.field("transfer-encoding").is_none() {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&request.body).unwrap();
    } else {
        let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&request.body).unwrap();
        let end = b"\r\n0\r\nx-sum: 7\r\ncontent-length: 3\r\n\r\n";
        stream.write_all(end).unwrap();
    }
    Then::Next
}

#[test]
fn bodies_and_trailers_pass_between_the_versions() {
    let (gateway, _origin) = before(back);
    let body = Bytes::from(vec![b'x'; 1_000_003]);
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        for length in [None, Some(body.len())] {
            let mut request = post("/");
            if let Some(length) = length {
                request
                    .headers_mut()
                    .insert("content-length", length.into());
            }
            let (response, mut stream) = client.ask(request, false).await;
            let sending = http2::send(&mut stream, body.clone(), None);
            let (answer, ()) = tokio::join!(answer(response), sending);
            let answer = answer.unwrap();
            assert!(answer.body == body, "{} bytes", answer.body.len());
            let trailers = answer.trailers.unwrap_or_default();
            let sum = trailers.get("x-sum").is_some();
            assert_eq!(sum, length.is_none());
            assert!(trailers.get("content-length").is_none());
        }
    });
}

#[test]
fn a_backend_of_http2_gets_and_gives_bodies_and_trailers() {
    let origin = http2::Origin::start(echo);
    let gateway = before_http2(&origin);
    let body = Bytes::from(vec![b'y'; 700_001]);
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let mut request = post("/p?q");
        request
            .headers_mut()
            .insert("te", "trailers".parse().unwrap());
        let (response, mut stream) = client.ask(request, false).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let sending = http2::send(&mut stream, body.clone(), Some(trailers.clone()));
        let (answer, ()) = tokio::join!(answer(response), sending);
        let answer = answer.unwrap();
        assert_eq!(answer.field("x-from"), Some("h2"));
        assert!(answer.body == body, "{} bytes", answer.body.len());
        assert_eq!(answer.trailers, Some(trailers));
    });
    let got = origin.request();
    assert_eq!(got.head.method(), "POST");
    assert_eq!(got.head.uri(), "http://a.example/p?q");
    assert_eq!(got.field("te"), Some("trailers"));
    assert_eq!(got.field("x-forwarded-for"), Some("127.0.0.1"));
    assert!(got.body == body);
    assert_eq!(got.trailers.unwrap()["grpc-status"], "0");
}

#[test]
fn clients_of_http1_share_a_connection_to_a_backend_of_http2() {
    let origin = http2::Origin::start(echo);
    let gateway = before_http2(&origin);
    let mut clients: Vec<_> = (0..20).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    }
    for client in &mut clients {
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "hi".into()));
    }
    for _ in 0..20 {
        assert_eq!(origin.request().connection, 0);
    }
}

#[test]
fn a_backend_that_takes_few_streams_gets_more_connections() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(2);
    let origin = http2::Origin::start_with(builder, |_, mut respond| {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let response = http::Response::new(());
            let _ = respond.send_response(response, true);
        });
    });
    let gateway = before_http2(&origin);
    assert_eq!(gateway.get("/").0, 200);
    let mut clients: Vec<_> = (0..10).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    let connections = (0..11).map(|_| origin.request().connection).max();
    assert!(connections.unwrap() > 0, "{connections:?}");
}

#[test]
fn a_backend_that_says_goodbye_loses_no_request() {
    let origin = http2::Origin::start(|got, mut respond| {
        let response = http::Response::new(());
        if got.connection == 0 {
            respond.send_reset(Reason::REFUSED_STREAM);
        } else {
            let _ = respond.send_response(response, true);
        }
    });
    let gateway = before_http2(&origin);
    // A refused request may be sent again, whatever its method: by the same connection, so it fails twice.
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.response().status, 503);
    assert_eq!(origin.request().body, b"hi");
    assert_eq!(origin.request().body, b"hi");
}

/// Says that it wants the body, and answers when it has come.
fn patient() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut come = Vec::new();
        let mut read_until = |stream: &mut TcpStream, end: &[u8]| {
            while !come.windows(end.len()).any(|part| part == end) {
                let mut part = [0; 1024];
                let count = stream.read(&mut part).unwrap();
                come.extend_from_slice(&part[..count]);
            }
        };
        read_until(&mut stream, b"\r\n\r\n");
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        read_until(&mut stream, b"abc");
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    address
}

#[test]
fn a_client_that_waits_for_100_gets_it() {
    let wanted = Wanted::new().backend("one", &[patient()]);
    let gateway = wanted.route(vec![rule("one")]).start();
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let mut request = post("/");
        let expect = http::HeaderValue::from_static("100-continue");
        request.headers_mut().insert(http::header::EXPECT, expect);
        let (mut response, mut body) = client.ask(request, false).await;
        let interim = std::future::poll_fn(|context| response.poll_informational(context)).await;
        assert_eq!(interim.unwrap().unwrap().status(), 100);
        body.send_data(Bytes::from_static(b"abc"), true).unwrap();
        assert_eq!(answer(response).await.unwrap().status(), 200);
    });
}

#[test]
fn interim_responses_pass() {
    fn hints(stream: &mut TcpStream, _: &Got) -> Then {
        let all = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(all.as_bytes()).unwrap();
        Then::Next
    }
    let (gateway, _origin) = before(hints);
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let (mut response, _) = client.ask(get("/"), true).await;
        let interim = std::future::poll_fn(|context| response.poll_informational(context)).await;
        let interim = interim.unwrap().unwrap();
        assert_eq!(interim.status(), 103);
        assert_eq!(interim.headers()["link"], "</a.css>");
        assert_eq!(answer(response).await.unwrap().text(), "ok");
    });
}

#[test]
fn what_is_refused_in_http1_is_refused_here() {
    let (gateway, _origin) = before(plain);
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let mut other_host = get("/");
        let headers = other_host.headers_mut();
        headers.insert("host", "b.example".parse().unwrap());
        let mut crumbs = get("/");
        for crumb in 0..200 {
            let value = format!("c{crumb}=1").parse().unwrap();
            crumbs.headers_mut().append("cookie", value);
        }
        let mut large = get("/");
        let value = "x".repeat(20 << 10).parse().unwrap();
        large.headers_mut().insert("x-large", value);
        let connect = Request::connect("a.example:443").body(()).unwrap();
        let long = get(&format!("/{}", "x".repeat(9 << 10)));
        let climbing = get("/%2e%2e%2f%00");
        for (request, status) in [
            (other_host, 400),
            (crumbs, 431),
            (large, 431),
            (connect, 405),
            (long, 414),
            (climbing, 400),
        ] {
            let uri = request.uri().clone();
            let (response, _) = client.ask(request, true).await;
            let answer = answer(response).await.unwrap();
            assert_eq!(answer.status(), status, "{uri}: {}", answer.text());
        }
        assert_eq!(client.get("/still/fine").await.status(), 200);
    });
}

#[test]
fn a_response_that_the_backend_cuts_off_is_reset() {
    fn cut(stream: &mut TcpStream, _: &Got) -> Then {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
        stream.write_all(head.as_bytes()).unwrap();
        Then::Close
    }
    let (gateway, _origin) = before(cut);
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let (response, _) = client.ask(get("/"), true).await;
        let error = answer(response).await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
        // Its neighbours go on.
        let (response, _) = client.ask(get("/"), true).await;
        assert!(response.await.is_ok());
    });
}

#[test]
fn a_client_that_says_nothing_is_parted_from() {
    let origin = Origin::start(plain);
    let mut wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    let timeouts = DownstreamTimeouts {
        header: Duration::from_millis(200),
        keep_alive: Duration::from_millis(200),
        ..DownstreamTimeouts::default()
    };
    wanted.listener(ListenerSettings {
        timeouts,
        ..ListenerSettings::default()
    });
    let gateway = wanted.start();
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        assert_eq!(client.get("/").await.status(), 200);
        // GOAWAY without an error, then the end.
        assert!(client.closed.await.unwrap().is_ok());
    });
    // Half a preface.
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    // A preface without the settings that follow it.
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    stream.write_all(ringgate_core::http2::PREFACE).unwrap();
    stream.read_to_end(&mut answer).unwrap();
}

#[test]
fn draining_completes_what_is_under_way() {
    fn slow(stream: &mut TcpStream, request: &Got) -> Then {
        std::thread::sleep(Duration::from_millis(300));
        plain(stream, request)
    }
    let (mut gateway, origin) = before(slow);
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let (response, _) = client.ask(get("/"), true).await;
        let sent = tokio::task::spawn_blocking(move || origin.request());
        sent.await.unwrap();
        gateway.signal("-TERM");
        assert_eq!(answer(response).await.unwrap().status(), 200);
        assert!(client.closed.await.unwrap().is_ok(), "a GOAWAY came first");
    });
    assert!(gateway.wait().success());
}

/// A frame's header with a payload of zeros.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn a_flood_ends_the_connection_with_its_reason() {
    let (gateway, _origin) = before(plain);
    for (name, flood) in [
        ("ping", frame(6, 0, 0, &[0; 8])),
        ("settings", frame(4, 0, 0, &[])),
        ("priority", frame(2, 0, 3, &[0, 0, 0, 0, 1])),
        ("unknown_frame", frame(99, 0, 0, &[])),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
        stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
        stream.write_all(ringgate_core::http2::PREFACE).unwrap();
        stream.write_all(&frame(4, 0, 0, &[])).unwrap();
        // The gateway may have closed before all was sent.
        let _ = stream.write_all(&flood.repeat(2_000));
        let mut came = Vec::new();
        stream.read_to_end(&mut came).unwrap();
        let goaway = came.windows(9).rposition(|window| window[3] == 7);
        let payload = came.get(goaway.unwrap() + 9..).unwrap();
        assert_eq!(payload[4..8], [0, 0, 0, 11], "{name}: ENHANCE_YOUR_CALM");
        let metrics = gateway.ask_admin("/metrics");
        let counted = format!("ringgate_http2_goaways_total{{reason=\"{name}\"}} 1");
        assert!(metrics.contains(&counted), "{name}: {metrics}");
    }
}

#[test]
fn requests_that_are_taken_back_at_once_end_the_connection() {
    let (gateway, _origin) = before(plain);
    talk(async {
        let client = Client::connect(gateway.port).await;
        loop {
            let Ok(mut ready) = client.send.clone().ready().await else {
                break;
            };
            let Ok((_, mut stream)) = ready.send_request(get("/"), true) else {
                break;
            };
            stream.send_reset(Reason::CANCEL);
            tokio::task::yield_now().await;
        }
        let error = client.closed.await.unwrap().unwrap_err();
        assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    });
    assert_eq!(gateway.get("/").0, 200, "neighbours go on");
}

#[test]
fn a_request_that_is_taken_back_is_taken_back_from_the_backend() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = Wanted::new().backend("one", &[address]);
    let gateway = gateway.route(vec![rule("one")]).start();
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let (response, mut stream) = client.ask(get("/"), true).await;
        // The backend has the request, and never answers.
        let accept = move || {
            let (mut connection, _) = listener.accept().unwrap();
            connection
                .set_read_timeout(Some(support::PATIENCE))
                .unwrap();
            let count = connection.read(&mut [0; 4096]).unwrap();
            (connection, count)
        };
        let (mut connection, count) = tokio::task::spawn_blocking(accept).await.unwrap();
        assert!(count > 0);
        stream.send_reset(Reason::CANCEL);
        drop(response);
        let end = move || connection.read(&mut [0; 1]).unwrap();
        assert_eq!(tokio::task::spawn_blocking(end).await.unwrap(), 0);
    });
}

#[test]
fn a_websocket_goes_through_a_stream() {
    fn upgrade(stream: &mut TcpStream, request: &Got) -> Then {
        assert_eq!(request.line, "GET /chat HTTP/1.1");
        assert_eq!(request.field("upgrade"), Some("websocket"));
        assert!(request.field("sec-websocket-key").is_some());
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut bytes = [0; 5];
        while stream.read_exact(&mut bytes).is_ok() {
            stream.write_all(&bytes).unwrap();
        }
        Then::Close
    }
    let (gateway, _origin) = before(upgrade);
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        // The server's settings allow it, once they have come.
        while !client.send.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
        let mut request = get("/chat");
        *request.method_mut() = http::Method::CONNECT;
        let protocol = h2::ext::Protocol::from_static("websocket");
        request.extensions_mut().insert(protocol);
        let (response, mut stream) = client.ask(request, false).await;
        let (head, mut body) = response.await.unwrap().into_parts();
        assert_eq!(head.status, 200);
        assert!(head.headers.get("sec-websocket-accept").is_none());
        for word in [&b"hello"[..], b"world"] {
            stream.send_data(word.into(), false).unwrap();
            assert_eq!(body.data().await.unwrap().unwrap(), word);
        }
        stream.send_data(Bytes::new(), true).unwrap();
        assert_eq!(http2::read(&mut body).await.unwrap().0, b"");
    });
}

#[test]
fn an_early_answer_ends_the_upload() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut some = [0; 1024];
        let _ = stream.read(&mut some).unwrap();
        let all = "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno";
        stream.write_all(all.as_bytes()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let wanted = Wanted::new().backend("one", &[address]);
    let gateway = wanted.route(vec![rule("one")]).start();
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let (response, mut stream) = client.ask(post("/"), false).await;
        stream.send_data("begun".into(), false).unwrap();
        let answer = answer(response).await.unwrap();
        assert_eq!((answer.status(), answer.text()), (403, "no".into()));
        assert!(
            client.send.clone().ready().await.is_ok(),
            "its neighbours go on"
        );
    });
}

#[test]
fn a_port_without_http2_takes_no_preface() {
    let origin = Origin::start(plain);
    let mut wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    wanted.listener(ListenerSettings {
        http2: false,
        ..ListenerSettings::default()
    });
    let gateway = wanted.start();
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    stream.write_all(ringgate_core::http2::PREFACE).unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
    assert_eq!(gateway.get("/").0, 200);
}
