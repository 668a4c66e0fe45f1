//! Listeners of one Gateway and port that terminate TLS for hostnames in common: a client that keeps a
//! connection for all names of its certificate may ask one of them for what is the other's (GEP-3567).
//! Told, for the API wants it so; such requests are refused by data planes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringgate_core::ir::Hostname;

use super::gateway::{GatewayDraft, Order};
use super::listener::ListenerDraft;
use super::listener_set::SetDraft;

/// Marks those that overlap with another.
pub(super) fn find(gateways: &mut [Arc<GatewayDraft>], sets: &mut [Arc<SetDraft>], order: &Order) {
    for (place, places) in &order.gateways {
        let Some(gateway) = gateways.get_mut(*place) else {
            continue;
        };
        let in_sets = places.iter().filter_map(|set| sets.get(*set));
        let all = gateway.listeners.iter();
        let all = all.chain(in_sets.flat_map(|set| &set.listeners));
        let mut ports: BTreeMap<u16, Hosts> = BTreeMap::new();
        for one in all.filter(|one| terminates(one)) {
            ports.entry(one.port).or_default().add(&one.hostname);
        }
        let overlaps = |one: &ListenerDraft| {
            let port = ports.get(&one.port).filter(|_| terminates(one));
            port.is_some_and(|port| port.overlap(&one.hostname))
        };
        if gateway.listeners.iter().any(overlaps) {
            mark(&mut Arc::make_mut(gateway).listeners, overlaps);
        }
        for place in places {
            let set = sets.get_mut(*place);
            if let Some(set) = set.filter(|set| set.listeners.iter().any(overlaps)) {
                mark(&mut Arc::make_mut(set).listeners, overlaps);
            }
        }
    }
}

fn mark(listeners: &mut [ListenerDraft], overlaps: impl Fn(&ListenerDraft) -> bool) {
    for one in listeners {
        one.overlaps = overlaps(one);
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
