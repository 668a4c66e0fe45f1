//! Looking at files and folders: which are ours, what is in them, and which folders to watch.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use super::folder::{Content, Scan};
use super::record::FileName;
use crate::limits;
use crate::problem::{Place, Position, Problem, Severity};

/// Why a file or folder couldn't be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    #[error("no such file or folder")]
    Missing,
    #[error("no permission to read it")]
    Permission,
    #[error("larger than {} MiB", limits::FILE_BYTES >> 20)]
    Large,
    #[error("larger than {} MiB", limits::PEM_FILE_BYTES >> 20)]
    LargePem,
    #[error("not UTF-8 text")]
    NotText { position: Position },
    #[error("neither a file nor a folder")]
    Special,
    #[error("more than {} files", limits::FILES)]
    ManyFiles,
    #[error("more than {} documents", limits::DOCUMENTS)]
    ManyDocuments,
    #[error("folders nested deeper than {}", limits::FOLDER_DEPTH)]
    Depth,
    #[error("can't be read: {kind}")]
    Io { kind: io::ErrorKind },
}

impl ReadError {
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Missing => "create it, or correct the path",
            Self::Permission => "let Ringgate's user read it",
            Self::Large | Self::ManyDocuments => "split it into several files",
            Self::NotText { .. } => "save it as UTF-8",
            Self::LargePem => "leave out what isn't needed",
            Self::Special => "put a plain file or a folder there",
            Self::ManyFiles => "put several documents into each file",
            Self::Depth => "look for a symlink that leads in a circle",
            Self::Io { .. } => "look at the file system and its log",
        }
    }

    pub(super) fn problem(&self, path: &Path) -> Problem {
        let position = match self {
            Self::NotText { position } => Some(*position),
            _ => None,
        };
        Problem {
            place: Some(Place {
                file: path.into(),
                position,
            }),
            severity: Severity::Error,
            object: None,
            field: String::new(),
            message: self.to_string(),
            remedy: Some(self.remedy().into()),
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Permission,
            kind => Self::Io { kind },
        }
    }
}

/// Which changes are of interest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    /// Folders of which everything is, with the path that led there (None: several did).
    pub(super) folders: BTreeMap<PathBuf, Option<PathBuf>>,
    /// Single names in other folders (a root in its parent, the target of a symlink).
    pub(super) names: BTreeSet<PathBuf>,
    /// Files that Secrets name: by a name on the way there, as `names` has it, those that it leads to, as
    /// they are written.
    beside: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

/// Folders without symlinks on the way, by their paths: each is resolved once.
#[derive(Default)]
struct Resolved(HashMap<PathBuf, Option<PathBuf>>);

impl Resolved {
    fn folder(&mut self, path: &Path) -> Option<&Path> {
        if !self.0.contains_key(path) {
            self.0.insert(path.into(), fs::canonicalize(path).ok());
        }
        self.0.get(path)?.as_deref()
    }
}

/// Reads files, and remembers enough of them to pass over those that didn't change.
#[derive(Debug, Default)]
pub(super) struct Reader {
    known: HashMap<FileName, Fingerprint>,
}

/// What tells a file from another by its name, and from itself after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// One look at everything.
struct Walk<'r> {
    reader: &'r mut Reader,
    scan: Scan,
    interest: Interest,
    /// Device and inode of the folders around the current one.
    around: Vec<(u64, u64)>,
}

impl Reader {
    pub(super) fn scan(&mut self, roots: &[PathBuf]) -> (Scan, Interest) {
        let mut walk = Walk {
            reader: self,
            scan: Scan::default(),
            interest: Interest::default(),
            around: Vec::new(),
        };
        for root in roots {
            walk.root(root);
        }
        let Walk { scan, interest, .. } = walk;
        let Scan { files, .. } = &scan;
        self.known.retain(|path, _| files.contains_key(path));
        (scan, interest)
    }

    /// Looks at plain files alone; None: one isn't there any more.
    pub(super) fn scan_files(&mut self, paths: &[PathBuf]) -> Option<Scan> {
        let mut scan = Scan {
            partial: true,
            ..Scan::default()
        };
        for path in paths {
            let metadata = fs::symlink_metadata(path);
            let Some(metadata) = metadata.ok().filter(Metadata::is_file) else {
                self.forget(&scan);
                return None;
            };
            let name = FileName::from(path);
            let content = self.read(&name, &metadata);
            scan.files.insert(name, content);
        }
        Some(scan)
    }

