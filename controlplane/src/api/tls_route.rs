//! TLSRoute (Gateway API v1.7.0, GEP-2643).

use serde::Deserialize;

use super::reference::BackendRef;
use super::route::{Route, RouteRule};
use super::text::SectionName;

/// Its hostnames are server names; there is one rule.
pub type TlsRoute = Route<TlsRouteRule>;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsRouteRule {
    pub name: Option<SectionName>,
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
}

impl RouteRule for TlsRouteRule {
    fn name(&self) -> Option<&SectionName> {
        self.name.as_ref()
    }
}
