//! Gateways: whose they are, which addresses they have, and which of their listeners stand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::certificate;
use super::frontend::{self, Frontend};
use super::gateway_class::{Classes, Owner};
use super::listener::{self, ListenerDraft};
use super::listener_set::{self, SetDraft, SetOwner};
use super::memory::Kept;
use super::place::Place;
use super::problem::{Concern, Fault, Finding, Purpose};
use super::verdict::{GatewayVerdict, first};
use super::{Inputs, conflict, created, generation, overlap};
use crate::api::gateway::{AllowedListeners, DefaultScope, Gateway, GatewayTls, PortPlace};
use crate::api::{ObjectKey, ObjectKind};
use crate::shared_map::SharedMap;
use crate::store::Resources;

/// Where a Gateway is, and how it fares: what its ListenerSets share with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Site {
    /// Of the Gateway.
    pub(super) name: ObjectName,
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
    /// False: none of its listeners is put in force.
    pub(super) accepted: bool,
    tls: Option<GatewayTls>,
    /// Which sets it takes.
    pub(super) allowed_listeners: Option<AllowedListeners>,
}

/// A Gateway of ours, decided but for what attaches to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GatewayDraft {
    pub(super) site: Arc<Site>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) findings: Vec<Finding>,
    pub(super) listeners: Vec<ListenerDraft>,
}

/// Gateways of ours with their ListenerSets, and what was found about others.
#[derive(Clone, Debug, Default)]
pub(super) struct Gateways {
    pub(super) drafts: SharedMap<ObjectName, Arc<GatewayDraft>>,
    pub(super) sets: SharedMap<ObjectName, Arc<SetDraft>>,
    /// Both those that aren't ours.
    foreign: BTreeSet<ObjectKey>,
    pub(super) others: Vec<Finding>,
}

/// What has listeners that a route can attach to: a Gateway or a ListenerSet.
#[derive(Clone, Debug)]
pub(super) struct Parent<'g> {
    pub(super) key: ObjectKey,
    pub(super) site: &'g Site,
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
    /// What is equal in `before` stays the very same.
    pub(super) fn decide(
        inputs: &Inputs<'_>,
        classes: &Classes<'_>,
        kept: &mut Kept,
        before: &Self,
    ) -> Self {
        let (mut foreign, mut others) = (BTreeSet::new(), Vec::new());
        let drafts = inputs.resources.gateways.iter().filter_map(|(name, one)| {
            let (owner, finding) = owner(name, one, classes, inputs);
            if matches!(owner, Owner::Ours | Owner::Refused) {
                return Some(kept.gateway(name, one, finding, inputs));
            }
            foreign.insert(ObjectKey {
                kind: ObjectKind::Gateway,
                name: name.clone(),
            });
            others.extend(finding);
            None
        });
        let mut drafts: Vec<Arc<GatewayDraft>> = drafts.collect();
        let mut sets = Vec::new();
        for (name, set) in &inputs.resources.listener_sets {
            match listener_set::owner(name, set, &drafts, &foreign) {
                SetOwner::Ours(gateway) => {
                    sets.push(kept.set(name, set, &gateway.site, inputs.resources));
                    continue;
                }
                SetOwner::Foreign => {}
                // In a cluster somebody else's, as far as we know.
                SetOwner::Nobody(finding) => {
                    others.extend((!inputs.options.cluster).then_some(finding));
                }
            }
            foreign.insert(ObjectKey {
                kind: ObjectKind::ListenerSet,
                name: name.clone(),
            });
        }
        kept.forget_others();
        let order = Order::of(&drafts, &sets);
        conflict::find(&mut drafts, &mut sets, &order);
        overlap::find(&mut drafts, &mut sets, &order);
        Self {
            drafts: shared(&before.drafts, drafts, |one| &one.site.name),
            sets: shared(&before.sets, sets, |one| &one.name),
            foreign,
            others,
        }
    }

    /// Whether nothing was decided otherwise.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.drafts.is_same(&other.drafts)
            && self.sets.is_same(&other.sets)
            && self.foreign == other.foreign
            && self.others == other.others
    }

    /// First the Gateways, then the sets.
    pub(super) fn parents(&self) -> impl Iterator<Item = Parent<'_>> {
        let own = self.drafts.values().map(|one| one.parent());
        own.chain(self.sets.values().map(|one| one.parent()))
    }

    /// None: not one of ours.
    pub(super) fn parent(&self, key: &ObjectKey) -> Option<Parent<'_>> {
        match key.kind {
            ObjectKind::ListenerSet => Some(self.sets.get(&key.name)?.parent()),
            _ => Some(self.drafts.get(&key.name)?.parent()),
        }
    }

    /// `key` is a Gateway's or a ListenerSet's.
    pub(super) fn find_parent(&self, key: &ObjectKey) -> FoundParent<'_> {
        match self.parent(key) {
            Some(parent) => FoundParent::Ours(parent),
            None if self.foreign.contains(key) => FoundParent::Foreign,
            None => FoundParent::Nothing,
        }
    }

    /// Gateways of others' classes, and sets that aren't for a Gateway of ours.
    pub(super) fn foreign(&self) -> &BTreeSet<ObjectKey> {
        &self.foreign
    }
}

