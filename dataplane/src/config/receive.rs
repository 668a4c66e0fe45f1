//! The stream from the control plane: asks for what is missing, puts it in force, acknowledges.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::time::{Duration, SystemTime};

use ringgate_core::ir::{Id, Object, Version};
use ringgate_core::table::Objects;
use ringgate_core::wire::{self, proto};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::{Applier, Ends, InForce, LastGood, Question, Reach, stubs};

/// Messages that wait to be sent to the control plane.
const OUTBOX: usize = 16;
/// Between attempts to reach the control plane: from the first to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How often we say that we live; the control plane waits 5 s.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Between attempts to bind what couldn't be bound. At first often: the sockets of a data plane that was
/// killed live on for some milliseconds, until the kernel has taken its ring apart.
const REBIND: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(2));
/// Changes that come within this time are one write of the copy on disk.
const SAVE_AFTER: Duration = Duration::from_millis(500);

/// Everything that the configuration thread works on.
pub(crate) struct Receiver {
    applier: Applier,
    last_good: LastGood,
    ends: Ends,
    hashes: HashMap<Id, u64>,
    version: Version,
    parts: Parts,
    refused: Vec<(Id, String)>,
    save_at: Option<Instant>,
    saving: Option<JoinHandle<()>>,
    /// When to bind again, and how long to wait after that; none: all is bound.
    rebind: Option<(Instant, Duration)>,
    updates: u64,
}

/// Parts of an update that is not yet whole.
#[derive(Default)]
struct Parts {
    upsert: Vec<(Id, Object)>,
    hashes: Vec<(Id, u64)>,
    remove: Vec<Id>,
    refused: Vec<(Id, String)>,
}

/// Boots from the copy on disk, then follows the control plane for ever.
pub(crate) async fn receive(applier: Applier, last_good: LastGood, mut reach: Reach, ends: Ends) {
    let mut receiver = Receiver {
        applier,
        last_good,
        ends,
        hashes: HashMap::new(),
        version: Version::default(),
        parts: Parts::default(),
        refused: Vec::new(),
        save_at: None,
        saving: None,
        rebind: None,
        updates: 0,
    };
    receiver.boot();
    let mut told = Told::default();
    let mut wait = RETRY.0;
    loop {
        match receiver.meanwhile(Box::pin(reach.connect())).await {
            Ok(reached) => {
                let began = Instant::now();
                let ended = tokio::select! {
                    ended = receiver.follow(reached.channel.clone()) => ended,
                    () = reach.keep_fresh(&reached) => Ok(()),
                };
                receiver.publish(false);
                if began.elapsed() > RETRY.1 {
                    wait = RETRY.0;
                    told.forget();
                    reach.begin_again();
                }
                if let Err(status) = ended
                    && !reach.heed(&status)
                {
                    told.tell(format!(
                        "the control plane is gone: {}",
                        reached.why(&status)
                    ));
                }
            }
            // One on this machine appears when it does: nobody needs to be told.
            Err(error) if matches!(reach, Reach::Socket(_)) => tracing::debug!("{error}"),
            Err(error) => told.tell(format!("no control plane answers: {error}")),
        }
        if !reach.has_more() {
            receiver.meanwhile(sleep(spread(wait))).await;
            wait = (wait * 2).min(RETRY.1);
        }
        receiver.applier.bury();
    }
}

/// Half of `most` at least: data planes that lost the same control plane shall not come back in step.
fn spread(most: Duration) -> Duration {
    // A fresh hasher's seed is what the standard library has of chance.
    let chance = RandomState::new().hash_one(0_u8) % 1024;
    let part = u32::try_from(chance).unwrap_or_default();
    most / 2 + most / 2 * part / 1024
}

/// What went wrong last, so that it is logged once.
#[derive(Default)]
struct Told(String);

impl Told {
    fn forget(&mut self) {
        self.0.clear();
    }

    fn tell(&mut self, text: String) {
        if self.0 != text {
            tracing::warn!("{text}; traffic goes on");
            self.0 = text;
        }
    }
}

