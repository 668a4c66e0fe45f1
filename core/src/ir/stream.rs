//! A route of connections, resolved: bytes that go to a backend whatever they mean (Gateway API's routes of
//! layer 4).

use std::sync::Arc;

use serde::Serialize;

use super::{Attachment, BackendTarget, ObjectName};

/// One TLSRoute object (GEP-2643). The API allows one rule, which takes every connection that comes for the
/// route's hosts, so that the rule stands in the route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamRoute {
    pub name: ObjectName,
    /// As an HTTPRoute's.
    pub created: u64,
    /// Hosts are server names of TLS.
    pub attachments: Vec<Attachment>,
    pub rule: Option<Arc<str>>,
    /// Empty: every connection is closed.
    pub backends: Vec<StreamBackend>,
}

impl StreamRoute {
    /// As the kind of its object is written.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        "TLSRoute"
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
