//! Backends: what a reference leads to, and the endpoints of a Service's port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ringgate_core::ir::{self, BackendProtocol, Endpoint, Endpoints, Id, ObjectName, Reach};
use ringgate_core::table::IpProtocol;

use super::app_protocol;
use super::backend_tls::BackendTlsPolicies;
use super::checks;
use super::grant;
use super::policy::Policies;
use super::problem::Fault;
use super::{Inputs, ResolvedNames};
use crate::api::reference::BackendObjectReference;
use crate::api::service::{
    AddressFamily, EndpointPort, EndpointSlice, PortRef, Service, ServicePort, ServiceType,
    SliceEndpoint,
};
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;

/// A port of a Service that a route may use, and what is spoken there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServicePortName {
    pub(super) service: ObjectName,
    pub(super) port: u16,
    pub(super) protocol: BackendProtocol,
    /// For clients of the Service's own address: what it says of these (`externalTrafficPolicy`, `sessionAffinity`) counts
    /// for no route.
    pub(super) is_own: bool,
}

impl ServicePortName {
    pub(super) fn id(&self) -> Id {
        match self.is_own {
            true => Id::service_backend(&self.service, self.port, self.protocol),
            false => Id::backend(&self.service, self.port, self.protocol),
        }
    }
}

/// What a reference of a route, of kind `from` in `namespace`, leads to. `own` is what the route speaks to
/// ports that say nothing of it.
pub(super) fn resolve(
    inputs: &Inputs<'_>,
    policies: &BackendTlsPolicies,
    (from, namespace): (ObjectKind, &Arc<str>),
    reference: &BackendObjectReference,
    own: BackendProtocol,
) -> Result<ServicePortName, Fault> {
    if !reference.is_service() {
        return Err(Fault::BackendKind(reference.kind.shared()));
    }
    let resources = inputs.resources;
    let service = target(namespace, reference);
    let to = (ObjectKind::Service, &service);
    if !grant::permits(resources, (from, namespace), to) {
        let to = ObjectKey {
            kind: ObjectKind::Service,
            name: service,
        };
        return Err(Fault::NotGranted { from, to });
    }
    let Some(object) = resources.services.get(&service) else {
        return Err(Fault::NoService(service));
    };
    if is_external(object) && inputs.options.cluster {
        return Err(Fault::ExternalName(service));
    }
    let Some(port) = reference.port else {
        return Err(Fault::PortMissing(service));
    };
    let port = port.get();
    let protocol = match find_port(object, port, own) {
        Some(found) => protocol(&service, found, policies, own)?,
        None if is_external(object) && object.spec.ports.is_empty() => own,
        None => {
            return Err(Fault::NoPort {
                service,
                port,
                protocol: ip_protocol(own),
            });
        }
    };
    Ok(ServicePortName {
        service,
        port,
        protocol,
        is_own: false,
    })
}

fn protocol(
    service: &ObjectName,
    port: &ServicePort,
    policies: &BackendTlsPolicies,
    own: BackendProtocol,
) -> Result<BackendProtocol, Fault> {
    let Some(protocol) = &port.app_protocol else {
        return Ok(own);
    };
    let has_policy = policies.of_port(service, port.name.as_ref()).is_some();
    app_protocol::choose(own, protocol, has_policy).map_err(|why| Fault::AppProtocol {
        service: service.clone(),
        port: port.port.get(),
        protocol: protocol.clone(),
        why,
    })
}

/// The Service that a reference names, whether or not it is there.
pub(super) fn target(namespace: &Arc<str>, reference: &BackendObjectReference) -> ObjectName {
    ObjectName {
        namespace: reference
            .namespace
            .as_ref()
            .map_or_else(|| namespace.clone(), |one| one.shared()),
        name: reference.name.shared(),
    }
}

/// The port that can be spoken to in this way.
fn find_port(service: &Service, port: u16, speaks: BackendProtocol) -> Option<&ServicePort> {
    let mut ports = service.spec.ports.iter();
    let below = Some(ip_protocol(speaks));
    ports.find(|one| one.port.get() == port && one.protocol.ip_protocol() == below)
}

