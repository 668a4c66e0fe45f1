//! What doesn't fit into one packet, on a network with the smallest packets that IPv6 allows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::network::{Network, Node, until};
use crate::run::Run;

/// Of IPv6 (RFC 8200, 5).
const MTU: u32 = 1280;
const TRANSFER: usize = 4 << 20;
const DATAGRAM: usize = 8_000;
/// Which of the programs below this binary shall be, and where.
const ROLE: &str = "RINGGATE_TEST_ROLE";
const BACKEND: &str = "[::]:7000";

fn objects() -> String {
    let route = |kind: &str, listener: &str| {
        format!(
            "---
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: echo}}
spec:
  parentRefs: [{{name: edge, sectionName: {listener}}}]
  rules:
  - backendRefs: [{{name: echo, port: 7000}}]
"
        )
    };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: ringgate
  addresses:
  - {{type: IPAddress, value: 10.9.0.100}}
  - {{type: IPAddress, value: 'fd09::100'}}
  listeners:
  - {{name: tcp, protocol: TCP, port: 8080}}
  - {{name: udp, protocol: UDP, port: 8080}}
{}{}---
apiVersion: v1
kind: Service
metadata: {{name: echo}}
spec:
  ports:
  - {{name: tcp, port: 7000, protocol: TCP}}
  - {{name: udp, port: 7000, protocol: UDP}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: echo, labels: {{kubernetes.io/service-name: echo}}}}
addressType: IPv4
ports:
- {{name: tcp, port: 7000, protocol: TCP}}
- {{name: udp, port: 7000, protocol: UDP}}
endpoints:
- {{addresses: [10.9.0.3]}}
",
        route("TCPRoute", "tcp"),
        route("UDPRoute", "udp")
    )
}

#[test]
fn large_transfers_and_datagrams_pass_where_packets_are_small_and_so_does_gossip() {
    let Some(network) = Network::with_mtu(4, MTU) else {
        return;
    };
    let [one, two, backend, client] = network.nodes.as_slice() else {
        panic!("four nodes were asked for");
    };
    let temp = tempfile::tempdir().unwrap();
    let key = temp.path().join("key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef").unwrap();
    let peers = ["--peer", "[fd09::1]:9904", "--peer", "[fd09::2]:9904"];
    let arguments = [&["--gossip-key", key.to_str().unwrap()], peers.as_slice()].concat();
    let runs = [one, two].map(|node| Run::start(node, &objects(), &arguments));
    until("they know each other", || {
        runs[0].said(&["a node shares addresses", "fd09::2"])
    });
    let _backend = Ended(program(backend, "echo"));
    for address in ["10.9.0.100:8080", "[fd09::100]:8080"] {
        until(&format!("all is echoed by {address}"), || {
            let asked = program(client, address).wait_with_output().unwrap();
            asked.status.success().then_some(())
        });
    }
}

struct Ended(Child);

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
    let command = command.args(["--exact", "--ignored", "large::a_program_of_these_tests"]);
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
    match std::env::var(ROLE).unwrap_or_default().as_str() {
        "" => {}
        "echo" => echo(),
        address => ask(address.parse().unwrap()),
    }
}

fn echo() {
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

fn ask(address: SocketAddr) {
    let sent: Vec<u8> = (0..TRANSFER).map(|place| (place % 251) as u8).collect();
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut got = vec![0; TRANSFER];
    std::thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&sent).unwrap());
        (&stream).read_exact(&mut got).unwrap();
    });
    assert!(got == sent, "the transfer is another than was sent");
    let any = if address.is_ipv6() {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let socket = UdpSocket::bind(any).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    socket.send_to(&sent[..DATAGRAM], address).unwrap();
    let (length, _) = socket.recv_from(&mut got).unwrap();
    assert!(
        got[..length] == sent[..DATAGRAM],
        "the datagram is another than was sent"
    );
}
