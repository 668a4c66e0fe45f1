//! What translation finds wrong: typed, with the object and the field. Words are made in
//! [`crate::status`].

use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::{Hostname, ObjectName};
use ringgate_core::table::IpProtocol;

use crate::api::certificate::Flaw;
use crate::api::staple::StapleFlaw;
use crate::api::{ObjectKey, ObjectKind};
use crate::provision::PoolName;
use crate::provision::pool::AddressRange;

/// Something wrong with one field of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub object: ObjectKey,
    /// As `spec.rules[0].matches[1].path.value`; empty: the object as a whole.
    pub field: String,
    pub fault: Fault,
}

impl Finding {
    pub(crate) fn new(
        kind: ObjectKind,
        name: &ObjectName,
        field: impl Into<String>,
        fault: Fault,
    ) -> Self {
        let object = ObjectKey {
            kind,
            name: name.clone(),
        };
        Self {
            object,
            field: field.into(),
            fault,
        }
    }
}

/// What is wrong. Each becomes a condition's reason and message, and a remedy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    // What belongs to others, or to nobody.
    /// A GatewayClass that is nowhere, and isn't implied.
    UnknownClass(Arc<str>),
    /// A Gateway of another controller's class.
    ForeignClass(Arc<str>),
    /// A Gateway of a class of ours that isn't accepted.
    RefusedClass(Arc<str>),
    /// A `parametersRef` to a kind that nothing is read from.
    Parameters {
        kind: Arc<str>,
    },

    /// A cluster's object, of which the newest version isn't understood.
    Misread {
        kind: ObjectKind,
        message: String,
    },

    // Gateways and listeners.
    /// An address of a type that isn't served, or that is no address.
    Address {
        value: Arc<str>,
    },
    Routability(Arc<str>),
    NoParameters(ObjectName),
    NoPool(Arc<str>),
    AddressNotInPool(IpAddr),
    AddressTaken {
        address: IpAddr,
        by: ObjectKey,
    },
    /// Of Services that have a sharing key in common.
    NotShared {
        address: IpAddr,
        by: ObjectKey,
        why: Unshared,
    },
    /// The pools that were asked.
    NoFreeAddress(Vec<PoolName>),
    /// No pool gives addresses to who names none of them.
    NoPoolOpen,
    /// Its selectors leave the object out.
    PoolOfOthers(PoolName),
    /// It stays, though no pool has it any more that is for the object.
    AddressAstray(IpAddr),
    /// Two families are required.
    FamilyMissing {
        is_ipv4: bool,
    },
    /// Of an AddressPool: another has these, too.
    PoolOverlap {
        with: PoolName,
        range: AddressRange,
    },
    /// Of a Service of files: somebody listens there already.
    PortTaken {
        by: ObjectKey,
    },
    /// Of a Service whose traffic is to stay on its nodes: endpoints of this protocol don't learn clients' addresses.
    ClientHidden(IpProtocol),
    /// Of such a Service: no endpoint says on which node it is.
    NodesUnknown,
    /// A Service of files that nobody is the load balancer of.
    NoLoadBalancer,
    /// Of a Service, whom to let in.
    SourceRange(Arc<str>),
    /// The Service of that name is somebody else's.
    ForeignService(ObjectName),
    /// It has none yet, but shall soon.
    AddressPending,
    /// A field that isn't carried out yet; traffic goes on without it.
    NotCarriedOut,
    Protocol(Arc<str>),
    /// Another listener has the same port and hostname.
    HostnameConflict {
        with: ListenerName,
    },
    /// Another listener has the same port and speaks something else.
    ProtocolConflict {
        with: ListenerName,
    },
    /// A kind of routes that the listener's protocol can't carry.
    RouteKind {
        kind: Arc<str>,
        carried: &'static [ObjectKind],
    },

    // TLS.
    /// A reference to a certificate, or to authorities, that leads to none.
    Certificate {
        purpose: Purpose,
        why: Unusable,
    },
    /// What is given to be stapled to a certificate isn't.
    Unstapled {
        secret: ObjectName,
        flaw: StapleFlaw,
    },
    /// A listener that terminates TLS names no certificate.
    NoCertificates,
    /// Peers are to be validated, and no authority to do it with can be used.
    NoAuthorities,
    /// A set of authorities that isn't known by that name.
    WellKnownAuthorities(Arc<str>),
    /// A least version of TLS that isn't known.
    TlsVersion(Arc<str>),
    /// An option with our prefix that isn't known.
    TlsOption(Arc<str>),
    /// An option of somebody else's.
    ForeignTlsOption(Arc<str>),

    // ListenerSets.
    /// The Gateway's `allowedListeners` doesn't select the set.
    SetNotAllowed(ObjectName),
    ParentNotAccepted(ObjectName),

    // Attachment of routes.
    NoGateway(ObjectName),
    NoListenerSet(ObjectName),
    /// A ListenerSet that its Gateway doesn't take.
    SetNotAccepted(ObjectName),
    /// A parent of a kind that routes can't attach to here.
    ParentKind(Arc<str>),
    /// No listener has the reference's name or port.
    NoListener(ObjectKey),
    /// No such listener takes routes of this kind and namespace.
    NotAllowed {
        parent: ObjectKey,
        kind: ObjectKind,
    },
    NoCommonHostname(Vec<Hostname>),

    // References to backends.
    BackendKind(Arc<str>),
    NotGranted {
        from: ObjectKind,
        to: ObjectKey,
    },
    /// A Service of type ExternalName, in a cluster.
    ExternalName(ObjectName),
    NoService(ObjectName),
    PortMissing(ObjectName),
    NoPort {
        service: ObjectName,
        port: u16,
        protocol: IpProtocol,
    },
    AppProtocol {
        service: ObjectName,
        port: u16,
        protocol: Arc<str>,
        why: Unspoken,
    },
    /// EndpointSlices of the Service have addresses, but none for this port's name.
    NoSlicePort {
        service: ObjectName,
        port: Arc<str>,
    },

    // Rules.
    /// A value of this version's API, or of a later one, that isn't carried out.
    Value(Arc<str>),
    /// A filter that isn't carried out: the rule answers 500 rather than going on without it.
    Filter(Arc<str>),
    IncompatibleFilters {
        first: &'static str,
        second: &'static str,
    },
    /// A prefix is to be replaced where a match is not for a prefix.
    NoPrefixToReplace,
    Expression {
        expression: Arc<str>,
        reason: String,
    },
    /// A path that no request can have.
    Path {
        path: Arc<str>,
        reason: String,
    },
    ForbiddenHeader(Arc<str>),

    // Policies.
    PolicyTargetKind(Arc<str>),
    NoPolicyTarget(Arc<str>),
    /// Another policy came first for the same target.
    PolicyConflict {
        with: ObjectName,
    },
    /// Endpoints of a port of datagrams can't be asked there, and the check names no other port.
    NotChecked {
        port: u16,
    },
}