    /// Reads everything again at the next scan, for this one isn't taken.
    pub(super) fn forget(&mut self, scan: &Scan) {
        let read = |content: &Content| !matches!(content, Content::Unchanged);
        self.known
            .retain(|path, _| !scan.files.get(path).is_some_and(read));
    }

    fn read(&mut self, path: &FileName, metadata: &Metadata) -> Content {
        let now = Fingerprint::of(metadata);
        if self.known.get(path) == Some(&now) {
            return Content::Unchanged;
        }
        self.known.remove(path);
        match read_text(&path.0) {
            Ok(text) => {
                // A second change within the clock's tick would look the same.
                if now.is_settled() {
                    self.known.insert(path.clone(), now);
                }
                Content::Text(text)
            }
            Err(error) => Content::Failed(error),
        }
    }
}

impl Walk<'_> {
    fn root(&mut self, root: &Path) {
        self.interest.name(root);
        self.interest.link(root);
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => self.folder(root, &metadata),
            Ok(metadata) => self.file(root, &metadata),
            Err(error) => {
                self.scan.unreadable.insert(root.into(), error.into());
            }
        }
    }

    fn folder(&mut self, path: &Path, metadata: &Metadata) {
        let identity = (metadata.dev(), metadata.ino());
        if self.around.contains(&identity) {
            return;
        }
        if self.around.len() >= limits::FOLDER_DEPTH {
            self.scan.unreadable.insert(path.into(), ReadError::Depth);
            return;
        }
        // Interest first: what comes while the folder is read must not be missed.
        self.interest.folder(path);
        self.around.push(identity);
        match entries(path) {
            Ok(entries) => entries
                .iter()
                .for_each(|(path, link)| self.entry(path, *link)),
            Err(error) => {
                self.scan.unreadable.insert(path.into(), error.into());
            }
        }
        self.around.pop();
    }

    fn entry(&mut self, path: &Path, link: bool) {
        if is_hidden(path) {
            return;
        }
        let ours = is_ours(path);
        if link {
            self.interest.link(path);
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.folder(path, &metadata),
            Ok(metadata) if ours => self.file(path, &metadata),
            Ok(_) => {}
            Err(error) if ours => {
                self.scan
                    .files
                    .insert(path.into(), Content::Failed(error.into()));
            }
            Err(_) => {}
        }
    }

    fn file(&mut self, path: &Path, metadata: &Metadata) {
        if self.scan.files.len() >= limits::FILES {
            let root = path.parent().unwrap_or(path);
            self.scan
                .unreadable
                .insert(root.into(), ReadError::ManyFiles);
            return;
        }
        let path = FileName::from(path);
        // A pipe would block whoever opens it.
        let content = if metadata.is_file() {
            self.reader.read(&path, metadata)
        } else {
            Content::Failed(ReadError::Special)
        };
        self.scan.files.insert(path, content);
    }
}

impl Interest {
    /// A folder of which everything matters.
    fn folder(&mut self, path: &Path) {
        if let Ok(folder) = fs::canonicalize(path) {
            let ways = self.folders.entry(folder);
            ways.and_modify(|way| *way = None)
                .or_insert_with(|| Some(path.into()));
        }
    }

    /// A single name, in whatever folder it is; the nearest folder that exists, if that doesn't.
    fn name(&mut self, path: &Path) {
        self.names
            .extend(nearest(path, &mut Resolved::default()).map(|(name, _)| name));
    }

    /// Where a symlink leads to, step by step.
    fn link(&mut self, path: &Path) {
        for step in steps(path) {
            self.name(&step);
        }
    }

