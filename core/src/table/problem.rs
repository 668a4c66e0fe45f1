//! What of a snapshot can't be compiled. Compile may fail, swap may not: a rule that fails answers
//! with 500 and its neighbours go on.

use thiserror::Error;

use crate::ir::Id;

/// A problem with one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub object: Id,
    /// The rule's place in the route, from 0.
    pub rule: Option<usize>,
    pub error: CompileError,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompileError {
    #[error("expression {expression:?} can't be used: {reason}")]
    Regex { expression: String, reason: String },
    #[error("header {name:?} belongs to the connection or to framing and can't be edited")]
    ForbiddenHeader { name: String },
    #[error("backend {id} is not part of the snapshot")]
    MissingBackend { id: Id },
    #[error("listener {id} is not part of the snapshot")]
    MissingListener { id: Id },
}
