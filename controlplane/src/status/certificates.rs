//! How long the certificates in force hold, and who ought to know.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringgate_core::ir::ObjectName;
use serde::{Deserialize, Serialize};

use crate::api::{ObjectKey, ObjectKind};
use crate::limits::CERTIFICATE_DAYS;
use crate::problem::{Problem, Severity};
use crate::shared_map::SharedMap;
use crate::store::{Resources, SourceReader};

/// The ends of certificates in seconds since 1970, by Secret.
pub type Ends = SharedMap<ObjectName, i64>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// `namespace/name`.
    pub secret: String,
    /// RFC 3339, in whole seconds.
    pub ends: String,
    /// Whole days; below 0: it has ended.
    pub days_left: i64,
}

/// The soonest end first.
#[must_use]
pub fn statuses(ends: &Ends, now: SystemTime) -> Vec<CertificateStatus> {
    let mut all: Vec<_> = ends.iter().collect();
    all.sort_by_key(|(_, end)| **end);
    let statuses = all.into_iter().map(|(secret, end)| CertificateStatus {
        secret: secret.to_string(),
        ends: text(*end),
        days_left: days_left(*end, now),
    });
    statuses.collect()
}

/// A warning for each that ends soon, or has.
#[must_use]
pub fn problems(ends: &Ends, resources: &Resources, now: SystemTime) -> Vec<Problem> {
    let mut reader = SourceReader::new();
    let soon = ends
        .iter()
        .filter(|(_, end)| days_left(**end, now) < CERTIFICATE_DAYS);
    let problems = soon.map(|(name, end)| {
        let key = ObjectKey {
            kind: ObjectKind::Secret,
            name: name.clone(),
        };
        let message = match days_left(*end, now) {
            days if days < 0 => {
                format!("its certificate ended at {}, and is served on", text(*end))
            }
            days => format!("its certificate ends in {days} days, at {}", text(*end)),
        };
        let source = resources.source(&key);
        Problem {
            place: source.map(|source| reader.place(source, "")),
            severity: Severity::Warning,
            object: Some(key),
            field: String::new(),
            message,
            remedy: Some("renew it, or see why that doesn't happen by itself".to_owned()),
        }
    });
    problems.collect()
}

fn days_left(end: i64, now: SystemTime) -> i64 {
    const DAY: i64 = 24 * 60 * 60;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    end.saturating_sub(now).div_euclid(DAY)
}

fn text(end: i64) -> String {
    let since = Duration::from_secs(u64::try_from(end).unwrap_or_default());
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_end_soon_are_warned_of_and_the_soonest_comes_first() {
        let day = 24 * 60 * 60;
        let name = |name: &str| ObjectName::new("default", name);
        let ends = Ends::from_iter([
            (name("gone"), 9 * day),
            (name("long"), 24 * day),
            (name("soon"), 24 * day - 1),
        ]);
        let now = UNIX_EPOCH + Duration::from_secs(10 * 24 * 60 * 60);
        let statuses = statuses(&ends, now);
        let left: Vec<_> = statuses
            .iter()
            .map(|one| (one.secret.as_str(), one.days_left))
            .collect();
        let expected = [
            ("default/gone", -1),
            ("default/soon", 13),
            ("default/long", 14),
        ];
        assert_eq!(left, expected);
        assert_eq!(statuses[0].ends, "1970-01-10T00:00:00Z");
        let problems = problems(&ends, &Resources::default(), now);
        let told: Vec<_> = problems.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(
            told,
            [
                "its certificate ended at 1970-01-10T00:00:00Z, and is served on",
                "its certificate ends in 13 days, at 1970-01-24T23:59:59Z",
            ]
        );
    }
}
