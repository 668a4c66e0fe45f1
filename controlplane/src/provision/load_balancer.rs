//! Services of type LoadBalancer that are ours: which addresses each has and shall have, and whom it lets
//! in. What their status shows stays; then what is asked for by name, then the lowest that is free. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ringgate_core::ir::{Network, ObjectName};
use serde_json::{Value, json};

use super::claim::{Allocation, Claims, Pools};
use super::pool::AddressRange;
use super::service::{GATEWAY, LOAD_BALANCER_CLASS};
use crate::api::ObjectKind;
use crate::api::service::{Service, ServiceType};
use crate::api::text::Cidr;
use crate::store::Resources;
use crate::translate::Options;
use crate::translate::problem::{Fault, Finding};

/// The annotation with the addresses that a Service asks for, several by commas; goes over
/// `spec.loadBalancerIP`.
pub const REQUESTED_ADDRESSES: &str = "ringgate.io/requested-addresses";
/// The annotation that names the AddressPool to take addresses from.
pub const ADDRESS_POOL: &str = "ringgate.io/address-pool";

/// What one Service has, and shall have.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadBalanced {
    /// What its status shall show.
    pub wanted: BTreeSet<IpAddr>,
    /// Whether it shows just that.
    pub is_shown: bool,
    /// What it shows of that: where the Service is served.
    pub binds: Vec<IpAddr>,
    /// Clients that are served; empty: all.
    pub sources: Vec<Network>,
    pub findings: Vec<Finding>,
}

/// By Service.
pub type LoadBalancers = BTreeMap<ObjectName, LoadBalanced>;

/// Decides about all Services whose load balancer we are. Gateways' addresses, decided before, are none of
/// theirs.
#[must_use]
pub fn load_balancers(
    resources: &Resources,
    options: &Options,
    gateways: &Claims,
) -> LoadBalancers {
    let services = resources.services.iter();
    let ours = services.filter(|(_, service)| is_ours(service, options.provision.is_default));
    let mut ours: Vec<_> = ours.collect();
    ours.sort_by_key(|(name, service)| {
        let created = service.metadata.creation_timestamp;
        (created.map_or(0, |moment| moment.0), *name)
    });
    let pools = Pools::of(resources, &options.provision);
    let mut allocation = Allocation::default();
    for claim in gateways.values() {
        for address in &claim.wanted {
            let _ = allocation.take(*address, &claim.service);
        }
    }
    // What somebody has is nobody else's, whoever comes first.
    for (name, service) in &ours {
        let request = Request::of(service);
        for address in shown(service) {
            if request.allows(address) {
                let _ = allocation.take(address, name);
            }
        }
    }
    ours.into_iter()
        .map(|(name, service)| {
            let decided = decide(name, service, &pools, &mut allocation);
            (name.clone(), decided)
        })
        .collect()
}

/// The status that a Service shall have.
pub(super) fn status(served: &LoadBalanced) -> Value {
    let ingress = served.wanted.iter().map(|address| {
        // Else kube-proxy would take the packets before our sockets see them.
        json!({"ip": address, "ipMode": "Proxy"})
    });
    let ingress: Vec<Value> = ingress.collect();
    json!({"loadBalancer": {"ingress": ingress}})
}

/// Whether we are its load balancer, and it isn't one that we generated for a Gateway.
fn is_ours(service: &Service, is_default: bool) -> bool {
    let is_class = match service.spec.load_balancer_class.as_deref() {
        Some(class) => class == LOAD_BALANCER_CLASS,
        None => is_default,
    };
    service.spec.service_type == ServiceType::LoadBalancer
        && is_class
        && !service.metadata.annotations.contains_key(GATEWAY)
}

/// The addresses that the Service's status shows.
fn shown(service: &Service) -> BTreeSet<IpAddr> {
    let ingress = service.status.load_balancer.ingress.iter();
    ingress
        .filter_map(|one| one.ip.as_ref()?.parse().ok())
        .collect()
}

