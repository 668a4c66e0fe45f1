//! HTTPRoutes: rules with their matches, filters and backends.

use std::time::Duration;

use ringgate_core::ir::{
    BackendProtocol, BackendTarget, Filter, Id, Match, ObjectName, PathMatch, Retry, Rule,
    Timeouts, WeightedBackend,
};

use super::Inputs;
use super::backend::{self, ServicePortName};
use super::backend_tls::BackendTlsPolicies;
use super::filter::{self, Level, Site};
use super::http_match;
use super::problem::{Fault, Finding};
use super::verdict::RulesVerdict;
use crate::api::ObjectKind;
use crate::api::http_filter::HttpRouteFilter;
use crate::api::http_route::{
    HttpBackendRef, HttpRoute, HttpRouteRetry, HttpRouteRule, HttpRouteTimeouts,
};
use crate::api::reference::BackendObjectReference;
use crate::api::text::ApiDuration;

/// A route's rules, translated, whatever it attaches to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rules {
    pub(super) rules: Vec<Rule>,
    pub(super) verdict: RulesVerdict,
    /// Every Service's port that some rule sends to, each once.
    pub(super) backends: Vec<ServicePortName>,
    /// Every Service that was looked for, found or not: what the result depends on.
    pub(super) looked_for: Vec<ObjectName>,
}

pub(super) fn translate(
    name: &ObjectName,
    route: &HttpRoute,
    inputs: &Inputs<'_>,
    tls: &BackendTlsPolicies,
) -> Rules {
    let mut wanted = Wanted::new(name, inputs, tls);
    let mut rules = Vec::with_capacity(route.spec.rules.len());
    let mut broken = Vec::new();
    for (place, rule) in route.spec.rules.iter().enumerate() {
        wanted.field = format!("spec.rules[{place}]");
        let (translated, is_broken) = translate_rule(rule, &mut wanted);
        if is_broken {
            broken.push(place);
        }
        rules.extend(translated);
    }
    Rules {
        rules,
        verdict: RulesVerdict {
            count: route.spec.rules.len(),
            broken,
            findings: wanted.findings,
        },
        backends: wanted.backends,
        looked_for: wanted.looked_for,
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
    let filters = wanted.filters(&rule.filters, Level::Rule, only_prefixes);
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
    let filters = wanted.filters(&reference.filters, Level::Backend, only_prefixes);
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

/// What a route asks for beside its own text, and what was wrong with it.
pub(super) struct Wanted<'r> {
    route: &'r ObjectName,
    inputs: &'r Inputs<'r>,
    tls: &'r BackendTlsPolicies,
    findings: Vec<Finding>,
    backends: Vec<ServicePortName>,
    looked_for: Vec<ObjectName>,
    /// Of the part that is being translated.
    field: String,
    /// Faults that break a rule.
    faults: usize,
}

impl<'r> Wanted<'r> {
    fn new(route: &'r ObjectName, inputs: &'r Inputs<'r>, tls: &'r BackendTlsPolicies) -> Self {
        Self {
            route,
            inputs,
            tls,
            findings: Vec::new(),
            backends: Vec::new(),
            looked_for: Vec::new(),
            field: String::new(),
            faults: 0,
        }
    }

    /// The backend that a reference leads to; where to nothing, that is reported.
    pub(super) fn backend(
        &mut self,
        field: &str,
        reference: &BackendObjectReference,
    ) -> Option<Id> {
        let namespace = &self.route.namespace;
        if reference.is_service() {
            let service = backend::target(namespace, reference);
            if !self.looked_for.contains(&service) {
                self.looked_for.push(service);
            }
        }
        let own = BackendProtocol::Http1;
        match backend::resolve(self.inputs, self.tls, namespace, reference, own) {
            Ok(found) => {
                let id = found.id();
                if !self.backends.contains(&found) {
                    self.backends.push(found);
                }
                Some(id)
            }
            Err(fault) => {
                self.report(field, fault);
                None
            }
        }
    }

    fn filters(
        &mut self,
        filters: &[HttpRouteFilter],
        level: Level,
        only_prefixes: bool,
    ) -> Vec<Filter> {
        let site = Site {
            level,
            only_prefixes,
            wanted: self,
        };
        let (translated, faulty) = filter::translate(filters, site);
        for (part, fault) in faulty {
            self.fault(&part, fault);
        }
        translated
    }

    fn fault(&mut self, part: &str, fault: Fault) {
        self.faults += 1;
        self.report(part, fault);
    }

    fn report(&mut self, part: &str, fault: Fault) {
        let field = format!("{}.{part}", self.field);
        let finding = Finding::new(ObjectKind::HttpRoute, self.route, field, fault);
        self.findings.push(finding);
    }
}
