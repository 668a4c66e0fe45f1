//! TLSRoutes, TCPRoutes and UDPRoutes: one rule, and the backends that its connections or datagrams go to.

use std::sync::Arc;

use ringgate_core::ir::{
    BackendProtocol, BackendTarget, Id, Object, ObjectName, StreamBackend, StreamProtocol,
    StreamRoute,
};

use super::route::{Placed, RouteKind, Wanted};
use crate::api::ObjectKind;
use crate::api::reference::BackendRef;
use crate::api::route::Route;
use crate::api::stream_route::{StreamRouteRule, Tcp, Tls, Udp};
use crate::store::{ByName, Resources};

/// What a rule of layer 4 is, beside its route.
#[derive(Debug)]
pub(super) struct StreamRule {
    name: Option<Arc<str>>,
    backends: Vec<StreamBackend>,
}

/// What routes of layer 4 differ in.
pub(super) trait StreamKind: Sized {
    const KIND: ObjectKind;
    const PROTOCOL: StreamProtocol;
    const SPEAKS: BackendProtocol;

    fn all(resources: &Resources) -> &ByName<Route<StreamRouteRule<Self>>>;
}

impl StreamKind for Tls {
    const KIND: ObjectKind = ObjectKind::TlsRoute;
    const PROTOCOL: StreamProtocol = StreamProtocol::Tls;
    const SPEAKS: BackendProtocol = BackendProtocol::Tcp;

    fn all(resources: &Resources) -> &ByName<Route<StreamRouteRule<Self>>> {
        &resources.tls_routes
    }
}

impl StreamKind for Tcp {
    const KIND: ObjectKind = ObjectKind::TcpRoute;
    const PROTOCOL: StreamProtocol = StreamProtocol::Tcp;
    const SPEAKS: BackendProtocol = BackendProtocol::Tcp;

    fn all(resources: &Resources) -> &ByName<Route<StreamRouteRule<Self>>> {
        &resources.tcp_routes
    }
}

impl StreamKind for Udp {
    const KIND: ObjectKind = ObjectKind::UdpRoute;
    const PROTOCOL: StreamProtocol = StreamProtocol::Udp;
    const SPEAKS: BackendProtocol = BackendProtocol::Udp;

    fn all(resources: &Resources) -> &ByName<Route<StreamRouteRule<Self>>> {
        &resources.udp_routes
    }
}

impl<P: StreamKind> RouteKind for StreamRouteRule<P> {
    const KIND: ObjectKind = P::KIND;
    const SPEAKS: BackendProtocol = P::SPEAKS;
    type Rule = StreamRule;

    fn all(resources: &Resources) -> &ByName<Route<Self>> {
        P::all(resources)
    }

    fn translate(&self, wanted: &mut Wanted<'_>) -> Option<StreamRule> {
        Some(StreamRule {
            name: self.name.as_ref().map(|name| name.shared()),
            backends: backends(&self.backend_refs, wanted),
        })
    }

    fn id(name: &ObjectName) -> Id {
        Id::stream_route(P::PROTOCOL, name)
    }

    /// There is one rule, as the API has it.
    fn object(placed: Placed, rules: Vec<StreamRule>) -> Object {
        let rule = rules.into_iter().next();
        let (rule, backends) = rule
            .map(|rule| (rule.name, rule.backends))
            .unwrap_or_default();
        Object::StreamRoute(StreamRoute {
            protocol: P::PROTOCOL,
            is_service: false,
            name: placed.name,
            created: placed.created,
            attachments: placed.attachments,
            rule,
            backends,
        })
    }
}

/// Those that can't be resolved are invalid, and are reported by `wanted`.
fn backends(references: &[BackendRef], wanted: &mut Wanted<'_>) -> Vec<StreamBackend> {
    let references = references.iter().enumerate();
    references
        .map(|(place, one)| {
            let target = wanted.backend(&format!("backendRefs[{place}]"), &one.reference);
            StreamBackend {
                target: target.map_or(BackendTarget::Invalid, BackendTarget::Backend),
                weight: one.weight.get(),
            }
        })
        .collect()
}
