//! What a translation takes over from the one before. A result is kept as long as all that it was made
//! from is the very same; so what comes out never depends on what is remembered.

mod backends;
mod changes;
mod decided;
mod kept;
mod naming;
mod parents;
mod routes;

use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::Inputs;
use super::backend::ServicePortName;
use super::gateway::Gateways;
use super::gateway_class::Classes;
use super::policy::Policies;
use crate::api::grpc_route::GrpcRouteRule;
use crate::api::http_route::HttpRouteRule;
use crate::api::stream_route::{TcpRouteRule, TlsRouteRule, UdpRouteRule};
use crate::api::{ObjectKey, ObjectKind};
use changes::Seen;
use decided::Decided;
use parents::ParentChanges;
use routes::{Routes, Used};

pub(super) use backends::Backend;
pub(super) use kept::Kept;
pub(super) use routes::{RouteChange, RouteResult};

#[derive(Debug, Default)]
pub(super) struct Memory {
    decided: Decided,
    seen: Seen,
    /// Of the last update.
    gateways: Arc<Gateways>,
    http_routes: Routes<HttpRouteRule>,
    grpc_routes: Routes<GrpcRouteRule>,
    tls_routes: Routes<TlsRouteRule>,
    tcp_routes: Routes<TcpRouteRule>,
    udp_routes: Routes<UdpRouteRule>,
    used: Used,
    /// Backends that are in use whatever routes say.
    held: Vec<ServicePortName>,
    backends: backends::Backends,
}

/// What is other than at the translation before.
#[derive(Debug)]
pub(super) struct News {
    /// Gateways and ListenerSets that came, went, or are others.
    pub(super) parents: Vec<ObjectKey>,
    pub(super) routes: Vec<RouteChange>,
    /// False: all backends are as they were.
    pub(super) of_backends: bool,
}

impl Memory {
    /// What is decided about Gateways: the very same as before, if all that it depends on is.
    pub(super) fn gateways(&mut self, inputs: &Inputs<'_>, classes: &Classes<'_>) -> Arc<Gateways> {
        self.decided.gateways(inputs, classes)
    }

    /// Keeps these backends, beside those that routes use.
    pub(super) fn hold(&mut self, backends: Vec<ServicePortName>) {
        if self.held != backends {
            self.used.acquire(&backends);
            self.used.release(&self.held);
            self.held = backends;
        }
    }

    /// Brings all routes, and the backends that they use, up to date.
    pub(super) fn update(
        &mut self,
        inputs: &Inputs<'_>,
        gateways: &Arc<Gateways>,
        policies: &Policies<'_>,
    ) -> News {
        let changes = self.seen.changes(inputs.resources, &policies.tls);
        let parents = match Arc::ptr_eq(&self.gateways, gateways) {
            true => ParentChanges::default(),
            false => ParentChanges::between(&self.gateways, gateways),
        };
        self.gateways = gateways.clone();
        let decided = (&**gateways, &policies.tls);
        let differs = (&changes, &parents);
        let mut routes = Vec::new();
        self.http_routes
            .update(inputs, decided, differs, (&mut self.used, &mut routes));
        self.grpc_routes
            .update(inputs, decided, differs, (&mut self.used, &mut routes));
        self.tls_routes
            .update(inputs, decided, differs, (&mut self.used, &mut routes));
        self.tcp_routes
            .update(inputs, decided, differs, (&mut self.used, &mut routes));
        self.udp_routes
            .update(inputs, decided, differs, (&mut self.used, &mut routes));
        let of_backends = self
            .backends
            .update(inputs, policies, &mut self.used, &changes);
        News {
            parents: parents.touched,
            routes,
            of_backends,
        }
    }

    pub(super) fn fresh_routes(&self) -> usize {
        let requests = self.http_routes.fresh() + self.grpc_routes.fresh();
        let (tls, tcp) = (self.tls_routes.fresh(), self.tcp_routes.fresh());
        requests + tls + tcp + self.udp_routes.fresh()
    }

    pub(super) fn fresh_drafts(&self) -> usize {
        self.decided.fresh()
    }

    /// Those that look for a Service, in order of kind and name.
    pub(super) fn routes_to(&self, service: &ObjectName) -> impl Iterator<Item = &RouteResult> {
        let service = ObjectKey {
            kind: ObjectKind::Service,
            name: service.clone(),
        };
        let http = self.http_routes.naming(&service);
        let grpc = self.grpc_routes.naming(&service);
        let tls = http.chain(grpc).chain(self.tls_routes.naming(&service));
        let tcp = tls.chain(self.tcp_routes.naming(&service));
        tcp.chain(self.udp_routes.naming(&service))
    }

    /// Those that routes in force use, in order of Service and port.
    pub(super) fn backends(&self) -> impl Iterator<Item = &Backend> {
        self.backends.all()
    }
}
