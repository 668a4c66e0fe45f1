//! Gateways: whose they are, which addresses they have, and which of their listeners stand.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::certificate;
use super::frontend::{self, Frontend};
use super::gateway_class::{Classes, Owner};
use super::listener::{self, ListenerDraft};
use super::listener_set::Sets;
use super::problem::{Concern, Fault, Finding, Purpose};
use super::verdict::{GatewayVerdict, first};
use super::{Inputs, conflict, created, generation, overlap};
use crate::api::gateway::{
    AddressType, DefaultScope, Gateway, GatewayAddress, GatewayTls, PortPlace,
};
use crate::api::{ObjectKey, ObjectKind};
use crate::provision::Claim;
use crate::store::Resources;

/// A Gateway of ours, decided but for what attaches to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GatewayDraft {
    pub(super) name: ObjectName,
    pub(super) gateway: Arc<Gateway>,
    /// Where listeners are bound; none: on every address of the host.
    pub(super) addresses: Vec<IpAddr>,
    /// As clients are told.
    pub(super) shown: Vec<String>,
    /// Behind a foreign load balancer: the ports that listeners are bound to, by theirs.
    pub(super) bound_ports: Option<BTreeMap<PortPlace, u16>>,
    /// The Secret with what is shown to backends that ask for a certificate.
    pub(super) client_certificate: Option<ObjectName>,
    /// False: it has no address yet.
    is_reachable: bool,
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
                gateways.drafts.push(draft(name, gateway, finding, inputs));
            } else {
                gateways.foreign.push(name.clone());
                gateways.others.extend(finding);
            }
        }
        let (sets, others) = Sets::decide(inputs, &gateways);
        gateways.sets = sets;
        gateways.others.extend(others);
        conflict::find(&mut gateways.drafts, &mut gateways.sets);
        overlap::find(&mut gateways.drafts, &mut gateways.sets);
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

    /// Those of others' classes, ascending.
    pub(super) fn foreign(&self) -> &[ObjectName] {
        &self.foreign
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

    /// Whether the listener shall be in force, once there is an address.
    pub(super) fn is_valid(&self, listener: &ListenerDraft) -> bool {
        self.accepted && listener.is_accepted() && listener.can_serve()
    }

    pub(super) fn is_in_force(&self, listener: &ListenerDraft) -> bool {
        self.is_valid(listener) && self.is_reachable && self.bound_port(listener.place()).is_some()
    }

    /// Whether it may meet other Gateways at an address and port: not while it has no address, nor
    /// with ports of its own.
    pub(super) fn shares_ports(&self) -> bool {
        self.is_reachable && self.bound_ports.is_none()
    }

    /// Where a listener of this port is bound; none: nowhere yet.
    pub(super) fn bound_port(&self, port: PortPlace) -> Option<u16> {
        match &self.bound_ports {
            None => Some(port.1),
            Some(ports) => ports.get(&port).copied(),
        }
    }

    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey {
            kind: ObjectKind::Gateway,
            name: self.name.clone(),
        }
    }

    /// `key` is the Gateway's own.
    pub(super) fn frontend<'g>(&'g self, key: &'g ObjectKey) -> Frontend<'g> {
        Frontend {
            gateway: key,
            tls: self.gateway.spec.tls.as_ref(),
        }
    }

    fn parent(&self, place: usize) -> Parent<'_> {
        Parent {
            place,
            key: self.key(),
            gateway: self,
            listeners: &self.listeners,
            is_taken: true,
        }
    }

    fn lets_in_unverified(&self) -> bool {
        let tls = self.gateway.spec.tls.as_ref();
        let frontend = tls.and_then(|tls| tls.frontend.as_ref());
        frontend.is_some_and(frontend::is_insecure)
    }

    /// `attached` counts the routes of each listener, in their order, `listener_sets` the sets.
    pub(super) fn verdict(&self, attached: &[u32], listener_sets: u32) -> GatewayVerdict {
        GatewayVerdict {
            generation: generation(&self.gateway.metadata),
            class: self.gateway.spec.gateway_class_name.shared(),
            addresses: self.shown.clone(),
            findings: self.findings.clone(),
            lets_in_unverified: self.lets_in_unverified(),
            listeners: listener::verdicts(self, &self.listeners, attached),
            listener_sets,
        }
    }
}

fn draft(
    name: &ObjectName,
    gateway: &Arc<Gateway>,
    class: Option<Finding>,
    inputs: &Inputs<'_>,
) -> GatewayDraft {
    let spec = &gateway.spec;
    let place = match inputs.claims.get(name) {
        Some(claim) => Place::of_claim(claim),
        None => Place::of_host(name, gateway),
    };
    let mut findings: Vec<Finding> = class.into_iter().chain(place.findings).collect();
    let accepted = first(&findings, Concern::Accepted).is_none();
    if !matches!(spec.default_scope, None | Some(DefaultScope::None)) {
        let fault = Fault::NotCarriedOut;
        let kind = ObjectKind::Gateway;
        findings.push(Finding::new(kind, name, "spec.defaultScope", fault));
    }
    let owner = ObjectKey {
        kind: ObjectKind::Gateway,
        name: name.clone(),
    };
    let tls = spec.tls.as_ref();
    let client_certificate = client_certificate(&owner, tls, inputs.resources, &mut findings);
    let frontend = Frontend {
        gateway: &owner,
        tls,
    };
    GatewayDraft {
        name: name.clone(),
        gateway: gateway.clone(),
        addresses: place.addresses,
        shown: place.shown,
        bound_ports: place.bound_ports,
        is_reachable: place.is_reachable,
        findings,
        accepted,
        client_certificate,
        listeners: listener::drafts(frontend, &owner, &spec.listeners, inputs.resources),
    }
}

/// The Secret that `tls.backend` names; none where the reference leads to none.
fn client_certificate(
    owner: &ObjectKey,
    tls: Option<&GatewayTls>,
    resources: &Resources,
    findings: &mut Vec<Finding>,
) -> Option<ObjectName> {
    let reference = tls?.backend.as_ref()?.client_certificate_ref.as_ref()?;
    let found = certificate::find(resources, owner, Purpose::Client, reference);
    let (secret, fault) = match found {
        Ok(found) => (Some(found.secret), found.fault),
        Err(fault) => (None, Some(fault)),
    };
    let field = "spec.tls.backend.clientCertificateRef";
    findings.extend(fault.map(|fault| Finding::new(owner.kind, &owner.name, field, fault)));
    secret
}

/// Where a Gateway is.
struct Place {
    addresses: Vec<IpAddr>,
    shown: Vec<String>,
    bound_ports: Option<BTreeMap<PortPlace, u16>>,
    is_reachable: bool,
    findings: Vec<Finding>,
}

impl Place {
    fn of_claim(claim: &Claim) -> Self {
        Self {
            addresses: claim.binds.clone(),
            shown: claim.addresses.clone(),
            bound_ports: claim.bound_ports.clone(),
            is_reachable: claim.is_ready,
            findings: claim.findings.clone(),
        }
    }

    /// On the host's addresses: those that are asked for, else all.
    fn of_host(name: &ObjectName, gateway: &Gateway) -> Self {
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
