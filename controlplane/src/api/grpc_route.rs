//! GRPCRoute (Gateway API v1.7.0, with the experimental field): rules and matches. What is the same as in
//! an HTTPRoute has its types.

use serde::{Deserialize, Deserializer};

use super::choice::choice;
use super::http_filter::{FilterError, FilterText, HttpRouteFilter, HttpRouteFilterType};
use super::http_route::{HttpBackendRef, HttpHeaderMatch, SessionPersistence};
use super::reference::BackendRef;
use super::route::{Route, RouteRule};
use super::text::{RpcName, SectionName};

/// One without rules takes nothing.
pub type GrpcRoute = Route<GrpcRouteRule>;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRouteRule {
    pub name: Option<SectionName>,
    /// Empty: every request of gRPC.
    pub matches: Vec<GrpcRouteMatch>,
    /// Of those kinds that a GRPCRoute has.
    #[serde(deserialize_with = "filters")]
    pub filters: Vec<HttpRouteFilter>,
    #[serde(deserialize_with = "backend_refs")]
    pub backend_refs: Vec<HttpBackendRef>,
    /// Boxed, for few rules have it.
    pub session_persistence: Option<Box<SessionPersistence>>,
}

impl RouteRule for GrpcRouteRule {
    fn name(&self) -> Option<&SectionName> {
        self.name.as_ref()
    }
}

/// All parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GrpcRouteMatch {
    pub method: Option<GrpcMethodMatch>,
    pub headers: Vec<HttpHeaderMatch>,
}

choice!(
    #[derive(Default)]
    GrpcMethodMatchType {
        #[default]
        Exact = "Exact",
        RegularExpression = "RegularExpression",
    }
);

/// What is left out is any.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GrpcMethodMatch {
    #[serde(rename = "type")]
    pub match_type: GrpcMethodMatchType,
    pub service: Option<RpcName>,
    pub method: Option<RpcName>,
}

choice!(GrpcRouteFilterType {
    RequestHeaderModifier = "RequestHeaderModifier",
    ResponseHeaderModifier = "ResponseHeaderModifier",
    RequestMirror = "RequestMirror",
    ExtensionRef = "ExtensionRef",
});

impl From<GrpcRouteFilterType> for HttpRouteFilterType {
    fn from(of_grpc: GrpcRouteFilterType) -> Self {
        match of_grpc {
            GrpcRouteFilterType::RequestHeaderModifier => Self::RequestHeaderModifier,
            GrpcRouteFilterType::ResponseHeaderModifier => Self::ResponseHeaderModifier,
            GrpcRouteFilterType::RequestMirror => Self::RequestMirror,
            GrpcRouteFilterType::ExtensionRef => Self::ExtensionRef,
            GrpcRouteFilterType::Unknown(text) => Self::Unknown(text),
        }
    }
}

/// An HTTPRoute's filter, of those types that a GRPCRoute has.
#[derive(Deserialize)]
#[serde(try_from = "FilterText<GrpcRouteFilterType>")]
struct Filter(HttpRouteFilter);

impl TryFrom<FilterText<GrpcRouteFilterType>> for Filter {
    type Error = FilterError;

    fn try_from(text: FilterText<GrpcRouteFilterType>) -> Result<Self, FilterError> {
        text.widened().try_into().map(Self)
    }
}

fn filters<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HttpRouteFilter>, D::Error> {
    let filters = Vec::<Filter>::deserialize(deserializer)?;
    Ok(filters.into_iter().map(|one| one.0).collect())
}

fn backend_refs<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<HttpBackendRef>, D::Error> {
    let references = Vec::<BackendRef<Filter>>::deserialize(deserializer)?;
    let references = references.into_iter().map(|one| BackendRef {
        reference: one.reference,
        weight: one.weight,
        filters: one.filters.into_iter().map(|one| one.0).collect(),
    });
    Ok(references.collect())
}
