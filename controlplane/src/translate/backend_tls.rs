//! BackendTLSPolicies: which one counts for a Service's port, and what it makes of the backend.
//!
//! A policy that counts and can't be carried out leaves its backend with nobody to believe: requests
//! fail, none goes out in plain text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringgate_core::ir::{BackendTls, ObjectName, SubjectName, Trust};

use super::backend::{self, ServicePortName};
use super::certificate;
use super::gateway::Gateways;
use super::memory::Memory;
use super::policy::find_service;
use super::problem::{Concern, Fault, Finding, Purpose};
use super::verdict::{AncestorVerdict, PolicyVerdict, first};
use super::{created, generation, tls};
use crate::api::backend_tls::{
    BackendTlsPolicy, BackendTlsValidation, SubjectAltName, SubjectAltNameType,
    WellKnownAuthorities,
};
use crate::api::reference::{ObjectReference, ParentReference};
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;

const KIND: ObjectKind = ObjectKind::BackendTlsPolicy;

/// How many ancestors a policy's status has room for.
pub(super) const ANCESTORS: usize = 16;

/// A Service, or one of its ports.
type Target = (ObjectName, Option<Arc<str>>);

/// TLS to a backend, and what holds its authorities.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ToBackend {
    pub(super) tls: BackendTls,
    pub(super) holders: Vec<ObjectKey>,
}

/// What was decided about all policies.
#[derive(Clone, Debug, Default)]
pub(super) struct BackendTlsPolicies {
    chosen: BTreeMap<Target, Arc<ToBackend>>,
    drafts: Vec<Draft>,
}

#[derive(Clone, Debug)]
struct Draft {
    name: ObjectName,
    generation: i64,
    /// Of the policy, whatever it targets.
    findings: Vec<Finding>,
    /// Services, and why the policy doesn't count there.
    targets: Vec<(ObjectName, Option<Finding>)>,
}

impl BackendTlsPolicies {
    /// Of several policies for one target the oldest counts, then the one whose name comes first.
    pub(super) fn decide(resources: &Resources) -> Self {
        let mut policies: Vec<_> = resources.backend_tls_policies.iter().collect();
        policies.sort_by_key(|(name, policy)| (created(&policy.metadata), *name));
        let mut decided = Self::default();
        let mut owners: BTreeMap<Target, &ObjectName> = BTreeMap::new();
        for (name, policy) in policies {
            let (to_backend, findings) = validation(name, policy, resources);
            let to_backend = Arc::new(to_backend);
            let mut targets = Vec::new();
            for (place, target) in policy.spec.target_refs.iter().enumerate() {
                let service = ObjectName::new(&name.namespace, &target.name);
                let fault = match find_service(resources, &name.namespace, target) {
                    Err(fault) => Some(fault),
                    Ok(_) => {
                        let section = target.section_name.as_ref().map(|one| one.shared());
                        let target = (service.clone(), section);
                        let owner = *owners.entry(target.clone()).or_insert(name);
                        if owner == name {
                            decided.chosen.insert(target, to_backend.clone());
                        }
                        let with = owner.clone();
                        (owner != name).then_some(("", Fault::PolicyConflict { with }))
                    }
                };
                let refused = fault.map(|(part, fault)| {
                    let field = format!("spec.targetRefs[{place}]{part}");
                    Finding::new(KIND, name, field, fault)
                });
                targets.push((service, refused));
            }
            decided.drafts.push(Draft {
                name: name.clone(),
                generation: generation(&policy.metadata),
                findings,
                targets,
            });
        }
        decided
    }

    /// A policy for the port goes before one for the whole Service. `port` is the port's name.
    pub(super) fn of_port(
        &self,
        service: &ObjectName,
        port: Option<&Arc<str>>,
    ) -> Option<&Arc<ToBackend>> {
        if self.chosen.is_empty() {
            return None;
        }
        let target = |section| self.chosen.get(&(service.clone(), section));
        let section = port.and_then(|port| target(Some(port.clone())));
        section.or_else(|| target(None))
    }

    pub(super) fn of_backend(
        &self,
        resources: &Resources,
        backend: &ServicePortName,
    ) -> Option<&Arc<ToBackend>> {
        let port = || backend::port_name(resources, backend);
        match self.chosen.is_empty() {
            true => None,
            false => self.of_port(&backend.service, port().as_ref()),
        }
    }

    /// What counts for each target.
    pub(super) fn chosen(&self) -> &BTreeMap<Target, Arc<ToBackend>> {
        &self.chosen
    }

    /// One for each Gateway with routes that lead to a target. `told`: also what concerns none.
    pub(super) fn verdicts(
        &self,
        memory: &Memory,
        gateways: &Gateways,
        told: bool,
    ) -> (BTreeMap<ObjectKey, PolicyVerdict>, Vec<Finding>) {
        let (mut verdicts, mut others) = (BTreeMap::new(), Vec::new());
        if self.drafts.is_empty() {
            return (verdicts, others);
        }
        let users = self.users(memory, gateways);
        for draft in &self.drafts {
            let verdict = draft.verdict(&users);
            if told && verdict.ancestors.is_empty() {
                others.extend(draft.all_findings().cloned());
            }
            let name = draft.name.clone();
            verdicts.insert(ObjectKey { kind: KIND, name }, verdict);
        }
        (verdicts, others)
    }

