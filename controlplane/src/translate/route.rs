//! What routes of every kind have in common: where they want to attach, and what becomes of their rules.
//! What a rule of one kind does stands in the module of that kind.

use ringgate_core::ir::{Attachment, BackendProtocol, Id, Object, ObjectName};

use super::Inputs;
use super::backend::{self, ServicePortName};
use super::backend_tls::BackendTlsPolicies;
use super::problem::{Fault, Finding};
use super::verdict::RulesVerdict;
use crate::api::ObjectKind;
use crate::api::reference::BackendObjectReference;
use crate::api::route::{Route, RouteRule};
use crate::store::{ByName, Resources};

/// A kind of routes, by its rules. The same attaching, remembering and judging serves all of them.
pub(super) trait RouteKind: RouteRule {
    const KIND: ObjectKind;
    /// To Services' ports that say nothing of it.
    const SPEAKS: BackendProtocol;
    /// As data planes know it.
    type Rule;

    fn all(resources: &Resources) -> &ByName<Route<Self>>;

    /// None: which traffic it is for can't be told, and it is left out.
    fn translate(&self, wanted: &mut Wanted<'_>) -> Option<Self::Rule>;

    fn id(name: &ObjectName) -> Id;

    fn object(placed: Placed, rules: Vec<Self::Rule>) -> Object;
}

/// A route that is in force, but for its rules.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) name: ObjectName,
    /// Seconds since 1970.
    pub(super) created: u64,
    pub(super) attachments: Vec<Attachment>,
}

/// A route's rules, whatever it attaches to.
#[derive(Debug)]
pub(super) struct Rules<R> {
    /// Those that are understood.
    pub(super) rules: Vec<R>,
    pub(super) verdict: RulesVerdict,
    /// Every Service's port that some rule sends to, each once.
    pub(super) backends: Vec<ServicePortName>,
    /// Every Service that was looked for, found or not: what the result depends on.
    pub(super) looked_for: Vec<ObjectName>,
}

pub(super) fn rules<R: RouteKind>(
    name: &ObjectName,
    route: &Route<R>,
    inputs: &Inputs<'_>,
    tls: &BackendTlsPolicies,
) -> Rules<R::Rule> {
    let mut wanted = Wanted {
        kind: R::KIND,
        speaks: R::SPEAKS,
        route: name,
        inputs,
        tls,
        findings: Vec::new(),
        backends: Vec::new(),
        looked_for: Vec::new(),
        field: String::new(),
        is_broken: false,
    };
    let all = &route.spec.rules;
    let mut rules = Vec::with_capacity(all.len());
    let mut broken = Vec::new();
    for (place, rule) in all.iter().enumerate() {
        wanted.field = format!("spec.rules[{place}]");
        wanted.is_broken = false;
        rules.extend(rule.translate(&mut wanted));
        if wanted.is_broken {
            broken.push(place);
        }
    }
    Rules {
        rules,
        verdict: RulesVerdict {
            count: all.len(),
            broken,
            findings: wanted.findings,
        },
        backends: wanted.backends,
        looked_for: wanted.looked_for,
    }
}

/// What a route asks for beside its own text, and what was wrong with it.
pub(super) struct Wanted<'r> {
    kind: ObjectKind,
    speaks: BackendProtocol,
    route: &'r ObjectName,
    inputs: &'r Inputs<'r>,
    tls: &'r BackendTlsPolicies,
    findings: Vec<Finding>,
    backends: Vec<ServicePortName>,
    looked_for: Vec<ObjectName>,
    /// Of the part that is being translated.
    pub(super) field: String,
    /// The rule that is being translated can't be carried out.
    pub(super) is_broken: bool,
}

impl Wanted<'_> {
    /// The backend that a reference leads to; where to nothing, that is reported.
    pub(super) fn backend(
        &mut self,
        field: &str,
        reference: &BackendObjectReference,
    ) -> Option<Id> {
        let namespace = &self.route.namespace;
        if reference.is_service() {
            let service = backend::target(namespace, reference);
            if !self.looked_for.contains(&service) {
                self.looked_for.push(service);
            }
        }
        let from = (self.kind, namespace);
        match backend::resolve(self.inputs, self.tls, from, reference, self.speaks) {
            Ok(found) => {
                let id = found.id();
                if !self.backends.contains(&found) {
                    self.backends.push(found);
                }
                Some(id)
            }
            Err(fault) => {
                self.report(field, fault);
                None
            }
        }
    }

    /// Reports what breaks the rule.
    pub(super) fn fault(&mut self, part: &str, fault: Fault) {
        self.is_broken = true;
        self.report(part, fault);
    }

    fn report(&mut self, part: &str, fault: Fault) {
        let field = format!("{}.{part}", self.field);
        let finding = Finding::new(self.kind, self.route, field, fault);
        self.findings.push(finding);
    }
}
