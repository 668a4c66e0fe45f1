//! A Gateway's listener: an address and port that takes connections.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use super::{Hostname, ListenerSettings, ObjectName};

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Protocol {
    Http,
}

/// One listener of one Gateway. Several may share an address and port: the most specific
/// [`Hostname`] takes the request (Gateway API, listener isolation).
///
/// Settings that matter before a host is known (timeouts, PROXY protocol) are those of the first
/// listener of that address and port by [`Id`](super::Id).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listener {
    pub gateway: ObjectName,
    /// The section's name within the Gateway.
    pub name: Arc<str>,
    /// Empty: every address of the host, both families.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub protocol: Protocol,
    pub hostname: Hostname,
    pub settings: ListenerSettings,
}
