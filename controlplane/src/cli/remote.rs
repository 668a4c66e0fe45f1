//! The flags of a control plane that serves data planes of other machines.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use ringgate_identity::host_port::{HostPort, NotHostPort};
use ringgate_identity::pem::PairFiles;
use thiserror::Error;

use crate::issue::{IssueConfig, NamespacedName, Periods};
use crate::push::certificates::CertificateFiles;
use crate::serve::{Certificates, RemoteConfig};

/// See the module. Without `--listen` there are none.
#[derive(Clone, Debug, Default, Args)]
pub struct RemoteArgs {
    /// Serve data planes of other machines here, over mutual TLS
    #[arg(long, value_name = "ADDR", env = "RINGGATE_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Where data planes find this control plane: the others name it to them while it leads. An IP
    /// alone: at the port of --listen [default: the address of --listen, unless that is all of them]
    #[arg(
        long,
        value_name = "HOST:PORT|IP",
        env = "RINGGATE_ADVERTISE",
        requires = "listen"
    )]
    pub advertise: Option<Advertise>,
    /// This control plane's certificate in PEM, with those between it and the authority; read again
    /// when it changes
    #[arg(
        long,
        value_name = "FILE",
        env = "RINGGATE_TLS_CERTIFICATE",
        requires = "listen"
    )]
    pub tls_certificate: Option<PathBuf>,
    /// Its private key in PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "RINGGATE_TLS_KEY",
        requires = "listen"
    )]
    pub tls_key: Option<PathBuf>,
    /// Certificates in PEM of the authorities whose certificates data planes have to show
    #[arg(
        long,
        value_name = "FILE",
        env = "RINGGATE_TLS_AUTHORITY",
        requires = "listen"
    )]
    pub tls_authority: Option<PathBuf>,
    /// Issue all certificates ourselves, in place of those of files: to data planes with a token of
    /// this ServiceAccount for the audience `ringgate.io` (repeatable); in a cluster
    #[arg(
        long = "issue-to",
        value_name = "NAMESPACE/SERVICEACCOUNT",
        env = "RINGGATE_ISSUE_TO",
        value_delimiter = ',',
        requires = "listen",
        conflicts_with_all = ["tls_certificate", "tls_key", "tls_authority"]
    )]
    pub issue_to: Vec<NamespacedName>,
    /// A name that data planes know this control plane by, for its own certificate, besides the host
    /// of --advertise (repeatable)
    #[arg(
        long = "tls-name",
        value_name = "NAME",
        env = "RINGGATE_TLS_NAME",
        value_delimiter = ',',
        requires = "issue_to"
    )]
    pub tls_names: Vec<String>,
    /// The Secret in which the authority lies that signs, and the ConfigMap in which its certificate is
    /// published [default: `ringgate-authority` in the namespace of the kubeconfig's context or of the
    /// Pod]
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        env = "RINGGATE_AUTHORITY",
        requires = "issue_to"
    )]
    pub authority: Option<NamespacedName>,
}

/// Where data planes find a control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advertise {
    /// At the port that is listened on: a Pod is told its address only.
    Ip(IpAddr),
    Place(HostPort),
}

impl Advertise {
    fn at(&self, port: u16) -> HostPort {
        match self {
            Self::Ip(address) => SocketAddr::new(*address, port).into(),
            Self::Place(place) => place.clone(),
        }
    }
}

impl FromStr for Advertise {
    type Err = NotHostPort;

    fn from_str(text: &str) -> Result<Self, NotHostPort> {
        match text.parse() {
            Ok(address) => Ok(Self::Ip(address)),
            Err(_) => text.parse().map(Self::Place),
        }
    }
}

impl fmt::Display for Advertise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Place(place) => place.fmt(f),
        }
    }
}

/// What is missing for data planes of other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "--listen needs certificates, for data planes come over mutual TLS: give --tls-certificate, --tls-key and --tls-authority, or in a cluster --issue-to"
)]
pub struct CertificatesMissing;

impl RemoteArgs {
    /// How data planes of other machines are served, if they are.
    ///
    /// # Errors
    /// When certificates are missing.
    pub fn config(&self) -> Result<Option<RemoteConfig>, CertificatesMissing> {
        let Some(listen) = self.listen else {
            return Ok(None);
        };
        Ok(Some(RemoteConfig {
            listen,
            advertise: self.advertise.as_ref().map(|one| one.at(listen.port())),
            certificates: self.certificates()?,
        }))
    }

    fn certificates(&self) -> Result<Certificates, CertificatesMissing> {
        if !self.issue_to.is_empty() {
            return Ok(Certificates::Issued(IssueConfig {
                accounts: self.issue_to.clone(),
                names: self.tls_names.clone(),
                store: self.authority.clone(),
                periods: Periods::default(),
            }));
        }
        let (Some(certificate), Some(key), Some(authority)) =
            (&self.tls_certificate, &self.tls_key, &self.tls_authority)
        else {
            return Err(CertificatesMissing);
        };
        Ok(Certificates::Files(CertificateFiles {
            own: PairFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            },
            authority: authority.clone(),
        }))
    }

    /// The arguments that say the same.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<OsString> {
        let listen = self.listen.map(|address| address.to_string().into());
        let advertise = self.advertise.as_ref().map(|one| one.to_string().into());
        let authority = self.authority.as_ref().map(|one| one.to_string().into());
        let path = |path: &Option<PathBuf>| path.clone().map(OsString::from);
        let once = [
            ("--listen", listen),
            ("--advertise", advertise),
            ("--tls-certificate", path(&self.tls_certificate)),
            ("--tls-key", path(&self.tls_key)),
            ("--tls-authority", path(&self.tls_authority)),
            ("--authority", authority),
        ];
        let accounts = self.issue_to.iter().map(NamespacedName::to_string);
        let often = accounts.map(|account| ("--issue-to", Some(account.into())));
        let names = self.tls_names.iter();
        let names = names.map(|name| ("--tls-name", Some(name.into())));
        once.into_iter()
            .chain(often)
            .chain(names)
            .filter_map(|(flag, value)| Some([OsString::from(flag), value?]))
            .flatten()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_alone_is_at_the_port_that_is_listened_on() {
        for (text, place) in [
            ("10.0.0.1", "10.0.0.1:9903"),
            ("2001:db8::1", "[2001:db8::1]:9903"),
            ("[2001:db8::1]:1", "[2001:db8::1]:1"),
            ("a.example:1", "a.example:1"),
        ] {
            let advertise: Advertise = text.parse().unwrap();
            assert_eq!(advertise.at(9903).to_string(), place);
            assert_eq!(advertise.to_string(), text);
        }
        assert!("a.example".parse::<Advertise>().is_err());
    }
}
