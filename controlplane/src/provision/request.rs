//! What a Service of type LoadBalancer asks for: addresses by name, families, and whom to let in.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ringgate_core::ir::Network;

use crate::api::service::{IpFamilyPolicy, Service};
use crate::api::text::Cidr;
use crate::translate::problem::Fault;

/// The annotation with the addresses that a Service asks for, several by commas; goes over
/// `spec.loadBalancerIP`.
pub const REQUESTED_ADDRESSES: &str = "ringgate.io/requested-addresses";

/// What a Service asks for by name.
#[derive(Default)]
pub(super) struct Request {
    /// With the field where it stands.
    pub(super) addresses: BTreeMap<IpAddr, &'static str>,
    pub(super) faults: Vec<(&'static str, Fault)>,
}

impl Request {
    pub(super) fn of(service: &Service) -> Self {
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

    /// Who asks for something that can't be has nothing else, and knows why.
    pub(super) fn is_nothing(&self) -> bool {
        self.addresses.is_empty() && self.faults.is_empty()
    }

    pub(super) fn allows(&self, address: IpAddr) -> bool {
        self.addresses.is_empty() || self.addresses.contains_key(&address)
    }
}

/// Of which families a Service shall have an address, and how many.
pub(super) struct Families {
    /// Whether each is IPv4, the Service's own first.
    pub(super) ordered: Vec<bool>,
    pub(super) count: FamilyCount,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FamilyCount {
    /// The first that there is.
    One,
    /// As many as there are.
    Some,
    All,
}

impl Families {
    pub(super) fn of(service: &Service) -> Self {
        let own = service.spec.ip_families.iter();
        let own = own.filter_map(|family| match &**family {
            "IPv4" => Some(true),
            "IPv6" => Some(false),
            _ => None,
        });
        let own: Vec<bool> = own.collect();
        let first = own.first().copied().unwrap_or(true);
        let both = vec![first, !first];
        let (ordered, count) = match &service.spec.ip_family_policy {
            Some(IpFamilyPolicy::RequireDualStack) => (both, FamilyCount::All),
            Some(IpFamilyPolicy::PreferDualStack) => (both, FamilyCount::Some),
            Some(IpFamilyPolicy::SingleStack) if own.is_empty() => (both, FamilyCount::One),
            Some(IpFamilyPolicy::SingleStack) => (vec![first], FamilyCount::One),
            Some(IpFamilyPolicy::Unknown(_)) | None if own.is_empty() => (both, FamilyCount::Some),
            Some(IpFamilyPolicy::Unknown(_)) | None => (own, FamilyCount::Some),
        };
        Self { ordered, count }
    }
}

/// Clients that are served; none: one of the ranges can't be read.
pub(super) fn sources(
    service: &Service,
    faults: &mut Vec<(&'static str, Fault)>,
) -> Option<Vec<Network>> {
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
