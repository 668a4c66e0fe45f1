//! Services of type LoadBalancer: a listener for each of their ports, which leads to the Service itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::{
    AttachedHost, Attachment, BackendProtocol, BackendTarget, Hostname, Id, Listener,
    ListenerSettings, Object, ObjectName, Protocol, StreamBackend, StreamProtocol, StreamRoute,
};
use ringgate_core::table::IpProtocol;

use super::backend::ServicePortName;
use super::gateway::Gateways;
use super::policy::Policies;
use super::problem::{Fault, Finding};
use super::{Inputs, created};
use crate::api::gateway::PortPlace;
use crate::api::service::{Service, ServicePort, ServiceType};
use crate::api::{ObjectKey, ObjectKind};
use crate::provision::LoadBalanced;

/// What serves one port of a Service.
pub(super) struct ServedPort {
    pub(super) objects: [(Id, Object); 2],
    pub(super) backend: ServicePortName,
}

/// Those of all Services that have a place, and what is wrong with others of files.
pub(super) fn ports(
    inputs: &Inputs<'_>,
    gateways: &Gateways,
    policies: &Policies<'_>,
) -> (Vec<ServedPort>, Vec<Finding>) {
    let mut findings = unserved(inputs);
    let services = inputs.provided.load_balancers.iter();
    let mut placed: Vec<Placed<'_>> = services
        .filter_map(|(name, served)| {
            Some(Placed {
                name,
                service: inputs.resources.services.get(name)?,
                served,
                binds: served.binds.as_deref()?,
            })
        })
        .collect();
    placed.sort_by_key(|one| (created(&one.service.metadata), one.name));
    // Addresses of pools are nobody else's.
    let is_shared = !inputs.options.cluster && !placed.is_empty();
    let mut taken = match is_shared {
        true => Taken::by_gateways(gateways),
        false => Taken::default(),
    };
    let mut ports = Vec::new();
    for one in &placed {
        findings.extend(one.odd(inputs, policies));
        for (place, port) in one.service.spec.ports.iter().enumerate() {
            let Some(protocol) = port.protocol.ip_protocol() else {
                continue;
            };
            let refused = match is_shared {
                true => taken.take((protocol, port.port.get()), one).err(),
                false => None,
            };
            match refused {
                None => ports.push(served_port(one, (port, protocol))),
                Some(by) => {
                    let field = format!("spec.ports[{place}]");
                    let fault = Fault::PortTaken { by };
                    findings.push(Finding::new(ObjectKind::Service, one.name, field, fault));
                }
            }
        }
    }
    (ports, findings)
}

/// A Service that is served somewhere.
struct Placed<'r> {
    name: &'r ObjectName,
    service: &'r Service,
    served: &'r LoadBalanced,
    /// Empty: every address of the host.
    binds: &'r [IpAddr],
}

impl Placed<'_> {
    /// Whoever says Local wants clients' addresses to be seen, and nodes without endpoints to be left out.
    fn odd(&self, inputs: &Inputs<'_>, policies: &Policies<'_>) -> Option<Finding> {
        if !self.service.spec.is_local() {
            return None;
        }
        let mut ports = self.service.spec.ports.iter();
        let hidden = ports.find_map(|port| {
            let protocol = port.protocol.ip_protocol()?;
            let settings = || policies.backend_settings(self.name, port.name.as_ref());
            let is_told = protocol == IpProtocol::Tcp && settings().proxy_header.is_some();
            (!is_told).then_some(protocol)
        });
        let slices = inputs.resources.endpoint_slices_of(self.name);
        let mut endpoints = slices.flat_map(|slice| &slice.endpoints).peekable();
        let is_placed = endpoints.peek().is_none() || endpoints.any(|one| one.node_name.is_some());
        let fault = match (is_placed, hidden) {
            (false, _) => Fault::NodesUnknown,
            (true, Some(protocol)) => Fault::ClientHidden(protocol),
            (true, None) => return None,
        };
        let field = "spec.externalTrafficPolicy";
        Some(Finding::new(ObjectKind::Service, self.name, field, fault))
    }
}

