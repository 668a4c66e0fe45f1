//! `ringgate validate`: everything that is wrong with files by themselves (syntax and schema).
//!
//! References between objects are translation's affair; it gets the objects from here.

use std::path::PathBuf;

use crate::problem::{Problem, Severity};
use crate::store::Resources;
use crate::watch::file::{Beside, Folder, PemFiles, Suspects, look};

/// What files hold.
#[derive(Debug)]
pub struct Checked {
    /// The objects without errors.
    pub resources: Resources,
    /// By place.
    pub problems: Vec<Problem>,
}

impl Checked {
    /// Whether something is wrong; warnings and notes are not.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        let mut problems = self.problems.iter();
        problems.any(|one| one.severity == Severity::Error)
    }
}

/// Reads files and folders once. A path that isn't there is a problem too.
#[must_use]
pub fn files(paths: &[PathBuf]) -> Checked {
    let update = Folder::default().update(look(paths));
    let mut pems = PemFiles::default();
    let update = Beside::default().complete(update, &Suspects::All, &mut pems);
    let mut resources = Resources::default();
    resources.apply(&update.batch);
    Checked {
        resources,
        problems: update.batch.problems,
    }
}
