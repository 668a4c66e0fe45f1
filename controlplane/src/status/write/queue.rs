//! Which object's status is written when. Pure: time is an argument, and writing is someone else's.
//!
//! An object is looked at when what is wanted or what is there changes; only a difference leads to a
//! write. Writes of one object keep a distance, so that a Gateway that counts a thousand routes isn't
//! written a thousand times; all together keep to a rate.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bucket::Bucket;
use super::merge::merge;
use super::{Live, ObjectStatus};
use crate::api::ObjectKey;
use crate::limits::{
    STATUS_DISTANCE, STATUS_IN_FLIGHT, STATUS_PAUSE_AT_LEAST, STATUS_PAUSE_AT_MOST,
};

/// A write that shall be done now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Write {
    pub(super) key: ObjectKey,
    /// A JSON merge patch, which is refused when the object has changed meanwhile.
    pub(super) patch: Value,
}

/// How a write went.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// The object as it is now.
    Written(Live),
    /// The object had changed, and is like this now.
    Conflict(Live),
    /// There is no such object.
    Gone,
    Failed,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    wanted: BTreeMap<ObjectKey, ObjectStatus>,
    live: BTreeMap<ObjectKey, Live>,
    /// When an object is looked at; each is in both, or in neither.
    due: BTreeSet<(Instant, ObjectKey)>,
    due_of: BTreeMap<ObjectKey, Instant>,
    /// Those that are being written, and those that were not long ago.
    recent: BTreeMap<ObjectKey, Recent>,
    /// Statuses that the API server took and changed (a field that its CRD doesn't have): to write
    /// them again would change nothing.
    altered: BTreeMap<ObjectKey, Value>,
    /// The statuses that are on their way.
    flying: BTreeMap<ObjectKey, Value>,
    bucket: Bucket,
    /// Before anything was wanted, nothing is known to be stale.
    begun: bool,
}

#[derive(Clone, Copy, Debug)]
struct Recent {
    in_flight: bool,
    /// No write before this.
    not_before: Instant,
    failures: u32,
}

impl Queue {
    /// Takes what statuses shall be; None: nothing of ours.
    pub(super) fn want(
        &mut self,
        changes: impl IntoIterator<Item = (ObjectKey, Option<ObjectStatus>)>,
        now: Instant,
    ) {
        if !std::mem::replace(&mut self.begun, true) {
            // Whatever an earlier run has left is looked at once.
            let all: Vec<ObjectKey> = self.live.keys().cloned().collect();
            for key in all {
                self.look_at(key, now);
            }
        }
        for (key, status) in changes {
            match status {
                Some(status) => self.wanted.insert(key.clone(), status),
                None => self.wanted.remove(&key),
            };
            self.look_at(key, now);
        }
    }

    /// Takes what the cluster has; None: the object is gone.
    pub(super) fn see(&mut self, key: ObjectKey, live: Option<Live>, now: Instant) {
        match live {
            Some(live) => {
                if self
                    .live
                    .get(&key)
                    .is_some_and(|known| known.is_newer_than(&live))
                {
                    return;
                }
                self.live.insert(key.clone(), live);
                if self.begun {
                    self.look_at(key, now);
                }
            }
            None => {
                self.altered.remove(&key);
                self.live.remove(&key);
            }
        }
    }

    /// The next write, if one is due and there is room for it.
    pub(super) fn next(&mut self, now: Instant) -> Option<Write> {
        while self.flying.len() < STATUS_IN_FLIGHT {
            let (due, key) = self.due.first()?;
            if *due > now {
                return None;
            }
            let key = key.clone();
            let patch = self.difference(&key);
            let news = patch.filter(|one| self.altered.get(&key) != Some(&one["status"]));
            let Some(patch) = news else {
                self.leave(&key);
                continue;
            };
            if !self.bucket.take(now) {
                return None;
            }
            self.leave(&key);
            self.begin(&key, &patch, now);
            return Some(Write { key, patch });
        }
        None
    }

