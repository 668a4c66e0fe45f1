//! Requests and responses through the real process: what goes to the backend, what comes back, what
//! happens to the connections.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use support::{Origin, Request, Then, Wanted, plain, rule};

fn through(script: support::Script) -> (support::DataPlane, Origin) {
    let origin = Origin::start(script);
    let wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    (wanted.start(), origin)
}

#[test]
fn a_request_goes_through_and_the_connections_are_used_again() {
    let (gateway, origin) = through(plain);
    let mut client = gateway.connect();
    for _ in 0..3 {
        client.send("GET /a/../b?q=1 HTTP/1.1\r\nHost: A.example:80\r\nX-One: 1\r\nConnection: x-two\r\nX-Two: 2\r\n\r\n");
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "GET".into()));
        assert!(response.field("date").is_some());
        let request = origin.request();
        assert_eq!(request.line, "GET /b?q=1 HTTP/1.1");
        assert_eq!(request.field("host"), Some("A.example:80"));
        assert_eq!(request.field("x-one"), Some("1"));
        assert_eq!(request.field("x-two"), None, "named in Connection");
        assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(request.field("x-forwarded-proto"), Some("http"));
        assert_eq!(request.field("x-forwarded-host"), Some("A.example:80"));
        assert_eq!(request.connection, 0);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (gateway, _origin) = through(plain);
    let mut client = gateway.connect();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPUT /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    for method in ["GET", "POST", "PUT"] {
        assert_eq!(client.response().text(), method);
    }
}

#[test]
fn bodies_pass_whole_in_both_directions_and_framings() {
    fn mirror(stream: &mut TcpStream, request: &Request) -> Then {
        let chunked = request.line.contains("chunked");
        let head = if chunked {
            "transfer-encoding: chunked".to_owned()
        } else {
            format!("content-length: {}", request.body.len())
        };
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes())
            .unwrap();
        if chunked {
            for chunk in request.body.chunks(10_007) {
                stream
                    .write_all(format!("{:x}\r\n", chunk.len()).as_bytes())
                    .unwrap();
                stream.write_all(chunk).unwrap();
                stream.write_all(b"\r\n").unwrap();
            }
            stream.write_all(b"0\r\n\r\n").unwrap();
        } else {
            stream.write_all(&request.body).unwrap();
        }
        Then::Next
    }
    let (gateway, origin) = through(mirror);
    let mut client = gateway.connect();
    for size in [0_usize, 1, 100, 16_384, 70_000, 3_000_000] {
        for (answer, sent_chunked) in [
            ("length", false),
            ("chunked", false),
            ("length", true),
            ("chunked", true),
        ] {
            let body: Vec<u8> = (0..size).map(|place| (place * 7 % 251) as u8).collect();
            let mut writer = client.stream.try_clone().unwrap();
            let sent = body.clone();
            let sender = thread::spawn(move || {
                let framing = if sent_chunked {
                    "Transfer-Encoding: chunked".to_owned()
                } else {
                    format!("Content-Length: {}", sent.len())
                };
                write!(
                    writer,
                    "POST /{answer} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"
                )
                .unwrap();
                if sent_chunked {
                    for chunk in sent.chunks(8_191) {
                        write!(writer, "{:x}\r\n", chunk.len()).unwrap();
                        writer.write_all(chunk).unwrap();
                        writer.write_all(b"\r\n").unwrap();
                    }
                    writer.write_all(b"0\r\n\r\n").unwrap();
                } else {
                    writer.write_all(&sent).unwrap();
                }
            });
            let response = client.response();
            sender.join().unwrap();
            assert_eq!(response.status, 200);
            assert!(response.body == body, "{size} {answer} {sent_chunked}");
            assert!(origin.request().body == body);
        }
    }
}