fn ip_protocol(speaks: BackendProtocol) -> IpProtocol {
    match speaks {
        BackendProtocol::Udp => IpProtocol::Udp,
        BackendProtocol::Http1 | BackendProtocol::Http2 | BackendProtocol::Tcp => IpProtocol::Tcp,
    }
}

/// The name of the port, where it has one.
pub(super) fn port_name(resources: &Resources, name: &ServicePortName) -> Option<Arc<str>> {
    let service = resources.services.get(&name.service)?;
    find_port(service, name.port, name.protocol)?.name.clone()
}

/// The name (not an address) that the backend needs the addresses of.
pub(super) fn external_name(resources: &Resources, name: &ServicePortName) -> Option<Arc<str>> {
    let service = resources.services.get(&name.service)?;
    let external = service.spec.external_name.as_ref()?;
    let is_name = is_external(service) && external.parse::<IpAddr>().is_err();
    is_name.then(|| external.clone())
}

fn is_external(service: &Service) -> bool {
    service.spec.service_type == ServiceType::ExternalName
}

/// The backend that `name` stands for, and what is odd about its endpoints.
pub(super) fn translate(
    inputs: &Inputs<'_>,
    name: &ServicePortName,
    policies: &Policies<'_>,
) -> (ir::Backend, Option<Fault>) {
    let port = port_name(inputs.resources, name);
    let mut settings = policies.backend_settings(&name.service, port.as_ref());
    checks::carried_out(&mut settings, name.protocol);
    let tls = policies.tls.of_port(&name.service, port.as_ref());

    let service = inputs.resources.services.get(&name.service);
    let (endpoints, fault) = match service {
        None => (Vec::new(), None),
        Some(service) if is_external(service) => {
            (external_endpoints(service, name, inputs.names), None)
        }
        Some(service) => slice_endpoints(inputs.resources, service, name),
    };
    let own = service.filter(|_| name.is_own);
    settings.affinity = own.and_then(|service| service.spec.affinity());
    let reach = service.map_or(Reach::Anywhere, |service| reach(service, name));
    // It answers requests, whatever bytes are.
    let requests = matches!(
        name.protocol,
        BackendProtocol::Http1 | BackendProtocol::Http2
    );
    let echoes =
        inputs.options.echo && requests && !service.is_some_and(|service| is_external(service));
    let endpoints = if endpoints.is_empty() && echoes {
        Endpoints::Echo(name.service.name.clone())
    } else {
        Endpoints::Addresses(endpoints)
    };
    let backend = ir::Backend {
        service: name.service.clone(),
        port: name.port,
        endpoints,
        protocol: name.protocol,
        reach,
        health_check_port: own.and_then(|service| service.spec.health_check_port()),
        tls: tls.map(|one| one.tls.clone()),
        settings,
    };
    (backend, fault)
}

/// The addresses that the name resolved to, with the target port (else the port) as a number.
fn external_endpoints(
    service: &Service,
    wanted: &ServicePortName,
    names: &ResolvedNames,
) -> Vec<Endpoint> {
    let port = find_port(service, wanted.port, wanted.protocol).map_or(wanted.port, number);
    let Some(name) = &service.spec.external_name else {
        return Vec::new();
    };
    let endpoint = |address| Endpoint::at(SocketAddr::new(address, port));
    if let Ok(address) = name.parse::<IpAddr>() {
        return vec![endpoint(address)];
    }
    let addresses = names.get(name).into_iter().flat_map(|all| all.iter());
    sorted(addresses.map(|address| endpoint(*address)).collect())
}

/// Which of its endpoints a data plane uses: what Kubernetes' own proxies prefer. Hints of slices say the same, and
/// need not be there.
fn reach(service: &Service, name: &ServicePortName) -> Reach {
    if name.is_own && service.spec.is_local() {
        return Reach::SameNode;
    }
    match service.spec.traffic_distribution.as_deref() {
        Some("PreferSameNode") => Reach::PreferNode,
        Some("PreferSameZone" | "PreferClose") => Reach::PreferZone,
        Some(_) | None => Reach::Anywhere,
    }
}

