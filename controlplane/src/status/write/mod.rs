//! Writes statuses into a cluster: the only one here that does, and only while this process leads.
//!
//! `merge` says what a status becomes, `queue` which object's turn it is (both pure), `live` what is
//! there. Who decides what statuses say is [`super::board`].

mod announce;
mod bucket;
mod live;
mod merge;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use kube::api::{Patch, PatchParams};
use kube::discovery::ApiResource;
use kube::{Client, Error as ClientError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

pub use live::{Live, has_status};

use self::announce::Announcer;
use self::queue::{Outcome, Queue, Write};
use super::notice::Notice;
use super::objects::{ClassStatus, GatewayStatus, ListenerSetStatus, PolicyStatus, RouteStatus};
use super::pools::PoolStatus;
use crate::api::{ObjectKey, ObjectKind};
use crate::metrics::Metrics;
use crate::wake::at;
use crate::watch::kube::{CallError, LiveChange, api_of, in_time, served};

/// What an object's status shall say.
#[derive(Clone, Debug, PartialEq)]
pub enum ObjectStatus {
    Class(Arc<ClassStatus>),
    Gateway(Arc<GatewayStatus>),
    ListenerSet(Arc<ListenerSetStatus>),
    Route(Arc<RouteStatus>),
    Policy(Arc<PolicyStatus>),
    Pool(Arc<PoolStatus>),
}

/// None: nothing of ours shall stand there any more.
pub type StatusChange = (ObjectKey, Option<ObjectStatus>);

/// Where a writer's knowledge comes from.
#[derive(Debug)]
pub struct Inputs {
    pub live: mpsc::UnboundedReceiver<Vec<LiveChange>>,
    pub wanted: mpsc::UnboundedReceiver<Vec<StatusChange>>,
    /// All that hold now.
    pub notices: watch::Receiver<BTreeSet<Notice>>,
    /// Nothing is written as long as this is false.
    pub leading: watch::Receiver<bool>,
}

/// Who we are in `managedFields`.
const FIELD_MANAGER: &str = "ringgate";

/// Writes until nobody says any more what is wanted.
pub async fn write(client: Client, inputs: Inputs, metrics: Arc<Metrics>) {
    let writer = Writer {
        announcer: Announcer::new(client.clone()),
        announcements: JoinSet::new(),
        client,
        inputs,
        metrics,
        queue: Queue::default(),
        writes: JoinSet::new(),
        resources: BTreeMap::new(),
        told: BTreeMap::new(),
    };
    writer.run().await;
}

struct Writer {
    client: Client,
    announcer: Announcer,
    announcements: JoinSet<()>,
    inputs: Inputs,
    metrics: Arc<Metrics>,
    queue: Queue,
    writes: JoinSet<Done>,
    /// The version of each kind that the cluster serves.
    resources: BTreeMap<ObjectKind, Arc<ApiResource>>,
    /// What failed last of each kind, so that it is logged once.
    told: BTreeMap<ObjectKind, String>,
}

struct Done {
    key: ObjectKey,
    resource: Option<Arc<ApiResource>>,
    outcome: Result<Outcome, CallError>,
}

impl Writer {
    async fn run(mut self) {
        loop {
            let now = Instant::now();
            let leading = *self.inputs.leading.borrow();
            if leading {
                while let Some(write) = self.queue.next(now) {
                    self.start(write);
                }
            }
            self.metrics.set_status_waiting(self.queue.waiting());
            let wake = self.queue.wake_at(now).filter(|_| leading);
            tokio::select! {
                Some(changes) = self.inputs.live.recv() => {
                    let now = Instant::now();
                    for (key, live) in changes {
                        self.queue.see(key, live, now);
                    }
                }
                changes = self.inputs.wanted.recv() => match changes {
                    Some(changes) => self.queue.want(changes, Instant::now()),
                    None => return,
                },
                Some(Ok(done)) = self.writes.join_next() => self.finish(done),
                Ok(()) = self.inputs.notices.changed(), if leading => self.announce(),
                Some(_) = self.announcements.join_next() => {}
                Ok(()) = self.inputs.leading.changed() => {
                    self.queue.look_at_everything(Instant::now());
                }
                () = at(wake) => {}
            }
        }
    }

    fn announce(&mut self) {
        let notices = self.inputs.notices.borrow_and_update().clone();
        let fresh = self.announcer.fresh(notices, |key| self.queue.uid(key));
        if !fresh.is_empty() {
            self.announcements.spawn(self.announcer.publish(fresh));
        }
    }

    fn start(&mut self, write: Write) {
        let resource = self.resources.get(&write.key.kind).cloned();
        let client = self.client.clone();
        self.writes.spawn(async move {
            let key = write.key.clone();
            let put = in_time(put(&client, resource, write));
            let (resource, outcome) = match put.await {
                Ok((resource, outcome)) => (Some(resource), Ok(outcome)),
                Err(error) => (None, Err(error)),
            };
            Done {
                key,
                resource,
                outcome,
            }
        });
    }

    fn finish(&mut self, done: Done) {
        let kind = done.key.kind;
        match done.resource {
            Some(resource) => self.resources.insert(kind, resource),
            // Looked for anew, in case it is what went wrong.
            None => self.resources.remove(&kind),
        };
        let outcome = match done.outcome {
            Ok(outcome) => {
                if self.told.remove(&kind).is_some() {
                    info!("statuses of {kind} can be written again");
                }
                outcome
            }
            Err(error) => {
                self.tell(&done.key, &error);
                Outcome::Failed
            }
        };
        self.metrics.status_written(kind, outcome.name());
        self.queue.finish(done.key, outcome, Instant::now());
    }

    fn tell(&mut self, key: &ObjectKey, error: &CallError) {
        let text = error.to_string();
        if self.told.get(&key.kind) == Some(&text) {
            return;
        }
        let remedy = match error.is_forbidden() {
            true => "\n    remedy: allow patch of its subresource status in the role",
            false => "",
        };
        warn!("the status of {key} can't be written, it is tried again: {text}{remedy}");
        self.told.insert(key.kind, text);
    }
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Written(_) => "written",
            Self::Conflict(_) => "conflict",
            Self::Gone => "gone",
            Self::Failed => "failed",
        }
    }
}

async fn put(
    client: &Client,
    resource: Option<Arc<ApiResource>>,
    write: Write,
) -> Result<(Arc<ApiResource>, Outcome), CallError> {
    let kind = write.key.kind;
    let resource = match resource {
        Some(resource) => resource,
        None => Arc::new(served(client, kind).await?),
    };
    let name = &*write.key.name.name;
    let api = api_of(client, &write.key, &resource);
    let how = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(write.patch);
    let outcome = match api.patch_status(name, &how, &patch).await {
        Ok(raw) => raw.into_live(kind).map_or(Outcome::Gone, Outcome::Written),
        Err(ClientError::Api(status)) if status.code == 409 => {
            let fresh = api.get_opt(name).await?;
            let live = fresh.and_then(|raw| raw.into_live(kind));
            live.map_or(Outcome::Gone, Outcome::Conflict)
        }
        Err(ClientError::Api(status)) if status.code == 404 => Outcome::Gone,
        Err(error) => return Err(error.into()),
    };
    Ok((resource, outcome))
}