    /// The Gateways whose routes lead to each Service that is a target.
    fn users<'g>(
        &self,
        memory: &Memory,
        gateways: &'g Gateways,
    ) -> BTreeMap<ObjectName, BTreeSet<&'g ObjectName>> {
        let targets = self.drafts.iter().flat_map(|draft| &draft.targets);
        let mut users = BTreeMap::new();
        for (service, _) in targets {
            let users = users.entry(service.clone());
            users.or_insert_with(|| gateways_using(service, gateways, memory));
        }
        users
    }
}

/// Those whose routes lead to a Service.
pub(super) fn gateways_using<'g>(
    service: &ObjectName,
    gateways: &'g Gateways,
    memory: &Memory,
) -> BTreeSet<&'g ObjectName> {
    let routes = memory.routes_to(service);
    let listeners = routes.flat_map(|route| &route.listeners);
    let parents = listeners.filter_map(|(parent, _)| gateways.parent(parent));
    parents.map(|parent| &parent.site.name).collect()
}

impl Draft {
    fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        let of_targets = self.targets.iter().filter_map(|(_, one)| one.as_ref());
        self.findings.iter().chain(of_targets)
    }

    fn verdict(&self, users: &BTreeMap<ObjectName, BTreeSet<&ObjectName>>) -> PolicyVerdict {
        let mut ancestors: BTreeMap<&ObjectName, Vec<Finding>> = BTreeMap::new();
        for (service, refused) in &self.targets {
            for gateway in users.get(service).into_iter().flatten() {
                let findings = ancestors.entry(gateway);
                let findings = findings.or_insert_with(|| self.findings.clone());
                findings.extend(refused.clone());
            }
        }
        let ancestors = ancestors.into_iter().take(ANCESTORS);
        PolicyVerdict {
            generation: self.generation,
            has_references: true,
            ancestors: ancestors
                .filter_map(|(gateway, findings)| {
                    let ancestor = ParentReference::gateway(gateway)?;
                    Some(AncestorVerdict { ancestor, findings })
                })
                .collect(),
        }
    }
}

fn validation(
    name: &ObjectName,
    policy: &BackendTlsPolicy,
    resources: &Resources,
) -> (ToBackend, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut report = |part: &str, fault| {
        let field = format!("spec.{part}");
        findings.push(Finding::new(KIND, name, field, fault));
    };
    let validation = &policy.spec.validation;
    let (mut trust, mut holders) = trust(name, validation, resources, &mut report);
    let mut names = Vec::new();
    for (place, one) in validation.subject_alt_names.iter().enumerate() {
        match subject_name(one) {
            Ok(one) => names.push(one),
            Err(fault) => report(&format!("validation.subjectAltNames[{place}]"), fault),
        }
    }
    for key in policy.spec.options.keys() {
        report(&format!("options[{key:?}]"), tls::unknown_option(key));
    }
    if first(&findings, Concern::Accepted).is_some() {
        (trust, holders) = (Trust::Authorities(Vec::new()), Vec::new());
    }
    let tls = BackendTls {
        hostname: validation.hostname.shared(),
        trust,
        names,
    };
    (ToBackend { tls, holders }, findings)
}

/// Whom to believe, and what holds their certificates.
fn trust(
    name: &ObjectName,
    validation: &BackendTlsValidation,
    resources: &Resources,
    report: &mut dyn FnMut(&str, Fault),
) -> (Trust, Vec<ObjectKey>) {
    let references = &validation.ca_certificate_refs;
    match &validation.well_known {
        Some(WellKnownAuthorities::System) if references.is_empty() => {
            return (Trust::System, Vec::new());
        }
        Some(WellKnownAuthorities::Unknown(text)) if references.is_empty() => {
            let fault = Fault::WellKnownAuthorities(text.clone());
            report("validation.wellKnownCACertificates", fault);
            return (Trust::Authorities(Vec::new()), Vec::new());
        }
        _ => {}
    }
    let owner = ObjectKey {
        kind: KIND,
        name: name.clone(),
    };
    let mut holders: Vec<ObjectKey> = Vec::new();
    for (place, reference) in references.iter().enumerate() {
        let reference = ObjectReference {
            group: reference.group.clone(),
            kind: reference.kind.clone(),
            name: reference.name.clone(),
            namespace: None,
        };
        let purpose = Purpose::BackendAuthority;
        match certificate::find_authorities(resources, &owner, purpose, &reference) {
            Ok(found) if holders.contains(&found) => {}
            Ok(found) => holders.push(found),
            Err(fault) => report(&format!("validation.caCertificateRefs[{place}]"), fault),
        }
    }
    if holders.is_empty() {
        report("validation.caCertificateRefs", Fault::NoAuthorities);
    }
    let ids = holders.iter().map(certificate::authorities_id).collect();
    (Trust::Authorities(ids), holders)
}

fn subject_name(name: &SubjectAltName) -> Result<SubjectName, Fault> {
    let missing = |field: &str| Fault::Value(format!("{} without {field}", name.name_type).into());
    match &name.name_type {
        SubjectAltNameType::Hostname => match &name.hostname {
            Some(host) => Ok(SubjectName::Dns(host.get().to_string().into())),
            None => Err(missing("hostname")),
        },
        SubjectAltNameType::Uri => match &name.uri {
            Some(uri) => Ok(SubjectName::Uri(uri.shared())),
            None => Err(missing("uri")),
        },
        SubjectAltNameType::Unknown(text) => Err(Fault::Value(text.clone())),
    }
}
