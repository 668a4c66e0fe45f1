//! GRPCRoute (Gateway API v1.7.0, with the experimental field): rules and matches. What is the same as in
//! an HTTPRoute has its types.

use serde::{Deserialize, Deserializer};

use super::choice::choice;
use super::http_filter::{FilterError, HttpHeaderFilter, HttpRequestMirror, HttpRouteFilter};
use super::http_route::{HttpBackendRef, HttpHeaderMatch, SessionPersistence};
use super::meta::ObjectMeta;
use super::reference::{BackendObjectReference, LocalObjectReference, ParentReference};
use super::text::{
    Group, HostPattern, KindName, NamespaceName, Port, RefName, RpcName, SectionName, Weight,
};

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct GrpcRoute {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: GrpcRouteSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcRouteSpec {
    pub parent_refs: Vec<ParentReference>,
    pub use_default_gateways: Option<super::gateway::DefaultScope>,
    /// Empty: those of the listener.
    pub hostnames: Vec<HostPattern>,
    /// Empty: nothing is taken.
    pub rules: Vec<GrpcRouteRule>,
}

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
    pub session_persistence: Option<SessionPersistence>,
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

/// As it is written: a type, and a field for each type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterText {
    #[serde(rename = "type")]
    filter_type: GrpcRouteFilterType,
    request_header_modifier: Option<HttpHeaderFilter>,
    response_header_modifier: Option<HttpHeaderFilter>,
    request_mirror: Option<HttpRequestMirror>,
    extension_ref: Option<LocalObjectReference>,
}

#[derive(Deserialize)]
#[serde(try_from = "FilterText")]
struct Filter(HttpRouteFilter);

impl TryFrom<FilterText> for Filter {
    type Error = FilterError;

    fn try_from(text: FilterText) -> Result<Self, FilterError> {
        use GrpcRouteFilterType as Type;
        let filter_type = text.filter_type.to_string();
        let candidates = [
            (
                Type::RequestHeaderModifier,
                "requestHeaderModifier",
                text.request_header_modifier
                    .map(HttpRouteFilter::RequestHeaderModifier),
            ),
            (
                Type::ResponseHeaderModifier,
                "responseHeaderModifier",
                text.response_header_modifier
                    .map(HttpRouteFilter::ResponseHeaderModifier),
            ),
            (
                Type::RequestMirror,
                "requestMirror",
                text.request_mirror.map(HttpRouteFilter::RequestMirror),
            ),
            (
                Type::ExtensionRef,
                "extensionRef",
                text.extension_ref.map(HttpRouteFilter::ExtensionRef),
            ),
        ];
        if let Type::Unknown(unknown) = text.filter_type {
            return Ok(Self(HttpRouteFilter::Unknown(unknown)));
        }
        let mut found = Err(FilterError::Missing {
            filter_type: filter_type.clone(),
            field: "",
        });
        for (of, field, filter) in candidates {
            let filter_type = filter_type.clone();
            match filter {
                Some(_) if of != text.filter_type => {
                    return Err(FilterError::Extra { filter_type, field });
                }
                Some(filter) => found = Ok(Self(filter)),
                None if of == text.filter_type => {
                    found = Err(FilterError::Missing { filter_type, field });
                }
                None => {}
            }
        }
        found
    }
}

fn filters<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<HttpRouteFilter>, D::Error> {
    let filters = Vec::<Filter>::deserialize(deserializer)?;
    Ok(filters.into_iter().map(|one| one.0).collect())
}

/// GRPCBackendRef, as it is written: the reference's fields beside its own.
#[derive(Deserialize)]
struct BackendRefText {
    group: Option<Group>,
    kind: Option<KindName>,
    name: RefName,
    namespace: Option<NamespaceName>,
    port: Option<Port>,
    #[serde(default)]
    weight: Weight,
    #[serde(default, deserialize_with = "filters")]
    filters: Vec<HttpRouteFilter>,
}

impl From<BackendRefText> for HttpBackendRef {
    fn from(text: BackendRefText) -> Self {
        Self {
            reference: BackendObjectReference::new(
                text.group,
                text.kind,
                text.name,
                text.namespace,
                text.port,
            ),
            weight: text.weight,
            filters: text.filters,
        }
    }
}

fn backend_refs<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<HttpBackendRef>, D::Error> {
    let references = Vec::<BackendRefText>::deserialize(deserializer)?;
    Ok(references.into_iter().map(Into::into).collect())
}
