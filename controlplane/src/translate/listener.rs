//! Listeners of a Gateway or a ListenerSet: what each can carry. Which of them exclude each other
//! stands in `conflict`.

use std::sync::Arc;

use ringgate_core::ir::{self, Hostname, Id, ObjectName};

use super::gateway::GatewayDraft;
use super::grant;
use super::problem::{Concern, Fault, Finding};
use super::verdict::{ListenerVerdict, first};
use crate::api::gateway::{
    AllowedRoutes, FromNamespaces, Listener, ListenerFilters, ListenerProtocol, ListenerTls,
    RouteGroupKind, TlsMode,
};
use crate::api::reference::SecretObjectReference;
use crate::api::text::{Group, KindName};
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;

/// A listener, decided but for what attaches to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ListenerDraft {
    pub(super) id: Id,
    /// The Gateway or the ListenerSet that it stands in.
    pub(super) owner: ObjectKey,
    /// Among the owner's.
    pub(super) name: Arc<str>,
    pub(super) port: u16,
    pub(super) protocol: ListenerProtocol,
    pub(super) hostname: Hostname,
    pub(super) allowed: AllowedRoutes,
    pub(super) supported_kinds: Vec<RouteGroupKind>,
    pub(super) findings: Vec<Finding>,
    pub(super) field: String,
}

impl ListenerDraft {
    pub(super) fn is_accepted(&self) -> bool {
        first(&self.findings, Concern::Accepted).is_none()
            && first(&self.findings, Concern::Conflicted).is_none()
    }

    pub(super) fn supports(&self, kind: ObjectKind) -> bool {
        self.supported_kinds.iter().any(|one| is_kind(one, kind))
    }

    /// `settings` are those of the policies that target it.
    pub(super) fn translate(
        &self,
        gateway: &GatewayDraft,
        settings: ir::ListenerSettings,
    ) -> ir::Object {
        let bound = gateway.bound_port(self.port).unwrap_or(self.port);
        ir::Object::Listener(ir::Listener {
            gateway: gateway.name.clone(),
            name: name_within_gateway(&self.owner, &self.name),
            addresses: gateway.addresses.clone(),
            port: bound,
            public_port: (bound != self.port).then_some(self.port),
            protocol: ir::Protocol::Http,
            hostname: self.hostname.clone(),
            client_certificate: None,
            settings,
        })
    }
}

/// A set's listener may have the name of a Gateway's, so it is `namespace/set/listener` there.
fn name_within_gateway(owner: &ObjectKey, listener: &Arc<str>) -> Arc<str> {
    match owner.kind {
        ObjectKind::ListenerSet => format!("{}/{listener}", owner.name).into(),
        _ => listener.clone(),
    }
}

/// The listeners that `owner` adds to `gateway`.
pub(super) fn drafts(
    gateway: &ObjectName,
    owner: &ObjectKey,
    listeners: &[Listener],
    resources: &Resources,
) -> Vec<ListenerDraft> {
    let listeners = listeners.iter().enumerate();
    listeners
        .map(|(place, listener)| {
            let field = format!("spec.listeners[{place}]");
            draft(gateway, owner, field, listener, resources)
        })
        .collect()
}

/// `attached` counts the routes of each listener, in their order.
pub(super) fn verdicts(
    gateway: &GatewayDraft,
    listeners: &[ListenerDraft],
    attached: &[u32],
) -> Vec<ListenerVerdict> {
    let listeners = listeners.iter().zip(attached);
    listeners
        .map(|(listener, attached)| ListenerVerdict {
            id: listener.id.clone(),
            name: listener.name.clone(),
            port: listener.port,
            protocol: listener.protocol.as_str().into(),
            hostname: listener.hostname.clone(),
            supported_kinds: listener.supported_kinds.clone(),
            attached_routes: *attached,
            in_force: gateway.is_valid(listener),
            findings: listener.findings.clone(),
        })
        .collect()
}

