//! Several nodes that share addresses: who has them, and how clients fare when one dies, ends, or is cut off.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::network::{Network, Node, until};
use crate::run::{Run, gateway};
use crate::{connects, connects_within};

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789ab";
const OTHER_KEY: &str = "another-key-another-key-another-key-another-";
/// What an owner's death may cost.
const TAKE_OVER: Duration = Duration::from_secs(3);

/// Nodes that share eight addresses, and a client.
struct Site {
    network: Network,
    runs: Vec<Run>,
    /// With the keys.
    temp: tempfile::TempDir,
}

fn addresses() -> Vec<String> {
    let v4 = (100..104).map(|n| format!("10.9.0.{n}"));
    let v6 = (100..104).map(|n| format!("fd09::{n}"));
    v4.chain(v6).collect()
}

impl Site {
    fn make(count: usize) -> Option<Self> {
        let network = Network::make(count + 1)?;
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("key"), KEY).unwrap();
        fs::write(temp.path().join("other"), OTHER_KEY).unwrap();
        let mut site = Self {
            network,
            runs: Vec::new(),
            temp,
        };
        for place in 0..count {
            site.runs.push(site.run(place, "key"));
        }
        Some(site)
    }

    fn run(&self, place: usize, key: &str) -> Run {
        self.run_with(place, key, &gateway(&addresses()))
    }

    fn run_with(&self, place: usize, key: &str, objects: &str) -> Run {
        let key = self.temp.path().join(key);
        let mut arguments = vec!["--gossip-key", key.to_str().unwrap()];
        let peers = [
            "--peer",
            "10.9.0.1:9904",
            "--peer",
            "10.9.0.2:9904",
            "--peer",
            "10.9.0.3:9904",
        ];
        arguments.extend(peers);
        Run::start(&self.network.nodes[place], objects, &arguments)
    }

    fn client(&self) -> &Node {
        self.network.nodes.last().unwrap()
    }

    /// The numbers of the nodes that have each address.
    fn holders(&self) -> BTreeMap<String, Vec<usize>> {
        let nodes = &self.network.nodes;
        let shown: Vec<String> = nodes.iter().map(Node::addresses).collect();
        let holders = |address: &String| {
            let has = |node: &&Node| shown[node.number() - 1].contains(&format!(" {address}/"));
            nodes.iter().filter(has).map(Node::number).collect()
        };
        addresses()
            .into_iter()
            .map(|one| (one.clone(), holders(&one)))
            .collect()
    }

    /// Each address is on one of these nodes, and each of them has one.
    fn is_spread(&self, numbers: &[usize]) -> Option<BTreeMap<String, usize>> {
        let holders = self.holders();
        let single = holders
            .into_iter()
            .map(|(address, nodes)| match nodes.as_slice() {
                [node] if numbers.contains(node) => Some((address, *node)),
                _ => None,
            });
        let owners: BTreeMap<String, usize> = single.collect::<Option<_>>()?;
        let has_one = |number| owners.values().any(|one| one == number);
        numbers.iter().all(has_one).then_some(owners)
    }

    fn until_spread(&self, numbers: &[usize]) -> BTreeMap<String, usize> {
        until(&format!("addresses are spread over {numbers:?}"), || {
            self.is_spread(numbers)
        })
    }

    /// From now until the client reaches all of these.
    fn until_all_answer(&self, addresses: &[String], since: Instant) -> Duration {
        for address in addresses {
            // A try that began just before the address moved is lost, and shall not count as if nobody had been there.
            until(&format!("{address} answers"), || {
                connects_within(self.client(), address, "0.3")
            });
        }
        since.elapsed()
    }
}

/// The addresses of one node.
fn of(owners: &BTreeMap<String, usize>, node: usize) -> Vec<String> {
    let owned = owners.iter().filter(|(_, owner)| **owner == node);
    owned.map(|(address, _)| address.clone()).collect()
}

