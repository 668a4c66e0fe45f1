//! Rules of TLSRoute.

use std::ops::RangeInclusive;

use super::Checker;
use super::route::{CheckedRule, backends};
use crate::api::tls_route::TlsRouteRule;
use crate::yaml::FieldPath;

impl CheckedRule for TlsRouteRule {
    const HOSTNAMES: RangeInclusive<usize> = 1..=1024;
    const RULES: RangeInclusive<usize> = 1..=1;

    fn matches(&self) -> usize {
        0
    }

    fn check(&self, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
        backends(&self.backend_refs, at, 1..=16, checker, |_, _, _| {});
    }
}
