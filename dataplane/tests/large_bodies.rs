//! Bodies that are large enough to go from socket to socket within the kernel.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;

use ringgate_core::ir::{BackendSettings, DownstreamTimeouts, ListenerSettings};
use support::{Origin, Request, Then, Wanted, rule};

const MIB: usize = 1 << 20;
const BODY: usize = 6 * MIB;

/// Says at each place which one it is. Made once, for backends shall not be slow.
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let word = |place: usize| u32::try_from(place).unwrap().to_be_bytes();
    (0..BODY / 4).flat_map(word).collect()
});

/// All of it, in the framing that the path names; of `/cut` and `/stall` a part.
fn large(stream: &mut TcpStream, request: &Request) -> Then {
    let path = request.line.split(' ').nth(1).unwrap_or_default();
    let (framing, sent) = match path {
        "/chunked" => ("transfer-encoding: chunked".into(), 0),
        "/cut" | "/stall" => (format!("content-length: {BODY}"), BODY / 2),
        "/small" => ("content-length: 0".into(), 0),
        _ => (format!("content-length: {BODY}"), BODY),
    };
    // Whoever went away is told of by the client's side.
    let _ = write!(stream, "HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
    if path == "/chunked" {
        for chunk in WHOLE.chunks(MIB + 13) {
            let _ = write!(stream, "{:x}\r\n", chunk.len());
            let _ = stream.write_all(chunk);
            let _ = stream.write_all(b"\r\n");
        }
        let _ = stream.write_all(b"0\r\n\r\n");
    }
    let _ = stream.write_all(&WHOLE[..sent]);
    match path {
        "/cut" => Then::Close,
        _ => Then::Next,
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn before(origin: &Origin) -> Wanted {
    LazyLock::force(&WHOLE);
    Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")])
}

#[test]
fn a_large_body_arrives_as_it_was_and_its_connections_are_used_again() {
    for driver in ["auto", "epoll"] {
        let origin = Origin::start(large);
        let gateway = before(&origin).start_with(&["--driver", driver]);
        let mut client = gateway.connect();
        for path in ["/length", "/chunked", "/length", "/small", "/chunked"] {
            client.send(&get(path));
            let response = client.response();
            let wanted = if path == "/small" { &[] } else { &WHOLE[..] };
            assert!(response.body == wanted, "{driver}: {path}");
            assert_eq!(origin.request().connection, 0, "{driver}: {path}");
        }
    }
}

#[test]
fn a_large_body_that_breaks_off_is_not_made_to_look_whole() {
    let origin = Origin::start(large);
    let gateway = before(&origin).start();
    let mut client = gateway.connect();
    client.send(&get("/cut"));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.rest().len(), BODY / 2);
    assert_eq!(gateway.get("/small").0, 200);
}

#[test]
fn a_large_body_that_stalls_ends_at_the_backends_idle_timeout() {
    let origin = Origin::start(large);
    let settings = BackendSettings {
        idle_timeout: Duration::from_millis(150),
        ..BackendSettings::default()
    };
    let mut wanted = before(&origin);
    wanted.backend_with("one", &[origin.address], settings);
    let gateway = wanted.start();
    let mut client = gateway.connect();
    client.send(&get("/stall"));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.rest().len(), BODY / 2);
}

#[test]
fn who_takes_nothing_of_a_large_body_is_parted_from_and_who_takes_it_slowly_is_not() {
    let origin = Origin::start(large);
    let mut wanted = before(&origin);
    wanted.listener(ListenerSettings {
        timeouts: DownstreamTimeouts {
            // The kernel says that there is room again when a third of what it holds has gone.
            idle: Duration::from_millis(1_500),
            ..DownstreamTimeouts::default()
        },
        ..ListenerSettings::default()
    });
    let gateway = wanted.start();
    let mut slow = gateway.connect();
    slow.send(&get("/length"));
    let mut idle = gateway.connect();
    idle.send(&get("/length"));
    let (mut taken, mut part) = (0, vec![0; MIB]);
    slow.head();
    // The head's reader may have taken some.
    while taken < BODY - 64 * 1024 {
        let came = slow.stream.read(&mut part).unwrap();
        assert!(came > 0, "{taken} bytes came");
        taken += came;
        std::thread::sleep(Duration::from_millis(50));
    }
    gateway.await_metric("ringgate_clients", 1);
    assert!(idle.rest().len() < BODY);
}
