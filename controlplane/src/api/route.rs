//! Routes of every kind: where they attach, for which hosts, and rules of their kind. What a rule has
//! stands in the module of its kind.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::gateway::DefaultScope;
use super::meta::ObjectMeta;
use super::reference::ParentReference;
use super::text::{HostPattern, SectionName};

/// A rule, which makes a kind of routes.
pub trait RouteRule: DeserializeOwned {
    fn name(&self) -> Option<&SectionName>;

    /// Of a route that doesn't write any.
    #[must_use]
    fn unwritten() -> Vec<Self> {
        Vec::new()
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(bound(deserialize = "R: RouteRule"))]
pub struct Route<R> {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: RouteSpec<R>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, bound(deserialize = "R: RouteRule"))]
pub struct RouteSpec<R> {
    pub parent_refs: Vec<ParentReference>,
    pub use_default_gateways: Option<DefaultScope>,
    /// Empty: those of the listener.
    pub hostnames: Vec<HostPattern>,
    pub rules: Vec<R>,
}

impl<R: RouteRule> Default for RouteSpec<R> {
    fn default() -> Self {
        Self {
            parent_refs: Vec::new(),
            use_default_gateways: None,
            hostnames: Vec::new(),
            rules: R::unwritten(),
        }
    }
}
