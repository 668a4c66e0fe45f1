//! The words of statuses and problems: for every fault its reason, message, remedy and severity.

use ringgate_core::ir::Hostname;
use ringgate_core::table::IpProtocol;

use crate::api::ObjectKind;
use crate::api::certificate::STAPLE;
use crate::problem::Severity;
use crate::provision::PoolName;
use crate::provision::service::LOAD_BALANCER_CLASS;
use crate::translate::gateway_class::IMPLIED_CLASS;
use crate::translate::problem::{Fault, ListenerName, Purpose, Unshared, Unspoken, Unusable};

/// The condition's reason, of those that Gateway API v1.7.0 names for it.
#[must_use]
pub fn reason(fault: &Fault) -> &'static str {
    match fault {
        Fault::UnknownClass(_) | Fault::ForeignClass(_) | Fault::NoLoadBalancer => "Pending",
        Fault::RefusedClass(_) => "Invalid",
        Fault::Misread { kind, .. } => match kind {
            ObjectKind::GatewayClass => "Unsupported",
            kind if kind.is_route() => "UnsupportedValue",
            _ => "Invalid",
        },
        Fault::Parameters { .. } | Fault::NoParameters(_) => "InvalidParameters",
        Fault::AddressNotInPool(_)
        | Fault::AddressTaken { .. }
        | Fault::NotShared { .. }
        | Fault::PoolOfOthers(_) => "AddressNotUsable",
        Fault::AddressAstray(_) => "AddressNotInPool",
        Fault::FamilyMissing { .. } => "AddressFamilyMissing",
        Fault::PoolOverlap { .. } => "OverlappingPools",
        Fault::PortTaken { .. } => "PortUnavailable",
        Fault::ClientHidden(_) => "ClientAddressHidden",
        Fault::NodesUnknown => "NodesUnknown",
        Fault::SourceRange(_) => "InvalidSourceRange",
        Fault::NoFreeAddress(_)
        | Fault::NoPool(_)
        | Fault::NoPoolOpen
        | Fault::ForeignService(_)
        | Fault::AddressPending => "AddressNotAssigned",
        Fault::Address { .. } | Fault::Routability(_) => "UnsupportedAddress",
        Fault::Protocol(_) | Fault::AppProtocol { .. } => "UnsupportedProtocol",
        Fault::HostnameConflict { .. } => "HostnameConflict",
        Fault::ProtocolConflict { .. } => "ProtocolConflict",
        Fault::RouteKind { .. } => "InvalidRouteKinds",
        Fault::Certificate { purpose, why } => match (purpose, why) {
            (Purpose::Serving, _) => "InvalidCertificateRef",
            (Purpose::Client, _) => "InvalidClientCertificateRef",
            (Purpose::ClientAuthority, Unusable::Kind(_)) => "InvalidCACertificateKind",
            (Purpose::BackendAuthority, Unusable::Kind(_)) => "InvalidKind",
            (Purpose::ClientAuthority | Purpose::BackendAuthority, _) => "InvalidCACertificateRef",
        },
        Fault::NoAuthorities => "NoValidCACertificate",
        Fault::NoCertificates => "InvalidCertificateRef",
        Fault::SetNotAllowed(_) => "NotAllowed",
        Fault::ParentNotAccepted(_) => "ParentNotAccepted",
        Fault::NoGateway(_)
        | Fault::NoListenerSet(_)
        | Fault::SetNotAccepted(_)
        | Fault::ParentKind(_)
        | Fault::NoListener(_) => "NoMatchingParent",
        Fault::NotAllowed { .. } => "NotAllowedByListeners",
        Fault::NoCommonHostname(_) => "NoMatchingListenerHostname",
        Fault::BackendKind(_) | Fault::ExternalName(_) => "InvalidKind",
        Fault::NotGranted { .. } => "RefNotPermitted",
        Fault::NoService(_)
        | Fault::PortMissing(_)
        | Fault::NoPort { .. }
        | Fault::NoSlicePort { .. } => "BackendNotFound",
        Fault::IncompatibleFilters { .. } | Fault::NoPrefixToReplace => "IncompatibleFilters",
        Fault::NotCarriedOut
        | Fault::TlsVersion(_)
        | Fault::TlsOption(_)
        | Fault::ForeignTlsOption(_)
        | Fault::Unstapled { .. }
        | Fault::Value(_)
        | Fault::Filter(_)
        | Fault::Expression { .. }
        | Fault::Path { .. }
        | Fault::ForbiddenHeader(_) => "UnsupportedValue",
        Fault::PolicyTargetKind(_) | Fault::WellKnownAuthorities(_) => "Invalid",
        Fault::NoPolicyTarget(_) => "TargetNotFound",
        Fault::PolicyConflict { .. } => "Conflicted",
        Fault::NotChecked { .. } => "NotChecked",
    }
}

