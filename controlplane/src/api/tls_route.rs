//! TLSRoute (Gateway API v1.7.0, GEP-2643).

use serde::Deserialize;

use super::meta::ObjectMeta;
use super::reference::{BackendRef, ParentReference};
use super::text::{HostPattern, SectionName};

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TlsRoute {
    pub metadata: ObjectMeta,
    pub spec: TlsRouteSpec,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsRouteSpec {
    #[serde(default)]
    pub parent_refs: Vec<ParentReference>,
    pub use_default_gateways: Option<super::gateway::DefaultScope>,
    /// Server names. None only in an outline of an object that isn't understood.
    #[serde(default)]
    pub hostnames: Vec<HostPattern>,
    /// One.
    pub rules: Vec<TlsRouteRule>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsRouteRule {
    pub name: Option<SectionName>,
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
}
