//! A Gateway's listener: an address and port that takes connections.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use super::{Hostname, Id, ListenerSettings, ObjectName, Termination};

/// What a listener speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Protocol {
    Http,
    Https(Termination),
    /// TLS that ends here: what is in it goes to backends as bytes.
    Tls(Termination),
    /// TLS that goes to backends as it is, by its server name.
    TlsPassthrough,
    /// Connections whose bytes go to backends as they are.
    Tcp,
    /// Datagrams, by the client that they come from.
    Udp,
}

impl Protocol {
    /// What TLS ends here with, if it does.
    #[must_use]
    pub fn termination(&self) -> Option<&Termination> {
        match self {
            Self::Https(termination) | Self::Tls(termination) => Some(termination),
            Self::Http | Self::TlsPassthrough | Self::Tcp | Self::Udp => None,
        }
    }

    /// Whether clients begin with a TLS handshake.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        match self {
            Self::Https(_) | Self::Tls(_) | Self::TlsPassthrough => true,
            Self::Http | Self::Tcp | Self::Udp => false,
        }
    }
}

/// One listener of one Gateway. Several may share an address and port: the most specific
/// [`Hostname`] takes the request (Gateway API, listener isolation).
///
/// Settings that matter before a host is known (timeouts, PROXY protocol) are those of the first
/// listener of that address and port by [`Id`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listener {
    pub gateway: ObjectName,
    /// The section's name within the Gateway.
    pub name: Arc<str>,
    /// Empty: every address of the host, both families.
    pub addresses: Vec<IpAddr>,
    /// Where it is bound.
    pub port: u16,
    /// What clients connect to, where that is another: behind a load balancer that isn't ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_port: Option<u16>,
    pub protocol: Protocol,
    pub hostname: Hostname,
    /// Shown to backends that ask for a certificate (Gateway API, `tls.backend`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<Id>,
    pub settings: ListenerSettings,
}
