//! What clients may cost in memory, measured on the real data plane.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use bytes::Bytes;
use ringgate_core::ir::{Protocol, StreamProtocol};
use support::http2::{self, Client, get, talk};
use support::streams::Streams;
use support::{DataPlane, Origin, Request as Got, Then, Wanted, rule, wait_until};

/// 100 MiB, as fast as they are taken.
fn endless(stream: &mut TcpStream, _: &Got) -> Then {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n";
    let piece = vec![b'x'; 64 << 10];
    if stream.write_all(head.as_bytes()).is_ok() {
        for _ in 0..1600 {
            if stream.write_all(&piece).is_err() {
                break;
            }
        }
    }
    Then::Close
}

/// KiB.
fn resident(gateway: &DataPlane) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1);
    number.unwrap().parse().unwrap()
}

#[test]
fn slow_readers_never_fill_memory() {
    let origin = Origin::start(endless);
    let wanted = Wanted::new().backend("one", &[origin.address]);
    let gateway = wanted.route(vec![rule("one")]).start();
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(1 << 30)
        .initial_connection_window_size(1 << 30);
    let mut streams = Vec::new();
    talk(async {
        let mut warm = Client::connect(gateway.port).await;
        let (first, _) = warm.ask(get("/"), true).await;
        drop(first.await.unwrap());
        let before = resident(&gateway);
        let mut connections = Vec::new();
        for _ in 0..2 {
            // Whatever the windows allow: this one never reads its socket.
            let socket = tokio::net::TcpStream::connect(("127.0.0.1", gateway.port))
                .await
                .unwrap();
            let (mut send, mut connection) = builder.handshake::<_, Bytes>(socket).await.unwrap();
            for _ in 0..100 {
                streams.push(send.send_request(get("/"), true).unwrap());
            }
            // Long enough for the requests to leave.
            let once = std::future::poll_fn(|context| {
                let _ = std::pin::Pin::new(&mut connection).poll(context);
                std::task::Poll::Ready(())
            });
            once.await;
            connections.push((send, connection));
        }
        // Memory grows until every stream is full: then it stays.
        let mut last = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = resident(&gateway);
            if now <= last {
                break;
            }
            last = now;
        }
        let grown = resident(&gateway).saturating_sub(before);
        assert!(grown < 200 * 128, "200 streams cost {grown} KiB");
    });
}

/// Begins an answer, and never ends it.
fn hold(_: &http2::Got, mut respond: h2::server::SendResponse<Bytes>) {
    let mut stream = respond
        .send_response(http::Response::new(()), false)
        .unwrap();
    stream.send_data("begun".into(), false).unwrap();
    tokio::spawn(async move {
        let _open = stream;
        std::future::pending::<()>().await;
    });
}

#[test]
fn a_stream_under_way_holds_little() {
    const CONNECTIONS: u64 = 10;
    const STREAMS: u64 = 100;
    let origin = http2::Origin::start(hold);
    let wanted = Wanted::new().backend("one", &[origin.address]);
    let gateway = wanted.by_http2().route(vec![rule("one")]).start();
    talk(async {
        let mut open = Vec::new();
        let mut before = 0;
        // The first one's cost is that of what all have in common.
        for connection in 0..=CONNECTIONS {
            let mut client = Client::connect(gateway.port).await;
            let mut asked = Vec::new();
            for _ in 0..STREAMS {
                asked.push(client.ask(get("/"), true).await.0);
            }
            for response in asked {
                let mut body = response.await.unwrap().into_body();
                assert_eq!(body.data().await.unwrap().unwrap(), "begun");
                open.push(body);
            }
            if connection == 0 {
                before = resident(&gateway);
            }
        }
        let streams = CONNECTIONS * STREAMS;
        let grown = resident(&gateway).saturating_sub(before);
        assert!(grown < streams * 16, "{streams} streams cost {grown} KiB");
    });
}

