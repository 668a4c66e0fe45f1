//! How it is found out which endpoints of a backend work: by asking them, and by what becomes of traffic.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

/// Each endpoint is asked in turn, whether or not there is traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    pub probe: Probe,
    /// From one check's begin to the next one's.
    #[serde(serialize_with = "super::duration_text")]
    pub interval: Duration,
    /// For the whole of a check.
    #[serde(serialize_with = "super::duration_text")]
    pub timeout: Duration,
    pub thresholds: Thresholds,
    /// None: where the endpoint takes traffic, and spoken to as with traffic. Elsewhere: in plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// What passes for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Probe {
    /// A connection is taken.
    Tcp,
    /// A GET is answered with one of the statuses.
    Http {
        path: Arc<str>,
        /// None: the name of its TLS, else its address.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<Arc<str>>,
        statuses: Vec<StatusRange>,
    },
    /// `grpc.health.v1.Health/Check` says SERVING of this service; of the whole server, if it is empty.
    Grpc { service: Arc<str> },
}

/// Statuses of HTTP, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StatusRange {
    pub first: u16,
    pub last: u16,
}

impl StatusRange {
    /// What the kubelet's own probes take for an answer.
    pub const FINE: Self = Self {
        first: 200,
        last: 399,
    };

    #[must_use]
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

/// How many checks in a row change what is thought of an endpoint. The very first one decides alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Thresholds {
    /// At least 1.
    pub healthy: u32,
    /// At least 1.
    pub unhealthy: u32,
}

impl HealthCheck {
    /// One that says nothing but how it asks.
    #[must_use]
    pub fn by(probe: Probe) -> Self {
        Self {
            probe,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            thresholds: Thresholds {
                healthy: 2,
                unhealthy: 3,
            },
            port: None,
        }
    }
}

/// Endpoints at which traffic fails are put aside for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OutlierDetection {
    /// At least 1, without a success between them, of all shards together.
    pub consecutive_failures: u32,
    /// The first time; twice as long the second, three times the third, and so on.
    #[serde(serialize_with = "super::duration_text")]
    pub base_ejection: Duration,
    /// No time is longer. An endpoint that went without for so long begins anew.
    #[serde(serialize_with = "super::duration_text")]
    pub max_ejection: Duration,
    /// Of a backend's endpoints, at a time; one may always be put aside unless this is 0, and one always stays.
    pub max_ejected_percent: u8,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejected_percent: 50,
        }
    }
}
