//! What conditions have no place for, said as Events on objects: an object that isn't understood, an OCSP
//! response that isn't stapled, a health check without effect, a data plane that lags. Pure; [`super::write`] publishes what is new.

use std::collections::BTreeSet;

use super::coverage::DataPlaneStatus;
use super::words;
use crate::api::{ObjectKey, ObjectKind};
use crate::limits::NOTICES;
use crate::problem::{Problem, Severity};
use crate::translate::problem::{Fault, Finding};

/// Something that holds now of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    pub object: ObjectKey,
    /// As of an Event: one word.
    pub reason: &'static str,
    pub message: String,
}

/// All that hold now; `gateways` are those that are ours.
#[must_use]
pub fn notices<'a>(
    problems: &[Problem],
    findings: &BTreeSet<Finding>,
    planes: &[DataPlaneStatus],
    gateways: impl Iterator<Item = &'a ringgate_core::ir::ObjectName>,
) -> BTreeSet<Notice> {
    let errors = problems
        .iter()
        .filter(|one| one.severity == Severity::Error);
    let mut notices: BTreeSet<Notice> = errors.filter_map(not_understood).collect();
    notices.extend(findings.iter().filter_map(not_done));
    notices.extend(findings.iter().filter_map(of_service));
    let lagging: Vec<&str> = planes
        .iter()
        .filter(|plane| plane.lagging)
        .map(|plane| plane.instance.as_str())
        .collect();
    if lagging.is_empty() {
        return notices;
    }
    let message = format!(
        "not waited for any more, because they don't put a version in force: data planes {}",
        lagging.join(", ")
    );
    notices.extend(gateways.take(NOTICES).map(|name| Notice {
        object: ObjectKey {
            kind: ObjectKind::Gateway,
            name: name.clone(),
        },
        reason: "DataPlaneLags",
        message: message.clone(),
    }));
    notices
}

/// What an object asks for and doesn't get, though it is accepted.
fn not_done(finding: &Finding) -> Option<Notice> {
    let Finding { field, fault, .. } = finding;
    let (reason, remedy) = match fault {
        Fault::Unstapled { .. } => ("NotStapled", None),
        Fault::NotChecked { .. } => ("NotChecked", words::remedy(fault)),
        _ => return None,
    };
    let remedy = remedy.map_or_else(String::new, |remedy| format!("; {remedy}"));
    Some(Notice {
        object: finding.object.clone(),
        reason,
        message: format!("{field}: {}{remedy}", words::message(fault)),
    })
}

/// A Service whose load balancer we are has no condition of ours. What is odd about its endpoints isn't about that.
fn of_service(finding: &Finding) -> Option<Notice> {
    let Finding {
        object,
        field,
        fault,
    } = finding;
    if object.kind != ObjectKind::Service || matches!(fault, Fault::NoSlicePort { .. }) {
        return None;
    }
    let place = match &**field {
        "" => String::new(),
        field => format!("{field}: "),
    };
    let remedy = words::remedy(fault).map_or_else(String::new, |remedy| format!("; {remedy}"));
    Some(Notice {
        object: object.clone(),
        reason: words::reason(fault),
        message: format!("{place}{}{remedy}", words::message(fault)),
    })
}

fn not_understood(problem: &Problem) -> Option<Notice> {
    Some(Notice {
        object: problem.object.clone()?,
        reason: "NotUnderstood",
        message: format!(
            "{}: {}; its last good version counts, if there was one",
            problem.field, problem.message
        ),
    })
}
