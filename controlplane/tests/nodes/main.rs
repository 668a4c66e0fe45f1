//! `ringgate run --interface` on nodes of a network that the test makes: who answers for an address, as another
//! host on the link sees it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that can't go on shall stop, one that can't begin shall say so"
)]

mod large;
mod network;
mod programs;
mod run;
mod services;
mod shared;

use std::process::Stdio;

use network::{Network, Node, until};
use run::Run;

const ADDRESSES: [&str; 2] = ["10.9.0.100", "fd09::100"];

/// Connections to port 8080, without a program that not everybody has.
fn connects(client: &Node, address: &str) -> Option<()> {
    connects_within(client, address, "1")
}

/// In so many seconds.
fn connects_within(client: &Node, address: &str, seconds: &str) -> Option<()> {
    let script = format!("exec 3<>/dev/tcp/{address}/8080");
    let mut command = client.command("timeout");
    let tried = command
        .args([seconds, "bash", "-c", &script])
        .stderr(Stdio::null());
    tried.status().unwrap().success().then_some(())
}

#[test]
fn an_address_that_a_node_answers_for_is_not_taken_by_a_second_one_until_the_first_is_gone() {
    let Some(network) = Network::make(3) else {
        return;
    };
    let [one, two, client] = network.nodes.as_slice() else {
        panic!("three nodes were asked for");
    };
    let first = Run::alone(one);
    for address in ADDRESSES {
        until(&format!("{address} answers"), || connects(client, address));
        assert_eq!(client.neighbour(address).as_deref(), Some(one.mac()));
        first.said(&["announced", address]).unwrap();
    }

    let second = Run::alone(two);
    for address in ADDRESSES {
        let what = format!("the second says who has {address}");
        let texts = ["another host has this address", address, one.mac()];
        until(&what, || second.said(&texts));
        assert!(!two.has(address), "{address} is on both");
        client.forget(address);
        connects(client, address).unwrap();
        assert_eq!(client.neighbour(address).as_deref(), Some(one.mac()));
    }

    network.cut(one);
    for address in ADDRESSES {
        // The client asks nobody: it is told.
        let what = format!("the client is told of the second's {address}");
        until(&what, || {
            (client.neighbour(address)? == two.mac()).then_some(())
        });
        until(&format!("{address} answers again"), || {
            connects(client, address)
        });
    }
}

#[test]
fn an_address_of_a_host_that_knows_nothing_of_us_is_left_to_it() {
    let Some(network) = Network::make(2) else {
        return;
    };
    let [stranger, node] = network.nodes.as_slice() else {
        panic!("two nodes were asked for");
    };
    let [taken, free] = ADDRESSES;
    stranger.ip(&["address", "add", &format!("{taken}/24"), "dev", "eth0"]);
    let run = Run::alone(node);
    until("the address is refused", || {
        run.said(&["another host has this address", taken, stranger.mac()])
    });
    until("the other one is announced", || {
        run.said(&["announced", free])
    });
    assert!(!node.has(taken));
    assert!(node.has(free));
}

#[test]
fn on_an_interface_that_is_made_anew_addresses_are_announced_again() {
    let Some(network) = Network::make(2) else {
        return;
    };
    let [node, client] = network.nodes.as_slice() else {
        panic!("two nodes were asked for");
    };
    let run = Run::alone(node);
    let answer = || {
        for address in ADDRESSES {
            until(&format!("{address} answers"), || connects(client, address));
        }
    };
    answer();
    network.remove_interface(node);
    until("it is missed", || run.said(&["there is no interface eth0"]));
    network.plug(node);
    answer();
    // Between two looks.
    network.remove_interface(node);
    network.plug(node);
    answer();
}
