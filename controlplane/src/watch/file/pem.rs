//! The files with certificates and keys that Secrets name: read when they may be others than before.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::beside::Files;
use super::read::{Fingerprint, ReadError};
use crate::limits;

/// How each file looked when it was asked for last.
#[derive(Debug, Default)]
pub(crate) struct PemFiles {
    known: HashMap<PathBuf, Fingerprint>,
}

impl Files for PemFiles {
    fn is_other(&mut self, path: &Path) -> bool {
        let now = fs::metadata(path).ok();
        let now = now.map(|metadata| Fingerprint::of(&metadata));
        if now.is_some() && self.known.get(path) == now.as_ref() {
            return false;
        }
        self.known.remove(path);
        // A second change within the clock's tick would look the same.
        if let Some(now) = now.filter(Fingerprint::is_settled) {
            self.known.insert(path.into(), now);
        }
        true
    }

    /// A plain file, of what size a Secret may have.
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, ReadError> {
        if !fs::metadata(path)?.is_file() {
            // A pipe would block whoever opens it.
            return Err(ReadError::Special);
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(path)?;
        file.take(limits::PEM_FILE_BYTES + 1)
            .read_to_end(&mut bytes)?;
        match bytes.len() as u64 > limits::PEM_FILE_BYTES {
            true => Err(ReadError::LargePem),
            false => Ok(bytes),
        }
    }
}

impl PemFiles {
    /// Forgets those that nobody names any more.
    pub(super) fn keep<'p>(&mut self, named: impl Iterator<Item = &'p Path>) {
        let mut known = std::mem::take(&mut self.known);
        self.known = named.filter_map(|path| known.remove_entry(path)).collect();
    }
}
