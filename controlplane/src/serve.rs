//! The control plane as a process: its channels, tasks and timers, and nothing that decides.
//!
//! One task owns the [`Reconciler`]; everything else talks to it by channels, so no lock is held.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::admin::{self, AdminError, AskReport};
use crate::limits::{GATHER, PEER_EVENTS, REFRESH};
use crate::metrics::Metrics;
use crate::push::server::{self, PeerEvent, ServerError, Socket};
use crate::push::wanted::Wanted;
use crate::reconcile::{Next, Reconciler};
use crate::resolve;
use crate::translate::{Options, ResolvedNames};
use crate::watch::Batch;
use crate::watch::file::{FileWatch, WatchError};

/// What a control plane is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folders or files.
    pub roots: Vec<PathBuf>,
    pub options: Options,
    pub socket: PathBuf,
    pub admin: SocketAddr,
}

#[derive(Debug, Error)]
pub enum ServeError {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Push(#[from] ServerError),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error("watching files ended unexpectedly")]
    WatchEnded,
}

/// A control plane that has its addresses, but doesn't serve yet.
#[derive(Debug)]
pub struct ControlPlane {
    admin: TcpListener,
    socket: Socket,
    options: Options,
    _watch: FileWatch,
    batches: mpsc::Receiver<Batch>,
}

impl ControlPlane {
    /// # Errors
    /// When an address or the socket can't be had, or watching fails.
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        let admin = admin::bind(config.admin).await?;
        let socket = Socket::bind(&config.socket).await?;
        let (watch, batches) = FileWatch::start(config.roots)?;
        Ok(Self {
            admin,
            socket,
            options: config.options,
            _watch: watch,
            batches,
        })
    }

    /// Where the admin server listens, the port chosen.
    ///
    /// # Errors
    /// When the kernel doesn't tell.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `stop` resolves.
    ///
    /// # Errors
    /// When the push service or the watch ends by itself.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let metrics = Arc::new(Metrics::default());
        let (wanted, wanted_seen) = watch::channel(None);
        let (reports, asks) = mpsc::channel(16);
        let (peer_events, events) = mpsc::channel(PEER_EVENTS);
        let (goodbye, leave) = oneshot::channel::<()>();

        let sources = admin::Sources {
            metrics: metrics.clone(),
            reports,
            wanted: wanted_seen.clone(),
        };
        let admin = tokio::spawn(admin::serve(self.admin, sources));
        // Resolves when `goodbye` is dropped.
        let left = async { drop(leave.await) };
        let push = server::serve(self.socket, wanted_seen, peer_events, left);
        let mut push = tokio::spawn(push);
        let (external, names, resolver) = start_resolver();
        let channels = Channels {
            batches: self.batches,
            names,
            events,
            asks,
            external,
            wanted,
        };
        let reconciler = Reconciler::new(self.options, term(), metrics);
        let outcome = tokio::select! {
            outcome = Loop::new(reconciler, channels).run() => outcome,
            ended = &mut push => return ended.map_or(Ok(()), |served| Ok(served?)),
            () = stop => Ok(()),
        };
        // The loop is gone, and with it the sender of what is wanted: streams end, the socket goes.
        drop(goodbye);
        admin.abort();
        resolver.abort();
        match tokio::time::timeout(GOODBYE, push).await {
            Ok(Ok(served)) => served?,
            Ok(Err(_)) | Err(_) => warn!("data planes' streams didn't end in time"),
        }
        outcome
    }
}

/// How long data planes' streams may take to end once this process does.
const GOODBYE: Duration = Duration::from_secs(1);

/// The order of versions in file mode: seconds since 1970.
fn term() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

type Names = watch::Receiver<Arc<ResolvedNames>>;
type External = watch::Sender<Arc<BTreeSet<Arc<str>>>>;

/// Without a resolver ExternalNames have no addresses, and everything else goes on.
fn start_resolver() -> (External, Names, JoinHandle<()>) {
    let (external, wanted) = watch::channel(Arc::default());
    let (known, names) = watch::channel(Arc::default());
    let task = async move {
        match resolve::system() {
            Ok(resolver) => resolve::resolve(resolver, wanted, known).await,
            Err(error) => {
                warn!("Services of type ExternalName have no addresses: {error}");
                // Keeps its ends of both channels, which else would count as closed.
                known.closed().await;
                drop(wanted);
            }
        }
    };
    (external, names, tokio::spawn(task))
}

struct Channels {
    batches: mpsc::Receiver<Batch>,
    names: Names,
    events: mpsc::Receiver<PeerEvent>,
    asks: mpsc::Receiver<AskReport>,
    external: External,
    wanted: watch::Sender<Option<Arc<Wanted>>>,
}

struct Loop {
    reconciler: Reconciler,
    channels: Channels,
    /// When what was gathered is translated.
    reconcile_at: Option<Instant>,
    /// When statuses are brought up to date.
    refresh_at: Option<Instant>,
}

impl Loop {
    fn new(reconciler: Reconciler, channels: Channels) -> Self {
        Self {
            reconciler,
            channels,
            reconcile_at: None,
            refresh_at: None,
        }
    }

    async fn run(mut self) -> Result<(), ServeError> {
        loop {
            let channels = &mut self.channels;
            tokio::select! {
                // Timers first: a flood of events must not hold back what was gathered.
                biased;
                () = at(self.reconcile_at) => self.reconcile(),
                () = at(self.refresh_at) => self.refresh(),
                Some(ask) = channels.asks.recv() => self.report(ask),
                Some(event) = channels.events.recv() => {
                    let next = self.reconciler.take_peer_event(event, Instant::now());
                    self.plan(next);
                }
                Ok(()) = channels.names.changed() => {
                    let names = channels.names.borrow_and_update().clone();
                    let next = self.reconciler.take_names(names);
                    self.plan(next);
                }
                batch = channels.batches.recv() => {
                    let batch = batch.ok_or(ServeError::WatchEnded)?;
                    let next = self.reconciler.take_batch(batch, SystemTime::now());
                    self.plan(next);
                }
            }
        }
    }

    /// The first change opens the time in which others join it; they don't prolong it.
    fn plan(&mut self, next: Next) {
        let now = Instant::now();
        match next {
            Next::Nothing => {}
            Next::Refresh => {
                self.refresh_at.get_or_insert(now + REFRESH);
            }
            Next::Reconcile => {
                self.reconcile_at.get_or_insert(now + GATHER);
            }
        }
    }

    fn reconcile(&mut self) {
        self.reconcile_at = None;
        if let Some(wanted) = self.reconciler.reconcile() {
            info!(version = %wanted.version, objects = wanted.len(), "a new version is wanted");
            self.channels.wanted.send_replace(Some(wanted));
        }
        let names = self.reconciler.external_names();
        self.channels.external.send_if_modified(|external| {
            let differs = **external != *names;
            if differs {
                *external = Arc::new(names.clone());
            }
            differs
        });
        self.plan(Next::Refresh);
    }

    fn refresh(&mut self) {
        let now = Instant::now();
        self.reconciler.refresh(now, SystemTime::now());
        self.refresh_at = self.reconciler.next_refresh(now);
    }

    fn report(&mut self, ask: AskReport) {
        self.refresh();
        // Whoever asked may have gone.
        let _ = ask.send(self.reconciler.report(Instant::now()));
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when.into()).await,
        None => std::future::pending().await,
    }
}