/// Services of files that ask for a load balancer that isn't there. In a cluster it may be another's.
fn unserved(inputs: &Inputs<'_>) -> Vec<Finding> {
    let Inputs {
        resources,
        provided,
        options,
        ..
    } = inputs;
    let asking = resources.services.iter().filter(|(name, service)| {
        let is_asking = service.spec.service_type == ServiceType::LoadBalancer;
        !options.cluster && is_asking && !provided.load_balancers.contains_key(name)
    });
    let field = "spec.loadBalancerClass";
    asking
        .map(|(name, _)| Finding::new(ObjectKind::Service, name, field, Fault::NoLoadBalancer))
        .collect()
}

/// Who listens where on this host: Gateways before Services, and of these the older before the younger.
#[derive(Default)]
struct Taken<'r>(BTreeMap<PortPlace, Vec<(&'r [IpAddr], ObjectKey)>>);

impl<'r> Taken<'r> {
    fn by_gateways(gateways: &'r Gateways) -> Self {
        let mut taken = Self::default();
        for parent in gateways.parents() {
            let in_force = parent.listeners.iter();
            for listener in in_force.filter(|one| parent.site.is_in_force(one)) {
                let holders = taken.0.entry(listener.place()).or_default();
                holders.push((&parent.site.addresses, parent.site.key()));
            }
        }
        taken
    }

    /// # Errors
    /// Names who listens there already.
    fn take(&mut self, port: PortPlace, service: &Placed<'r>) -> Result<(), ObjectKey> {
        let holders = self.0.entry(port).or_default();
        let meets = |theirs: &[IpAddr]| {
            let is_any = theirs.is_empty() || service.binds.is_empty();
            is_any || theirs.iter().any(|one| service.binds.contains(one))
        };
        if let Some((_, by)) = holders.iter().find(|(theirs, _)| meets(theirs)) {
            return Err(by.clone());
        }
        let key = ObjectKey {
            kind: ObjectKind::Service,
            name: service.name.clone(),
        };
        holders.push((service.binds, key));
        Ok(())
    }
}

fn served_port(placed: &Placed<'_>, (port, below): (&ServicePort, IpProtocol)) -> ServedPort {
    let Placed {
        name,
        service,
        served,
        binds,
    } = *placed;
    let (protocol, spoken, speaks) = match below {
        IpProtocol::Tcp => (StreamProtocol::Tcp, Protocol::Tcp, BackendProtocol::Tcp),
        IpProtocol::Udp => (StreamProtocol::Udp, Protocol::Udp, BackendProtocol::Udp),
    };
    let number = port.port.get();
    // No listener of a Gateway, and no route, can have such a name.
    let section: Arc<str> = match below {
        IpProtocol::Tcp => format!("service/{number}").into(),
        IpProtocol::Udp => format!("service/{number}-udp").into(),
    };
    let listener = Id::listener(name, &section);
    let backend = ServicePortName {
        service: name.clone(),
        port: number,
        protocol: speaks,
        is_own: service.spec.is_local() || service.spec.affinity().is_some(),
    };
    let taken = StreamRoute {
        protocol,
        is_service: true,
        name: name.clone(),
        created: created(&service.metadata),
        attachments: vec![Attachment {
            listener: listener.clone(),
            hostnames: vec![AttachedHost::as_written(Hostname::Any)],
        }],
        rule: port.name.clone(),
        backends: vec![StreamBackend {
            target: BackendTarget::Backend(backend.id()),
            weight: 1,
        }],
    };
    let opened = Listener {
        gateway: name.clone(),
        name: section.clone(),
        addresses: binds.to_vec(),
        port: number,
        public_port: None,
        protocol: spoken,
        hostname: Hostname::Any,
        client_certificate: None,
        settings: ListenerSettings {
            allowed_sources: served.sources.clone().into(),
            ..ListenerSettings::default()
        },
    };
    let route = ObjectName {
        namespace: name.namespace.clone(),
        name: format!("{}/{section}", name.name).into(),
    };
    ServedPort {
        objects: [
            (
                Id::stream_route(protocol, &route),
                Object::StreamRoute(taken),
            ),
            (listener, Object::Listener(opened)),
        ],
        backend,
    }
}