impl Receiver {
    fn boot(&mut self) {
        match self.last_good.load() {
            Ok(None) => {}
            Ok(Some(snapshot)) => {
                let objects = snapshot.objects.iter();
                self.hashes = objects
                    .map(|(id, object)| (id.clone(), wire::encode_entry(id, object).hash))
                    .collect();
                self.version = snapshot.version;
                tracing::info!(version = %self.version, "serving the last good snapshot from disk");
                self.applier.replace(snapshot);
                self.plan_rebind();
                self.publish(false);
            }
            Err(error) => {
                let path = self.last_good.path().display();
                tracing::error!(
                    "the last good snapshot {path} {error}; waiting for a control plane"
                );
            }
        }
    }

    /// What goes on while no control plane is there, until `work` is done.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = due(self.save_at) => self.save(),
                () = due(self.rebind_at()) => if self.bind_again() { self.publish(false) },
                Some(question) = self.ends.questions.recv() => self.answer(question),
            }
        }
    }

    fn rebind_at(&self) -> Option<Instant> {
        self.rebind.map(|(at, _)| at)
    }

    /// After a change: what is not bound is tried again soon.
    fn plan_rebind(&mut self) {
        let (soon, _) = REBIND;
        self.rebind = (!self.applier.is_bound()).then(|| (Instant::now() + soon, soon));
    }

    /// Whether anything changed.
    fn bind_again(&mut self) -> bool {
        let has_changed = self.applier.bind_again();
        self.rebind = match self.rebind {
            Some((_, waited)) if !self.applier.is_bound() => {
                let wait = (waited * 2).min(REBIND.1);
                Some((Instant::now() + wait, wait))
            }
            _ => None,
        };
        has_changed
    }

    /// One stream, to its end.
    async fn follow(&mut self, channel: Channel) -> Result<(), tonic::Status> {
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let client = stubs::snapshots_client::SnapshotsClient::new(channel);
        let mut client = client.max_decoding_message_size(2 * ringgate_core::limits::MESSAGE_BYTES);
        send(
            &outbox,
            proto::dataplane_message::Message::Hello(self.hello()),
        )
        .await;
        let response = client.stream(ReceiverStream::new(messages)).await?;
        let mut updates = response.into_inner();
        self.parts = Parts::default();
        self.publish(true);
        tracing::info!("connected to the control plane");
        let mut beat = tokio::time::interval(HEARTBEAT);
        loop {
            tokio::select! {
                message = updates.message() => {
                    let Some(message) = message? else { return Ok(()) };
                    if let Some(proto::controlplane_message::Message::Update(update)) = message.message
                        && self.take(update)
                    {
                        send(&outbox, self.ack()).await;
                    }
                }
                _ = beat.tick() => {
                    let draining = *self.ends.draining.borrow();
                    let heartbeat = proto::Heartbeat { draining };
                    send(&outbox, proto::dataplane_message::Message::Heartbeat(heartbeat)).await;
                    self.applier.bury();
                }
                () = due(self.rebind_at()) => if self.bind_again() {
                    self.publish(true);
                    send(&outbox, self.ack()).await;
                },
                () = due(self.save_at) => self.save(),
                Some(question) = self.ends.questions.recv() => self.answer(question),
            }
        }
    }

    fn hello(&self) -> proto::Hello {
        let held = self.hashes.iter();
        let held = held.map(|(id, hash)| proto::Held {
            id: Some(wire::encode_id(id)),
            hash: *hash,
        });
        proto::Hello {
            instance: self.ends.instance.clone(),
            software: env!("CARGO_PKG_VERSION").to_owned(),
            version: Some(wire::encode_version(self.version)),
            held: held.collect(),
            driver: self.ends.driver.to_owned(),
            workers: u32::try_from(self.applier.shards()).unwrap_or(u32::MAX),
        }
    }

    /// Takes a part; true when a version came into force.
    fn take(&mut self, update: proto::Update) -> bool {
        let Ok(version) = wire::version(update.version) else {
            tracing::error!("an update without a version is ignored");
            return false;
        };
        if version < self.version {
            tracing::warn!(%version, in_force = %self.version, "an older version is ignored");
            return false;
        }
        for entry in &update.upsert {
            self.parts.take(entry);
        }
        let removed = update
            .remove
            .iter()
            .filter_map(|id| wire::id(Some(id)).ok());
        self.parts.remove.extend(removed);
        if update.last {
            self.apply(version, update.full);
        }
        update.last
    }

    fn apply(&mut self, version: Version, is_full: bool) {
        let mut parts = std::mem::take(&mut self.parts);
        if is_full {
            let named: std::collections::HashSet<&Id> =
                parts.hashes.iter().map(|(id, _)| id).collect();
            let gone = self.hashes.keys().filter(|id| !named.contains(id)).cloned();
            parts.remove = gone.collect();
        }
        for id in &parts.remove {
            self.hashes.remove(id);
        }
        self.hashes.extend(parts.hashes);
        self.refused = parts.refused;
        self.version = version;
        self.updates += 1;
        let (upserts, removes) = (parts.upsert.len(), parts.remove.len());
        let began = Instant::now();
        self.applier.update(version, parts.upsert, parts.remove);
        self.plan_rebind();
        let took = began.elapsed();
        tracing::info!(%version, upserts, removes, ?took, "a new version is in force");
        self.save_at
            .get_or_insert_with(|| Instant::now() + SAVE_AFTER);
        self.publish(true);
    }

    fn failures(&self) -> Vec<(Id, String)> {
        let mut failures = self.applier.failures();
        failures.extend(self.refused.iter().cloned());
        failures
    }

    fn ack(&self) -> proto::dataplane_message::Message {
        let failures = self.failures().into_iter();
        let failures = failures.map(|(id, reason)| proto::Failure {
            id: Some(wire::encode_id(&id)),
            reason,
        });
        proto::dataplane_message::Message::Ack(proto::Ack {
            version: Some(wire::encode_version(self.version)),
            failures: failures.collect(),
        })
    }

    fn publish(&self, is_led: bool) {
        let has_any = self.version != Version::default();
        self.ends.in_force.send_replace(InForce {
            version: self.version,
            table: self.applier.table().clone(),
            credentials: self.applier.credentials().clone(),
            health: self.applier.health().clone(),
            failures: self.failures().into(),
            since: has_any.then(SystemTime::now),
            is_led,
            updates: self.updates,
        });
    }

    /// On a thread of its own, for that waits for the disk; one after the other.
    fn save(&mut self) {
        self.save_at = None;
        if self.saving.as_ref().is_some_and(|last| !last.is_finished()) {
            self.save_at = Some(Instant::now() + SAVE_AFTER);
            return;
        }
        let (version, objects) = (self.version, self.applier.objects().clone());
        let last_good = self.last_good.clone();
        let store = move || store(&last_good, version, &objects);
        self.saving = Some(tokio::task::spawn_blocking(store));
    }

    fn answer(&self, question: Question) {
        match question {
            Question::Dump(to) => {
                let dump = serde_json::json!({
                    "version": self.version,
                    "objects": self.applier.objects(),
                });
                let _ = to.send(format!("{dump:#}\n"));
            }
        }
    }
}

