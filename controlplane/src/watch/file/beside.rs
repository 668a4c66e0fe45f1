//! PEM files beside the YAML: Secrets that name them by annotations get their content, in file mode alone.
//!
//! Last good: as long as what is named can't be read, or isn't a certificate with its key, the Secret
//! stays as it was, for a certificate and its key are seldom replaced in one step. Pure but for the
//! reading, which is an argument.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::Update;
use super::read::ReadError;
use crate::api::certificate::{Flaw, NAMED_FILES};
use crate::api::storage::Secret;
use crate::api::{Object, ObjectKey, ObjectKind};
use crate::limits;
use crate::problem::{Problem, Severity};
use crate::store::{Source, SourceReader};
use crate::watch::Event;

/// Secrets with files beside their YAML.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    secrets: BTreeMap<ObjectKey, Named>,
    reported: Vec<Problem>,
}

#[derive(Debug)]
struct Named {
    written: Arc<Secret>,
    source: Source,
    /// With what the files said when they were last good.
    in_force: Option<(Arc<Secret>, Source)>,
    problem: Option<Problem>,
}

/// What is wrong with one of the files, or with what they hold together.
enum Trouble {
    File {
        annotation: &'static str,
        path: PathBuf,
        error: ReadError,
    },
    Flawed(Flaw),
}

impl Beside {
    /// Every file that is named.
    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let secrets = self.secrets.values();
        secrets.flat_map(|one| files(&one.written, &one.source).map(|(_, _, path)| path))
    }

    /// Puts the files' content into the Secrets that name them, those of earlier updates too.
    pub(crate) fn complete(
        &mut self,
        mut update: Update,
        mut read: impl FnMut(&Path) -> Result<Vec<u8>, ReadError>,
    ) -> Update {
        update.batch.events.retain(|event| self.is_plain(event));
        let mut problems = Vec::new();
        for (key, named) in &mut self.secrets {
            let changed = named.look(key, &mut read);
            update.batch.events.extend(changed);
            if named.problem.is_some() && named.in_force.is_some() {
                update.held.insert(key.clone());
            }
            problems.extend(named.problem.clone());
        }
        let is_in = |one: &Problem, all: &[Problem]| all.contains(one);
        let new = problems.iter().filter(|one| !is_in(one, &self.reported));
        update.appeared.extend(new.cloned());
        let gone = self.reported.iter().filter(|one| !is_in(one, &problems));
        update.mended.extend(gone.cloned());
        update.batch.problems.extend(problems.iter().cloned());
        update.batch.problems.sort();
        self.reported = problems;
        update
    }

    /// Whether an event is to be told as it is; takes over those of Secrets that name files.
    fn is_plain(&mut self, event: &Event) -> bool {
        match event {
            Event::Applied {
                object: Object::Secret(secret),
                source: Some(source),
            } => {
                let name = secret.metadata.object_name();
                let kind = ObjectKind::Secret;
                let key = ObjectKey { kind, name };
                let before = self.secrets.remove(&key);
                if files(secret, source).next().is_none() {
                    return true;
                }
                let named = Named {
                    written: secret.clone(),
                    source: source.clone(),
                    in_force: before.and_then(|before| before.in_force),
                    problem: None,
                };
                self.secrets.insert(key, named);
                false
            }
            Event::Applied { .. } | Event::Misread(..) => true,
            Event::Removed(key) => match self.secrets.remove(key) {
                Some(named) => named.in_force.is_some(),
                None => true,
            },
        }
    }
}

