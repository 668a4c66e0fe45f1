//! What all watches of a cluster say, as one: nothing is told before every one has listed its
//! objects once, and an object that isn't understood keeps its last good version.
//!
//! Pure: no input or output but the log.

use std::collections::{BTreeMap, BTreeSet};

use ringgate_core::ir::ObjectName;
use tracing::{info, warn};

use super::LiveChange;
use super::raw::{Seen, Unread};
use crate::api::{ObjectKey, ObjectKind};
use crate::problem::{Problem, Severity};
use crate::watch::{Batch, Event};

/// What one watch is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Every object of a kind (of Secrets those with a certificate).
    Kind(ObjectKind),
    One(ObjectKey),
}

impl Scope {
    pub(super) fn kind(&self) -> ObjectKind {
        match self {
            Self::Kind(kind) => *kind,
            Self::One(key) => key.kind,
        }
    }
}

/// What a watch says.
#[derive(Debug)]
pub(super) enum Message {
    /// These are all that there are.
    Listed(Scope, Vec<Seen>),
    Applied(Scope, Seen),
    Deleted(Scope, ObjectKey),
    /// The cluster doesn't know the kind.
    Absent(ObjectKind),
    /// Asking fails. Told at each attempt.
    Failing(Scope, Trouble),
    /// Asking works again, or for the first time.
    Working(Scope),
    /// The watch isn't wanted any more.
    Ended(Scope),
}

/// Why the API server doesn't tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Our role has no rule for it.
    Forbidden(String),
    /// It can't be reached, or isn't well.
    Unreachable(String),
}

#[derive(Debug)]
pub(super) struct Gather {
    /// Watches that have to list once before anything is told.
    awaited: BTreeSet<Scope>,
    known: BTreeMap<Scope, BTreeSet<ObjectName>>,
    begun: bool,
    events: Vec<Event>,
    live: Vec<LiveChange>,
    not_understood: BTreeMap<ObjectKey, Problem>,
    /// Those of them that were never understood: an outline stands for each.
    outlined: BTreeSet<ObjectKey>,
    of_kinds: BTreeMap<ObjectKind, Problem>,
    problems_changed: bool,
    failing: BTreeMap<Scope, Trouble>,
    unreachable: bool,
}

impl Gather {
    pub(super) fn new(awaited: impl IntoIterator<Item = Scope>) -> Self {
        Self {
            awaited: awaited.into_iter().collect(),
            known: BTreeMap::new(),
            begun: false,
            events: Vec::new(),
            live: Vec::new(),
            not_understood: BTreeMap::new(),
            outlined: BTreeSet::new(),
            of_kinds: BTreeMap::new(),
            problems_changed: false,
            failing: BTreeMap::new(),
            unreachable: false,
        }
    }

    pub(super) fn hear(&mut self, message: Message) {
        match message {
            Message::Listed(scope, all) => self.list(scope, all),
            Message::Applied(scope, seen) => self.apply(&scope, seen),
            Message::Deleted(scope, key) => self.delete(&scope, &key),
            Message::Absent(kind) => self.miss(kind),
            Message::Failing(scope, trouble) => self.fail(scope, trouble),
            Message::Working(scope) => self.work(&scope),
            Message::Ended(scope) => self.end(&scope),
        }
    }

    /// What has changed since the last batch, if it is time to tell.
    pub(super) fn take_batch(&mut self) -> Option<Batch> {
        if !self.awaited.is_empty() {
            return None;
        }
        let first = !std::mem::replace(&mut self.begun, true);
        let problems_changed = std::mem::take(&mut self.problems_changed);
        if self.events.is_empty() && !problems_changed && !first {
            return None;
        }
        Some(Batch {
            events: std::mem::take(&mut self.events),
            problems: self.problems(),
        })
    }

    /// What has changed of statuses since this was asked last.
    pub(super) fn take_live(&mut self) -> Vec<LiveChange> {
        std::mem::take(&mut self.live)
    }

    /// How many objects of a kind there are.
    pub(super) fn count(&self, kind: ObjectKind) -> usize {
        let scopes = self.known.iter().filter(|(scope, _)| scope.kind() == kind);
        scopes.map(|(_, names)| names.len()).sum()
    }

    fn problems(&self) -> Vec<Problem> {
        let of_kinds = self.of_kinds.values();
        of_kinds
            .chain(self.not_understood.values())
            .cloned()
            .collect()
    }

    /// A list is complete: what was known and isn't in it has been deleted meanwhile.
    fn list(&mut self, scope: Scope, all: Vec<Seen>) {
        let kind = scope.kind();
        let listed: BTreeSet<ObjectName> = all.iter().map(|seen| seen.key.name.clone()).collect();
        let known = self.known.remove(&scope).unwrap_or_default();
        for name in known.difference(&listed).cloned() {
            self.forget(&ObjectKey { kind, name });
        }
        for seen in all {
            let is_new = !known.contains(&seen.key.name);
            self.take(seen, is_new);
        }
        self.known.insert(scope.clone(), listed);
        self.awaited.remove(&scope);
        self.set_kind_problem(kind, None);
    }

