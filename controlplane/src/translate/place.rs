//! Where a Gateway is: at the addresses that it is given, or at those of the host that it asks for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::problem::{Fault, Finding};
use crate::api::ObjectKind;
use crate::api::gateway::{AddressType, Gateway, GatewayAddress, PortPlace};
use crate::provision::Claim;

/// Where a Gateway is.
pub(super) struct Place {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) shown: Vec<String>,
    pub(super) bound_ports: Option<BTreeMap<PortPlace, u16>>,
    pub(super) is_reachable: bool,
    pub(super) findings: Vec<Finding>,
}

impl Place {
    pub(super) fn of_claim(claim: &Claim) -> Self {
        Self {
            addresses: claim.binds.clone(),
            shown: claim.addresses.clone(),
            bound_ports: claim.bound_ports.clone(),
            is_reachable: claim.is_ready,
            findings: claim.findings.clone(),
        }
    }

    /// On the host's addresses: those that are asked for, else all.
    pub(super) fn of_host(name: &ObjectName, gateway: &Gateway) -> Self {
        let spec = &gateway.spec;
        let mut addresses = Vec::new();
        let mut findings = Vec::new();
        let mut report = |field: &str, fault| {
            findings.push(Finding::new(ObjectKind::Gateway, name, field, fault));
        };
        for (place, address) in spec.addresses.iter().enumerate() {
            match usable(address) {
                Ok(address) => addresses.extend(address),
                Err(fault) => report(&format!("spec.addresses[{place}]"), fault),
            }
        }
        let infrastructure = spec.infrastructure.as_ref();
        if let Some(reference) = infrastructure.and_then(|one| one.parameters_ref.as_ref()) {
            let kind = reference.kind.shared();
            let field = "spec.infrastructure.parametersRef";
            report(field, Fault::Parameters { kind });
        }
        addresses.sort_unstable();
        addresses.dedup();
        Self {
            shown: addresses.iter().map(IpAddr::to_string).collect(),
            addresses,
            bound_ports: None,
            is_reachable: true,
            findings,
        }
    }
}

/// An address to listen on; `None` where the choice is ours, which is every address of the host.
fn usable(address: &GatewayAddress) -> Result<Option<IpAddr>, Fault> {
    match Asked::of(address)? {
        Asked::Any => Ok(None),
        Asked::Address(address) => Ok(Some(address)),
        Asked::Hostname(value) => Err(Fault::Address { value }),
    }
}

/// What one of a Gateway's `spec.addresses` asks for.
pub(crate) enum Asked {
    /// The choice is ours.
    Any,
    Address(IpAddr),
    Hostname(Arc<str>),
}

impl Asked {
    /// # Errors
    /// For what nobody here gives.
    pub(crate) fn of(address: &GatewayAddress) -> Result<Self, Fault> {
        if let Some(text) = address.routability.as_ref().filter(|text| !text.is_empty()) {
            return Err(Fault::Routability(text.clone()));
        }
        let value = address.value.clone();
        let refuse = |value: Option<Arc<str>>| Fault::Address {
            value: value.unwrap_or_else(|| "".into()),
        };
        match (&address.address_type, value) {
            (AddressType::IpAddress, None) => Ok(Self::Any),
            (AddressType::IpAddress, Some(text)) => match text.parse() {
                Ok(address) => Ok(Self::Address(address)),
                Err(_) => Err(refuse(Some(text))),
            },
            (AddressType::Hostname, Some(text)) => Ok(Self::Hostname(text)),
            (_, value) => Err(refuse(value)),
        }
    }
}
