//! `ringgate announce`: puts Gateways' addresses on an interface, where they aren't local already.
//!
//! The only process that needs network-admin rights. It asks the control plane, or the data plane of
//! its machine, which addresses there are, and gives each a short lifetime that it renews: the kernel
//! takes them away when this process dies. While nobody answers, what was known last stays. `rounds` decides (pure),
//! `interface` speaks with the kernel.

mod interface;
mod rounds;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use thiserror::Error;
use tracing::{info, warn};

use self::interface::{Interface, InterfaceError};
use self::rounds::Rounds;
use crate::admin::client;
use crate::limits::ANNOUNCE_ROUND;

/// What an agent is started with.
#[derive(Clone, Debug)]
pub struct Config {
    pub interface: String,
    /// The admin server of the control plane, or of a data plane.
    pub admin: SocketAddr,
}

#[derive(Debug, Error)]
pub enum AnnounceError {
    #[error(transparent)]
    Interface(#[from] InterfaceError),
}

/// Keeps the interface's addresses until `stop`. Then they are left: a data plane that drains still
/// needs them, and their lifetime ends soon.
///
/// # Errors
/// When there is no such interface, or the kernel doesn't let us look at it.
pub async fn announce(config: Config, stop: impl Future<Output = ()>) -> Result<(), AnnounceError> {
    let interface = Interface::find(&config.interface).await?;
    let agent = Agent {
        interface,
        admin: config.admin,
        wanted: BTreeSet::new(),
        rounds: Rounds::default(),
        told: None,
    };
    tokio::select! {
        ended = agent.run() => ended,
        () = stop => Ok(()),
    }
}

struct Agent {
    interface: Interface,
    admin: SocketAddr,
    wanted: BTreeSet<IpAddr>,
    rounds: Rounds,
    /// What went wrong last, so that it is logged once.
    told: Option<String>,
}

impl Agent {
    async fn run(mut self) -> Result<(), AnnounceError> {
        let mut turns = tokio::time::interval(ANNOUNCE_ROUND);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            match self.turn().await {
                Ok(()) => {
                    if self.told.take().is_some() {
                        info!("addresses can be announced again");
                    }
                }
                Err(text) => self.tell(text),
            }
        }
    }

    /// The text of what went wrong: it is tried again.
    async fn turn(&mut self) -> Result<(), String> {
        let asked = self.ask().await;
        if let Ok(wanted) = &asked {
            self.wanted.clone_from(wanted);
        }
        let others = self.interface.others().await;
        let others = others.map_err(|error| error.to_string())?;
        let steps = self.rounds.steps(&self.wanted, &others, Instant::now());
        let mut failed = None;
        for address in steps.put {
            match self.interface.put(address).await {
                Ok(()) => {
                    if self.rounds.put(address, Instant::now()) {
                        info!(%address, "announced");
                    }
                }
                Err(error) => failed = Some(error.to_string()),
            }
        }
        for address in steps.take {
            match self.interface.take(address).await {
                Ok(()) => {
                    info!(%address, "no longer announced");
                    self.rounds.taken(address);
                }
                Err(error) => failed = Some(error.to_string()),
            }
        }
        match (failed, asked) {
            (Some(text), _) | (None, Err(text)) => Err(text),
            (None, Ok(_)) => Ok(()),
        }
    }

    async fn ask(&self) -> Result<BTreeSet<IpAddr>, String> {
        let body = client::get(self.admin, "/addresses").await;
        let body = body.map_err(|error| error.to_string())?;
        let texts: Vec<String> =
            serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        // A name isn't ours to announce.
        Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
    }

    fn tell(&mut self, text: String) {
        if self.told.as_ref() != Some(&text) {
            warn!("addresses aren't announced as they should be, it is tried again: {text}");
            self.told = Some(text);
        }
    }
}
