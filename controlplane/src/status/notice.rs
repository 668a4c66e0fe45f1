//! What conditions have no place for, said as Events on objects: an object that isn't understood, an OCSP
//! response that isn't stapled, a health check without effect, a data plane that lags. Pure; [`super::write`] publishes what is new.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::coverage::DataPlaneStatus;
use super::words;
use crate::api::{ObjectKey, ObjectKind};
use crate::limits::NOTICES;
use crate::problem::{Problem, Severity};
use crate::store::Resources;
use crate::translate::problem::{Fault, Finding};

/// Something that holds now of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    pub object: ObjectKey,
    /// Of the object, where it has to be told: `kubectl describe` looks for Events by it.
    pub uid: Option<Arc<str>>,
    /// Whether all is well: an Event of type Normal.
    pub is_good: bool,
    /// As of an Event: one word.
    pub reason: &'static str,
    pub message: String,
}

impl Notice {
    /// Of something that isn't well.
    fn warning(object: &ObjectKey, reason: &'static str, message: String) -> Self {
        Self {
            object: object.clone(),
            uid: None,
            is_good: false,
            reason,
            message,
        }
    }

    /// That a Service got these addresses.
    #[must_use]
    pub fn assigned(service: &ObjectName, addresses: &[IpAddr]) -> Self {
        let object = ObjectKey {
            kind: ObjectKind::Service,
            name: service.clone(),
        };
        let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        let message = format!("it has got {}", addresses.join(" and "));
        Self {
            is_good: true,
            ..Self::warning(&object, "AddressAssigned", message)
        }
    }
}

/// Of kinds that have no status of ours, whoever publishes an Event doesn't know the uid.
#[must_use]
pub fn with_uids(notices: BTreeSet<Notice>, resources: &Resources) -> BTreeSet<Notice> {
    let notices = notices.into_iter().map(|notice| {
        let service = match notice.object.kind {
            ObjectKind::Service => resources.services.get(&notice.object.name),
            _ => None,
        };
        let uid = service.and_then(|service| service.metadata.uid.clone());
        Notice { uid, ..notice }
    });
    notices.collect()
}

/// All that hold now; `gateways` are those that are ours.
#[must_use]
pub fn notices<'a>(
    problems: &[Problem],
    findings: &BTreeSet<Finding>,
    planes: &[DataPlaneStatus],
    gateways: impl Iterator<Item = &'a ObjectName>,
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
    notices.extend(gateways.take(NOTICES).map(|name| {
        let gateway = ObjectKey {
            kind: ObjectKind::Gateway,
            name: name.clone(),
        };
        Notice::warning(&gateway, "DataPlaneLags", message.clone())
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
    let message = format!("{field}: {}{remedy}", words::message(fault));
    Some(Notice::warning(&finding.object, reason, message))
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
    let message = format!("{place}{}{remedy}", words::message(fault));
    Some(Notice::warning(object, words::reason(fault), message))
}

fn not_understood(problem: &Problem) -> Option<Notice> {
    let message = format!(
        "{}: {}; its last good version counts, if there was one",
        problem.field, problem.message
    );
    let object = problem.object.as_ref()?;
    Some(Notice::warning(object, "NotUnderstood", message))
}
