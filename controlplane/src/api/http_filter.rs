//! HTTPRouteFilter: each has the field that its type names, and no other.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::auth::ExternalAuth;
use super::choice::choice;
use super::reference::{BackendObjectReference, LocalObjectReference};
use super::text::{
    CorsOrigin, Count, HeaderName, HeaderValue, PathValue, Percent, Port, Positive, PreciseHostname,
};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "FilterText<HttpRouteFilterType>")]
pub enum HttpRouteFilter {
    RequestHeaderModifier(HttpHeaderFilter),
    ResponseHeaderModifier(HttpHeaderFilter),
    RequestMirror(HttpRequestMirror),
    RequestRedirect(HttpRequestRedirect),
    UrlRewrite(HttpUrlRewrite),
    Cors(HttpCors),
    ExternalAuth(ExternalAuth),
    ExtensionRef(LocalObjectReference),
    /// A type that this version of the API doesn't have.
    Unknown(Arc<str>),
}

choice!(HttpRouteFilterType {
    RequestHeaderModifier = "RequestHeaderModifier",
    ResponseHeaderModifier = "ResponseHeaderModifier",
    RequestMirror = "RequestMirror",
    RequestRedirect = "RequestRedirect",
    UrlRewrite = "URLRewrite",
    ExtensionRef = "ExtensionRef",
    Cors = "CORS",
    ExternalAuth = "ExternalAuth",
});

/// Why the fields of a filter (or path modifier, or mirror) don't go together. The second line is
/// the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    #[error("type {filter_type} needs the field `{field}`\nadd `{field}:`, or change the type")]
    Missing {
        filter_type: String,
        field: &'static str,
    },
    #[error("`{field}` doesn't go with type {filter_type}\nremove `{field}`, or change the type")]
    Extra {
        filter_type: String,
        field: &'static str,
    },
    #[error("`percent` and `fraction` exclude each other\nremove one of them")]
    TwoShares,
    #[error(
        "{numerator}/{denominator} is more than the whole\nmake `numerator` at most `denominator`"
    )]
    MoreThanAll { numerator: u32, denominator: u32 },
    #[error("{code} is no status of a redirect\nwrite 301, 302, 303, 307 or 308")]
    RedirectStatus { code: i64 },
}

/// As it is written: a type, which is one of `T`, and a field for each type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FilterText<T> {
    #[serde(rename = "type")]
    filter_type: T,
    request_header_modifier: Option<HttpHeaderFilter>,
    response_header_modifier: Option<HttpHeaderFilter>,
    request_mirror: Option<HttpRequestMirror>,
    request_redirect: Option<HttpRequestRedirect>,
    url_rewrite: Option<HttpUrlRewrite>,
    cors: Option<HttpCors>,
    external_auth: Option<ExternalAuth>,
    extension_ref: Option<LocalObjectReference>,
}

impl FilterText<HttpRouteFilterType> {
    /// The first field that is there but isn't the type's.
    fn extra(&self) -> Option<&'static str> {
        use HttpRouteFilterType as Type;
        let present = [
            (
                self.request_header_modifier.is_some(),
                Type::RequestHeaderModifier,
                "requestHeaderModifier",
            ),
            (
                self.response_header_modifier.is_some(),
                Type::ResponseHeaderModifier,
                "responseHeaderModifier",
            ),
            (
                self.request_mirror.is_some(),
                Type::RequestMirror,
                "requestMirror",
            ),
            (
                self.request_redirect.is_some(),
                Type::RequestRedirect,
                "requestRedirect",
            ),
            (self.url_rewrite.is_some(), Type::UrlRewrite, "urlRewrite"),
            (self.cors.is_some(), Type::Cors, "cors"),
            (
                self.external_auth.is_some(),
                Type::ExternalAuth,
                "externalAuth",
            ),
            (
                self.extension_ref.is_some(),
                Type::ExtensionRef,
                "extensionRef",
            ),
        ];
        let extra = |(there, of, _): &(bool, Type, _)| *there && *of != self.filter_type;
        present.into_iter().find(extra).map(|(_, _, field)| field)
    }
}