/// One sentence, without a full stop.
#[expect(clippy::too_many_lines, reason = "a table with an arm for each fault")]
#[must_use]
pub fn message(fault: &Fault) -> String {
    match fault {
        Fault::UnknownClass(class) => format!("there is no GatewayClass {class}"),
        Fault::ForeignClass(class) => {
            format!(
                "GatewayClass {class} belongs to another controller, so nobody serves this here"
            )
        }
        Fault::RefusedClass(class) => format!("GatewayClass {class} isn't accepted"),
        Fault::Misread { message, .. } => format!("this isn't understood: {message}"),
        Fault::Parameters { kind } => format!("no parameters are read from a {kind}"),
        Fault::Address { value } => format!("{value:?} is no IP address that could be listened on"),
        Fault::Routability(text) => format!("addresses can't be made {text:?} here yet"),
        Fault::NoParameters(name) => format!("there is no GatewayParameters {name}"),
        Fault::NoPool(name) => format!("there is no AddressPool {name}"),
        Fault::AddressNotInPool(address) => format!("{address} is in no pool of addresses"),
        Fault::AddressTaken { address, by } => format!("{address} belongs to {by}"),
        Fault::NotShared { address, by, why } => match why {
            Unshared::Alone => format!("{address} belongs to {by} alone"),
            Unshared::Port(protocol, port) => format!(
                "{address} isn't shared with {by}: both have {} port {port}",
                protocol.as_str()
            ),
            Unshared::Pods => format!(
                "{address} isn't shared with {by}: externalTrafficPolicy is Local, and not for the same Pods"
            ),
        },
        Fault::NoFreeAddress(pools) => {
            format!("no address is free in {}", pool_names(pools))
        }
        Fault::NoPoolOpen => "no pool gives an address to who names none".to_owned(),
        Fault::PoolOfOthers(pool) => {
            format!("the selectors of {pool} leave this out")
        }
        Fault::AddressAstray(address) => {
            format!("{address} is in no pool for this any more, and goes on all the same")
        }
        Fault::FamilyMissing { is_ipv4 } => format!(
            "two families are required, and no pool has a free {} address",
            family(*is_ipv4)
        ),
        Fault::PoolOverlap { with, range } => {
            format!("{range} is in {with} too; no address is given twice")
        }
        Fault::PortTaken { by } => format!("{by} listens on this port already"),
        Fault::ClientHidden(protocol) => format!(
            "endpoints of its {} ports see the data plane's address, not the client's",
            protocol.as_str()
        ),
        Fault::NodesUnknown => {
            "traffic is to stay on the nodes of its endpoints, and none says which that is: nobody serves it".to_owned()
        }
        Fault::NoLoadBalancer => {
            "no load balancer of this class is here, so nobody listens on these ports".to_owned()
        }
        Fault::SourceRange(text) => format!("{text:?} is no CIDR block: nobody is let in"),
        Fault::ForeignService(name) => {
            format!("Service {name} is there already, and wasn't generated for this Gateway")
        }
        Fault::AddressPending => "the Service that brings an address isn't ready yet".to_owned(),
        Fault::NotCarriedOut => "this isn't carried out yet and has no effect".to_owned(),
        Fault::Protocol(protocol) => format!("protocol {protocol} isn't served"),
        Fault::HostnameConflict { with } => {
            format!("{} has the same port and hostname", listener(with))
        }
        Fault::ProtocolConflict { with } => {
            format!("{} has the same port and another protocol", listener(with))
        }
        Fault::RouteKind { kind, .. } => {
            format!("routes of kind {kind} aren't served by this listener")
        }
        Fault::Certificate { why, .. } => unusable(why),
        Fault::NoCertificates => "no certificate is named".to_owned(),
        Fault::NoAuthorities => "no authority to validate certificates by can be used".to_owned(),
        Fault::WellKnownAuthorities(name) => {
            format!("no authorities are known by the name {name:?}")
        }
        Fault::TlsVersion(text) => format!("{text:?} is no version of TLS that is spoken"),
        Fault::TlsOption(option) => format!("{option} isn't known to this version"),
        Fault::ForeignTlsOption(option) => {
            format!("{option} is an option of somebody else's, and has no effect")
        }
        Fault::Unstapled { secret, flaw } => {
            format!("the OCSP response in {STAPLE} of Secret {secret} isn't stapled: {flaw}")
        }
        Fault::SetNotAllowed(gateway) => {
            format!("Gateway {gateway} allows no ListenerSets of this namespace")
        }
        Fault::ParentNotAccepted(gateway) => format!("Gateway {gateway} isn't accepted"),
        Fault::NoGateway(name) => format!("there is no Gateway {name}"),
        Fault::NoListenerSet(name) => format!("there is no ListenerSet {name}"),
        Fault::SetNotAccepted(name) => {
            format!("ListenerSet {name} isn't taken by its Gateway")
        }
        Fault::ParentKind(kind) => format!("routes can't be attached to a {kind} here"),
        Fault::NoListener(parent) => {
            format!("no listener of {parent} has this name and port")
        }
        Fault::NotAllowed { parent, kind } => {
            format!("no such listener of {parent} allows {kind}s of this namespace")
        }
        Fault::NoCommonHostname(hostnames) => format!(
            "no such listener has a hostname in common with {}",
            list(hostnames)
        ),
        Fault::BackendKind(kind) => format!("requests can't be sent to a {kind}"),
        Fault::NotGranted { to, .. } => {
            format!("no ReferenceGrant allows the reference to {to}")
        }
        Fault::ExternalName(service) => format!(
            "Service {service} is of type ExternalName, which could lead anywhere, and is refused in a cluster"
        ),
        Fault::NoService(service) => format!("there is no Service {service}"),
        Fault::PortMissing(service) => format!("the port of Service {service} is left out"),
        Fault::NoPort {
            service,
            port,
            protocol,
        } => format!("Service {service} has no {} port {port}", protocol.as_str()),
        Fault::AppProtocol {
            service,
            port,
            protocol,
            why,
        } => {
            let missing = match why {
                Unspoken::WithoutPolicy => "and no BackendTLSPolicy says how",
                Unspoken::WebSocket => "which carries no gRPC",
            };
            format!("port {port} of Service {service} wants {protocol}, {missing}")
        }
        Fault::NoSlicePort { service, port } => {
            format!(
                "Service {service} has endpoints, but none of its EndpointSlices has a port named {port:?}"
            )
        }
        Fault::Value(value) => format!("{value:?} isn't known to this version"),
        Fault::Filter(filter) => {
            format!(
                "{filter} isn't carried out yet, so requests of this rule are answered with 500"
            )
        }
        Fault::IncompatibleFilters { first, second } if first == second => {
            format!("{first} may stand only once")
        }
        Fault::IncompatibleFilters { first, second } => format!("{second} can't go with {first}"),
        Fault::NoPrefixToReplace => {
            "a prefix can be replaced only where every match is of type PathPrefix".to_owned()
        }
        Fault::Expression { expression, reason } => {
            format!("{expression:?} is no regular expression that can be used: {reason}")
        }
        Fault::Path { path, reason } => format!("no request can have the path {path:?}: {reason}"),
        Fault::ForbiddenHeader(name) => {
            format!("header {name} belongs to the connection and can't be edited")
        }
        Fault::PolicyTargetKind(kind) => format!("this policy can't target a {kind}"),
        Fault::NoPolicyTarget(name) => format!("there is no target {name:?}"),
        Fault::PolicyConflict { with } => format!("{with} has this target already, and is older"),
        Fault::NotChecked { port } => {
            format!("port {port} of the Service takes datagrams, so its endpoints aren't checked")
        }
    }
}

