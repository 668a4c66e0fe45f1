//! The end: the first signal drains, the second ends at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::admin;
use crate::shard::{Command, Handle};

/// How often it is looked whether clients are left.
const STEP: Duration = Duration::from_millis(50);

/// Waits for the end, and brings it about within `grace`.
///
/// # Errors
/// When signals can't be received.
pub(crate) async fn until_drained(
    shards: Arc<Vec<Handle>>,
    draining: watch::Sender<bool>,
    grace: Duration,
    orphaned: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let mut signals = Signals::new()?;
    tokio::select! {
        () = signals.next() => {}
        () = orphaned => tracing::warn!("the supervisor is gone"),
    }
    tracing::info!(?grace, "draining: no new connections");
    draining.send_replace(true);
    for shard in shards.iter() {
        shard.send(Command::Drain);
    }
    let end = Instant::now() + grace;
    loop {
        tokio::select! {
            () = signals.next() => {
                tracing::warn!("a second signal: ending at once");
                return Ok(());
            }
            () = sleep(STEP) => {}
        }
        let shards = shards.clone();
        let reports = tokio::task::spawn_blocking(move || admin::reports(&shards)).await;
        let clients: usize = reports
            .unwrap_or_default()
            .iter()
            .map(|report| report.clients + report.busy_sessions)
            .sum();
        if clients == 0 || Instant::now() >= end {
            tracing::info!(clients, "drained");
            return Ok(());
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
