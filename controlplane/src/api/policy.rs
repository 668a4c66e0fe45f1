//! Our own policies, `ringgate.io/v1alpha1` (direct attachment, GEP-713).

use ringgate_core::ir::{self, BackendSettings, ListenerSettings};
use serde::Deserialize;

use super::choice::choice;
use super::health::{HealthCheck, OutlierDetection};
use super::meta::ObjectMeta;
use super::reference::PolicyTarget;
use super::text::{ApiDuration, Bytes, Cidr, Count, HeaderName, HeaderValue, Positive};

/// For a Gateway, or (by `sectionName`) one of its listeners.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ListenerPolicy {
    pub metadata: ObjectMeta,
    pub spec: ListenerPolicySpec,
}

/// What is left out keeps its default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerPolicySpec {
    pub target_refs: Vec<PolicyTarget>,
    #[serde(default)]
    pub timeouts: ListenerTimeouts,
    #[serde(default)]
    pub limits: ListenerLimits,
    #[serde(default)]
    pub trusted_proxies: Vec<Cidr>,
    pub proxy_protocol: Option<ProxyProtocol>,
    pub access_log: Option<bool>,
    pub http2: Option<bool>,
    pub server: Option<HeaderValue>,
    pub via: Option<HeaderName>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerTimeouts {
    pub header: Option<ApiDuration>,
    pub keep_alive: Option<ApiDuration>,
    pub idle: Option<ApiDuration>,
    pub tunnel_idle: Option<ApiDuration>,
    pub session_idle: Option<ApiDuration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerLimits {
    /// Less than 4 GiB.
    pub request_line: Option<Bytes>,
    /// Less than 4 GiB.
    pub headers: Option<Bytes>,
    pub header_fields: Option<Count>,
    pub body: Option<Bytes>,
    pub connections: Option<Positive>,
    pub sessions: Option<Positive>,
}

choice!(ProxyProtocol {
    Off = "Off",
    FromTrusted = "FromTrusted",
});

impl ListenerPolicySpec {
    /// The settings that this policy asks for.
    #[must_use]
    pub fn settings(&self) -> ListenerSettings {
        let default = ListenerSettings::default();
        ListenerSettings {
            timeouts: self.timeouts.over(default.timeouts),
            limits: self.limits.over(default.limits),
            trusted_proxies: self.trusted_proxies.iter().map(|one| one.get()).collect(),
            proxy_protocol: match &self.proxy_protocol {
                Some(ProxyProtocol::FromTrusted) => ir::ProxyProtocol::FromTrusted,
                Some(ProxyProtocol::Off | ProxyProtocol::Unknown(_)) | None => {
                    ir::ProxyProtocol::Off
                }
            },
            allowed_sources: default.allowed_sources,
            access_log: self.access_log.unwrap_or(default.access_log),
            http2: self.http2.unwrap_or(default.http2),
            server: self.server.as_ref().map(HeaderValue::shared),
            via: self.via.as_ref().map(HeaderName::shared),
        }
    }
}

impl ListenerTimeouts {
    fn over(self, default: ir::DownstreamTimeouts) -> ir::DownstreamTimeouts {
        ir::DownstreamTimeouts {
            header: self.header.map_or(default.header, ApiDuration::get),
            keep_alive: self.keep_alive.map_or(default.keep_alive, ApiDuration::get),
            idle: self.idle.map_or(default.idle, ApiDuration::get),
            tunnel_idle: self
                .tunnel_idle
                .map_or(default.tunnel_idle, ApiDuration::get),
            session_idle: self
                .session_idle
                .map_or(default.session_idle, ApiDuration::get),
        }
    }
}

impl ListenerLimits {
    fn over(self, default: ir::HttpLimits) -> ir::HttpLimits {
        let narrow = |bytes: Bytes| u32::try_from(bytes.0).unwrap_or(u32::MAX);
        ir::HttpLimits {
            request_line_bytes: self.request_line.map_or(default.request_line_bytes, narrow),
            header_bytes: self.headers.map_or(default.header_bytes, narrow),
            header_fields: self.header_fields.map_or(default.header_fields, Count::get),
            body_bytes: self.body.map(|bytes| bytes.0).or(default.body_bytes),
            connections: self.connections.map(Positive::get).or(default.connections),
            sessions: self.sessions.map_or(default.sessions, Positive::get),
        }
    }
}

/// For a Service, or (by `sectionName`) one of its ports.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BackendPolicy {
    pub metadata: ObjectMeta,
    pub spec: BackendPolicySpec,
}

