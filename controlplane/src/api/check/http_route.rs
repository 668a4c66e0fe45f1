//! Rules of HTTPRoute.

use std::time::Duration;

use super::gateway::{backend_ref, external_auth};
use super::{Check, Checker};
use crate::api::http_filter::{HttpCors, HttpHeaderFilter, HttpPathModifier, HttpRouteFilter};
use crate::api::http_route::{
    CookieLifetime, HttpBackendRef, HttpHeaderMatch, HttpPathMatch, HttpRoute, HttpRouteMatch,
    HttpRouteRule, HttpRouteTimeouts, PathMatchType, SessionPersistence, SessionPersistenceType,
};
use crate::api::reference::ParentReference;
use crate::api::text::SectionName;
use crate::yaml::FieldPath;

pub(super) const SPEC: FieldPath<'static> = FieldPath::Field(&FieldPath::Root, "spec");

impl Check for HttpRoute {
    fn check(&self, checker: &mut Checker<'_>) {
        parents(&self.spec.parent_refs, checker);
        checker.items(&SPEC.field("hostnames"), &self.spec.hostnames, 0, 16);
        let all = &self.spec.rules;
        let at = rules(
            all,
            1,
            |rule| (rule.name.as_ref(), rule.matches.len()),
            checker,
        );
        for (index, one) in all.iter().enumerate() {
            rule(one, &at.index(index), checker);
        }
    }
}

/// What holds for the rules of a route together: `parts` gives a rule's name, and how many matches it has.
pub(super) fn rules<'r, R>(
    rules: &'r [R],
    min: usize,
    parts: impl Fn(&'r R) -> (Option<&'r SectionName>, usize),
    checker: &mut Checker<'_>,
) -> FieldPath<'static> {
    let at = SPEC.field("rules");
    checker.items(&at, rules, min, 16);
    checker.unique(&at, rules, "a rule's name", |rule| parts(rule).0);
    let matches: usize = rules.iter().map(|rule| parts(rule).1).sum();
    if matches > 128 {
        checker.error(
            &at,
            format_args!("have {matches} matches together, 128 are allowed"),
            "spread the rules over several routes",
        );
    }
    at
}

/// Also for routes of other kinds. Several references to one parent must differ by section or port, and all of them have the same of both.
pub(super) fn parents(parents: &[ParentReference], checker: &mut Checker<'_>) {
    let at = SPEC.field("parentRefs");
    checker.items(&at, parents, 0, 32);
    checker.unique(&at, parents, "a parentRef", Some);
    let object = |one: &ParentReference| {
        (
            one.group.clone(),
            one.kind.clone(),
            one.namespace.clone(),
            one.name.clone(),
        )
    };
    for (index, one) in parents.iter().enumerate() {
        let first = parents.iter().find(|other| object(other) == object(one));
        let alike = first.is_none_or(|first| {
            first.section_name.is_some() == one.section_name.is_some()
                && first.port.is_some() == one.port.is_some()
        });
        checker.require(
            alike,
            &at.index(index),
            "must name sectionName or port like the other references to the same parent",
            "name the section (or port) in each of them",
        );
    }
}

fn rule(rule: &HttpRouteRule, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    let matches_at = at.field("matches");
    checker.items(&matches_at, &rule.matches, 0, 64);
    for (index, one) in rule.matches.iter().enumerate() {
        route_match(one, &matches_at.index(index), checker);
    }
    filters(&rule.filters, &rule.matches, &at.field("filters"), checker);
    let redirects = rule
        .filters
        .iter()
        .position(|one| matches!(one, HttpRouteFilter::RequestRedirect(_)));
    if let Some(index) = redirects.filter(|_| !rule.backend_refs.is_empty()) {
        checker.error(
            &at.field("filters").index(index),
            "a rule that redirects has no backendRefs",
            "remove `backendRefs`, or the redirect",
        );
    }
    let backends_at = at.field("backendRefs");
    checker.items(&backends_at, &rule.backend_refs, 0, 16);
    for (index, one) in rule.backend_refs.iter().enumerate() {
        backend(one, &rule.matches, &backends_at.index(index), checker);
    }
    if let Some(one) = &rule.timeouts {
        timeouts(*one, &at.field("timeouts"), checker);
    }
    if let Some(one) = &rule.session_persistence {
        session(one, &at.field("sessionPersistence"), checker);
    }
}

fn route_match(one: &HttpRouteMatch, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    path(&one.path, &at.field("path").field("value"), checker);
    headers(&one.headers, at, checker);
    let params = at.field("queryParams");
    checker.items(&params, &one.query_params, 0, 16);
    checker.unique(&params, &one.query_params, "a parameter's name", |one| {
        Some(&one.name)
    });
}