fn draft(
    gateway: &ObjectName,
    owner: &ObjectKey,
    field: String,
    listener: &Listener,
    resources: &Resources,
) -> ListenerDraft {
    let mut findings = Vec::new();
    let mut report = |part: &str, fault| {
        let field = format!("{field}.{part}");
        findings.push(Finding::new(owner.kind, &owner.name, field, fault));
    };
    if listener.protocol != ListenerProtocol::Http {
        report(
            "protocol",
            Fault::Protocol(listener.protocol.as_str().into()),
        );
    }
    let asks_filters = |filters: &ListenerFilters| !filters.requests.is_empty();
    if listener.filters.as_ref().is_some_and(asks_filters) {
        report("filters", Fault::Filter("listener filters".into()));
    }
    if let FromNamespaces::Unknown(text) = &listener.allowed_routes.namespaces.from {
        report("allowedRoutes.namespaces.from", Fault::Value(text.clone()));
    }
    let carried = carried(&listener.protocol);
    let wanted = &listener.allowed_routes.kinds;
    for (place, kind) in wanted.iter().enumerate() {
        if carried.as_ref() != Some(kind) {
            let part = format!("allowedRoutes.kinds[{place}]");
            report(&part, Fault::RouteKind(kind.kind.shared()));
        }
    }
    for (place, fault) in certificates(owner, listener.tls.as_ref(), resources) {
        report(&format!("tls.certificateRefs[{place}]"), fault);
    }
    let hostname = listener.hostname.as_ref().map(|one| one.get().clone());
    ListenerDraft {
        id: Id::listener(
            gateway,
            &name_within_gateway(owner, &listener.name.shared()),
        ),
        owner: owner.clone(),
        name: listener.name.shared(),
        port: listener.port.get(),
        protocol: listener.protocol.clone(),
        hostname: hostname.unwrap_or(Hostname::Any),
        allowed: listener.allowed_routes.clone(),
        supported_kinds: carried
            .into_iter()
            .filter(|kind| wanted.is_empty() || wanted.contains(kind))
            .collect(),
        findings,
        field,
    }
}

/// The kind of routes that a protocol can carry.
fn carried(protocol: &ListenerProtocol) -> Option<RouteGroupKind> {
    match protocol {
        // HTTPRoutes attach to HTTPS listeners, though these aren't in force yet.
        ListenerProtocol::Http | ListenerProtocol::Https => route_kind(ObjectKind::HttpRoute),
        _ => None,
    }
}

/// What is wrong with the references to certificates, by place.
fn certificates(
    owner: &ObjectKey,
    tls: Option<&ListenerTls>,
    resources: &Resources,
) -> Vec<(usize, Fault)> {
    let Some(tls) = tls.filter(|tls| tls.mode == TlsMode::Terminate) else {
        return Vec::new();
    };
    let references = tls.certificate_refs.iter().enumerate();
    references
        .filter_map(|(place, one)| Some((place, certificate(owner, one, resources)?)))
        .collect()
}

fn certificate(
    owner: &ObjectKey,
    reference: &SecretObjectReference,
    resources: &Resources,
) -> Option<Fault> {
    let kind = ObjectKind::Secret;
    if reference.group != *kind.group() || reference.kind != *kind.as_str() {
        let group = reference.group.shared();
        return Some(Fault::CertificateKind(match group.is_empty() {
            true => reference.kind.shared(),
            false => format!("{}.{group}", reference.kind.shared()).into(),
        }));
    }
    let namespace = reference.namespace.as_ref();
    let name = ObjectName {
        namespace: namespace.map_or_else(|| owner.name.namespace.clone(), |one| one.shared()),
        name: reference.name.shared(),
    };
    let from = (owner.kind, &*owner.name.namespace);
    if !grant::permits(resources, from, (kind, &name)) {
        let to = ObjectKey { kind, name };
        return Some(Fault::NotGranted {
            from: owner.kind,
            to,
        });
    }
    let Some(secret) = resources.secrets.get(&name) else {
        return Some(Fault::NoSecret(name));
    };
    let is_pem = |key: &str, label: &str| {
        let text = secret.data.get(key);
        let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.is_some_and(|text| text.contains("-----BEGIN ") && text.contains(label))
    };
    let parts = [
        ("tls.crt", "CERTIFICATE-----", "certificate (tls.crt)"),
        ("tls.key", "PRIVATE KEY-----", "private key (tls.key)"),
    ];
    let missing = parts.iter().find(|(key, label, _)| !is_pem(key, label));
    missing.map(|(_, _, missing)| Fault::NoCertificate {
        secret: name,
        missing,
    })
}

fn route_kind(kind: ObjectKind) -> Option<RouteGroupKind> {
    Some(RouteGroupKind {
        group: Group::parse(kind.group()).ok()?,
        kind: KindName::parse(kind.as_str()).ok()?,
    })
}

fn is_kind(one: &RouteGroupKind, kind: ObjectKind) -> bool {
    one.group == *kind.group() && one.kind == *kind.as_str()
}