/// What to do about it, if there is something to do.
#[expect(clippy::too_many_lines, reason = "a table with an arm for each fault")]
#[must_use]
pub fn remedy(fault: &Fault) -> Option<String> {
    Some(match fault {
        Fault::UnknownClass(class) => format!(
            "say gatewayClassName: {IMPLIED_CLASS}, or claim it with --gateway-class {class}"
        ),
        Fault::ForeignClass(class) => format!("claim it with --gateway-class {class}"),
        Fault::RefusedClass(class) => format!("see the conditions of GatewayClass {class}"),
        Fault::Misread { .. } => {
            "correct it; until then its last good version counts, if there was one".to_owned()
        }
        Fault::Parameters { .. } => {
            "remove parametersRef, or in a cluster refer to a GatewayParameters of ringgate.io"
                .to_owned()
        }
        Fault::Address { .. } => "give an address of this host, in a cluster one of a pool, with type IPAddress".to_owned(),
        Fault::Routability(_) => "leave routability out".to_owned(),
        Fault::NoParameters(_) => {
            "write the GatewayParameters, or correct parametersRef".to_owned()
        }
        Fault::NoPool(_) => "write the AddressPool, or correct addressPool".to_owned(),
        Fault::AddressNotInPool(address) => {
            format!("add it with --address-pool {address} or in an AddressPool, or ask for another")
        }
        Fault::AddressTaken { .. } => "ask for another address".to_owned(),
        Fault::NotShared { why, .. } => match why {
            Unshared::Alone => "ask for another address".to_owned(),
            Unshared::Port(..) => "change one of the ports, or its sharing key".to_owned(),
            Unshared::Pods => {
                "give both the same selector and externalTrafficPolicy, or other sharing keys".to_owned()
            }
        },
        Fault::NoPoolOpen => {
            "write an AddressPool with autoAssign whose selectors take this, or name a pool".to_owned()
        }
        Fault::PoolOfOthers(_) => {
            "let its namespaceSelector and serviceSelector take this, or name another pool".to_owned()
        }
        Fault::AddressAstray(_) => {
            "put it back into a pool, or ask for another address by name".to_owned()
        }
        Fault::FamilyMissing { is_ipv4 } => format!(
            "add {} addresses to a pool, or say ipFamilyPolicy: PreferDualStack",
            family(*is_ipv4)
        ),
        Fault::PoolOverlap { .. } => "take the addresses out of one of the two".to_owned(),
        Fault::PortTaken { .. } => {
            "give one of the two another port, or an address of its own".to_owned()
        }
        Fault::ClientHidden(IpProtocol::Tcp) => {
            "let a BackendPolicy with proxyProtocol tell them, which they have to read".to_owned()
        }
        Fault::ClientHidden(IpProtocol::Udp) => {
            "don't rely on the address there: no header of datagrams tells it".to_owned()
        }
        Fault::NodesUnknown => {
            "give nodeName in its EndpointSlices and start data planes with --node, or say externalTrafficPolicy: Cluster".to_owned()
        }
        Fault::NoLoadBalancer => format!(
            "say loadBalancerClass: {LOAD_BALANCER_CLASS}, or for all without a class start with --default-load-balancer"
        ),
        Fault::SourceRange(_) => "write a block such as 192.0.2.0/24".to_owned(),
        Fault::NoFreeAddress(_) => {
            "widen a pool: --address-pool, or an AddressPool with autoAssign".to_owned()
        }
        Fault::ForeignService(_) => "rename or remove that Service".to_owned(),
        Fault::AddressPending => return None,
        Fault::NotCarriedOut => "remove it, or don't rely on it".to_owned(),
        Fault::Protocol(_) => "use protocol HTTP, HTTPS, TLS, TCP or UDP".to_owned(),
        Fault::HostnameConflict { .. } => {
            "give it another port or hostname, or remove one of the two".to_owned()
        }
        Fault::ProtocolConflict { .. } => "give it another port".to_owned(),
        Fault::RouteKind { carried: [], .. } => "leave kinds out".to_owned(),
        Fault::RouteKind { carried, .. } => {
            let names: Vec<&str> = carried.iter().map(|kind| kind.as_str()).collect();
            format!("ask for kind {}", names.join(" or "))
        }
        Fault::Certificate { purpose, why } => mend(*purpose, why),
        Fault::NoAuthorities => "mend what caCertificateRefs names".to_owned(),
        Fault::NoCertificates => "name a Secret of type kubernetes.io/tls in it".to_owned(),
        Fault::WellKnownAuthorities(_) => {
            "write System, or name the authorities in caCertificateRefs".to_owned()
        }
        Fault::TlsVersion(_) => "write 1.2 or 1.3".to_owned(),
        Fault::TlsOption(_) => "remove it, or correct its name".to_owned(),
        Fault::ForeignTlsOption(_) => "remove it, or don't rely on it".to_owned(),
        Fault::Unstapled { flaw, .. } => flaw.remedy().to_owned(),
        Fault::SetNotAllowed(gateway) => {
            format!("let allowedListeners of Gateway {gateway} select this namespace")
        }
        Fault::ParentNotAccepted(gateway) => {
            format!("see the conditions of Gateway {gateway}")
        }
        Fault::NoListenerSet(_) => {
            "write the ListenerSet, or correct name and namespace".to_owned()
        }
        Fault::SetNotAccepted(name) => format!("see the conditions of ListenerSet {name}"),
        Fault::NoGateway(_) => "write the Gateway, or correct name and namespace".to_owned(),
        Fault::ParentKind(_) => "refer to a Gateway or a ListenerSet".to_owned(),
        Fault::NoListener(_) => "correct sectionName and port, or leave them out".to_owned(),
        Fault::NotAllowed { .. } => {
            "let the listener's allowedRoutes select this namespace and kind".to_owned()
        }
        Fault::NoCommonHostname(_) => {
            "give the route a hostname that the listener serves, or widen the listener's".to_owned()
        }
        Fault::BackendKind(_) => "refer to a Service".to_owned(),
        Fault::NotGranted { from, to } => format!(
            "write a ReferenceGrant in namespace {}, from {from} to {}",
            to.name.namespace, to.kind
        ),
        Fault::ExternalName(_) => {
            "write a Service without selector, and EndpointSlices with the addresses".to_owned()
        }
        Fault::NoService(_) => "write the Service, or correct name and namespace".to_owned(),
        Fault::PortMissing(_) => "give the port of the Service".to_owned(),
        Fault::NoPort { .. } => "give a port that the Service has".to_owned(),
        Fault::AppProtocol { why, .. } => match why {
            Unspoken::WithoutPolicy => "write a BackendTLSPolicy for the Service".to_owned(),
            Unspoken::WebSocket => "give a port that speaks gRPC, or correct appProtocol".to_owned(),
        },
        Fault::NoSlicePort { .. } => {
            "name the ports of EndpointSlices as the Service's are named".to_owned()
        }
        Fault::Value(_) => "use a value of Gateway API v1.7.0".to_owned(),
        Fault::Filter(_) => "remove it".to_owned(),
        Fault::IncompatibleFilters { .. } => "remove one of the two".to_owned(),
        Fault::NoPrefixToReplace => {
            "make the matches PathPrefix, or replace the full path".to_owned()
        }
        Fault::Expression { .. } => {
            "write it in the syntax of RE2, without look-around and back-references".to_owned()
        }
        Fault::Path { .. } => "write an absolute path, percent-encoded".to_owned(),
        Fault::ForbiddenHeader(_) => "remove the edit".to_owned(),
        Fault::PolicyTargetKind(_) => {
            "target a Gateway with a ListenerPolicy, a Service with a BackendPolicy or BackendTLSPolicy".to_owned()
        }
        Fault::NoPolicyTarget(_) => "correct the target's name or sectionName".to_owned(),
        Fault::PolicyConflict { .. } => "merge the two into one".to_owned(),
        Fault::NotChecked { .. } => "give the check a `port` that its endpoints answer by TCP".to_owned(),
    })
}