/// Pain 11 of L2 load balancers: two nodes answer ARP, an address stays on the old node, or goes back to one that isn't ready.
#[test]
fn no_two_nodes_answer_for_an_address_none_stays_behind_and_none_goes_back_before_the_node_is_ready()
 {
    let Some(mut site) = Site::make(3) else {
        return;
    };
    let owners = site.until_spread(&[1, 2, 3]);
    for address in owners.keys() {
        until(&format!("{address} answers"), || {
            connects(site.client(), address)
        });
    }

    // An owner is killed, and can't take its addresses off.
    let lost = of(&owners, 1);
    site.runs[0].kill_all();
    let took = site.until_all_answer(&lost, Instant::now());
    assert!(took < TAKE_OVER, "{took:?} until {lost:?} answered");
    let owners = site.until_spread(&[2, 3]);

    // Of another the data plane alone dies, and stays away.
    let lost = of(&owners, 2);
    let since = Instant::now();
    site.runs[1].freeze_supervisor();
    site.runs[1].signal("ringgate-dataplane", Signal::KILL);
    until("the third has all", || site.is_spread(&[3]));
    let took = site.until_all_answer(&lost, since);
    assert!(took < TAKE_OVER, "{took:?} until {lost:?} answered");

    // One that comes back without anything in force gets nothing.
    site.runs[0] = site.run_with(0, "key", "");
    until("it is heard of again", || {
        site.runs[2].said(&["10.9.0.1:9904", "shares addresses"])
    });
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        site.is_spread(&[3]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_graceful_stop_loses_no_client() {
    let Some(mut site) = Site::make(3) else {
        return;
    };
    let owners = site.until_spread(&[1, 2, 3]);
    let mine = of(&owners, 2);
    let clients: Vec<Looping> = mine
        .iter()
        .map(|one| Looping::start(site.client(), one))
        .collect();
    for client in &clients {
        until("requests are answered", || {
            (client.answered() > 20).then_some(())
        });
    }
    site.runs[1].stop();
    site.until_spread(&[1, 3]);
    until("the node's processes have ended", || {
        site.runs[1].is_over().then_some(())
    });
    for client in clients {
        let before = client.answered();
        until("requests are answered still", || {
            (client.answered() > before + 20).then_some(())
        });
        let (answered, failed, slowest) = client.end();
        assert_eq!(failed, 0, "of {answered}");
        assert!(slowest < Duration::from_millis(2_500), "{slowest:?}");
    }
}

#[test]
fn a_partition_ends_with_one_owner() {
    let Some(site) = Site::make(2) else {
        return;
    };
    site.until_spread(&[1, 2]);
    let [one, two, client] = site.network.nodes.as_slice() else {
        panic!("three nodes were asked for");
    };
    site.network.cut(one);
    until("both have all", || {
        let holders = site.holders();
        holders.values().all(|nodes| nodes == &[1, 2]).then_some(())
    });
    site.network.mend(one);
    let owners = site.until_spread(&[1, 2]);
    for (address, owner) in owners {
        // Clients are told: they need not ask.
        let mac = if owner == 1 { one.mac() } else { two.mac() };
        until(&format!("the client has the owner of {address}"), || {
            connects(client, &address)?;
            (client.neighbour(&address)? == mac).then_some(())
        });
    }
}

#[test]
fn a_killed_agent_leaves_no_address_behind_and_one_without_the_key_is_not_let_in() {
    let Some(mut site) = Site::make(2) else {
        return;
    };
    site.until_spread(&[1, 2]);
    let stranger = site.run(2, "other");
    until("its datagrams are dropped", || {
        site.runs[0].said(&["dropped", "10.9.0.3"])
    });
    site.runs[0].freeze_supervisor();
    site.runs[0].signal("announce", Signal::KILL);
    let since = Instant::now();
    until("the node has none", || {
        let holders = site.holders();
        let has_none = holders.values().all(|nodes| !nodes.contains(&1));
        has_none.then_some(())
    });
    let took = since.elapsed();
    assert!(took < TAKE_OVER, "{took:?}");
    until("the other one has all", || site.is_spread(&[2]));
    assert_eq!(stranger.said(&["shares addresses with this one"]), None);
    drop(stranger);
    site.runs.clear();
}

/// A client that connects, asks and reads the status, again and again.
struct Looping {
    child: Child,
    results: tempfile::NamedTempFile,
}

impl Looping {
    fn start(client: &Node, address: &str) -> Self {
        let script = format!(
            "while :; do
               began=${{EPOCHREALTIME/./}}
               status=
               if exec 3<>/dev/tcp/{address}/8080; then
                 printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3
                 read -r -t 5 _ status _ <&3
                 exec 3>&-
               fi
               echo \"${{status:-failed}} $(((${{EPOCHREALTIME/./}} - began) / 1000))\"
             done 2>/dev/null"
        );
        let results = tempfile::NamedTempFile::new().unwrap();
        let child = client
            .command("bash")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(results.reopen().unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, results }
    }

    fn lines(&self) -> Vec<(String, u64)> {
        let text = fs::read_to_string(self.results.path()).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().filter_map(|line| line.split_once(' '));
        lines
            .map(|(status, took)| (status.to_owned(), took.parse().unwrap()))
            .collect()
    }

    fn answered(&self) -> usize {
        self.lines()
            .iter()
            .filter(|(status, _)| status == "404")
            .count()
    }

    /// How many were answered and weren't, and what took longest.
    fn end(mut self) -> (usize, usize, Duration) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let lines = self.lines();
        let slowest = lines.iter().map(|(_, took)| *took).max().unwrap();
        let answered = self.answered();
        (
            answered,
            lines.len() - answered,
            Duration::from_millis(slowest),
        )
    }
}

impl Drop for Looping {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
