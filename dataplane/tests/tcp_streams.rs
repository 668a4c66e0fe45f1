//! Connections that carry much, through the real data plane: bytes that go from socket to socket within the
//! kernel arrive whole, in order, and end as they should.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;

use ringgate_core::ir::{Protocol, StreamProtocol};
use support::DataPlane;
use support::streams::{Streams, peer, tcp};

const MIB: usize = 1 << 20;

fn to(backend: SocketAddr) -> Streams {
    Streams::new(StreamProtocol::Tcp)
        .listener("", Protocol::Tcp)
        .route("", "", &[("one", 1)])
        .backend("one", &[backend])
}

/// Bytes that tell where in the stream they stand.
fn pattern(length: usize) -> Vec<u8> {
    let words =
        (0..length.div_ceil(8) as u64).map(|place| place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(length);
    bytes
}

/// Sends much, with small pieces in between.
fn send(mut to: &TcpStream, bytes: &[u8]) {
    let (mut rest, mut sizes) = (bytes, [3 * MIB, 7, 70_000, 1, 900].into_iter().cycle());
    while let Some(size) = sizes.next().filter(|_| !rest.is_empty()) {
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        to.write_all(piece).unwrap();
        rest = behind;
        if size < 1000 {
            // So that it is seen alone.
            thread::yield_now();
        }
    }
}

/// What comes until the end, in pieces of any size.
fn receive(mut from: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).unwrap();
    all
}

/// A backend that sends `bytes` while it receives, and tells what came.
fn exchanging(bytes: Vec<u8>) -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let (tell, told) = mpsc::channel();
    let address = peer(move |stream| {
        thread::scope(|scope| {
            scope.spawn(|| {
                send(&stream, &bytes);
                stream.shutdown(Shutdown::Write).unwrap();
            });
            let _ = tell.send(receive(&stream));
        });
    });
    (address, told)
}

fn much_goes_both_ways(arguments: &[&str]) {
    let (up, down) = (pattern(24 * MIB + 5), pattern(17 * MIB + 3));
    let (backend, told) = exchanging(down.clone());
    let plane = to(backend).start_with(arguments);
    let client = tcp(&plane);
    let came = thread::scope(|scope| {
        scope.spawn(|| {
            send(&client, &up);
            client.shutdown(Shutdown::Write).unwrap();
        });
        receive(&client)
    });
    assert!(came == down, "{} bytes came down", came.len());
    let went = told.recv().unwrap();
    assert!(went == up, "{} bytes went up", went.len());
    count(&plane, "to_backend", up.len());
    count(&plane, "to_client", down.len());
}

/// The connection's bytes are counted when it is over.
fn count(plane: &DataPlane, direction: &str, bytes: usize) {
    let end = format!("direction=\"{direction}\"}} {bytes}");
    support::wait_until(|| {
        let page = plane.ask_admin("/metrics");
        page.lines().any(|line| line.ends_with(&end)).then_some(())
    });
}

#[test]
fn much_goes_both_ways_at_once() {
    much_goes_both_ways(&[]);
}

#[test]
fn much_goes_both_ways_on_epoll() {
    much_goes_both_ways(&["--driver", "epoll"]);
}

#[test]
fn a_side_that_has_ended_still_gets_much() {
    let (backend, told) = exchanging(pattern(9 * MIB));
    let plane = to(backend).start();
    let client = tcp(&plane);
    client.shutdown(Shutdown::Write).unwrap();
    assert!(receive(&client) == pattern(9 * MIB));
    assert_eq!(told.recv().unwrap(), b"");
}

#[test]
fn who_reads_slowly_gets_all_and_is_waited_for() {
    let (backend, _told) = exchanging(pattern(8 * MIB));
    let plane = to(backend).start();
    let mut slow = tcp(&plane);
    // While this one doesn't read, others are served.
    let mut first = [0; 8];
    slow.read_exact(&mut first).unwrap();
    for _ in 0..3 {
        let quick = tcp(&plane);
        quick.shutdown(Shutdown::Write).unwrap();
        assert!(receive(&quick) == pattern(8 * MIB));
    }
    slow.shutdown(Shutdown::Write).unwrap();
    assert!([&first[..], &receive(&slow)].concat() == pattern(8 * MIB));
}

#[test]
fn a_client_that_goes_in_the_middle_ends_it_for_the_backend() {
    let (tell, told) = mpsc::channel();
    let endless = peer(move |mut stream| {
        let bytes = vec![7; MIB];
        while stream.write_all(&bytes).is_ok() {}
        let _ = tell.send(());
    });
    let plane = to(endless).start();
    let mut client = tcp(&plane);
    client.read_exact(&mut vec![0; 5 * MIB]).unwrap();
    drop(client);
    told.recv_timeout(support::PATIENCE).unwrap();
}

#[test]
fn a_reset_in_the_middle_is_passed_on() {
    let breaks = peer(|mut stream| {
        stream.write_all(&pattern(4 * MIB)).unwrap();
        // The client's byte is unread when it closes: a reset.
        stream.peek(&mut [0]).unwrap();
    });
    let plane = to(breaks).start();
    let mut client = tcp(&plane);
    client.read_exact(&mut vec![0; 4 * MIB]).unwrap();
    client.write_all(b"!").unwrap();
    let end = client.read_to_end(&mut Vec::new());
    let kind = end.map_err(|error| error.kind());
    assert_eq!(kind, Err(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn an_urgent_byte_ends_nothing() {
    let urges = peer(|mut stream| {
        stream.write_all(&pattern(4 * MIB)).unwrap();
        socket2::SockRef::from(&stream)
            .send_out_of_band(b"!")
            .unwrap();
        stream.write_all(&pattern(4 * MIB)).unwrap();
    });
    let plane = to(urges).start();
    let client = tcp(&plane);
    let came = receive(&client);
    assert!(
        came == [pattern(4 * MIB), pattern(4 * MIB)].concat(),
        "{}",
        came.len()
    );
}
