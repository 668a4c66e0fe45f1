//! The file in which control planes of files remember which addresses they gave.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use tracing::{info, warn};

use super::memory::Memory;
use crate::limits::MEMORY_BYTES;

/// Its name in the folder of the state.
const FILE: &str = "addresses.json";

/// A [`Memory`] that outlives the process, as far as its folder can be written.
#[derive(Debug)]
pub struct AddressFile {
    path: PathBuf,
    written: Memory,
    /// What failed last, so that it is logged once.
    told: Option<String>,
}

impl AddressFile {
    /// One that can't be read is none; it is said, for addresses may become others.
    #[must_use]
    pub fn open(folder: PathBuf) -> Self {
        let path = folder.join(FILE);
        let written = read(&path).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                warn!(
                    "which addresses were given before isn't known, they may become others: {}: {error}",
                    path.display()
                );
            }
            Memory::default()
        });
        Self {
            path,
            written,
            told: None,
        }
    }

    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.written
    }

    /// Writes what is other than before.
    pub fn save(&mut self, memory: &Memory) {
        if *memory == self.written {
            return;
        }
        match self.write(memory) {
            Ok(()) => {
                self.written = memory.clone();
                if self.told.take().is_some() {
                    info!("addresses that are given are remembered again");
                }
            }
            Err(error) => self.tell(&error),
        }
    }

    /// By another file, so that there is a whole one at any time.
    fn write(&self, memory: &Memory) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let beside = self.path.with_extension("json.new");
        let mut file = File::create(&beside)?;
        file.write_all(memory.to_text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)
    }

    fn tell(&mut self, error: &io::Error) {
        let text = error.to_string();
        if self.told.as_ref() == Some(&text) {
            return;
        }
        warn!(
            "addresses that are given aren't remembered, after a restart they may be others: {}: {text}\n    remedy: name a folder that can be written with --state-dir",
            self.path.display()
        );
        self.told = Some(text);
    }
}

fn read(path: &PathBuf) -> io::Result<Memory> {
    let mut text = String::new();
    File::open(path)?
        .take(MEMORY_BYTES)
        .read_to_string(&mut text)?;
    Memory::parse(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_there_again_and_what_cannot_be_read_is_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("state");
        let mut file = AddressFile::open(folder.clone());
        assert_eq!(*file.memory(), Memory::default());
        let text = r#"{"gateways": {"default/web": ["192.0.2.1"]}, "services": {"default/dns": ["fd00::1"]}}"#;
        let memory = Memory::parse(text).unwrap();
        file.save(&memory);
        assert_eq!(*AddressFile::open(folder.clone()).memory(), memory);
        fs::write(folder.join(FILE), "{").unwrap();
        assert_eq!(*AddressFile::open(folder).memory(), Memory::default());
    }
}
