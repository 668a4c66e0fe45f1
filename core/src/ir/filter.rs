//! What a rule, or one of its backends, does to requests and responses.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Id;

/// One filter, in the API's order. Redirect never stands beside Rewrite.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Filter {
    RequestHeaders(HeaderEdits),
    ResponseHeaders(HeaderEdits),
    Redirect(Redirect),
    Rewrite(Rewrite),
    Mirror(Mirror),
    Cors(Cors),
}

/// HTTPHeaderFilter: remove, then set, then add. Names are lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeaderEdits {
    pub set: Vec<HeaderField>,
    pub add: Vec<HeaderField>,
    pub remove: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeaderField {
    pub name: Arc<str>,
    pub value: Arc<str>,
}

/// HTTPRequestRedirectFilter: what is `None` is taken from the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<Arc<str>>,
    pub hostname: Option<Arc<str>>,
    pub port: Option<u16>,
    pub path: Option<PathModifier>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// HTTPURLRewriteFilter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rewrite {
    pub hostname: Option<Arc<str>>,
    pub path: Option<PathModifier>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum PathModifier {
    /// The query stays.
    ReplaceFullPath(Arc<str>),
    /// In place of the prefix that matched; without a trailing slash, so that `/` is the empty text.
    ReplacePrefix(Arc<str>),
}

/// HTTPRequestMirrorFilter: `numerator` of `denominator` requests are copied; the answer is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mirror {
    pub backend: Id,
    pub numerator: u32,
    /// At least 1.
    pub denominator: u32,
}

/// HTTPCORSFilter (Fetch standard, CORS protocol).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cors {
    pub origins: Vec<Origin>,
    pub credentials: bool,
    pub methods: Tokens,
    pub headers: Tokens,
    pub expose: Tokens,
    #[serde(serialize_with = "super::duration_text")]
    pub max_age: Duration,
}

/// A list of methods or header names, or every one (`*`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Tokens {
    Any,
    List(Vec<Arc<str>>),
}

/// An origin that is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Origin {
    Any,
    Exact(Arc<str>),
    /// `scheme://*.suffix:port`: what stands before the `*`, and what stands behind it.
    Wildcard {
        before: Arc<str>,
        after: Arc<str>,
    },
}
