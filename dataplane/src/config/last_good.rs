//! The last good snapshot on disk: what a data plane boots from while no control plane is there.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use prost::Message;
use ringgate_core::ir::Snapshot;
use ringgate_core::wire;
use thiserror::Error;

/// The file's place. Written whole, beside, and renamed: a crash leaves the old one or the new one.
#[derive(Clone, Debug)]
pub(crate) struct LastGood {
    path: PathBuf,
}

#[derive(Debug, Error)]
pub(crate) enum LoadError {
    #[error("can't be read: {0}")]
    Read(io::Error),
    #[error("is damaged: {0}")]
    Decode(#[from] wire::DecodeError),
}

impl LastGood {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            path: folder.join("snapshot.pb"),
        }
    }

    /// The snapshot, or none if there was never one.
    ///
    /// # Errors
    /// When the file is there but of no use; the data plane then waits for a control plane.
    pub(crate) fn load(&self) -> Result<Option<Snapshot>, LoadError> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(wire::saved(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LoadError::Read(error)),
        }
    }

    /// # Errors
    /// Those of the file system.
    pub(crate) fn store(&self, snapshot: &wire::proto::Saved) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let beside = self.path.with_extension("pb.new");
        // Private keys are in it.
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&beside)?;
        file.write_all(&snapshot.encode_to_vec())?;
        file.sync_data()?;
        fs::rename(&beside, &self.path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ringgate-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn what_is_stored_is_loaded_and_damage_is_noticed() {
        let folder = folder("last-good");
        let last_good = LastGood::in_folder(&folder);
        assert!(last_good.load().unwrap().is_none());
        last_good
            .store(&wire::encode_saved(&Snapshot::default()))
            .unwrap();
        assert_eq!(last_good.load().unwrap(), Some(Snapshot::default()));
        fs::write(last_good.path(), b"\xff\xff").unwrap();
        assert!(matches!(last_good.load(), Err(LoadError::Decode(_))));
        fs::remove_dir_all(folder).unwrap();
    }
}
