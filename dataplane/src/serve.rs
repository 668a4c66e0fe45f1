//! Wiring: shards, the configuration thread, the admin endpoint, the wait for the end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use crossbeam_channel::Sender;
use ringgate_core::balance::Whereabouts;
use ringgate_identity::host_port::HostPort;
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};

use crate::admin::{self, Inside};
use crate::config::{self, Applier, Credentials, Ends, InForce, LastGood, Own, Reach};
use crate::drain::{self, Ending};
use crate::health;
use crate::limits;
use crate::neighbours::Neighbours;
use crate::node_checks;
use crate::shard::{self, Buried, Handle, Options};
use crate::shared::affinity::Affinities;
use crate::shared::loads::Loads;
use crate::sys::affinity::Cores;
use crate::sys::driver::{Choice, Driver};
use crate::sys::socket;
use crate::telemetry::access_log::{AccessLog, Target};

/// How a data plane runs.
#[derive(Clone, Debug)]
pub struct Settings {
    pub control_plane: ControlPlane,
    /// Where the last good snapshot is kept.
    pub state_dir: PathBuf,
    pub admin: SocketAddr,
    /// None: as many as we have cores.
    pub workers: Option<usize>,
    pub driver: Choice,
    pub access_log: Target,
    pub drain_grace: Duration,
    /// Which endpoints are near.
    pub whereabouts: Whereabouts,
    /// Addresses go to other nodes when this process ends.
    pub announced: bool,
    /// Drain when standard input ends: the supervisor is gone.
    pub exit_with_stdin: bool,
}

/// Where the control plane is found.
#[derive(Clone, Debug)]
pub enum ControlPlane {
    /// On this machine, by a Unix socket that may appear later.
    Socket(PathBuf),
    /// On others, by mutual TLS: one of these leads, or tells who does.
    Remote {
        addresses: Vec<HostPort>,
        /// PEM, of the authorities whose certificates are believed.
        authority: PathBuf,
        own: Own,
    },
}

/// Why a data plane can't start, or go on.
#[derive(Debug, Error)]
pub enum ServeError {
    #[error("--admin {address} can't be bound: {error}; choose another address, or port 0 for any")]
    Admin {
        address: SocketAddr,
        error: io::Error,
    },
    #[error("--access-log {path} can't be opened: {error}")]
    AccessLog { path: String, error: io::Error },
    #[error("shard {index} can't start: {error}; try --driver epoll")]
    Shard { index: usize, error: io::Error },
    #[error("a runtime can't be started: {0}")]
    Runtime(io::Error),
}

/// Runs until a signal ends it.
///
/// # Errors
/// [`ServeError`], before any traffic is taken.
pub fn serve(settings: Settings) -> Result<(), ServeError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let outcome = runtime.block_on(run(settings));
    // A read of standard input may still wait, and would hold up the end for as long as it does.
    runtime.shutdown_background();
    outcome
}

async fn run(settings: Settings) -> Result<(), ServeError> {
    let address = settings.admin;
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| ServeError::Admin { address, error })?;
    let bound = listener.local_addr().unwrap_or(address);
    tracing::info!(address = %bound, "admin endpoint");
    let log = AccessLog::start(&settings.access_log).map_err(|error| ServeError::AccessLog {
        path: format!("{:?}", settings.access_log),
        error,
    })?;
    let (bury, graveyard) = crossbeam_channel::unbounded();
    let (shards, driver) = start_shards(&settings, &log, &bury)?;
    let (in_force, see_in_force) = watch::channel(InForce::default());
    let (draining, see_draining) = watch::channel(false);
    let (ask, questions) = mpsc::channel(4);
    let (ask_health, health_questions) = mpsc::channel(4);
    let (suspects, suspected) = mpsc::channel(limits::SUSPECTS);
    let ends = Ends {
        instance: instance(),
        driver: driver.name(),
        in_force,
        questions,
        draining: see_draining.clone(),
    };
    let applier = Applier::new(shards.clone(), graveyard, suspects);
    let reach = reach(settings.control_plane.clone());
    let last_good = LastGood::in_folder(&settings.state_dir);
    follow(applier, last_good, reach, ends)?;
    let watching = health::start(health::Ends {
        in_force: see_in_force.clone(),
        suspects: suspected,
        questions: health_questions,
        checks: health_checks(),
    });
    watching.map_err(ServeError::Runtime)?;
    let announced = see_in_force.clone();
    let whereabouts = Arc::new(settings.whereabouts.clone());
    let checks = node_checks::serve(
        see_in_force.clone(),
        see_draining.clone(),
        whereabouts.clone(),
    );
    tokio::spawn(checks);
    let inside = Inside {
        shards: shards.clone(),
        in_force: see_in_force,
        questions: ask,
        ask_health,
        draining: see_draining,
        whereabouts,
    };
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, admin::router(inside)).await {
            tracing::error!(%error, "the admin endpoint has ended");
        }
    });
    let orphaned = orphaned(settings.exit_with_stdin);
    let ending = Ending {
        shards,
        draining,
        grace: settings.drain_grace,
        announced: settings.announced.then_some(announced),
    };
    drain::until_drained(ending, orphaned)
        .await
        .map_err(ServeError::Runtime)
}

