//! What a data plane can do where it is: a Service may keep its traffic on the nodes of its endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::rule::Target;
use super::{Backend, Listener, Port, Table};
use crate::balance::{Whereabouts, within_reach};
use crate::ir::{Endpoints, ObjectName, Reach};

/// What is told of a Service at its health check port (`healthCheckNodePort`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    pub service: ObjectName,
    /// How many of its endpoints are within reach, each once however many ports it has.
    pub endpoints: usize,
}

impl Table {
    /// The addresses that listeners ask for by name, but for those of which a data plane that is `here` could
    /// lead clients nowhere: all endpoints have to be on its node, and none is.
    #[must_use]
    pub fn addresses(&self, here: &Whereabouts) -> BTreeSet<IpAddr> {
        let serving = self.ports.iter().filter(|port| self.serves(port, here));
        serving.filter_map(|port| port.bind.address).collect()
    }

    /// By port.
    #[must_use]
    pub fn presences(&self, here: &Whereabouts) -> BTreeMap<u16, Presence> {
        let mut found: BTreeMap<u16, (ObjectName, BTreeSet<IpAddr>)> = BTreeMap::new();
        for one in self.backends() {
            let backend = &one.backend;
            let Some(port) = backend.health_check_port else {
                continue;
            };
            let entry = found.entry(port);
            let (service, addresses) =
                entry.or_insert_with(|| (backend.service.clone(), BTreeSet::new()));
            if *service == backend.service {
                addresses.extend(one.within_reach(here));
            }
        }
        let presences = found.into_iter().map(|(port, (service, addresses))| {
            let endpoints = addresses.len();
            (port, Presence { service, endpoints })
        });
        presences.collect()
    }

    fn serves(&self, port: &Port, here: &Whereabouts) -> bool {
        port.listeners().any(|listener| self.leads(listener, here))
    }

    fn leads(&self, listener: &Listener, here: &Whereabouts) -> bool {
        let rules = listener.streams.values().map(|stream| &stream.rule);
        let mut targets = rules.flat_map(|rule| &rule.targets).peekable();
        targets.peek().is_none() || targets.any(|one| self.is_reached(one.target, here))
    }

    fn is_reached(&self, target: Target, here: &Whereabouts) -> bool {
        let Target::Backend(slot) = target else {
            return true;
        };
        self.backend(slot).is_none_or(|one| {
            one.backend.reach != Reach::SameNode || one.within_reach(here).next().is_some()
        })
    }
}

impl Backend {
    fn within_reach(&self, here: &Whereabouts) -> impl Iterator<Item = IpAddr> {
        let all = match &self.backend.endpoints {
            Endpoints::Addresses(all) => all.as_slice(),
            Endpoints::Echo(_) => &[],
        };
        // As Kubernetes tells of endpoints: what checks find wrong with some may pass, and moves no address.
        let places = within_reach(all, self.backend.reach, here, |_| true).into_iter();
        let found = places.filter_map(|place| all.get(usize::try_from(place).ok()?));
        // Those that leave serve who comes; nobody is to be led to them.
        let staying = found.filter(|endpoint| !endpoint.is_leaving);
        staying.map(|endpoint| endpoint.address.ip())
    }
}
