//! Programs that tests start on nodes: this binary itself, so that nobody needs others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::network::Node;

/// More than any buffer on the way holds.
const TRANSFER: usize = 4 << 20;
/// More than one packet.
const DATAGRAM: usize = 8_000;
/// Which of the programs below this binary shall be, and where.
const ROLE: &str = "RINGGATE_TEST_ROLE";
const BACKEND: &str = "[::]:7000";

/// A backend on port 7000 that sends back what it gets, TCP and UDP; it ends when this is dropped.
pub(crate) fn echo(node: &Node) -> Ended {
    Ended(program(node, "echo"))
}

/// Whether all that a client sends there comes back: 4 MiB by `tcp`, or a datagram of 8,000 bytes by `udp`.
pub(crate) fn asks(client: &Node, by: &str, address: &str) -> Option<()> {
    let asked = program(client, &format!("{by} {address}"));
    let asked = asked.wait_with_output().unwrap();
    asked.status.success().then_some(())
}

pub(crate) struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This binary, as one of the programs below.
fn program(node: &Node, role: &str) -> Child {
    let ours = std::env::current_exe().unwrap();
    let mut command = node.command(ours.to_str().unwrap());
    let command = command.args(["--exact", "--ignored", "programs::a_program_of_these_tests"]);
    let command = command.env(ROLE, role).stdin(Stdio::null());
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "it is no test, but what one of them starts on a node"]
fn a_program_of_these_tests() {
    let role = std::env::var(ROLE).unwrap_or_default();
    match role.split_once(' ') {
        Some(("tcp", address)) => transfer(address.parse().unwrap()),
        Some((_, address)) => datagram(address.parse().unwrap()),
        None if role.is_empty() => {}
        None => serve(),
    }
}

fn serve() {
    let (listener, socket) = (
        TcpListener::bind(BACKEND).unwrap(),
        UdpSocket::bind(BACKEND).unwrap(),
    );
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|place| (place % 251) as u8).collect()
}

fn transfer(address: SocketAddr) {
    let sent = bytes(TRANSFER);
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut got = vec![0; TRANSFER];
    std::thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&sent).unwrap());
        (&stream).read_exact(&mut got).unwrap();
    });
    assert!(got == sent, "the transfer is another than was sent");
}

fn datagram(address: SocketAddr) {
    let any = if address.is_ipv6() {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let socket = UdpSocket::bind(any).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let (sent, mut got) = (bytes(DATAGRAM), [0; DATAGRAM + 1]);
    socket.send_to(&sent, address).unwrap();
    let (length, _) = socket.recv_from(&mut got).unwrap();
    assert!(
        got[..length] == sent,
        "the datagram is another than was sent"
    );
}
