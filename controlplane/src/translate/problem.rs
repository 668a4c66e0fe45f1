//! What translation finds wrong: typed, with the object and the field. Words are made in
//! [`crate::status`].

use std::sync::Arc;

use ringgate_core::ir::{Hostname, ObjectName};

use crate::api::{ObjectKey, ObjectKind};

/// Something wrong with one field of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub object: ObjectKey,
    /// As `spec.rules[0].matches[1].path.value`; empty: the object as a whole.
    pub field: String,
    pub fault: Fault,
}

impl Finding {
    pub(super) fn new(
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

    // Gateways and listeners.
    Address {
        value: Arc<str>,
    },
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
    RouteKind(Arc<str>),

    // Attachment of routes.
    NoGateway(ObjectName),
    /// A parent of a kind that routes can't attach to here.
    ParentKind(Arc<str>),
    /// No listener has the reference's name or port.
    NoListener(ObjectName),
    NotAllowed(ObjectName),
    NoCommonHostname(Vec<Hostname>),

    // References to backends.
    BackendKind(Arc<str>),
    NotGranted(ObjectName),
    NoService(ObjectName),
    PortMissing(ObjectName),
    NoPort {
        service: ObjectName,
        port: u16,
    },
    AppProtocol {
        service: ObjectName,
        port: u16,
        protocol: Arc<str>,
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
}

/// Which part of an object's status a [`Fault`] speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    Accepted,
    ResolvedRefs,
    Conflicted,
    /// No condition: worth knowing.
    Advice,
}

/// A listener of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListenerName {
    pub gateway: ObjectName,
    pub listener: Arc<str>,
}

impl Fault {
    #[must_use]
    pub fn concern(&self) -> Concern {
        match self {
            Self::HostnameConflict { .. } | Self::ProtocolConflict { .. } => Concern::Conflicted,
            Self::RouteKind(_)
            | Self::BackendKind(_)
            | Self::NotGranted(_)
            | Self::NoService(_)
            | Self::PortMissing(_)
            | Self::NoPort { .. }
            | Self::AppProtocol { .. } => Concern::ResolvedRefs,
            Self::NotCarriedOut | Self::ForeignClass(_) | Self::NoSlicePort { .. } => {
                Concern::Advice
            }
            Self::UnknownClass(_)
            | Self::RefusedClass(_)
            | Self::Parameters { .. }
            | Self::Address { .. }
            | Self::Protocol(_)
            | Self::NoGateway(_)
            | Self::ParentKind(_)
            | Self::NoListener(_)
            | Self::NotAllowed(_)
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
