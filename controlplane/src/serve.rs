//! The control plane as a process: its channels, tasks and timers, and nothing that decides.
//!
//! One task owns the [`Reconciler`]; everything else talks to it by channels, so no lock is held.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ringgate_identity::host_port::HostPort;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::admin::{self, AdminError, AskReport};
use crate::distant::{self, Distant};
use crate::issue::IssueConfig;
use crate::issue::keep::Keeper;
use crate::lead::{Leadership, LeaseName};
use crate::limits::{FIRST_DATA_PLANE, GATHER, PEER_EVENTS, REFRESH};
use crate::metrics::Metrics;
use crate::origin::{Feedback, Input, Opened, Origin, OriginError, Place, Started};
use crate::provision::keep::AddressFile;
use crate::push::certificates::{CertificateError, CertificateFiles};
use crate::push::conversation::Leader;
use crate::push::server::{self, Doors, Ends, PeerEvent, ServerError};
use crate::push::socket::Socket;
use crate::push::wanted::Wanted;
use crate::reconcile::{Next, Reconciler};
use crate::resolve;
use crate::tickets::keep::TicketKeeper;
use crate::tickets::{self, TicketError, TicketSource};
use crate::translate::{Options, ResolvedNames};
use crate::wake::{at, tell};

/// What a control plane is started with.
#[derive(Clone, Debug)]
pub struct Config {
    pub origin: Origin,
    /// In a cluster; none is the one called `ringgate`.
    pub lease: Option<LeaseName>,
    pub options: Options,
    /// Where it is remembered which addresses objects of files got; none: nowhere.
    pub state_dir: Option<PathBuf>,
    /// Whence data planes share the keys of session tickets.
    pub tickets: TicketSource,
    /// For data planes of this machine.
    pub socket: Option<PathBuf>,
    /// For those of others.
    pub remote: Option<RemoteConfig>,
    pub admin: SocketAddr,
}

/// How data planes of other machines are served.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    pub listen: SocketAddr,
    /// HOST:PORT where they find this process; none: the address that is listened on.
    pub advertise: Option<HostPort>,
    pub certificates: Certificates,
}

/// By whom the certificates are that both sides show.
#[derive(Clone, Debug)]
pub enum Certificates {
    Files(CertificateFiles),
    /// By the control plane itself, in a cluster.
    Issued(IssueConfig),
}

#[derive(Debug, Error)]
pub enum ServeError {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Push(#[from] ServerError),
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    #[error(transparent)]
    Origin(#[from] OriginError),
    #[error(transparent)]
    Tickets(#[from] TicketError),
    #[error(
        "certificates are issued against tokens of a cluster's ServiceAccounts, and there is no cluster: leave --issue-to out, and give --tls-certificate, --tls-key and --tls-authority"
    )]
    NoCluster,
    #[error("watching ended unexpectedly")]
    WatchEnded,
}

/// A control plane that has its addresses, but doesn't serve yet.
#[derive(Debug)]
pub struct ControlPlane {
    admin: TcpListener,
    doors: Doors,
    /// Where data planes of other machines find this process.
    address: Option<HostPort>,
    keeper: Option<Keeper>,
    tickets: tickets::Known,
    ticket_keeper: Option<TicketKeeper>,
    options: Options,
    addresses: Option<AddressFile>,
    origin: Opened,
    lease: Option<LeaseName>,
}

impl ControlPlane {
    /// # Errors
    /// When an address or the socket can't be had, or watching fails.
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        let admin = admin::bind(config.admin).await?;
        let socket = match &config.socket {
            Some(path) => Some(Socket::bind(path).await?),
            None => None,
        };
        let origin = config.origin.open().await?;
        let (tickets, ticket_keeper) = tickets::open(config.tickets, origin.client())?;
        let distant = match config.remote {
            Some(remote) => distant::open(remote, origin.client()).await?,
            None => Distant::default(),
        };
        Ok(Self {
            admin,
            doors: Doors {
                socket,
                remote: distant.remote,
                issuer: distant.issuer,
            },
            address: distant.address,
            keeper: distant.keeper,
            tickets,
            ticket_keeper,
            options: config.options,
            addresses: config.state_dir.map(AddressFile::open),
            origin,
            lease: config.lease,
        })
    }

