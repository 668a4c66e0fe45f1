//! Texts with a form: names, header fields, hostnames. Parsed once.
//!
//! An error's text has two lines: what is wrong, and the remedy. serde carries nothing but text.

use std::fmt;
use std::sync::{Arc, LazyLock};

use ringgate_core::ir::Hostname;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::reference::GATEWAY_GROUP;

pub use super::quantity::{
    ApiDuration, Bytes, Cidr, Count, Percent, Port, Positive, RetryCode, Threshold, Timestamp,
    Weight,
};

/// Why a value doesn't have the form that the API asks for. The second line is the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TextError {
    #[error("must have {min} to {max} characters, has {length}\n{remedy}", remedy = length_remedy(*length, *min))]
    Length {
        length: usize,
        min: usize,
        max: usize,
    },
    #[error("{text:?} is not {wanted}\nwrite something like {example}")]
    Form {
        text: String,
        wanted: &'static str,
        example: &'static str,
    },
    #[error("{number} is out of range: {min} to {max}\nwrite a number from {min} to {max}")]
    Range { number: i64, min: i64, max: i64 },
    #[error("{text:?} is no hostname: {reason}\nwrite a name like www.example.com{star}", star = if *.wildcard { " or *.example.com" } else { "" })]
    Hostname {
        text: String,
        reason: String,
        wildcard: bool,
    },
    #[error("not base64\nwrite the value base64-encoded, or plain in stringData")]
    Base64,
}

fn length_remedy(length: usize, min: usize) -> &'static str {
    if length < min {
        "write a value, or leave the field out"
    } else {
        "shorten it"
    }
}

/// Those that stand in nearly every object.
static COMMON: LazyLock<Vec<Arc<str>>> = LazyLock::new(|| {
    let common = ["", GATEWAY_GROUP, "Gateway", "ListenerSet", "Service"];
    common.map(Arc::from).into()
});

/// A text that many objects have takes memory once.
fn shared(text: &str) -> Arc<str> {
    let common = COMMON.iter().find(|one| ***one == *text);
    common.map_or_else(|| text.into(), Arc::clone)
}

