//! Which listeners a route attaches to, and for which hosts there.

use ringgate_core::ir::{AttachedHost, Attachment, Hostname, ObjectName};

use super::gateway::{Found, GatewayDraft, Gateways};
use super::listener::ListenerDraft;
use super::problem::{Fault, Finding};
use super::verdict::ParentVerdict;
use crate::api::ObjectKind;
use crate::api::gateway::FromNamespaces;
use crate::api::http_route::HttpRoute;
use crate::api::reference::ParentReference;
use crate::store::Resources;

/// Where one route attaches.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Attached {
    /// To listeners that are in force.
    pub(super) attachments: Vec<Attachment>,
    pub(super) parents: Vec<ParentVerdict>,
    /// Places (Gateway, listener) of every listener that takes it, in force or not; each once.
    pub(super) listeners: Vec<(usize, usize)>,
    /// About parents that aren't ours.
    pub(super) others: Vec<Finding>,
}

pub(super) fn attach(
    name: &ObjectName,
    route: &HttpRoute,
    gateways: &Gateways,
    resources: &Resources,
) -> Attached {
    let hostnames = route.spec.hostnames.iter();
    let candidate = Candidate {
        name,
        hostnames: hostnames.map(|one| one.get().clone()).collect(),
        resources,
    };
    let mut attached = Attached::default();
    for (place, parent) in route.spec.parent_refs.iter().enumerate() {
        let finding = |part: &str, fault| {
            let field = format!("spec.parentRefs[{place}]{part}");
            Finding::new(ObjectKind::HttpRoute, name, field, fault)
        };
        if parent.group != *ObjectKind::Gateway.group()
            || parent.kind != *ObjectKind::Gateway.as_str()
        {
            let fault = Fault::ParentKind(parent.kind.shared());
            attached.others.push(finding(".kind", fault));
            continue;
        }
        let refused = match gateways.find(&target(name, parent)) {
            Found::Foreign => continue,
            Found::Nothing => Some(finding(".name", Fault::NoGateway(target(name, parent)))),
            Found::Ours(place, gateway) => candidate
                .attach_to(place, gateway, parent, &mut attached)
                .err()
                .map(|refusal| finding(refusal.part, refusal.fault)),
        };
        attached.parents.push(ParentVerdict {
            parent: parent.clone(),
            refused,
        });
    }
    attached
}

fn target(route: &ObjectName, parent: &ParentReference) -> ObjectName {
    let namespace = parent.namespace.as_ref();
    ObjectName {
        namespace: namespace.map_or_else(|| route.namespace.clone(), |one| one.shared()),
        name: parent.name.shared(),
    }
}

struct Candidate<'r> {
    name: &'r ObjectName,
    hostnames: Vec<Hostname>,
    resources: &'r Resources,
}

struct Refusal {
    part: &'static str,
    fault: Fault,
}

impl Candidate<'_> {
    /// Attaches to each listener that the reference selects, that allows the route and shares a host
    /// with it. The refusal is that of the last of these steps that no listener passed.
    fn attach_to(
        &self,
        at: usize,
        gateway: &GatewayDraft,
        parent: &ParentReference,
        attached: &mut Attached,
    ) -> Result<(), Refusal> {
        let refuse = |part, fault| Err(Refusal { part, fault });
        let (mut selected, mut allowed, mut taken) = (false, false, false);
        for (place, listener) in gateway.listeners.iter().enumerate() {
            if !selects(parent, listener) {
                continue;
            }
            selected = true;
            if !self.is_allowed(gateway, listener) {
                continue;
            }
            allowed = true;
            let hostnames = self.common_hostnames(&listener.hostname);
            if hostnames.is_empty() {
                continue;
            }
            taken = true;
            if attached.listeners.contains(&(at, place)) {
                continue;
            }
            attached.listeners.push((at, place));
            if gateway.is_in_force(listener) {
                attached.attachments.push(Attachment {
                    listener: listener.id.clone(),
                    hostnames,
                });
            }
        }
        if taken {
            return Ok(());
        }
        let name = gateway.name.clone();
        if !selected {
            return refuse("", Fault::NoListener(name));
        }
        if !allowed {
            return refuse("", Fault::NotAllowed(name));
        }
        refuse("", Fault::NoCommonHostname(self.hostnames.clone()))
    }

    fn is_allowed(&self, gateway: &GatewayDraft, listener: &ListenerDraft) -> bool {
        let namespaces = &listener.allowed.namespaces;
        let from_here = match &namespaces.from {
            FromNamespaces::All => true,
            FromNamespaces::Same => gateway.name.namespace == self.name.namespace,
            FromNamespaces::Selector => namespaces.selector.as_ref().is_some_and(|selector| {
                selector.matches(&self.resources.namespace_labels(&self.name.namespace))
            }),
            FromNamespaces::None | FromNamespaces::Unknown(_) => false,
        };
        from_here && listener.supports(ObjectKind::HttpRoute)
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
