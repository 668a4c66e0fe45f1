//! GatewayParameters: those of a Gateway over those of its class, field by field.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::service::LOAD_BALANCER_CLASS;
use crate::api::ObjectKind;
use crate::api::gateway::Gateway;
use crate::api::pool::GatewayParameters;
use crate::store::Resources;
use crate::translate::problem::{Fault, Finding};

/// Who brings a Gateway's traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LoadBalancer {
    #[default]
    Ringgate,
    /// Of this class; none: the cluster's default.
    Other(Option<Arc<str>>),
}

impl LoadBalancer {
    #[must_use]
    pub fn is_ours(&self) -> bool {
        *self == Self::Ringgate
    }
}

/// What is to be generated, as users say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    pub class: LoadBalancer,
    /// The AddressPool that is named, be it there or not.
    pub pool: Option<Arc<str>>,
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
}

/// With what is wrong about the Gateway's own reference; one of its class is told there.
pub(super) fn of(
    name: &ObjectName,
    gateway: &Gateway,
    resources: &Resources,
) -> (Parameters, Vec<Finding>) {
    let mut parameters = Parameters::default();
    let class = ObjectName::new("", &gateway.spec.gateway_class_name);
    if let Some(object) = of_class(&class, resources).and_then(Result::ok) {
        parameters.take(object);
    }
    let fault = match of_gateway(name, gateway, resources) {
        None => None,
        Some(Ok(object)) => {
            parameters.take(object);
            None
        }
        Some(Err(fault)) => Some(fault),
    };
    let field = "spec.infrastructure.parametersRef";
    let finding = fault.map(|fault| Finding::new(ObjectKind::Gateway, name, field, fault));
    (parameters, finding.into_iter().collect())
}

/// Why the reference of a class can't be followed, where it has one.
pub(crate) fn fault_of_class(class: &ObjectName, resources: &Resources) -> Option<Fault> {
    of_class(class, resources)?.err()
}

fn of_class<'r>(
    class: &ObjectName,
    resources: &'r Resources,
) -> Option<Result<&'r GatewayParameters, Fault>> {
    let class = resources.gateway_classes.get(class)?;
    let reference = class.spec.parameters_ref.as_ref()?;
    let namespace = reference.namespace.as_ref().map(|one| one.shared());
    let target = ObjectName {
        namespace: namespace.unwrap_or_else(|| "".into()),
        name: reference.name.shared(),
    };
    let kind = (&*reference.group, reference.kind.shared());
    Some(find(kind, target, resources))
}

fn of_gateway<'r>(
    name: &ObjectName,
    gateway: &Gateway,
    resources: &'r Resources,
) -> Option<Result<&'r GatewayParameters, Fault>> {
    let infrastructure = gateway.spec.infrastructure.as_ref()?;
    let reference = infrastructure.parameters_ref.as_ref()?;
    let target = ObjectName {
        namespace: name.namespace.clone(),
        name: reference.name.shared(),
    };
    let kind = (&*reference.group, reference.kind.shared());
    Some(find(kind, target, resources))
}

fn find<'r>(
    (group, kind): (&str, Arc<str>),
    target: ObjectName,
    resources: &'r Resources,
) -> Result<&'r GatewayParameters, Fault> {
    let ours = ObjectKind::GatewayParameters;
    if group != ours.group() || *kind != *ours.as_str() {
        return Err(Fault::Parameters { kind });
    }
    let found = resources.gateway_parameters.get(&target);
    found.map(AsRef::as_ref).ok_or(Fault::NoParameters(target))
}

impl Parameters {
    fn take(&mut self, object: &GatewayParameters) {
        let spec = &object.spec;
        if let Some(class) = &spec.load_balancer_class {
            self.class = match &**class {
                LOAD_BALANCER_CLASS => LoadBalancer::Ringgate,
                "" => LoadBalancer::Other(None),
                _ => LoadBalancer::Other(Some(class.shared())),
            };
        }
        let annotations = spec.service_annotations.iter();
        let annotations = annotations.map(|(key, value)| (key.clone(), value.shared()));
        self.annotations.extend(annotations);
        if let Some(name) = &spec.address_pool {
            self.pool = Some(name.shared());
        }
    }
}
