//! Whose an address is: the one of the nodes that can serve it whom a rendezvous hash picks. Pure, and the same
//! on all nodes that know the same of each other.
//!
//! Each node has a score for each address, and the highest one wins. So a node that goes hands on its own
//! addresses and no others, in equal shares, and one that comes takes its share and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// How a node's data plane is, for who shall own an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It doesn't answer, has nothing in force, or drains.
    #[default]
    Away,
    /// It serves, but not for long yet: it owns only what nobody else can serve, so that one that comes and goes takes
    /// nothing along each time.
    Fresh,
    /// It has served for a while.
    Settled,
}

/// What is known of a node when owners are looked for.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Where its gossip is found, by which nodes are told apart.
    pub(super) node: SocketAddr,
    pub(super) stage: Stage,
    /// What its data plane serves.
    pub(super) addresses: Arc<BTreeSet<IpAddr>>,
}

impl Candidate {
    fn can_serve(&self, address: IpAddr) -> bool {
        self.stage > Stage::Away && self.addresses.contains(&address)
    }
}

/// Whose each of the addresses is. Those that nobody can serve aren't in it.
pub(super) type Owners = BTreeMap<IpAddr, SocketAddr>;

pub(super) fn owners(candidates: &[Candidate], addresses: &BTreeSet<IpAddr>) -> Owners {
    let each = addresses.iter().copied();
    each.filter_map(|address| Some((address, owner(candidates, address)?)))
        .collect()
}

/// The node that the address belongs to; None if nobody can serve it.
fn owner(candidates: &[Candidate], address: IpAddr) -> Option<SocketAddr> {
    let able = candidates.iter().filter(|one| one.can_serve(address));
    // The node's own name settles even a tie of scores.
    let best = able.max_by_key(|one| (one.stage, score(one.node, address), one.node));
    best.map(|one| one.node)
}

/// Nodes of other versions come to the same: it must never change.
fn score(node: SocketAddr, address: IpAddr) -> u64 {
    mixed(key(node.ip(), node.port()) ^ mixed(key(address, 0)))
}

fn key(address: IpAddr, port: u16) -> u64 {
    let bits = match address.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    let [high, low] = [bits >> 64, bits & u128::from(u64::MAX)];
    let halves = [high, low].map(|half| u64::try_from(half).unwrap_or(0));
    let [high, low] = halves;
    mixed(mixed(high).wrapping_add(low)) ^ u64::from(port)
}

/// The finish of SplitMix64: each bit of what comes in changes half of what comes out.
fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(count: u32) -> Vec<IpAddr> {
        let v4 = (0..count / 2).map(|n| IpAddr::from((0x0a09_0000 + n).to_be_bytes()));
        let v6 = (0..count / 2)
            .map(|n| IpAddr::from((0xfd09_u128 << 112 | u128::from(n)).to_be_bytes()));
        v4.chain(v6).collect()
    }

    fn nodes(count: u8, served: &[IpAddr]) -> Vec<Candidate> {
        let served: Arc<BTreeSet<IpAddr>> = Arc::new(served.iter().copied().collect());
        let node = |number: u8| Candidate {
            node: SocketAddr::from(([192, 0, 2, number], 9904)),
            stage: Stage::Settled,
            addresses: served.clone(),
        };
        (1..=count).map(node).collect()
    }

    #[test]
    fn each_node_gets_its_share() {
        let served = addresses(1_000);
        for count in [2, 3, 10, 100] {
            let nodes = nodes(count, &served);
            let mut shares: BTreeMap<SocketAddr, u32> = BTreeMap::new();
            for address in &served {
                *shares.entry(owner(&nodes, *address).unwrap()).or_default() += 1;
            }
            let fair = 1_000 / u32::from(count);
            let most = *shares.values().max().unwrap();
            // Four deviations of a binomial distribution at most.
            let slack = 4 * (f64::from(fair).sqrt().ceil() as u32);
            assert!(most <= fair + slack, "{most} of 1,000 for one of {count}");
            assert!(shares.len() >= usize::from(count) - usize::from(count) / 20);
        }
    }

    #[test]
    fn what_a_node_leaves_alone_moves_and_comes_back() {
        let served = addresses(1_000);
        let all = nodes(10, &served);
        let mut fewer = all.clone();
        let gone = fewer.remove(3).node;
        let mut heirs = BTreeSet::new();
        for address in &served {
            let (before, after) = (owner(&all, *address), owner(&fewer, *address));
            if before == Some(gone) {
                heirs.insert(after);
            } else {
                assert_eq!(before, after, "{address} moved for nothing");
            }
        }
        assert_eq!(heirs.len(), 9, "all share what was left");
    }

    #[test]
    fn owners_are_the_same_whatever_the_order_of_nodes() {
        let served = addresses(100);
        let all = nodes(7, &served);
        let mut turned = all.clone();
        turned.reverse();
        for address in served {
            assert_eq!(owner(&all, address), owner(&turned, address));
        }
    }

    #[test]
    fn a_node_owns_only_what_its_data_plane_serves() {
        let served = addresses(100);
        let mut all = nodes(3, &served);
        all[0].addresses = Arc::default();
        all[1].stage = Stage::Away;
        for address in &served {
            assert_eq!(owner(&all, *address), Some(all[2].node));
        }
        all[2].stage = Stage::Away;
        assert_eq!(owner(&all, served[0]), None);
    }

    #[test]
    fn one_that_came_just_now_owns_only_what_nobody_else_serves() {
        let served = addresses(100);
        let mut all = nodes(2, &served[..50]);
        all[1].stage = Stage::Fresh;
        all[1].addresses = Arc::new(served.iter().copied().collect());
        for (number, address) in served.iter().enumerate() {
            let expected = usize::from(number >= 50);
            assert_eq!(owner(&all, *address), Some(all[expected].node));
        }
    }

    #[test]
    fn scores_never_change_between_versions() {
        let node = "192.0.2.1:9904".parse().unwrap();
        assert_eq!(
            score(node, "10.9.0.100".parse().unwrap()),
            6_658_081_337_159_546_682
        );
    }
}
