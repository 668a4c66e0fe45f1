//! What is thought of each endpoint, and by what: the one place where that is decided.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ringgate_core::balance::{Checked, Ejections, Random, Standing};
use ringgate_core::ir;
use ringgate_core::table::{Backend, Slot};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::Ends;
use super::rounds::{Answer, Asking, Rounds, Turns};
use crate::config::InForce;
use crate::limits;
use crate::shared::health::{BackendHealth, EndpointHealth, State, Suspect, Tally};

/// Everything that the thread works on.
pub(super) struct Watcher {
    /// What moments are counted from.
    start: Instant,
    in_force: watch::Receiver<InForce>,
    asking: Asking,
    answers: mpsc::Receiver<Answer>,
    backends: HashMap<Slot, Watched>,
    /// When ejections end, the next one first.
    ends: BTreeSet<(Duration, Slot, SocketAddr)>,
    /// Of endpoints that aren't known yet.
    early: Vec<Suspect>,
    /// Of rounds that were started.
    rounds: u64,
    random: Random,
    told: Told,
}

/// A backend, as of the version that was seen last.
struct Watched {
    seen: Arc<BackendHealth>,
    turns: Turns,
    endpoints: HashMap<SocketAddr, Known>,
}

/// What is known of an endpoint.
struct Known {
    shared: Arc<EndpointHealth>,
    checked: Checked,
    ejections: Ejections,
    rounds: Option<Rounds>,
    since: SystemTime,
    /// Why it failed last.
    reason: Option<String>,
}

impl Watcher {
    pub(super) fn new(ends: &Ends) -> Self {
        let (sender, answers) = mpsc::channel(limits::HEALTH_ANSWERS);
        let asking = Asking {
            turns: Turns::new(ends.checks),
            in_force: ends.in_force.clone(),
            answers: sender,
        };
        Self {
            start: Instant::now(),
            in_force: ends.in_force.clone(),
            asking,
            answers,
            backends: HashMap::new(),
            ends: BTreeSet::new(),
            early: Vec::new(),
            rounds: 0,
            // A fresh hasher's seed is what the standard library has of chance.
            random: Random::seeded(RandomState::new().hash_one(0_u8)),
            told: Told::default(),
        }
    }

