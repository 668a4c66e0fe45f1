//! A Gateway's listeners: what each can carry, and which of them exclude each other.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::{self, Hostname, Id, ObjectName};

use super::gateway::GatewayDraft;
use super::problem::{Concern, Fault, Finding, ListenerName};
use super::verdict::first;
use crate::api::ObjectKind;
use crate::api::gateway::{
    AllowedRoutes, FromNamespaces, Gateway, Listener, ListenerProtocol, RouteGroupKind,
};
use crate::api::text::{Group, KindName};

/// A listener, decided but for what attaches to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ListenerDraft {
    pub(super) id: Id,
    pub(super) name: Arc<str>,
    pub(super) port: u16,
    pub(super) protocol: ListenerProtocol,
    pub(super) hostname: Hostname,
    pub(super) allowed: AllowedRoutes,
    pub(super) supported_kinds: Vec<RouteGroupKind>,
    pub(super) findings: Vec<Finding>,
    field: String,
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
        ir::Object::Listener(ir::Listener {
            gateway: gateway.name.clone(),
            name: self.name.clone(),
            addresses: gateway.addresses.clone(),
            port: self.port,
            protocol: ir::Protocol::Http,
            hostname: self.hostname.clone(),
            settings,
        })
    }
}

pub(super) fn drafts(name: &ObjectName, gateway: &Gateway) -> Vec<ListenerDraft> {
    let listeners = gateway.spec.listeners.iter().enumerate();
    listeners
        .map(|(place, listener)| draft(name, format!("spec.listeners[{place}]"), listener))
        .collect()
}

fn draft(gateway: &ObjectName, field: String, listener: &Listener) -> ListenerDraft {
    let mut findings = Vec::new();
    let mut report = |part: &str, fault| {
        let field = format!("{field}.{part}");
        findings.push(Finding::new(ObjectKind::Gateway, gateway, field, fault));
    };
    if listener.protocol != ListenerProtocol::Http {
        report(
            "protocol",
            Fault::Protocol(listener.protocol.as_str().into()),
        );
    }
    let asks_filters =
        |filters: &crate::api::gateway::ListenerFilters| !filters.requests.is_empty();
    if listener.filters.as_ref().is_some_and(asks_filters) {
        report("filters", Fault::Filter("listener filters".into()));
    }
    if let FromNamespaces::Unknown(text) = &listener.allowed_routes.namespaces.from {
        report("allowedRoutes.namespaces.from", Fault::Value(text.clone()));
    }
    let wanted = &listener.allowed_routes.kinds;
    for (place, kind) in wanted.iter().enumerate() {
        if !is_kind(kind, ObjectKind::HttpRoute) {
            let part = format!("allowedRoutes.kinds[{place}]");
            report(&part, Fault::RouteKind(kind.kind.shared()));
        }
    }
    let hostname = listener.hostname.as_ref().map(|one| one.get().clone());
    ListenerDraft {
        id: Id::listener(gateway, &listener.name),
        name: listener.name.shared(),
        port: listener.port.get(),
        protocol: listener.protocol.clone(),
        hostname: hostname.unwrap_or(Hostname::Any),
        allowed: listener.allowed_routes.clone(),
        supported_kinds: supported(&listener.protocol, wanted),
        findings,
        field,
    }
}

