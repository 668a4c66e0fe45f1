//! ListenerSets (GEP-1713): which Gateway each adds its listeners to, and whether that takes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::gateway::{Found, GatewayDraft, Gateways};
use super::listener::{self, ListenerDraft};
use super::problem::{Fault, Finding};
use super::verdict::SetVerdict;
use super::{Inputs, created, generation};
use crate::api::gateway::FromNamespaces;
use crate::api::listener_set::{ListenerSet, ParentGatewayReference};
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;

/// A ListenerSet for a Gateway of ours, decided but for what attaches to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SetDraft {
    pub(super) name: ObjectName,
    set: Arc<ListenerSet>,
    /// The Gateway's place among the drafts.
    pub(super) gateway: usize,
    /// Why the Gateway doesn't take the set.
    refused: Option<Finding>,
    /// Empty for a set that isn't taken.
    pub(super) listeners: Vec<ListenerDraft>,
}

impl SetDraft {
    /// Seconds since 1970, then the name: the order in which sets of one Gateway win conflicts.
    pub(super) fn age(&self) -> (u64, &ObjectName) {
        (created(&self.set.metadata), &self.name)
    }

    pub(super) fn is_taken(&self) -> bool {
        self.refused.is_none()
    }

    /// `attached` counts the routes of each listener, in their order.
    pub(super) fn verdict(&self, gateway: &GatewayDraft, attached: &[u32]) -> SetVerdict {
        let addresses = match self.refused {
            None => gateway.shown.clone(),
            Some(_) => Vec::new(),
        };
        SetVerdict {
            generation: generation(&self.set.metadata),
            gateway: gateway.name.clone(),
            addresses,
            refused: self.refused.clone(),
            listeners: listener::verdicts(gateway, &self.listeners, attached),
        }
    }
}

/// What sets there are: those for Gateways of ours, those for others', and what is wrong with those
/// that are for nobody's.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sets {
    /// In order of name.
    pub(super) drafts: Vec<SetDraft>,
    foreign: Vec<ObjectName>,
}

impl Sets {
    pub(super) fn decide(inputs: &Inputs<'_>, gateways: &Gateways) -> (Self, Vec<Finding>) {
        let mut sets = Self::default();
        let mut others = Vec::new();
        for (name, set) in &inputs.resources.listener_sets {
            let parent = &set.spec.parent_ref;
            let found = match is_gateway(parent) {
                true => gateways.find(&target(name, parent)),
                false => Found::Foreign,
            };
            match found {
                Found::Ours(place, gateway) => {
                    sets.drafts
                        .push(draft(name, set, place, gateway, inputs.resources));
                }
                Found::Foreign => sets.foreign.push(name.clone()),
                // In a cluster somebody else's, as far as we know.
                Found::Nothing => {
                    sets.foreign.push(name.clone());
                    let fault = Fault::NoGateway(target(name, parent));
                    let field = "spec.parentRef.name";
                    let finding = Finding::new(ObjectKind::ListenerSet, name, field, fault);
                    others.extend((!inputs.options.cluster).then_some(finding));
                }
            }
        }
        (sets, others)
    }

    /// The place among the drafts, or that it is another's.
    pub(super) fn find(&self, name: &ObjectName) -> Option<Result<usize, ()>> {
        match self.drafts.binary_search_by(|one| one.name.cmp(name)) {
            Ok(place) => Some(Ok(place)),
            Err(_) => self.foreign.binary_search(name).is_ok().then_some(Err(())),
        }
    }

    /// Those that aren't for a Gateway of ours, ascending.
    pub(super) fn foreign(&self) -> &[ObjectName] {
        &self.foreign
    }

    /// The places of each Gateway's sets, by the Gateway's place, in the order in which they win
    /// conflicts.
    pub(super) fn by_gateway(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut by_gateway: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, set) in self.drafts.iter().enumerate() {
            by_gateway.entry(set.gateway).or_default().push(place);
        }
        for places in by_gateway.values_mut() {
            places.sort_by_key(|place| self.drafts.get(*place).map(SetDraft::age));
        }
        by_gateway
    }
}

fn is_gateway(parent: &ParentGatewayReference) -> bool {
    let kind = ObjectKind::Gateway;
    parent.group == *kind.group() && parent.kind == *kind.as_str()
}

fn target(set: &ObjectName, parent: &ParentGatewayReference) -> ObjectName {
    let namespace = parent.namespace.as_ref();
    ObjectName {
        namespace: namespace.map_or_else(|| set.namespace.clone(), |one| one.shared()),
        name: parent.name.shared(),
    }
}

fn draft(
    name: &ObjectName,
    set: &Arc<ListenerSet>,
    place: usize,
    gateway: &GatewayDraft,
    resources: &Resources,
) -> SetDraft {
    let fault = if !is_allowed(name, gateway, resources) {
        Some(Fault::SetNotAllowed(gateway.name.clone()))
    } else if !gateway.accepted {
        Some(Fault::ParentNotAccepted(gateway.name.clone()))
    } else {
        None
    };
    let owner = ObjectKey {
        kind: ObjectKind::ListenerSet,
        name: name.clone(),
    };
    let listeners = match fault {
        None => {
            let key = gateway.key();
            let frontend = gateway.frontend(&key);
            listener::drafts(frontend, &owner, &set.spec.listeners, resources)
        }
        Some(_) => Vec::new(),
    };
    let refused =
        fault.map(|fault| Finding::new(ObjectKind::ListenerSet, name, "spec.parentRef", fault));
    SetDraft {
        name: name.clone(),
        set: set.clone(),
        gateway: place,
        refused,
        listeners,
    }
}

fn is_allowed(set: &ObjectName, gateway: &GatewayDraft, resources: &Resources) -> bool {
    let Some(allowed) = &gateway.gateway.spec.allowed_listeners else {
        return false;
    };
    let namespaces = &allowed.namespaces;
    match &namespaces.from {
        FromNamespaces::All => true,
        FromNamespaces::Same => gateway.name.namespace == set.namespace,
        FromNamespaces::Selector => namespaces
            .selector
            .as_ref()
            .is_some_and(|selector| selector.matches(&resources.namespace_labels(&set.namespace))),
        FromNamespaces::None | FromNamespaces::Unknown(_) => false,
    }
}