type Shards = Arc<Vec<Handle>>;

fn start_shards(
    settings: &Settings,
    log: &AccessLog,
    graveyard: &Sender<Buried>,
) -> Result<(Shards, Driver), ServeError> {
    let cores = Cores::ours();
    let workers = settings.workers.unwrap_or_else(|| cores.workers()).max(1);
    let affinities = Arc::<Affinities>::default();
    tokio::spawn(forget(affinities.clone()));
    let ends: io::Result<Vec<_>> = (0..workers).map(|_| Handle::new()).collect();
    let ends = ends.map_err(|error| ServeError::Shard { index: 0, error })?;
    let (handles, ends): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
    let (handles, loads) = (Arc::new(handles), Arc::new(Loads::new(workers)));
    let mut driver = Driver::Epoll;
    for (index, end) in ends.into_iter().enumerate() {
        let options = Options {
            index,
            core: cores.of(index, workers),
            driver: settings.driver,
            clients: clients_per_shard(workers),
            datagram_sockets: datagram_sockets(workers),
            log: log.clone(),
            graveyard: graveyard.clone(),
            seed: seed(index),
            whereabouts: settings.whereabouts.clone(),
            affinities: affinities.clone(),
            neighbours: Neighbours::new(index, loads.clone(), handles.clone()),
        };
        driver = shard::spawn(options, end).map_err(|error| ServeError::Shard { index, error })?;
    }
    tracing::info!(workers, driver = driver.name(), "shards are up");
    Ok((handles, driver))
}

/// Forgets clients that were away for long enough.
async fn forget(affinities: Arc<Affinities>) {
    let mut turns = tokio::time::interval(limits::AFFINITIES_LOOK);
    loop {
        turns.tick().await;
        let affinities = affinities.clone();
        let _ = tokio::task::spawn_blocking(move || affinities.prune()).await;
    }
}

/// Two thirds of the open files: a busy client needs one more towards a backend, an idle one none. Clients
/// beyond wait in the kernel's queue.
fn clients_per_shard(workers: usize) -> usize {
    descriptors_per_shard(workers) / 3 * 2
}

/// As many as there may be, but an eighth of the open files at most.
fn datagram_sockets(workers: usize) -> u32 {
    let some = u32::try_from(descriptors_per_shard(workers) / 8).unwrap_or(u32::MAX);
    some.clamp(1, limits::DATAGRAM_SOCKETS)
}

/// A thirty-second of the open files at most.
fn health_checks() -> usize {
    let some = usize::try_from(socket::raise_descriptor_limit() / 32).unwrap_or(usize::MAX);
    some.clamp(1, limits::HEALTH_CHECKS)
}

fn descriptors_per_shard(workers: usize) -> usize {
    let descriptors = socket::raise_descriptor_limit();
    let workers = u64::try_from(workers).unwrap_or(1);
    let checks = u64::try_from(health_checks()).unwrap_or(u64::MAX);
    let reserved = limits::DESCRIPTORS_RESERVED.saturating_add(checks);
    let each = descriptors.saturating_sub(reserved) / workers;
    usize::try_from(each).unwrap_or(usize::MAX).max(2)
}

/// The configuration thread: traffic never waits for it.
fn follow(
    applier: Applier,
    last_good: LastGood,
    reach: Reach,
    ends: Ends,
) -> Result<(), ServeError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let thread = thread::Builder::new().name("config".into());
    let run = move || runtime.block_on(config::receive(applier, last_good, reach, ends));
    thread.spawn(run).map_err(ServeError::Runtime)?;
    Ok(())
}

fn reach(control_plane: ControlPlane) -> Reach {
    match control_plane {
        ControlPlane::Socket(path) => Reach::Socket(path),
        ControlPlane::Remote {
            addresses,
            authority,
            own,
        } => Reach::remote(addresses, Credentials::new(authority, own)),
    }
}

/// Ends when standard input does; never, if that is not asked for.
async fn orphaned(with_stdin: bool) {
    if with_stdin {
        let (mut stdin, mut byte) = (tokio::io::stdin(), [0_u8; 1]);
        while matches!(stdin.read(&mut byte).await, Ok(1..)) {}
    } else {
        std::future::pending::<()>().await;
    }
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

fn instance() -> String {
    format!("{}-{}", std::process::id(), since_epoch().as_millis())
}

/// Shards and processes shall not choose the same endpoints in step.
fn seed(index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(0);
    since_epoch().subsec_nanos() as u64 ^ u64::from(std::process::id()) << 32 ^ index << 17
}
