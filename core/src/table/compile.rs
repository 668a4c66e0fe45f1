//! Snapshots into tables, step by step: an update recompiles the rules and hosts that it touches,
//! and shares all others with the table before.

mod hosts;
mod ports;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ports::binds;

use super::hosts::HostMap;
use super::routes::{CompiledRoute, attachments, uses};
use super::rule::Slots;
use super::stream::StreamRule;
use super::{Backend, Backends, Bind, Carries, Listener, Objects, Port, Problem, Slot, Table};
use crate::ir::{self, Id, Object};

/// Holds what is wanted, and what was last compiled of it.
#[derive(Debug, Default)]
pub struct Compiler {
    objects: Objects,
    /// Of backends and listeners. Rules have theirs too, in `routes`; none is ever given to another.
    slots: HashMap<Id, Slot>,
    next_slot: u32,
    routes: HashMap<Id, CompiledRoute>,
    streams: HashMap<Id, Arc<StreamRule>>,
    /// Of routes that have some.
    problems: BTreeMap<Id, Vec<Problem>>,
    /// Which routes are attached for a host of a listener.
    attached: HashMap<Id, BTreeMap<ir::Hostname, Attached>>,
    listeners: BTreeMap<Id, Arc<Listener>>,
    backends: Arc<Backends>,
    ports: BTreeMap<Bind, Arc<Port>>,
}

/// A table with what is wrong in it and what is no longer in it.
#[derive(Debug)]
pub struct Compiled {
    pub table: Arc<Table>,
    /// Of all objects, not only of those that changed.
    pub problems: Vec<Problem>,
    /// Slots whose backend, listener or rule is gone: state that hangs on them can go.
    pub retired: Vec<Slot>,
}

/// The routes of one host, in order. Most hosts have a few, and there are many hosts.
#[derive(Debug, Default)]
struct Attached(Vec<Id>);

impl Attached {
    fn insert(&mut self, id: &Id) {
        if let Err(place) = self.0.binary_search(id) {
            self.0.insert(place, id.clone());
        }
    }

    fn remove(&mut self, id: &Id) {
        if let Ok(place) = self.0.binary_search(id) {
            self.0.remove(place);
        }
    }
}

/// What an update touches.
#[derive(Default)]
struct Touched {
    routes: BTreeSet<Id>,
    /// Listeners whose hosts changed, with these hosts.
    hosts: BTreeSet<(Id, ir::Hostname)>,
    /// Where listeners came, went, or are others.
    binds: BTreeSet<Bind>,
    retired: Vec<Slot>,
}

impl Compiler {
    /// Everything that is wanted at the moment.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The slot of a listener or backend, as long as it is part of the snapshot.
    #[must_use]
    pub fn slot_of(&self, id: &Id) -> Option<Slot> {
        self.slots.get(id).copied()
    }

    /// Replaces everything: what is the same costs only its comparison.
    pub fn replace(&mut self, snapshot: ir::Snapshot) -> Compiled {
        let gone = self
            .objects
            .keys()
            .filter(|id| !snapshot.objects.contains_key(*id));
        let gone = gone.cloned().collect();
        self.update(
            snapshot.version,
            snapshot.objects.into_iter().collect(),
            gone,
        )
    }

    /// Applies one atomic change.
    pub fn update(
        &mut self,
        version: ir::Version,
        upsert: Vec<(Id, Object)>,
        remove: Vec<Id>,
    ) -> Compiled {
        let mut touched = Touched::default();
        for id in remove {
            self.remove(&id, &mut touched);
        }
        for (id, object) in upsert {
            self.upsert(id, object, &mut touched);
        }
        self.compile_routes(&mut touched);
        self.compile_hosts(&touched);
        self.compile_ports(&touched);
        self.finish(version, touched)
    }

    fn finish(&self, version: ir::Version, touched: Touched) -> Compiled {
        let table = Table {
            version,
            ports: self.ports.values().cloned().collect(),
            backends: self.backends.clone(),
        };
        let problems = self.problems.values().flatten().cloned().collect();
        Compiled {
            table: Arc::new(table),
            problems,
            retired: touched.retired,
        }
    }

