//! Our own policies: which one counts for a listener or a Service's port.
//!
//! Direct attachment (GEP-713): the oldest policy of a target counts, others are conflicted. What a
//! policy of a section sets goes over what the whole object's sets, field by field.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::{BackendSettings, ListenerSettings, ObjectName};

use super::backend_tls::BackendTlsPolicies;
use super::checks;
use super::gateway::{FoundParent, Gateways, Parent};
use super::problem::{Fault, Finding};
use super::verdict::{AncestorVerdict, PolicyVerdict};
use super::{created, generation};
use crate::api::meta::ObjectMeta;
use crate::api::policy::{
    BackendPolicy, BackendPolicySpec, BackendTimeouts, ListenerLimits, ListenerPolicy,
    ListenerPolicySpec, ListenerTimeouts,
};
use crate::api::reference::{ParentReference, PolicyTarget};
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;

/// A Gateway, ListenerSet or Service, or one of its sections.
pub(super) type Target = (ObjectKey, Option<Arc<str>>);

/// The policies that count, by target.
pub(super) struct Policies<'r> {
    listener: BTreeMap<Target, &'r Arc<ListenerPolicy>>,
    backend: BTreeMap<Target, &'r Arc<BackendPolicy>>,
    /// Of BackendTLSPolicies, by Service and port.
    pub(super) tls: BackendTlsPolicies,
    /// But for those of `tls`.
    pub(super) verdicts: BTreeMap<ObjectKey, PolicyVerdict>,
}

impl<'r> Policies<'r> {
    pub(super) fn decide(resources: &'r Resources, gateways: &Gateways) -> Self {
        let mut verdicts = BTreeMap::new();
        let listener = choose(
            ObjectKind::ListenerPolicy,
            resources.listener_policies.values(),
            |policy| (&policy.metadata, policy.spec.target_refs.as_slice()),
            |namespace, target| find_listener(gateways, namespace, target),
            &mut verdicts,
        );
        let backend = choose(
            ObjectKind::BackendPolicy,
            resources.backend_policies.values(),
            |policy| (&policy.metadata, policy.spec.target_refs.as_slice()),
            |namespace, target| find_service(resources, namespace, target),
            &mut verdicts,
        );
        checks::judge(resources, &backend, &mut verdicts);
        Self {
            listener,
            backend,
            tls: BackendTlsPolicies::decide(resources),
            verdicts,
        }
    }

    /// A set's own policy goes over that of its Gateway as a whole.
    pub(super) fn listener_settings(
        &self,
        parent: &Parent<'_>,
        listener: &Arc<str>,
    ) -> ListenerSettings {
        if self.listener.is_empty() {
            return ListenerSettings::default();
        }
        let gateway = ObjectKey {
            kind: ObjectKind::Gateway,
            name: parent.site.name.clone(),
        };
        let inherited = (gateway != parent.key).then_some((gateway, None));
        let section = (parent.key.clone(), Some(listener.clone()));
        let whole = (parent.key.clone(), None);
        let targets = [Some(section), Some(whole), inherited];
        let policies = targets.iter().flatten();
        let policies = policies.filter_map(|target| self.listener.get(target));
        let specs = policies.map(|policy| policy.spec.clone());
        let merged = specs.reduce(|above, below| listener_over(&above, &below));
        merged.map_or_else(ListenerSettings::default, |spec| spec.settings())
    }

    /// `port` is the port's name, where it has one.
    pub(super) fn backend_settings(
        &self,
        service: &ObjectName,
        port: Option<&Arc<str>>,
    ) -> BackendSettings {
        if self.backend.is_empty() {
            return BackendSettings::default();
        }
        let service = ObjectKey {
            kind: ObjectKind::Service,
            name: service.clone(),
        };
        let section =
            port.and_then(|port| self.backend.get(&(service.clone(), Some(port.clone()))));
        let whole = self.backend.get(&(service, None));
        match (section, whole) {
            (Some(section), Some(whole)) => backend_over(&section.spec, &whole.spec).settings(),
            (Some(one), None) | (None, Some(one)) => one.spec.settings(),
            (None, None) => BackendSettings::default(),
        }
    }
}

/// A target that is there; none when it belongs to another controller.
pub(super) type Presence = Result<Option<ObjectKey>, (&'static str, Fault)>;

/// Takes the policies of one kind in order of age, and gives each target to the first that names it.
fn choose<'r, P>(
    kind: ObjectKind,
    policies: impl Iterator<Item = &'r Arc<P>>,
    parts: impl Fn(&'r P) -> (&'r ObjectMeta, &'r [PolicyTarget]),
    find: impl Fn(&str, &PolicyTarget) -> Presence,
    verdicts: &mut BTreeMap<ObjectKey, PolicyVerdict>,
) -> BTreeMap<Target, &'r Arc<P>> {
    let mut policies: Vec<_> = policies.collect();
    policies.sort_by_key(|policy| {
        let (metadata, _) = parts(policy);
        (created(metadata), metadata.object_name())
    });
    let mut chosen: BTreeMap<Target, &'r Arc<P>> = BTreeMap::new();
    for policy in policies {
        let (metadata, targets) = parts(policy);
        let name = metadata.object_name();
        let mut judged = Vec::new();
        for (place, target) in targets.iter().enumerate() {
            let fault = match find(&name.namespace, target) {
                Ok(None) => continue,
                Err(fault) => Some(fault),
                Ok(Some(found)) => {
                    let section = target.section_name.as_ref().map(|one| one.shared());
                    let first = *chosen.entry((found, section)).or_insert(policy);
                    let with = parts(first).0.object_name();
                    let is_other = !Arc::ptr_eq(first, policy);
                    is_other.then_some(("", Fault::PolicyConflict { with }))
                }
            };
            let refused = fault.map(|(part, fault)| {
                let field = format!("spec.targetRefs[{place}]{part}");
                Finding::new(kind, &name, field, fault)
            });
            judged.push(AncestorVerdict {
                ancestor: ParentReference::target(&name.namespace, target),
                findings: refused.into_iter().collect(),
            });
        }
        let verdict = PolicyVerdict {
            generation: generation(metadata),
            has_references: false,
            ancestors: judged,
        };
        verdicts.insert(ObjectKey { kind, name }, verdict);
    }
    chosen
}