/// Whose a Gateway is, and what is to be said of that.
fn owner(
    name: &ObjectName,
    gateway: &Gateway,
    classes: &Classes<'_>,
    inputs: &Inputs<'_>,
) -> (Owner, Option<Finding>) {
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
    let field = "spec.gatewayClassName";
    let finding = fault.map(|fault| Finding::new(ObjectKind::Gateway, name, field, fault));
    (owner, finding)
}

/// `now`, which is ascending by `name`, in the place of `before`; what is equal stays the very same.
fn shared<T: PartialEq>(
    before: &SharedMap<ObjectName, Arc<T>>,
    now: Vec<Arc<T>>,
    name: impl Fn(&T) -> &ObjectName,
) -> SharedMap<ObjectName, Arc<T>> {
    let mut map = before.clone();
    let mut old = before.iter().peekable();
    for one in now {
        while let Some((gone, _)) = old.next_if(|(old, _)| *old < name(&one)) {
            map.remove(gone);
        }
        let old = old.next_if(|(old, _)| *old == name(&one));
        if !old.is_some_and(|(_, old)| Arc::ptr_eq(old, &one) || *old == one) {
            map.insert(name(&one).clone(), one);
        }
    }
    for (gone, _) in old {
        map.remove(gone);
    }
    map
}

/// The order in which Gateways and sets win conflicts, by their places.
pub(super) struct Order {
    /// Each with its sets.
    pub(super) gateways: Vec<(usize, Vec<usize>)>,
}

impl Order {
    /// Both are in order of name.
    fn of(drafts: &[Arc<GatewayDraft>], sets: &[Arc<SetDraft>]) -> Self {
        let mut gateways: Vec<_> = (0..drafts.len()).map(|place| (place, Vec::new())).collect();
        for (place, set) in sets.iter().enumerate() {
            let found = drafts.binary_search_by(|one| one.site.name.cmp(&set.site.name));
            let of_gateway = found.ok().and_then(|gateway| gateways.get_mut(gateway));
            of_gateway
                .into_iter()
                .for_each(|(_, sets)| sets.push(place));
        }
        gateways.sort_by_key(|(place, _)| drafts.get(*place).map(|one| one.age()));
        for (_, places) in &mut gateways {
            places.sort_by_key(|place| sets.get(*place).map(|one| one.age()));
        }
        Self { gateways }
    }
}

impl Site {
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
            tls: self.tls.as_ref(),
        }
    }
}

impl GatewayDraft {
    /// Seconds since 1970, then the name: the order in which Gateways win conflicts.
    fn age(&self) -> (u64, &ObjectName) {
        (created(&self.gateway.metadata), &self.site.name)
    }

    fn parent(&self) -> Parent<'_> {
        Parent {
            key: self.site.key(),
            site: &self.site,
            listeners: &self.listeners,
            is_taken: true,
        }
    }

    fn lets_in_unverified(&self) -> bool {
        let tls = self.site.tls.as_ref();
        let frontend = tls.and_then(|tls| tls.frontend.as_ref());
        frontend.is_some_and(frontend::is_insecure)
    }

    /// `attached` counts the routes of each listener, in their order, `listener_sets` the sets.
    pub(super) fn verdict(&self, attached: &[u32], listener_sets: u32) -> GatewayVerdict {
        GatewayVerdict {
            generation: generation(&self.gateway.metadata),
            class: self.gateway.spec.gateway_class_name.shared(),
            addresses: self.site.shown.clone(),
            findings: self.findings.clone(),
            lets_in_unverified: self.lets_in_unverified(),
            listeners: listener::verdicts(&self.site, &self.listeners, attached),
            listener_sets,
        }
    }
}

/// By itself: what it makes of others stands in `conflict` and `overlap`.
pub(super) fn draft(
    name: &ObjectName,
    gateway: &Arc<Gateway>,
    class: Option<Finding>,
    inputs: &Inputs<'_>,
) -> GatewayDraft {
    let spec = &gateway.spec;
    let place = match inputs.provided.claims.get(name) {
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
    let site = Site {
        name: name.clone(),
        addresses: place.addresses,
        shown: place.shown,
        bound_ports: place.bound_ports,
        is_reachable: place.is_reachable,
        accepted,
        client_certificate: client_certificate(&owner, tls, inputs.resources, &mut findings),
        tls: spec.tls.clone(),
        allowed_listeners: spec.allowed_listeners.clone(),
    };
    let frontend = site.frontend(&owner);
    let listeners = listener::drafts(frontend, &owner, &spec.listeners, inputs.resources);
    GatewayDraft {
        site: Arc::new(site),
        gateway: gateway.clone(),
        findings,
        listeners,
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
