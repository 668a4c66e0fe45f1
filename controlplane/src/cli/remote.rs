//! The flags of a control plane that serves data planes of other machines.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use ringgate_identity::host_port::HostPort;
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
    /// Where data planes find this control plane: the others name it to them while it leads
    /// [default: the address of --listen, unless that is all of them]
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "RINGGATE_ADVERTISE",
        requires = "listen"
    )]
    pub advertise: Option<HostPort>,
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
            advertise: self.advertise.clone(),
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
