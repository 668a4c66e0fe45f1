//! Which listeners exclude each other. Among objects the one that comes first stands: a Gateway
//! before its ListenerSets, those by age, and older Gateways with all of theirs before younger ones
//! that share an address. Of what is left of one object, all that can't be told apart fall (Gateway
//! API, "Handling indistinct Listeners").

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::Hostname;

use super::gateway::{GatewayDraft, Order, Site};
use super::listener::ListenerDraft;
use super::listener_set::SetDraft;
use super::problem::{Fault, Finding, ListenerName};
use crate::api::gateway::{ListenerProtocol, PortPlace};

/// Marks listeners that can't stand beside those of other objects.
pub(super) fn find(gateways: &mut [Arc<GatewayDraft>], sets: &mut [Arc<SetDraft>], order: &Order) {
    let (of_gateways, of_sets) = late(gateways, sets, order);
    for (place, listener, fault) in of_gateways {
        let gateway = gateways.get_mut(place).map(Arc::make_mut);
        let listener = gateway.and_then(|one| one.listeners.get_mut(listener));
        listener.into_iter().for_each(|one| one.mark(fault.clone()));
    }
    for (place, listener, fault) in of_sets {
        let set = sets.get_mut(place).map(Arc::make_mut);
        let listener = set.and_then(|one| one.listeners.get_mut(listener));
        listener.into_iter().for_each(|one| one.mark(fault.clone()));
    }
}

/// The places of an object and its listener, and what is wrong with that.
type Marks = Vec<(usize, usize, Fault)>;

/// Listeners of Gateways and of sets that come too late.
fn late(gateways: &[Arc<GatewayDraft>], sets: &[Arc<SetDraft>], order: &Order) -> (Marks, Marks) {
    let (mut of_gateways, mut of_sets) = (Marks::new(), Marks::new());
    let mut taken = Taken::default();
    for (place, places) in &order.gateways {
        let Some(gateway) = gateways.get(*place) else {
            continue;
        };
        let addresses = binds(&gateway.site);
        let mut own = Taken::default();
        let taken = match gateway.site.accepted && gateway.site.shares_ports() {
            true => &mut taken,
            false => &mut own,
        };
        let late = taken.take(&addresses, &gateway.listeners);
        of_gateways.extend(late.map(|(listener, fault)| (*place, listener, fault)));
        for place in places {
            let Some(set) = sets.get(*place) else {
                continue;
            };
            let late = taken.take(&addresses, &set.listeners);
            of_sets.extend(late.map(|(listener, fault)| (*place, listener, fault)));
        }
    }
    (of_gateways, of_sets)
}

/// An address; none: every one of the host.
type Address = Option<IpAddr>;

fn binds(site: &Site) -> Vec<Address> {
    match site.addresses.as_slice() {
        [] => vec![None],
        some => some.iter().copied().map(Some).collect(),
    }
}

/// What is wrong with those of one object that can't be told apart. Those that have one of `faults` already,
/// and protocols that aren't served at all, exclude nobody here.
fn indistinct(listeners: &[ListenerDraft], faults: &[Option<Fault>]) -> Vec<Option<Fault>> {
    let with_faults = listeners.iter().zip(faults);
    let left = with_faults
        .filter(|(one, fault)| fault.is_none() && transport(one).is_some() && one.is_accepted());
    let left: Vec<&ListenerDraft> = left.map(|(one, _)| one).collect();
    let fault = |one: &ListenerDraft| {
        let is_left = left.iter().any(|other| other.id == one.id);
        let mut others = left.iter().filter(|other| is_left && other.id != one.id);
        others.find_map(|other| conflict(one, other))
    };
    listeners.iter().map(fault).collect()
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
struct Taken<'l> {
    ports: BTreeMap<(Address, PortPlace), Port<'l>>,
}

/// One address and port.
#[derive(Default)]
struct Port<'l> {
    /// The first listener of each transport.
    transports: Vec<(Transport, &'l ListenerDraft)>,
    hosts: HashMap<&'l Hostname, &'l ListenerDraft>,
}

impl<'l> Taken<'l> {
    /// Those of one object's listeners that come too late, by place; the others stand from now on.
    fn take(
        &mut self,
        addresses: &[Address],
        listeners: &'l [ListenerDraft],
    ) -> impl Iterator<Item = (usize, Fault)> + use<'l> {
        let conflict = |one: &ListenerDraft| {
            let ports = addresses.iter();
            let mut ports = ports.filter_map(|address| self.ports.get(&(*address, one.place())));
            ports.find_map(|port| port.conflict(one))
        };
        let mut faults: Vec<Option<Fault>> = listeners.iter().map(conflict).collect();
        let among_them = indistinct(listeners, &faults);
        for (fault, among_them) in faults.iter_mut().zip(among_them) {
            *fault = fault.take().or(among_them);
        }
        for (listener, fault) in listeners.iter().zip(&faults) {
            if fault.is_some() || !listener.is_accepted() {
                continue;
            }
            for address in addresses {
                let port = self.ports.entry((*address, listener.place()));
                port.or_default().insert(listener);
            }
        }
        let faults = faults.into_iter().enumerate();
        faults.filter_map(|(place, fault)| Some((place, fault?)))
    }
}

impl<'l> Port<'l> {
    fn conflict(&self, one: &ListenerDraft) -> Option<Fault> {
        let mine = transport(one)?;
        let mut others = self.transports.iter();
        if let Some((_, other)) = others.find(|(theirs, _)| *theirs != mine) {
            let with = other.full_name();
            return Some(Fault::ProtocolConflict { with });
        }
        let other = self.hosts.get(&one.hostname)?;
        Some(same_host(&one.protocol, &other.protocol, other.full_name()))
    }

    fn insert(&mut self, listener: &'l ListenerDraft) {
        let Some(transport) = transport(listener) else {
            return;
        };
        if !self.transports.iter().any(|(one, _)| *one == transport) {
            self.transports.push((transport, listener));
        }
        self.hosts.entry(&listener.hostname).or_insert(listener);
    }
}

impl ListenerDraft {
    fn full_name(&self) -> ListenerName {
        ListenerName {
            owner: self.owner.clone(),
            listener: self.name.clone(),
        }
    }

    fn mark(&mut self, fault: Fault) {
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
