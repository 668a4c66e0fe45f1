//! What is stored of earlier decisions: addresses and ports, in the Services that were generated.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ringgate_core::ir::ObjectName;

use super::service::{ADDRESSES, GATEWAY, LOAD_BALANCER_CLASS};
use crate::api::gateway::PortPlace;
use crate::api::service::{PortRef, Service};
use crate::store::Resources;

/// What a Gateway's Service tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stored {
    pub(super) exists: bool,
    /// There is a Service of that name, but it wasn't generated for this Gateway.
    pub(super) is_strangers: bool,
    /// Given by us, ascending.
    pub(super) addresses: Vec<IpAddr>,
    /// Addresses and names that a foreign load balancer gave.
    pub(super) status: Vec<String>,
    /// The port that listeners are bound to, by the Service's port.
    pub(super) ports: BTreeMap<PortPlace, u16>,
}

pub(super) fn of(resources: &Resources, service: &ObjectName, gateway: &ObjectName) -> Stored {
    let Some(service) = resources.services.get(service) else {
        return Stored::default();
    };
    if !is_for(service, gateway) {
        return Stored {
            is_strangers: true,
            ..Stored::default()
        };
    }
    let ingress = service.status.load_balancer.ingress.iter();
    Stored {
        exists: true,
        is_strangers: false,
        addresses: addresses(service),
        status: ingress
            .filter_map(|one| one.ip.as_ref().or(one.hostname.as_ref()))
            .map(ToString::to_string)
            .collect(),
        ports: ports(service).collect(),
    }
}

/// Whether we generated the Service, for this Gateway.
pub(super) fn is_for(service: &Service, gateway: &ObjectName) -> bool {
    let name = service.metadata.annotations.get(GATEWAY);
    name.is_some_and(|name| *name == gateway.name)
}

fn addresses(service: &Service) -> Vec<IpAddr> {
    let text = service.metadata.annotations.get(ADDRESSES);
    let texts = text.iter().flat_map(|text| text.split(','));
    let mut addresses: Vec<IpAddr> = texts.filter_map(|one| one.trim().parse().ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// The addresses of every other Service whose load balancer we are.
pub(super) fn of_others<'s>(
    resources: &Resources,
    known: impl Iterator<Item = &'s ObjectName>,
) -> BTreeMap<IpAddr, ObjectName> {
    let known: BTreeSet<&ObjectName> = known.collect();
    let mut taken = BTreeMap::new();
    for (name, service) in &resources.services {
        let class = service.spec.load_balancer_class.as_deref();
        if class != Some(LOAD_BALANCER_CLASS) || known.contains(name) {
            continue;
        }
        let ingress = service.status.load_balancer.ingress.iter();
        let shown = ingress.filter_map(|one| one.ip.as_ref()?.parse().ok());
        for address in addresses(service).into_iter().chain(shown) {
            taken.entry(address).or_insert_with(|| name.clone());
        }
    }
    taken
}

/// Every port that listeners are bound to behind foreign load balancers.
pub(super) fn bound_ports(resources: &Resources) -> BTreeSet<u16> {
    let generated = resources.services.values().filter(|service| {
        service.metadata.annotations.contains_key(GATEWAY)
            && service.spec.load_balancer_class.as_deref() != Some(LOAD_BALANCER_CLASS)
    });
    let ports = generated.flat_map(|service| ports(service));
    ports.map(|(_, target)| target).collect()
}

/// The Service's ports, with those that its traffic comes to.
fn ports(service: &Service) -> impl Iterator<Item = (PortPlace, u16)> {
    let ports = service.spec.ports.iter();
    ports.filter_map(|one| match &one.target_port {
        Some(PortRef::Number(target)) => {
            Some(((one.protocol.ip_protocol()?, one.port.get()), target.get()))
        }
        _ => None,
    })
}
