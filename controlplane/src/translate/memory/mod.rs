//! What a translation takes over from the one before. A result is kept as long as all that it was made
//! from is the very same; so what comes out never depends on what is remembered.

mod backends;
mod changes;
mod parents;
mod routes;

use ringgate_core::ir::ObjectName;

use super::Inputs;
use super::gateway::Gateways;
use super::policy::Policies;
use changes::Seen;
use parents::ParentChanges;

pub(super) use backends::Backend;
pub(super) use routes::Route;

#[derive(Debug, Default)]
pub(super) struct Memory {
    seen: Seen,
    gateways: Gateways,
    routes: routes::Routes,
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
        self.routes
            .update(inputs, (gateways, &policies.tls), &changes, &parents);
        self.backends
            .update(inputs, policies, self.routes.used(), &changes);
    }

    /// Keeps what the next update compares with.
    pub(super) fn keep(&mut self, gateways: Gateways) {
        self.gateways = gateways;
    }

    pub(super) fn fresh_routes(&self) -> usize {
        self.routes.fresh()
    }

    /// In order of name.
    pub(super) fn routes(&self) -> impl Iterator<Item = (&ObjectName, &Route)> {
        self.routes.all()
    }

    /// Those that routes in force use, in order of Service and port.
    pub(super) fn backends(&self) -> impl Iterator<Item = &Backend> {
        self.backends.all()
    }
}