fn store(last_good: &LastGood, version: Version, objects: &Objects) {
    let entries = objects.iter();
    let saved = proto::Saved {
        version: Some(wire::encode_version(version)),
        entries: entries
            .map(|(id, object)| wire::encode_entry(id, object))
            .collect(),
    };
    if let Err(error) = last_good.store(&saved) {
        let path = last_good.path().display();
        tracing::error!("{path} can't be written: {error}; a restart would need the control plane");
    }
}

impl Parts {
    fn take(&mut self, entry: &proto::Entry) {
        match wire::entry(entry) {
            Ok((id, object)) => {
                self.hashes.push((id.clone(), entry.hash));
                self.upsert.push((id, object));
            }
            Err(error) => {
                tracing::error!(%error, "an object is refused; the one in force stays");
                if let Ok(id) = wire::id(entry.id.as_ref()) {
                    self.hashes.push((id.clone(), entry.hash));
                    self.refused.push((id, error.to_string()));
                }
            }
        }
    }
}

async fn send(
    outbox: &mpsc::Sender<proto::DataplaneMessage>,
    message: proto::dataplane_message::Message,
) {
    // A stream that has ended is noticed where it is read.
    let _ = outbox
        .send(proto::DataplaneMessage {
            message: Some(message),
        })
        .await;
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => sleep(Duration::from_secs(3600)).await,
    }
}
