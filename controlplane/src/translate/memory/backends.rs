//! Backends' results.

use std::sync::Arc;

use ringgate_core::ir::{Id, Object};

use super::changes::Changes;
use super::routes::Used;
use crate::api::policy::BackendPolicy;
use crate::store::ByName;
use crate::translate::backend::{self, ServicePortName};
use crate::translate::policy::Policies;
use crate::translate::problem::Fault;
use crate::translate::{Inputs, Options, ResolvedNames};

/// A backend's result.
#[derive(Debug)]
pub(in crate::translate) struct Backend {
    pub(in crate::translate) name: ServicePortName,
    pub(in crate::translate) id: Id,
    pub(in crate::translate) object: Arc<Object>,
    /// What is odd about its endpoints.
    pub(in crate::translate) fault: Option<Fault>,
    /// The name that it needs the addresses of.
    pub(in crate::translate) external_name: Option<Arc<str>>,
}

#[derive(Debug, Default)]
pub(super) struct Backends {
    /// In order of name.
    known: Vec<Backend>,
    common: Common,
}

/// What every backend depends on.
#[derive(Debug, Default)]
struct Common {
    policies: ByName<BackendPolicy>,
    names: ResolvedNames,
    options: Options,
}

impl Backends {
    /// Returns whether any may be another than before.
    pub(super) fn update(
        &mut self,
        inputs: &Inputs<'_>,
        policies: &Policies<'_>,
        used: &mut Used,
        changes: &Changes,
    ) -> bool {
        let all_may_differ = !self.common.is_of(inputs);
        if all_may_differ {
            self.common = Common::of(inputs);
        }
        if !used.take_changed() && !all_may_differ && changes.touch_no_backend() {
            return false;
        }
        let mut before = std::mem::take(&mut self.known).into_iter().peekable();
        let backends = used.names().map(|name| {
            while before.next_if(|one| one.name < *name).is_some() {}
            let same = before.next_if(|one| one.name == *name);
            match same {
                Some(one) if !all_may_differ && !changes.touch_backend(&name.service) => one,
                before => Backend::of(name, inputs, policies, before),
            }
        });
        self.known = backends.collect();
        true
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Backend> {
        self.known.iter()
    }
}

impl Backend {
    /// Takes the object of `before` where it is equal: then nobody else needs to compare it.
    fn of(
        name: &ServicePortName,
        inputs: &Inputs<'_>,
        policies: &Policies<'_>,
        before: Option<Self>,
    ) -> Self {
        let (backend, fault) = backend::translate(inputs, name, policies);
        let object = Object::Backend(backend);
        let (id, object) = match before {
            Some(before) if *before.object == object => (before.id, before.object),
            Some(before) => (before.id, Arc::new(object)),
            None => (name.id(), Arc::new(object)),
        };
        Self {
            name: name.clone(),
            id,
            object,
            fault,
            external_name: backend::external_name(inputs.resources, name),
        }
    }
}

impl Common {
    fn of(inputs: &Inputs<'_>) -> Self {
        Self {
            policies: inputs.resources.backend_policies.clone(),
            names: inputs.names.clone(),
            options: inputs.options.clone(),
        }
    }

    fn is_of(&self, inputs: &Inputs<'_>) -> bool {
        self.policies.is_same(&inputs.resources.backend_policies)
            && self.names == *inputs.names
            && self.options == *inputs.options
    }
}
