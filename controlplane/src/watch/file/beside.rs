//! PEM files beside the YAML: Secrets that name them by annotations get their content, in file mode alone.
//!
//! Last good: as long as what is named can't be read, or isn't a certificate with its key, the Secret
//! stays as it was, for a certificate and its key are seldom replaced in one step. Pure but for the
//! files, which are an argument (`pem` has the real ones).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::Update;
use super::read::ReadError;
use crate::api::certificate::{Flaw, NAMED_FILES, STAPLE_FILE};
use crate::api::storage::Secret;
use crate::api::{Object, ObjectKey, ObjectKind};
use crate::problem::{Problem, Severity};
use crate::store::{Source, SourceReader};
use crate::watch::Event;

/// Secrets with files beside their YAML.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    secrets: BTreeMap<ObjectKey, Named>,
    /// Who names each file.
    users: BTreeMap<PathBuf, BTreeSet<ObjectKey>>,
    /// A file is named that wasn't when this was asked last.
    has_new_paths: bool,
    troubled: BTreeSet<ObjectKey>,
    reported: Vec<Problem>,
}

#[derive(Debug)]
struct Named {
    written: Arc<Secret>,
    source: Source,
    /// With what the files said when they were last good.
    in_force: Option<(Arc<Secret>, Source)>,
    trouble: Option<Trouble>,
    /// What is not to be had and not needed.
    aside: Option<Trouble>,
}

/// What is wrong with one of the files, or with what they hold together.
#[derive(Debug)]
enum Trouble {
    File {
        annotation: &'static str,
        path: PathBuf,
        error: ReadError,
    },
    Flawed(Flaw),
}

/// The files that may be others than at the last look.
#[derive(Debug)]
pub(crate) enum Suspects {
    All,
    /// As Secrets name them.
    These(BTreeSet<PathBuf>),
}

/// Where the files are looked at.
pub(crate) trait Files {
    /// Whether a file may be another than when this was asked last.
    fn is_other(&mut self, path: &Path) -> bool;

    fn read(&mut self, path: &Path) -> Result<Vec<u8>, ReadError>;
}

impl Beside {
    /// Every file that is named.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.users.keys().map(PathBuf::as_path)
    }

    /// Whether files are named that weren't when this was asked last.
    pub(super) fn has_new_paths(&mut self) -> bool {
        std::mem::take(&mut self.has_new_paths)
    }

    /// Puts the files' content into the Secrets that name them, those of earlier updates too. Reads what
    /// changed, however much is named.
    pub(crate) fn complete(
        &mut self,
        mut update: Update,
        suspects: &Suspects,
        files: &mut impl Files,
    ) -> Update {
        let mut touched = BTreeSet::new();
        let is_plain = |event: &Event| self.is_plain(event, &mut touched);
        update.batch.events.retain(is_plain);
        self.find_others(suspects, files, &mut touched);
        for key in touched {
            let Some(named) = self.secrets.get_mut(&key) else {
                self.troubled.remove(&key);
                continue;
            };
            update.batch.events.extend(named.look(files));
            match named.trouble.is_some() || named.aside.is_some() {
                true => self.troubled.insert(key),
                false => self.troubled.remove(&key),
            };
        }
        self.report(&mut update);
        update
    }

    /// The Secrets of which a file may be another.
    fn find_others(
        &self,
        suspects: &Suspects,
        files: &mut impl Files,
        touched: &mut BTreeSet<ObjectKey>,
    ) {
        let mut find = |path: &Path, users: &BTreeSet<ObjectKey>| {
            if files.is_other(path) {
                touched.extend(users.iter().cloned());
            }
        };
        match suspects {
            Suspects::All => {
                let users = self.users.iter();
                users.for_each(|(path, users)| find(path, users));
            }
            Suspects::These(paths) => {
                let users = paths
                    .iter()
                    .filter_map(|path| self.users.get_key_value(path));
                users.for_each(|(path, users)| find(path, users));
            }
        }
    }

    /// Tells what is wrong now. Lines move with edits of the YAML, so they are looked up each time.
    fn report(&mut self, update: &mut Update) {
        let mut reader = SourceReader::new();
        let mut problems = Vec::new();
        for key in &self.troubled {
            let Some(named) = self.secrets.get(key) else {
                continue;
            };
            if named.in_force.is_some() && named.trouble.is_some() {
                update.held.insert(key.clone());
            }
            let trouble = named.trouble.iter().map(|one| (one, Severity::Error));
            let aside = named.aside.iter().map(|one| (one, Severity::Warning));
            problems.extend(trouble.chain(aside).map(|(one, severity)| Problem {
                severity,
                ..one.problem(key, &named.source, &mut reader)
            }));
        }
        let (appeared, mended) = Problem::differences(&self.reported, &problems);
        update.appeared.extend(appeared);
        update.mended.extend(mended);
        update.batch.problems.extend(problems.iter().cloned());
        update.batch.problems.sort();
        self.reported = problems;
    }

    /// Whether an event is to be told as it is; takes over those of Secrets that name files.
    fn is_plain(&mut self, event: &Event, touched: &mut BTreeSet<ObjectKey>) -> bool {
        match event {
            Event::Applied {
                object: Object::Secret(secret),
                source: Some(source),
            } => {
                let name = secret.metadata.object_name();
                let kind = ObjectKind::Secret;
                let key = ObjectKey { kind, name };
                let before = self.forget(&key);
                touched.insert(key.clone());
                if files(secret, source).next().is_none() {
                    return true;
                }
                let named = Named {
                    written: secret.clone(),
                    source: source.clone(),
                    in_force: before.and_then(|before| before.in_force),
                    trouble: None,
                    aside: None,
                };
                self.remember(key, named);
                false
            }
            Event::Applied { .. } | Event::Misread(..) => true,
            Event::Removed(key) => match self.forget(key) {
                Some(named) => {
                    touched.insert(key.clone());
                    named.in_force.is_some()
                }
                None => true,
            },
        }
    }

    fn remember(&mut self, key: ObjectKey, named: Named) {
        for (_, _, path) in files(&named.written, &named.source) {
            let users = self.users.entry(path);
            self.has_new_paths |= matches!(users, Entry::Vacant(_));
            users.or_default().insert(key.clone());
        }
        self.secrets.insert(key, named);
    }

    fn forget(&mut self, key: &ObjectKey) -> Option<Named> {
        let named = self.secrets.remove(key)?;
        for (_, _, path) in files(&named.written, &named.source) {
            if let Entry::Occupied(mut users) = self.users.entry(path) {
                users.get_mut().remove(key);
                if users.get().is_empty() {
                    users.remove();
                }
            }
        }
        Some(named)
    }
}

