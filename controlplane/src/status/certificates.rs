//! How long the certificates in force hold, and who ought to know.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringgate_core::ir::ObjectName;
use serde::{Deserialize, Serialize};

use crate::api::certificate::Ends;
use crate::api::{ObjectKey, ObjectKind};
use crate::limits::CERTIFICATE_DAYS;
use crate::problem::{Problem, Severity};
use crate::shared_map::SharedMap;
use crate::store::{Resources, SourceReader};

/// When certificates end, by Secret.
pub type AllEnds = SharedMap<ObjectName, Ends>;

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
pub fn statuses(ends: &AllEnds, now: SystemTime) -> Vec<CertificateStatus> {
    let mut all: Vec<_> = ends.iter().collect();
    all.sort_by_key(|(_, ends)| ends.certificate);
    let statuses = all.into_iter().map(|(secret, ends)| CertificateStatus {
        secret: secret.to_string(),
        ends: text(ends.certificate),
        days_left: days_left(ends.certificate, now),
    });
    statuses.collect()
}

/// A warning for each that ends soon, or has, and for each whose OCSP response has.
#[must_use]
pub fn problems(ends: &AllEnds, resources: &Resources, now: SystemTime) -> Vec<Problem> {
    let mut reader = SourceReader::new();
    let mut problems = Vec::new();
    for (name, ends) in ends {
        for (message, remedy) in warnings(ends, now) {
            let key = ObjectKey {
                kind: ObjectKind::Secret,
                name: name.clone(),
            };
            let source = resources.source(&key);
            problems.push(Problem {
                place: source.map(|source| reader.place(source, "")),
                severity: Severity::Warning,
                object: Some(key),
                field: String::new(),
                message,
                remedy: Some(remedy.to_owned()),
            });
        }
    }
    problems
}

/// Each with its remedy.
fn warnings(ends: &Ends, now: SystemTime) -> impl Iterator<Item = (String, &'static str)> {
    let end = ends.certificate;
    let certificate = match days_left(end, now) {
        CERTIFICATE_DAYS.. => None,
        ..0 => Some(format!(
            "its certificate ended at {}, and is served on",
            text(end)
        )),
        days => Some(format!(
            "its certificate ends in {days} days, at {}",
            text(end)
        )),
    };
    let certificate =
        certificate.map(|told| (told, "renew it, or see why that doesn't happen by itself"));
    let has_ended = |end: &i64| *end <= seconds(now);
    let staple = ends.staple.filter(has_ended).map(|end| {
        let told = format!(
            "its OCSP response ended at {}, and isn't stapled any more",
            text(end)
        );
        (
            told,
            "ask the issuer's responder for a new one, or take this one away",
        )
    });
    certificate.into_iter().chain(staple)
}

fn days_left(end: i64, now: SystemTime) -> i64 {
    const DAY: i64 = 24 * 60 * 60;
    end.saturating_sub(seconds(now)).div_euclid(DAY)
}

/// Since 1970.
fn seconds(now: SystemTime) -> i64 {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(now).unwrap_or(i64::MAX)
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
        let ends = |certificate, staple| Ends {
            certificate,
            staple,
        };
        let ends = AllEnds::from_iter([
            (name("gone"), ends(9 * day, Some(11 * day))),
            (name("long"), ends(24 * day, Some(10 * day))),
            (name("soon"), ends(24 * day - 1, None)),
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
                "its OCSP response ended at 1970-01-11T00:00:00Z, and isn't stapled any more",
                "its certificate ends in 13 days, at 1970-01-24T23:59:59Z",
            ]
        );
    }
}
