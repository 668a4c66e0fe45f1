//! Settings of a listener: from a ListenerPolicy, else the defaults, which are on the safe side.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerSettings {
    pub timeouts: DownstreamTimeouts,
    pub limits: HttpLimits,
    /// Peers whose `X-Forwarded-*` are appended to instead of replaced, and whose PROXY protocol is read.
    pub trusted_proxies: Box<[Network]>,
    pub proxy_protocol: ProxyProtocol,
    /// Clients that are served; empty: all.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub allowed_sources: Box<[Network]>,
    /// Whether requests are written to the access log, where the process has one.
    pub access_log: bool,
    /// Whether clients may speak HTTP/2.
    pub http2: bool,
    /// Value of a `Server` header for responses that have none, and for local replies.
    pub server: Option<Arc<str>>,
    /// Pseudonym for a `Via` header in both directions (RFC 9110, section 7.6.3).
    pub via: Option<Arc<str>>,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            timeouts: DownstreamTimeouts::default(),
            limits: HttpLimits::default(),
            trusted_proxies: Box::default(),
            proxy_protocol: ProxyProtocol::default(),
            allowed_sources: Box::default(),
            access_log: true,
            http2: true,
            server: None,
            via: None,
        }
    }
}

impl ListenerSettings {
    #[must_use]
    pub fn lets_in(&self, client: IpAddr) -> bool {
        let mut sources = self.allowed_sources.iter();
        self.allowed_sources.is_empty() || sources.any(|one| one.contains(client))
    }
}

/// Whether connections begin with a PROXY protocol header (v1 or v2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum ProxyProtocol {
    #[default]
    Off,
    /// A trusted peer must send it, others are taken as they are.
    FromTrusted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DownstreamTimeouts {
    /// First byte to end of the head; default 10 s (slowloris).
    #[serde(serialize_with = "super::duration_text")]
    pub header: Duration,
    /// Between requests; default 75 s.
    #[serde(serialize_with = "super::duration_text")]
    pub keep_alive: Duration,
    /// Between two bytes of a request's body, and of a response that the client doesn't read; default 60 s.
    #[serde(serialize_with = "super::duration_text")]
    pub idle: Duration,
    /// Between two bytes of a tunnel (WebSocket), both directions together; default 1 h.
    #[serde(serialize_with = "super::duration_text")]
    pub tunnel_idle: Duration,
    /// Between two datagrams of a client's session, both directions together; default 60 s.
    #[serde(serialize_with = "super::duration_text")]
    pub session_idle: Duration,
}

impl Default for DownstreamTimeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            idle: Duration::from_secs(60),
            tunnel_idle: Duration::from_secs(3600),
            session_idle: Duration::from_secs(60),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HttpLimits {
    /// Request line: beyond it 414; default 8 KiB.
    pub request_line_bytes: u32,
    /// All header fields together: beyond it 431; default 16 KiB.
    pub header_bytes: u32,
    /// Beyond it 431; default 100.
    pub header_fields: u32,
    /// Beyond it 413; default: no limit, for bodies are streamed.
    pub body_bytes: Option<u64>,
    /// Per shard, of this listener's port; default: the shard's share of the open-files limit.
    pub connections: Option<u32>,
    /// Of datagrams: clients that are served at a time, per shard, of this listener's port; beyond it the one
    /// that has been idle for longest gives its place. Default 65,536.
    pub sessions: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            request_line_bytes: 8 << 10,
            header_bytes: 16 << 10,
            header_fields: 100,
            body_bytes: None,
            connections: None,
            sessions: 65_536,
        }
    }
}

/// A CIDR block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Network {
    pub address: IpAddr,
    /// At most 32 or 128.
    pub prefix: u8,
}

impl Network {
    /// An IPv4-mapped IPv6 address is in the IPv4 block that it stands for.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(one)) => {
                let shift = 32 - u32::from(self.prefix.min(32));
                shift == 32 || u32::from(net) >> shift == u32::from(one) >> shift
            }
            (IpAddr::V6(net), IpAddr::V6(one)) => {
                let shift = 128 - u32::from(self.prefix.min(128));
                shift == 128 || u128::from(net) >> shift == u128::from(one) >> shift
            }
            _ => false,
        }
    }
}
