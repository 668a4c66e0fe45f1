//! Problem: what is wrong with something that a user wrote, where, and how to mend it.
//!
//! Owns the type and how it is printed. What counts as a problem is decided by who finds it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::api::ObjectKey;

/// How bad it is. Only an error makes `ringgate validate` fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The document (or the part that is named) is not taken.
    Error,
    /// Taken, but hardly what was meant.
    Warning,
    /// Nothing is wrong: something is not for us.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// A place in a file; line and column count from 1, the column in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub file: Arc<Path>,
    /// None: the file as a whole.
    pub position: Option<Position>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match self.position {
            Some(Position { line, column }) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// Ordered by place, so that a sorted list reads like the files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// None: it comes from no file (a cluster's object).
    pub place: Option<Place>,
    pub severity: Severity,
    pub object: Option<ObjectKey>,
    /// Path of the field, as `spec.rules[0].matches[1].path.value`; empty: the object as a whole.
    pub field: String,
    pub message: String,
    pub remedy: Option<String>,
}

impl Problem {
    /// The same without its line, which moves with every edit above it.
    #[must_use]
    pub fn placeless(&self) -> Self {
        let mut same = self.clone();
        if let Some(place) = &mut same.place {
            place.position = None;
        }
        same
    }

    /// Those that are new in `now`, and those of `before` that are gone, whatever line they are in.
    #[must_use]
    pub fn differences(before: &[Self], now: &[Self]) -> (Vec<Self>, Vec<Self>) {
        let only_in = |these: &[Self], those: &[Self]| -> Vec<Self> {
            let known: BTreeSet<Self> = those.iter().map(Self::placeless).collect();
            let new = these.iter().filter(|one| !known.contains(&one.placeless()));
            new.cloned().collect()
        };
        (only_in(now, before), only_in(before, now))
    }
}

/// `routes.yaml:12:9: error: HTTPRoute default/app: spec.hostnames[0]: message`, and the remedy on a line of its own.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: ", self.severity)?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n    remedy: {remedy}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ObjectKind;

    #[test]
    fn a_problem_reads_like_a_compilers() {
        let problem = Problem {
            place: Some(Place {
                file: Path::new("routes.yaml").into(),
                position: Some(Position {
                    line: 12,
                    column: 9,
                }),
            }),
            severity: Severity::Error,
            object: Some(ObjectKey::new(ObjectKind::HttpRoute, "default", "app")),
            field: "spec.hostnames[0]".into(),
            message: "must not be empty".into(),
            remedy: Some("leave it out".into()),
        };
        assert_eq!(
            problem.to_string(),
            "routes.yaml:12:9: error: HTTPRoute default/app: spec.hostnames[0]: must not be empty\n    remedy: leave it out"
        );
    }
}
