//! What conditions have no place for, said as Events on objects: an object that isn't understood, an OCSP
//! response that isn't stapled, a data plane that lags. Pure; [`super::write`] publishes what is new.

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
    notices.extend(findings.iter().filter_map(not_stapled));
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

fn not_stapled(finding: &Finding) -> Option<Notice> {
    let Fault::Unstapled { .. } = &finding.fault else {
        return None;
    };
    Some(Notice {
        object: finding.object.clone(),
        reason: "NotStapled",
        message: format!("{}: {}", finding.field, words::message(&finding.fault)),
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
