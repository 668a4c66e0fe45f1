//! What a data plane shows the control plane, and whom it believes. Read for each connection, so that
//! what was renewed is used by the next one. A key that is made here never leaves the process.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use ringgate_core::wire::proto::{IssueReply, IssueRequest};
use ringgate_identity::config::{self, ConfigError};
use ringgate_identity::pem::{self, Pair, PairFiles, PemError};
use rustls::ClientConfig;
use rustls::pki_types::PrivateKeyDer;
use thiserror::Error;
use tokio::time::Instant;

use crate::limits::TOKEN_BYTES;

/// Where a data plane's own certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// PEM.
    Files(PairFiles),
    /// The control plane issues it, to whoever has this token.
    Token(PathBuf),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Credentials {
    authority: PathBuf,
    own: Own,
    issued: Option<Issued>,
    /// What was of use last.
    last: Option<Arc<ClientConfig>>,
    told: String,
}

/// A certificate that the control plane gave us.
#[derive(Debug)]
struct Issued {
    pair: Pair,
    renew_at: Instant,
    ends: Instant,
}

/// A certificate that is asked for, with its key.
pub(crate) struct Asked {
    key: PrivateKeyDer<'static>,
    pub(crate) request: IssueRequest,
}

#[derive(Debug, Error)]
pub(crate) enum CredentialError {
    #[error(transparent)]
    Pem(#[from] PemError),
    #[error("{own}: {source}")]
    Config { own: String, source: ConfigError },
    #[error("--token-file {path} can't be read: {source}", path = path.display())]
    Token { path: PathBuf, source: io::Error },
    #[error("--token-file {path} has more than {TOKEN_BYTES} bytes: that is no token", path = path.display())]
    LongToken { path: PathBuf },
    #[error("a key can't be made: {0}")]
    Key(#[from] rcgen::Error),
    #[error("the control plane's answer has no certificate")]
    NoCertificate,
}

impl Credentials {
    pub(crate) fn new(authority: PathBuf, own: Own) -> Self {
        Self {
            authority,
            own,
            issued: None,
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
        match &self.own {
            Own::Files(files) => format!("--tls-certificate {}", files.certificate.display()),
            Own::Token(_) => "the certificate that was issued".to_owned(),
        }
    }

    /// Whether one has to be asked for first.
    pub(crate) fn lacks_certificate(&self) -> bool {
        let now = Instant::now();
        let has = self.issued.as_ref().is_some_and(|one| one.ends > now);
        matches!(self.own, Own::Token(_)) && !has
    }

    /// What was issued isn't believed any more, by another authority for instance: the next is asked for.
    pub(crate) fn forget(&mut self) {
        self.issued = None;
    }

    /// When the next certificate has to be asked for; None: nobody is asked.
    pub(crate) fn renew_at(&self) -> Option<Instant> {
        self.issued.as_ref().map(|issued| issued.renew_at)
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

    /// Without a certificate of our own: only to ask for one.
    ///
    /// # Errors
    /// When the authorities' file is of no use.
    pub(crate) fn strangers_config(&self) -> Result<Arc<ClientConfig>, CredentialError> {
        self.with(None)
    }

    fn read(&self) -> Result<Arc<ClientConfig>, CredentialError> {
        let own = match &self.own {
            Own::Files(files) => Some(files.read()?),
            Own::Token(_) => self.issued.as_ref().map(|issued| issued.pair.clone()),
        };
        self.with(own)
    }

    fn with(&self, own: Option<Pair>) -> Result<Arc<ClientConfig>, CredentialError> {
        let authorities = pem::authorities(&self.authority)?;
        config::client(own, &authorities).map_err(|source| CredentialError::Config {
            own: self.own(),
            source,
        })
    }

    /// What is asked for, and proof that its key is ours.
    ///
    /// # Errors
    /// When the token can't be read.
    pub(crate) fn ask(&self) -> Result<Asked, CredentialError> {
        let key = KeyPair::generate()?;
        let request = CertificateParams::default().serialize_request(&key)?;
        Ok(Asked {
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            request: IssueRequest {
                token: self.token()?,
                request: request.der().to_vec(),
            },
        })
    }

    /// Read each time: whoever put it there renews it.
    fn token(&self) -> Result<String, CredentialError> {
        let Own::Token(path) = &self.own else {
            return Ok(String::new());
        };
        let text = fs::read_to_string(path).map_err(|source| CredentialError::Token {
            path: path.clone(),
            source,
        })?;
        if text.len() > TOKEN_BYTES {
            let path = path.clone();
            return Err(CredentialError::LongToken { path });
        }
        Ok(text.trim().to_owned())
    }

    /// Takes what `asked` was answered with.
    ///
    /// # Errors
    /// When that has no certificate.
    pub(crate) fn take(&mut self, asked: Asked, reply: IssueReply) -> Result<(), CredentialError> {
        let chain: Vec<_> = reply.chain.into_iter().map(Into::into).collect();
        if chain.is_empty() {
            return Err(CredentialError::NoCertificate);
        }
        let life = Duration::from_secs(reply.lifetime_s);
        let now = Instant::now();
        self.issued = Some(Issued {
            pair: Pair {
                chain,
                key: asked.key,
            },
            renew_at: now + life / 3 * 2,
            ends: now + life,
        });
        tracing::info!(?life, "the control plane issued a certificate");
        Ok(())
    }
}
