//! Datagrams through the real data plane: sessions, their endpoints, and their ends.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use ringgate_core::ir::{ListenerSettings, Network, Protocol, StreamProtocol};
use support::DataPlane;
use support::streams::Streams;

/// Answers each datagram with its own name in front, and the sender's port.
fn echo(name: &'static str, address: &str) -> SocketAddr {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    let here = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = vec![0; 65_536];
        while let Ok((count, from)) = socket.recv_from(&mut bytes) {
            let mut answer = format!("{name} {}: ", from.port()).into_bytes();
            answer.extend_from_slice(&bytes[..count]);
            answer.truncate(65_507);
            socket.send_to(&answer, from).unwrap();
        }
    });
    here
}

fn datagrams(backends: &[SocketAddr]) -> Streams {
    Streams::new(StreamProtocol::Udp)
        .listener("", Protocol::Udp)
        .route("", "", &[("one", 1)])
        .backend("one", backends)
}

fn client_to(address: impl Into<IpAddr>, port: u16) -> UdpSocket {
    let to = SocketAddr::new(address.into(), port);
    let any: IpAddr = match to {
        SocketAddr::V4(_) => "0.0.0.0".parse().unwrap(),
        SocketAddr::V6(_) => "::".parse().unwrap(),
    };
    let socket = UdpSocket::bind((any, 0)).unwrap();
    // Answers from anywhere else are not taken.
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
    socket
}

fn client(plane: &DataPlane) -> UdpSocket {
    client_to([127, 0, 0, 1], plane.port)
}

fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 65_536];
    let count = client.recv(&mut bytes).unwrap();
    bytes.truncate(count);
    bytes
}

/// The answer: who it is from, the port that the backend was asked from, and what was said.
fn ask(client: &UdpSocket, text: &str) -> (String, u16, String) {
    client.send(text.as_bytes()).unwrap();
    let answer = String::from_utf8(receive(client)).unwrap();
    let (from, said) = answer.split_once(": ").unwrap();
    let (name, port) = from.split_once(' ').unwrap();
    (name.to_owned(), port.parse().unwrap(), said.to_owned())
}

#[test]
fn a_client_stays_with_its_endpoint_and_gets_its_own_answers() {
    let plane = datagrams(&[echo("a", "127.0.0.1"), echo("b", "127.0.0.1")]).start();
    let clients: Vec<_> = (0..20).map(|_| client(&plane)).collect();
    let first: Vec<_> = clients.iter().map(|one| ask(one, "first")).collect();
    let names: BTreeSet<_> = first.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names.len(), 2, "both endpoints have clients");
    let ways: BTreeSet<_> = first.iter().map(|(name, port, _)| (name, port)).collect();
    assert_eq!(
        ways.len(),
        20,
        "each client is asked for from a port of its own"
    );
    // All at once, and each gets what it said.
    for round in 0..5 {
        for (number, client) in clients.iter().enumerate() {
            let text = format!("{number} in {round}");
            client.send(text.as_bytes()).unwrap();
        }
        for (number, client) in clients.iter().enumerate() {
            let (name, port, _) = &first[number];
            let answer = String::from_utf8(receive(client)).unwrap();
            assert_eq!(answer, format!("{name} {port}: {number} in {round}"));
        }
    }
    plane.await_metric("ringgate_datagram_sessions", 20);
    plane.await_metric("ringgate_datagrams_sent_total", 120);
    plane.await_metric("ringgate_datagrams_received_total", 120);
    plane.await_metric("ringgate_datagrams_dropped_total", 0);
}

#[test]
fn datagrams_of_every_size_come_whole() {
    let plane = datagrams(&[echo("a", "127.0.0.1")]).start();
    let client = client(&plane);
    for length in [0, 1, 1_472, 9_000, 65_000] {
        let sent = vec![b'x'; length];
        client.send(&sent).unwrap();
        let answer = receive(&client);
        let said = answer.splitn(2, |byte| *byte == b' ').nth(1).unwrap();
        let said = said.splitn(2, |byte| *byte == b' ').nth(1).unwrap();
        assert_eq!(said.len(), length);
        assert!(said == sent, "of {length} bytes");
    }
}

#[test]
fn segments_of_a_flow_stay_apart_datagrams() {
    let plane = datagrams(&[echo("a", "127.0.0.1")]).start();
    let client = client(&plane);
    let texts: Vec<_> = (0..40)
        .map(|number| format!("number {number:04}"))
        .collect();
    send_joined(&client, texts.concat().as_bytes(), texts[0].len());
    for text in texts {
        let answer = String::from_utf8(receive(&client)).unwrap();
        assert_eq!(answer.split_once(": ").unwrap().1, text);
    }
}

/// Several datagrams by one system call, which the kernel cuts apart as late as it can (UDP_SEGMENT).
fn send_joined(socket: &UdpSocket, bytes: &[u8], segment: usize) {
    use std::os::fd::AsRawFd;
    let segment = libc::c_int::try_from(segment).unwrap();
    let length = libc::socklen_t::try_from(size_of_val(&segment)).unwrap();
    // SAFETY: reads `segment`.
    #[expect(unsafe_code, reason = "no library has this option")]
    let set = unsafe {
        let place = (&raw const segment).cast();
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            place,
            length,
        )
    };
    assert_eq!(set, 0);
    socket.send(bytes).unwrap();
}

#[test]
fn an_endpoint_that_refuses_is_left_for_another() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
    let refuses = gone.local_addr().unwrap();
    drop(gone);
    let plane = datagrams(&[refuses, echo("b", "127.0.0.1")]).start();
    for _ in 0..10 {
        let client = client(&plane);
        client
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let answered = (0..20).find(|_| {
            client.send(b"hello").unwrap();
            let mut bytes = [0; 100];
            match client.recv(&mut bytes) {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    false
                }
            }
        });
        assert!(
            answered.is_some_and(|attempts| attempts <= 2),
            "{answered:?}"
        );
    }
}

