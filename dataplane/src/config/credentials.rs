//! What a data plane shows the control plane, and whom it believes. Read for each connection, so that
//! what was renewed is used by the next one.

use std::path::PathBuf;
use std::sync::Arc;

use ringgate_identity::config::{self, ConfigError};
use ringgate_identity::pem::{self, PairFiles, PemError};
use rustls::ClientConfig;
use thiserror::Error;

/// See the module.
#[derive(Debug)]
pub(crate) struct Credentials {
    authority: PathBuf,
    own: PairFiles,
    /// What was of use last.
    last: Option<Arc<ClientConfig>>,
    told: String,
}

#[derive(Debug, Error)]
pub(crate) enum CredentialError {
    #[error(transparent)]
    Pem(#[from] PemError),
    #[error("--tls-certificate {certificate} and --tls-key {key}: {source}", certificate = own.certificate.display(), key = own.key.display())]
    Config { own: PairFiles, source: ConfigError },
}

impl Credentials {
    pub(crate) fn of_files(authority: PathBuf, certificate: PathBuf, key: PathBuf) -> Self {
        Self {
            authority,
            own: PairFiles { certificate, key },
            last: None,
            told: String::new(),
        }
    }

    /// The authorities, as errors name them.
    pub(crate) fn authority(&self) -> String {
        format!("--tls-authority {}", self.authority.display())
    }

    /// What is shown, as errors name it.
    pub(crate) fn own(&self) -> String {
        format!("--tls-certificate {}", self.own.certificate.display())
    }

    /// As the files are now; if they are of no use, as they were.
    ///
    /// # Errors
    /// When they never were of use.
    pub(crate) fn config(&mut self) -> Result<Arc<ClientConfig>, CredentialError> {
        match (self.read(), &self.last) {
            (Ok(config), _) => {
                self.told.clear();
                self.last = Some(config.clone());
                Ok(config)
            }
            (Err(error), Some(last)) => {
                let text = error.to_string();
                if text != self.told {
                    tracing::warn!("the certificate in use stays: {text}");
                    self.told = text;
                }
                Ok(last.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    fn read(&self) -> Result<Arc<ClientConfig>, CredentialError> {
        let authorities = pem::authorities(&self.authority)?;
        let own = self.own.read()?;
        config::client(Some(own), &authorities).map_err(|source| CredentialError::Config {
            own: self.own.clone(),
            source,
        })
    }
}
