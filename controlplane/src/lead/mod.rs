//! Leading: of several control planes one serves data planes and writes statuses, the one that holds
//! the Lease; the others keep their watches warm. `election` decides, this module reads and writes.

mod election;

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::{Client, Error as ClientError};
use ringgate_identity::host_port::HostPort;
use tokio::sync::watch;
use tracing::{info, warn};

pub use election::Leadership;

use self::election::{Election, Seen, Step, duration_seconds};
use crate::error::chain;
use crate::limits::{LEASE_CALL, LEASE_PAUSE};
use crate::wake::tell;
use crate::watch::kube::spread;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName {
    pub namespace: String,
    pub name: String,
}

/// Which Lease, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidacy {
    pub lease: LeaseName,
    /// Another one for each process, so that one that starts again doesn't take itself for the leader.
    pub identity: String,
    /// Where data planes of other machines find this process: stands in the Lease while
    /// it leads, so that the others can say it.
    pub address: Option<HostPort>,
}

/// The Lease's annotation with its holder's address.
const ADDRESS: &str = "ringgate.io/address";

impl Candidacy {
    #[must_use]
    pub fn new(lease: LeaseName, address: Option<HostPort>) -> Self {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        // A fresh hasher's seed is what the standard library has of chance.
        let chance = RandomState::new().hash_one(std::process::id());
        Self {
            lease,
            identity: format!("{host}-{chance:016x}"),
            address,
        }
    }
}

/// The ends of what [`lead`] is told and tells.
#[derive(Debug)]
pub struct Lines {
    pub leadership: watch::Sender<Leadership>,
    /// The lowest term that is of use.
    pub at_least: watch::Receiver<u64>,
}

/// Stands for leader until `stop` resolves; then gives the Lease back.
pub async fn lead(
    client: Client,
    candidacy: Candidacy,
    lines: Lines,
    stop: impl Future<Output = ()>,
) {
    let leases = Api::namespaced(client, &candidacy.lease.namespace);
    let mut candidate = Candidate {
        leases,
        name: candidacy.lease.name,
        election: Election::new(candidacy.identity),
        address: candidacy.address,
        lines,
        told: String::new(),
    };
    tokio::select! {
        () = candidate.stand() => {}
        () = stop => {}
    }
    candidate.release().await;
}

struct Candidate {
    leases: Api<Lease>,
    name: String,
    election: Election,
    address: Option<HostPort>,
    lines: Lines,
    /// What failed last, so that it is logged once.
    told: String,
}

impl Candidate {
    async fn stand(&mut self) {
        loop {
            let started = Instant::now();
            let turn = tokio::time::timeout(LEASE_CALL, self.turn(started)).await;
            match turn {
                Ok(Ok(())) => self.told.clear(),
                Ok(Err(error)) => self.tell(chain(&error)),
                Err(_) => self.tell(format!("no answer within {LEASE_CALL:?}")),
            }
            self.publish();
            self.pause(started).await;
        }
    }

    /// Until the next turn; a Lease that isn't renewed in time makes us unsure meanwhile.
    async fn pause(&mut self, started: Instant) {
        let next = started + spread(LEASE_PAUSE);
        loop {
            let now = Instant::now();
            let unsure = self.election.unsure_at().filter(|at| *at > now);
            let wake = unsure.map_or(next, |at| at.min(next));
            tokio::select! {
                () = tokio::time::sleep_until(wake.into()) => {}
                Ok(()) = self.lines.at_least.changed() => {
                    let term = *self.lines.at_least.borrow_and_update();
                    self.election.raise(term);
                    return;
                }
            }
            if wake == next {
                return;
            }
            self.publish();
        }
    }

    async fn turn(&mut self, started: Instant) -> Result<(), ClientError> {
        let lease = self.leases.get_opt(&self.name).await?;
        let seen = lease.as_ref().map(seen_of);
        let written = match self.election.next(seen, Instant::now()) {
            Step::Watch => return Ok(()),
            Step::Create { term } => {
                let mut fresh = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.name.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(self.spec(term)),
                };
                self.sign(&mut fresh);
                self.leases.create(&PostParams::default(), &fresh).await
            }
            Step::Hold { seen, term } => {
                let mut lease = lease.unwrap_or_default();
                let mut spec = self.spec(term);
                let before = lease.spec.take().unwrap_or_default();
                if seen.holder == self.election.identity() {
                    spec.acquire_time = before.acquire_time;
                }
                lease.spec = Some(spec);
                self.sign(&mut lease);
                let how = PostParams::default();
                self.leases.replace(&self.name, &how, &lease).await
            }
        };
        match written {
            Ok(lease) => self.election.wrote(seen_of(&lease), started),
            // Someone was quicker; the next turn tells who.
            Err(ClientError::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Our address, in place of the holder's before.
    fn sign(&self, lease: &mut Lease) {
        let annotations = lease.metadata.annotations.get_or_insert_default();
        match &self.address {
            Some(address) => annotations.insert(ADDRESS.to_owned(), address.to_string()),
            None => annotations.remove(ADDRESS),
        };
    }

    fn spec(&self, term: u64) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        LeaseSpec {
            holder_identity: Some(self.election.identity().to_owned()),
            lease_duration_seconds: Some(duration_seconds()),
            lease_transitions: Some(i32::try_from(term).unwrap_or(i32::MAX)),
            acquire_time: now.clone(),
            renew_time: now,
            ..LeaseSpec::default()
        }
    }

    fn publish(&self) {
        let leadership = self.election.leadership(Instant::now());
        if tell(&self.lines.leadership, leadership.clone()) {
            log(&leadership);
        }
    }

    fn tell(&mut self, text: String) {
        if self.told != text {
            warn!("the Lease {} can't be read or written: {text}", self.name);
            self.told = text;
        }
    }

    /// The next leader needn't wait until the Lease runs out.
    async fn release(&mut self) {
        let Some(seen) = self.election.to_release() else {
            return;
        };
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            lease_transitions: Some(i32::try_from(seen.transitions).unwrap_or(i32::MAX)),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        };
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: Some(seen.resource_version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        };
        let how = PostParams::default();
        let replace = self.leases.replace(&self.name, &how, &lease);
        // Where this fails the Lease runs out by itself.
        let _ = tokio::time::timeout(RELEASE, replace).await;
    }
}

/// How long a process that ends waits for its Lease to be given back.
const RELEASE: Duration = Duration::from_secs(1);

fn log(leadership: &Leadership) {
    match leadership {
        Leadership::Unknown => {}
        Leadership::Ours { term } => info!(term, "this control plane leads"),
        Leadership::Unsure { .. } => {
            warn!("the Lease can't be renewed: statuses aren't written until it can");
        }
        Leadership::Other { holder, .. } => info!("{holder} leads, this control plane stands by"),
    }
}

fn seen_of(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    let annotations = lease.metadata.annotations.as_ref();
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    Seen {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        transitions: u64::try_from(spec.lease_transitions.unwrap_or_default()).unwrap_or_default(),
        resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
        address: annotations.and_then(|all| all.get(ADDRESS)).cloned(),
    }
}
