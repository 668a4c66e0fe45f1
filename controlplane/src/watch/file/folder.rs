//! The state of what is watched: what the files say, what is in force, what is wrong. Pure: what was
//! read goes in, events and problems come out. An update costs what changed, not what there is.
//!
//! Last good: a document that no longer fits its schema keeps its object as it was last; a document
//! that can't even be told apart (a syntax error, no name) keeps every object of its file that is no
//! longer found; a file or folder that can't be read keeps everything. What was removed is removed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use foldhash::fast::RandomState;

use super::read::ReadError;
use super::record::{Claimed, FileName, FileRecord};
use crate::api::{Object, ObjectKey};
use crate::problem::{Place, Problem, Severity};
use crate::store::Source;
use crate::watch::{Batch, Event};

/// What a look at the files gave.
#[derive(Debug, Default)]
pub struct Scan {
    /// Only `files` were looked at: all others are as they were.
    pub partial: bool,
    pub files: BTreeMap<FileName, Content>,
    /// Files and folders (roots, too) below which nothing could be looked at: what was there stays.
    pub unreadable: BTreeMap<PathBuf, ReadError>,
}

#[derive(Debug)]
pub enum Content {
    Text(String),
    /// The same as at the last scan.
    Unchanged,
    Failed(ReadError),
}

/// What follows from a scan.
#[derive(Debug, Default)]
pub struct Update {
    pub batch: Batch,
    /// Problems that weren't there before (whatever line they are in).
    pub appeared: Vec<Problem>,
    /// Problems that are gone.
    pub mended: Vec<Problem>,
    /// Objects whose last good version stays in force, because of a problem.
    pub held: BTreeSet<ObjectKey>,
}

impl Update {
    /// Whether anyone needs to know of it.
    #[must_use]
    pub fn is_news(&self) -> bool {
        !(self.batch.events.is_empty() && self.appeared.is_empty() && self.mended.is_empty())
    }
}

/// All files that are watched.
#[derive(Debug, Default)]
pub struct Folder {
    files: BTreeMap<FileName, FileRecord>,
    unreadable: BTreeMap<PathBuf, ReadError>,
    /// The files with documents that are meant to be an object; the first one counts.
    claimants: HashMap<ObjectKey, BTreeSet<FileName>, RandomState>,
    /// Objects that several documents are meant to be.
    repeated: BTreeSet<ObjectKey>,
    in_force: HashMap<ObjectKey, InForce, RandomState>,
    /// Those in force only because of a problem.
    held: BTreeSet<ObjectKey>,
    reported: Vec<Problem>,
}

#[derive(Clone, Debug)]
struct InForce {
    object: Object,
    source: Source,
    /// While its document isn't found: those that can't be told apart but were there beside it, so
    /// that they can't be it.
    others: Option<BTreeSet<u64>>,
}

/// What an update concerns.
#[derive(Default)]
struct Touched {
    keys: BTreeSet<ObjectKey>,
    /// Of files that changed, the documents that couldn't be told apart before.
    unidentified: BTreeMap<FileName, BTreeSet<u64>>,
}

impl Folder {
    /// Whether the scan may have caught a file while it is saved: one that had objects is empty or
    /// gone. Then it is better to look again before it counts.
    #[must_use]
    pub fn doubts(&self, scan: &Scan) -> bool {
        let has_documents = |path| self.files.get(path).is_some_and(FileRecord::has_documents);
        let emptied = scan.files.iter().any(|(path, content)| {
            matches!(content, Content::Text(text) if text.is_empty()) && has_documents(path)
        });
        emptied || self.missing(scan).any(has_documents)
    }

    /// Takes a scan.
    pub fn update(&mut self, scan: Scan) -> Update {
        let mut touched = Touched {
            keys: self.held.clone(),
            ..Touched::default()
        };
        self.take_files(scan, &mut touched);
        let mut events = Vec::new();
        for key in &touched.keys {
            events.extend(self.resolve(key, &touched.unidentified));
        }
        let mut problems = self.problems();
        problems.sort();
        let (appeared, mended) = Problem::differences(&self.reported, &problems);
        self.reported.clone_from(&problems);
        Update {
            batch: Batch { events, problems },
            appeared,
            mended,
            held: self.held.clone(),
        }
    }

    /// Files that are gone.
    fn missing<'f>(&'f self, scan: &'f Scan) -> impl Iterator<Item = &'f FileName> {
        let files = self.files.keys().filter(|_| !scan.partial);
        files.filter(|path| !scan.files.contains_key(path) && !scan.is_unreadable(&path.0))
    }

    fn take_files(&mut self, scan: Scan, touched: &mut Touched) {
        let missing: Vec<FileName> = self.missing(&scan).cloned().collect();
        for name in missing {
            self.replace(&name, None, touched);
        }
        for (name, content) in scan.files {
            let read = match content {
                Content::Unchanged => continue,
                Content::Failed(error) => Err(error),
                Content::Text(text) => match self.files.get(&name) {
                    Some(record) => record.read(&text),
                    None => FileRecord::default().read(&text),
                },
            };
            match read {
                Ok(record) => self.replace(&name, Some(record), touched),
                Err(error) => self.files.entry(name).or_default().fail(error),
            }
        }
        if !scan.partial {
            self.unreadable = scan.unreadable;
        }
    }

