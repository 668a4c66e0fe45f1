//! TLSRoutes: one rule, and the backends that its connections go to.

use std::sync::Arc;

use ringgate_core::ir::{
    BackendProtocol, BackendTarget, Id, Object, ObjectName, StreamBackend, StreamRoute,
};

use super::route::{Placed, RouteKind, Wanted};
use crate::api::ObjectKind;
use crate::api::reference::BackendRef;
use crate::api::tls_route::{TlsRoute, TlsRouteRule};
use crate::store::{ByName, Resources};

/// What a rule of connections is, beside its route.
#[derive(Debug)]
pub(super) struct StreamRule {
    name: Option<Arc<str>>,
    backends: Vec<StreamBackend>,
}

impl RouteKind for TlsRouteRule {
    const KIND: ObjectKind = ObjectKind::TlsRoute;
    const SPEAKS: BackendProtocol = BackendProtocol::Tcp;
    type Rule = StreamRule;

    fn all(resources: &Resources) -> &ByName<TlsRoute> {
        &resources.tls_routes
    }

    fn translate(&self, wanted: &mut Wanted<'_>) -> Option<StreamRule> {
        Some(StreamRule {
            name: self.name.as_ref().map(|name| name.shared()),
            backends: backends(&self.backend_refs, wanted),
        })
    }

    fn id(name: &ObjectName) -> Id {
        Id::tls_route(name)
    }

    /// There is one rule, as the API has it.
    fn object(placed: Placed, rules: Vec<StreamRule>) -> Object {
        let rule = rules.into_iter().next();
        let (rule, backends) = rule
            .map(|rule| (rule.name, rule.backends))
            .unwrap_or_default();
        Object::TlsRoute(StreamRoute {
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
