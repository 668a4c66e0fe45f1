//! Services of type LoadBalancer: a listener for each of their ports, which leads to the Service itself.

use std::sync::Arc;

use ringgate_core::ir::{
    AttachedHost, Attachment, BackendProtocol, BackendTarget, Hostname, Id, Listener,
    ListenerSettings, Object, ObjectName, Protocol, StreamBackend, StreamProtocol, StreamRoute,
};
use ringgate_core::table::IpProtocol;

use super::backend::ServicePortName;
use super::{Inputs, created};
use crate::api::service::{Service, ServicePort};
use crate::provision::LoadBalanced;

/// What serves one port of a Service.
pub(super) struct ServedPort {
    pub(super) objects: [(Id, Object); 2],
    pub(super) backend: ServicePortName,
}

/// Those of all Services that have an address.
pub(super) fn ports(inputs: &Inputs<'_>) -> Vec<ServedPort> {
    let mut ports = Vec::new();
    for (name, served) in inputs.load_balancers {
        if served.binds.is_empty() {
            continue;
        }
        let service = inputs.resources.services.get(name);
        let all = service.iter().flat_map(|service| &service.spec.ports);
        let all = all.filter_map(|port| Some((port, port.protocol.ip_protocol()?)));
        for (port, protocol) in all {
            if let Some(service) = service {
                ports.push(served_port((name, service), served, (port, protocol)));
            }
        }
    }
    ports
}

fn served_port(
    (name, service): (&ObjectName, &Service),
    served: &LoadBalanced,
    (port, below): (&ServicePort, IpProtocol),
) -> ServedPort {
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
        addresses: served.binds.clone(),
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
