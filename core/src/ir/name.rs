//! Names: of objects, of hosts. Parsed once, so that nothing later can hold an invalid one.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use thiserror::Error;

use super::{BackendProtocol, StreamProtocol};

/// A Kubernetes namespaced name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl ObjectName {
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What an [`Id`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Listener,
    HttpRoute,
    GrpcRoute,
    TlsRoute,
    TcpRoute,
    UdpRoute,
    Backend,
    Certificate,
    Authorities,
    TicketKeys,
}

/// An object's identity within a snapshot; stable over versions.
///
/// `path` is `namespace/gateway/listener` for a listener, `namespace/name` for a route,
/// `namespace/service/port` for a backend, with `/http2`, `/tcp` or `/udp` behind it where that is spoken, `namespace/secret` for a certificate and
/// `Kind/namespace/name` of where they stand for authorities; `all` for ticket keys, of which there is one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub kind: Kind,
    pub path: Arc<str>,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Listener,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::TlsRoute,
        Self::TcpRoute,
        Self::UdpRoute,
        Self::Backend,
        Self::Certificate,
        Self::Authorities,
        Self::TicketKeys,
    ];
}

impl Id {
    #[must_use]
    pub fn listener(gateway: &ObjectName, listener: &str) -> Self {
        Self {
            kind: Kind::Listener,
            path: format!("{gateway}/{listener}").into(),
        }
    }

    #[must_use]
    pub fn http_route(route: &ObjectName) -> Self {
        Self {
            kind: Kind::HttpRoute,
            path: route.to_string().into(),
        }
    }

    #[must_use]
    pub fn grpc_route(route: &ObjectName) -> Self {
        Self {
            kind: Kind::GrpcRoute,
            path: route.to_string().into(),
        }
    }

    #[must_use]
    pub fn stream_route(protocol: StreamProtocol, route: &ObjectName) -> Self {
        let kind = match protocol {
            StreamProtocol::Tls => Kind::TlsRoute,
            StreamProtocol::Tcp => Kind::TcpRoute,
            StreamProtocol::Udp => Kind::UdpRoute,
        };
        Self {
            kind,
            path: route.to_string().into(),
        }
    }

    #[must_use]
    pub fn backend(service: &ObjectName, port: u16, protocol: BackendProtocol) -> Self {
        Self::backend_of("", service, port, protocol)
    }

    /// The same port, for clients of the Service's own address: settings of the Service count for these alone.
    #[must_use]
    pub fn service_backend(service: &ObjectName, port: u16, protocol: BackendProtocol) -> Self {
        Self::backend_of("/service", service, port, protocol)
    }

    fn backend_of(of: &str, service: &ObjectName, port: u16, protocol: BackendProtocol) -> Self {
        let suffix = match protocol {
            BackendProtocol::Http1 => "",
            BackendProtocol::Http2 => "/http2",
            BackendProtocol::Tcp => "/tcp",
            BackendProtocol::Udp => "/udp",
        };
        Self {
            kind: Kind::Backend,
            path: format!("{service}/{port}{suffix}{of}").into(),
        }
    }

    #[must_use]
    pub fn certificate(secret: &ObjectName) -> Self {
        Self {
            kind: Kind::Certificate,
            path: secret.to_string().into(),
        }
    }

    /// `source` is the kind of the object that they stand in.
    #[must_use]
    pub fn authorities(source: &str, name: &ObjectName) -> Self {
        Self {
            kind: Kind::Authorities,
            path: format!("{source}/{name}").into(),
        }
    }

    #[must_use]
    pub fn ticket_keys() -> Self {
        Self {
            kind: Kind::TicketKeys,
            path: "all".into(),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Listener => "listener",
            Kind::HttpRoute => "httproute",
            Kind::GrpcRoute => "grpcroute",
            Kind::TlsRoute => "tlsroute",
            Kind::TcpRoute => "tcproute",
            Kind::UdpRoute => "udproute",
            Kind::Backend => "backend",
            Kind::Certificate => "certificate",
            Kind::Authorities => "authorities",
            Kind::TicketKeys => "ticketkeys",
        };
        write!(f, "{kind}/{}", self.path)
    }
}

/// Which hosts a listener or a route is for (RFC 1123; a wildcard stands for one or more labels, as
/// Gateway API has it: `*.example.com` takes `a.b.example.com` but not `example.com`).
///
/// Names are lower case and have no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hostname {
    Any,
    /// The suffix behind `*.`, without the dot.
    Wildcard(Arc<str>),
    Exact(Arc<str>),
}