/// Those of the match at `at`.
pub(super) fn headers(headers: &[HttpHeaderMatch], at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    let at = at.field("headers");
    checker.items(&at, headers, 0, 16);
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

/// `matches` are those of its rule.
pub(super) fn backend(
    one: &HttpBackendRef,
    matches: &[HttpRouteMatch],
    at: &FieldPath<'_>,
    checker: &mut Checker<'_>,
) {
    backend_ref(&one.reference, at, checker);
    filters(&one.filters, matches, &at.field("filters"), checker);
}

/// `matches` are those of its rule.
pub(super) fn filters(
    filters: &[HttpRouteFilter],
    matches: &[HttpRouteMatch],
    at: &FieldPath<'_>,
    checker: &mut Checker<'_>,
) {
    use HttpRouteFilter as Filter;
    checker.items(at, filters, 0, 16);
    checker.unique(
        at,
        filters,
        "a filter of this type",
        |filter| match filter {
            Filter::RequestHeaderModifier(_) => Some(0),
            Filter::ResponseHeaderModifier(_) => Some(1),
            Filter::RequestRedirect(_) => Some(2),
            Filter::UrlRewrite(_) => Some(3),
            Filter::Cors(_) => Some(4),
            Filter::RequestMirror(_)
            | Filter::ExternalAuth(_)
            | Filter::ExtensionRef(_)
            | Filter::Unknown(_) => None,
        },
    );
    let redirects = filters
        .iter()
        .any(|one| matches!(one, Filter::RequestRedirect(_)));
    let rewrite = filters
        .iter()
        .position(|one| matches!(one, Filter::UrlRewrite(_)));
    if let Some(index) = rewrite.filter(|_| redirects) {
        checker.error(
            &at.index(index),
            "RequestRedirect and URLRewrite exclude each other",
            "remove one of them",
        );
    }
    for (index, one) in filters.iter().enumerate() {
        filter(one, matches, &at.index(index), checker);
    }
}

fn filter(
    filter: &HttpRouteFilter,
    matches: &[HttpRouteMatch],
    at: &FieldPath<'_>,
    checker: &mut Checker<'_>,
) {
    use HttpRouteFilter as Filter;
    match filter {
        Filter::RequestHeaderModifier(edits) => {
            header_edits(edits, &at.field("requestHeaderModifier"), checker)
        }
        Filter::ResponseHeaderModifier(edits) => {
            header_edits(edits, &at.field("responseHeaderModifier"), checker)
        }
        Filter::RequestMirror(mirror) => backend_ref(
            &mirror.backend_ref,
            &at.field("requestMirror").field("backendRef"),
            checker,
        ),
        Filter::RequestRedirect(redirect) => prefix_path(
            redirect.path.as_ref(),
            matches,
            &at.field("requestRedirect"),
            checker,
        ),
        Filter::UrlRewrite(rewrite) => prefix_path(
            rewrite.path.as_ref(),
            matches,
            &at.field("urlRewrite"),
            checker,
        ),
        Filter::Cors(one) => cors(one, &at.field("cors"), checker),
        Filter::ExternalAuth(auth) => external_auth(auth, &at.field("externalAuth"), checker),
        Filter::ExtensionRef(_) | Filter::Unknown(_) => {}
    }
}

/// A prefix can be replaced only where the rule matches by exactly one.
fn prefix_path(
    path: Option<&HttpPathModifier>,
    matches: &[HttpRouteMatch],
    at: &FieldPath<'_>,
    checker: &mut Checker<'_>,
) {
    let Some(HttpPathModifier::ReplacePrefixMatch(_)) = path else {
        return;
    };
    let one_prefix = matches!(matches, [one] if one.path.match_type == PathMatchType::PathPrefix);
    checker.require(
        one_prefix,
        &at.field("path"),
        "ReplacePrefixMatch needs a rule with exactly one match, of type PathPrefix",
        "give each prefix a rule of its own, or use ReplaceFullPath",
    );
}

fn header_edits(edits: &HttpHeaderFilter, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    for (field, headers) in [("set", &edits.set), ("add", &edits.add)] {
        let at = at.field(field);
        checker.items(&at, headers, 0, 16);
        checker.unique(&at, headers, "a header's name", |one| Some(&one.name));
    }
    let at = at.field("remove");
    checker.items(&at, &edits.remove, 0, 16);
    checker.unique(&at, &edits.remove, "a header's name", Some);
}

fn cors(cors: &HttpCors, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    let origins = at.field("allowOrigins");
    checker.items(&origins, &cors.allow_origins, 0, 64);
    checker.unique(&origins, &cors.allow_origins, "an origin", Some);
    alone(
        cors.allow_origins.iter().map(|one| one.as_str()),
        &origins,
        checker,
    );
    let methods = at.field("allowMethods");
    checker.items(&methods, &cors.allow_methods, 0, 9);
    checker.unique(&methods, &cors.allow_methods, "a method", Some);
    alone(
        cors.allow_methods.iter().map(|one| one.as_str()),
        &methods,
        checker,
    );
    let headers = at.field("allowHeaders");
    checker.items(&headers, &cors.allow_headers, 0, 64);
    checker.unique(&headers, &cors.allow_headers, "a header", Some);
    alone(
        cors.allow_headers.iter().map(|one| one.as_str()),
        &headers,
        checker,
    );
    let exposed = at.field("exposeHeaders");
    checker.items(&exposed, &cors.expose_headers, 0, 64);
    checker.unique(&exposed, &cors.expose_headers, "a header", Some);
}

fn alone<'t>(
    mut items: impl ExactSizeIterator<Item = &'t str>,
    at: &FieldPath<'_>,
    checker: &mut Checker<'_>,
) {
    let several = items.len() > 1;
    let everything = items.position(|one| one == "*");
    if let Some(index) = everything.filter(|_| several) {
        checker.error(
            &at.index(index),
            "\"*\" stands for all and must be alone",
            "remove the others, or \"*\"",
        );
    }
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

pub(super) fn session(one: &SessionPersistence, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
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