    /// For ever.
    pub(super) async fn run(mut self, mut ends: Ends) {
        self.take_over();
        loop {
            let next = self.ends.first().map(|(at, ..)| self.start + *at);
            tokio::select! {
                changed = self.in_force.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.take_over();
                }
                Some(answer) = self.answers.recv() => self.take_answer(&answer),
                Some(suspect) = ends.suspects.recv() => self.hear(suspect),
                Some(question) = ends.questions.recv() => drop(question.send(self.list())),
                () = until(next) => self.end_ejections(),
            }
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Brings what is watched in step with what is in force.
    fn take_over(&mut self) {
        let health = self.in_force.borrow_and_update().health.clone();
        self.backends
            .retain(|slot, _| health.backend(*slot).is_some());
        for wanted in health.backends() {
            let watched = self.backends.remove(&wanted.slot());
            let watched = match watched {
                Some(same) if Arc::ptr_eq(&same.seen, wanted) => same,
                before => self.renew(wanted, before),
            };
            self.backends.insert(wanted.slot(), watched);
        }
        let backends = &self.backends;
        self.ends.retain(|(_, slot, address)| {
            let watched = backends.get(slot);
            watched.is_some_and(|watched| watched.endpoints.contains_key(address))
        });
        for suspect in std::mem::take(&mut self.early) {
            self.take_suspect(&suspect);
        }
    }

    /// Takes endpoints over; of those that stay it is known what it was.
    fn renew(&mut self, wanted: &Arc<BackendHealth>, before: Option<Watched>) -> Watched {
        let (seen, turns, mut old) = match before {
            Some(before) => (Some(before.seen), before.turns, before.endpoints),
            None => (None, self.asking.turns.of_another(), HashMap::new()),
        };
        let is_asked_alike = seen.is_some_and(|seen| asks_alike(&seen.backend, &wanted.backend));
        let endpoints = wanted.endpoints.iter().map(|shared| {
            let known = old.remove(&shared.address);
            // One that went and came back is another one.
            let known = known.filter(|known| Arc::ptr_eq(&known.shared, shared));
            let mut known = known.unwrap_or_else(|| Known::new(shared.clone()));
            if !is_asked_alike || known.rounds.is_none() {
                known.rounds = self.start_rounds(&wanted.backend, shared.address, &turns);
            }
            known.forget_what_no_longer_counts(&wanted.backend.backend.settings);
            (shared.address, known)
        });
        let mut watched = Watched {
            seen: wanted.clone(),
            endpoints: endpoints.collect(),
            turns: turns.clone(),
        };
        for known in watched.endpoints.values_mut() {
            known.publish(wanted, &mut self.told);
        }
        watched
    }

    fn start_rounds(
        &mut self,
        backend: &Arc<Backend>,
        address: SocketAddr,
        turns: &Turns,
    ) -> Option<Rounds> {
        backend.backend.settings.health_check.as_ref()?;
        self.rounds += 1;
        let phase = f64::from(self.random.below(1024)) / 1024.0;
        let turns = turns.clone();
        let asking = Asking {
            turns,
            ..self.asking.clone()
        };
        let number = (self.rounds, phase);
        Some(Rounds::start(asking, backend.clone(), address, number))
    }

    fn take_answer(&mut self, answer: &Answer) {
        let Some(watched) = self.backends.get_mut(&answer.slot) else {
            return;
        };
        let Some(known) = watched.endpoints.get_mut(&answer.address) else {
            return;
        };
        let check = watched.seen.backend.backend.settings.health_check.as_ref();
        let is_current = |rounds: &Rounds| rounds.number == answer.round;
        let (Some(check), true) = (check, known.rounds.as_ref().is_some_and(is_current)) else {
            return;
        };
        let tally = &watched.seen.tally;
        match &answer.passed {
            Err(failing) if failing.is_ours() => {
                tracing::debug!(endpoint = %answer.address, "{failing}");
                return;
            }
            Err(failing) => {
                Tally::add(&tally.failed);
                known.reason = Some(failing.text());
            }
            Ok(()) => Tally::add(&tally.passed),
        }
        if known.checked.take(answer.passed.is_ok(), check.thresholds) {
            known.publish(&watched.seen, &mut self.told);
        }
    }

    /// Shards may know a new version before this thread does: who isn't known yet is heard with it.
    fn hear(&mut self, suspect: Suspect) {
        let watched = self.backends.get(&suspect.slot);
        let is_known = watched.is_some_and(|one| one.endpoints.contains_key(&suspect.address));
        if is_known {
            self.take_suspect(&suspect);
        } else if self.early.len() < limits::SUSPECTS {
            self.early.push(suspect);
        }
    }

    fn take_suspect(&mut self, suspect: &Suspect) {
        let now = self.now();
        let Some(watched) = self.backends.get_mut(&suspect.slot) else {
            return;
        };
        let standing = watched.standing();
        let settings = watched.seen.backend.backend.settings.outlier_detection;
        let known = watched.endpoints.get_mut(&suspect.address);
        let (Some(known), Some(settings)) = (known, settings) else {
            return;
        };
        known.reason = Some(suspect.failed.to_string());
        if known.is_out() || !standing.may_eject(settings.max_ejected_percent) {
            return;
        }
        let ends = known.ejections.eject(now, &settings);
        self.ends.insert((ends, suspect.slot, suspect.address));
        Tally::add(&watched.seen.tally.ejections);
        known.publish(&watched.seen, &mut self.told);
    }

    fn end_ejections(&mut self) {
        let now = self.now();
        while let Some((ends, slot, address)) = self.ends.first().copied() {
            if ends > now {
                return;
            }
            self.ends.pop_first();
            let Some(watched) = self.backends.get_mut(&slot) else {
                continue;
            };
            let Some(known) = watched.endpoints.get_mut(&address) else {
                continue;
            };
            if known.ejections.end(now) {
                known.publish(&watched.seen, &mut self.told);
            }
        }
    }

    fn list(&self) -> String {
        let mut all: Vec<_> = self.backends.values().collect();
        all.sort_by_cached_key(|watched| watched.seen.name());
        let all: Vec<Value> = all.into_iter().flat_map(Watched::list).collect();
        format!("{:#}\n", Value::from(all))
    }
}

impl Watched {
    fn standing(&self) -> Standing {
        let all = self.endpoints.values();
        Standing {
            endpoints: self.endpoints.len(),
            ejected: all.clone().filter(|one| one.ejections.is_out()).count(),
            usable: all.filter(|one| !one.is_out()).count(),
        }
    }