/// What a Service asks for by name.
#[derive(Default)]
struct Request {
    /// With the field where it stands.
    addresses: BTreeMap<IpAddr, &'static str>,
    faults: Vec<(&'static str, Fault)>,
}

impl Request {
    fn of(service: &Service) -> Self {
        let annotation = service.metadata.annotations.get(REQUESTED_ADDRESSES);
        let (field, text) = match (annotation, &service.spec.load_balancer_ip) {
            (Some(text), _) => ("metadata.annotations", text),
            (None, Some(text)) => ("spec.loadBalancerIP", text),
            (None, None) => return Self::default(),
        };
        let mut request = Self::default();
        let texts = text.split(',').map(str::trim);
        for text in texts.filter(|text| !text.is_empty()) {
            match text.parse() {
                Ok(address) => drop(request.addresses.insert(address, field)),
                Err(_) => {
                    let value = text.into();
                    request.faults.push((field, Fault::Address { value }));
                }
            }
        }
        request
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.addresses.is_empty() || self.addresses.contains_key(&address)
    }
}

fn decide(
    name: &ObjectName,
    service: &Service,
    pools: &Pools,
    allocation: &mut Allocation,
) -> LoadBalanced {
    let mut faults = Vec::new();
    let sources = sources(service, &mut faults);
    advise(service, &mut faults);
    let request = Request::of(service);
    faults.extend(request.faults);
    let mut wanted = BTreeSet::new();
    for (address, field) in request.addresses {
        if !pools.all.iter().any(|range| range.contains(address)) {
            faults.push((field, Fault::AddressNotInPool(address)));
        } else if let Err(by) = allocation.take(address, name) {
            faults.push((field, Fault::AddressTaken { address, by }));
        } else {
            wanted.insert(address);
        }
    }
    // Who asks for something that can't be has nothing else, and knows why.
    if wanted.is_empty() && faults.iter().all(|(_, fault)| !is_about_addresses(fault)) {
        match pool(service, pools) {
            Ok(ranges) => {
                add_dynamic((name, service), ranges, allocation, &mut wanted);
                if wanted.is_empty() {
                    faults.push(("", Fault::NoFreeAddress));
                }
            }
            Err(fault) => faults.push(("metadata.annotations", fault)),
        }
    }
    // Whom to let in isn't known: nobody.
    let is_closed = sources.is_none();
    let shown = shown(service);
    let binds = wanted.iter().copied().filter(|one| shown.contains(one));
    let binds = match is_closed {
        true => Vec::new(),
        false => binds.collect(),
    };
    let finding =
        |(field, fault): (&str, Fault)| Finding::new(ObjectKind::Service, name, field, fault);
    LoadBalanced {
        is_shown: shown == wanted,
        wanted,
        binds,
        sources: sources.unwrap_or_default(),
        findings: faults.into_iter().map(finding).collect(),
    }
}

fn is_about_addresses(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Address { .. } | Fault::AddressNotInPool(_) | Fault::AddressTaken { .. }
    )
}

/// Where its addresses come from, when it asks for none by name.
fn pool<'p>(service: &Service, pools: &'p Pools) -> Result<&'p [AddressRange], Fault> {
    match service.metadata.annotations.get(ADDRESS_POOL) {
        None => Ok(&pools.dynamic),
        Some(name) => {
            let ranges = pools.by_name.get(name);
            ranges
                .map(Vec::as_slice)
                .ok_or_else(|| Fault::NoPool(name.clone()))
        }
    }
}

/// One of each family that the Service has and `ranges` have; what it has stays.
fn add_dynamic(
    (name, service): (&ObjectName, &Service),
    ranges: &[AddressRange],
    allocation: &mut Allocation,
    wanted: &mut BTreeSet<IpAddr>,
) {
    let families = &service.spec.ip_families;
    let has = |family: &str| families.is_empty() || families.iter().any(|one| **one == *family);
    let shown = shown(service);
    for is_ipv4 in [has("IPv4").then_some(true), has("IPv6").then_some(false)] {
        let Some(is_ipv4) = is_ipv4 else {
            continue;
        };
        let ranges = ranges.iter().filter(|one| one.is_ipv4() == is_ipv4);
        let ranges: Vec<_> = ranges.collect();
        let mut kept = shown.iter().copied().filter(|one| one.is_ipv4() == is_ipv4);
        let kept = kept.find(|one| allocation.take(*one, name).is_ok());
        wanted.extend(kept.or_else(|| allocation.take_free(&ranges, name)));
    }
}

/// None: one of them can't be read.
fn sources(service: &Service, faults: &mut Vec<(&'static str, Fault)>) -> Option<Vec<Network>> {
    let texts = service.spec.load_balancer_source_ranges.iter();
    let mut networks = Vec::new();
    let mut is_whole = true;
    for text in texts {
        match Cidr::try_from(text.trim().to_owned()) {
            Ok(network) => networks.push(network.get()),
            Err(_) => {
                is_whole = false;
                let value = text.clone();
                faults.push(("spec.loadBalancerSourceRanges", Fault::SourceRange(value)));
            }
        }
    }
    is_whole.then_some(networks)
}

/// Says what is served in another way than the Service asks for.
fn advise(service: &Service, faults: &mut Vec<(&'static str, Fault)>) {
    let spec = &service.spec;
    if spec.external_traffic_policy.as_deref() == Some("Local") {
        faults.push(("spec.externalTrafficPolicy", Fault::NotCarriedOut));
    }
    if spec.session_affinity.as_deref() == Some("ClientIP") {
        faults.push(("spec.sessionAffinity", Fault::NotCarriedOut));
    }
    let is_other = |port: &crate::api::service::ServicePort| port.protocol.ip_protocol().is_none();
    if spec.ports.iter().any(is_other) {
        faults.push(("spec.ports", Fault::NotCarriedOut));
    }
}