#[test]
fn an_idle_connection_of_http2_holds_no_buffer() {
    const CONNECTIONS: u64 = 400;
    let origin = Origin::start(support::plain);
    let wanted = Wanted::new().backend("one", &[origin.address]);
    let gateway = wanted.route(vec![rule("one")]).start();
    talk(async {
        let mut open = Vec::new();
        let mut before = 0;
        for _ in 0..=CONNECTIONS {
            let mut client = Client::connect(gateway.port).await;
            assert_eq!(client.get("/").await.status(), 200);
            open.push(client);
            if before == 0 {
                before = resident(&gateway);
            }
        }
        // A while after their last request, and the allocator gives memory back to the kernel.
        while resident(&gateway) > before + CONNECTIONS * 14 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for client in &mut open {
            assert_eq!(client.get("/").await.status(), 200);
        }
    });
}

/// More than one buffer's worth.
const WORD: usize = 40 << 10;

fn upgrade(stream: &mut TcpStream, _: &Got) -> Then {
    let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = vec![0; WORD];
    while stream.read_exact(&mut bytes).is_ok() {
        stream.write_all(&bytes).unwrap();
    }
    Then::Close
}

#[test]
fn an_idle_tunnel_holds_no_buffer() {
    const TUNNELS: usize = 400;
    let origin = Origin::start(upgrade);
    let wanted = Wanted::new().backend("one", &[origin.address]);
    let gateway = wanted.route(vec![rule("one")]).start();
    let ask = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let mut word = vec![7; WORD];
    let mut say = |client: &mut support::Client| {
        client.stream.write_all(&word).unwrap();
        client.stream.read_exact(&mut word).unwrap();
    };
    let mut before = 0;
    let mut tunnels = Vec::new();
    for _ in 0..=TUNNELS {
        let mut client = gateway.connect();
        client.send(ask);
        assert_eq!(client.head().status, 101);
        say(&mut client);
        tunnels.push(client);
        if before == 0 {
            before = resident(&gateway);
        }
    }
    // Both directions give their buffers back, and the allocator theirs to the kernel.
    let most = before + TUNNELS as u64 * 12;
    wait_until(|| {
        // No event tells of it, and the gateway needs the processor, too.
        std::thread::sleep(Duration::from_millis(50));
        (resident(&gateway) < most).then_some(())
    });
    for client in &mut tunnels {
        say(client);
    }
}

#[test]
fn a_session_of_datagrams_takes_less_than_half_a_kibibyte() {
    const SESSIONS: u32 = 100_000;
    // Silent ones.
    let endpoints: Vec<_> = (0..64)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    let addresses: Vec<_> = endpoints
        .iter()
        .map(|endpoint| endpoint.local_addr().unwrap())
        .collect();
    let gateway = Streams::new(StreamProtocol::Udp)
        .listener("", Protocol::Udp)
        .route("", "", &[("one", 1)])
        .backend("one", &addresses)
        .settings(|settings| settings.limits.sessions = SESSIONS)
        .start();
    let to = SocketAddr::from(([127, 0, 0, 1], gateway.port));
    // 10,000 ports of each address.
    let say = |number: u32| {
        let [.., address] = (number / 10_000 + 1).to_be_bytes();
        let port = u16::try_from(number % 10_000).unwrap() + 20_000;
        let client = UdpSocket::bind(SocketAddr::from(([127, 0, 1, address], port))).unwrap();
        client.send_to(b"hello", to).unwrap();
    };
    say(SESSIONS);
    gateway.await_metric("ringgate_datagram_sessions", 1);
    let before = resident(&gateway);
    for number in 0..SESSIONS {
        say(number);
        // No more than the kernel queues.
        let sent = u64::from(number) + 1;
        if sent.is_multiple_of(200) {
            let open = (sent + 1).min(SESSIONS.into());
            gateway.await_metric("ringgate_datagram_sessions", open);
        }
    }
    let grown = resident(&gateway).saturating_sub(before) * 1024;
    let each = grown / u64::from(SESSIONS);
    assert!(each < 512, "a session costs {each} bytes");
    gateway.await_metric("ringgate_datagrams_dropped_total", 0);
}
