//! The state of what is watched: what the files say, what is in force, what is wrong. Pure: what was
//! read goes in, events and problems come out.
//!
//! Last good: a document that no longer fits its schema keeps its object as it was last; a document
//! that can't even be told apart (a syntax error, no name) keeps every object of its file that is no
//! longer found; a file or folder that can't be read keeps everything. What was removed is removed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::read::ReadError;
use crate::api::document::{self, Item};
use crate::api::{Object, ObjectKey};
use crate::problem::{Place, Position, Problem, Severity};
use crate::store::{Source, document_hash, shifted};
use crate::watch::{Batch, Event};
use crate::yaml::{self, Finding};

/// What a look at the files gave.
#[derive(Debug, Default)]
pub struct Scan {
    pub files: BTreeMap<Arc<Path>, Content>,
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
    files: BTreeMap<Arc<Path>, FileRecord>,
    in_force: BTreeMap<ObjectKey, InForce>,
    reported: Vec<Problem>,
}

#[derive(Debug, Default)]
struct FileRecord {
    documents: Vec<Document>,
    /// Its documents are those of the last good reading.
    failure: Option<ReadError>,
}

#[derive(Debug)]
struct Document {
    first_line: u32,
    hash: u64,
    reading: Arc<Reading>,
}

/// A document as it was read: kept for as long as its text is the same, wherever it stands.
#[derive(Debug)]
struct Reading {
    items: Vec<Item>,
    /// Of the syntax; with one of them there are no items.
    findings: Vec<Finding>,
}

#[derive(Clone, Debug)]
struct InForce {
    object: Object,
    source: Source,
    /// While its document isn't found: those that can't be told apart but were there beside it, so
    /// that they can't be it.
    others: Option<BTreeSet<u64>>,
}

/// Which document an object's key was found in.
struct Claim<'f> {
    source: Source,
    place: Place,
    object: Option<&'f Object>,
    /// The next document with that key, used when this one is broken from the start.
    fallback: Option<(Source, &'f Object)>,
}

impl Folder {
    /// Whether the scan may have caught a file while it is saved: one that had objects is empty or
    /// gone. Then it is better to look again before it counts.
    #[must_use]
    pub fn doubts(&self, scan: &Scan) -> bool {
        let filled = self
            .files
            .iter()
            .filter(|(_, record)| !record.documents.is_empty());
        filled
            .into_iter()
            .any(|(path, _)| match scan.files.get(path) {
                None => !scan.is_unreadable(path),
                Some(Content::Text(text)) => text.is_empty(),
                Some(Content::Unchanged | Content::Failed(_)) => false,
            })
    }

    /// Takes a scan.
    pub fn update(&mut self, scan: Scan) -> Update {
        let before = self.unidentified();
        let mut problems = self.take_files(scan);
        let (in_force, held) = self.resolve(&before, &mut problems);
        let events = self.differences(&in_force);
        self.in_force = in_force;
        self.gather_problems(&mut problems);
        problems.sort();
        let (appeared, mended) = self.report(&problems);
        Update {
            batch: Batch { events, problems },
            appeared,
            mended,
            held,
        }
    }

    fn take_files(&mut self, scan: Scan) -> Vec<Problem> {
        let mut before = std::mem::take(&mut self.files);
        let mut problems = Vec::new();
        for (path, error) in &scan.unreadable {
            problems.push(error.problem(path));
            let (kept, rest): (BTreeMap<_, _>, BTreeMap<_, _>) = before
                .into_iter()
                .partition(|(file, _)| file.starts_with(path));
            self.files.extend(kept);
            before = rest;
        }
        for (path, content) in scan.files {
            let mut record = before.remove(&path).unwrap_or_default();
            match content {
                Content::Text(text) => record.read(&text),
                Content::Unchanged => {}
                Content::Failed(error) => record.failure = Some(error),
            }
            self.files.insert(path, record);
        }
        problems
    }

    /// By file, the documents that can't be told apart.
    fn unidentified(&self) -> HashMap<Arc<Path>, BTreeSet<u64>> {
        let broken = self
            .files
            .iter()
            .map(|(path, file)| (path.clone(), file.unidentified()));
        broken
            .filter(|(_, documents)| !documents.is_empty())
            .collect()
    }

    /// What shall be in force, and what of it only because its document has a problem.
    fn resolve(
        &self,
        before: &HashMap<Arc<Path>, BTreeSet<u64>>,
        problems: &mut Vec<Problem>,
    ) -> (BTreeMap<ObjectKey, InForce>, BTreeSet<ObjectKey>) {
        let mut next = BTreeMap::new();
        let mut held = BTreeSet::new();
        let claims = self.claims(problems);
        for (key, claim) in &claims {
            let last_good = self.in_force.get(key).cloned();
            let fresh = |(source, object): (Source, &Object)| InForce {
                object: object.clone(),
                source,
                others: None,
            };
            let found = match (claim.object, last_good) {
                (Some(object), _) => Some(fresh((claim.source.clone(), object))),
                (None, Some(last_good)) => {
                    held.insert(key.clone());
                    Some(last_good)
                }
                (None, None) => claim.fallback.clone().map(fresh),
            };
            next.extend(found.map(|found| (key.clone(), found)));
        }
        let now = self.unidentified();
        for (key, last_good) in &self.in_force {
            if claims.contains_key(key) {
                continue;
            }
            let none = BTreeSet::new();
            let file = &last_good.source.file;
            let others = last_good
                .others
                .clone()
                .unwrap_or_else(|| before.get(file).unwrap_or(&none).clone());
            if !now.get(file).unwrap_or(&none).is_subset(&others) {
                held.insert(key.clone());
                let others = Some(others);
                next.insert(
                    key.clone(),
                    InForce {
                        others,
                        ..last_good.clone()
                    },
                );
            }
        }
        (next, held)
    }

