//! The flags of a control plane that serves data planes of other machines.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use ringgate_identity::host_port::HostPort;
use ringgate_identity::pem::PairFiles;
use thiserror::Error;

use crate::push::certificates::CertificateFiles;
use crate::serve::RemoteConfig;

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
}

/// What is missing for data planes of other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "--listen needs certificates, for data planes come over mutual TLS: give --tls-certificate, --tls-key and --tls-authority"
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
        let (Some(certificate), Some(key), Some(authority)) =
            (&self.tls_certificate, &self.tls_key, &self.tls_authority)
        else {
            return Err(CertificatesMissing);
        };
        Ok(Some(RemoteConfig {
            listen,
            advertise: self.advertise.clone(),
            certificates: CertificateFiles {
                own: PairFiles {
                    certificate: certificate.clone(),
                    key: key.clone(),
                },
                authority: authority.clone(),
            },
        }))
    }

    /// The arguments that say the same.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<OsString> {
        let listen = self.listen.map(|address| address.to_string().into());
        let advertise = self.advertise.as_ref().map(|one| one.to_string().into());
        let path = |path: &Option<PathBuf>| path.clone().map(OsString::from);
        [
            ("--listen", listen),
            ("--advertise", advertise),
            ("--tls-certificate", path(&self.tls_certificate)),
            ("--tls-key", path(&self.tls_key)),
            ("--tls-authority", path(&self.tls_authority)),
        ]
        .into_iter()
        .filter_map(|(flag, value)| Some([OsString::from(flag), value?]))
        .flatten()
        .collect()
    }
}
