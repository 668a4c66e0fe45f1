//! Listeners of a Gateway or a ListenerSet: what each can carry. Which of them exclude each other
//! stands in `conflict`.

use std::sync::Arc;

use ringgate_core::ir::{self, Hostname, Id};

use super::frontend::Frontend;
use super::gateway::Site;
use super::problem::{Concern, Fault, Finding};
use super::tls::{self, TlsDraft};
use super::verdict::{ListenerVerdict, first};
use crate::api::gateway::{
    AllowedRoutes, FromNamespaces, Listener, ListenerFilters, ListenerProtocol, PortPlace,
    RouteGroupKind,
};
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
    /// Of those that terminate it.
    pub(super) tls: Option<TlsDraft>,
    /// Another one that terminates TLS has hostnames in common with it.
    pub(super) overlaps: bool,
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

    /// Whether it could take connections: one that terminates TLS needs a certificate, or the hope that
    /// a data plane has one from before.
    pub(super) fn can_serve(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_none_or(|tls| !tls.certificates.is_empty())
    }

    /// Which of its address's ports it takes.
    pub(super) fn place(&self) -> PortPlace {
        (self.protocol.ip_protocol(), self.port)
    }

    fn lacks_certificate(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.has_usable)
    }

    pub(super) fn supports(&self, kind: ObjectKind) -> bool {
        self.supported_kinds.iter().any(|one| is_kind(one, kind))
    }

    /// `settings` are those of the policies that target it.
    pub(super) fn translate(&self, site: &Site, settings: ir::ListenerSettings) -> ir::Object {
        let bound = site.bound_port(self.place()).unwrap_or(self.port);
        ir::Object::Listener(ir::Listener {
            gateway: site.name.clone(),
            name: name_within_gateway(&self.owner, &self.name),
            addresses: site.addresses.clone(),
            port: bound,
            public_port: (bound != self.port).then_some(self.port),
            protocol: self.speaks(),
            hostname: self.hostname.clone(),
            client_certificate: site.client_certificate.as_ref().map(Id::certificate),
            settings,
        })
    }
}

impl ListenerDraft {
    /// Without `tls` a listener of TLS passes it on.
    fn speaks(&self) -> ir::Protocol {
        match (&self.protocol, &self.tls) {
            (ListenerProtocol::Tls, Some(tls)) => ir::Protocol::Tls(tls.translate()),
            (ListenerProtocol::Tls, None) => ir::Protocol::TlsPassthrough,
            (ListenerProtocol::Tcp, _) => ir::Protocol::Tcp,
            (ListenerProtocol::Udp, _) => ir::Protocol::Udp,
            (_, Some(tls)) => ir::Protocol::Https(tls.translate()),
            (_, None) => ir::Protocol::Http,
        }
    }
}

/// A set's listener may have the name of a Gateway's, so it is `namespace/set/listener` there.
fn name_within_gateway(owner: &ObjectKey, listener: &Arc<str>) -> Arc<str> {
    match owner.kind {
        ObjectKind::ListenerSet => format!("{}/{listener}", owner.name).into(),
        _ => listener.clone(),
    }
}

/// The listeners that `owner` adds to the Gateway that `frontend` is of.
pub(super) fn drafts(
    frontend: Frontend<'_>,
    owner: &ObjectKey,
    listeners: &[Listener],
    resources: &Resources,
) -> Vec<ListenerDraft> {
    let listeners = listeners.iter().enumerate();
    listeners
        .map(|(place, listener)| {
            let field = format!("spec.listeners[{place}]");
            draft(frontend, owner, field, listener, resources)
        })
        .collect()
}

/// `attached` counts the routes of each listener, in their order.
pub(super) fn verdicts(
    site: &Site,
    listeners: &[ListenerDraft],
    attached: &[u32],
) -> Vec<ListenerVerdict> {
    let listeners = listeners.iter().zip(attached);
    listeners
        .map(|(listener, attached)| ListenerVerdict {
            id: listener.id.clone(),
            name: listener.name.clone(),
            port: listener.port,
            ip_protocol: listener.protocol.ip_protocol(),
            protocol: listener.protocol.as_str().into(),
            hostname: listener.hostname.clone(),
            supported_kinds: listener.supported_kinds.clone(),
            attached_routes: *attached,
            in_force: site.is_valid(listener),
            lacks_certificate: listener.lacks_certificate(),
            overlaps: listener.overlaps,
            findings: listener.findings.clone(),
        })
        .collect()
}

fn draft(
    frontend: Frontend<'_>,
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
    let carried = carried(&listener.protocol);
    if carried.is_empty() {
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
    let wanted = &listener.allowed_routes.kinds;
    for (place, kind) in wanted.iter().enumerate() {
        if !carried.iter().any(|one| is_kind(kind, *one)) {
            let part = format!("allowedRoutes.kinds[{place}]");
            let kind = kind.kind.shared();
            report(&part, Fault::RouteKind { kind, carried });
        }
    }
    let ends_tls = tls::ends(listener);
    let mut tls = ends_tls.then(|| tls::decide(owner, listener, resources, &mut report));
    if let Some(tls) = &mut tls {
        tls.clients = frontend.clients(listener.port.get(), resources, &mut findings);
    }
    let hostname = listener.hostname.as_ref().map(|one| one.get().clone());
    ListenerDraft {
        id: Id::listener(
            &frontend.gateway.name,
            &name_within_gateway(owner, &listener.name.shared()),
        ),
        owner: owner.clone(),
        name: listener.name.shared(),
        port: listener.port.get(),
        protocol: listener.protocol.clone(),
        hostname: hostname.unwrap_or(Hostname::Any),
        tls,
        overlaps: false,
        allowed: listener.allowed_routes.clone(),
        supported_kinds: carried
            .iter()
            .filter_map(|kind| route_kind(*kind))
            .filter(|kind| wanted.is_empty() || wanted.contains(kind))
            .collect(),
        findings,
        field,
    }
}

/// The kinds of routes that a protocol can carry.
fn carried(protocol: &ListenerProtocol) -> &'static [ObjectKind] {
    match protocol {
        ListenerProtocol::Http | ListenerProtocol::Https => {
            &[ObjectKind::HttpRoute, ObjectKind::GrpcRoute]
        }
        ListenerProtocol::Tls => &[ObjectKind::TlsRoute],
        ListenerProtocol::Tcp => &[ObjectKind::TcpRoute],
        ListenerProtocol::Udp => &[ObjectKind::UdpRoute],
        ListenerProtocol::Other(_) => &[],
    }
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
