//! Which GatewayClasses are ours: by their controller, by implication, by command line.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::problem::{Fault, Finding};
use super::verdict::ClassVerdict;
use super::{Options, generation};
use crate::api::gateway::{Gateway, GatewayClass};
use crate::api::{CONTROLLER_NAME, ObjectKind};
use crate::provision;
use crate::store::Resources;

/// The class that is ours without being written anywhere.
pub const IMPLIED_CLASS: &str = "ringgate";

/// Whose Gateways of a class are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Ours,
    /// Ours, but it asks for something that we can't do.
    Refused,
    Foreign,
    Nobody,
}

pub(super) struct Classes<'r> {
    resources: &'r Resources,
    options: &'r Options,
}

impl<'r> Classes<'r> {
    pub(super) fn new(resources: &'r Resources, options: &'r Options) -> Self {
        Self { resources, options }
    }

    pub(super) fn owner(&self, name: &str) -> Owner {
        match self.written(name) {
            Some(class) if !self.is_ours(name, class) => Owner::Foreign,
            Some(class) if self.fault(class).is_some() => Owner::Refused,
            Some(_) => Owner::Ours,
            None if self.is_claimed(name) => Owner::Ours,
            None => Owner::Nobody,
        }
    }

    /// Of every class that is ours: written ones, and those that a Gateway implies.
    pub(super) fn verdicts(&self) -> BTreeMap<Arc<str>, ClassVerdict> {
        let written = self.resources.gateway_classes.values().filter_map(|class| {
            let name = &class.metadata.name;
            self.is_ours(name, class)
                .then(|| (name.clone(), self.verdict(class)))
        });
        let implied = self.resources.gateways.values().filter_map(|gateway| {
            let name = gateway.spec.gateway_class_name.shared();
            let implied = self.written(&name).is_none() && self.is_claimed(&name);
            implied.then(|| {
                let verdict = ClassVerdict {
                    generation: 0,
                    implied: true,
                    findings: Vec::new(),
                };
                (name, verdict)
            })
        });
        written.chain(implied).collect()
    }

    fn written(&self, name: &str) -> Option<&'r Arc<GatewayClass>> {
        let name = ObjectName::new("", name);
        self.resources.gateway_classes.get(&name)
    }

    /// A class of another controller is ours only when the command line says so.
    fn is_ours(&self, name: &str, class: &GatewayClass) -> bool {
        class.spec.controller_name == CONTROLLER_NAME || self.options.classes.contains(name)
    }

    fn is_claimed(&self, name: &str) -> bool {
        (name == IMPLIED_CLASS && !self.options.cluster) || self.options.classes.contains(name)
    }

    /// What is wrong with `parametersRef`: parameters are for what is generated in a cluster.
    fn fault(&self, class: &GatewayClass) -> Option<Fault> {
        let reference = class.spec.parameters_ref.as_ref()?;
        if self.options.cluster {
            return provision::fault_of_class(&class.metadata.object_name(), self.resources);
        }
        let kind = reference.kind.shared();
        Some(Fault::Parameters { kind })
    }

    fn verdict(&self, class: &GatewayClass) -> ClassVerdict {
        let fault = self.fault(class).map(|fault| {
            let name = class.metadata.object_name();
            Finding::new(ObjectKind::GatewayClass, &name, "spec.parametersRef", fault)
        });
        ClassVerdict {
            generation: generation(&class.metadata),
            implied: false,
            findings: fault.into_iter().collect(),
        }
    }
}

/// The Gateways whose class is ours and accepted, in order of name.
pub(crate) fn our_gateways<'r>(
    resources: &'r Resources,
    options: &'r Options,
) -> impl Iterator<Item = (&'r ObjectName, &'r Arc<Gateway>)> {
    let classes = Classes::new(resources, options);
    let is_ours =
        move |gateway: &Gateway| classes.owner(&gateway.spec.gateway_class_name) == Owner::Ours;
    let gateways = resources.gateways.iter();
    gateways.filter(move |(_, gateway)| is_ours(gateway))
}
