//! Where an object was written: small to keep, and turned into line and column only when asked.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use crate::api::document::item_node;
use crate::limits;
use crate::problem::{Place, Position};
use crate::yaml::{self, Chunk};

/// An object's origin: which document of which file. Lines move with every edit above them, so the
/// document is known by its content, not by its line.
#[derive(Clone, Debug)]
pub struct Source {
    pub file: Arc<Path>,
    /// [`document_hash`] of the document's text.
    pub document: u64,
    /// Its place in a `kind: List`; None outside of one.
    pub item: Option<u32>,
}

impl PartialEq for Source {
    /// The path, which is slow to compare, comes last.
    fn eq(&self, other: &Self) -> bool {
        let same_document = self.document == other.document && self.item == other.item;
        same_document && (Arc::ptr_eq(&self.file, &other.file) || self.file == other.file)
    }
}

impl Eq for Source {}

/// Tells documents apart; the same in every run of one build.
#[must_use]
pub fn document_hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Turns sources and field paths into places, by reading the files again. Keeps the last file that
/// it read: ask for the places of one file after another.
#[derive(Debug, Default)]
pub struct SourceReader {
    last: Option<Read>,
}

#[derive(Debug)]
struct Read {
    file: Arc<Path>,
    /// By hash: the first line, and the text.
    documents: HashMap<u64, (u32, Box<str>)>,
}

impl Read {
    fn of(file: &Arc<Path>) -> Option<Self> {
        let size = std::fs::metadata(file).ok()?.len();
        if size > limits::FILE_BYTES {
            return None;
        }
        let text = std::fs::read_to_string(file).ok()?;
        let mut documents = HashMap::new();
        for Chunk { first_line, text } in yaml::split(&text) {
            let document = documents.entry(document_hash(text));
            document.or_insert_with(|| (first_line, text.into()));
        }
        let file = file.clone();
        Some(Self { file, documents })
    }
}

impl SourceReader {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of `field` (empty: of the object), or of the nearest field around it that was
    /// written. Without line and column when the file can't be read, or its document isn't there
    /// any more (an object that is kept at its last good version).
    pub fn place(&mut self, source: &Source, field: &str) -> Place {
        Place {
            file: source.file.clone(),
            position: self.position(source, field),
        }
    }

    fn position(&mut self, source: &Source, field: &str) -> Option<Position> {
        let (first_line, text) = self.documents(&source.file)?.get(&source.document)?;
        let parsed = yaml::parse(text);
        let position = item_node(parsed.root.as_ref()?, source.item)?.find(field);
        Some(Position {
            line: shifted(*first_line, position.line),
            ..position
        })
    }

    fn documents(&mut self, file: &Arc<Path>) -> Option<&HashMap<u64, (u32, Box<str>)>> {
        if self.last.as_ref().is_none_or(|last| last.file != *file) {
            self.last = Read::of(file);
        }
        self.last.as_ref().map(|last| &last.documents)
    }
}

/// A line of a document's text as one of its file; both count from 1.
pub(crate) fn shifted(first_line: u32, line: u32) -> u32 {
    first_line.saturating_add(line).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_keeps_its_place_when_lines_move_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        let document = "---\nkind: Service\nspec:\n  ports:\n  - port: 80\n";
        std::fs::write(&path, format!("# one\n---\na: 1\n{document}")).unwrap();
        let source = Source {
            file: path.as_path().into(),
            document: document_hash(document),
            item: None,
        };
        let at = |field: &str| SourceReader::new().place(&source, field).position;
        assert_eq!(at(""), Some(Position { line: 5, column: 1 }));
        assert_eq!(
            at("spec.ports[0].port"),
            Some(Position {
                line: 8,
                column: 11
            })
        );
        std::fs::write(&path, format!("a: 1\nb: 2\nc: 3\nd: 4\n{document}")).unwrap();
        assert_eq!(
            at("spec.ports[0].port"),
            Some(Position {
                line: 9,
                column: 11
            })
        );
        std::fs::write(&path, "gone: true\n").unwrap();
        assert_eq!(at("spec"), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(at("spec"), None);
    }
}
