//! Rules of GRPCRoute.

use std::ops::RangeInclusive;

use super::Checker;
use super::http_route::{Common, headers};
use super::route::CheckedRule;
use crate::api::grpc_route::{GrpcMethodMatch, GrpcMethodMatchType, GrpcRouteMatch, GrpcRouteRule};
use crate::yaml::FieldPath;

impl CheckedRule for GrpcRouteRule {
    const HOSTNAMES: RangeInclusive<usize> = 0..=16;
    const RULES: RangeInclusive<usize> = 0..=16;

    fn matches(&self) -> usize {
        self.matches.len()
    }

    fn check(&self, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
        let matches_at = at.field("matches");
        checker.each(&matches_at, &self.matches, 0..=64, route_match);
        let common = Common {
            matches: &[],
            filters: &self.filters,
            backend_refs: &self.backend_refs,
            session_persistence: self.session_persistence.as_deref(),
        };
        common.check(at, checker);
    }
}

fn route_match(one: &GrpcRouteMatch, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    if let Some(one) = &one.method {
        method(one, &at.field("method"), checker);
    }
    headers(&one.headers, at, checker);
}

fn method(one: &GrpcMethodMatch, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    checker.require(
        one.service.is_some() || one.method.is_some(),
        at,
        "names neither a service nor a method",
        "add `service:`, or leave `method` out to match every request",
    );
    if one.match_type != GrpcMethodMatchType::Exact {
        return;
    }
    if let Some(service) = one.service.as_deref() {
        let mut labels = service.strip_prefix('.').unwrap_or(service).split('.');
        checker.require(
            labels.all(is_identifier),
            &at.field("service"),
            "is no service's name (letters, digits and '_', parts joined by dots)",
            "write something like grpc.health.v1.Health, without a slash",
        );
    }
    if let Some(method) = one.method.as_deref() {
        checker.require(
            is_identifier(method),
            &at.field("method"),
            "is no method's name (letters, digits and '_')",
            "write something like Check, without a slash",
        );
    }
}

fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
