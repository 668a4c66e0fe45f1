//! A backend: one port of one Service, with its endpoints and how they are used.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{BackendTls, HealthCheck, ObjectName, OutlierDetection};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backend {
    pub service: ObjectName,
    pub port: u16,
    pub endpoints: Endpoints,
    #[serde(skip_serializing_if = "BackendProtocol::is_default")]
    pub protocol: BackendProtocol,
    #[serde(skip_serializing_if = "Reach::is_default")]
    pub reach: Reach,
    /// Where load balancers before the nodes ask a data plane how many of the Service's endpoints are within its reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_port: Option<u16>,
    /// None: plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<BackendTls>,
    pub settings: BackendSettings,
}

/// What is spoken to the endpoints (GEP-1911). One port may be two backends: an HTTPRoute's and a
/// GRPCRoute's, which speaks HTTP/2 to all that doesn't say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum BackendProtocol {
    /// HTTP/1.1; what is offered by ALPN, with TLS.
    #[default]
    Http1,
    /// HTTP/2: in plain text with prior knowledge (RFC 9113, section 3.3), with TLS all that ALPN offers.
    Http2,
    /// Bytes of a client's connection; what they mean is between client and backend.
    Tcp,
    /// Datagrams of a client.
    Udp,
}

impl BackendProtocol {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Endpoints {
    /// Those that are ready, ascending by address; none: 503.
    Addresses(Vec<Endpoint>),
    /// Answered by the data plane itself (`--echo`): method, path, headers and this Service's name.
    Echo(Arc<str>),
}

/// Node and zone are told where the backend's [`Reach`] asks for them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// The name of the node that it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<Arc<str>>,
    /// It terminates and still serves: used with [`Reach::SameNode`] where its node has no other (KEP-1669). With
    /// any other reach those that are told are for use.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_leaving: bool,
}

impl Endpoint {
    /// Where it is isn't known.
    #[must_use]
    pub const fn at(address: SocketAddr) -> Self {
        Self {
            address,
            node: None,
            zone: None,
            is_leaving: false,
        }
    }
}

/// Which endpoints a data plane uses, by where it is itself. Whoever doesn't know where it is uses all, but for
/// [`Reach::SameNode`], where it uses none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Reach {
    #[default]
    Anywhere,
    /// None but those on its node, of these the ones that stay before those that leave (`externalTrafficPolicy: Local`).
    SameNode,
    /// Those on its node; if there is none, those of its zone, else all (`trafficDistribution: PreferSameNode`).
    PreferNode,
    /// Those of its zone; if there is none, all (`trafficDistribution: PreferSameZone`).
    PreferZone,
}

impl Reach {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How the endpoint is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Balance {
    /// The one with fewer requests in flight of two taken at random.
    #[default]
    LeastLoadedOfTwo,
    RoundRobin,
    /// What is equal by this goes to the same endpoint, whichever shard or data plane it comes to; when endpoints
    /// come and go, little of it moves.
    Consistent(HashBy),
}

/// What consistent hashing goes by: the first of these that is set and there, else the client's address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HashBy {
    /// The cookie of this name (RFC 6265, section 4.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Arc<str>>,
    /// The field of this name, whatever its case; several together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Arc<str>>,
    /// Of requests the host; of TLS connections the server name.
    pub hostname: bool,
}

/// From a BackendPolicy, else the defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendSettings {
    pub balance: Balance,
    /// How long an endpoint that joins others takes to get its full share. None: it has it at once.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "super::optional_duration_text"
    )]
    pub slow_start: Option<Duration>,
    /// How long a client's address stays with its endpoint after it last began something, however balanced
    /// (`sessionAffinity: ClientIP`).
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "super::optional_duration_text"
    )]
    pub affinity: Option<Duration>,
    /// For the TCP handshake; default 5 s.
    #[serde(serialize_with = "super::duration_text")]
    pub connect_timeout: Duration,
    /// Between two bytes of a response, and while waiting for it; default 60 s.
    #[serde(serialize_with = "super::duration_text")]
    pub idle_timeout: Duration,
    /// How long an unused connection is kept for reuse; default 60 s.
    #[serde(serialize_with = "super::duration_text")]
    pub keep_alive: Duration,
    /// Per endpoint and shard; default: no limit but the shard's.
    pub max_connections: Option<u32>,
    /// What a connection begins with that carries a client's bytes. Those for requests never have it: they
    /// are shared by clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_header: Option<ProxyHeader>,
    /// None: endpoints aren't asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// None: none is put aside for what becomes of its traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier_detection: Option<OutlierDetection>,
}

/// Version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ProxyHeader {
    V1,
    V2,
}

impl Default for BackendSettings {
    fn default() -> Self {
        Self {
            balance: Balance::default(),
            slow_start: None,
            affinity: None,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(60),
            keep_alive: Duration::from_secs(60),
            max_connections: None,
            proxy_header: None,
            health_check: None,
            outlier_detection: None,
        }
    }
}
