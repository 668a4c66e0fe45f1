//! The control plane's certificate out of files, and whose certificates it believes; read again when
//! the files change. Connections that stand are not touched.

use std::path::PathBuf;
use std::sync::Arc;

use ringgate_identity::config::{self, ClientCertificate, ConfigError};
use ringgate_identity::pem::{self, Pair, PairFiles, PemError};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use thiserror::Error;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::limits::CERTIFICATE_LOOK;

/// Where certificates lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub own: PairFiles,
    /// The authorities whose certificates data planes have to show.
    pub authority: PathBuf,
}

#[derive(Debug, Error)]
pub enum CertificateError {
    #[error(transparent)]
    Pem(#[from] PemError),
    #[error(
        "--tls-certificate {certificate}, --tls-key {key} and --tls-authority {authority}: {source}",
        certificate = files.own.certificate.display(),
        key = files.own.key.display(),
        authority = files.authority.display()
    )]
    Config {
        files: Box<CertificateFiles>,
        source: ConfigError,
    },
}

/// What was read last.
#[derive(PartialEq, Eq)]
struct Found {
    own: Pair,
    authorities: Vec<CertificateDer<'static>>,
}

impl CertificateFiles {
    fn read(&self) -> Result<Found, PemError> {
        Ok(Found {
            own: self.own.read()?,
            authorities: pem::authorities(&self.authority)?,
        })
    }

    fn config(&self, found: &Found) -> Result<Arc<ServerConfig>, CertificateError> {
        let required = ClientCertificate::Required;
        config::server(found.own.clone(), &found.authorities, required).map_err(|source| {
            CertificateError::Config {
                files: self.clone().into(),
                source,
            }
        })
    }

    /// Reads them now, and again for as long as someone listens.
    ///
    /// # Errors
    /// When they are of no use to begin with; later that is only logged.
    pub fn follow(self) -> Result<watch::Receiver<Option<Arc<ServerConfig>>>, CertificateError> {
        let found = self.read()?;
        let (tls, seen) = watch::channel(Some(self.config(&found)?));
        tokio::spawn(look_again(self, found, tls));
        Ok(seen)
    }
}

async fn look_again(
    files: CertificateFiles,
    mut known: Found,
    tls: watch::Sender<Option<Arc<ServerConfig>>>,
) {
    let mut told = String::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(CERTIFICATE_LOOK) => {}
            () = tls.closed() => return,
        }
        match look(&files, &known) {
            Ok(None) => told.clear(),
            Ok(Some((found, config))) => {
                known = found;
                told.clear();
                tls.send_replace(Some(config));
                info!("new connections of data planes get the new certificate");
            }
            Err(error) => {
                let text = error.to_string();
                if text != told {
                    warn!("the certificate in use stays: {text}");
                    told = text;
                }
            }
        }
    }
}

type New = Option<(Found, Arc<ServerConfig>)>;

fn look(files: &CertificateFiles, known: &Found) -> Result<New, CertificateError> {
    let found = files.read()?;
    if found == *known {
        return Ok(None);
    }
    let config = files.config(&found)?;
    Ok(Some((found, config)))
}