impl Named {
    /// Reads the files again. What differs by that is told.
    fn look(
        &mut self,
        key: &ObjectKey,
        read: &mut impl FnMut(&Path) -> Result<Vec<u8>, ReadError>,
    ) -> Option<Event> {
        let filled = match self.filled(read) {
            Ok(filled) => filled,
            Err(trouble) => {
                self.problem = Some(trouble.problem(key, &self.source));
                return None;
            }
        };
        self.problem = None;
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

    fn filled(
        &self,
        read: &mut impl FnMut(&Path) -> Result<Vec<u8>, ReadError>,
    ) -> Result<Secret, Trouble> {
        let mut content: Vec<(&str, Vec<u8>)> = Vec::new();
        for (annotation, data_key, path) in files(&self.written, &self.source) {
            let bytes = read(&path).map_err(|error| Trouble::File {
                annotation,
                path,
                error,
            })?;
            content.push((data_key, bytes));
        }
        let secret = self.written.with_data(content);
        match secret.flaw() {
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
    fn problem(self, key: &ObjectKey, source: &Source) -> Problem {
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
            place: Some(SourceReader::new().place(source, &field)),
            severity: Severity::Error,
            object: Some(key.clone()),
            field,
            message,
            remedy: Some(remedy),
        }
    }
}

/// A plain file, of what size a Secret may have.
pub(crate) fn read_pem(path: &Path) -> Result<Vec<u8>, ReadError> {
    if !std::fs::metadata(path)?.is_file() {
        // A pipe would block whoever opens it.
        return Err(ReadError::Special);
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(limits::PEM_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limits::PEM_FILE_BYTES {
        true => Err(ReadError::LargePem),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::file::{Content, Folder, Scan};

    const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: site\n  annotations:\n    ringgate.io/certificate-file: tls/site.crt\n    ringgate.io/key-file: tls/site.key\ntype: kubernetes.io/tls\n";
    const PEM: [(&str, &str); 4] = [
        ("a.crt", include_str!("../../../testdata/pem/ecdsa.crt")),
        ("a.key", include_str!("../../../testdata/pem/ecdsa.key")),
        ("b.crt", include_str!("../../../testdata/pem/rsa.crt")),
        ("b.key", include_str!("../../../testdata/pem/rsa.key")),
    ];

    /// A folder with one YAML file, and what lies beside it.
    #[derive(Default)]
    struct Seen {
        folder: Folder,
        beside: Beside,
    }

    impl Seen {
        /// `yaml` None: unchanged. The certificate and the key are named as in `PEM`; others aren't there.
        fn look(&mut self, yaml: Option<&str>, certificate: &str, key: &str) -> Update {
            let content = match yaml {
                Some(text) => Content::Text(text.to_owned()),
                None => Content::Unchanged,
            };
            let scan = Scan {
                files: BTreeMap::from([("dir/site.yaml".into(), content)]),
                ..Scan::default()
            };
            let update = self.folder.update(scan);
            self.beside.complete(update, |path| {
                let wanted = match path.to_str().unwrap() {
                    "dir/tls/site.crt" => certificate,
                    "dir/tls/site.key" => key,
                    other => panic!("{other} is not named"),
                };
                let found = PEM.iter().find(|(name, _)| *name == wanted);
                found
                    .map(|(_, text)| text.as_bytes().to_vec())
                    .ok_or(ReadError::Missing)
            })
        }
    }

    fn leaf(update: &Update) -> Vec<u8> {
        let [
            Event::Applied {
                object: Object::Secret(secret),
                ..
            },
        ] = update.batch.events.as_slice()
        else {
            panic!("{:?}", update.batch.events);
        };
        secret.data["tls.crt"].to_vec()
    }

    fn messages(problems: &[Problem]) -> Vec<String> {
        problems.iter().map(|one| one.message.clone()).collect()
    }

    #[test]
    fn a_pair_is_taken_when_both_files_belong_together_again() {
        let mut seen = Seen::default();
        let first = seen.look(Some(SECRET), "a.crt", "a.key");
        assert_eq!(leaf(&first), PEM[0].1.as_bytes());
        assert!(!seen.look(None, "a.crt", "a.key").is_news());

        let half = seen.look(None, "b.crt", "a.key");
        assert!(half.batch.events.is_empty() && half.held.len() == 1);
        let told = messages(&half.appeared);
        assert!(told[0].contains("doesn't belong"), "{told:?}");
        assert!(!seen.look(None, "b.crt", "a.key").is_news(), "told once");

        let whole = seen.look(None, "b.crt", "b.key");
        assert_eq!(leaf(&whole), PEM[2].1.as_bytes());
        assert_eq!(messages(&whole.mended), told);
        assert!(whole.batch.problems.is_empty());
    }

    #[test]
    fn without_a_last_good_one_there_is_no_secret_and_the_file_is_named() {
        let mut seen = Seen::default();
        let update = seen.look(Some(SECRET), "a.crt", "nowhere");
        assert!(update.batch.events.is_empty() && update.held.is_empty());
        let problem = &update.batch.problems[0];
        assert_eq!(problem.message, "dir/tls/site.key: no such file or folder");
        let field = "metadata.annotations[\"ringgate.io/key-file\"]";
        assert_eq!(problem.field, field);
        let removed = seen.look(Some("# nothing\n"), "a.crt", "nowhere");
        assert!(removed.batch.events.is_empty(), "it was never there");
        assert_eq!(removed.mended.len(), 1);
    }

    #[test]
    fn paths_do_not_leave_the_folder() {
        for path in ["/etc/site.crt", "../site.crt", "tls/../../site.crt"] {
            let mut seen = Seen::default();
            let update = seen.look(
                Some(&SECRET.replace("tls/site.crt", path)),
                "a.crt",
                "a.key",
            );
            assert!(update.batch.events.is_empty(), "{path}");
            let told = messages(&update.batch.problems);
            assert!(told[0].contains("beside"), "{path}: {told:?}");
        }
    }
}
