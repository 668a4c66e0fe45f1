//! What doesn't fit into one packet, on a network with the smallest packets that IPv6 allows.

use crate::network::{Network, until};
use crate::programs::{asks, echo};
use crate::run::Run;

/// Of IPv6 (RFC 8200, 5).
const MTU: u32 = 1280;

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
    let (runs, _key) = Run::pair([one, two], &objects(), ["[fd09::1]:9904", "[fd09::2]:9904"]);
    until("they know each other", || {
        runs[0].said(&["a node shares addresses", "fd09::2"])
    });
    let _backend = echo(backend);
    for address in ["10.9.0.100:8080", "[fd09::100]:8080"] {
        for by in ["tcp", "udp"] {
            until(&format!("all is echoed by {address} over {by}"), || {
                asks(client, by, address)
            });
        }
    }
}