impl Named {
    /// Reads the files again. What differs by that is told.
    fn look(&mut self, files: &mut impl Files) -> Option<Event> {
        self.aside = None;
        let filled = match self.filled(files) {
            Ok(filled) => filled,
            Err(trouble) => {
                self.trouble = Some(trouble);
                return None;
            }
        };
        self.trouble = None;
        let now = (Arc::new(filled), self.source.clone());
        if self.in_force.as_ref() == Some(&now) {
            return None;
        }
        let (object, source) = now.clone();
        self.in_force = Some(now);
        Some(Event::Applied {
            object: Object::Secret(object),
            source: Some(source),
        })
    }

    fn filled(&mut self, files: &mut impl Files) -> Result<Secret, Trouble> {
        let mut content: Vec<(&str, Vec<u8>)> = Vec::new();
        for (annotation, data_key, path) in self::files(&self.written, &self.source) {
            let trouble = |error| Trouble::File {
                annotation,
                path: path.clone(),
                error,
            };
            match files.read(&path).map_err(trouble) {
                Ok(bytes) => content.push((data_key, bytes)),
                // The certificate is as good without it.
                Err(trouble) if annotation == STAPLE_FILE => self.aside = Some(trouble),
                Err(trouble) => return Err(trouble),
            }
        }
        let secret = self.written.with_data(content);
        // Keys are slow to check: what is in force was.
        let is_in_force = self
            .in_force
            .as_ref()
            .is_some_and(|(one, _)| **one == secret);
        match secret.flaw().filter(|_| !is_in_force) {
            None => Ok(secret),
            Some(flaw) => Err(Trouble::Flawed(flaw)),
        }
    }
}

/// The files that a Secret names: the annotation, the key of its data, the path. Paths have a form that
/// doesn't leave the YAML's folder: the schema says so.
fn files(
    secret: &Secret,
    source: &Source,
) -> impl Iterator<Item = (&'static str, &'static str, PathBuf)> {
    let folder = source.file.parent().unwrap_or_else(|| Path::new(""));
    NAMED_FILES.iter().filter_map(move |(annotation, key)| {
        let path = secret.metadata.annotations.get(*annotation)?;
        Some((*annotation, *key, folder.join(&**path)))
    })
}

impl Trouble {
    fn problem(&self, key: &ObjectKey, source: &Source, reader: &mut SourceReader) -> Problem {
        let (field, message, remedy) = match self {
            Self::File {
                annotation,
                path,
                error,
            } => (
                format!("metadata.annotations[{annotation:?}]"),
                format!("{}: {error}", path.display()),
                error.remedy().to_owned(),
            ),
            Self::Flawed(flaw) => (
                "metadata.annotations".to_owned(),
                format!("in the files that are named, {flaw}"),
                flaw.remedy(),
            ),
        };
        Problem {
            place: Some(reader.place(source, &field)),
            severity: Severity::Error,
            object: Some(key.clone()),
            field,
            message,
            remedy: Some(remedy),
        }
    }
}

#[cfg(test)]
#[path = "beside_tests.rs"]
mod tests;