    fn remove(&mut self, id: &Id, touched: &mut Touched) {
        let Some(old) = self.objects.remove(id) else {
            return;
        };
        match &*old {
            Object::HttpRoute(route) => {
                self.detach(id, &route.attachments, touched);
                self.problems.remove(id);
                let compiled = self.routes.remove(id);
                let rules = compiled.iter().flat_map(|compiled| &compiled.rules);
                touched.retired.extend(rules.map(|rule| rule.slot));
            }
            Object::StreamRoute(route) => {
                self.detach(id, &route.attachments, touched);
                self.problems.remove(id);
                let rule = self.streams.remove(id);
                touched.retired.extend(rule.map(|rule| rule.slot));
            }
            Object::Backend(_) => self.touch_users(id, touched),
            Object::Listener(listener) => {
                self.listeners.remove(id);
                touched.binds.extend(binds(listener));
            }
            // What is made of them is the data plane's: they only have to be there.
            Object::Certificate(_) | Object::Authorities(_) | Object::TicketKeys(_) => {}
        }
        if let Some(slot) = self.slots.remove(id) {
            if self.backends.contains_key(&slot) {
                Arc::make_mut(&mut self.backends).remove(&slot);
            }
            touched.retired.push(slot);
        }
    }

    fn upsert(&mut self, id: Id, object: Object, touched: &mut Touched) {
        let old = self.objects.get(&id);
        if old == Some(&object) {
            return;
        }
        match &object {
            Object::HttpRoute(_) | Object::StreamRoute(_) => {
                if let Some(old) = old.cloned() {
                    self.detach(&id, attachments(&old), touched);
                }
                self.attach(&id, attachments(&object), touched);
                touched.routes.insert(id.clone());
            }
            Object::Backend(backend) => {
                let is_new = old.is_none();
                let slot = self.slot(&id);
                let backend = Backend::new(slot, backend.clone());
                Arc::make_mut(&mut self.backends).insert(slot, Arc::new(backend));
                if is_new {
                    self.touch_users(&id, touched);
                }
            }
            Object::Listener(listener) => self.upsert_listener(&id, listener, touched),
            Object::Certificate(_) | Object::Authorities(_) | Object::TicketKeys(_) => {}
        }
        self.objects.insert(id, object);
    }

    fn upsert_listener(&mut self, id: &Id, listener: &ir::Listener, touched: &mut Touched) {
        let slot = self.slot(id);
        let (routes, streams) = match self.listeners.remove(id) {
            Some(old) => (old.routes.clone(), old.streams.clone()),
            None => {
                let hosts = self.attached.get(id).into_iter().flat_map(BTreeMap::keys);
                touched
                    .hosts
                    .extend(hosts.map(|host| (id.clone(), host.clone())));
                (HostMap::default(), HostMap::default())
            }
        };
        let compiled = Listener {
            slot,
            gateway: listener.gateway.clone(),
            name: listener.name.clone(),
            hostname: listener.hostname.clone(),
            public_port: listener.public_port.unwrap_or(listener.port),
            client_certificate: listener.client_certificate.clone(),
            is_encrypted: listener.protocol.is_encrypted(),
            carries: match listener.protocol {
                ir::Protocol::Http | ir::Protocol::Https(_) => Carries::Requests,
                ir::Protocol::Tls(_) | ir::Protocol::Tcp => Carries::Bytes,
                ir::Protocol::TlsPassthrough => Carries::Tls,
                ir::Protocol::Udp => Carries::Datagrams,
            },
            settings: Arc::new(listener.settings.clone()),
            routes,
            streams,
        };
        self.listeners.insert(id.clone(), Arc::new(compiled));
        if let Some(Object::Listener(old)) = self.objects.get(id) {
            touched.binds.extend(binds(old));
        }
        touched.binds.extend(binds(listener));
    }

