//! Where the keys of a cluster's data planes lie: in a Secret, which the leader alone writes and all control
//! planes read. What shall be in it is [`rotation`](super::rotation)'s decision.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::{Client, Error as ClientError};
use ringgate_core::ir::Object;
use rustls::crypto::aws_lc_rs;
use thiserror::Error;
use tokio::sync::watch;
use tracing::{info, warn};

use super::keys::TicketKeyError;
use super::rotation::{Fresh, Kept};
use crate::error::chain;
use crate::issue::NamespacedName;
use crate::lead::Leadership;
use crate::limits::{API_CALL, AUTHORITY_LOOK, AUTHORITY_PAUSE};
use crate::own_secret::OwnSecret;
use crate::wake::tell;
use crate::watch::kube::spread;

#[derive(Debug, Error)]
pub enum TicketKeepError {
    #[error("{0}")]
    Client(String),
    #[error("no answer within {API_CALL:?}")]
    Late,
    #[error("{0}; delete what is in it to have new ones made")]
    Broken(#[from] TicketKeyError),
    #[error("there is no chance to be had to make one")]
    Chance,
}

impl From<ClientError> for TicketKeepError {
    fn from(error: ClientError) -> Self {
        Self::Client(chain(&error))
    }
}

/// Keeps the Secret as it should be.
pub struct TicketKeeper {
    secret: OwnSecret,
    known: watch::Sender<Option<Arc<Object>>>,
    told: String,
}

impl fmt::Debug for TicketKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TicketKeeper");
        shown
            .field("name", &self.secret.name)
            .finish_non_exhaustive()
    }
}

impl TicketKeeper {
    #[must_use]
    pub fn new(
        client: &Client,
        name: NamespacedName,
        known: watch::Sender<Option<Arc<Object>>>,
    ) -> Self {
        Self {
            secret: OwnSecret::new(client, name),
            known,
            told: String::new(),
        }
    }

    /// For ever.
    pub async fn keep(mut self, mut leadership: watch::Receiver<Leadership>) {
        loop {
            let leads = matches!(*leadership.borrow_and_update(), Leadership::Ours { .. });
            let turn = tokio::time::timeout(API_CALL, self.turn(leads)).await;
            match turn.unwrap_or(Err(TicketKeepError::Late)) {
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
        let is_settled = self.known.borrow().is_some() && self.told.is_empty();
        spread(match is_settled {
            true => AUTHORITY_LOOK,
            false => AUTHORITY_PAUSE,
        })
    }

    async fn turn(&self, leads: bool) -> Result<(), TicketKeepError> {
        let there = self.secret.read().await?;
        let mut kept = match there.entries() {
            Some(entries) => Kept::read(&entries)?,
            None => None,
        };
        if leads && let Some(due) = Kept::due(kept.as_ref(), SystemTime::now(), fresh)? {
            // A conflict is an error like others: it is read again.
            self.secret.write(there, due.entries()).await?;
            info!(
                "session tickets are made by another key: {}",
                self.secret.name
            );
            kept = Some(due);
        }
        let keys = kept.map(|kept| Arc::new(Object::TicketKeys(kept.keys().clone())));
        tell(&self.known, keys);
        Ok(())
    }

    fn tell(&mut self, text: String) {
        if self.told != text {
            warn!(
                "the keys of session tickets in the Secret {} can't be kept as they should be: {text}",
                self.secret.name
            );
            self.told = text;
        }
    }
}

fn fresh() -> Result<Fresh, TicketKeepError> {
    let mut key = [0; 48];
    let chance = aws_lc_rs::default_provider().secure_random;
    chance.fill(&mut key).map_err(|_| TicketKeepError::Chance)?;
    Ok(key)
}
