//! The intermediate representation: what the control plane wants in force.
//!
//! Plain data without behaviour beyond its own invariants. It knows neither Kubernetes types nor the
//! wire's messages; translation makes it, [`crate::wire`] carries it, [`crate::table`] compiles it.

mod backend;
mod filter;
mod health;
mod listener;
mod name;
mod policy;
mod route;
mod stream;
mod tls;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

pub use backend::{
    Backend, BackendProtocol, BackendSettings, Balance, Endpoint, Endpoints, HashBy, ProxyHeader,
    Reach,
};
pub use filter::{
    Cors, Filter, HeaderEdits, HeaderField, Mirror, Origin, PathModifier, Redirect, Rewrite, Tokens,
};
pub use health::{HealthCheck, OutlierDetection, Probe, StatusRange, Thresholds};
pub use listener::{Listener, Protocol};
pub use name::{Hostname, HostnameError, Id, Kind, ObjectName};
pub use policy::{DownstreamTimeouts, HttpLimits, ListenerSettings, Network, ProxyProtocol};
pub use route::{
    AttachedHost, Attachment, BackendTarget, FieldMatch, HttpRoute, Match, PathMatch, Retry,
    RouteProtocol, RpcMatch, Rule, TextMatch, Timeouts, WeightedBackend,
};
pub use stream::{StreamBackend, StreamProtocol, StreamRoute};
pub use tls::{
    Authorities, BackendTls, Certificate, ClientValidation, Der, PrivateKey, Staple, SubjectName,
    Termination, TicketKey, TicketKeys, TlsVersion, Trust, Unverified,
};

/// The order of snapshots: by leader (how often the Lease changed hands), then by sequence, so that
/// a stale leader can't roll a data plane back. In file mode `term` is the control plane's start in
/// seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub term: u64,
    pub sequence: u64,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.term, self.sequence)
    }
}

/// Everything that shall be in force at one version.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    pub version: Version,
    pub objects: BTreeMap<Id, Object>,
}

/// One object of a snapshot: the unit that is compared, sent and compiled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Object {
    Listener(Listener),
    /// GRPCRoutes too.
    HttpRoute(HttpRoute),
    /// TLSRoutes, TCPRoutes and UDPRoutes.
    StreamRoute(StreamRoute),
    Backend(Backend),
    Certificate(Certificate),
    Authorities(Authorities),
    TicketKeys(TicketKeys),
}

impl Object {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Listener(_) => Kind::Listener,
            Self::HttpRoute(route) => match route.protocol {
                RouteProtocol::Http => Kind::HttpRoute,
                RouteProtocol::Grpc => Kind::GrpcRoute,
            },
            Self::StreamRoute(route) => match route.protocol {
                StreamProtocol::Tls => Kind::TlsRoute,
                StreamProtocol::Tcp => Kind::TcpRoute,
                StreamProtocol::Udp => Kind::UdpRoute,
            },
            Self::Backend(_) => Kind::Backend,
            Self::Certificate(_) => Kind::Certificate,
            Self::Authorities(_) => Kind::Authorities,
            Self::TicketKeys(_) => Kind::TicketKeys,
        }
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As people write it: `10s`, `250ms`.
fn duration_text<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{duration:?}"))
}

fn optional_duration_text<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => duration_text(duration, serializer),
        None => serializer.serialize_none(),
    }
}
