//! What one file says: its documents as they were read, and which objects they claim.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::read::ReadError;
use crate::api::document::{self, Item};
use crate::api::{Object, ObjectKey};
use crate::limits;
use crate::problem::{Place, Position, Problem};
use crate::store::{Source, document_hash, shifted};
use crate::yaml::{self, Finding};

/// A file's path, in the order of its bytes: comparing paths by their parts is ten times as slow,
/// which 10,000 files would feel.
#[derive(Clone, Debug)]
pub struct FileName(pub Arc<Path>);

impl FileName {
    fn text(&self) -> &OsStr {
        self.0.as_os_str()
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for FileName {
    fn from(path: &P) -> Self {
        Self(path.as_ref().into())
    }
}

impl PartialEq for FileName {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.text() == other.text()
    }
}

impl Eq for FileName {}

impl Ord for FileName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text().cmp(other.text())
    }
}

impl PartialOrd for FileName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for FileName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}

/// One file.
#[derive(Debug, Default)]
pub(super) struct FileRecord {
    documents: Vec<Document>,
    /// Its documents are those of the last good reading.
    failure: Option<ReadError>,
    /// By object, the documents that are meant to be it, in their order.
    claims: HashMap<ObjectKey, Vec<Claim>, RandomState>,
    unidentified: BTreeSet<u64>,
}

/// Which document, and which item of it.
#[derive(Clone, Copy, Debug)]
struct Claim {
    document: usize,
    item: usize,
}

/// A document that is meant to be a certain object.
pub(super) struct Claimed<'f> {
    pub(super) source: Source,
    pub(super) place: Place,
    /// None: it has errors.
    pub(super) object: Option<&'f Object>,
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
    /// Of the syntax; with one of them no object is taken.
    findings: Vec<Finding>,
}

impl FileRecord {
    pub(super) fn has_documents(&self) -> bool {
        !self.documents.is_empty()
    }

    /// Documents of which it can't be told which objects they are.
    pub(super) fn unidentified(&self) -> &BTreeSet<u64> {
        &self.unidentified
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.claims.keys()
    }

    /// Whether a document of it is meant to be that object.
    pub(super) fn has(&self, key: &ObjectKey) -> bool {
        self.claims.contains_key(key)
    }

    pub(super) fn fail(&mut self, error: ReadError) {
        self.failure = Some(error);
    }

    /// The file as `text` has it; documents that it had already aren't parsed again.
    pub(super) fn read(&self, text: &str) -> Result<Self, ReadError> {
        let chunks = yaml::split(text);
        if chunks.len() > limits::DOCUMENTS {
            return Err(ReadError::ManyDocuments);
        }
        let known: HashMap<u64, &Arc<Reading>, RandomState> = self
            .documents
            .iter()
            .map(|one| (one.hash, &one.reading))
            .collect();
        let documents = chunks.into_iter().map(|chunk| {
            let hash = document_hash(chunk.text);
            let known = known.get(&hash).copied().cloned();
            Document {
                first_line: chunk.first_line,
                hash,
                reading: known.unwrap_or_else(|| Arc::new(Reading::of(chunk.text))),
            }
        });
        Ok(Self::of(documents.collect()))
    }

    fn of(documents: Vec<Document>) -> Self {
        let mut claims: HashMap<ObjectKey, Vec<Claim>, RandomState> = HashMap::default();
        let mut unidentified = BTreeSet::new();
        for (document, one) in documents.iter().enumerate() {
            if one.reading.is_unidentified() {
                unidentified.insert(one.hash);
            }
            for (item, one) in one.reading.items.iter().enumerate() {
                if let Some(key) = &one.key {
                    let claim = Claim { document, item };
                    claims.entry(key.clone()).or_default().push(claim);
                }
            }
        }
        Self {
            documents,
            failure: None,
            claims,
            unidentified,
        }
    }

    /// Whether an object is claimed alike in both: by the same documents in the same order.
    pub(super) fn claims_alike(&self, other: &Self, key: &ObjectKey) -> bool {
        self.identities(key).eq(other.identities(key))
    }

    fn identities(&self, key: &ObjectKey) -> impl Iterator<Item = (u64, usize)> {
        let claims = self.claims.get(key).map(Vec::as_slice).unwrap_or_default();
        claims
            .iter()
            .filter_map(|one| Some((self.documents.get(one.document)?.hash, one.item)))
    }

    /// The documents that are meant to be an object, in their order.
    pub(super) fn claimed<'f>(
        &'f self,
        name: &'f FileName,
        key: &ObjectKey,
    ) -> impl Iterator<Item = Claimed<'f>> {
        let claims = self.claims.get(key).map(Vec::as_slice).unwrap_or_default();
        claims.iter().filter_map(move |claim| {
            let document = self.documents.get(claim.document)?;
            let item = document.reading.items.get(claim.item)?;
            Some(Claimed {
                source: Source {
                    file: name.0.clone(),
                    document: document.hash,
                    item: item.index,
                },
                place: document.place(&name.0, item.position),
                object: item.object.as_ref(),
            })
        })
    }

    /// What is wrong with the file and each of its documents.
    pub(super) fn problems<'f>(&'f self, name: &'f FileName) -> impl Iterator<Item = Problem> + 'f {
        let failure = self.failure.iter().map(|error| error.problem(&name.0));
        failure.chain(self.documents.iter().flat_map(|one| one.problems(name)))
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

    fn problems<'f>(&'f self, name: &'f FileName) -> impl Iterator<Item = Problem> + 'f {
        let syntax = self.reading.findings.iter().map(|finding| (None, finding));
        let items = self.reading.items.iter();
        let schema = items.flat_map(|item| item.findings.iter().map(|one| (item.key.clone(), one)));
        syntax.chain(schema).map(|(object, finding)| Problem {
            place: Some(self.place(&name.0, finding.position)),
            severity: finding.severity,
            object,
            field: finding.field.clone(),
            message: finding.message.clone(),
            remedy: finding.remedy.clone(),
        })
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
