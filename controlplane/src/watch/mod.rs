//! Watching: what yields the objects, and their changes. Files and a cluster yield the same events.

pub mod file;
pub mod kube;

use crate::api::json::JsonError;
use crate::api::reference::PolicyTarget;
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

/// A version of an object that isn't understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread {
    pub generation: i64,
    pub error: JsonError,
    /// Of a policy: what it names, as far as that is understood.
    pub targets: Vec<PolicyTarget>,
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
    /// The API server has taken a version that we don't understand; the one before stays.
    Misread(ObjectKey, Misread),
}