    /// The first document of each key, in the order of paths and lines; later ones are problems.
    fn claims(&self, problems: &mut Vec<Problem>) -> BTreeMap<ObjectKey, Claim<'_>> {
        let mut claims: BTreeMap<ObjectKey, Claim<'_>> = BTreeMap::new();
        for (path, file) in &self.files {
            for (document, item) in file.items() {
                let Some(key) = &item.key else {
                    continue;
                };
                let source = Source {
                    file: path.clone(),
                    document: document.hash,
                    item: item.index,
                };
                let place = document.place(path, item.position);
                match claims.get_mut(key) {
                    Some(first) => {
                        problems.push(duplicate(key, &place, &first.place));
                        if first.fallback.is_none() {
                            first.fallback = item.object.as_ref().map(|object| (source, object));
                        }
                    }
                    None => {
                        let claim = Claim {
                            source,
                            place,
                            object: item.object.as_ref(),
                            fallback: None,
                        };
                        claims.insert(key.clone(), claim);
                    }
                }
            }
        }
        claims
    }

    fn differences(&self, next: &BTreeMap<ObjectKey, InForce>) -> Vec<Event> {
        let gone = self.in_force.keys().filter(|key| !next.contains_key(key));
        let mut events: Vec<Event> = gone.cloned().map(Event::Removed).collect();
        for (key, new) in next {
            let same = self
                .in_force
                .get(key)
                .is_some_and(|old| old.source == new.source && old.object == new.object);
            if !same {
                events.push(Event::Applied {
                    object: new.object.clone(),
                    source: Some(new.source.clone()),
                });
            }
        }
        events
    }

    fn gather_problems(&self, problems: &mut Vec<Problem>) {
        for (path, file) in &self.files {
            problems.extend(file.failure.iter().map(|error| error.problem(path)));
            for document in &file.documents {
                let reading = &document.reading;
                let syntax = reading.findings.iter().map(|finding| (None, finding));
                let items = reading.items.iter();
                let schema =
                    items.flat_map(|item| item.findings.iter().map(|one| (item.key.clone(), one)));
                for (object, finding) in syntax.chain(schema) {
                    problems.push(Problem {
                        place: Some(document.place(path, finding.position)),
                        severity: finding.severity,
                        object,
                        field: finding.field.clone(),
                        message: finding.message.clone(),
                        remedy: finding.remedy.clone(),
                    });
                }
            }
        }
    }

    /// What is new and what is gone since the last report, whatever line it is in.
    fn report(&mut self, problems: &[Problem]) -> (Vec<Problem>, Vec<Problem>) {
        let only_in = |these: &[Problem], those: &[Problem]| -> Vec<Problem> {
            let known: BTreeSet<Problem> = those.iter().map(unplaced).collect();
            let new = these.iter().filter(|one| !known.contains(&unplaced(one)));
            new.cloned().collect()
        };
        let appeared = only_in(problems, &self.reported);
        let mended = only_in(&self.reported, problems);
        self.reported = problems.to_vec();
        (appeared, mended)
    }
}

impl Scan {
    fn is_unreadable(&self, file: &Path) -> bool {
        self.unreadable.keys().any(|path| file.starts_with(path))
    }
}

impl FileRecord {
    fn read(&mut self, text: &str) {
        let known: HashMap<u64, Arc<Reading>> = self
            .documents
            .drain(..)
            .map(|one| (one.hash, one.reading))
            .collect();
        self.failure = None;
        self.documents = yaml::split(text)
            .into_iter()
            .map(|chunk| {
                let hash = document_hash(chunk.text);
                let known = known.get(&hash).cloned();
                Document {
                    first_line: chunk.first_line,
                    hash,
                    reading: known.unwrap_or_else(|| Arc::new(Reading::of(chunk.text))),
                }
            })
            .collect();
    }

    fn items(&self) -> impl Iterator<Item = (&Document, &Item)> {
        let documents = self.documents.iter();
        documents.flat_map(|document| {
            document
                .reading
                .items
                .iter()
                .map(move |item| (document, item))
        })
    }

    fn unidentified(&self) -> BTreeSet<u64> {
        let unknown = self
            .documents
            .iter()
            .filter(|one| one.reading.is_unidentified());
        unknown.map(|document| document.hash).collect()
    }
}

impl Document {
    fn place(&self, file: &Arc<Path>, position: Position) -> Place {
        Place {
            file: file.clone(),
            position: Some(Position {
                line: shifted(self.first_line, position.line),
                ..position
            }),
        }
    }
}

impl Reading {
    fn of(text: &str) -> Self {
        let parsed = yaml::parse(text);
        let mut items = parsed
            .root
            .as_deref()
            .map(document::read)
            .unwrap_or_default();
        if !parsed.findings.is_empty() {
            // With a key written twice, what was meant isn't known: the object isn't taken.
            items.iter_mut().for_each(|item| item.object = None);
        }
        Self {
            items,
            findings: parsed.findings,
        }
    }

    fn is_unidentified(&self) -> bool {
        let nothing = self.items.is_empty() && !self.findings.is_empty();
        nothing || self.items.iter().any(|item| item.unidentified)
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

/// The problem as it is told apart from others: an edit above it moves its line.
fn unplaced(problem: &Problem) -> Problem {
    let mut problem = problem.clone();
    if let Some(place) = &mut problem.place {
        place.position = None;
    }
    problem
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
