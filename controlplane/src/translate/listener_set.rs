//! ListenerSets (GEP-1713): which Gateway each adds its listeners to, and whether that takes them.

use std::collections::BTreeSet;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::gateway::{GatewayDraft, Parent, Site};
use super::listener::{self, ListenerDraft};
use super::problem::{Fault, Finding};
use super::verdict::SetVerdict;
use super::{created, generation};
use crate::api::gateway::FromNamespaces;
use crate::api::listener_set::ListenerSet;
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;

/// A ListenerSet for a Gateway of ours, decided but for what attaches to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SetDraft {
    pub(super) name: ObjectName,
    pub(super) set: Arc<ListenerSet>,
    /// The Gateway's.
    pub(super) site: Arc<Site>,
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

    pub(super) fn parent(&self) -> Parent<'_> {
        Parent {
            key: ObjectKey {
                kind: ObjectKind::ListenerSet,
                name: self.name.clone(),
            },
            site: &self.site,
            listeners: &self.listeners,
            is_taken: self.refused.is_none(),
        }
    }

    /// `attached` counts the routes of each listener, in their order.
    pub(super) fn verdict(&self, attached: &[u32]) -> SetVerdict {
        let addresses = match self.refused {
            None => self.site.shown.clone(),
            Some(_) => Vec::new(),
        };
        SetVerdict {
            generation: generation(&self.set.metadata),
            gateway: self.site.name.clone(),
            addresses,
            refused: self.refused.clone(),
            listeners: listener::verdicts(&self.site, &self.listeners, attached),
        }
    }
}

/// Whose the Gateway of a set is.
pub(super) enum SetOwner<'g> {
    Ours(&'g GatewayDraft),
    Foreign,
    /// There is no such Gateway.
    Nobody(Finding),
}

/// `gateways` are ours, in order of name, `foreign` the others that are there.
pub(super) fn owner<'g>(
    name: &ObjectName,
    set: &ListenerSet,
    gateways: &'g [Arc<GatewayDraft>],
    foreign: &BTreeSet<ObjectKey>,
) -> SetOwner<'g> {
    let Some(target) = set.spec.parent_ref.gateway(&name.namespace) else {
        return SetOwner::Foreign;
    };
    let found = gateways.binary_search_by(|one| one.site.name.cmp(&target));
    if let Some(gateway) = found.ok().and_then(|place| gateways.get(place)) {
        return SetOwner::Ours(gateway);
    }
    let key = ObjectKey {
        kind: ObjectKind::Gateway,
        name: target,
    };
    if foreign.contains(&key) {
        return SetOwner::Foreign;
    }
    let (kind, fault) = (ObjectKind::ListenerSet, Fault::NoGateway(key.name));
    SetOwner::Nobody(Finding::new(kind, name, "spec.parentRef.name", fault))
}

/// By itself: what it makes of others stands in `conflict` and `overlap`.
pub(super) fn draft(
    name: &ObjectName,
    set: &Arc<ListenerSet>,
    site: &Arc<Site>,
    resources: &Resources,
) -> SetDraft {
    let fault = if !is_allowed(name, site, resources) {
        Some(Fault::SetNotAllowed(site.name.clone()))
    } else if !site.accepted {
        Some(Fault::ParentNotAccepted(site.name.clone()))
    } else {
        None
    };
    let owner = ObjectKey {
        kind: ObjectKind::ListenerSet,
        name: name.clone(),
    };
    let listeners = match fault {
        None => {
            let key = site.key();
            let frontend = site.frontend(&key);
            listener::drafts(frontend, &owner, &set.spec.listeners, resources)
        }
        Some(_) => Vec::new(),
    };
    let refused =
        fault.map(|fault| Finding::new(ObjectKind::ListenerSet, name, "spec.parentRef", fault));
    SetDraft {
        name: name.clone(),
        set: set.clone(),
        site: site.clone(),
        refused,
        listeners,
    }
}

fn is_allowed(set: &ObjectName, site: &Site, resources: &Resources) -> bool {
    let Some(allowed) = &site.allowed_listeners else {
        return false;
    };
    let namespaces = &allowed.namespaces;
    match &namespaces.from {
        FromNamespaces::All => true,
        FromNamespaces::Same => site.name.namespace == set.namespace,
        FromNamespaces::Selector => namespaces
            .selector
            .as_ref()
            .is_some_and(|selector| selector.matches(&resources.namespace_labels(&set.namespace))),
        FromNamespaces::None | FromNamespaces::Unknown(_) => false,
    }
}