    fn list(&self) -> impl Iterator<Item = Value> {
        let backend = self.seen.name();
        let is_checked = self.seen.backend.backend.settings.health_check.is_some();
        self.seen.endpoints.iter().filter_map(move |shared| {
            let known = self.endpoints.get(&shared.address)?;
            let since = known.since.duration_since(SystemTime::UNIX_EPOCH);
            let since = since.unwrap_or_default().as_millis();
            Some(json!({
                "backend": backend,
                "endpoint": shared.address,
                "state": known.state().as_str(),
                "checked": is_checked && known.checked.is_judged(),
                "last_failure": known.reason,
                "since_unix_ms": u64::try_from(since).unwrap_or(u64::MAX),
            }))
        })
    }
}

impl Known {
    fn new(shared: Arc<EndpointHealth>) -> Self {
        Self {
            shared,
            checked: Checked::default(),
            ejections: Ejections::default(),
            rounds: None,
            since: SystemTime::now(),
            reason: None,
        }
    }

    fn is_out(&self) -> bool {
        self.checked.is_failing() || self.ejections.is_out()
    }

    fn state(&self) -> State {
        match (self.checked.is_failing(), self.ejections.is_out()) {
            (true, _) => State::Unhealthy,
            (false, true) => State::Ejected,
            (false, false) => State::Healthy,
        }
    }

    fn forget_what_no_longer_counts(&mut self, settings: &ir::BackendSettings) {
        if settings.health_check.is_none() {
            self.checked = Checked::default();
        }
        if settings.outlier_detection.is_none() {
            self.ejections.pardon();
        }
    }

    /// Lets shards know what is thought, and whoever reads the log.
    fn publish(&mut self, backend: &BackendHealth, told: &mut Told) {
        let (before, state) = (self.shared.state(), self.state());
        if before == state {
            return;
        }
        self.shared.set(state);
        self.since = SystemTime::now();
        if told.may_tell() {
            tell(backend, self, before);
        }
    }
}

/// Whether endpoints are asked in the same way.
fn asks_alike(one: &Backend, other: &Backend) -> bool {
    let how = |backend: &Backend| {
        let backend = &backend.backend;
        let settings = &backend.settings;
        (
            settings.health_check.clone(),
            settings.proxy_header,
            backend.protocol,
            backend.tls.clone(),
        )
    };
    how(one) == how(other)
}

fn tell(backend: &BackendHealth, known: &Known, before: State) {
    let (backend, endpoint) = (backend.name(), known.shared.address);
    let (state, reason) = (known.state(), known.reason.as_deref().unwrap_or_default());
    match state {
        State::Healthy => tracing::info!(
            %backend, %endpoint, was = before.as_str(), "an endpoint is back"
        ),
        State::Unhealthy => tracing::warn!(
            %backend, %endpoint, reason, "an endpoint is out: its health checks fail"
        ),
        State::Ejected => tracing::warn!(
            %backend, %endpoint, reason, "an endpoint is put aside for a while: its traffic fails"
        ),
    }
}

/// Bounds the lines about endpoints: when a zone goes, thousands change at a time.
struct Told {
    second: Instant,
    lines: u32,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            second: Instant::now(),
            lines: 0,
        }
    }
}

impl Told {
    fn may_tell(&mut self) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            *self = Self::default();
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines == limits::HEALTH_LINES + 1 {
            tracing::warn!("more endpoints change than are told here: /endpoints has them all");
        }
        self.lines <= limits::HEALTH_LINES
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
