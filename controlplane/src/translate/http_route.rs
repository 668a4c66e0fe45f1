//! HTTPRoutes: rules with their matches, filters and backends.

use std::time::Duration;

use ringgate_core::ir::{
    self, BackendProtocol, BackendTarget, Filter, Id, Match, Object, ObjectName, PathMatch, Retry,
    RouteProtocol, Rule, Timeouts, WeightedBackend,
};

use super::filter::{self, Level, Site};
use super::http_match::{self, Faulty};
use super::problem::Fault;
use super::route::{Placed, RouteKind, Wanted};
use crate::api::ObjectKind;
use crate::api::http_filter::HttpRouteFilter;
use crate::api::http_route::{
    HttpBackendRef, HttpRoute, HttpRouteRetry, HttpRouteRule, HttpRouteTimeouts, SessionPersistence,
};
use crate::api::text::{ApiDuration, SectionName};
use crate::store::{ByName, Resources};

impl RouteKind for HttpRouteRule {
    const KIND: ObjectKind = ObjectKind::HttpRoute;
    const SPEAKS: BackendProtocol = BackendProtocol::Http1;
    type Rule = Rule;

    fn all(resources: &Resources) -> &ByName<HttpRoute> {
        &resources.http_routes
    }

    fn translate(&self, wanted: &mut Wanted<'_>) -> Option<Rule> {
        let common = Common {
            name: self.name.as_ref(),
            matches: matches(
                &self.matches,
                wanted,
                http_match::everything,
                http_match::translate,
            ),
            filters: &self.filters,
            backend_refs: &self.backend_refs,
            session_persistence: self.session_persistence.as_deref(),
        };
        common.translate(wanted).map(|translated| Rule {
            timeouts: self.timeouts.map_or_else(Timeouts::default, timeouts),
            retry: self.retry.as_ref().map(retry),
            ..translated
        })
    }

    fn id(name: &ObjectName) -> Id {
        Id::http_route(name)
    }

    fn object(placed: Placed, rules: Vec<Rule>) -> Object {
        object(RouteProtocol::Http, placed, rules)
    }
}

/// Routes of requests, whatever these speak, are one kind of object to data planes.
pub(super) fn object(protocol: RouteProtocol, placed: Placed, rules: Vec<Rule>) -> Object {
    Object::HttpRoute(ir::HttpRoute {
        protocol,
        name: placed.name,
        created: placed.created,
        attachments: placed.attachments,
        rules,
    })
}

/// What rules of HTTPRoutes and of GRPCRoutes have in common.
pub(super) struct Common<'a> {
    pub(super) name: Option<&'a SectionName>,
    /// Those that are understood.
    pub(super) matches: Vec<Match>,
    pub(super) filters: &'a [HttpRouteFilter],
    pub(super) backend_refs: &'a [HttpBackendRef],
    pub(super) session_persistence: Option<&'a SessionPersistence>,
}

impl Common<'_> {
    /// None: no match is understood.
    pub(super) fn translate(self, wanted: &mut Wanted<'_>) -> Option<Rule> {
        let mut paths = self.matches.iter().map(|one| &one.path);
        let only_prefixes = paths.all(|path| matches!(path, PathMatch::Prefix(_)));
        let filters = filters(self.filters, Level::Rule, only_prefixes, wanted);
        let backends = self.backend_refs.iter().enumerate();
        let backends = backends
            .map(|(place, reference)| weighted(place, reference, only_prefixes, wanted))
            .collect();
        if self.session_persistence.is_some() {
            let fault = Fault::Filter("sessionPersistence".into());
            wanted.fault("sessionPersistence", fault);
        }
        let is_meant = !self.matches.is_empty();
        is_meant.then(|| Rule {
            name: self.name.map(|name| name.shared()),
            matches: self.matches,
            filters,
            backends,
            timeouts: Timeouts::default(),
            retry: None,
            broken: wanted.is_broken,
        })
    }
}

/// Those that are understood, each by `translate`; `everything` where none is written.
pub(super) fn matches<M>(
    written: &[M],
    wanted: &mut Wanted<'_>,
    everything: impl Fn() -> Match,
    translate: impl Fn(&M) -> Result<Match, Faulty>,
) -> Vec<Match> {
    if written.is_empty() {
        return vec![everything()];
    }
    let mut matches = Vec::with_capacity(written.len());
    for (place, one) in written.iter().enumerate() {
        match translate(one) {
            Ok(one) => matches.push(one),
            Err((part, fault)) => wanted.fault(&format!("matches[{place}].{part}"), fault),
        }
    }
    matches
}

fn weighted(
    place: usize,
    reference: &HttpBackendRef,
    only_prefixes: bool,
    wanted: &mut Wanted<'_>,
) -> WeightedBackend {
    let field = format!("backendRefs[{place}]");
    let target = wanted.backend(&field, &reference.reference);
    let rule = wanted.field.clone();
    wanted.field = format!("{rule}.{field}");
    let filters = filters(&reference.filters, Level::Backend, only_prefixes, wanted);
    wanted.field = rule;
    WeightedBackend {
        target: target.map_or(BackendTarget::Invalid, BackendTarget::Backend),
        weight: reference.weight.get(),
        filters,
    }
}

fn timeouts(timeouts: HttpRouteTimeouts) -> Timeouts {
    let limit = |wanted: Option<ApiDuration>| {
        wanted
            .map(ApiDuration::get)
            .filter(|one| *one > Duration::ZERO)
    };
    Timeouts {
        request: limit(timeouts.request),
        backend_request: limit(timeouts.backend_request),
    }
}

fn retry(retry: &HttpRouteRetry) -> Retry {
    let mut codes: Vec<u16> = retry.codes.iter().map(|code| code.get()).collect();
    codes.sort_unstable();
    codes.dedup();
    Retry {
        codes,
        attempts: retry.attempts.get(),
        backoff: retry.backoff.map(ApiDuration::get),
    }
}

fn filters(
    filters: &[HttpRouteFilter],
    level: Level,
    only_prefixes: bool,
    wanted: &mut Wanted<'_>,
) -> Vec<Filter> {
    let site = Site {
        level,
        only_prefixes,
        wanted,
    };
    let (translated, faulty) = filter::translate(filters, site);
    for (part, fault) in faulty {
        wanted.fault(&part, fault);
    }
    translated
}
