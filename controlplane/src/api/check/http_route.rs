//! Rules of HTTPRoute, and those of requests' routes of any kind.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Checker;
use super::http_filter::filters;
use super::route::{CheckedRule, backends};
use crate::api::http_filter::HttpRouteFilter;
use crate::api::http_route::{
    CookieLifetime, HttpBackendRef, HttpHeaderMatch, HttpPathMatch, HttpRouteMatch, HttpRouteRule,
    HttpRouteTimeouts, PathMatchType, SessionPersistence, SessionPersistenceType,
};
use crate::yaml::FieldPath;

impl CheckedRule for HttpRouteRule {
    const HOSTNAMES: RangeInclusive<usize> = 0..=16;
    const RULES: RangeInclusive<usize> = 1..=16;

    fn matches(&self) -> usize {
        self.matches.len()
    }

    fn check(&self, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
        let matches_at = at.field("matches");
        checker.each(&matches_at, &self.matches, 0..=64, route_match);
        let redirects = self
            .filters
            .iter()
            .position(|one| matches!(one, HttpRouteFilter::RequestRedirect(_)));
        if let Some(index) = redirects.filter(|_| !self.backend_refs.is_empty()) {
            checker.error(
                &at.field("filters").index(index),
                "a rule that redirects has no backendRefs",
                "remove `backendRefs`, or the redirect",
            );
        }
        if let Some(one) = &self.timeouts {
            timeouts(*one, &at.field("timeouts"), checker);
        }
        let common = Common {
            matches: &self.matches,
            filters: &self.filters,
            backend_refs: &self.backend_refs,
            session_persistence: self.session_persistence.as_deref(),
        };
        common.check(at, checker);
    }
}

/// What rules of HTTPRoutes and of GRPCRoutes have in common.
pub(super) struct Common<'r> {
    /// As far as they are an HTTPRoute's.
    pub(super) matches: &'r [HttpRouteMatch],
    pub(super) filters: &'r [HttpRouteFilter],
    pub(super) backend_refs: &'r [HttpBackendRef],
    pub(super) session_persistence: Option<&'r SessionPersistence>,
}

impl Common<'_> {
    pub(super) fn check(&self, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
        let matches = self.matches;
        filters(self.filters, matches, &at.field("filters"), checker);
        backends(
            self.backend_refs,
            at,
            0..=16,
            checker,
            |all, at, checker| {
                filters(all, matches, at, checker);
            },
        );
        if let Some(one) = self.session_persistence {
            session(one, &at.field("sessionPersistence"), checker);
        }
    }
}

fn route_match(one: &HttpRouteMatch, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    path(&one.path, &at.field("path").field("value"), checker);
    headers(&one.headers, at, checker);
    let params = at.field("queryParams");
    checker.items(&params, &one.query_params, 0..=16);
    checker.unique(&params, &one.query_params, "a parameter's name", |one| {
        Some(&one.name)
    });
}

/// Those of the match at `at`.
pub(super) fn headers(headers: &[HttpHeaderMatch], at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    let at = at.field("headers");
    checker.items(&at, headers, 0..=16);
    checker.unique(&at, headers, "a header's name", |one| Some(&one.name));
}

fn path(path: &HttpPathMatch, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    if !matches!(
        path.match_type,
        PathMatchType::Exact | PathMatchType::PathPrefix
    ) {
        return;
    }
    let value = path.value.as_str();
    if !value.starts_with('/') {
        checker.error(
            at,
            format_args!("must start with \"/\", is {value:?}"),
            format_args!("write {:?}", format!("/{value}")),
        );
        return;
    }
    let forbidden = ["//", "/./", "/../", "%2f", "%2F", "#"]
        .into_iter()
        .find(|one| value.contains(one));
    let ending = ["/..", "/."].into_iter().find(|one| value.ends_with(one));
    if let Some(part) = forbidden {
        checker.error(
            at,
            format_args!("must not contain {part:?}, is {value:?}"),
            "write the path as it is after normalisation",
        );
    } else if let Some(part) = ending {
        checker.error(
            at,
            format_args!("must not end with {part:?}, is {value:?}"),
            "write the path as it is after normalisation",
        );
    } else if let Some(part) = odd_character(value) {
        checker.error(
            at,
            format_args!("{part:?} can't stand in a path, which is {value:?}"),
            "write it percent-encoded, such as %20 for a blank",
        );
    }
}

/// The first character that a URI's path can't have (RFC 3986, pchar), or a lone percent sign.
fn odd_character(path: &str) -> Option<char> {
    let mut rest = path.chars();
    while let Some(c) = rest.next() {
        let plain = c.is_ascii_alphanumeric() || "-/._~!$&'()*+,;=:@".contains(c);
        let encoded = || {
            let mut digits = rest.clone();
            digits.next().is_some_and(|c| c.is_ascii_hexdigit())
                && digits.next().is_some_and(|c| c.is_ascii_hexdigit())
        };
        let fits = plain || (c == '%' && encoded());
        if !fits {
            return Some(c);
        }
    }
    None
}

fn timeouts(one: HttpRouteTimeouts, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    let (Some(request), Some(attempt)) = (one.request, one.backend_request) else {
        return;
    };
    let longer = request.get() != Duration::ZERO && attempt > request;
    checker.require(
        !longer,
        &at.field("backendRequest"),
        "must not be longer than `request`",
        "shorten it, or make `request` longer",
    );
}

fn session(one: &SessionPersistence, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    use SessionPersistenceType as Type;
    let kind = &one.persistence_type;
    let fields = [
        (*kind == Type::Cookie, one.cookie.is_some(), "cookie"),
        (*kind == Type::Header, one.header.is_some(), "header"),
    ];
    checker.union(at, ("type", kind), ":", &fields);
    let permanent = one
        .cookie
        .as_ref()
        .is_some_and(|cookie| cookie.lifetime_type == CookieLifetime::Permanent);
    checker.require(
        !permanent || one.absolute_timeout.is_some(),
        at,
        "a permanent cookie needs `absoluteTimeout`",
        "add `absoluteTimeout:`",
    );
}