impl<T: Into<HttpRouteFilterType>> FilterText<T> {
    /// Types of fewer kinds of filters are among those of an HTTPRoute.
    pub(super) fn widened(self) -> FilterText<HttpRouteFilterType> {
        FilterText {
            filter_type: self.filter_type.into(),
            request_header_modifier: self.request_header_modifier,
            response_header_modifier: self.response_header_modifier,
            request_mirror: self.request_mirror,
            request_redirect: self.request_redirect,
            url_rewrite: self.url_rewrite,
            cors: self.cors,
            external_auth: self.external_auth,
            extension_ref: self.extension_ref,
        }
    }
}

impl TryFrom<FilterText<HttpRouteFilterType>> for HttpRouteFilter {
    type Error = FilterError;

    fn try_from(text: FilterText<HttpRouteFilterType>) -> Result<Self, FilterError> {
        use HttpRouteFilterType as Type;
        let filter_type = text.filter_type.to_string();
        if let Type::Unknown(unknown) = text.filter_type {
            return Ok(Self::Unknown(unknown));
        }
        if let Some(field) = text.extra() {
            return Err(FilterError::Extra { filter_type, field });
        }
        let (filter, field) = match text.filter_type {
            Type::RequestHeaderModifier => (
                text.request_header_modifier
                    .map(Self::RequestHeaderModifier),
                "requestHeaderModifier",
            ),
            Type::ResponseHeaderModifier => (
                text.response_header_modifier
                    .map(Self::ResponseHeaderModifier),
                "responseHeaderModifier",
            ),
            Type::RequestMirror => (
                text.request_mirror.map(Self::RequestMirror),
                "requestMirror",
            ),
            Type::RequestRedirect => (
                text.request_redirect.map(Self::RequestRedirect),
                "requestRedirect",
            ),
            Type::UrlRewrite => (text.url_rewrite.map(Self::UrlRewrite), "urlRewrite"),
            Type::Cors => (text.cors.map(Self::Cors), "cors"),
            Type::ExternalAuth => (text.external_auth.map(Self::ExternalAuth), "externalAuth"),
            Type::ExtensionRef => (text.extension_ref.map(Self::ExtensionRef), "extensionRef"),
            Type::Unknown(unknown) => (Some(Self::Unknown(unknown)), ""),
        };
        filter.ok_or(FilterError::Missing { filter_type, field })
    }
}

/// HTTPHeaderFilter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HttpHeaderFilter {
    pub set: Vec<HttpHeader>,
    pub add: Vec<HttpHeader>,
    pub remove: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HttpHeader {
    pub name: HeaderName,
    pub value: HeaderValue,
}

/// HTTPRequestMirrorFilter; its share is a fraction, however it was written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "MirrorText")]
pub struct HttpRequestMirror {
    pub backend_ref: BackendObjectReference,
    /// Of the requests; 1/1 when nothing was written.
    pub numerator: u32,
    /// At least 1, and at least the numerator.
    pub denominator: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MirrorText {
    backend_ref: BackendObjectReference,
    percent: Option<Percent>,
    fraction: Option<FractionText>,
}

#[derive(Deserialize)]
struct FractionText {
    numerator: Count,
    denominator: Option<Positive>,
}

impl TryFrom<MirrorText> for HttpRequestMirror {
    type Error = FilterError;

    fn try_from(text: MirrorText) -> Result<Self, FilterError> {
        let (numerator, denominator) = match (text.percent, text.fraction) {
            (Some(_), Some(_)) => return Err(FilterError::TwoShares),
            (Some(percent), None) => (percent.get(), 100),
            (None, Some(fraction)) => (
                fraction.numerator.get(),
                fraction.denominator.map_or(100, Positive::get),
            ),
            (None, None) => (1, 1),
        };
        if numerator > denominator {
            return Err(FilterError::MoreThanAll {
                numerator,
                denominator,
            });
        }
        Ok(Self {
            backend_ref: text.backend_ref,
            numerator,
            denominator,
        })
    }
}

choice!(RedirectScheme {
    Http = "http",
    Https = "https",
});

/// HTTPRequestRedirectFilter: what is `None` is taken from the request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRequestRedirect {
    pub scheme: Option<RedirectScheme>,
    pub hostname: Option<PreciseHostname>,
    pub port: Option<Port>,
    pub path: Option<HttpPathModifier>,
    #[serde(default, deserialize_with = "redirect_status")]
    pub status_code: RedirectStatus,
}

