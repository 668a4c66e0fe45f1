//! Watching: what yields the objects, and their changes. Files and a cluster yield the same events.

pub mod file;
pub mod kube;

use crate::api::{Object, ObjectKey};
use crate::problem::Problem;
use crate::store::Source;

/// One consistent change: its events take force together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub events: Vec<Event>,
    /// All problems that stand now with what is watched (not just those that are new), by place.
    pub problems: Vec<Problem>,
}

impl Batch {
    /// Both as one: the later's problems are all that stand.
    #[must_use]
    pub fn followed_by(mut self, later: Self) -> Self {
        self.events.extend(later.events);
        Self {
            events: self.events,
            problems: later.problems,
        }
    }
}

/// What happened to one object.
#[derive(Clone, Debug)]
pub enum Event {
    /// New, changed, or come from another place.
    Applied {
        object: Object,
        /// None: from a cluster.
        source: Option<Source>,
    },
    Removed(ObjectKey),
}