    /// Files that Secrets name.
    pub(super) fn beside<'p>(&mut self, paths: impl Iterator<Item = &'p Path>) {
        let mut resolved = Resolved::default();
        for path in paths {
            for step in std::iter::once(path.to_path_buf()).chain(steps(path)) {
                let Some((name, is_whole)) = nearest(&step, &mut resolved) else {
                    continue;
                };
                if is_whole {
                    let leads_to = self.beside.entry(name.clone()).or_default();
                    leads_to.insert(path.into());
                }
                self.names.insert(name);
            }
        }
    }

    /// The folders to watch.
    pub(super) fn watched(&self) -> BTreeSet<PathBuf> {
        let parents = self.names.iter().filter_map(|name| name.parent());
        let parents = parents.map(Path::to_path_buf);
        self.folders.keys().cloned().chain(parents).collect()
    }

    /// The files that changes of `paths` are about, by the paths that led to them, and those that
    /// Secrets name; None: more may have changed than plain files in folders that are known.
    pub(super) fn files(
        &self,
        paths: &BTreeSet<PathBuf>,
    ) -> Option<(Vec<PathBuf>, BTreeSet<PathBuf>)> {
        let (mut files, mut beside) = (Vec::new(), BTreeSet::new());
        for path in paths {
            let metadata = fs::symlink_metadata(path);
            if let Some(named) = self.beside.get(path) {
                // A symlink may lead elsewhere from now on.
                if metadata.as_ref().is_ok_and(|one| !one.is_file()) {
                    return None;
                }
                beside.extend(named.iter().cloned());
                if !is_ours(path) {
                    continue;
                }
            } else if self.names.contains(path) {
                return None;
            }
            if self.folders.contains_key(path) {
                return None;
            }
            let way = self.folders.get(path.parent()?)?.as_ref()?;
            let name = path.file_name()?;
            match metadata {
                Ok(metadata) if metadata.is_file() => {}
                // What editors leave behind for a moment, unless it may have been a symlink (`..data`).
                Err(_) if !is_ours(path) && !name.as_encoded_bytes().starts_with(b"..") => {}
                _ => return None,
            }
            if is_ours(path) && !is_hidden(path) {
                files.push(way.join(name));
            }
        }
        Some((files, beside))
    }

    /// Whether a change of `path` matters.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let within = path
            .parent()
            .is_some_and(|folder| self.folders.contains_key(folder));
        within || self.folders.contains_key(path) || self.names.contains(path)
    }
}

/// A path in the folder that it really is in, and whether it is that; else the nearest folder that
/// exists.
fn nearest(path: &Path, resolved: &mut Resolved) -> Option<(PathBuf, bool)> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let mut name = absolute.as_path();
    while let Some(parent) = name.parent() {
        if let (Some(folder), Some(last)) = (resolved.folder(parent), name.file_name()) {
            return Some((folder.join(last), name == absolute));
        }
        name = parent;
    }
    None
}

/// Where a symlink leads to, step by step; nothing if it is none.
fn steps(path: &Path) -> impl Iterator<Item = PathBuf> {
    let step = |path: &PathBuf| {
        let target = fs::read_link(path).ok()?;
        Some(path.parent().unwrap_or_else(|| Path::new("/")).join(target))
    };
    std::iter::successors(step(&path.to_path_buf()), step).take(8)
}

impl Fingerprint {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the last change is longer ago than clocks of file systems are coarse (10 ms; a
    /// network's may be off by more).
    pub(super) fn is_settled(&self) -> bool {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let (seconds, nanos) = self.changed;
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
            return false;
        };
        let changed = Duration::new(seconds, nanos);
        now.checked_sub(changed)
            .is_some_and(|age| age > Duration::from_millis(500))
    }
}

/// What is in a folder, sorted, and whether it is a symlink.
fn entries(path: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.path(), entry.file_type()?.is_symlink()))
    };
    let mut entries = fs::read_dir(path)?
        .map(entry)
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort_by(|(a, _), (b, _)| a.as_os_str().cmp(b.as_os_str()));
    Ok(entries)
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name();
    name.is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_ours(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    ["yaml", "yml", "json"]
        .iter()
        .any(|ours| extension.eq_ignore_ascii_case(ours))
}

fn read_text(path: &Path) -> Result<String, ReadError> {
    let file = fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.take(limits::FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limits::FILE_BYTES {
        return Err(ReadError::Large);
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default());
        ReadError::NotText {
            position: end_of(&before),
        }
    })
}

/// The position behind a text.
fn end_of(text: &str) -> Position {
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Position {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
    }
}

/// A look at the files without watching them.
#[must_use]
pub fn look(paths: &[PathBuf]) -> Scan {
    Reader::default().scan(paths).0
}