/// Defines a text type: its length in bytes, its form, and an example for the remedy.
macro_rules! text_type {
    ($(#[$meta:meta])* $name:ident, $min:literal..=$max:literal, $holds:expr, $wanted:literal, $example:literal) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// # Errors
            /// [`TextError`] when the text doesn't have the form.
            pub fn parse(text: &str) -> Result<Self, TextError> {
                let length = text.len();
                if !($min..=$max).contains(&length) {
                    return Err(TextError::Length { length, min: $min, max: $max });
                }
                let holds: fn(&str) -> bool = $holds;
                if holds(text) {
                    return Ok(Self(shared(text)));
                }
                Err(TextError::Form { text: text.into(), wanted: $wanted, example: $example })
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text itself, shared.
            #[must_use]
            pub fn shared(&self) -> Arc<str> {
                self.0.clone()
            }
        }

        impl TryFrom<String> for $name {
            type Error = TextError;
            fn try_from(text: String) -> Result<Self, TextError> {
                Self::parse(&text)
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                *self.0 == *other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                *self.0 == **other
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text_type!(
    /// An API group; empty is the core group.
    Group, 0..=253, |text| text.is_empty() || is_subdomain(text),
    "an API group", "gateway.networking.k8s.io"
);
text_type!(
    /// A kind's name.
    KindName, 1..=63, |text| is_word(text) && text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic),
    "a kind", "Service"
);
text_type!(
    /// The name of an object that is referred to.
    RefName, 1..=253, |_| true, "a name", "my-service"
);
text_type!(
    NamespaceName,
    1..=63,
    is_label,
    "a namespace (a-z, 0-9 and inner hyphens)",
    "default"
);
text_type!(
    /// The name of a listener or rule.
    SectionName, 1..=253, is_subdomain, "a name (a-z, 0-9, inner hyphens and dots)", "http"
);
text_type!(
    /// A header field's or query parameter's name: an RFC 9110 token.
    HeaderName, 1..=256, |text| text.bytes().all(is_token),
    "a header or parameter name (letters, digits and !#$%&'*+-.^_`|~)", "x-user"
);
text_type!(
    /// A header field's value: visible ASCII with single inner blanks.
    HeaderValue, 1..=4096, is_header_value,
    "a header value (visible ASCII, single blanks or tabs only between words)", "tom"
);
text_type!(QueryValue, 1..=1024, |_| true, "a value", "tom");
text_type!(
    /// A path or a regular expression over paths; which of both, the match's type says.
    PathValue, 0..=1024, |_| true, "a path", "/app"
);
text_type!(
    /// The path of a health check, with a query if need be.
    CheckPath, 1..=1024,
    |text| text.starts_with('/') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@/?".contains(&b)),
    "a path (from `/` on, with the characters of a URI, others percent-encoded)", "/healthz"
);
text_type!(
    /// A gRPC service or method, or an expression over such; which of both, the match's type says. Empty: any.
    RpcName, 0..=1024, |_| true, "a name", "grpc.health.v1.Health"
);
text_type!(
    /// `domain/path` (GatewayClass).
    ControllerName, 1..=253, is_domain_path, "a domain and a path", "ringgate.io/gateway-controller"
);
text_type!(
    /// A hostname without a wildcard.
    PreciseHostname, 1..=253, is_subdomain, "a hostname (lower case, no wildcard)", "www.example.com"
);
text_type!(
    /// CORS: `*` or `http(s)://host[:port]`, the host with a leading wildcard if need be.
    CorsOrigin, 1..=253, is_origin, "an origin", "https://www.example.com or https://*.example.com"
);
text_type!(
    /// Scheme and what belongs to it, `//` between (BackendTLSPolicy).
    AbsoluteUri, 1..=253, is_absolute_uri, "an absolute URI", "spiffe://cluster.local/ns/shop/sa/app"
);
text_type!(
    /// Who brings a Service's traffic; empty is the cluster's default.
    LoadBalancerClass, 0..=316, |text| text.is_empty() || is_label_key(text),
    "`name` or `domain/name`", "ringgate.io/lb"
);
text_type!(AnnotationValue, 0..=4096, |_| true, "a value", "yes");
text_type!(
    LabelValue,
    0..=63,
    |text| text.is_empty() || is_label_word(text),
    "a label's value (letters, digits, inner '-', '_' and '.')",
    "blue"
);

/// Letters, digits and inner hyphens.
pub(crate) fn is_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && ends_are(text, |b| b.is_ascii_alphanumeric())
}

/// RFC 1123 label; its length is the caller's affair.
pub(crate) fn is_label(text: &str) -> bool {
    is_word(text) && !text.bytes().any(|b| b.is_ascii_uppercase())
}

/// RFC 1123 subdomain: labels with dots between.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_label_word(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && ends_are(text, |b| b.is_ascii_alphanumeric())
}

/// A label's or annotation's key: `[subdomain/]name`.
pub(crate) fn is_label_key(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    (1..=63).contains(&name.len())
        && is_label_word(name)
        && prefix.is_none_or(|prefix| prefix.len() < 253 && is_subdomain(prefix))
}

fn ends_are(text: &str, holds: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(holds) && bytes.last().copied().is_some_and(holds)
}

/// RFC 9110, section 5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_header_value(text: &str) -> bool {
    text.split([' ', '\t'])
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic()))
}

/// `domain/path` with the characters of a URI path behind the slash.
pub(crate) fn is_domain_path(text: &str) -> bool {
    let Some((domain, path)) = text.split_once('/') else {
        return false;
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
    is_subdomain(domain) && !path.is_empty() && path.bytes().all(allowed)
}

/// A scheme, and what the CRD wants behind it.
fn is_absolute_uri(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| !scheme.is_empty() && !scheme.contains([':', '/', '?', '#']))
}

fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some(rest) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return false;
    };
    let (host, port) = match rest.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    };
    let digits =
        |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let word = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let name = host.strip_prefix("*.").unwrap_or(host);
    port.is_none_or(digits) && (host == "*" || name.split('.').all(word))
}

/// A hostname, perhaps with a leading `*.`; never [`Hostname::Any`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPattern(Hostname);

impl HostPattern {
    #[must_use]
    pub fn get(&self) -> &Hostname {
        &self.0
    }
}

impl TryFrom<String> for HostPattern {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        if text.is_empty() || text.len() > 253 {
            return Err(TextError::Length {
                length: text.len(),
                min: 1,
                max: 253,
            });
        }
        let refuse = |text: String, reason: String| TextError::Hostname {
            text,
            reason,
            wildcard: true,
        };
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(refuse(text, "it must be in lower case".into()));
        }
        match Hostname::parse(&text) {
            Ok(name) => Ok(Self(name)),
            Err(error) => Err(refuse(text, error.to_string())),
        }
    }
}

impl PathValue {
    /// `/`
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }
}
