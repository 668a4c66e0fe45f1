//! Connections whose bytes go to a backend as they are, through the real data plane: what a TCPRoute has beyond
//! what TLSRoutes have in common with it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use ringgate_core::ir::{ListenerSettings, Network, Protocol, StreamProtocol};
use support::DataPlane;
use support::streams::{Streams, lines, nobody, peer, tcp};

/// A TCPRoute's.
fn bytes(backends: &[SocketAddr]) -> Streams {
    Streams::new(StreamProtocol::Tcp)
        .listener("", Protocol::Tcp)
        .route("", "", &[("one", 1)])
        .backend("one", backends)
}

#[test]
fn bytes_go_both_ways_whatever_they_mean() {
    let plane = bytes(&[lines("one")]).start();
    for text in ["GET / HTTP/1.1", "\u{16}\u{3}\u{1}", "PRI * HTTP/2.0"] {
        let mut client = tcp(&plane);
        writeln!(client, "{text}").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, format!("one: {text}\n"));
    }
    let page = plane.ask_admin("/metrics");
    let opened = "route_kind=\"TCPRoute\",route=\"default/to-\",rule=\"0\",outcome=\"opened\"} 3";
    assert!(page.lines().any(|line| line.ends_with(opened)), "{page}");
}

#[test]
fn a_backend_may_speak_first_and_a_reset_is_passed_on() {
    let greets = peer(|mut stream| {
        stream.write_all(b"220 ready\n").unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        // What was sent is unread when it closes: a reset.
        drop(stream);
    });
    let plane = bytes(&[greets]).start();
    let mut client = tcp(&plane);
    let mut greeting = [0; 10];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ready\n");
    client.write_all(b"much more than one byte").unwrap();
    let end = client.read_to_end(&mut Vec::new());
    let kind = end.map_err(|error| error.kind());
    assert_eq!(kind, Err(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn without_a_route_or_a_backend_a_connection_is_closed() {
    let nowhere = Streams::new(StreamProtocol::Tcp).listener("", Protocol::Tcp);
    for plane in [
        nowhere.start(),
        bytes(&[]).start(),
        bytes(&[nobody()]).start(),
    ] {
        let mut client = tcp(&plane);
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    }
}

#[test]
fn clients_from_elsewhere_are_not_let_in() {
    let settings = |settings: &mut ListenerSettings| {
        settings.allowed_sources = [Network {
            address: "127.0.0.0".parse().unwrap(),
            prefix: 31,
        }]
        .into();
    };
    let plane = bytes(&[lines("one")]).settings(settings).start();
    assert_eq!(ask_from([127, 0, 0, 1], &plane), "one: hello\n");
    assert_eq!(ask_from([127, 0, 0, 2], &plane), "");
    plane.await_metric("ringgate_refused_sources_total", 1);
}

/// The answer to a line, which is empty where there is none.
fn ask_from(address: [u8; 4], plane: &DataPlane) -> String {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], plane.port));
    socket.connect(&to.into()).unwrap();
    let mut client = TcpStream::from(socket);
    // The gateway may have closed it by now.
    let _ = client.write_all(b"hello\n");
    let _ = client.shutdown(Shutdown::Write);
    let mut answer = String::new();
    let _ = client.read_to_string(&mut answer);
    answer
}
