//! A route of connections or datagrams, resolved: bytes that go to a backend whatever they mean (Gateway API's
//! routes of layer 4).

use std::sync::Arc;

use serde::Serialize;

use super::{Attachment, BackendTarget, ObjectName};

/// What a route of layer 4 is for: its kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum StreamProtocol {
    /// A TLSRoute: connections by their server name (GEP-2643).
    Tls,
    /// A TCPRoute: all connections of a listener (GEP-1901).
    Tcp,
    /// A UDPRoute: all datagrams of a listener (GEP-2645).
    Udp,
}

impl StreamProtocol {
    /// As the kind is written.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Tls => "TLSRoute",
            Self::Tcp => "TCPRoute",
            Self::Udp => "UDPRoute",
        }
    }
}

/// One TLSRoute, TCPRoute or UDPRoute object. The API allows one rule, which takes every connection (for
/// the route's hosts), so that the rule stands in the route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamRoute {
    pub protocol: StreamProtocol,
    /// It is no route's, but what a Service of type LoadBalancer asks for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_service: bool,
    pub name: ObjectName,
    /// As an HTTPRoute's.
    pub created: u64,
    /// Hosts are server names of TLS; [`super::Hostname::Any`] alone with the other protocols.
    pub attachments: Vec<Attachment>,
    pub rule: Option<Arc<str>>,
    /// Empty: every connection is closed.
    pub backends: Vec<StreamBackend>,
}

impl StreamRoute {
    /// As the kind of its object is written.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.is_service {
            true => "Service",
            false => self.protocol.kind(),
        }
    }
}

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamBackend {
    /// Invalid: its share of connections is closed.
    pub target: BackendTarget,
    /// 0 to 1,000,000; zero takes no connection.
    pub weight: u32,
}
