//! Rules of BackendPolicy's fields about which endpoints work.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Checker;
use crate::api::health::{HealthCheck, OutlierDetection};
use crate::api::text::ApiDuration;
use crate::yaml::FieldPath;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Without a field of its own that one of `http` and `grpc` is, it would be a guess which one is meant.
pub(super) fn check(check: &HealthCheck, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    checker.require(
        check.http.is_none() || check.grpc.is_none(),
        at,
        "`http` and `grpc` are two ways to ask",
        "remove one of the two",
    );
    if let Some(http) = &check.http {
        let within = at.field("http");
        checker.items(&within.field("statuses"), &http.statuses, 0..=16);
    }
    // More often is load without a use; an answer that takes a minute is none.
    let intervals = MS(100)..=MS(3_600_000);
    within(check.interval, &at.field("interval"), intervals, checker);
    within(
        check.timeout,
        &at.field("timeout"),
        MS(10)..=MS(60_000),
        checker,
    );
}

pub(super) fn outliers(outliers: &OutlierDetection, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    let times = MS(1_000)..=MS(86_400_000);
    let (base, most) = (at.field("baseEjection"), at.field("maxEjection"));
    within(outliers.base_ejection, &base, times.clone(), checker);
    within(outliers.max_ejection, &most, times, checker);
    let (first, longest) = outliers.ejections();
    checker.require(
        first <= longest,
        &most,
        "is shorter than `baseEjection`",
        "make it longer, or leave it out",
    );
}

fn within(
    duration: Option<ApiDuration>,
    at: &FieldPath<'_>,
    bounds: RangeInclusive<Duration>,
    checker: &mut Checker<'_>,
) {
    if duration.is_none_or(|duration| bounds.contains(&duration.get())) {
        return;
    }
    let (least, most) = (bounds.start(), bounds.end());
    checker.error(
        at,
        format_args!("must be {least:?} to {most:?}"),
        format_args!("write a duration such as {least:?}"),
    );
}
