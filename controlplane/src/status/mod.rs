//! Statuses: what became of each object, in the words of Gateway API v1.7.0. All of its texts live
//! here; who decided what stands in [`crate::translate`].
//!
//! [`coverage`] knows what data planes have in force, [`objects`] combines that with verdicts ([`pools`] of AddressPools),
//! [`board`] keeps the result, [`certificates`] watches their ends, [`report`] shows it, [`mod@write`] puts it into a cluster,
//! [`cluster`] reads what stands there. What a
//! GatewayClass says that we can do is one table, [`features`].

pub mod board;
pub mod certificates;
pub mod cluster;
pub mod condition;
pub mod coverage;
pub mod features;
pub mod notice;
pub mod objects;
pub mod pools;
pub mod report;
pub mod words;
pub mod write;

use crate::problem::{Place, Problem};
use crate::translate::problem::Finding;

/// A finding as people read it.
#[must_use]
pub fn problem(finding: &Finding, place: Option<Place>) -> Problem {
    Problem {
        place,
        severity: words::severity(&finding.fault),
        object: Some(finding.object.clone()),
        field: finding.field.clone(),
        message: words::message(&finding.fault),
        remedy: words::remedy(&finding.fault),
    }
}
