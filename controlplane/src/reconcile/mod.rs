//! Brings together what is written, what names resolve to and what data planes say: decides when
//! there is a new version, and keeps statuses true.
//!
//! No input or output but the reading of lines for problems; time is an argument. [`crate::serve`]
//! moves what comes in and what goes out.

mod known;
pub(crate) mod problems;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ringgate_core::ir::{Id, Kind, Object, ObjectName, Version};

use crate::api::ObjectKey;
use crate::limits::CERTIFICATE_ENDS_LOOK;
use crate::metrics::Metrics;
use crate::problem::Severity;
use crate::provision::memory::Memory;
use crate::provision::service::{self, Generated};
use crate::provision::{Grounds, Provided, provide};
use crate::push::server::PeerEvent;
use crate::push::wanted::Wanted;
use crate::status::board::Board;
use crate::status::certificates;
use crate::status::coverage::{Change, DataPlanes};
use crate::status::notice::{self, Notice};
use crate::status::report::{Report, ServiceStatus};
use crate::status::write::StatusChange;
use crate::store::{References, Resources};
use crate::translate::{Inputs, Options, ResolvedNames, Translation, Translator};
use crate::watch::Batch;
use known::{AtFault, Counts, SetPorts};
use problems::Problems;
use versions::Versions;

/// What is known, what is wanted, and what became of it.
#[derive(Debug)]
pub struct Reconciler {
    options: Options,
    resources: Resources,
    /// Before the first batch nothing is known: to push that would take everything out of force.
    has_read: bool,
    has_translated: bool,
    names: Arc<ResolvedNames>,
    /// Keys of session tickets that data planes share.
    ticket_keys: Option<Arc<Object>>,
    provided: Provided,
    provided_from: Option<Grounds>,
    /// What was allocated, where objects can't store it.
    memory: Memory,
    /// What Services have got, of those that had something else before.
    assigned: BTreeMap<ObjectName, Notice>,
    generated: Arc<Generated>,
    translator: Translator,
    translation: Translation,
    wanted: Option<Arc<Wanted>>,
    versions: Versions,
    /// Else a Lease does.
    grants_terms: bool,
    needed_term: u64,
    planes: DataPlanes,
    board: Board,
    problems: Problems,
    counts: Counts,
    set_ports: SetPorts,
    references: References,
    at_fault: AtFault,
    metrics: Arc<Metrics>,
}

/// What an input asks for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Nothing,
    /// Statuses may be others.
    Refresh,
    /// There may be another version.
    Reconcile,
}

impl Reconciler {
    /// `term`: none where it is given later, and anew each time it has to be another.
    #[must_use]
    pub fn new(options: Options, term: Option<u64>, metrics: Arc<Metrics>) -> Self {
        Self {
            options,
            resources: Resources::default(),
            has_read: false,
            has_translated: false,
            names: Arc::default(),
            ticket_keys: None,
            provided: Provided::default(),
            provided_from: None,
            memory: Memory::default(),
            assigned: BTreeMap::new(),
            generated: Arc::default(),
            translator: Translator::default(),
            translation: Translation::default(),
            wanted: None,
            versions: Versions::new(term.unwrap_or_default()),
            grants_terms: term.is_some(),
            needed_term: 0,
            planes: DataPlanes::default(),
            board: Board::default(),
            problems: Problems::default(),
            counts: Counts::default(),
            set_ports: SetPorts::default(),
            references: References::default(),
            at_fault: AtFault::default(),
            metrics,
        }
    }

    /// Takes what an earlier run has allocated, before anything else is taken.
    #[must_use]
    pub fn remembering(self, memory: Memory) -> Self {
        Self { memory, ..self }
    }

    /// What is allocated, where objects can't store it.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Takes a change of what is written.
    pub fn take_batch(&mut self, batch: Batch, now: SystemTime) -> Next {
        let first = !std::mem::replace(&mut self.has_read, true);
        let changed = self.resources.apply(&batch);
        let other_problems = self.problems.set_files(batch.problems);
        self.count_problems();
        self.metrics
            .reloaded(!self.problems.has_broken_files(), now);
        if changed || first {
            Next::Reconcile
        } else if other_problems {
            Next::Refresh
        } else {
            Next::Nothing
        }
    }

    /// Takes what ExternalNames resolve to now.
    pub fn take_names(&mut self, names: Arc<ResolvedNames>) -> Next {
        self.names = names;
        Next::Reconcile
    }