/// The number behind a port, where nothing else tells it: a named target port is resolved by slices.
fn number(port: &ServicePort) -> u16 {
    match &port.target_port {
        Some(PortRef::Number(number)) => number.get(),
        Some(PortRef::Name(_)) | None => port.port.get(),
    }
}

/// Endpoints of the port's name in all slices of the Service: those that are ready; if none is (with local traffic: on
/// a node), those that still serve while they terminate (KEP-1669).
fn slice_endpoints(
    resources: &Resources,
    service: &Service,
    name: &ServicePortName,
) -> (Vec<Endpoint>, Option<Fault>) {
    let Some(port) = find_port(service, name.port, name.protocol) else {
        return (Vec::new(), None);
    };
    let mut ready = Vec::new();
    let mut terminating = Vec::new();
    let mut other_ports = false;
    let reach = reach(service, name);
    let (is_placed, is_bound) = (reach != Reach::Anywhere, reach == Reach::SameNode);
    for slice in resources.endpoint_slices_of(&name.service) {
        let Some(number) = slice_port(slice, port) else {
            other_ports |= !slice.endpoints.is_empty();
            continue;
        };
        for endpoint in &slice.endpoints {
            let placed = address(slice, endpoint).map(|ip| Endpoint {
                address: SocketAddr::new(ip, number),
                node: endpoint.node_name.clone().filter(|_| is_placed),
                zone: endpoint.zone.clone().filter(|_| is_placed),
                is_leaving: false,
            });
            match state(endpoint, service.spec.publish_not_ready_addresses) {
                // Each node decides for itself whether it needs them.
                State::Terminating if is_bound => ready.extend(placed.map(|one| Endpoint {
                    is_leaving: true,
                    ..one
                })),
                State::Ready => ready.extend(placed),
                State::Terminating => terminating.extend(placed),
                State::Out => {}
            }
        }
    }
    let usable = if ready.is_empty() { terminating } else { ready };
    let fault = (usable.is_empty() && other_ports).then(|| Fault::NoSlicePort {
        service: name.service.clone(),
        port: port.name.clone().unwrap_or_else(|| "".into()),
    });
    (sorted(usable), fault)
}

/// Each address once.
fn sorted(mut endpoints: Vec<Endpoint>) -> Vec<Endpoint> {
    endpoints.sort_unstable();
    endpoints.dedup_by(|one, other| one.address == other.address);
    endpoints
}

/// A slice's port is the Service's by name; one without a number stands for every port.
fn slice_port(slice: &EndpointSlice, wanted: &ServicePort) -> Option<u16> {
    let name = |name: &Option<Arc<str>>| name.clone().filter(|text| !text.is_empty());
    let wanted_name = name(&wanted.name);
    let is_wanted =
        |one: &&EndpointPort| name(&one.name) == wanted_name && one.protocol == wanted.protocol;
    let found = slice.ports.iter().find(is_wanted)?;
    Some(found.port.map_or_else(|| number(wanted), |port| port.get()))
}

/// All addresses of an endpoint are one and the same; consumers take the first.
fn address(slice: &EndpointSlice, endpoint: &SliceEndpoint) -> Option<IpAddr> {
    let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
    match slice.address_type {
        AddressFamily::Ipv4 => address.is_ipv4().then_some(address),
        AddressFamily::Ipv6 => address.is_ipv6().then_some(address),
        AddressFamily::Fqdn | AddressFamily::Unknown(_) => None,
    }
}

enum State {
    Ready,
    Terminating,
    Out,
}

/// As discovery.k8s.io/v1 has it: nothing said means ready.
fn state(endpoint: &SliceEndpoint, publish_not_ready: bool) -> State {
    let conditions = endpoint.conditions;
    let is_ready = conditions.ready.unwrap_or(true) || publish_not_ready;
    let is_serving = conditions.serving.unwrap_or(is_ready);
    if is_ready {
        State::Ready
    } else if is_serving && conditions.terminating == Some(true) {
        State::Terminating
    } else {
        State::Out
    }
}
