//! Ports: which listeners share an address and port, as far as an update touches them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Compiler, Touched};
use crate::ir::{self, Id, Object};
use crate::table::hosts::HostMap;
use crate::table::{Bind, IpProtocol, Port};

impl Compiler {
    /// Ports with other listeners are made anew; where only routes are others, these listeners alone
    /// are put in their places again.
    pub(super) fn compile_ports(&mut self, touched: &Touched) {
        let changed = |bind: &Bind| touched.binds.contains(bind);
        self.ports.retain(|bind, _| !changed(bind));
        if !touched.binds.is_empty() {
            let ports = self.make_ports(changed);
            self.ports.extend(ports);
        }
        let mut last = None;
        for (id, _) in &touched.hosts {
            if last != Some(id) {
                self.put_in_place(id);
            }
            last = Some(id);
        }
    }

    fn make_ports(&self, wanted: impl Fn(&Bind) -> bool) -> BTreeMap<Bind, Arc<Port>> {
        let mut ports: BTreeMap<Bind, Port> = BTreeMap::new();
        for (id, listener) in &self.listeners {
            let Some(Object::Listener(object)) = self.objects.get(id) else {
                continue;
            };
            for bind in binds(object).into_iter().filter(&wanted) {
                let port = ports.entry(bind).or_insert_with(|| Port {
                    bind,
                    settings: listener.settings.clone(),
                    is_encrypted: listener.is_encrypted,
                    listeners: HostMap::default(),
                });
                port.listeners.insert(&object.hostname, listener.clone());
            }
        }
        let ports = ports.into_iter();
        ports.map(|(bind, port)| (bind, Arc::new(port))).collect()
    }

    /// A listener has other routes than in the table before.
    fn put_in_place(&mut self, id: &Id) {
        let (Some(listener), Some(Object::Listener(object))) =
            (self.listeners.get(id), self.objects.get(id))
        else {
            return;
        };
        for bind in binds(object) {
            let Some(port) = self.ports.get_mut(&bind) else {
                continue;
            };
            // Another listener may have its hostname there.
            let there = port.listeners.get(&object.hostname);
            if there.is_some_and(|one| one.slot == listener.slot && !Arc::ptr_eq(one, listener)) {
                let port = Arc::make_mut(port);
                port.listeners.insert(&object.hostname, listener.clone());
            }
        }
    }
}

pub(super) fn binds(listener: &ir::Listener) -> Vec<Bind> {
    let bind = |address: Option<IpAddr>| Bind {
        protocol: IpProtocol::of(&listener.protocol),
        address,
        port: listener.port,
    };
    if listener.addresses.is_empty() {
        return vec![bind(None)];
    }
    let addresses = listener.addresses.iter().copied();
    addresses.map(Some).map(bind).collect()
}
