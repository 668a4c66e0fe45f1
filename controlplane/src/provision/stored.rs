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

impl Stored {
    /// Of files.
    pub(super) fn remembered(addresses: BTreeSet<IpAddr>) -> Self {
        Self {
            exists: true,
            addresses: addresses.into_iter().collect(),
            ..Self::default()
        }
    }
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

/// Those of the annotation, ascending.
pub(super) fn addresses(service: &Service) -> Vec<IpAddr> {
    let text = service.metadata.annotations.get(ADDRESSES);
    let texts = text.iter().flat_map(|text| text.split(','));
    let mut addresses: Vec<IpAddr> = texts.filter_map(|one| one.trim().parse().ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Those that the Service's status shows.
pub(super) fn shown(service: &Service) -> BTreeSet<IpAddr> {
    let ingress = service.status.load_balancer.ingress.iter();
    ingress
        .filter_map(|one| one.ip.as_ref()?.parse().ok())
        .collect()
}

/// The addresses of Services that were generated for Gateways that aren't among the `known` any more.
pub(super) fn of_others(
    resources: &Resources,
    known: &BTreeSet<&ObjectName>,
) -> Vec<(IpAddr, ObjectName)> {
    let generated = resources.services.iter().filter(|(name, service)| {
        let class = service.spec.load_balancer_class.as_deref();
        let is_generated = service.metadata.annotations.contains_key(GATEWAY);
        is_generated && class == Some(LOAD_BALANCER_CLASS) && !known.contains(name)
    });
    let addresses = generated.flat_map(|(name, service)| {
        let all = addresses(service).into_iter().chain(shown(service));
        all.map(|one| (one, name.clone()))
    });
    addresses.collect()
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
