//! Health checks that can't be carried out: datagrams have no handshake, so that endpoints of such a port are
//! asked at another one or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::{BackendProtocol, BackendSettings};

use super::policy::Target;
use super::problem::{Fault, Finding};
use super::verdict::PolicyVerdict;
use crate::api::policy::BackendPolicy;
use crate::api::reference::ParentReference;
use crate::api::service::TransportProtocol;
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;

/// What of the settings a backend of this protocol can have.
pub(super) fn carried_out(settings: &mut BackendSettings, protocol: BackendProtocol) {
    let is_answered = protocol != BackendProtocol::Udp;
    let check = settings.health_check.take();
    settings.health_check = check.filter(|check| is_answered || check.port.is_some());
}

/// Tells the policies in force of ports that their check has no effect on.
pub(super) fn judge(
    resources: &Resources,
    policies: &BTreeMap<Target, &Arc<BackendPolicy>>,
    verdicts: &mut BTreeMap<ObjectKey, PolicyVerdict>,
) {
    for (target, policy) in policies {
        let check = policy.spec.health_check.as_ref();
        if check.is_none_or(|check| check.port.is_some()) {
            continue;
        }
        let kind = ObjectKind::BackendPolicy;
        let name = policy.metadata.object_name();
        let findings = unchecked(resources, policies, target).map(|port| {
            let fault = Fault::NotChecked { port };
            Finding::new(kind, &name, "spec.healthCheck", fault)
        });
        let findings: Vec<_> = findings.collect();
        let ancestor = ancestor(policy, target);
        let verdict = verdicts.get_mut(&ObjectKey { kind, name });
        let ancestors = verdict.into_iter().flat_map(|one| &mut one.ancestors);
        let mut ours = ancestors.filter(|one| Some(&one.ancestor) == ancestor.as_ref());
        if let Some(one) = ours.next() {
            one.findings.extend(findings);
        }
    }
}

/// The ports of a target that take datagrams, but for those that another policy has a check for.
fn unchecked<'r>(
    resources: &'r Resources,
    policies: &'r BTreeMap<Target, &Arc<BackendPolicy>>,
    (service, section): &'r Target,
) -> impl Iterator<Item = u16> + 'r {
    let object = resources.services.get(&service.name);
    let ports = object.into_iter().flat_map(|object| &object.spec.ports);
    let datagrams = ports.filter(|port| port.protocol == TransportProtocol::Udp);
    let ours = datagrams.filter(move |port| match section {
        Some(section) => port.name.as_ref() == Some(section),
        None => {
            let of_port = policies.get(&(service.clone(), port.name.clone()));
            let of_port = of_port.filter(|_| port.name.is_some());
            of_port.is_none_or(|policy| policy.spec.health_check.is_none())
        }
    });
    ours.map(|port| port.port.get())
}

fn ancestor(policy: &BackendPolicy, (service, section): &Target) -> Option<ParentReference> {
    let mut targets = policy.spec.target_refs.iter();
    let target = targets.find(|target| {
        let named = target.section_name.as_ref().map(|one| one.shared());
        target.name == *service.name.name && named == *section
    });
    Some(ParentReference::target(&service.name.namespace, target?))
}
