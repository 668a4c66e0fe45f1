//! Which listeners a route attaches to, and for which hosts there.

use ringgate_core::ir::{AttachedHost, Attachment, Hostname, ObjectName};

use super::Inputs;
use super::gateway::{FoundParent, Gateways, Parent};
use super::listener::ListenerDraft;
use super::problem::{Fault, Finding};
use super::route::RouteKind;
use super::verdict::ParentVerdict;
use crate::api::gateway::FromNamespaces;
use crate::api::reference::ParentReference;
use crate::api::route::Route;
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;

/// Where one route attaches.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Attached {
    /// To listeners that are in force.
    pub(super) attachments: Vec<Attachment>,
    pub(super) parents: Vec<ParentVerdict>,
    /// Every listener that takes it, in force or not, by its place in the parent; each once.
    pub(super) listeners: Vec<(ObjectKey, usize)>,
    /// About parents that aren't ours.
    pub(super) others: Vec<Finding>,
}

pub(super) fn attach<R: RouteKind>(
    name: &ObjectName,
    route: &Route<R>,
    gateways: &Gateways,
    inputs: &Inputs<'_>,
) -> Attached {
    let hostnames = route.spec.hostnames.iter();
    let candidate = Candidate {
        kind: R::KIND,
        name,
        hostnames: hostnames.map(|one| one.get().clone()).collect(),
        resources: inputs.resources,
    };
    // In a cluster, what isn't ours is somebody else's, as far as we know.
    let all_is_ours = !inputs.options.cluster;
    let mut attached = Attached::default();
    for (place, parent) in route.spec.parent_refs.iter().enumerate() {
        let finding = |part: &str, fault| {
            let field = format!("spec.parentRefs[{place}]{part}");
            Finding::new(R::KIND, name, field, fault)
        };
        let Some(kind) = kind(parent) else {
            let fault = Fault::ParentKind(parent.kind.shared());
            let others = all_is_ours.then(|| finding(".kind", fault));
            attached.others.extend(others);
            continue;
        };
        let name = target(name, parent);
        let key = ObjectKey { kind, name };
        let refused = match gateways.find_parent(&key) {
            FoundParent::Foreign => continue,
            FoundParent::Nothing if !all_is_ours => continue,
            FoundParent::Nothing if kind == ObjectKind::ListenerSet => {
                Some(finding(".name", Fault::NoListenerSet(key.name)))
            }
            FoundParent::Nothing => Some(finding(".name", Fault::NoGateway(key.name))),
            FoundParent::Ours(found) if !found.is_taken => {
                Some(finding(".name", Fault::SetNotAccepted(key.name)))
            }
            FoundParent::Ours(found) => candidate
                .attach_to(&found, parent, &mut attached)
                .err()
                .map(|fault| finding("", fault)),
        };
        attached.parents.push(ParentVerdict {
            parent: parent.clone(),
            refused: refused.map(Box::new),
        });
    }
    attached
}

/// The Gateways and ListenerSets that a route names, there or not: what [`attach`] looks at.
pub(super) fn parents<'r, R>(
    name: &'r ObjectName,
    route: &'r Route<R>,
) -> impl Iterator<Item = ObjectKey> + 'r {
    route.spec.parent_refs.iter().filter_map(|parent| {
        Some(ObjectKey {
            kind: kind(parent)?,
            name: target(name, parent),
        })
    })
}

/// Gateway or ListenerSet.
fn kind(parent: &ParentReference) -> Option<ObjectKind> {
    let mut kinds = [ObjectKind::Gateway, ObjectKind::ListenerSet].into_iter();
    kinds.find(|kind| parent.group == *kind.group() && parent.kind == *kind.as_str())
}

fn target(route: &ObjectName, parent: &ParentReference) -> ObjectName {
    let namespace = parent.namespace.as_ref();
    ObjectName {
        namespace: namespace.map_or_else(|| route.namespace.clone(), |one| one.shared()),
        name: parent.name.shared(),
    }
}

struct Candidate<'r> {
    kind: ObjectKind,
    name: &'r ObjectName,
    hostnames: Vec<Hostname>,
    resources: &'r Resources,
}

impl Candidate<'_> {
    /// Attaches to each listener that the reference selects, that allows the route and shares a host
    /// with it. The refusal is that of the last of these steps that no listener passed.
    fn attach_to(
        &self,
        found: &Parent<'_>,
        parent: &ParentReference,
        attached: &mut Attached,
    ) -> Result<(), Fault> {
        let (mut selected, mut allowed, mut taken) = (false, false, false);
        for (place, listener) in found.listeners.iter().enumerate() {
            if !selects(parent, listener) {
                continue;
            }
            selected = true;
            if !self.is_allowed(listener) {
                continue;
            }
            allowed = true;
            let hostnames = self.common_hostnames(&listener.hostname);
            if hostnames.is_empty() {
                continue;
            }
            taken = true;
            let known = &mut attached.listeners;
            if known
                .iter()
                .any(|(key, known)| *known == place && *key == found.key)
            {
                continue;
            }
            known.push((found.key.clone(), place));
            if found.site.is_in_force(listener) {
                attached.attachments.push(Attachment {
                    listener: listener.id.clone(),
                    hostnames,
                });
            }
        }
        match (selected, allowed, taken) {
            (_, _, true) => Ok(()),
            (false, _, _) => Err(Fault::NoListener(found.key.clone())),
            (_, false, _) => Err(Fault::NotAllowed {
                parent: found.key.clone(),
                kind: self.kind,
            }),
            _ => Err(Fault::NoCommonHostname(self.hostnames.clone())),
        }
    }

    /// `Same` is the namespace of the listener's own object.
    fn is_allowed(&self, listener: &ListenerDraft) -> bool {
        let namespaces = &listener.allowed.namespaces;
        let from_here = match &namespaces.from {
            FromNamespaces::All => true,
            FromNamespaces::Same => listener.owner.name.namespace == self.name.namespace,
            FromNamespaces::Selector => namespaces.selector.as_ref().is_some_and(|selector| {
                selector.matches(&self.resources.namespace_labels(&self.name.namespace))
            }),
            FromNamespaces::None | FromNamespaces::Unknown(_) => false,
        };
        from_here && listener.supports(self.kind)
    }

    /// The hosts of the route that the listener serves too, in the route's order.
    fn common_hostnames(&self, listener: &Hostname) -> Vec<AttachedHost> {
        if self.hostnames.is_empty() {
            return vec![AttachedHost {
                hostname: listener.clone(),
                written: Hostname::Any,
            }];
        }
        let mut common: Vec<AttachedHost> = Vec::new();
        for written in &self.hostnames {
            let Some(hostname) = listener.intersect(written) else {
                continue;
            };
            let written = written.clone();
            match common.iter_mut().find(|one| one.hostname == hostname) {
                Some(there) if there.written.specificity() < written.specificity() => {
                    there.written = written;
                }
                Some(_) => {}
                None => common.push(AttachedHost { hostname, written }),
            }
        }
        common
    }
}

fn selects(parent: &ParentReference, listener: &ListenerDraft) -> bool {
    let section = parent.section_name.as_ref();
    section.is_none_or(|name| *name == *listener.name)
        && parent.port.is_none_or(|port| port.get() == listener.port)
}
