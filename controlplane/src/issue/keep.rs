//! Where the authority lies: with its key in a Secret, which the leader alone writes and all control
//! planes read; without it in a ConfigMap, which data planes have in their Pods. What shall be in there
//! is [`authority`](super::authority)'s decision.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use kube::{Client, Error as ClientError};
use thiserror::Error;
use tokio::sync::watch;
use tracing::{info, warn};

use super::authority::{Authorities, AuthorityError};
use super::{NamespacedName, Periods};
use crate::error::chain;
use crate::lead::Leadership;
use crate::limits::{API_CALL, AUTHORITY_LOOK, AUTHORITY_PAUSE};
use crate::own_secret::{Entries, OwnSecret};
use crate::wake::tell;
use crate::watch::kube::spread;

/// The ConfigMap's key.
const BUNDLE: &str = "ca.crt";

#[derive(Debug, Error)]
pub enum KeepError {
    #[error("{0}")]
    Client(String),
    #[error("no answer within {API_CALL:?}")]
    Late,
    #[error(
        "the Secret {name} is of no use: {source}; delete what is in it to have a new authority made"
    )]
    Broken {
        name: NamespacedName,
        source: AuthorityError,
    },
    #[error("an authority can't be made: {0}")]
    Make(AuthorityError),
}

impl From<ClientError> for KeepError {
    fn from(error: ClientError) -> Self {
        Self::Client(chain(&error))
    }
}

/// Keeps both objects as they should be.
pub struct Keeper {
    secret: OwnSecret,
    maps: Api<ConfigMap>,
    name: NamespacedName,
    periods: Periods,
    known: watch::Sender<Option<Arc<Authorities>>>,
    told: String,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Keeper");
        shown.field("name", &self.name).finish_non_exhaustive()
    }
}

impl Keeper {
    #[must_use]
    pub fn new(
        client: &Client,
        name: NamespacedName,
        periods: Periods,
        known: watch::Sender<Option<Arc<Authorities>>>,
    ) -> Self {
        Self {
            secret: OwnSecret::new(client, name.clone()),
            maps: Api::namespaced(client.clone(), &name.namespace),
            name,
            periods,
            known,
            told: String::new(),
        }
    }

    /// For ever.
    pub async fn keep(mut self, mut leadership: watch::Receiver<Leadership>) {
        loop {
            let leads = matches!(*leadership.borrow_and_update(), Leadership::Ours { .. });
            let turn = tokio::time::timeout(API_CALL, self.turn(leads)).await;
            match turn.unwrap_or(Err(KeepError::Late)) {
                Ok(()) => self.told.clear(),
                Err(error) => self.tell(error.to_string()),
            }
            tokio::select! {
                () = tokio::time::sleep(self.pause()) => {}
                Ok(()) = leadership.changed() => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        if self.known.borrow().is_none() || !self.told.is_empty() {
            return spread(AUTHORITY_PAUSE);
        }
        spread(AUTHORITY_LOOK.min(self.periods.spread / 4))
    }

    async fn turn(&self, leads: bool) -> Result<(), KeepError> {
        let there = self.secret.read().await?;
        let mut authorities = match there.entries() {
            Some(entries) => self.read(&entries)?,
            None => None,
        };
        if leads {
            let now = SystemTime::now();
            let due = Authorities::due(authorities.as_ref(), &self.periods, now);
            if let Some(due) = due.map_err(KeepError::Make)? {
                // A conflict is an error like others: it is read again.
                self.secret.write(there, due.entries()).await?;
                info!(
                    "the authority of data planes' certificates is another: {}",
                    self.name
                );
                authorities = Some(due);
            }
            if let Some(authorities) = &authorities {
                self.publish(authorities).await?;
            }
        }
        tell(&self.known, authorities.map(Arc::new));
        Ok(())
    }

    fn read(&self, entries: &Entries) -> Result<Option<Authorities>, KeepError> {
        Authorities::read(entries).map_err(|source| KeepError::Broken {
            name: self.name.clone(),
            source,
        })
    }

    async fn publish(&self, authorities: &Authorities) -> Result<(), KeepError> {
        let wanted = BTreeMap::from([(BUNDLE.to_owned(), authorities.bundle())]);
        let how = PostParams::default();
        match self.maps.get_opt(&self.name.name).await? {
            Some(there) if there.data.as_ref() == Some(&wanted) => {}
            Some(there) => {
                let map = ConfigMap {
                    data: Some(wanted),
                    ..there
                };
                self.maps.replace(&self.name.name, &how, &map).await?;
            }
            None => {
                let map = ConfigMap {
                    metadata: self.metadata(),
                    data: Some(wanted),
                    ..ConfigMap::default()
                };
                self.maps.create(&how, &map).await?;
            }
        }
        Ok(())
    }

    fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.name.name.clone()),
            ..ObjectMeta::default()
        }
    }

    fn tell(&mut self, text: String) {
        if self.told != text {
            warn!(
                "the authority of data planes' certificates, {}, can't be kept as it should be: {text}",
                self.name
            );
            self.told = text;
        }
    }
}
