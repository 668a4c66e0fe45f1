//! HTTPRoutes: rules with their matches, filters and backends.

use std::time::Duration;

use ringgate_core::ir::{
    self, BackendProtocol, BackendTarget, Filter, Id, Match, Object, ObjectName, PathMatch, Retry,
    RouteProtocol, Rule, Timeouts, WeightedBackend,
};

use super::filter::{self, Level, Site};
use super::http_match;
use super::problem::Fault;
use super::route::{Placed, Route, Translated, Wanted};
use crate::api::ObjectKind;
use crate::api::http_filter::HttpRouteFilter;
use crate::api::http_route::{
    HttpBackendRef, HttpRoute, HttpRouteRetry, HttpRouteRule, HttpRouteTimeouts, SessionPersistence,
};
use crate::api::meta::ObjectMeta;
use crate::api::reference::ParentReference;
use crate::api::text::{ApiDuration, HostPattern, SectionName};
use crate::store::{ByName, Resources};

impl Route for HttpRoute {
    const KIND: ObjectKind = ObjectKind::HttpRoute;
    const SPEAKS: BackendProtocol = BackendProtocol::Http1;
    type Rule = Rule;

    fn all(resources: &Resources) -> &ByName<Self> {
        &resources.http_routes
    }

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn parent_refs(&self) -> &[ParentReference] {
        &self.spec.parent_refs
    }

    fn hostnames(&self) -> &[HostPattern] {
        &self.spec.hostnames
    }

    fn rules(&self, wanted: &mut Wanted<'_>) -> Translated<Rule> {
        each(&self.spec.rules, wanted, translate_rule)
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

/// The rule, and whether it is broken. One without any match that is understood is left out: which
/// requests it is for can't be told.
fn translate_rule(rule: &HttpRouteRule, wanted: &mut Wanted<'_>) -> (Option<Rule>, bool) {
    let before = wanted.faults;
    let common = Common {
        name: rule.name.as_ref(),
        matches: matches(rule, wanted),
        filters: &rule.filters,
        backend_refs: &rule.backend_refs,
        session_persistence: rule.session_persistence.as_ref(),
    };
    let translated = common.translate(before, wanted).map(|translated| Rule {
        timeouts: rule.timeouts.map_or_else(Timeouts::default, timeouts),
        retry: rule.retry.as_ref().map(retry),
        ..translated
    });
    (translated, wanted.faults > before)
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
    /// None: no match is understood. `faults` is how many there were before this rule.
    pub(super) fn translate(self, faults: usize, wanted: &mut Wanted<'_>) -> Option<Rule> {
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
            broken: wanted.faults > faults,
        })
    }
}

/// All rules of a route, each by `translate`, which also tells whether the rule is broken.
pub(super) fn each<R>(
    rules: &[R],
    wanted: &mut Wanted<'_>,
    translate: impl Fn(&R, &mut Wanted<'_>) -> (Option<Rule>, bool),
) -> Translated<Rule> {
    let count = rules.len();
    let mut translated = Vec::with_capacity(count);
    let mut broken = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        wanted.field = format!("spec.rules[{place}]");
        let (rule, is_broken) = translate(rule, wanted);
        if is_broken {
            broken.push(place);
        }
        translated.extend(rule);
    }
    Translated {
        rules: translated,
        broken,
        count,
    }
}

fn matches(rule: &HttpRouteRule, wanted: &mut Wanted<'_>) -> Vec<Match> {
    if rule.matches.is_empty() {
        return vec![http_match::everything()];
    }
    let mut matches = Vec::with_capacity(rule.matches.len());
    for (place, one) in rule.matches.iter().enumerate() {
        match http_match::translate(one) {
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
