//! What a shard looks requests up in: immutable, compiled from a snapshot off the shards.
//!
//! port → listener by host → that host's routes → match. An edit recompiles only the hosts that it
//! touches ([`Compiler`]); everything else is shared with the table before by `Arc`. Endpoints stand
//! apart from routes, so that their churn recompiles none.

mod compile;
mod host_set;
mod hosts;
mod match_list;
mod objects;
mod paths;
mod presence;
mod problem;
mod routes;
mod rule;
mod stream;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

pub use compile::{Compiled, Compiler};
use host_set::HasHost;
use hosts::HostMap;
pub use objects::Objects;
pub use paths::HostRoutes;
pub use presence::Presence;
pub use problem::{CompileError, Problem};
pub use rule::{
    Action, MatchedRule, MirrorTarget, Plan, Rule, RuleName, Target, Targets, WeightedTarget,
};
pub use stream::{HostStream, StreamRule, StreamTarget};

use crate::balance::Maglev;
use crate::ir;
use crate::route::{Fields, Request};

/// A number that stands for a backend or a rule as long as it exists, over all versions: state that
/// a shard keeps for it (pools, counters, weights) hangs on it. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// What a socket speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpProtocol {
    #[default]
    Tcp,
    Udp,
}

impl IpProtocol {
    /// As Kubernetes writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    pub(super) const fn of(listener: &ir::Protocol) -> Self {
        match listener {
            ir::Protocol::Udp => Self::Udp,
            _ => Self::Tcp,
        }
    }
}

/// Where a listener's socket is bound. No address: every one of the host, both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bind {
    pub protocol: IpProtocol,
    pub address: Option<IpAddr>,
    pub port: u16,
}

impl std::fmt::Display for Bind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address {
            Some(address) => write!(f, "{}", std::net::SocketAddr::new(address, self.port))?,
            None => write!(f, "*:{}", self.port)?,
        }
        match self.protocol {
            IpProtocol::Tcp => Ok(()),
            IpProtocol::Udp => f.write_str("/udp"),
        }
    }
}

/// Everything in force at one version.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub version: ir::Version,
    /// Ascending by [`Bind`].
    pub ports: Vec<Arc<Port>>,
    backends: Arc<Backends>,
}

type Backends = HashMap<Slot, Arc<Backend>, foldhash::fast::FixedState>;

/// All listeners of one address and port.
#[derive(Clone, Debug)]
pub struct Port {
    pub bind: Bind,
    /// Those that hold before a host is known: of the first listener by id.
    pub settings: Arc<ir::ListenerSettings>,
    /// Whether connections begin with a TLS handshake: of the first listener by id too, for a port can't
    /// have it both ways.
    pub is_encrypted: bool,
    listeners: HostMap<Arc<Listener>>,
}

/// What goes on to backends from a listener's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    Requests,
    /// The bytes of each connection, those inside of its TLS.
    Bytes,
    /// The bytes of each connection, its TLS as it is.
    Tls,
    /// Datagrams, by client.
    Datagrams,
}

/// One listener of a port, with the routes that are attached to it.
#[derive(Clone, Debug)]
pub struct Listener {
    pub slot: Slot,
    pub gateway: ir::ObjectName,
    pub name: Arc<str>,
    pub hostname: ir::Hostname,
    /// What clients connect to.
    pub public_port: u16,
    /// Shown to backends that ask for a certificate.
    pub client_certificate: Option<ir::Id>,
    /// Whether clients speak TLS with it.
    pub is_encrypted: bool,
    pub carries: Carries,
    pub settings: Arc<ir::ListenerSettings>,
    routes: HostMap<HostRoutes>,
    streams: HostMap<HostStream>,
}

impl HasHost for Listener {
    fn host(&self) -> &[u8] {
        self.hostname.text().as_bytes()
    }
}

/// A backend with its endpoints, as the IR has it.
#[derive(Debug)]
pub struct Backend {
    pub slot: Slot,
    pub backend: ir::Backend,
    /// Where it is balanced consistently.
    pub consistent: Option<Maglev>,
}

impl Backend {
    #[must_use]
    pub fn new(slot: Slot, backend: ir::Backend) -> Self {
        let consistent = match (&backend.settings.balance, &backend.endpoints) {
            (ir::Balance::Consistent(_), ir::Endpoints::Addresses(all)) => {
                let addresses: Vec<_> = all.iter().map(|one| one.address).collect();
                Maglev::new(&addresses)
            }
            _ => None,
        };
        Self {
            slot,
            backend,
            consistent,
        }
    }
}

impl Table {
    #[must_use]
    pub fn backend(&self, slot: Slot) -> Option<&Arc<Backend>> {
        self.backends.get(&slot)
    }

    pub fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.backends.values()
    }

    /// Those of all ports; one with several addresses comes several times.
    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.ports.iter().flat_map(|port| port.listeners())
    }

    #[must_use]
    pub fn port(&self, bind: Bind) -> Option<&Arc<Port>> {
        let place = self
            .ports
            .binary_search_by_key(&bind, |port| port.bind)
            .ok()?;
        self.ports.get(place)
    }
}

impl Port {
    /// The most specific listener for a host (Gateway API, listener isolation: no other is asked).
    #[must_use]
    pub fn listener(&self, host: &str) -> Option<&Listener> {
        self.listeners.find_map(host, |one| Some(&**one))
    }

    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.values().map(|one| &**one)
    }
}

impl Listener {
    /// The rule that takes a request: hosts from the most specific one, matches by precedence.
    #[must_use]
    pub fn find<F: Fields>(&self, request: &Request<'_, F>) -> Option<MatchedRule<'_>> {
        self.routes
            .find_map(request.host, |routes| routes.find(request))
    }

    /// The rule that takes a connection for a host (a server name of TLS, in lower case; empty without one).
    #[must_use]
    pub fn stream(&self, host: &str) -> Option<&Arc<StreamRule>> {
        self.streams.find_map(host, |one| Some(&one.rule))
    }

    pub fn streams(&self) -> impl Iterator<Item = &HostStream> {
        self.streams.values()
    }

    pub fn hosts(&self) -> impl Iterator<Item = &HostRoutes> {
        self.routes.values()
    }
}