/// How bad it is for who wrote it.
#[must_use]
pub fn severity(fault: &Fault) -> Severity {
    match fault {
        Fault::ForeignClass(_) | Fault::AddressPending | Fault::NoLoadBalancer => Severity::Note,
        Fault::NotCarriedOut
        | Fault::AddressAstray(_)
        | Fault::FamilyMissing { .. }
        | Fault::PoolOverlap { .. }
        | Fault::ClientHidden(_)
        | Fault::NodesUnknown
        | Fault::ForeignTlsOption(_)
        | Fault::Unstapled { .. }
        | Fault::NotChecked { .. }
        | Fault::NoSlicePort { .. } => Severity::Warning,
        _ => Severity::Error,
    }
}

fn family(is_ipv4: bool) -> &'static str {
    match is_ipv4 {
        true => "IPv4",
        false => "IPv6",
    }
}

/// More names don't help whoever looks for room.
const POOL_NAMES: usize = 8;

fn pool_names(pools: &[PoolName]) -> String {
    let names = pools.iter().take(POOL_NAMES).map(PoolName::to_string);
    let mut names: Vec<String> = names.collect();
    if pools.len() > POOL_NAMES {
        names.push("others".to_owned());
    }
    names.join(", ")
}

fn unusable(why: &Unusable) -> String {
    match why {
        Unusable::Kind(kind) => format!("a certificate can't be read from a {kind}"),
        Unusable::Missing(holder) => format!("there is no {holder}"),
        Unusable::Flawed { holder, flaw } => format!("{holder}: {flaw}"),
    }
}

fn mend(purpose: Purpose, why: &Unusable) -> String {
    match why {
        Unusable::Kind(_) => match purpose {
            Purpose::Serving | Purpose::Client => "refer to a Secret of type kubernetes.io/tls",
            Purpose::ClientAuthority | Purpose::BackendAuthority => {
                "refer to a ConfigMap or a Secret with ca.crt, or to a ClusterTrustBundle"
            }
        }
        .to_owned(),
        Unusable::Missing(holder) => {
            format!("write the {}, or correct name and namespace", holder.kind)
        }
        Unusable::Flawed { flaw, .. } => flaw.remedy(),
    }
}

fn listener(name: &ListenerName) -> String {
    format!("listener {} of {}", name.listener, name.owner)
}

fn list(hostnames: &[Hostname]) -> String {
    let texts: Vec<String> = hostnames.iter().map(Hostname::to_string).collect();
    texts.join(", ")
}
