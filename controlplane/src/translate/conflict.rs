//! Which listeners exclude each other. Among objects the one that comes first stands: a Gateway
//! before its ListenerSets, those by age, and older Gateways with all of theirs before younger ones
//! that share an address. Of what is left of one object, all that can't be told apart fall (Gateway
//! API, "Handling indistinct Listeners").

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ringgate_core::ir::Hostname;

use super::gateway::GatewayDraft;
use super::listener::ListenerDraft;
use super::listener_set::Sets;
use super::problem::{Fault, Finding, ListenerName};
use crate::api::gateway::{ListenerProtocol, PortPlace};

/// Marks listeners that can't stand.
pub(super) fn find(gateways: &mut [GatewayDraft], sets: &mut Sets) {
    let by_gateway = sets.by_gateway();
    let mut order: Vec<usize> = (0..gateways.len()).collect();
    order.sort_by(|a, b| gateways[*a].age().cmp(&gateways[*b].age()));
    let mut taken = Taken::default();
    for place in order {
        let Some(gateway) = gateways.get_mut(place) else {
            continue;
        };
        let addresses = binds(gateway);
        let mut own = Taken::default();
        let taken = match gateway.accepted && gateway.shares_ports() {
            true => &mut taken,
            false => &mut own,
        };
        taken.take(&addresses, &mut gateway.listeners);
        for set in by_gateway.get(&place).into_iter().flatten() {
            if let Some(set) = sets.drafts.get_mut(*set) {
                taken.take(&addresses, &mut set.listeners);
            }
        }
    }
}

/// An address; none: every one of the host.
type Address = Option<IpAddr>;

fn binds(gateway: &GatewayDraft) -> Vec<Address> {
    match gateway.addresses.as_slice() {
        [] => vec![None],
        some => some.iter().copied().map(Some).collect(),
    }
}

/// Those that have a fault already, and protocols that aren't served at all, exclude nobody here.
fn mark_indistinct(listeners: &mut [ListenerDraft]) {
    let is_carried = |one: &ListenerDraft| transport(one).is_some() && one.is_accepted();
    let faults: Vec<Option<Fault>> = listeners
        .iter()
        .map(|one| {
            let others = listeners.iter().filter(|other| other.id != one.id);
            let mut others = others.filter(|other| is_carried(one) && is_carried(other));
            others.find_map(|other| conflict(one, other))
        })
        .collect();
    for (listener, fault) in listeners.iter_mut().zip(faults) {
        listener.mark(fault);
    }
}

fn conflict(one: &ListenerDraft, other: &ListenerDraft) -> Option<Fault> {
    let with = other.full_name();
    if one.place() != other.place() {
        None
    } else if transport(one)? != transport(other)? {
        Some(Fault::ProtocolConflict { with })
    } else if one.hostname == other.hostname {
        Some(same_host(&one.protocol, &other.protocol, with))
    } else {
        None
    }
}

/// The fault of listeners that only a hostname could tell apart.
fn same_host(one: &ListenerProtocol, other: &ListenerProtocol, with: ListenerName) -> Fault {
    match one == other {
        true => Fault::HostnameConflict { with },
        false => Fault::ProtocolConflict { with },
    }
}

/// What is taken by listeners that stand.
#[derive(Default)]
struct Taken {
    ports: BTreeMap<(Address, PortPlace), Port>,
}

/// One address and port.
#[derive(Default)]
struct Port {
    /// The first listener of each transport.
    transports: Vec<(Transport, ListenerName)>,
    hosts: HashMap<Hostname, (ListenerProtocol, ListenerName)>,
}

impl Taken {
    /// Marks those of one object's listeners that come too late; others stand from now on.
    fn take(&mut self, addresses: &[Address], listeners: &mut [ListenerDraft]) {
        for listener in listeners.iter_mut() {
            let mut ports = addresses
                .iter()
                .filter_map(|address| self.ports.get(&(*address, listener.place())));
            let fault = ports.find_map(|port| port.conflict(listener));
            listener.mark(fault);
        }
        mark_indistinct(listeners);
        for listener in listeners.iter().filter(|one| one.is_accepted()) {
            for address in addresses {
                let port = self.ports.entry((*address, listener.place()));
                port.or_default().insert(listener);
            }
        }
    }
}

impl Port {
    fn conflict(&self, one: &ListenerDraft) -> Option<Fault> {
        let mine = transport(one)?;
        let mut others = self.transports.iter();
        if let Some((_, with)) = others.find(|(theirs, _)| *theirs != mine) {
            return Some(Fault::ProtocolConflict { with: with.clone() });
        }
        let (protocol, with) = self.hosts.get(&one.hostname)?;
        Some(same_host(&one.protocol, protocol, with.clone()))
    }

    fn insert(&mut self, listener: &ListenerDraft) {
        let Some(transport) = transport(listener) else {
            return;
        };
        let name = listener.full_name();
        if !self.transports.iter().any(|(one, _)| *one == transport) {
            self.transports.push((transport, name.clone()));
        }
        let host = self.hosts.entry(listener.hostname.clone());
        host.or_insert_with(|| (listener.protocol.clone(), name));
    }
}

impl ListenerDraft {
    fn full_name(&self) -> ListenerName {
        ListenerName {
            owner: self.owner.clone(),
            listener: self.name.clone(),
        }
    }

    fn mark(&mut self, fault: Option<Fault>) {
        let Some(fault) = fault else {
            return;
        };
        let part = match &fault {
            Fault::HostnameConflict { .. } if self.hostname != Hostname::Any => "hostname",
            _ => "port",
        };
        let field = format!("{}.{part}", self.field);
        let owner = &self.owner;
        let finding = Finding::new(owner.kind, &owner.name, field, fault);
        self.findings.push(finding);
    }
}

/// What a port carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Plain,
    /// HTTPS and TLS share a port, whatever becomes of the TLS: the name in the handshake tells them apart.
    Tls,
    Bytes,
    Datagrams,
}

fn transport(listener: &ListenerDraft) -> Option<Transport> {
    match listener.protocol {
        ListenerProtocol::Http => Some(Transport::Plain),
        ListenerProtocol::Https | ListenerProtocol::Tls => Some(Transport::Tls),
        ListenerProtocol::Tcp => Some(Transport::Bytes),
        ListenerProtocol::Udp => Some(Transport::Datagrams),
        ListenerProtocol::Other(_) => None,
    }
}
