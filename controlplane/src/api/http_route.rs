//! HTTPRoute (Gateway API v1.7.0, with the experimental fields): rules and matches.

use serde::Deserialize;

use super::choice::choice;
use super::http_filter::HttpRouteFilter;
use super::reference::BackendRef;
use super::route::{Route, RouteRule};
use super::text::{
    ApiDuration, Count, HeaderName, HeaderValue, PathValue, QueryValue, RetryCode, SectionName,
};

/// One that writes no rules has one that takes everything.
pub type HttpRoute = Route<HttpRouteRule>;

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
    /// Boxed, for few rules have it.
    pub session_persistence: Option<Box<SessionPersistence>>,
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

impl RouteRule for HttpRouteRule {
    fn name(&self) -> Option<&SectionName> {
        self.name.as_ref()
    }

    fn unwritten() -> Vec<Self> {
        vec![Self::default()]
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
pub type HttpBackendRef = BackendRef<HttpRouteFilter>;

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
