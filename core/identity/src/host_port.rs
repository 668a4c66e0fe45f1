//! Where a process is found: a name or an address, and a port.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use rustls::pki_types::ServerName;
use thiserror::Error;

/// HOST:PORT; an IPv6 address stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: ServerName<'static>,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("write HOST:PORT, with an IPv6 address in brackets")]
pub struct NotHostPort;

impl HostPort {
    /// What its certificate has to name.
    #[must_use]
    pub fn host(&self) -> &ServerName<'static> {
        &self.host
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for HostPort {
    type Err = NotHostPort;

    fn from_str(text: &str) -> Result<Self, NotHostPort> {
        let (host, port) = text.rsplit_once(':').ok_or(NotHostPort)?;
        let port = port.parse().ok().filter(|port| *port > 0);
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = match bracketed {
            Some(inner) => inner
                .parse::<Ipv6Addr>()
                .ok()
                .map(|one| IpAddr::V6(one).into()),
            None if host.contains(':') => None,
            None => ServerName::try_from(host.to_owned()).ok(),
        };
        Ok(Self {
            host: host.ok_or(NotHostPort)?,
            port: port.ok_or(NotHostPort)?,
        })
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().into(),
            port: address.port(),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            ServerName::IpAddress(address) => {
                SocketAddr::new(IpAddr::from(*address), self.port).fmt(f)
            }
            name => write!(f, "{}:{}", name.to_str(), self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_are_read_as_they_are_written() {
        for right in ["a.example:1", "10.0.0.1:9903", "[2001:db8::1]:9903", "a:80"] {
            assert_eq!(right.parse::<HostPort>().unwrap().to_string(), right);
        }
        for wrong in [
            "",
            "a.example",
            ":1",
            "a:0",
            "a:x",
            "2001:db8::1:1",
            "[a]:1",
            "a b:1",
        ] {
            assert_eq!(wrong.parse::<HostPort>(), Err(NotHostPort), "{wrong}");
        }
    }
}