    /// Puts a file's new record in the place of the old one, and finds out which objects that concerns.
    fn replace(&mut self, name: &FileName, record: Option<FileRecord>, touched: &mut Touched) {
        let old = self.files.remove(name).unwrap_or_default();
        let new = record.as_ref();
        let none = FileRecord::default();
        let now = new.unwrap_or(&none);
        for key in old.keys().filter(|key| !now.claims_alike(&old, key)) {
            touched.keys.insert(key.clone());
            if !now.has(key) {
                self.disclaim(name, key);
            }
        }
        for key in now.keys().filter(|key| !old.has(key)) {
            touched.keys.insert(key.clone());
            let claimants = self.claimants.entry(key.clone()).or_default();
            claimants.insert(name.clone());
        }
        let unidentified = old.unidentified().clone();
        touched.unidentified.insert(name.clone(), unidentified);
        self.files
            .extend(record.map(|record| (name.clone(), record)));
    }

    fn disclaim(&mut self, name: &FileName, key: &ObjectKey) {
        if let Some(claimants) = self.claimants.get_mut(key) {
            claimants.remove(name);
            if claimants.is_empty() {
                self.claimants.remove(key);
            }
        }
    }

    /// Decides what is in force for an object, and says what changes by that.
    fn resolve(
        &mut self,
        key: &ObjectKey,
        before: &BTreeMap<FileName, BTreeSet<u64>>,
    ) -> Option<Event> {
        let (next, held, count) = self.decide(key, before);
        mark(&mut self.held, key, held);
        mark(&mut self.repeated, key, count > 1);
        let Some(next) = next else {
            self.in_force.remove(key)?;
            return Some(Event::Removed(key.clone()));
        };
        let event = Event::Applied {
            object: next.object.clone(),
            source: Some(next.source.clone()),
        };
        let same = |old: &InForce| old.source == next.source && old.object.is_same(&next.object);
        let unchanged = self.in_force.get(key).is_some_and(same);
        self.in_force.insert(key.clone(), next);
        (!unchanged).then_some(event)
    }

    /// What shall be in force, whether that is its last good version, and how many documents claim it.
    fn decide(
        &self,
        key: &ObjectKey,
        before: &BTreeMap<FileName, BTreeSet<u64>>,
    ) -> (Option<InForce>, bool, usize) {
        let last_good = self.in_force.get(key);
        let mut claimed = self.claimed(key).peekable();
        if claimed.peek().is_none() {
            let kept = last_good.and_then(|one| self.kept_unclaimed(one, before));
            let held = kept.is_some();
            return (kept, held, 0);
        }
        let first_is_broken = claimed.peek().is_some_and(|first| first.object.is_none());
        let held = last_good.filter(|_| first_is_broken).cloned();
        let mut count = 0;
        // A broken first one doesn't push out the next, unless it has a last good version.
        let mut fresh = None;
        for one in claimed {
            count += 1;
            if fresh.is_none() {
                fresh = one.object.map(|object| InForce {
                    object: object.clone(),
                    source: one.source,
                    others: None,
                });
            }
        }
        let is_held = held.is_some();
        (held.or(fresh), is_held, count)
    }

    fn claimed<'f>(&'f self, key: &'f ObjectKey) -> impl Iterator<Item = Claimed<'f>> {
        let names = self.claimants.get(key).into_iter().flatten();
        let records = names.filter_map(|name| self.files.get_key_value(name));
        records.flat_map(move |(name, record)| record.claimed(name, key))
    }

    /// An object that no document claims stays while its file has a document that may be it.
    fn kept_unclaimed(
        &self,
        last_good: &InForce,
        before: &BTreeMap<FileName, BTreeSet<u64>>,
    ) -> Option<InForce> {
        let name = FileName(last_good.source.file.clone());
        let unidentified = self.files.get(&name)?.unidentified();
        let others = match &last_good.others {
            Some(others) => others.clone(),
            None => before.get(&name).cloned().unwrap_or_default(),
        };
        let may_be_it = !unidentified.is_subset(&others);
        may_be_it.then(|| InForce {
            others: Some(others),
            ..last_good.clone()
        })
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        problems.extend(
            self.unreadable
                .iter()
                .map(|(path, error)| error.problem(path)),
        );
        let files = self.files.iter();
        problems.extend(files.flat_map(|(name, record)| record.problems(name)));
        for key in &self.repeated {
            let mut claimed = self.claimed(key);
            let Some(first) = claimed.next() else {
                continue;
            };
            problems.extend(claimed.map(|later| duplicate(key, &later.place, &first.place)));
        }
        problems
    }
}

impl Scan {
    fn is_unreadable(&self, file: &Path) -> bool {
        self.unreadable.keys().any(|path| file.starts_with(path))
    }
}

fn mark(keys: &mut BTreeSet<ObjectKey>, key: &ObjectKey, holds: bool) {
    if holds {
        keys.insert(key.clone());
    } else {
        keys.remove(key);
    }
}

fn duplicate(key: &ObjectKey, place: &Place, first: &Place) -> Problem {
    Problem {
        place: Some(place.clone()),
        severity: Severity::Error,
        object: Some(key.clone()),
        field: String::new(),
        message: format!("is there already, in {first}"),
        remedy: Some("remove one of both, or give it another name or namespace".into()),
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
