//! Gateways: whose they are, which addresses they have, and which of their listeners stand.

use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::gateway_class::{Classes, Owner};
use super::listener::{self, ListenerDraft};
use super::problem::{Fault, Finding};
use super::verdict::{GatewayVerdict, ListenerVerdict};
use super::{Inputs, created, generation};
use crate::api::ObjectKind;
use crate::api::gateway::{AddressType, DefaultScope, Gateway, GatewayAddress};

/// A Gateway of ours, decided but for what attaches to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GatewayDraft {
    pub(super) name: ObjectName,
    pub(super) gateway: Arc<Gateway>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) findings: Vec<Finding>,
    /// False: none of its listeners is put in force.
    pub(super) accepted: bool,
    pub(super) listeners: Vec<ListenerDraft>,
}

/// What a reference to a Gateway leads to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'g> {
    /// With its place among the drafts.
    Ours(usize, &'g GatewayDraft),
    Foreign,
    Nothing,
}

/// Gateways of ours, in order of name, and what was found about others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Gateways {
    pub(super) drafts: Vec<GatewayDraft>,
    foreign: Vec<ObjectName>,
    pub(super) others: Vec<Finding>,
}

impl Gateways {
    pub(super) fn decide(inputs: &Inputs<'_>, classes: &Classes<'_>) -> Self {
        let mut gateways = Self::default();
        for (name, gateway) in &inputs.resources.gateways {
            let class = gateway.spec.gateway_class_name.shared();
            let owner = classes.owner(&class);
            let fault = match owner {
                Owner::Ours => None,
                Owner::Refused => Some(Fault::RefusedClass(class)),
                Owner::Foreign => Some(Fault::ForeignClass(class)),
                Owner::Nobody => Some(Fault::UnknownClass(class)),
            };
            let finding = fault.map(|fault| {
                Finding::new(ObjectKind::Gateway, name, "spec.gatewayClassName", fault)
            });
            if matches!(owner, Owner::Ours | Owner::Refused) {
                gateways.drafts.push(draft(name, gateway, finding));
            } else {
                gateways.foreign.push(name.clone());
                gateways.others.extend(finding);
            }
        }
        listener::find_conflicts(&mut gateways.drafts);
        gateways
    }

    pub(super) fn find(&self, name: &ObjectName) -> Found<'_> {
        match self.drafts.binary_search_by(|one| one.name.cmp(name)) {
            Ok(place) => {
                (self.drafts.get(place)).map_or(Found::Nothing, |one| Found::Ours(place, one))
            }
            Err(_) if self.foreign.binary_search(name).is_ok() => Found::Foreign,
            Err(_) => Found::Nothing,
        }
    }
}

impl GatewayDraft {
    /// Seconds since 1970, then the name: the order in which Gateways win conflicts.
    pub(super) fn age(&self) -> (u64, &ObjectName) {
        (created(&self.gateway.metadata), &self.name)
    }

    pub(super) fn is_in_force(&self, listener: &ListenerDraft) -> bool {
        self.accepted && listener.is_accepted()
    }

    /// `attached` counts the routes of each listener, in their order.
    pub(super) fn verdict(&self, attached: &[u32]) -> GatewayVerdict {
        let listeners = self.listeners.iter().zip(attached);
        GatewayVerdict {
            generation: generation(&self.gateway.metadata),
            class: self.gateway.spec.gateway_class_name.shared(),
            addresses: self.addresses.clone(),
            findings: self.findings.clone(),
            listeners: listeners
                .map(|(listener, attached)| ListenerVerdict {
                    id: listener.id.clone(),
                    name: listener.name.clone(),
                    port: listener.port,
                    protocol: listener.protocol.as_str().into(),
                    hostname: listener.hostname.clone(),
                    supported_kinds: listener.supported_kinds.clone(),
                    attached_routes: *attached,
                    in_force: self.is_in_force(listener),
                    findings: listener.findings.clone(),
                })
                .collect(),
        }
    }
}

fn draft(name: &ObjectName, gateway: &Arc<Gateway>, class: Option<Finding>) -> GatewayDraft {
    let mut findings: Vec<Finding> = class.into_iter().collect();
    let mut report = |field: &str, fault| {
        findings.push(Finding::new(ObjectKind::Gateway, name, field, fault));
    };
    let spec = &gateway.spec;
    let mut addresses = Vec::new();
    for (place, address) in spec.addresses.iter().enumerate() {
        match usable(address) {
            Ok(address) => addresses.extend(address),
            Err(fault) => report(&format!("spec.addresses[{place}]"), fault),
        }
    }
    let infrastructure = spec.infrastructure.as_ref();
    if let Some(reference) = infrastructure.and_then(|one| one.parameters_ref.as_ref()) {
        let kind = reference.kind.shared();
        report(
            "spec.infrastructure.parametersRef",
            Fault::Parameters { kind },
        );
    }
    let accepted = findings.is_empty();
    for (field, is_set) in [
        ("spec.allowedListeners", spec.allowed_listeners.is_some()),
        (
            "spec.defaultScope",
            !matches!(spec.default_scope, None | Some(DefaultScope::None)),
        ),
        ("spec.tls", spec.tls.is_some()),
    ] {
        if is_set {
            findings.push(Finding::new(
                ObjectKind::Gateway,
                name,
                field,
                Fault::NotCarriedOut,
            ));
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    GatewayDraft {
        name: name.clone(),
        gateway: gateway.clone(),
        addresses,
        findings,
        accepted,
        listeners: listener::drafts(name, gateway),
    }
}

/// An address to listen on; `None` where the choice is ours, which is every address of the host.
fn usable(address: &GatewayAddress) -> Result<Option<IpAddr>, Fault> {
    let value = address.value.as_ref();
    let refuse = || Fault::Address {
        value: value.cloned().unwrap_or_else(|| "".into()),
    };
    match (&address.address_type, value) {
        (AddressType::IpAddress, None) => Ok(None),
        (AddressType::IpAddress, Some(text)) => text.parse().map(Some).map_err(|_| refuse()),
        _ => Err(refuse()),
    }
}
