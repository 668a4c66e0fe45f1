//! Verdicts on objects whose newest version isn't understood: whatever an older one does, this one isn't
//! accepted, and its author is to know.

use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::gateway::Gateways;
use super::memory::Memory;
use super::problem::{Fault, Finding};
use super::verdict::{AncestorVerdict, PolicyVerdict, Verdicts};
use super::{backend_tls, policy};
use crate::api::reference::ParentReference;
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;
use crate::watch::Misread;

/// Says it in the verdicts on those that are ours.
pub(super) fn tell(
    resources: &Resources,
    (gateways, memory): (&Gateways, &Memory),
    verdicts: &mut Verdicts,
) {
    for (key, misread) in &resources.misread {
        let finding = finding(key, misread);
        if key.kind.is_policy() {
            let ancestors = || ancestors(key, misread, resources, (gateways, memory));
            verdicts.refuse_policy(key, misread.generation, &finding, ancestors);
            continue;
        }
        // None: not ours.
        let _ = verdicts.refuse(key.kind, &key.name, misread.generation, finding);
    }
}

/// Where a policy that was never understood would take effect.
fn ancestors(
    key: &ObjectKey,
    misread: &Misread,
    resources: &Resources,
    (gateways, memory): (&Gateways, &Memory),
) -> Vec<ParentReference> {
    let namespace = &key.name.namespace;
    let mut ancestors = Vec::new();
    for target in &misread.targets {
        if key.kind == ObjectKind::BackendTlsPolicy {
            let service = ObjectName::new(namespace, &target.name);
            let using = backend_tls::gateways_using(&service, gateways, memory);
            ancestors.extend(using.into_iter().filter_map(ParentReference::gateway));
            continue;
        }
        let found = match key.kind {
            ObjectKind::ListenerPolicy => policy::find_listener(gateways, namespace, target),
            _ => policy::find_service(resources, namespace, target),
        };
        if !matches!(found, Ok(None)) {
            ancestors.push(ParentReference::target(namespace, target));
        }
    }
    ancestors.sort();
    ancestors.dedup();
    ancestors.truncate(backend_tls::ANCESTORS);
    ancestors
}

fn finding(key: &ObjectKey, misread: &Misread) -> Finding {
    let kind = key.kind;
    let message = misread.error.message.clone();
    let fault = Fault::Misread { kind, message };
    Finding::new(kind, &key.name, misread.error.field.as_str(), fault)
}

impl Verdicts {
    /// `ancestors` are asked for where no older version says them.
    fn refuse_policy(
        &mut self,
        key: &ObjectKey,
        generation: i64,
        finding: &Finding,
        ancestors: impl FnOnce() -> Vec<ParentReference>,
    ) {
        let policy = self.policies.entry(key.clone()).or_insert_with(|| {
            let ancestors = ancestors().into_iter();
            let ancestors = ancestors.map(|ancestor| AncestorVerdict {
                ancestor,
                findings: Vec::new(),
            });
            PolicyVerdict {
                generation,
                has_references: false,
                ancestors: ancestors.collect(),
            }
        });
        policy.generation = generation;
        for ancestor in &mut policy.ancestors {
            ancestor.findings.insert(0, finding.clone());
        }
    }

    fn refuse(
        &mut self,
        kind: ObjectKind,
        name: &ObjectName,
        generation: i64,
        finding: Finding,
    ) -> Option<()> {
        match kind {
            ObjectKind::GatewayClass => {
                let class = self.gateway_classes.get_mut(&name.name)?;
                class.generation = generation;
                class.findings.insert(0, finding);
            }
            ObjectKind::Gateway => {
                let gateway = self.gateways.get_mut(name)?;
                gateway.generation = generation;
                gateway.findings.insert(0, finding);
            }
            ObjectKind::ListenerSet => {
                let set = Arc::make_mut(self.listener_sets.get_mut(name)?);
                set.generation = generation;
                set.refused = Some(finding);
            }
            kind if kind.is_route() => {
                let name = name.clone();
                let route = Arc::make_mut(self.routes.get_mut(&ObjectKey { kind, name })?);
                route.generation = generation;
                for parent in &mut route.parents {
                    parent.refused = Some(Box::new(finding.clone()));
                }
            }
            _ => {}
        }
        Some(())
    }
}