/// 301, 302 (the default), 303, 307 or 308.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedirectStatus(u16);

impl RedirectStatus {
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for RedirectStatus {
    fn default() -> Self {
        Self(302)
    }
}

fn redirect_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RedirectStatus, D::Error> {
    let code = i64::deserialize(deserializer)?;
    match u16::try_from(code) {
        Ok(status @ (301 | 302 | 303 | 307 | 308)) => Ok(RedirectStatus(status)),
        _ => Err(serde::de::Error::custom(FilterError::RedirectStatus {
            code,
        })),
    }
}

/// HTTPURLRewriteFilter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HttpUrlRewrite {
    pub hostname: Option<PreciseHostname>,
    pub path: Option<HttpPathModifier>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PathModifierText")]
pub enum HttpPathModifier {
    ReplaceFullPath(PathValue),
    ReplacePrefixMatch(PathValue),
    /// A type that this version of the API doesn't have.
    Unknown(Arc<str>),
}

choice!(HttpPathModifierType {
    ReplaceFullPath = "ReplaceFullPath",
    ReplacePrefixMatch = "ReplacePrefixMatch",
});

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PathModifierText {
    #[serde(rename = "type")]
    modifier_type: HttpPathModifierType,
    replace_full_path: Option<PathValue>,
    replace_prefix_match: Option<PathValue>,
}

impl TryFrom<PathModifierText> for HttpPathModifier {
    type Error = FilterError;

    fn try_from(text: PathModifierText) -> Result<Self, FilterError> {
        const FULL: &str = "replaceFullPath";
        const PREFIX: &str = "replacePrefixMatch";
        let filter_type = text.modifier_type.to_string();
        match (
            text.modifier_type,
            text.replace_full_path,
            text.replace_prefix_match,
        ) {
            (HttpPathModifierType::ReplaceFullPath, Some(path), None) => {
                Ok(Self::ReplaceFullPath(path))
            }
            (HttpPathModifierType::ReplacePrefixMatch, None, Some(path)) => {
                Ok(Self::ReplacePrefixMatch(path))
            }
            (HttpPathModifierType::ReplaceFullPath, _, Some(_)) => Err(FilterError::Extra {
                filter_type,
                field: PREFIX,
            }),
            (HttpPathModifierType::ReplaceFullPath, None, None) => Err(FilterError::Missing {
                filter_type,
                field: FULL,
            }),
            (HttpPathModifierType::ReplacePrefixMatch, Some(_), _) => Err(FilterError::Extra {
                filter_type,
                field: FULL,
            }),
            (HttpPathModifierType::ReplacePrefixMatch, None, None) => Err(FilterError::Missing {
                filter_type,
                field: PREFIX,
            }),
            (HttpPathModifierType::Unknown(unknown), _, _) => Ok(Self::Unknown(unknown)),
        }
    }
}

choice!(
    /// A method, or `*` for all.
    CorsMethod {
        Any = "*",
        Get = "GET",
        Head = "HEAD",
        Post = "POST",
        Put = "PUT",
        Delete = "DELETE",
        Connect = "CONNECT",
        Options = "OPTIONS",
        Trace = "TRACE",
        Patch = "PATCH",
    }
);

/// HTTPCORSFilter (GEP-1767).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpCors {
    pub allow_origins: Vec<CorsOrigin>,
    pub allow_credentials: bool,
    pub allow_methods: Vec<CorsMethod>,
    pub allow_headers: Vec<HeaderName>,
    pub expose_headers: Vec<HeaderName>,
    /// Seconds; default 5.
    pub max_age: Positive,
}

impl Default for HttpCors {
    fn default() -> Self {
        Self {
            allow_origins: Vec::new(),
            allow_credentials: false,
            allow_methods: Vec::new(),
            allow_headers: Vec::new(),
            expose_headers: Vec::new(),
            max_age: Positive::FIVE,
        }
    }
}
