//! Listeners of one Gateway and port that terminate TLS for hostnames in common: a client that keeps a
//! connection for all names of its certificate may ask one of them for what is the other's (GEP-3567).
//! Told, for the API wants it so; such requests are refused by data planes.

use std::collections::{BTreeMap, BTreeSet};

use ringgate_core::ir::Hostname;

use super::gateway::GatewayDraft;
use super::listener::ListenerDraft;
use super::listener_set::Sets;

/// Marks those that overlap with another.
pub(super) fn find(gateways: &mut [GatewayDraft], sets: &mut Sets) {
    let by_gateway = sets.by_gateway();
    for (place, gateway) in gateways.iter_mut().enumerate() {
        let mut ports: BTreeMap<u16, Hosts> = BTreeMap::new();
        let of_sets = by_gateway.get(&place).into_iter().flatten();
        let of_sets: Vec<usize> = of_sets.copied().collect();
        let in_sets = of_sets.iter().filter_map(|set| sets.drafts.get(*set));
        let all = gateway.listeners.iter();
        for one in all.chain(in_sets.flat_map(|set| &set.listeners)) {
            if terminates(one) {
                ports.entry(one.port).or_default().add(&one.hostname);
            }
        }
        let mark = |one: &mut ListenerDraft| {
            let port = ports.get(&one.port).filter(|_| terminates(one));
            one.overlaps = port.is_some_and(|port| port.overlap(&one.hostname));
        };
        gateway.listeners.iter_mut().for_each(mark);
        for set in of_sets {
            let listeners = sets.drafts.get_mut(set).into_iter();
            listeners.flat_map(|set| &mut set.listeners).for_each(mark);
        }
    }
}

fn terminates(listener: &ListenerDraft) -> bool {
    listener.tls.is_some() && listener.is_accepted() && listener.can_serve()
}

/// Of one port; each hostname once, or its listeners would be in conflict.
#[derive(Default)]
struct Hosts {
    count: usize,
    any: bool,
    /// Their suffixes.
    wildcards: BTreeSet<String>,
    /// The suffixes of all wildcards that a name here would fit.
    below: BTreeSet<String>,
}

impl Hosts {
    fn add(&mut self, hostname: &Hostname) {
        self.count += 1;
        if let Hostname::Wildcard(suffix) = hostname {
            self.wildcards.insert(suffix.to_string());
        }
        self.any |= *hostname == Hostname::Any;
        let below = suffixes(hostname.text());
        self.below.extend(below.map(str::to_owned));
    }

    fn overlap(&self, hostname: &Hostname) -> bool {
        let is_below = || suffixes(hostname.text()).any(|one| self.wildcards.contains(one));
        match hostname {
            Hostname::Any => self.count > 1,
            Hostname::Exact(_) => self.any || is_below(),
            Hostname::Wildcard(suffix) => self.any || is_below() || self.below.contains(&**suffix),
        }
    }
}

/// What stands behind each dot.
fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.');
    dots.filter_map(|(place, _)| name.get(place + 1..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames_overlap_as_they_intersect() {
        let names = [
            "a.example.com",
            "*.example.com",
            "*.a.example.com",
            "b.example.org",
            "*.example.net",
            "example.net",
        ];
        let all: Vec<Hostname> = names.map(|one| Hostname::parse(one).unwrap()).into();
        let mut hosts = Hosts::default();
        all.iter().for_each(|one| hosts.add(one));
        for one in &all {
            let others = all.iter().filter(|other| *other != one);
            let expected = others.filter_map(|other| one.intersect(other)).count() > 0;
            assert_eq!(hosts.overlap(one), expected, "{one}");
        }
        hosts.add(&Hostname::Any);
        assert!(all.iter().all(|one| hosts.overlap(one)));
        let mut alone = Hosts::default();
        alone.add(&Hostname::Any);
        assert!(!alone.overlap(&Hostname::Any));
    }
}