    /// When to ask for the next write; None: not before something happens.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        if self.flying.len() >= STATUS_IN_FLIGHT {
            return None;
        }
        let (due, _) = self.due.first()?;
        Some((*due).max(self.bucket.ready_at(now)))
    }

    pub(super) fn finish(&mut self, key: ObjectKey, outcome: Outcome, now: Instant) {
        let flew = self.flying.remove(&key);
        if let Some(recent) = self.recent.get_mut(&key) {
            recent.in_flight = false;
            match outcome {
                Outcome::Written(_) | Outcome::Gone => recent.failures = 0,
                Outcome::Conflict(_) | Outcome::Failed => {
                    recent.not_before = now + pause(recent.failures, &outcome);
                    recent.failures += 1;
                }
            }
        }
        match outcome {
            Outcome::Written(live) => {
                self.see(key.clone(), Some(live), now);
                let left = self
                    .difference(&key)
                    .map(|mut patch| patch["status"].take());
                if let Some(status) = left.filter(|status| Some(status) == flew.as_ref()) {
                    self.altered.insert(key.clone(), status);
                }
            }
            Outcome::Conflict(live) => self.see(key.clone(), Some(live), now),
            Outcome::Gone => self.see(key.clone(), None, now),
            Outcome::Failed => {}
        }
        self.look_at(key, now);
    }

    /// Nothing is in flight any more, and nothing is waited for: who leads anew begins like this.
    pub(super) fn look_at_everything(&mut self, now: Instant) {
        self.recent.retain(|_, recent| recent.in_flight);
        let all: Vec<ObjectKey> = self.live.keys().cloned().collect();
        for key in all {
            self.look_at(key, now);
        }
    }

    /// Of an object that is in the cluster, and gets statuses.
    pub(super) fn uid(&self, key: &ObjectKey) -> Option<String> {
        let uid = &self.live.get(key)?.uid;
        Some(uid.to_string())
    }

    /// How many objects wait for a look.
    pub(super) fn waiting(&self) -> usize {
        self.due.len()
    }

    fn look_at(&mut self, key: ObjectKey, now: Instant) {
        let recent = self.recent.get(&key);
        // Looked at when it has been written.
        if recent.is_some_and(|recent| recent.in_flight) {
            return;
        }
        let due = recent.map_or(now, |recent| recent.not_before.max(now));
        if self.due_of.get(&key).is_some_and(|known| *known <= due) {
            return;
        }
        self.leave(&key);
        self.due_of.insert(key.clone(), due);
        self.due.insert((due, key));
    }

    fn leave(&mut self, key: &ObjectKey) {
        if let Some(due) = self.due_of.remove(key) {
            self.due.remove(&(due, key.clone()));
        }
    }

    fn begin(&mut self, key: &ObjectKey, patch: &Value, now: Instant) {
        self.flying.insert(key.clone(), patch["status"].clone());
        let failures = self.recent.get(key).map_or(0, |recent| recent.failures);
        let recent = Recent {
            in_flight: true,
            not_before: now + STATUS_DISTANCE,
            failures,
        };
        self.recent.insert(key.clone(), recent);
        if self.recent.len() > 2 * STATUS_IN_FLIGHT {
            let recent = |one: &Recent| one.in_flight || one.not_before > now || one.failures > 0;
            self.recent.retain(|_, one| recent(one));
        }
    }

    /// What has to be written so that the object says what it shall; None: it does already.
    fn difference(&self, key: &ObjectKey) -> Option<Value> {
        let live = self.live.get(key)?;
        let there = live.status();
        let merged = merge(key.kind, &there, self.wanted.get(key));
        if merged == there {
            return None;
        }
        let mut status = merged;
        // A merge patch takes a field away by null only.
        if let (Some(there), Some(status)) = (there.as_object(), status.as_object_mut()) {
            for field in there.keys() {
                status.entry(field.as_str()).or_insert(Value::Null);
            }
        }
        Some(json!({
            "metadata": {"resourceVersion": &*live.resource_version},
            "status": status,
        }))
    }
}

/// After a conflict it is tried again at once, for the fresh object is at hand; then ever later.
fn pause(failures: u32, outcome: &Outcome) -> Duration {
    if failures == 0 && matches!(outcome, Outcome::Conflict(_)) {
        return Duration::ZERO;
    }
    let longest = STATUS_PAUSE_AT_LEAST * 2_u32.saturating_pow(failures.min(16));
    crate::watch::kube::spread(longest.min(STATUS_PAUSE_AT_MOST))
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
