//! Gateways: whose they are, which addresses they have, and which of their listeners stand.

use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::gateway_class::{Classes, Owner};
use super::listener::{self, ListenerDraft};
use super::listener_set::Sets;
use super::problem::{Fault, Finding};
use super::verdict::GatewayVerdict;
use super::{Inputs, conflict, created, generation};
use crate::api::gateway::{AddressType, DefaultScope, Gateway, GatewayAddress};
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;

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

/// Gateways of ours, in order of name, with their ListenerSets, and what was found about others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Gateways {
    pub(super) drafts: Vec<GatewayDraft>,
    pub(super) sets: Sets,
    foreign: Vec<ObjectName>,
    pub(super) others: Vec<Finding>,
}

/// What has listeners that a route can attach to: a Gateway or a ListenerSet.
#[derive(Clone, Debug)]
pub(super) struct Parent<'g> {
    /// Among all parents: first the Gateways, then the sets.
    pub(super) place: usize,
    pub(super) key: ObjectKey,
    pub(super) gateway: &'g GatewayDraft,
    pub(super) listeners: &'g [ListenerDraft],
    /// False for a set that its Gateway doesn't take.
    pub(super) is_taken: bool,
}

/// What a reference of a route leads to.
#[derive(Clone, Debug)]
pub(super) enum FoundParent<'g> {
    Ours(Parent<'g>),
    Foreign,
    Nothing,
}

impl Gateways {
    pub(super) fn decide(inputs: &Inputs<'_>, classes: &Classes<'_>) -> Self {
        let mut gateways = Self::default();
        let resources = inputs.resources;
        for (name, gateway) in &resources.gateways {
            let class = gateway.spec.gateway_class_name.shared();
            let owner = classes.owner(&class);
            let fault = match owner {
                Owner::Ours => None,
                Owner::Refused => Some(Fault::RefusedClass(class)),
                Owner::Foreign => Some(Fault::ForeignClass(class)),
                Owner::Nobody => Some(Fault::UnknownClass(class)),
            };
            // In a cluster it is somebody else's, as far as we know.
            let fault = fault.filter(|_| !inputs.options.cluster || owner == Owner::Refused);
            let finding = fault.map(|fault| {
                Finding::new(ObjectKind::Gateway, name, "spec.gatewayClassName", fault)
            });
            if matches!(owner, Owner::Ours | Owner::Refused) {
                let mut draft = draft(name, gateway, finding, resources);
                if let Some(assigned) = inputs.addresses.get(name) {
                    draft.addresses.clone_from(assigned);
                }
                gateways.drafts.push(draft);
            } else {
                gateways.foreign.push(name.clone());
                gateways.others.extend(finding);
            }
        }
        let (sets, others) = Sets::decide(inputs, &gateways);
        gateways.sets = sets;
        gateways.others.extend(others);
        conflict::find(&mut gateways.drafts, &mut gateways.sets);
        gateways
    }

    /// All parents, by their places.
    pub(super) fn parents(&self) -> impl Iterator<Item = Parent<'_>> {
        let own = self.drafts.iter().enumerate();
        let own = own.map(|(place, gateway)| gateway.parent(place));
        let sets = (0..self.sets.drafts.len()).filter_map(|place| self.set(place));
        own.chain(sets)
    }

    /// `kind` is Gateway or ListenerSet.
    pub(super) fn find_parent(&self, kind: ObjectKind, name: &ObjectName) -> FoundParent<'_> {
        if kind == ObjectKind::ListenerSet {
            let found = match self.sets.find(name) {
                Some(Ok(place)) => self.set(place),
                Some(Err(())) => return FoundParent::Foreign,
                None => None,
            };
            return found.map_or(FoundParent::Nothing, FoundParent::Ours);
        }
        match self.find(name) {
            Found::Ours(place, gateway) => FoundParent::Ours(gateway.parent(place)),
            Found::Foreign => FoundParent::Foreign,
            Found::Nothing => FoundParent::Nothing,
        }
    }

    fn set(&self, place: usize) -> Option<Parent<'_>> {
        let set = self.sets.drafts.get(place)?;
        let name = set.name.clone();
        Some(Parent {
            place: self.drafts.len() + place,
            key: ObjectKey {
                kind: ObjectKind::ListenerSet,
                name,
            },
            gateway: self.drafts.get(set.gateway)?,
            listeners: &set.listeners,
            is_taken: set.is_taken(),
        })
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

    fn parent(&self, place: usize) -> Parent<'_> {
        let name = self.name.clone();
        Parent {
            place,
            key: ObjectKey {
                kind: ObjectKind::Gateway,
                name,
            },
            gateway: self,
            listeners: &self.listeners,
            is_taken: true,
        }
    }

    /// `attached` counts the routes of each listener, in their order, `listener_sets` the sets.
    pub(super) fn verdict(&self, attached: &[u32], listener_sets: u32) -> GatewayVerdict {
        GatewayVerdict {
            generation: generation(&self.gateway.metadata),
            class: self.gateway.spec.gateway_class_name.shared(),
            addresses: self.addresses.clone(),
            findings: self.findings.clone(),
            listeners: listener::verdicts(self, &self.listeners, attached),
            listener_sets,
        }
    }
}

fn draft(
    name: &ObjectName,
    gateway: &Arc<Gateway>,
    class: Option<Finding>,
    resources: &Resources,
) -> GatewayDraft {
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
    let owner = ObjectKey {
        kind: ObjectKind::Gateway,
        name: name.clone(),
    };
    GatewayDraft {
        name: name.clone(),
        gateway: gateway.clone(),
        addresses,
        findings,
        accepted,
        listeners: listener::drafts(name, &owner, &spec.listeners, resources),
    }
}

/// An address to listen on; `None` where the choice is ours, which is every address of the host.
fn usable(address: &GatewayAddress) -> Result<Option<IpAddr>, Fault> {
    let value = address.value.as_ref();
    if let Some(text) = address.routability.as_ref().filter(|text| !text.is_empty()) {
        return Err(Fault::Routability(text.clone()));
    }
    let refuse = || Fault::Address {
        value: value.cloned().unwrap_or_else(|| "".into()),
    };
    match (&address.address_type, value) {
        (AddressType::IpAddress, None) => Ok(None),
        (AddressType::IpAddress, Some(text)) => text.parse().map(Some).map_err(|_| refuse()),
        _ => Err(refuse()),
    }
}