/// Of the kinds that a protocol can carry, those that the listener asks for (none: all).
fn supported(protocol: &ListenerProtocol, wanted: &[RouteGroupKind]) -> Vec<RouteGroupKind> {
    let carried = match protocol {
        ListenerProtocol::Http => route_kind(ObjectKind::HttpRoute),
        _ => None,
    };
    carried
        .into_iter()
        .filter(|kind| wanted.is_empty() || wanted.contains(kind))
        .collect()
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

/// Marks listeners that can't stand beside each other. Within a Gateway all of them fall (Gateway
/// API, "Handling indistinct Listeners"); between Gateways that share an address, the older's stands.
pub(super) fn find_conflicts(gateways: &mut [GatewayDraft]) {
    for gateway in &mut *gateways {
        find_own_conflicts(gateway);
    }
    let mut order: Vec<usize> = (0..gateways.len()).collect();
    order.sort_by(|a, b| gateways[*a].age().cmp(&gateways[*b].age()));
    let mut taken = Taken::default();
    for place in order {
        let Some(gateway) = gateways.get_mut(place) else {
            continue;
        };
        if gateway.accepted {
            take_ports(gateway, &mut taken);
        }
    }
}

fn find_own_conflicts(gateway: &mut GatewayDraft) {
    let listeners = gateway.listeners.iter();
    let faults: Vec<Option<Fault>> = listeners
        .map(|one| {
            let others = gateway.listeners.iter().filter(|other| other.id != one.id);
            let mut faults = others.filter_map(|other| conflict(one, &gateway.name, other));
            faults.next()
        })
        .collect();
    for (listener, fault) in gateway.listeners.iter_mut().zip(faults) {
        listener.mark(&gateway.name, fault);
    }
}

/// An address (none: every one of the host) and a port.
type Bind = (Option<IpAddr>, u16);

/// Which listener of an older Gateway has an address and port already.
#[derive(Default)]
struct Taken {
    ports: BTreeMap<Bind, Vec<(ObjectName, ListenerDraft)>>,
}

fn take_ports(gateway: &mut GatewayDraft, taken: &mut Taken) {
    let every = [None];
    let some: Vec<_> = gateway.addresses.iter().copied().map(Some).collect();
    let addresses: &[Option<IpAddr>] = if some.is_empty() { &every } else { &some };
    let mut stands = Vec::new();
    for listener in &mut gateway.listeners {
        let there = addresses
            .iter()
            .filter_map(|address| taken.ports.get(&(*address, listener.port)))
            .flatten();
        let fault = there
            .filter_map(|(name, other)| conflict(listener, name, other))
            .next();
        listener.mark(&gateway.name, fault);
        if listener.is_accepted() {
            stands.push(listener.clone());
        }
    }
    for listener in stands {
        for address in addresses {
            let there = taken.ports.entry((*address, listener.port)).or_default();
            there.push((gateway.name.clone(), listener.clone()));
        }
    }
}

impl ListenerDraft {
    fn mark(&mut self, gateway: &ObjectName, fault: Option<Fault>) {
        let part = match &fault {
            Some(Fault::HostnameConflict { .. }) if self.hostname != Hostname::Any => "hostname",
            _ => "port",
        };
        let field = format!("{}.{part}", self.field);
        self.findings
            .extend(fault.map(|fault| Finding::new(ObjectKind::Gateway, gateway, field, fault)));
    }
}

/// How `other`, of the Gateway `name`, excludes `one`. Protocols that can't be carried out at all
/// exclude nobody.
fn conflict(one: &ListenerDraft, name: &ObjectName, other: &ListenerDraft) -> Option<Fault> {
    let with = || ListenerName {
        gateway: name.clone(),
        listener: other.name.clone(),
    };
    if one.port != other.port {
        return None;
    }
    match (transport(&one.protocol)?, transport(&other.protocol)?) {
        (mine, theirs) if mine != theirs => Some(Fault::ProtocolConflict { with: with() }),
        _ if one.protocol == other.protocol && one.hostname == other.hostname => {
            Some(Fault::HostnameConflict { with: with() })
        }
        _ => None,
    }
}

#[derive(PartialEq, Eq)]
enum Transport {
    Plain,
    /// HTTPS and TLS share a port: the name in the handshake tells them apart.
    Tls,
}

fn transport(protocol: &ListenerProtocol) -> Option<Transport> {
    match protocol {
        ListenerProtocol::Http => Some(Transport::Plain),
        ListenerProtocol::Https | ListenerProtocol::Tls => Some(Transport::Tls),
        ListenerProtocol::Tcp | ListenerProtocol::Udp | ListenerProtocol::Other(_) => None,
    }
}
