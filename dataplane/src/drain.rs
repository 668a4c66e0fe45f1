//! The end: the first signal drains, the second ends at once.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::admin;
use crate::config::InForce;
use crate::limits;
use crate::shard::{Command, Handle};
use crate::sys::socket;

/// How often it is looked whether clients are left.
const STEP: Duration = Duration::from_millis(50);

/// What ends, and how.
pub(crate) struct Ending {
    pub(crate) shards: Arc<Vec<Handle>>,
    pub(crate) draining: watch::Sender<bool>,
    /// How long clients may take.
    pub(crate) grace: Duration,
    /// Where agents hand listeners' addresses on to other nodes: what says which those are.
    pub(crate) announced: Option<watch::Receiver<InForce>>,
}

/// Waits for the end, and brings it about.
///
/// # Errors
/// When signals can't be received.
pub(crate) async fn until_drained(
    ending: Ending,
    orphaned: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::select! {
        () = signals.next() => {}
        () = orphaned => tracing::warn!("the supervisor is gone"),
    }
    tracing::info!(grace = ?ending.grace, "draining: no new connections");
    ending.draining.send_replace(true);
    tokio::select! {
        () = signals.next() => tracing::warn!("a second signal: ending at once"),
        clients = ending.drain() => tracing::info!(clients, "drained"),
    }
    Ok(())
}

impl Ending {
    /// The clients that are left.
    async fn drain(&self) -> usize {
        let end = Instant::now() + self.grace;
        if self.announced.is_some() {
            // Those who connect now try again in a second, and come to the next owner. Those who did just before have yet
            // to send a request, and get an answer.
            self.tell(|| Command::Hush);
            sleep(limits::HUSH).await;
        }
        self.tell(|| Command::Drain);
        let clients = loop {
            sleep(STEP).await;
            let mut clients = admin::clients(self.shards.clone()).await;
            if clients == 0 {
                // One may have been on its way to a shard that had answered. From here on none is sent.
                clients = admin::clients(self.shards.clone()).await;
            }
            if clients == 0 || Instant::now() >= end {
                break clients;
            }
        };
        self.handed_over().await;
        clients
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for shard in self.shards.iter() {
            shard.send(command());
        }
    }

    /// Until no announced address is on this machine: with the sockets closed, its kernel would refuse whoever connects.
    async fn handed_over(&self) {
        let Some(in_force) = &self.announced else {
            return;
        };
        let table = in_force.borrow().table.clone();
        let ports = table.ports.iter().filter_map(|port| port.bind.address);
        let mut addresses: Vec<IpAddr> = ports.collect();
        addresses.sort_unstable();
        addresses.dedup();
        let end = Instant::now() + limits::HAND_OVER;
        while Instant::now() < end && addresses.iter().any(|one| socket::is_local(*one)) {
            sleep(STEP).await;
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
