//! Services of type LoadBalancer on nodes that share addresses: two of them at one address, for some clients alone.

use crate::network::{Network, Node, until};
use crate::programs::{asks, echo};
use crate::run::Run;

const ADDRESSES: [&str; 2] = ["10.9.0.100", "fd09::100"];

/// A Service with a port 8080 of one protocol, and the backend on node 3; for node 4 alone.
fn service(name: &str, protocol: &str) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata:
  name: {name}
  annotations:
    ringgate.io/requested-addresses: '10.9.0.100, fd09::100'
    ringgate.io/sharing-key: both
spec:
  type: LoadBalancer
  loadBalancerClass: ringgate.io/lb
  ipFamilyPolicy: RequireDualStack
  loadBalancerSourceRanges: [10.9.0.4/32, 'fd09::4/128']
  ports: [{{port: 8080, protocol: {protocol}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: 7000, protocol: {protocol}}}]
endpoints: [{{addresses: [10.9.0.3]}}]
---
"
    )
}

fn objects() -> String {
    let pool = "apiVersion: ringgate.io/v1alpha1
kind: AddressPool
metadata: {name: edge}
spec: {addresses: [10.9.0.100-10.9.0.101, 'fd09::100/127']}
";
    [
        &service("stream", "TCP"),
        &service("datagrams", "UDP"),
        pool,
    ]
    .concat()
}

/// Each address by each protocol.
fn until_all_answer(client: &Node) {
    for address in ADDRESSES {
        for by in ["tcp", "udp"] {
            until(&format!("{address} answers over {by}"), || {
                asks(client, by, &at(address))
            });
        }
    }
}

fn at(address: &str) -> String {
    match address.contains(':') {
        true => format!("[{address}]:8080"),
        false => format!("{address}:8080"),
    }
}

#[test]
fn two_services_share_an_address_for_the_clients_that_they_let_in_and_move_together() {
    let Some(network) = Network::make(5) else {
        return;
    };
    let [one, two, backend, client, stranger] = network.nodes.as_slice() else {
        panic!("five nodes were asked for");
    };
    let (runs, _key) = Run::pair([one, two], &objects(), ["10.9.0.1:9904", "10.9.0.2:9904"]);
    let _backend = echo(backend);
    until("each address is on one node", || {
        let is_one = |address: &&str| one.has(address) != two.has(address);
        ADDRESSES.iter().all(is_one).then_some(())
    });
    until_all_answer(client);
    for address in ADDRESSES {
        for by in ["tcp", "udp"] {
            let got_in = asks(stranger, by, &at(address)).is_some();
            assert!(!got_in, "a stranger came to {address} over {by}");
        }
    }

    let (owner, other) = match one.has(ADDRESSES[0]) {
        true => (0, two),
        false => (1, one),
    };
    runs[owner].kill_all();
    until("the other node has the address", || {
        other.has(ADDRESSES[0]).then_some(())
    });
    until_all_answer(client);
}