    /// Takes the keys of session tickets that data planes shall share from now on.
    pub fn take_ticket_keys(&mut self, keys: Option<Arc<Object>>) -> Next {
        if self.ticket_keys == keys {
            return Next::Nothing;
        }
        self.ticket_keys = keys;
        Next::Reconcile
    }

    /// Begins a term: everything is wanted once more, above what any data plane has.
    pub fn take_term(&mut self, term: u64) -> Next {
        if !self.versions.begin(term) {
            return Next::Nothing;
        }
        self.wanted = None;
        Next::Reconcile
    }

    /// The lowest term that outranks what data planes have; 0: any.
    #[must_use]
    pub fn needed_term(&self) -> u64 {
        self.needed_term
    }

    /// Whether some data plane has said what it has in force.
    #[must_use]
    pub fn has_ack(&self) -> bool {
        self.planes.has_ack()
    }

    /// Takes what happened with a data plane.
    pub fn take_peer_event(&mut self, event: PeerEvent, now: Instant) -> Next {
        if let PeerEvent::Sent { bytes, .. } = &event {
            self.metrics.pushed(*bytes);
        }
        let change = self.planes.take(event, now);
        self.metrics.set_data_planes(self.planes.len());
        match change {
            Change::None => Next::Nothing,
            Change::Came(version) => match self.versions.needed(version) {
                Some(term) if self.grants_terms => self.take_term(term),
                Some(term) => {
                    self.needed_term = self.needed_term.max(term);
                    Next::Refresh
                }
                None => Next::Refresh,
            },
            Change::Acked(took) => {
                if let Some(took) = took {
                    self.metrics.acked(took);
                }
                Next::Refresh
            }
            Change::Other => Next::Refresh,
        }
    }

    /// Translates all that is known. Returns what is wanted from now on, if that is something new.
    pub fn reconcile(&mut self) -> Option<Arc<Wanted>> {
        if !self.has_read {
            return None;
        }
        let started = Instant::now();
        self.provide();
        let inputs = Inputs {
            resources: &self.resources,
            names: &self.names,
            provided: &self.provided,
            options: &self.options,
        };
        self.has_translated = true;
        let mut translation = self.translator.translate(&inputs);
        // Nobody wrote them beside the rest.
        let keys = self.ticket_keys.clone().into_iter();
        translation
            .objects
            .extend(keys.map(|keys| (Id::ticket_keys(), keys)));
        self.metrics
            .set_certificates(&self.translation.certificates, &translation.certificates);
        self.translation = translation;
        if self.options.cluster {
            let verdicts = &self.translation.verdicts;
            let of_sets = self.set_ports.update(&verdicts.listener_sets);
            let ports = service::ports_with(verdicts, of_sets);
            let settings = &self.options.provision;
            let generated = service::generate(&self.resources, &self.provided, &ports, settings);
            self.generated = Arc::new(generated);
        }
        self.metrics.translated(started.elapsed());
        let objects = &self.translation.objects;
        let before = self.wanted.as_deref();
        let mut wanted = Wanted::new(Default::default(), objects, before);
        if before.is_some_and(|before| before.same_objects(&wanted)) {
            return None;
        }
        wanted.version = self.versions.next();
        self.board.sent(wanted.version, objects);
        self.metrics.set_version(wanted.version);
        let wanted = Arc::new(wanted);
        self.wanted = Some(wanted.clone());
        Some(wanted)
    }

    /// Brings statuses, problems and their counts up to date. Returns the statuses that changed;
    /// none before anything was translated.
    pub fn refresh(&mut self, now: Instant, time: SystemTime) -> Option<Vec<StatusChange>> {
        let verdicts = &self.translation.verdicts;
        let coverage = self.planes.coverage(now);
        self.board.update(verdicts, &coverage, time);
        let findings = self.at_fault.findings(verdicts);
        self.problems.set_findings(findings, &self.resources);
        let ends = &self.translation.certificates;
        self.problems
            .set_ending(certificates::problems(ends, &self.resources, time));
        self.count_problems();
        self.count_objects();
        self.has_translated.then(|| self.board.take_changes())
    }

    /// The version that every data plane shall reach.
    #[must_use]
    pub fn wanted_version(&self) -> Option<Version> {
        self.wanted.as_ref().map(|wanted| wanted.version)
    }

    /// The objects of kinds that a cluster doesn't tell all of, that others name.
    #[must_use]
    pub fn references(&mut self) -> &Arc<BTreeSet<ObjectKey>> {
        self.references.update(&self.resources)
    }