/// Why a text is no [`Hostname`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostnameError {
    #[error("a hostname has 1 to 253 characters, this one has {length}")]
    Length { length: usize },
    #[error("label {label:?} is not 1 to 63 characters of a-z, 0-9 and inner hyphens")]
    Label { label: String },
    #[error("an IP address is not a hostname here; leave the hostname out to match every host")]
    Address,
}

impl Hostname {
    /// Parses `host`, `*.host`, or an empty text (every host). Letters may be of either case.
    ///
    /// # Errors
    /// [`HostnameError`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, HostnameError> {
        if text.is_empty() {
            return Ok(Self::Any);
        }
        if text.len() > 253 {
            return Err(HostnameError::Length { length: text.len() });
        }
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (text, false),
        };
        if name.parse::<std::net::IpAddr>().is_ok() {
            return Err(HostnameError::Address);
        }
        if let Some(label) = name.split('.').find(|label| !is_label(label)) {
            return Err(HostnameError::Label {
                label: label.to_owned(),
            });
        }
        let name: Arc<str> = name.to_ascii_lowercase().into();
        Ok(if wildcard {
            Self::Wildcard(name)
        } else {
            Self::Exact(name)
        })
    }

    /// The name, or what stands behind `*.`; empty for every host.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Any => "",
            Self::Wildcard(suffix) => suffix,
            Self::Exact(name) => name,
        }
    }

    /// Ascending from the least specific: any, wildcards by length, exact.
    #[must_use]
    pub fn specificity(&self) -> (u8, usize) {
        match self {
            Self::Any => (0, 0),
            Self::Wildcard(suffix) => (1, suffix.len()),
            Self::Exact(name) => (2, name.len()),
        }
    }

    /// What both name: Gateway API's intersection of a listener's and a route's hostname.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, one) | (one, Self::Any) => Some(one.clone()),
            (Self::Exact(a), Self::Exact(b)) => (a == b).then(|| self.clone()),
            (Self::Exact(exact), Self::Wildcard(suffix))
            | (Self::Wildcard(suffix), Self::Exact(exact)) => {
                is_below(exact, suffix).then(|| Self::Exact(exact.clone()))
            }
            (Self::Wildcard(a), Self::Wildcard(b)) => {
                if a == b || is_below(a, b) {
                    Some(self.clone())
                } else {
                    is_below(b, a).then(|| other.clone())
                }
            }
        }
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Exact(name) => f.write_str(name),
        }
    }
}

impl Serialize for ObjectName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Hostname {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether `name` has at least one more label than `suffix`.
fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|front| front.len() > 1 && front.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    #[test]
    fn intersections_are_those_of_the_api() {
        for (listener, route, both) in [
            ("", "a.example.com", Some("a.example.com")),
            (
                "test.example.com",
                "*.example.com",
                Some("test.example.com"),
            ),
            (
                "*.example.com",
                "foo.test.example.com",
                Some("foo.test.example.com"),
            ),
            (
                "*.example.com",
                "*.test.example.com",
                Some("*.test.example.com"),
            ),
            ("*.example.com", "*.example.com", Some("*.example.com")),
            ("*.example.com", "example.com", None),
            ("*.example.com", "test.example.net", None),
            ("*.example.com", "testexample.com", None),
            ("a.example.com", "b.example.com", None),
        ] {
            let expected = both.map(host);
            assert_eq!(
                host(listener).intersect(&host(route)),
                expected,
                "{listener} {route}"
            );
            assert_eq!(
                host(route).intersect(&host(listener)),
                expected,
                "{route} {listener}"
            );
        }
    }

    #[test]
    fn what_is_no_hostname_is_refused_with_the_reason() {
        assert_eq!(Hostname::parse("10.0.0.1"), Err(HostnameError::Address));
        for text in ["a..b", "-a.b", "a-.b", "*.", "*", "a.*.b", "a_b.c", "a.b."] {
            assert!(
                matches!(Hostname::parse(text), Err(HostnameError::Label { .. })),
                "{text}"
            );
        }
        let long = "a.".repeat(127) + "b";
        assert!(matches!(
            Hostname::parse(&long),
            Err(HostnameError::Length { length: 255 })
        ));
        assert_eq!(host("WWW.Example.COM"), host("www.example.com"));
    }
}
