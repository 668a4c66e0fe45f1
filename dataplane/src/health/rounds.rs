//! When an endpoint is asked: at once, and then again and again, at a time of its own within the interval, so that
//! many that came together aren't asked together for ever.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringgate_core::table::{Backend, Slot};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::probe::{self, Failing};
use crate::config::InForce;
use crate::limits;

/// What a check came to.
pub(super) struct Answer {
    pub(super) slot: Slot,
    pub(super) address: SocketAddr,
    /// Tells rounds apart: what was asked by settings of before doesn't count.
    pub(super) round: u64,
    pub(super) passed: Result<(), Failing>,
}

/// What all rounds share.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) turns: Turns,
    pub(super) in_force: watch::Receiver<InForce>,
    pub(super) answers: mpsc::Sender<Answer>,
}

/// Checks that may be under way at a time. One backend has a part of them at most: its endpoints may take minutes to answer, and those
/// of others shall not wait for that.
#[derive(Clone)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    of_backend: Arc<Semaphore>,
    share: usize,
}

impl Turns {
    pub(super) fn new(checks: usize) -> Self {
        let share = checks.div_ceil(limits::HEALTH_SHARE);
        Self {
            all: Arc::new(Semaphore::new(checks)),
            of_backend: Arc::new(Semaphore::new(share)),
            share,
        }
    }

    /// Of another backend.
    pub(super) fn of_another(&self) -> Self {
        Self {
            of_backend: Arc::new(Semaphore::new(self.share)),
            ..self.clone()
        }
    }

    /// None: there will be none any more.
    async fn take(&self) -> Option<[SemaphorePermit<'_>; 2]> {
        let of_backend = self.of_backend.acquire().await.ok()?;
        Some([of_backend, self.all.acquire().await.ok()?])
    }
}

/// Ends with this.
pub(super) struct Rounds {
    pub(super) number: u64,
    task: AbortHandle,
}

impl Drop for Rounds {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Rounds {
    /// `phase`: after so much of an interval, from 0 to 1, the second check follows the first.
    pub(super) fn start(
        asking: Asking,
        backend: Arc<Backend>,
        address: SocketAddr,
        (number, phase): (u64, f64),
    ) -> Self {
        let task = tokio::spawn(run(asking, backend, address, (number, phase)));
        let task = task.abort_handle();
        Self { number, task }
    }
}

async fn run(
    asking: Asking,
    backend: Arc<Backend>,
    address: SocketAddr,
    (round, phase): (u64, f64),
) {
    let Some(check) = backend.backend.settings.health_check.clone() else {
        return;
    };
    let mut wait = check.interval.mul_f64(phase);
    loop {
        let Some(turn) = asking.turns.take().await else {
            return;
        };
        let began = Instant::now();
        // Boxed: most of the time nothing is asked.
        let passed = Box::pin(ask(&asking, &backend, address, check.timeout)).await;
        drop(turn);
        let answer = Answer {
            slot: backend.slot,
            address,
            round,
            passed,
        };
        if asking.answers.send(answer).await.is_err() {
            return;
        }
        sleep_until(began + wait).await;
        wait = check.interval;
    }
}

async fn ask(
    asking: &Asking,
    backend: &Backend,
    address: SocketAddr,
    within: Duration,
) -> Result<(), Failing> {
    // As it is now: certificates change while rounds go on.
    let credentials = asking.in_force.borrow().credentials.clone();
    let tls = credentials.backend(backend.slot);
    match timeout(within, probe::ask(&backend.backend, address, tls)).await {
        Ok(answered) => answered,
        Err(_) => Err(Failing::Late(within)),
    }
}
