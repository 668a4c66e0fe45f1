//! Where a request goes instead: rewritten paths, and the `Location` of a redirect.

use std::borrow::Cow;

use crate::ir::{PathModifier, Redirect};

/// The path after a modifier. `prefix_length` is how much of the path the rule's prefix took, without
/// a trailing slash. The result begins with a slash.
///
/// Gateway API, HTTPPathModifier: of `/foo/bar` and the prefix `/foo`, `/xyz` makes `/xyz/bar`,
/// `/` makes `/bar`.
#[must_use]
pub fn modified_path<'p>(
    modifier: &'p PathModifier,
    path: &'p str,
    prefix_length: usize,
) -> Cow<'p, str> {
    match modifier {
        PathModifier::ReplaceFullPath(full) => match full.starts_with('/') {
            true => Cow::Borrowed(full),
            false => Cow::Owned(format!("/{full}")),
        },
        PathModifier::ReplacePrefix(prefix) => {
            let rest = path.get(prefix_length..).unwrap_or_default();
            match (prefix.is_empty(), rest.is_empty()) {
                (true, true) => Cow::Borrowed("/"),
                (true, false) => Cow::Borrowed(rest),
                (false, true) => Cow::Borrowed(prefix),
                (false, false) => Cow::Owned(format!("{prefix}{rest}")),
            }
        }
    }
}

/// What of a request a redirect starts from.
#[derive(Clone, Copy, Debug)]
pub struct From<'r> {
    /// `http` or `https`.
    pub scheme: &'r str,
    /// Lower case, without port; as in the request's `Host`.
    pub host: &'r str,
    /// The listener's port, as clients know it (Gateway API: the default where a redirect names neither port nor scheme).
    pub port: u16,
    pub path: &'r str,
    pub query: &'r [u8],
    pub prefix_length: usize,
}

/// The `Location` of a redirect (Gateway API, HTTPRequestRedirectFilter).
///
/// The port: the filter's; else the well-known one of the filter's scheme; else the listener's. A port that
/// is its scheme's default is left out.
#[must_use]
pub fn location(redirect: &Redirect, from: &From<'_>) -> Vec<u8> {
    let scheme = redirect.scheme.as_deref().unwrap_or(from.scheme);
    let host = redirect.hostname.as_deref().unwrap_or(from.host);
    let port = match (redirect.port, redirect.scheme.as_deref()) {
        (Some(port), _) => port,
        (None, Some(scheme)) => default_port(scheme).unwrap_or(from.port),
        (None, None) => from.port,
    };
    let path = match &redirect.path {
        Some(modifier) => modified_path(modifier, from.path, from.prefix_length),
        None => Cow::Borrowed(from.path),
    };
    let mut location = format!("{scheme}://{host}");
    if default_port(scheme) != Some(port) {
        location.push(':');
        location.push_str(&port.to_string());
    }
    location.push_str(&path);
    let mut location = location.into_bytes();
    if !from.query.is_empty() {
        location.push(b'?');
        location.extend_from_slice(from.query);
    }
    location
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_replaced_as_the_api_tables_say() {
        for (path, prefix, with, result) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/bar", "", "/xyz", "/xyz/bar"),
        ] {
            let modifier = PathModifier::ReplacePrefix(with.into());
            assert_eq!(
                modified_path(&modifier, path, prefix.len()),
                result,
                "{path} {with}"
            );
        }
    }

    #[test]
    fn locations_take_what_is_not_given_from_the_request() {
        let from = From {
            scheme: "http",
            host: "a.example",
            port: 8080,
            path: "/foo/bar",
            query: b"q=1",
            prefix_length: 4,
        };
        let plain = Redirect {
            scheme: None,
            hostname: None,
            port: None,
            path: None,
            status: 302,
        };
        let to = |redirect: Redirect| String::from_utf8(location(&redirect, &from)).unwrap();
        assert_eq!(to(plain.clone()), "http://a.example:8080/foo/bar?q=1");
        let https = Redirect {
            scheme: Some("https".into()),
            ..plain.clone()
        };
        assert_eq!(to(https.clone()), "https://a.example/foo/bar?q=1");
        assert_eq!(
            to(Redirect {
                port: Some(8443),
                ..https
            }),
            "https://a.example:8443/foo/bar?q=1"
        );
        let port = Redirect {
            port: Some(80),
            ..plain.clone()
        };
        assert_eq!(to(port), "http://a.example/foo/bar?q=1");
        let path = Some(PathModifier::ReplacePrefix("/x".into()));
        let host = Redirect {
            hostname: Some("b.example".into()),
            path,
            ..plain
        };
        assert_eq!(to(host), "http://b.example:8080/x/bar?q=1");
    }
}
