//! HTTPRoute (Gateway API v1.7.0, with the experimental fields): rules and matches.

use serde::Deserialize;

use super::choice::choice;
use super::http_filter::HttpRouteFilter;
use super::meta::ObjectMeta;
use super::reference::{BackendObjectReference, ParentReference};
use super::text::{
    ApiDuration, Count, Group, HeaderName, HeaderValue, HostPattern, KindName, NamespaceName,
    PathValue, Port, QueryValue, RefName, RetryCode, SectionName, Weight,
};

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct HttpRoute {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: HttpRouteSpec,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteSpec {
    pub parent_refs: Vec<ParentReference>,
    pub use_default_gateways: Option<super::gateway::DefaultScope>,
    /// Empty: those of the listener.
    pub hostnames: Vec<HostPattern>,
    pub rules: Vec<HttpRouteRule>,
}

impl Default for HttpRouteSpec {
    fn default() -> Self {
        Self {
            parent_refs: Vec::new(),
            use_default_gateways: None,
            hostnames: Vec::new(),
            rules: vec![HttpRouteRule::default()],
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteRule {
    pub name: Option<SectionName>,
    /// May be written as an empty list, which matches everything.
    pub matches: Vec<HttpRouteMatch>,
    pub filters: Vec<HttpRouteFilter>,
    pub backend_refs: Vec<HttpBackendRef>,
    pub timeouts: Option<HttpRouteTimeouts>,
    pub retry: Option<HttpRouteRetry>,
    pub session_persistence: Option<SessionPersistence>,
}

impl Default for HttpRouteRule {
    fn default() -> Self {
        Self {
            name: None,
            matches: vec![HttpRouteMatch::default()],
            filters: Vec::new(),
            backend_refs: Vec::new(),
            timeouts: None,
            retry: None,
            session_persistence: None,
        }
    }
}

/// All parts must hold. Default: prefix `/`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteMatch {
    pub path: HttpPathMatch,
    pub headers: Vec<HttpHeaderMatch>,
    pub query_params: Vec<HttpQueryParamMatch>,
    pub method: Option<HttpMethod>,
}

choice!(PathMatchType {
    Exact = "Exact",
    PathPrefix = "PathPrefix",
    RegularExpression = "RegularExpression",
});

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct HttpPathMatch {
    #[serde(rename = "type")]
    pub match_type: PathMatchType,
    pub value: PathValue,
}

impl Default for HttpPathMatch {
    fn default() -> Self {
        Self {
            match_type: PathMatchType::PathPrefix,
            value: PathValue::root(),
        }
    }
}

choice!(
    /// Of a header's or a query parameter's value.
    #[derive(Default)]
    ValueMatchType {
        #[default]
        Exact = "Exact",
        RegularExpression = "RegularExpression",
    }
);

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct HttpHeaderMatch {
    #[serde(rename = "type", default)]
    pub match_type: ValueMatchType,
    pub name: HeaderName,
    pub value: HeaderValue,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct HttpQueryParamMatch {
    #[serde(rename = "type", default)]
    pub match_type: ValueMatchType,
    pub name: HeaderName,
    pub value: QueryValue,
}

choice!(HttpMethod {
    Get = "GET",
    Head = "HEAD",
    Post = "POST",
    Put = "PUT",
    Delete = "DELETE",
    Connect = "CONNECT",
    Options = "OPTIONS",
    Trace = "TRACE",
    Patch = "PATCH",
});

/// HTTPBackendRef.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "HttpBackendRefText")]
pub struct HttpBackendRef {
    pub reference: BackendObjectReference,
    pub weight: Weight,
    pub filters: Vec<HttpRouteFilter>,
}

/// As it is written: the reference's fields beside its own. (`flatten` would lose places.)
#[derive(Deserialize)]
struct HttpBackendRefText {
    group: Option<Group>,
    kind: Option<KindName>,
    name: RefName,
    namespace: Option<NamespaceName>,
    port: Option<Port>,
    #[serde(default)]
    weight: Weight,
    #[serde(default)]
    filters: Vec<HttpRouteFilter>,
}

impl From<HttpBackendRefText> for HttpBackendRef {
    fn from(text: HttpBackendRefText) -> Self {
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

/// GEP-1742. Zero means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRouteTimeouts {
    pub request: Option<ApiDuration>,
    pub backend_request: Option<ApiDuration>,
}

/// GEP-1731.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HttpRouteRetry {
    pub codes: Vec<RetryCode>,
    /// In addition to the first; default 1.
    pub attempts: Count,
    pub backoff: Option<ApiDuration>,
}

impl Default for HttpRouteRetry {
    fn default() -> Self {
        Self {
            codes: Vec::new(),
            attempts: Count::ONE,
            backoff: None,
        }
    }
}

choice!(
    #[derive(Default)]
    SessionPersistenceType {
        #[default]
        Cookie = "Cookie",
        Header = "Header",
    }
);

choice!(
    #[derive(Default)]
    CookieLifetime {
        #[default]
        Session = "Session",
        Permanent = "Permanent",
    }
);

/// GEP-1619.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionPersistence {
    #[serde(rename = "type")]
    pub persistence_type: SessionPersistenceType,
    pub absolute_timeout: Option<ApiDuration>,
    pub cookie: Option<SessionCookie>,
    pub header: Option<SessionHeader>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionCookie {
    pub name: Option<HeaderName>,
    pub lifetime_type: CookieLifetime,
    /// Default: `/`.
    pub path: Option<PathValue>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SessionHeader {
    pub name: HeaderName,
}