    /// A backend came or went: routes that name it are compiled again.
    fn touch_users(&self, backend: &Id, touched: &mut Touched) {
        for (id, object) in &self.objects {
            if uses(object, backend) {
                touched.routes.insert(id.clone());
                for attachment in attachments(object) {
                    let hosts = attachment.hostnames.iter();
                    let hosts =
                        hosts.map(|host| (attachment.listener.clone(), host.hostname.clone()));
                    touched.hosts.extend(hosts);
                }
            }
        }
    }

    fn attach(&mut self, id: &Id, attachments: &[ir::Attachment], touched: &mut Touched) {
        for attachment in attachments {
            let hosts = self
                .attached
                .entry(attachment.listener.clone())
                .or_default();
            for host in &attachment.hostnames {
                hosts.entry(host.hostname.clone()).or_default().insert(id);
                touched
                    .hosts
                    .insert((attachment.listener.clone(), host.hostname.clone()));
            }
        }
    }

    fn detach(&mut self, id: &Id, attachments: &[ir::Attachment], touched: &mut Touched) {
        for attachment in attachments {
            let Some(hosts) = self.attached.get_mut(&attachment.listener) else {
                continue;
            };
            for host in &attachment.hostnames {
                if let Some(routes) = hosts.get_mut(&host.hostname) {
                    routes.remove(id);
                    if routes.0.is_empty() {
                        hosts.remove(&host.hostname);
                    }
                }
                touched
                    .hosts
                    .insert((attachment.listener.clone(), host.hostname.clone()));
            }
        }
    }

    fn slot(&mut self, id: &Id) -> Slot {
        if let Some(slot) = self.slots.get(id) {
            return *slot;
        }
        let slot = next(&mut self.next_slot);
        self.slots.insert(id.clone(), slot);
        slot
    }

    fn compile_routes(&mut self, touched: &mut Touched) {
        for id in std::mem::take(&mut touched.routes) {
            let route = match self.objects.get(&id) {
                Some(Object::HttpRoute(route)) => route,
                Some(Object::StreamRoute(route)) => {
                    let before = self.streams.get(&id).map(|before| before.slot);
                    let slot = before.unwrap_or_else(|| next(&mut self.next_slot));
                    let slots = BackendSlots(&self.slots);
                    let (rule, error) = StreamRule::compile(route, slot, &slots);
                    let problem = error.map(|error| Problem {
                        object: id.clone(),
                        rule: Some(0),
                        error,
                    });
                    keep(&mut self.problems, &id, problem.into_iter().collect());
                    self.streams.insert(id, Arc::new(rule));
                    continue;
                }
                _ => continue,
            };
            let before = self.routes.remove(&id);
            let before = before.map_or_else(Box::default, |before| before.rules);
            // A rule's slot stays with its place in the route.
            let mut slots: Vec<_> = before.iter().map(|rule| rule.slot).collect();
            touched
                .retired
                .extend(slots.drain(route.rules.len().min(slots.len())..));
            slots.resize_with(route.rules.len(), || next(&mut self.next_slot));
            let backends = BackendSlots(&self.slots);
            let (compiled, problems) = CompiledRoute::compile(&id, route, &slots, &backends);
            keep(&mut self.problems, &id, problems);
            self.routes.insert(id, compiled);
        }
    }
}

/// The slots of backends that are part of the snapshot.
struct BackendSlots<'c>(&'c HashMap<Id, Slot>);

impl Slots for BackendSlots<'_> {
    fn backend(&self, id: &Id) -> Option<Slot> {
        self.0.get(id).copied()
    }
}

/// Puts a route's problems in the place of those it had.
fn keep(all: &mut BTreeMap<Id, Vec<Problem>>, id: &Id, problems: Vec<Problem>) {
    match problems.is_empty() {
        true => all.remove(id),
        false => all.insert(id.clone(), problems),
    };
}

/// A slot that was never given before.
fn next(last: &mut u32) -> Slot {
    *last += 1;
    Slot(*last)
}
