//! HTTPRoutes: rules with their matches, filters and backends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ringgate_core::ir::{
    self, BackendProtocol, BackendTarget, Filter, Id, Match, Object, ObjectName, PathMatch, Retry,
    Rule, Timeouts, WeightedBackend,
};

use super::filter::{self, Level, Site};
use super::http_match;
use super::problem::Fault;
use super::route::{Placed, Route, Translated, Wanted};
use crate::api::ObjectKind;
use crate::api::http_filter::HttpRouteFilter;
use crate::api::http_route::{
    HttpBackendRef, HttpRoute, HttpRouteRetry, HttpRouteRule, HttpRouteTimeouts,
};
use crate::api::meta::ObjectMeta;
use crate::api::reference::ParentReference;
use crate::api::text::{ApiDuration, HostPattern};
use crate::store::Resources;

impl Route for HttpRoute {
    const KIND: ObjectKind = ObjectKind::HttpRoute;
    const SPEAKS: BackendProtocol = BackendProtocol::Http1;
    type Rule = Rule;

    fn all(resources: &Resources) -> &BTreeMap<ObjectName, Arc<Self>> {
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
        let count = self.spec.rules.len();
        let mut rules = Vec::with_capacity(count);
        let mut broken = Vec::new();
        for (place, rule) in self.spec.rules.iter().enumerate() {
            wanted.field = format!("spec.rules[{place}]");
            let (translated, is_broken) = translate_rule(rule, wanted);
            if is_broken {
                broken.push(place);
            }
            rules.extend(translated);
        }
        Translated {
            rules,
            broken,
            count,
        }
    }

    fn id(name: &ObjectName) -> Id {
        Id::http_route(name)
    }

    fn object(placed: Placed, rules: Vec<Rule>) -> Object {
        Object::HttpRoute(ir::HttpRoute {
            name: placed.name,
            created: placed.created,
            attachments: placed.attachments,
            rules,
        })
    }
}

/// The rule, and whether it is broken. One without any match that is understood is left out: which
/// requests it is for can't be told.
fn translate_rule(rule: &HttpRouteRule, wanted: &mut Wanted<'_>) -> (Option<Rule>, bool) {
    let before = wanted.faults;
    let matches = matches(rule, wanted);
    let only_prefixes = matches
        .iter()
        .all(|one| matches!(one.path, PathMatch::Prefix(_)));
    let filters = filters(&rule.filters, Level::Rule, only_prefixes, wanted);
    let backends = rule.backend_refs.iter().enumerate();
    let backends = backends
        .map(|(place, reference)| weighted(place, reference, only_prefixes, wanted))
        .collect();
    if rule.session_persistence.is_some() {
        let fault = Fault::Filter("sessionPersistence".into());
        wanted.fault("sessionPersistence", fault);
    }
    let broken = wanted.faults > before;
    let translated = Rule {
        name: rule.name.as_ref().map(|name| name.shared()),
        matches,
        filters,
        backends,
        timeouts: rule.timeouts.map_or_else(Timeouts::default, timeouts),
        retry: rule.retry.as_ref().map(retry),
        broken,
    };
    let is_meant = !translated.matches.is_empty();
    (is_meant.then_some(translated), broken)
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
