//! `ringgate announce`: puts Gateways' addresses on an interface, where they aren't local already.
//!
//! The only process that needs network-admin rights. It asks the control plane, or the data plane of
//! its machine, which addresses there are, and gives each a short lifetime that it renews: the kernel
//! takes them away when this process dies. While nobody answers, what was known last stays. On an Ethernet link an
//! address that another host has isn't put there, and everybody is told of one that is. `rounds` decides and `frames`
//! knows the messages (both pure), `interface` and `link` speak with the kernel.

mod frames;
mod interface;
mod link;
mod rounds;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use thiserror::Error;
use tracing::{info, warn};

use self::interface::{Interface, InterfaceError};
use self::link::{Link, LinkError};
use self::rounds::{Rounds, Steps};
use crate::admin::client;
use crate::limits::{ANNOUNCE_REFUSED, ANNOUNCE_ROUND};

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
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Keeps the interface's addresses until `stop`. Then they are left: a data plane that drains still
/// needs them, and their lifetime ends soon.
///
/// # Errors
/// When there is no such interface, or the kernel doesn't let us look at it, or speak on its link.
pub async fn announce(config: Config, stop: impl Future<Output = ()>) -> Result<(), AnnounceError> {
    let interface = Interface::find(&config.interface).await?;
    let mac = interface.mac();
    let link = mac.map(|mac| Link::open(&config.interface, mac));
    let agent = Agent {
        interface,
        link: link.transpose()?,
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
    /// None where it isn't Ethernet, as with `lo`.
    link: Option<Link>,
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
        let mut failed = self.carry_out(steps).await.err();
        if let Err(error) = self.tell_link() {
            failed.get_or_insert_with(|| error.to_string());
        }
        match (failed, asked) {
            (Some(text), _) | (None, Err(text)) => Err(text),
            (None, Ok(_)) => Ok(()),
        }
    }

    /// All of them, whether one fails or not; the text of what failed last.
    async fn carry_out(&mut self, steps: Steps) -> Result<(), String> {
        let mut done = Ok(());
        // Before it is asked for new ones, which takes its time.
        for address in steps.take {
            match self.interface.take(address).await {
                Ok(()) => {
                    info!(%address, "no longer announced");
                    self.rounds.taken(address);
                }
                Err(error) => done = Err(error.to_string()),
            }
        }
        let free = match self.free(steps.claim).await {
            Ok(free) => free,
            Err(error) => {
                done = Err(error.to_string());
                BTreeSet::new()
            }
        };
        for address in steps.renew.into_iter().chain(free) {
            match self.interface.put(address).await {
                Ok(()) => {
                    if self.rounds.put(address, Instant::now()) {
                        info!(%address, "announced");
                    }
                }
                Err(error) => done = Err(error.to_string()),
            }
        }
        done
    }

    /// Those of the addresses that no other host has.
    async fn free(
        &mut self,
        mut addresses: BTreeSet<IpAddr>,
    ) -> Result<BTreeSet<IpAddr>, LinkError> {
        let Some(link) = self.link.as_ref().filter(|_| !addresses.is_empty()) else {
            return Ok(addresses);
        };
        for (address, mac) in link.holders(&addresses).await? {
            addresses.remove(&address);
            if self.rounds.refused(address, mac, Instant::now()) {
                warn!(%address, holder = %mac, "another host has this address, it isn't announced here; asked again every {ANNOUNCE_REFUSED:?}");
            }
        }
        Ok(addresses)
    }

    fn tell_link(&mut self) -> Result<(), LinkError> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        let mut told = self.rounds.tell(Instant::now()).into_iter();
        told.try_for_each(|address| link.announce(address))
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
