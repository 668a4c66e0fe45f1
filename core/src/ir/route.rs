//! An HTTPRoute or a GRPCRoute, resolved: hostnames are intersected with listeners, backends are named by id, and
//! what the API calls invalid is said by the types.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Filter, Hostname, Id, ObjectName};

/// Which requests a route is for: its kind of object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum RouteProtocol {
    /// An HTTPRoute: all requests.
    #[default]
    Http,
    /// A GRPCRoute: those of gRPC alone ([`crate::grpc::Carriage`]), before any HTTPRoute of the host.
    Grpc,
}

impl RouteProtocol {
    /// As the kind is written.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
            Self::Grpc => "GRPCRoute",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One HTTPRoute or GRPCRoute object (Gateway API v1.7.0).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HttpRoute {
    #[serde(skip_serializing_if = "RouteProtocol::is_default")]
    pub protocol: RouteProtocol,
    pub name: ObjectName,
    /// Creation time in seconds since 1970, for precedence: the older wins. Zero in file mode, unless
    /// the file says `metadata.creationTimestamp`.
    pub created: u64,
    pub attachments: Vec<Attachment>,
    pub rules: Vec<Rule>,
}

/// Where a route is attached, and for which hosts there: never empty, and `Hostname::Any` only
/// where neither the listener nor the route names one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attachment {
    pub listener: Id,
    pub hostnames: Vec<AttachedHost>,
}

/// A host that a listener and a route have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedHost {
    pub hostname: Hostname,
    /// What the route itself says, of which `hostname` is a part: of routes with a host in common
    /// those that say it more specifically go first (`GatewayRouteHostnameIntersectionPrecedence`).
    /// [`Hostname::Any`] where the route names none. The most specific one where several fit.
    pub written: Hostname,
}

impl AttachedHost {
    /// A host that the route names just so.
    #[must_use]
    pub fn as_written(hostname: Hostname) -> Self {
        Self {
            written: hostname.clone(),
            hostname,
        }
    }
}

/// `a.example.com`, or `a.example.com of *.example.com`.
impl Serialize for AttachedHost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.written == self.hostname {
            return self.hostname.serialize(serializer);
        }
        serializer.collect_str(&format_args!("{} of {}", self.hostname, self.written))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    pub name: Option<Arc<str>>,
    /// Any of them; never empty (translation writes what takes every request, where the object has none).
    pub matches: Vec<Match>,
    /// In the order of the API object.
    pub filters: Vec<Filter>,
    /// Empty without a redirect: 500 (to gRPC, UNAVAILABLE), as the API says for a rule without valid
    /// backends.
    pub backends: Vec<WeightedBackend>,
    pub timeouts: Timeouts,
    pub retry: Option<Retry>,
    /// The whole rule can't be carried out (an unsupported or broken filter): every request that
    /// it matches is answered with 500, rather than forwarded without the filter.
    pub broken: bool,
}

/// All parts must hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Match {
    pub path: PathMatch,
    /// The first of equal names only (case-insensitive).
    pub headers: Vec<FieldMatch>,
    /// The first of equal names only.
    pub query: Vec<FieldMatch>,
    pub method: Option<Arc<str>>,
}

/// Values are in the normal form that requests are brought to (RFC 3986, section 6.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum PathMatch {
    Exact(Arc<str>),
    /// By path element; without a trailing slash, so that `/` is the empty text.
    Prefix(Arc<str>),
    /// Must match the whole path; syntax of the `regex` crate (RE2-like, linear time).
    Regex(Arc<str>),
    /// A GRPCRoute's: the path is `/service/method`.
    Rpc(RpcMatch),
}

/// GRPCMethodMatch: what is `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RpcMatch {
    /// With its package: `grpc.health.v1.Health`.
    pub service: Option<TextMatch>,
    pub method: Option<TextMatch>,
}

/// A header's or query parameter's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldMatch {
    pub name: Arc<str>,
    pub value: TextMatch,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum TextMatch {
    Exact(Arc<str>),
    /// Must match the whole value.
    Regex(Arc<str>),
}

/// `None`: no limit of the route's own; zero in the API means that too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeouts {
    /// The whole exchange, retries included: 504 (or the end of the connection, once a response began).
    #[serde(serialize_with = "super::optional_duration_text")]
    pub request: Option<Duration>,
    /// Each attempt at a backend.
    #[serde(serialize_with = "super::optional_duration_text")]
    pub backend_request: Option<Duration>,
}

/// HTTPRouteRetry (GEP-1731). Connect failures are always retryable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Retry {
    /// Response statuses to retry on, ascending, each 400 to 599.
    pub codes: Vec<u16>,
    /// In addition to the first attempt.
    pub attempts: u32,
    /// Base interval; doubled per attempt, with jitter.
    #[serde(serialize_with = "super::optional_duration_text")]
    pub backoff: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeightedBackend {
    pub target: BackendTarget,
    /// 0 to 1,000,000; zero takes no traffic.
    pub weight: u32,
    /// For requests (and their responses) that go to this backend, after the rule's own.
    pub filters: Vec<Filter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum BackendTarget {
    Backend(Id),
    /// A reference that is missing, of a kind that isn't known, or not granted: 500 (to gRPC, UNAVAILABLE)
    /// for its share.
    Invalid,
}
