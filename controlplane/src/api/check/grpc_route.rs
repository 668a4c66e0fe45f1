//! Rules of GRPCRoute.

use super::http_route::{SPEC, backend, filters, headers, parents, rules, session};
use super::{Check, Checker};
use crate::api::grpc_route::{
    GrpcMethodMatch, GrpcMethodMatchType, GrpcRoute, GrpcRouteMatch, GrpcRouteRule,
};
use crate::yaml::FieldPath;

impl Check for GrpcRoute {
    fn check(&self, checker: &mut Checker<'_>) {
        parents(&self.spec.parent_refs, checker);
        checker.items(&SPEC.field("hostnames"), &self.spec.hostnames, 0, 16);
        let all = &self.spec.rules;
        let at = rules(
            all,
            0,
            |rule| (rule.name.as_ref(), rule.matches.len()),
            checker,
        );
        for (index, one) in all.iter().enumerate() {
            rule(one, &at.index(index), checker);
        }
    }
}

fn rule(rule: &GrpcRouteRule, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    let matches_at = at.field("matches");
    checker.items(&matches_at, &rule.matches, 0, 64);
    for (index, one) in rule.matches.iter().enumerate() {
        route_match(one, &matches_at.index(index), checker);
    }
    filters(&rule.filters, &[], &at.field("filters"), checker);
    let backends_at = at.field("backendRefs");
    checker.items(&backends_at, &rule.backend_refs, 0, 16);
    for (index, one) in rule.backend_refs.iter().enumerate() {
        backend(one, &[], &backends_at.index(index), checker);
    }
    if let Some(one) = &rule.session_persistence {
        session(one, &at.field("sessionPersistence"), checker);
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
