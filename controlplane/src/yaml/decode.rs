//! serde over nodes: every problem of a document with its place, not only the first.
//!
//! serde ends at the first error. So a value that is refused is left out, and the document is read
//! again without it, until nothing more is found. What is wrong only because something was left out
//! isn't told.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeOwned};

use super::path::FieldPath;
use super::reader::Reader;
use super::{Finding, Node};
use crate::limits;
use crate::problem::{Position, Severity};

/// How a node is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Fields of the root that are passed over.
    pub ignored: &'static [&'static str],
    /// No message quotes a value.
    pub secret: bool,
}

/// What became of a node.
#[derive(Debug)]
pub struct Decoded<T> {
    /// None when an error was found.
    pub value: Option<T>,
    pub findings: Vec<Finding>,
}

/// Reads a node as a `T`.
#[must_use]
pub fn decode<T: DeserializeOwned>(node: &Node, reading: Reading) -> Decoded<T> {
    let pass = Pass {
        reading,
        ..Pass::default()
    };
    let mut errors = Vec::new();
    let value = loop {
        pass.findings.borrow_mut().clear();
        let error = match T::deserialize(pass.reader(node, &FieldPath::Root)) {
            Ok(value) => break errors.is_empty().then_some(value),
            Err(error) => error.at(node, &FieldPath::Root),
        };
        let place = error.place();
        let told = !pass.is_consequence(&place.field);
        let root = place.field.is_empty();
        pass.left_out.borrow_mut().insert(place.field.clone());
        if told {
            errors.push(place);
        }
        if root || pass.left_out.borrow().len() >= limits::PROBLEMS_PER_OBJECT {
            break None;
        }
    };
    errors.append(&mut pass.findings.borrow_mut());
    let failed = errors.iter().any(|one| one.severity == Severity::Error);
    errors.sort_by_key(|one| one.position);
    errors.truncate(limits::PROBLEMS_PER_OBJECT);
    Decoded {
        value: value.filter(|_| !failed),
        findings: errors,
    }
}

/// One reading of a document: what is left out of it, and what was found that doesn't end it.
#[derive(Default)]
pub(super) struct Pass {
    pub(super) reading: Reading,
    left_out: RefCell<BTreeSet<String>>,
    findings: RefCell<Vec<Finding>>,
}

impl Pass {
    fn reader<'n, 'p>(&'n self, node: &'n Node, path: &'p FieldPath<'p>) -> Reader<'n, 'p> {
        Reader {
            node,
            path,
            pass: self,
        }
    }

    pub(super) fn is_left_out(&self, path: &FieldPath<'_>) -> bool {
        let left_out = self.left_out.borrow();
        !left_out.is_empty() && left_out.contains(&path.to_string())
    }

    /// Whether something within that field was left out before.
    fn is_consequence(&self, field: &str) -> bool {
        let within = |one: &String| {
            one.strip_prefix(field)
                .is_some_and(|rest| field.is_empty() || rest.starts_with(['.', '[']))
        };
        self.left_out.borrow().iter().any(within)
    }

    pub(super) fn find(
        &self,
        severity: Severity,
        position: Position,
        path: &FieldPath<'_>,
        message: String,
        remedy: String,
    ) {
        let mut findings = self.findings.borrow_mut();
        if findings.len() < limits::PROBLEMS_PER_OBJECT {
            findings.push(Finding {
                severity,
                position,
                field: path.to_string(),
                message,
                remedy: Some(remedy),
            });
        }
    }
}

/// What ends a reading. Its place is added by the innermost collection that it passes.
#[derive(Debug)]
pub(super) struct DecodeError {
    message: String,
    remedy: Option<String>,
    at: Option<(String, Position)>,
}

impl DecodeError {
    pub(super) fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            remedy: Some(remedy.into()),
            at: None,
        }
    }

    pub(super) fn at(mut self, node: &Node, path: &FieldPath<'_>) -> Self {
        if self.at.is_none() {
            self.at = Some((path.to_string(), node.position));
        }
        self
    }

    fn place(self) -> Finding {
        let (field, position) = self
            .at
            .unwrap_or((String::new(), Position { line: 1, column: 1 }));
        Finding {
            severity: Severity::Error,
            position,
            field,
            message: self.message,
            remedy: self.remedy,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    /// A second line is the remedy.
    fn custom<M: fmt::Display>(message: M) -> Self {
        let text = message.to_string();
        match text.split_once('\n') {
            Some((message, remedy)) => Self::new(message, remedy),
            None => Self {
                message: text,
                remedy: None,
                at: None,
            },
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(
            format!("field `{field}` is missing"),
            format!("add `{field}:`"),
        )
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(
            format!("must be {expected}, is {unexpected}"),
            format!("write {expected}"),
        )
    }
}
