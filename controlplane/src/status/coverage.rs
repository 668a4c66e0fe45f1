//! How far data planes are: which of them count, what they have in force, what they could not do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringgate_core::ir::{Id, Version};
use serde::{Deserialize, Serialize};

use crate::limits::ACK_PATIENCE;
use crate::push::server::{PeerEvent, PeerId};
use crate::push::session::{Failure, Heard, Introduction};

/// The data planes that are connected.
#[derive(Debug, Default)]
pub struct DataPlanes {
    peers: BTreeMap<PeerId, Peer>,
}

#[derive(Debug)]
struct Peer {
    introduction: Introduction,
    acked: Option<Version>,
    failures: Vec<Failure>,
    draining: bool,
    waiting_since: Option<Instant>,
}

/// What one data plane does, as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataPlaneStatus {
    pub instance: String,
    pub software: String,
    pub driver: String,
    pub workers: u32,
    /// The version in force; none before the first ack.
    pub version: Option<String>,
    pub draining: bool,
    /// It hasn't acked a version for too long, and isn't waited for.
    pub lagging: bool,
    /// What couldn't be put in force, and why.
    pub failures: Vec<FailureStatus>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureStatus {
    pub id: String,
    pub reason: String,
}

/// What an event amounted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that a status says.
    None,
    /// A data plane came, with this version in force.
    Came(Version),
    Acked(Option<Duration>),
    Other,
}

impl DataPlanes {
    pub fn take(&mut self, event: PeerEvent, now: Instant) -> Change {
        match event {
            PeerEvent::Heard(id, Heard::Hello(introduction)) => {
                let version = introduction.version;
                self.peers.insert(id, Peer::new(introduction));
                Change::Came(version)
            }
            PeerEvent::Heard(id, heard) => match self.peers.get_mut(&id) {
                Some(peer) => peer.hear(heard),
                None => Change::None,
            },
            PeerEvent::Sent { peer, .. } => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.waiting_since = Some(now);
                }
                Change::None
            }
            PeerEvent::Gone(id) => match self.peers.remove(&id) {
                Some(_) => Change::Other,
                None => Change::None,
            },
        }
    }

    /// What those that count have reached at `now`.
    #[must_use]
    pub fn coverage(&self, now: Instant) -> Coverage {
        let mut coverage = Coverage::default();
        for peer in self.peers.values() {
            for failure in &peer.failures {
                let reasons = &mut coverage.failures;
                reasons.insert(failure.id.clone(), failure.reason.clone());
            }
            if peer.counts(now) {
                coverage.acked.push(peer.acked);
            }
        }
        coverage
    }

    #[must_use]
    pub fn statuses(&self, now: Instant) -> Vec<DataPlaneStatus> {
        self.peers.values().map(|peer| peer.status(now)).collect()
    }

    #[must_use]
    pub fn has_ack(&self) -> bool {
        self.peers.values().any(|peer| peer.acked.is_some())
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// When the next data plane that is waited for will have been waited for too long.
    #[must_use]
    pub fn next_lag(&self, now: Instant) -> Option<Instant> {
        let ends = self.peers.values().filter_map(|peer| peer.waiting_since);
        ends.map(|since| since + ACK_PATIENCE)
            .filter(|end| *end > now)
            .min()
    }
}

impl Peer {
    fn new(introduction: Introduction) -> Self {
        Self {
            introduction,
            acked: None,
            failures: Vec::new(),
            draining: false,
            waiting_since: None,
        }
    }

    fn hear(&mut self, heard: Heard) -> Change {
        match heard {
            Heard::Hello(_) => Change::None,
            Heard::Acked {
                version,
                failures,
                took,
            } => {
                self.acked = Some(version);
                self.failures = failures;
                self.waiting_since = None;
                Change::Acked(took)
            }
            Heard::Heartbeat { draining } if draining != self.draining => {
                self.draining = draining;
                Change::Other
            }
            Heard::Heartbeat { .. } => Change::None,
        }
    }

    fn is_lagging(&self, now: Instant) -> bool {
        self.waiting_since
            .is_some_and(|since| now.saturating_duration_since(since) >= ACK_PATIENCE)
    }

    fn counts(&self, now: Instant) -> bool {
        !self.draining && !self.is_lagging(now)
    }

    fn status(&self, now: Instant) -> DataPlaneStatus {
        let failures = self.failures.iter().map(|failure| FailureStatus {
            id: failure.id.to_string(),
            reason: failure.reason.clone(),
        });
        DataPlaneStatus {
            instance: self.introduction.instance.clone(),
            software: self.introduction.software.clone(),
            driver: self.introduction.driver.clone(),
            workers: self.introduction.workers,
            version: self.acked.map(|version| version.to_string()),
            draining: self.draining,
            lagging: self.is_lagging(now),
            failures: failures.collect(),
        }
    }
}

/// What the data planes that count have in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Of each, the version that it acked last.
    acked: Vec<Option<Version>>,
    failures: BTreeMap<Id, String>,
}

/// Whether something is in force everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached<'c> {
    Everywhere,
    /// No data plane counts.
    Nobody,
    /// So many have not acked it.
    Waiting(usize),
    /// A data plane could not do it, and says why.
    Failed(&'c str),
}

impl Coverage {
    /// How far an object is that has been as it is since `version`.
    #[must_use]
    pub fn reached(&self, id: &Id, version: Version) -> Reached<'_> {
        if let Some(reason) = self.failures.get(id) {
            return Reached::Failed(reason);
        }
        let late = self.acked.iter().filter(|acked| **acked < Some(version));
        match late.count() {
            _ if self.acked.is_empty() => Reached::Nobody,
            0 => Reached::Everywhere,
            count => Reached::Waiting(count),
        }
    }

    /// The newest version that every data plane that counts has reached; none: there is no such.
    #[must_use]
    pub fn floor(&self) -> Option<Version> {
        self.acked.iter().copied().min().flatten()
    }

    /// What data planes refused, with the reason.
    #[must_use]
    pub fn failures(&self) -> &BTreeMap<Id, String> {
        &self.failures
    }

    /// Why a data plane refused an object, if one did.
    #[must_use]
    pub fn failure(&self, id: &Id) -> Option<&str> {
        self.failures.get(id).map(String::as_str)
    }
}
