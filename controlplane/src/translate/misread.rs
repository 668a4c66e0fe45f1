//! Verdicts on objects whose newest version isn't understood: whatever an older one does, this one isn't
//! accepted, and its author is to know.

use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::problem::{Fault, Finding};
use super::verdict::Verdicts;
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;
use crate::watch::Misread;

/// Says it in the verdicts on those that are ours.
pub(super) fn tell(resources: &Resources, verdicts: &mut Verdicts) {
    for (key, misread) in &resources.misread {
        let finding = finding(key, misread);
        // None: not ours.
        let _ = verdicts.refuse(key.kind, &key.name, misread.generation, finding);
    }
}

fn finding(key: &ObjectKey, misread: &Misread) -> Finding {
    let kind = key.kind;
    let message = misread.error.message.clone();
    let fault = Fault::Misread { kind, message };
    Finding::new(kind, &key.name, misread.error.field.as_str(), fault)
}

impl Verdicts {
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
                    parent.refused = Some(finding.clone());
                }
            }
            _ => {}
        }
        Some(())
    }
}