    /// Where the admin server listens, the port chosen.
    ///
    /// # Errors
    /// When the kernel doesn't tell.
    pub fn admin_address(&self) -> io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Where data planes of other machines are served, the port chosen.
    #[must_use]
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.doors.remote.as_ref()?.address().ok()
    }

    /// Serves until `stop` resolves.
    ///
    /// # Errors
    /// When the push service or the watch ends by itself.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let metrics = Arc::new(Metrics::default());
        let (wanted, wanted_seen) = watch::channel(None);
        let (ready, ready_seen) = watch::channel(false);
        let (leader, leader_seen) = watch::channel(self.origin.first_leader());
        let (reports, asks) = mpsc::channel(16);
        let (peer_events, events) = mpsc::channel(PEER_EVENTS);
        let (goodbye, leave) = oneshot::channel::<()>();

        let sources = admin::Sources {
            metrics: metrics.clone(),
            reports,
            ready: ready_seen,
        };
        let admin = tokio::spawn(admin::serve(self.admin, sources));
        // Resolves when `goodbye` is dropped.
        let left = async { drop(leave.await) };
        let ends = Ends {
            wanted: wanted_seen,
            leader: leader_seen,
            events: peer_events,
        };
        let push = server::serve(self.doors, ends, left);
        let mut push = tokio::spawn(push);
        let (external, names, resolver) = start_resolver();
        let place = Place {
            lease: self.lease,
            address: self.address,
            keeper: self.keeper,
            ticket_keeper: self.ticket_keeper,
        };
        let Started { input, cluster } = self.origin.start(place, &metrics);
        let (feedback, seat) = cluster.unzip();
        // In a cluster the Lease says it.
        let term = feedback.is_none().then(term);
        let channels = Channels {
            input,
            names,
            tickets: self.tickets,
            events,
            asks,
            external,
            wanted,
            ready,
            leader,
            feedback,
            addresses: self.addresses,
        };
        let memory = channels.addresses.as_ref().map(AddressFile::memory);
        let memory = memory.cloned().unwrap_or_default();
        let reconciler = Reconciler::new(self.options, term, metrics.clone()).remembering(memory);
        // Large, for it holds all that is known.
        let work = Box::pin(Loop::new(reconciler, channels, metrics).run());
        let outcome = tokio::select! {
            outcome = work => outcome,
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
        if let Some(seat) = seat {
            seat.resign().await;
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
    input: Input,
    names: Names,
    tickets: tickets::Known,
    events: mpsc::Receiver<PeerEvent>,
    asks: mpsc::Receiver<AskReport>,
    external: External,
    wanted: watch::Sender<Option<Arc<Wanted>>>,
    ready: watch::Sender<bool>,
    leader: watch::Sender<Leader>,
    /// None: files don't hear back, and nobody else leads.
    feedback: Option<Feedback>,
    /// Of files, which can't hold them.
    addresses: Option<AddressFile>,
}

/// Resolves when it is another who leads, or the term is another.
async fn leadership_changed(feedback: &mut Option<Feedback>) -> Leadership {
    if let Some(Feedback { leadership, .. }) = feedback
        && leadership.changed().await.is_ok()
    {
        return leadership.borrow_and_update().clone();
    }
    std::future::pending().await
}

fn sooner(planned: Option<Instant>, at: Instant) -> Instant {
    planned.map_or(at, |planned| planned.min(at))
}

/// When a change that came at `now` may be translated, after the last translation.
fn earliest(last: Option<Instant>, now: Instant) -> Instant {
    last.map_or(now, |last| now.max(last + GATHER))
}

struct Loop {
    reconciler: Reconciler,
    metrics: Arc<Metrics>,
    channels: Channels,
    /// Whether data planes are told what is wanted: always where there is no Lease.
    leading: bool,
    /// Statuses are written from then on, or as soon as a data plane says what it has.
    write_at: Option<Instant>,
    /// When what was gathered is translated.
    reconcile_at: Option<Instant>,
    /// When that was done last.
    reconciled_at: Option<Instant>,
    /// When statuses are brought up to date.
    refresh_at: Option<Instant>,
}

impl Loop {
    fn new(reconciler: Reconciler, channels: Channels, metrics: Arc<Metrics>) -> Self {
        let leading = channels.feedback.is_none();
        metrics.set_leading(leading);
        Self {
            reconciler,
            metrics,
            channels,
            leading,
            write_at: None,
            reconcile_at: None,
            reconciled_at: None,
            refresh_at: None,
        }
    }

    async fn run(mut self) -> Result<(), ServeError> {
        // The first ones are no change.
        self.channels.tickets.mark_changed();
        loop {
            let channels = &mut self.channels;
            tokio::select! {
                // Timers first: a flood of events must not hold back what was gathered.
                biased;
                () = at(self.reconcile_at) => self.reconcile(),
                () = at(self.refresh_at) => self.refresh(),
                () = at(self.write_at) => self.let_write(true),
                leadership = leadership_changed(&mut channels.feedback) => self.take_leadership(leadership),
                Some(ask) = channels.asks.recv() => self.report(ask),
                Some(event) = channels.events.recv() => {
                    let next = self.reconciler.take_peer_event(event, Instant::now());
                    if let Some(feedback) = &channels.feedback {
                        feedback.need_term(self.reconciler.needed_term());
                    }
                    self.plan(next);
                }
                Ok(()) = channels.names.changed() => {
                    let names = channels.names.borrow_and_update().clone();
                    let next = self.reconciler.take_names(names);
                    self.plan(next);
                }
                Ok(()) = channels.tickets.changed() => {
                    let keys = channels.tickets.borrow_and_update().clone();
                    let next = self.reconciler.take_ticket_keys(keys);
                    self.plan(next);
                }
                batch = channels.input.batches.recv() => {
                    let batch = batch.ok_or(ServeError::WatchEnded)?;
                    let next = self.reconciler.take_batch(batch, SystemTime::now());
                    self.plan(next);
                }
            }
        }
    }

    /// A change that comes alone is translated at once; those that come soon after it are gathered, and
    /// don't wait for each other. What was to happen later anyway (a data plane that lags is looked at
    /// again after seconds) prolongs nothing either.
    fn plan(&mut self, next: Next) {
        let now = Instant::now();
        match next {
            Next::Nothing => {}
            Next::Refresh => {
                self.refresh_at = Some(sooner(self.refresh_at, now + REFRESH));
            }
            Next::Reconcile => {
                let due = earliest(self.reconciled_at, now);
                self.reconcile_at = Some(sooner(self.reconcile_at, due));
            }
        }
    }

    fn reconcile(&mut self) {
        self.reconcile_at = None;
        if let Some(wanted) = self.reconciler.reconcile() {
            self.channels.ready.send_replace(true);
            if self.leading {
                info!(version = %wanted.version, objects = wanted.len(), "a new version is wanted");
                self.channels.wanted.send_replace(Some(wanted));
            }
        }
        if let Some(addresses) = &mut self.channels.addresses {
            addresses.save(self.reconciler.memory());
        }
        if let Some(feedback) = &self.channels.feedback {
            feedback.refer_to(self.reconciler.references().clone());
            feedback.generate(self.reconciler.generated());
        }
        let names = self.reconciler.external_names().clone();
        tell(&self.channels.external, Arc::new(names));
        self.plan(Next::Refresh);
        self.reconciled_at = Some(Instant::now());
    }

    fn refresh(&mut self) {
        let now = Instant::now();
        let changes = self.reconciler.refresh(now, SystemTime::now());
        if let (Some(feedback), Some(changes)) = (&self.channels.feedback, changes) {
            feedback.post(changes);
            feedback.notice(self.reconciler.notices(now));
        }
        if self.write_at.is_some() && self.reconciler.has_ack() {
            self.let_write(true);
        }
        self.refresh_at = self.reconciler.next_refresh(now);
    }

    /// Who doesn't lead keeps everything warm, and keeps it to itself.
    fn take_leadership(&mut self, leadership: Leadership) {
        match leadership {
            Leadership::Ours { term } => {
                self.set_leading(true);
                self.channels.leader.send_replace(Leader::Ours);
                let next = self.reconciler.take_term(term);
                self.plan(next);
                self.write_at = Some(Instant::now() + FIRST_DATA_PLANE);
            }
            // What is in force stays so: nobody is known who would say otherwise.
            Leadership::Unsure { .. } => self.let_write(false),
            Leadership::Unknown => self.stand_by(Leader::Unknown),
            Leadership::Other { holder, address } => self.stand_by(Leader::Other {
                holder: holder.into(),
                address: address.map(Into::into),
            }),
        }
    }

    fn set_leading(&mut self, leading: bool) {
        self.leading = leading;
        self.metrics.set_leading(leading);
    }

    fn stand_by(&mut self, leader: Leader) {
        self.set_leading(false);
        self.let_write(false);
        self.channels.wanted.send_replace(None);
        self.channels.leader.send_replace(leader);
    }

    /// Not before data planes had the time to say what they have: who begins to lead would else write
    /// of every Gateway that nobody serves it.
    fn let_write(&mut self, may_write: bool) {
        self.write_at = None;
        if let Some(feedback) = &self.channels.feedback {
            feedback.let_write(may_write);
        }
    }

    fn report(&mut self, ask: AskReport) {
        self.refresh();
        // Whoever asked may have gone.
        let _ = ask.send(self.reconciler.report(Instant::now(), SystemTime::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ACK_PATIENCE;

    #[test]
    fn what_is_due_soon_does_not_wait_for_what_is_due_later() {
        let now = Instant::now();
        let (soon, late) = (now + REFRESH, now + ACK_PATIENCE);
        assert_eq!(sooner(None, soon), soon);
        assert_eq!(sooner(Some(late), soon), soon);
        assert_eq!(sooner(Some(soon), late), soon);
    }

    #[test]
    fn a_change_that_comes_alone_does_not_wait_and_a_flood_is_gathered() {
        let last = Instant::now();
        assert_eq!(earliest(None, last), last);
        let (soon, late) = (last + GATHER / 2, last + GATHER * 3);
        assert_eq!(earliest(Some(last), soon), last + GATHER);
        assert_eq!(earliest(Some(last), late), late);
    }
}