    fn apply(&mut self, scope: &Scope, seen: Seen) {
        let known = self.known.entry(scope.clone()).or_default();
        let is_new = known.insert(seen.key.name.clone());
        self.take(seen, is_new);
    }

    fn delete(&mut self, scope: &Scope, key: &ObjectKey) {
        if let Some(known) = self.known.get_mut(scope) {
            known.remove(&key.name);
        }
        self.forget(key);
    }

    fn end(&mut self, scope: &Scope) {
        self.awaited.remove(scope);
        self.failing.remove(scope);
        for name in self.known.remove(scope).unwrap_or_default() {
            let kind = scope.kind();
            self.forget(&ObjectKey { kind, name });
        }
    }

    fn take(&mut self, seen: Seen, is_new: bool) {
        if let Some(live) = seen.live {
            self.live.push((seen.key.clone(), Some(live)));
        }
        match seen.object {
            Ok(object) => {
                self.problems_changed |= self.not_understood.remove(&seen.key).is_some();
                self.outlined.remove(&seen.key);
                let source = None;
                self.events.push(Event::Applied { object, source });
            }
            Err(unread) => {
                self.not_understood
                    .insert(seen.key.clone(), unread.problem(&seen.key));
                self.problems_changed = true;
                self.tell_unread(seen.key, *unread, is_new);
            }
        }
    }

    /// An outline must not take the place of a version that is good.
    fn tell_unread(&mut self, key: ObjectKey, unread: Unread, is_new: bool) {
        let outline = unread.outline;
        let outline = outline.filter(|_| is_new || self.outlined.contains(&key));
        if let Some(object) = outline {
            self.outlined.insert(key.clone());
            let source = None;
            self.events.push(Event::Applied { object, source });
        }
        self.events.push(Event::Misread(key, unread.misread));
    }

    /// Nothing is told of an object that another watch still has.
    fn forget(&mut self, key: &ObjectKey) {
        let mut others = self.known.iter();
        if others.any(|(scope, names)| scope.kind() == key.kind && names.contains(&key.name)) {
            return;
        }
        self.live.push((key.clone(), None));
        self.problems_changed |= self.not_understood.remove(key).is_some();
        self.outlined.remove(key);
        self.events.push(Event::Removed(key.clone()));
    }

    /// A kind that isn't there has no objects.
    fn miss(&mut self, kind: ObjectKind) {
        self.list(Scope::Kind(kind), Vec::new());
        let versions = kind.versions().join(" or ");
        self.set_kind_problem(kind, Some(Problem {
            place: None,
            severity: severity_of_absence(kind),
            object: None,
            field: String::new(),
            message: format!("the cluster has no {kind} of {}, version {versions}", kind.group()),
            remedy: Some(
                "install its CustomResourceDefinition if it is wanted: it is taken up when it appears"
                    .to_owned(),
            ),
        }));
    }

    fn set_kind_problem(&mut self, kind: ObjectKind, problem: Option<Problem>) {
        let before = self.of_kinds.get(&kind);
        if before != problem.as_ref() {
            self.problems_changed = true;
            match problem {
                Some(problem) => self.of_kinds.insert(kind, problem),
                None => self.of_kinds.remove(&kind),
            };
        }
    }

    /// Logs what is new, not what still lasts.
    fn fail(&mut self, scope: Scope, trouble: Trouble) {
        let before = self.failing.insert(scope.clone(), trouble.clone());
        match trouble {
            Trouble::Unreachable(reason) if !self.unreachable => {
                self.unreachable = true;
                warn!(
                    "the API server doesn't answer, the last known state stays in force: {reason}"
                );
            }
            Trouble::Unreachable(_) => {}
            Trouble::Forbidden(_) if before.as_ref() == Some(&trouble) => {}
            Trouble::Forbidden(reason) => {
                warn!(
                    "{} can't be watched, its last known state stays in force: {reason}\n    remedy: allow get, list and watch in the role",
                    scope.kind()
                );
            }
        }
    }

    fn work(&mut self, scope: &Scope) {
        match self.failing.remove(scope) {
            Some(Trouble::Forbidden(_)) => info!("{} can be watched now", scope.kind()),
            Some(Trouble::Unreachable(_)) | None => {}
        }
        let mut left = self.failing.values();
        let unreachable = left.any(|trouble| matches!(trouble, Trouble::Unreachable(_)));
        if self.unreachable && !unreachable {
            self.unreachable = false;
            info!("the API server answers again");
        }
    }
}

/// Without these nothing is served; the others are a matter of taste.
fn severity_of_absence(kind: ObjectKind) -> Severity {
    match kind {
        ObjectKind::GatewayClass | ObjectKind::Gateway | ObjectKind::HttpRoute => Severity::Error,
        _ => Severity::Note,
    }
}
