//! YAML with places: text to a bounded tree of nodes, and serde over that tree.
//!
//! Knows the YAML 1.2 core schema (of which JSON is a part) and nothing of Kubernetes. Every node
//! keeps its line and column, so that what is wrong can be shown where it stands.

mod decode;
mod parse;
mod path;
mod reader;
mod scalar;
mod split;
mod suggest;

use std::rc::Rc;

use crate::problem::{Position, Severity};

pub use decode::{Decoded, Reading, decode};
pub use parse::{Parsed, parse};
pub use path::FieldPath;
pub use split::{Chunk, split};
pub use suggest::nearest;

/// A node of a document. Aliases share their target.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins; for a mapping, its first key.
    pub position: Position,
    pub value: Value,
    /// Nodes and text below, itself included, aliases expanded (see `limits::DOCUMENT_UNITS`).
    units: u64,
    /// Levels below, itself included.
    height: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Scalar(Scalar),
    Sequence(Vec<Rc<Node>>),
    /// In the order of the text; no key twice.
    Mapping(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// As written, without quotes.
    pub text: Box<str>,
    /// Neither quoted nor a block nor tagged `!!str`: it may be a number, a boolean or null.
    pub plain: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: Rc<str>,
    pub key_position: Position,
    pub value: Rc<Node>,
}

/// What was found while reading, with a position in the document's text (from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub position: Position,
    /// Empty: the document as a whole.
    pub field: String,
    pub message: String,
    pub remedy: Option<String>,
}

impl Node {
    /// The value of a mapping's key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Rc<Self>> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The text of a key's value, if that is a scalar.
    #[must_use]
    pub fn text_of(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| *entry.key == *key),
            _ => None,
        }
    }
}
