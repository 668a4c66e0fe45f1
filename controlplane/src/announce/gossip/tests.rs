//! Nodes that tell each other what they can serve, with datagrams that a test may keep back.

use std::time::Duration;

use super::*;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const STEP: Duration = Duration::from_millis(10);

fn node(number: u8, now: Instant) -> Gossip {
    let address = |number| SocketAddr::from(([192, 0, 2, number], 9904));
    let begin = Begin {
        address: address(number),
        mac: None,
        keys: Keys::parse(KEY).unwrap(),
        process: number.into(),
        generation: 1,
        seed: number.into(),
    };
    let mut node = Gossip::new(begin, now);
    node.set_peers((1..=3).map(address).collect());
    node
}

/// Those that are `silent` send nothing.
fn run(nodes: &mut [Gossip], silent: &[usize], now: &mut Instant, time: Duration) {
    let end = *now + time;
    while *now < end {
        *now += STEP;
        for from in 0..nodes.len() {
            nodes[from].turn(*now);
            let (by, sent) = (nodes[from].ours(), nodes[from].take_datagrams());
            for (to, datagram) in sent.iter().filter(|_| !silent.contains(&from)) {
                let to = nodes.iter_mut().find(|node| node.ours() == *to);
                to.unwrap().receive(by, datagram, *now);
            }
        }
    }
}

#[test]
fn a_set_that_one_of_its_nodes_took_to_the_grave_is_asked_of_another() {
    let mut now = Instant::now();
    let mut nodes: Vec<Gossip> = (1..=3).map(|number| node(number, now)).collect();
    run(&mut nodes, &[], &mut now, Duration::from_secs(3));
    let served: BTreeSet<IpAddr> = (0..200).map(|n| IpAddr::from([10, 0, 0, n])).collect();
    for one in [2, 1] {
        nodes[one].serve(Stage::Settled, &served, now);
        // Questions go nowhere yet.
        run(&mut nodes, &[0], &mut now, STEP);
    }
    // Whoever said it last is gone before it was asked.
    run(&mut nodes, &[1], &mut now, Duration::from_secs(5));
    let candidates = nodes[0].candidates();
    let [other, _] = candidates.as_slice() else {
        panic!("{candidates:?}");
    };
    assert_eq!(other.node, nodes[2].ours());
    assert_eq!(*other.addresses, served);
}