/// Why a route can't send to a port that wants a certain protocol (GEP-1911).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unspoken {
    /// TLS, and no BackendTLSPolicy says whom to believe.
    WithoutPolicy,
    /// WebSocket, which carries no gRPC.
    WebSocket,
}

/// Why an address isn't shared by two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unshared {
    /// One of them doesn't share it, or with others.
    Alone,
    /// Both have this port.
    Port(IpProtocol, u16),
    /// They differ in `externalTrafficPolicy`, or both are Local and lead to other Pods.
    Pods,
}

/// What a certificate is for: the API has other reasons for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A listener's.
    Serving,
    /// A Gateway's own, for backends that ask for one.
    Client,
    /// Authorities of clients' certificates.
    ClientAuthority,
    /// Authorities of backends' certificates.
    BackendAuthority,
}

/// Why a reference to a certificate, or to authorities, leads to none. Whether the reference is allowed
/// at all is [`Fault::NotGranted`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unusable {
    /// The kind, with its group, that nothing is read from.
    Kind(Arc<str>),
    Missing(ObjectKey),
    Flawed {
        holder: ObjectKey,
        flaw: Flaw,
    },
}

/// Which part of an object's status a [`Fault`] speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    Accepted,
    ResolvedRefs,
    Conflicted,
    /// Of a Gateway whose configuration is fine.
    Programmed,
    /// No condition: worth knowing.
    Advice,
}

/// A listener of a Gateway or of a ListenerSet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListenerName {
    pub owner: ObjectKey,
    pub listener: Arc<str>,
}

impl Fault {
    #[must_use]
    pub fn concern(&self) -> Concern {
        match self {
            Self::HostnameConflict { .. }
            | Self::ProtocolConflict { .. }
            | Self::PoolOverlap { .. } => Concern::Conflicted,
            Self::RouteKind { .. }
            | Self::Certificate { .. }
            | Self::NoCertificates
            | Self::BackendKind(_)
            | Self::NotGranted { .. }
            | Self::ExternalName(_)
            | Self::NoService(_)
            | Self::PortMissing(_)
            | Self::NoPort { .. }
            | Self::AppProtocol { .. } => Concern::ResolvedRefs,
            Self::AddressNotInPool(_)
            | Self::AddressTaken { .. }
            | Self::NotShared { .. }
            | Self::NoFreeAddress(_)
            | Self::NoPool(_)
            | Self::NoPoolOpen
            | Self::PoolOfOthers(_)
            | Self::PortTaken { .. }
            | Self::SourceRange(_)
            | Self::ForeignService(_)
            | Self::AddressPending => Concern::Programmed,
            Self::NotCarriedOut
            | Self::AddressAstray(_)
            | Self::FamilyMissing { .. }
            | Self::NoLoadBalancer
            | Self::ClientHidden(_)
            | Self::NodesUnknown
            | Self::ForeignClass(_)
            | Self::ForeignTlsOption(_)
            | Self::Unstapled { .. }
            | Self::NotChecked { .. }
            | Self::NoSlicePort { .. } => Concern::Advice,
            Self::UnknownClass(_)
            | Self::Misread { .. }
            | Self::RefusedClass(_)
            | Self::Parameters { .. }
            | Self::Address { .. }
            | Self::Routability(_)
            | Self::NoParameters(_)
            | Self::Protocol(_)
            | Self::NoAuthorities
            | Self::WellKnownAuthorities(_)
            | Self::TlsVersion(_)
            | Self::TlsOption(_)
            | Self::SetNotAllowed(_)
            | Self::ParentNotAccepted(_)
            | Self::NoGateway(_)
            | Self::NoListenerSet(_)
            | Self::SetNotAccepted(_)
            | Self::ParentKind(_)
            | Self::NoListener(_)
            | Self::NotAllowed { .. }
            | Self::NoCommonHostname(_)
            | Self::Value(_)
            | Self::Filter(_)
            | Self::IncompatibleFilters { .. }
            | Self::NoPrefixToReplace
            | Self::Expression { .. }
            | Self::Path { .. }
            | Self::ForbiddenHeader(_)
            | Self::PolicyTargetKind(_)
            | Self::NoPolicyTarget(_)
            | Self::PolicyConflict { .. } => Concern::Accepted,
        }
    }
}