#[test]
fn without_a_route_or_a_backend_nothing_goes_anywhere() {
    let plane = Streams::new(StreamProtocol::Udp)
        .listener("", Protocol::Udp)
        .start();
    client(&plane).send(b"hello").unwrap();
    plane.await_metric("ringgate_datagrams_dropped_total", 1);
    plane.await_metric("ringgate_datagram_sessions", 0);
    let plane = datagrams(&[]).start();
    client(&plane).send(b"hello").unwrap();
    plane.await_metric("ringgate_datagrams_dropped_total", 1);
    let page = plane.ask_admin("/metrics");
    let refused = "outcome=\"refused\"} 1";
    let line = page.lines().find(|line| line.ends_with(refused)).unwrap();
    assert!(line.contains("route_kind=\"UDPRoute\""), "{line}");
}

#[test]
fn the_bound_on_sessions_holds_and_the_longest_idle_goes() {
    let settings = |settings: &mut ListenerSettings| settings.limits.sessions = 3;
    let plane = datagrams(&[echo("a", "127.0.0.1")])
        .settings(settings)
        .start();
    let clients: Vec<_> = (0..3).map(|_| client(&plane)).collect();
    let ports: Vec<_> = clients.iter().map(|one| ask(one, "hello").1).collect();
    // The order of use is kept to half a second.
    thread::sleep(Duration::from_millis(600));
    assert_eq!(ask(&clients[0], "still here").1, ports[0]);
    assert_eq!(ask(&clients[2], "still here").1, ports[2]);
    let late = client(&plane);
    ask(&late, "hello");
    plane.await_metric("ringgate_datagram_sessions", 3);
    assert_eq!(ask(&clients[0], "again").1, ports[0]);
    assert_eq!(ask(&clients[2], "again").1, ports[2]);
    // Whoever had to go comes again, from another port: a late answer must not come to somebody else.
    assert_ne!(ask(&clients[1], "again").1, ports[1]);
    plane.await_metric("ringgate_datagram_sessions", 3);
}

#[test]
fn clients_from_elsewhere_are_not_let_in() {
    let settings = |settings: &mut ListenerSettings| {
        settings.allowed_sources = [Network {
            address: "127.0.0.2".parse().unwrap(),
            prefix: 32,
        }]
        .into();
    };
    let plane = datagrams(&[echo("a", "127.0.0.1")])
        .settings(settings)
        .start();
    client(&plane).send(b"hello").unwrap();
    plane.await_metric("ringgate_refused_sources_total", 1);
    let friend = UdpSocket::bind("127.0.0.2:0").unwrap();
    friend.connect(("127.0.0.1", plane.port)).unwrap();
    friend.set_read_timeout(Some(support::PATIENCE)).unwrap();
    assert_eq!(ask(&friend, "hello").0, "a");
}

#[test]
fn idle_sessions_end() {
    let settings = |settings: &mut ListenerSettings| {
        settings.timeouts.session_idle = Duration::from_millis(100);
    };
    let plane = datagrams(&[echo("a", "127.0.0.1")])
        .settings(settings)
        .start();
    let client = client(&plane);
    let (_, port, _) = ask(&client, "hello");
    plane.await_metric("ringgate_datagram_sessions", 0);
    assert_ne!(ask(&client, "hello again").1, port);
    let bytes = "direction=\"to_backend\"} 5";
    assert!(
        plane
            .ask_admin("/metrics")
            .lines()
            .any(|line| line.ends_with(bytes))
    );
}

#[test]
fn answers_leave_from_the_address_that_was_asked() {
    let mut wanted = datagrams(&[echo("a", "127.0.0.1")]);
    wanted.listen_everywhere();
    let plane = wanted.start();
    let addresses: [IpAddr; 3] = [
        [127, 0, 0, 1].into(),
        [127, 0, 0, 77].into(),
        "::1".parse().unwrap(),
    ];
    for address in addresses {
        let (name, ..) = ask(&client_to(address, plane.port), "hello");
        assert_eq!(name, "a");
    }
}

#[test]
fn endpoints_of_both_families_are_reached() {
    let plane = datagrams(&[echo("v4", "127.0.0.1"), echo("v6", "::1")]).start();
    let clients: Vec<_> = (0..20).map(|_| client(&plane)).collect();
    let names: BTreeSet<_> = clients.iter().map(|one| ask(one, "hello").0).collect();
    assert_eq!(names, ["v4".to_owned(), "v6".to_owned()].into());
}

#[test]
fn a_flow_stays_on_one_shard() {
    let plane = datagrams(&[echo("a", "127.0.0.1")]).start_with(&["--workers", "4"]);
    let clients: Vec<_> = (0..100).map(|_| client(&plane)).collect();
    let ports: Vec<_> = clients.iter().map(|one| ask(one, "hello").1).collect();
    for _ in 0..3 {
        let again: Vec<_> = clients.iter().map(|one| ask(one, "hello").1).collect();
        assert_eq!(again, ports);
    }
    plane.await_metric("ringgate_datagram_sessions", 100);
}

#[test]
fn the_epoll_driver_carries_datagrams_too() {
    let plane = datagrams(&[echo("a", "127.0.0.1")]).start_with(&["--driver", "epoll"]);
    let client = client(&plane);
    for round in 0..100 {
        assert_eq!(
            ask(&client, &format!("round {round}")).2,
            format!("round {round}")
        );
    }
    // The shard waits for the next one, and has time for who asks.
    plane.await_metric("ringgate_datagram_sessions", 1);
}
