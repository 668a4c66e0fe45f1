//! Rules of HTTPRoutes' filters.

use super::Checker;
use super::gateway::{backend_ref, external_auth};
use crate::api::http_filter::{HttpCors, HttpHeaderFilter, HttpPathModifier, HttpRouteFilter};
use crate::api::http_route::{HttpRouteMatch, PathMatchType};
use crate::yaml::FieldPath;

/// `matches` are those of its rule.
pub(super) fn filters(
    filters: &[HttpRouteFilter],
    matches: &[HttpRouteMatch],
    at: &FieldPath<'_>,
    checker: &mut Checker<'_>,
) {
    use HttpRouteFilter as Filter;
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
    checker.each(at, filters, 0..=16, |one, at, checker| {
        filter(one, matches, at, checker);
    });
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
        checker.items(&at, headers, 0..=16);
        checker.unique(&at, headers, "a header's name", |one| Some(&one.name));
    }
    let at = at.field("remove");
    checker.items(&at, &edits.remove, 0..=16);
    checker.unique(&at, &edits.remove, "a header's name", Some);
}

fn cors(cors: &HttpCors, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    let origins = at.field("allowOrigins");
    checker.items(&origins, &cors.allow_origins, 0..=64);
    checker.unique(&origins, &cors.allow_origins, "an origin", Some);
    alone(
        cors.allow_origins.iter().map(|one| one.as_str()),
        &origins,
        checker,
    );
    let methods = at.field("allowMethods");
    checker.items(&methods, &cors.allow_methods, 0..=9);
    checker.unique(&methods, &cors.allow_methods, "a method", Some);
    alone(
        cors.allow_methods.iter().map(|one| one.as_str()),
        &methods,
        checker,
    );
    let headers = at.field("allowHeaders");
    checker.items(&headers, &cors.allow_headers, 0..=64);
    checker.unique(&headers, &cors.allow_headers, "a header", Some);
    alone(
        cors.allow_headers.iter().map(|one| one.as_str()),
        &headers,
        checker,
    );
    let exposed = at.field("exposeHeaders");
    checker.items(&exposed, &cors.expose_headers, 0..=64);
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