fn require_kind(target: &PolicyTarget, kind: ObjectKind) -> Result<(), (&'static str, Fault)> {
    if is_of(target, kind) {
        return Ok(());
    }
    Err((".kind", Fault::PolicyTargetKind(target.kind.shared())))
}

fn is_of(target: &PolicyTarget, kind: ObjectKind) -> bool {
    target.group == *kind.group() && target.kind == *kind.as_str()
}

/// The target of a ListenerPolicy is a Gateway or a ListenerSet.
pub(super) fn find_listener(
    gateways: &Gateways,
    namespace: &str,
    target: &PolicyTarget,
) -> Presence {
    let kind = match is_of(target, ObjectKind::ListenerSet) {
        true => ObjectKind::ListenerSet,
        false => ObjectKind::Gateway,
    };
    require_kind(target, kind)?;
    let key = ObjectKey::new(kind, namespace, &target.name);
    let parent = match gateways.find_parent(&key) {
        FoundParent::Ours(parent) => parent,
        FoundParent::Foreign => return Ok(None),
        FoundParent::Nothing => return Err((".name", Fault::NoPolicyTarget(target.name.shared()))),
    };
    match &target.section_name {
        Some(section) if !parent.listeners.iter().any(|one| *section == *one.name) => {
            Err((".sectionName", Fault::NoPolicyTarget(section.shared())))
        }
        _ => Ok(Some(parent.key)),
    }
}

pub(super) fn find_service(
    resources: &Resources,
    namespace: &str,
    target: &PolicyTarget,
) -> Presence {
    require_kind(target, ObjectKind::Service)?;
    let name = ObjectName::new(namespace, &target.name);
    let Some(service) = resources.services.get(&name) else {
        return Err((".name", Fault::NoPolicyTarget(target.name.shared())));
    };
    let has_port = |section: &str| {
        let mut names = service
            .spec
            .ports
            .iter()
            .filter_map(|port| port.name.as_deref());
        names.any(|name| name == section)
    };
    match &target.section_name {
        Some(section) if !has_port(section) => {
            Err((".sectionName", Fault::NoPolicyTarget(section.shared())))
        }
        _ => Ok(Some(ObjectKey {
            kind: ObjectKind::Service,
            name,
        })),
    }
}

fn listener_over(section: &ListenerPolicySpec, whole: &ListenerPolicySpec) -> ListenerPolicySpec {
    let (above, below) = (&section.timeouts, &whole.timeouts);
    let timeouts = ListenerTimeouts {
        header: above.header.or(below.header),
        keep_alive: above.keep_alive.or(below.keep_alive),
        idle: above.idle.or(below.idle),
        tunnel_idle: above.tunnel_idle.or(below.tunnel_idle),
        session_idle: above.session_idle.or(below.session_idle),
    };
    let (above, below) = (&section.limits, &whole.limits);
    let limits = ListenerLimits {
        request_line: above.request_line.or(below.request_line),
        headers: above.headers.or(below.headers),
        header_fields: above.header_fields.or(below.header_fields),
        body: above.body.or(below.body),
        connections: above.connections.or(below.connections),
        sessions: above.sessions.or(below.sessions),
    };
    let proxies = [&section.trusted_proxies, &whole.trusted_proxies];
    let trusted_proxies = proxies.into_iter().find(|list| !list.is_empty());
    let protocol = section.proxy_protocol.as_ref();
    ListenerPolicySpec {
        target_refs: Vec::new(),
        timeouts,
        limits,
        trusted_proxies: trusted_proxies.cloned().unwrap_or_default(),
        proxy_protocol: protocol.or(whole.proxy_protocol.as_ref()).cloned(),
        access_log: section.access_log.or(whole.access_log),
        http2: section.http2.or(whole.http2),
        server: section.server.as_ref().or(whole.server.as_ref()).cloned(),
        via: section.via.as_ref().or(whole.via.as_ref()).cloned(),
    }
}

fn backend_over(section: &BackendPolicySpec, whole: &BackendPolicySpec) -> BackendPolicySpec {
    let (above, below) = (&section.timeouts, &whole.timeouts);
    BackendPolicySpec {
        target_refs: Vec::new(),
        balance: section.balance.as_ref().or(whole.balance.as_ref()).cloned(),
        hash_by: section.hash_by.as_ref().or(whole.hash_by.as_ref()).cloned(),
        slow_start: section.slow_start.or(whole.slow_start),
        timeouts: BackendTimeouts {
            connect: above.connect.or(below.connect),
            idle: above.idle.or(below.idle),
            keep_alive: above.keep_alive.or(below.keep_alive),
        },
        max_connections: section.max_connections.or(whole.max_connections),
        proxy_protocol: (section.proxy_protocol.as_ref())
            .or(whole.proxy_protocol.as_ref())
            .cloned(),
        // Each says one thing by all of its fields: those of two would say a third.
        health_check: (section.health_check.as_ref())
            .or(whole.health_check.as_ref())
            .cloned(),
        outlier_detection: section.outlier_detection.or(whole.outlier_detection),
    }
}
