//! What a translation takes over from the one before. A result is kept as long as all that it was made
//! from is the very same; so what comes out never depends on what is remembered.

mod backends;
mod changes;
mod parents;
mod routes;

use super::Inputs;
use super::gateway::Gateways;
use super::policy::Policies;
use crate::api::ObjectKey;
use crate::api::grpc_route::GrpcRoute;
use crate::api::http_route::HttpRoute;
use crate::api::tls_route::TlsRoute;
use changes::Seen;
use parents::ParentChanges;
use routes::{Routes, Used};

pub(super) use backends::Backend;
pub(super) use routes::RouteResult;

#[derive(Debug, Default)]
pub(super) struct Memory {
    seen: Seen,
    gateways: Gateways,
    http_routes: Routes<HttpRoute>,
    grpc_routes: Routes<GrpcRoute>,
    tls_routes: Routes<TlsRoute>,
    used: Used,
    backends: backends::Backends,
}

impl Memory {
    /// Brings all routes, and the backends that they use, up to date.
    pub(super) fn update(
        &mut self,
        inputs: &Inputs<'_>,
        gateways: &Gateways,
        policies: &Policies<'_>,
    ) {
        let changes = self.seen.changes(inputs.resources, &policies.tls);
        let parents = ParentChanges::between(&self.gateways, gateways);
        let decided = (gateways, &policies.tls);
        let differs = (&changes, &parents);
        self.http_routes
            .update(inputs, decided, differs, &mut self.used);
        self.grpc_routes
            .update(inputs, decided, differs, &mut self.used);
        self.tls_routes
            .update(inputs, decided, differs, &mut self.used);
        self.backends
            .update(inputs, policies, self.used.keys(), &changes);
    }

    /// Keeps what the next update compares with.
    pub(super) fn keep(&mut self, gateways: Gateways) {
        self.gateways = gateways;
    }

    pub(super) fn fresh_routes(&self) -> usize {
        self.http_routes.fresh() + self.grpc_routes.fresh() + self.tls_routes.fresh()
    }

    /// In order of kind and name.
    pub(super) fn routes(&self) -> impl Iterator<Item = (ObjectKey, &RouteResult)> {
        let http = self.http_routes.all().chain(self.grpc_routes.all());
        http.chain(self.tls_routes.all())
    }

    /// Those that routes in force use, in order of Service and port.
    pub(super) fn backends(&self) -> impl Iterator<Item = &Backend> {
        self.backends.all()
    }
}
