//! Where objects come from, files or a cluster, and what goes back there.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use ::kube::Client;
use ringgate_identity::host_port::HostPort;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::api::ObjectKey;
use crate::issue::keep::Keeper;
use crate::lead::{self, Candidacy, Leadership, LeaseName, Lines};
use crate::metrics::Metrics;
use crate::provision;
use crate::provision::service::Generated;
use crate::push::conversation::Leader;
use crate::status::notice::Notice;
use crate::status::write::{self, StatusChange};
use crate::tickets::keep::TicketKeeper;
use crate::wake::tell;
use crate::watch::Batch;
use crate::watch::file::{FileWatch, WatchError};
use crate::watch::kube::{self, ClientError, Cluster, KubeWatch, References};

#[derive(Clone, Debug)]
pub enum Origin {
    /// Folders or files.
    Files(Vec<PathBuf>),
    Cluster(Cluster),
}

#[derive(Debug, Error)]
pub enum OriginError {
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// An origin that can be asked; of a cluster nothing was asked yet.
pub(crate) enum Opened {
    Files {
        watch: FileWatch,
        batches: mpsc::Receiver<Batch>,
    },
    Cluster(Client),
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files { .. } => "Files",
            Self::Cluster(_) => "Cluster",
        })
    }
}

/// What runs as long as this is kept.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) batches: mpsc::Receiver<Batch>,
    _files: Option<FileWatch>,
    _cluster: Option<KubeWatch>,
    _tasks: JoinSet<()>,
}

/// What goes back to a cluster, and whether this process speaks there.
#[derive(Debug)]
pub(crate) struct Feedback {
    pub(crate) leadership: watch::Receiver<Leadership>,
    at_least: watch::Sender<u64>,
    may_write: watch::Sender<bool>,
    statuses: mpsc::UnboundedSender<Vec<StatusChange>>,
    notices: watch::Sender<BTreeSet<Notice>>,
    references: watch::Sender<References>,
    generated: watch::Sender<Arc<Generated>>,
}

/// What this process is among the control planes of a cluster.
#[derive(Debug)]
pub(crate) struct Place {
    /// None is the one called `ringgate`, in the namespace of our credentials.
    pub(crate) lease: Option<LeaseName>,
    /// Where data planes of other machines find it.
    pub(crate) address: Option<HostPort>,
    /// Keeps the authority of their certificates, where we issue them.
    pub(crate) keeper: Option<Keeper>,
    pub(crate) ticket_keeper: Option<TicketKeeper>,
}

/// A place among those that may lead.
#[derive(Debug)]
pub(crate) struct Seat {
    resign: oneshot::Sender<()>,
    lead: JoinHandle<()>,
}

/// What was started for an origin.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) input: Input,
    /// None: files don't hear back, and nobody else leads.
    pub(crate) cluster: Option<(Feedback, Seat)>,
}

impl Origin {
    /// # Errors
    /// When files can't be watched, or the cluster's address or our credentials can't be read.
    pub(crate) async fn open(self) -> Result<Opened, OriginError> {
        Ok(match self {
            Self::Files(roots) => {
                let (watch, batches) = FileWatch::start(roots)?;
                Opened::Files { watch, batches }
            }
            Self::Cluster(cluster) => Opened::Cluster(kube::connect(&cluster).await?),
        })
    }
}

impl Opened {
    /// Who leads, before anybody was asked: files have one control plane.
    pub(crate) fn first_leader(&self) -> Leader {
        match self {
            Self::Files { .. } => Leader::Ours,
            Self::Cluster(_) => Leader::Unknown,
        }
    }

    /// Of the cluster.
    pub(crate) fn client(&self) -> Option<&Client> {
        match self {
            Self::Files { .. } => None,
            Self::Cluster(client) => Some(client),
        }
    }

    pub(crate) fn start(self, place: Place, metrics: &Arc<Metrics>) -> Started {
        match self {
            Self::Files { watch, batches } => {
                let input = Input {
                    batches,
                    _files: Some(watch),
                    _cluster: None,
                    _tasks: JoinSet::new(),
                };
                Started {
                    input,
                    cluster: None,
                }
            }
            Self::Cluster(client) => {
                let lease = place.lease.unwrap_or_else(|| LeaseName {
                    namespace: client.default_namespace().to_owned(),
                    name: DEFAULT_LEASE.to_owned(),
                });
                let candidacy = Candidacy::new(lease, place.address);
                start_cluster(
                    &client,
                    candidacy,
                    (place.keeper, place.ticket_keeper),
                    metrics,
                )
            }
        }
    }
}

const DEFAULT_LEASE: &str = "ringgate";

fn start_cluster(
    client: &Client,
    candidacy: Candidacy,
    (keeper, ticket_keeper): (Option<Keeper>, Option<TicketKeeper>),
    metrics: &Arc<Metrics>,
) -> Started {
    let (references, wanted_references) = watch::channel(References::default());
    let (watching, yields) = KubeWatch::start(client, wanted_references, metrics.clone());
    let (statuses, wanted) = mpsc::unbounded_channel();
    let (notices, notices_seen) = watch::channel(BTreeSet::new());
    let (may_write, leading) = watch::channel(false);
    let (leader, leadership) = watch::channel(Leadership::default());
    let (at_least, wanted_term) = watch::channel(0);
    let (resign, resigned) = oneshot::channel::<()>();
    let lines = Lines {
        leadership: leader,
        at_least: wanted_term,
    };
    let stop = async { drop(resigned.await) };
    let lead = tokio::spawn(lead::lead(client.clone(), candidacy, lines, stop));
    let (generated, to_generate) = watch::channel(Arc::<Generated>::default());
    let provisioning = provision::write::Inputs {
        generated: to_generate,
        leading: leading.clone(),
    };
    let inputs = write::Inputs {
        live: yields.live,
        wanted,
        notices: notices_seen,
        leading,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(write::write(client.clone(), inputs, metrics.clone()));
    tasks.spawn(provision::write::write(client.clone(), provisioning));
    if let Some(keeper) = keeper {
        tasks.spawn(keeper.keep(leadership.clone()));
    }
    if let Some(keeper) = ticket_keeper {
        tasks.spawn(keeper.keep(leadership.clone()));
    }
    let input = Input {
        batches: yields.batches,
        _files: None,
        _cluster: Some(watching),
        _tasks: tasks,
    };
    let feedback = Feedback {
        leadership,
        at_least,
        may_write,
        statuses,
        notices,
        references,
        generated,
    };
    Started {
        input,
        cluster: Some((feedback, Seat { resign, lead })),
    }
}

impl Seat {
    /// Gives the Lease back, so that another can lead at once.
    pub(crate) async fn resign(self) {
        drop(self.resign);
        // It has a bound of its own.
        let _ = self.lead.await;
    }
}

impl Feedback {
    pub(crate) fn let_write(&self, may_write: bool) {
        tell(&self.may_write, may_write);
    }

    /// Asks for a term that isn't below this.
    pub(crate) fn need_term(&self, term: u64) {
        let known = *self.at_least.borrow();
        tell(&self.at_least, term.max(known));
    }

    pub(crate) fn post(&self, changes: Vec<StatusChange>) {
        // Fails only while the process ends.
        let _ = self.statuses.send(changes);
    }

    pub(crate) fn notice(&self, notices: BTreeSet<Notice>) {
        tell(&self.notices, notices);
    }

    pub(crate) fn generate(&self, generated: &Arc<Generated>) {
        tell(&self.generated, generated.clone());
    }

    pub(crate) fn refer_to(&self, references: Arc<BTreeSet<ObjectKey>>) {
        tell(&self.references, references);
    }
}
