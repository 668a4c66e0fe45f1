//! Cluster mode: the objects of a Kubernetes API server, watched.
//!
//! `follow` is one watch, `gather` the pure core that makes one stream of batches of them all (the
//! first when every kind has been listed), `raw` takes objects apart on arrival. Statuses that the
//! objects have in the cluster go to who writes them, not into the batches; `call` is how those write.

mod call;
mod client;
mod follow;
mod gather;
mod pause;
mod raw;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use self::follow::follow;
use self::gather::{Gather, Message, Scope};
use super::Batch;
use crate::api::{ObjectKey, ObjectKind};
use crate::limits::{REFERENCED_WATCHES, WATCH_MESSAGES};
use crate::metrics::Metrics;
use crate::status::write::Live;

pub(crate) use call::{CallError, api_of, in_time, served};
pub use client::{ClientError, Cluster, connect};
pub(crate) use follow::find;
pub(crate) use pause::{Pause, spread};
pub(crate) use raw::Raw;

/// Batches that may wait to be taken; meanwhile the next one grows.
const BATCHES: usize = 1;

/// Objects that are watched one by one: Secrets without a certificate, and ConfigMaps.
pub type References = Arc<BTreeSet<ObjectKey>>;

/// A change of what an object's status in the cluster is; None: it is gone.
pub type LiveChange = (ObjectKey, Option<Live>);

/// A watch that runs; it ends when this is dropped.
#[derive(Debug)]
pub struct KubeWatch {
    _tasks: JoinSet<()>,
}

/// What a watch yields.
#[derive(Debug)]
pub struct Yield {
    /// The first comes when every kind has been listed once.
    pub batches: mpsc::Receiver<Batch>,
    /// From the start.
    pub live: mpsc::UnboundedReceiver<Vec<LiveChange>>,
}

impl KubeWatch {
    /// Watches every kind that we read. `references` says which objects are wanted of the kinds that
    /// are watched one by one.
    #[must_use]
    pub fn start(
        client: &Client,
        references: watch::Receiver<References>,
        metrics: Arc<Metrics>,
    ) -> (Self, Yield) {
        let (batch_sender, batches) = mpsc::channel(BATCHES);
        let (live_sender, live) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let watching = Watching::new(client.clone(), references, metrics);
        tasks.spawn(watching.run(batch_sender, live_sender));
        (Self { _tasks: tasks }, Yield { batches, live })
    }
}

/// Of ConfigMaps nothing is watched as a kind: clusters have thousands that nobody here reads.
fn is_watched_as_a_kind(kind: ObjectKind) -> bool {
    kind != ObjectKind::ConfigMap
}

struct Watching {
    client: Client,
    references: watch::Receiver<References>,
    followers: JoinSet<()>,
    single: BTreeMap<ObjectKey, AbortHandle>,
    sender: mpsc::Sender<Message>,
    messages: mpsc::Receiver<Message>,
    gather: Gather,
    metrics: Arc<Metrics>,
}

impl Watching {
    fn new(client: Client, references: watch::Receiver<References>, metrics: Arc<Metrics>) -> Self {
        let (sender, messages) = mpsc::channel(WATCH_MESSAGES);
        let kinds = ObjectKind::ALL.iter().copied();
        let scopes = kinds
            .filter(|kind| is_watched_as_a_kind(*kind))
            .map(Scope::Kind);
        let mut followers = JoinSet::new();
        for scope in scopes.clone() {
            followers.spawn(follow(client.clone(), scope, sender.clone()));
        }
        Self {
            client,
            references,
            followers,
            single: BTreeMap::new(),
            sender,
            messages,
            gather: Gather::new(scopes),
            metrics,
        }
    }

    /// Until nobody takes batches any more.
    async fn run(
        mut self,
        batches: mpsc::Sender<Batch>,
        live: mpsc::UnboundedSender<Vec<LiveChange>>,
    ) {
        let mut ready: Option<Batch> = None;
        let mut heard = Vec::new();
        loop {
            tokio::select! {
                // A batch that waits for its taker must not grow stale behind it.
                permit = batches.reserve(), if ready.is_some() => match (permit, ready.take()) {
                    (Ok(permit), Some(batch)) => permit.send(batch),
                    _ => return,
                },
                count = self.messages.recv_many(&mut heard, WATCH_MESSAGES) => {
                    if count == 0 {
                        return;
                    }
                    for message in heard.drain(..) {
                        self.hear(message);
                    }
                }
                Ok(()) = self.references.changed() => self.follow_references(),
                () = batches.closed() => return,
            }
            let changes = self.gather.take_live();
            if !changes.is_empty() && live.send(changes).is_err() {
                return;
            }
            if let Some(next) = self.gather.take_batch() {
                ready = Some(match ready.take() {
                    None => next,
                    Some(before) => before.followed_by(next),
                });
            }
        }
    }

    fn hear(&mut self, message: Message) {
        let kind = match &message {
            Message::Failing(scope, _) => {
                self.metrics.watch_failed(scope.kind());
                None
            }
            Message::Listed(scope, _) | Message::Applied(scope, _) | Message::Deleted(scope, _) => {
                self.metrics.heard(SystemTime::now());
                Some(scope.kind())
            }
            Message::Absent(_) | Message::Working(_) | Message::Ended(_) => None,
        };
        self.gather.hear(message);
        if let Some(kind) = kind {
            self.metrics.set_watched(kind, self.gather.count(kind));
        }
    }

    /// Begins to watch what is referenced now, and leaves what isn't any more.
    fn follow_references(&mut self) {
        let wanted = self.references.borrow_and_update().clone();
        let gone: Vec<ObjectKey> = self
            .single
            .keys()
            .filter(|key| !wanted.contains(key))
            .cloned()
            .collect();
        for key in gone {
            if let Some(follower) = self.single.remove(&key) {
                follower.abort();
            }
            self.gather.hear(Message::Ended(Scope::One(key)));
        }
        for key in wanted.iter().take(REFERENCED_WATCHES) {
            if self.single.contains_key(key) {
                continue;
            }
            let scope = Scope::One(key.clone());
            let task = follow(self.client.clone(), scope, self.sender.clone());
            self.single.insert(key.clone(), self.followers.spawn(task));
        }
    }
}