/// What is left out keeps its default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendPolicySpec {
    pub target_refs: Vec<PolicyTarget>,
    pub balance: Option<Balance>,
    /// With [`Balance::ConsistentHash`].
    pub hash_by: Option<HashBy>,
    pub slow_start: Option<ApiDuration>,
    #[serde(default)]
    pub timeouts: BackendTimeouts,
    /// Per endpoint and shard.
    pub max_connections: Option<Positive>,
    pub proxy_protocol: Option<ProxyHeader>,
    pub health_check: Option<HealthCheck>,
    pub outlier_detection: Option<OutlierDetection>,
}

choice!(
    /// What connections begin with that carry a client's bytes.
    ProxyHeader {
        Off = "Off",
        V1 = "V1",
        V2 = "V2",
    }
);

choice!(Balance {
    LeastLoadedOfTwo = "LeastLoadedOfTwo",
    RoundRobin = "RoundRobin",
    ConsistentHash = "ConsistentHash",
});

/// What consistent hashing goes by: the first of these that a request has, else the client's address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HashBy {
    pub cookie: Option<HeaderName>,
    pub header: Option<HeaderName>,
    pub hostname: Option<bool>,
}

impl HashBy {
    fn to_ir(&self) -> ir::HashBy {
        ir::HashBy {
            cookie: self.cookie.as_ref().map(HeaderName::shared),
            header: self.header.as_ref().map(HeaderName::shared),
            hostname: self.hostname.unwrap_or_default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendTimeouts {
    pub connect: Option<ApiDuration>,
    pub idle: Option<ApiDuration>,
    pub keep_alive: Option<ApiDuration>,
}

impl BackendPolicySpec {
    /// The settings that this policy asks for.
    #[must_use]
    pub fn settings(&self) -> BackendSettings {
        let default = BackendSettings::default();
        let or = |wanted: Option<ApiDuration>, default| wanted.map_or(default, ApiDuration::get);
        BackendSettings {
            balance: match &self.balance {
                Some(Balance::RoundRobin) => ir::Balance::RoundRobin,
                Some(Balance::ConsistentHash) => {
                    let by = self.hash_by.as_ref().map(HashBy::to_ir);
                    ir::Balance::Consistent(by.unwrap_or_default())
                }
                Some(Balance::LeastLoadedOfTwo | Balance::Unknown(_)) | None => {
                    ir::Balance::LeastLoadedOfTwo
                }
            },
            slow_start: self
                .slow_start
                .map(ApiDuration::get)
                .filter(|one| !one.is_zero()),
            affinity: None,
            connect_timeout: or(self.timeouts.connect, default.connect_timeout),
            idle_timeout: or(self.timeouts.idle, default.idle_timeout),
            keep_alive: or(self.timeouts.keep_alive, default.keep_alive),
            max_connections: self.max_connections.map(Positive::get),
            proxy_header: match &self.proxy_protocol {
                Some(ProxyHeader::V1) => Some(ir::ProxyHeader::V1),
                Some(ProxyHeader::V2) => Some(ir::ProxyHeader::V2),
                Some(ProxyHeader::Off | ProxyHeader::Unknown(_)) | None => None,
            },
            health_check: self.health_check.as_ref().map(HealthCheck::settings),
            outlier_detection: (self.outlier_detection.as_ref())
                .and_then(OutlierDetection::settings),
        }
    }
}