#[test]
fn a_response_without_length_ends_with_the_backends_connection() {
    fn until_close(stream: &mut TcpStream, _: &Request) -> Then {
        stream
            .write_all(b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nhello ")
            .unwrap();
        stream.write_all(b"world").unwrap();
        Then::Close
    }
    let (gateway, _origin) = through(until_close);
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = client.response();
        assert_eq!(response.field("transfer-encoding"), Some("chunked"));
        assert_eq!(response.text(), "hello world");
    }
    let mut old = gateway.connect();
    old.send("GET / HTTP/1.0\r\n\r\n");
    let response = old.response();
    assert_eq!(response.field("transfer-encoding"), None);
    assert_eq!(response.text(), "hello world");
}

#[test]
fn head_and_304_have_no_body() {
    fn not_modified(stream: &mut TcpStream, request: &Request) -> Then {
        let status = if request.line.starts_with("HEAD") {
            "200 OK"
        } else {
            "304 Not Modified"
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Then::Next
    }
    let (gateway, _origin) = through(not_modified);
    let mut client = gateway.connect();
    for method in ["HEAD", "GET", "HEAD"] {
        client.send(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.head();
        assert_eq!(response.field("content-length"), Some("5"), "{method}");
    }
}

#[test]
fn interim_responses_reach_the_client() {
    fn hints(stream: &mut TcpStream, _: &Request) -> Then {
        stream
            .write_all(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n")
            .unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .unwrap();
        Then::Next
    }
    let (gateway, _origin) = through(hints);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let interim = client.head();
    assert_eq!((interim.status, interim.field("link")), (103, Some("<a>")));
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn a_client_that_waits_for_100_gets_it_from_the_backend() {
    let (gateway, origin) = through(|stream, request| {
        let _ = request;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        Then::Next
    });
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client.send("abc");
    assert_eq!(client.response().status, 200);
    assert_eq!(origin.request().field("expect"), Some("100-continue"));
}

#[test]
fn an_upgrade_tunnels_both_ways_after_101() {
    fn switch(stream: &mut TcpStream, request: &Request) -> Then {
        assert_eq!(request.field("upgrade"), Some("chat"));
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhi ").unwrap();
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        Then::Close
    }
    let (gateway, _origin) = through(switch);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n");
    let response = client.head();
    assert_eq!(
        (response.status, response.field("upgrade")),
        (101, Some("chat"))
    );
    client.send("ping");
    assert_eq!(client.rest(), b"hi ping");
}

#[test]
fn a_backend_that_breaks_off_cuts_the_client_off_too() {
    fn broken(stream: &mut TcpStream, _: &Request) -> Then {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            .unwrap();
        Then::Close
    }
    let (gateway, _origin) = through(broken);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.rest(), b"half");
}

#[test]
fn what_is_not_http_becomes_502() {
    let (gateway, _origin) = through(|stream, _| {
        stream.write_all(b"SSH-2.0-x\r\n").unwrap();
        Then::Close
    });
    assert_eq!(gateway.get("/").0, 502);
}

#[test]
fn an_early_answer_to_a_large_upload_reaches_the_client() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut some = [0; 1000];
            let _ = stream.read(&mut some);
            let _ = stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
            // Read on, or the kernel resets the connection before the answer is read.
            while matches!(stream.read(&mut some), Ok(1..)) {}
        }
    });
    let gateway = Wanted::new()
        .backend("one", &[address])
        .route(vec![rule("one")])
        .start();
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nstart");
    let response = client.response();
    assert_eq!((response.status, response.text()), (413, "no".into()));
}

#[test]
fn bad_requests_are_refused_and_the_connection_ends() {
    let (gateway, origin) = through(plain);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\n x: y\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (
            "GET /%2f HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            400,
        ),
        (
            "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n",
            405,
        ),
        (
            &format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000)),
            414,
        ),
        (
            &format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
                "a".repeat(17_000)
            ),
            431,
        ),
        (
            &format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "X: y\r\n".repeat(120)
            ),
            431,
        ),
    ] {
        let mut client = gateway.connect();
        client.send(request);
        let response = client.response();
        assert_eq!(response.status, status, "{request}");
        assert_eq!(response.field("connection"), Some("close"));
        assert!(client.is_closed());
    }
    assert!(origin.has_none());
}