    /// What shall be in the cluster for Gateways: Services and what belongs to them.
    #[must_use]
    pub fn generated(&self) -> &Arc<Generated> {
        &self.generated
    }

    /// The names that backends need the addresses of.
    #[must_use]
    pub fn external_names(&self) -> &BTreeSet<Arc<str>> {
        &self.translation.external_names
    }

    /// When statuses change without any input: a data plane will have been waited for too long, or a
    /// certificate may have come near its end.
    #[must_use]
    pub fn next_refresh(&self, now: Instant) -> Option<Instant> {
        let lag = self.planes.next_lag(now);
        let has_certificates = !self.translation.certificates.is_empty();
        let look = has_certificates.then(|| now + CERTIFICATE_ENDS_LOOK);
        lag.into_iter().chain(look).min()
    }

    #[must_use]
    pub fn report(&self, now: Instant, time: SystemTime) -> Report {
        let version = self
            .wanted
            .as_ref()
            .map(|wanted| wanted.version.to_string());
        let problems = self.problems.all(&self.resources);
        let planes = self.planes.statuses(now);
        let certificates = certificates::statuses(&self.translation.certificates, time);
        Report {
            certificates,
            services: ServiceStatus::all(&self.provided.load_balancers, &self.resources),
            ..Report::new(version, &self.board, &problems, planes)
        }
    }

    /// What people shall hear of objects beside their conditions.
    #[must_use]
    pub fn notices(&self, now: Instant) -> BTreeSet<Notice> {
        let planes = self.planes.statuses(now);
        let gateways = self.board.gateways.keys();
        let (problems, findings) = (self.problems.of_files(), self.problems.findings());
        let mut notices = notice::notices(problems, findings, &planes, gateways);
        notices.extend(self.assigned.values().cloned());
        notice::with_uids(notices, &self.resources)
    }

    /// Endpoints that come and go change nobody's address.
    fn provide(&mut self) {
        let grounds = Grounds::of(&self.resources);
        if self
            .provided_from
            .as_ref()
            .is_some_and(|from| from.is_same(&grounds))
        {
            return;
        }
        self.provided_from = Some(grounds);
        let provided = provide(&self.resources, &self.options, &self.memory);
        match self.options.cluster {
            true => self.note_assigned(&provided),
            false => self.memory = self.memory.after(&provided),
        }
        self.provided = provided;
    }

    /// What Services got since this process began is told, not what they had before.
    fn note_assigned(&mut self, now: &Provided) {
        let before = &self.provided.load_balancers;
        for (name, served) in &now.load_balancers {
            let is_as_before = before
                .get(name)
                .is_some_and(|one| one.wanted == served.wanted);
            if is_as_before || served.is_shown || served.wanted.is_empty() {
                continue;
            }
            let notice = Notice::assigned(name, &served.ordered);
            self.assigned.insert(name.clone(), notice);
        }
        let has = |name: &ObjectName| {
            now.load_balancers
                .get(name)
                .is_some_and(|one| !one.wanted.is_empty())
        };
        self.assigned.retain(|name, _| has(name));
    }

    fn count_objects(&mut self) {
        self.counts.update(&self.translation.objects);
        for kind in Kind::ALL {
            self.metrics.set_objects(kind, self.counts.of(kind));
        }
    }

    fn count_problems(&self) {
        for severity in [Severity::Error, Severity::Warning, Severity::Note] {
            let count = self.problems.count(severity);
            self.metrics.set_problems(severity, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::session::{Heard, Introduction};

    #[test]
    fn nothing_is_wanted_before_something_was_read() {
        let mut reconciler =
            Reconciler::new(Options::default(), Some(1), Arc::new(Metrics::default()));
        let ahead = Introduction {
            instance: String::new(),
            software: String::new(),
            driver: String::new(),
            workers: 1,
            version: Version {
                term: 5,
                sequence: 1,
            },
        };
        let event = PeerEvent::Heard(0, Heard::Hello(ahead));
        let next = reconciler.take_peer_event(event, Instant::now());
        assert_eq!(next, Next::Reconcile);
        assert!(reconciler.reconcile().is_none());

        let next = reconciler.take_batch(Batch::default(), SystemTime::UNIX_EPOCH);
        assert_eq!(next, Next::Reconcile);
        let wanted = reconciler.reconcile().unwrap();
        assert_eq!(wanted.version.to_string(), "6.1");
        assert!(wanted.is_empty(), "now it is known that there is nothing");
    }
}
