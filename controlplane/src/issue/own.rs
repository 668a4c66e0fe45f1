//! The control plane's own certificate, by the authority that it keeps, and whom it believes: both anew
//! when the authority changes, and in time before the certificate ends.

use std::sync::Arc;
use std::time::SystemTime;

use ringgate_identity::config::{self, ClientCertificate, ConfigError};
use rustls::ServerConfig;
use thiserror::Error;
use tokio::sync::watch;
use tracing::warn;

use super::authority::{Authorities, AuthorityError};
use super::{Known, Periods};

#[derive(Debug, Error)]
enum OwnError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What a TLS server needs, from the moment on that the authority is known. `names`: those that data
/// planes go to.
#[must_use]
pub fn follow(
    authorities: Known,
    names: Vec<String>,
    periods: Periods,
) -> watch::Receiver<Option<Arc<ServerConfig>>> {
    let (tls, seen) = watch::channel(None);
    tokio::spawn(certify(authorities, names, periods, tls));
    seen
}

async fn certify(
    mut authorities: Known,
    names: Vec<String>,
    periods: Periods,
    tls: watch::Sender<Option<Arc<ServerConfig>>>,
) {
    loop {
        let known = authorities.borrow_and_update().clone();
        if let Some(known) = known {
            match make(&known, &names, &periods) {
                Ok(config) => drop(tls.send_replace(Some(config))),
                Err(error) => warn!("data planes can't come in: {error}; is --tls-name right?"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(periods.certificate / 3 * 2) => {}
            changed = authorities.changed() => if changed.is_err() { return },
            () = tls.closed() => return,
        }
    }
}

fn make(
    authorities: &Authorities,
    names: &[String],
    periods: &Periods,
) -> Result<Arc<ServerConfig>, OwnError> {
    let own = authorities.own(names, periods.certificate, SystemTime::now())?;
    let believed = authorities.believed()?;
    Ok(config::server(own, &believed, ClientCertificate::Optional)?)
}
