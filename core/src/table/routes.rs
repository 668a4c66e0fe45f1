//! Routes of requests, compiled as far as that doesn't depend on the hosts that they are attached for; and
//! what the compiler asks routes of any kind.

use std::sync::Arc;

use super::match_list::Candidate;
use super::rule::{Rule, Slots};
use super::{CompileError, Problem, Slot};
use crate::ir::{self, Id, Object};
use crate::route::{Pattern, Precedence, Residual, rpc_pattern};

#[derive(Debug)]
pub(super) struct CompiledRoute {
    pub(super) rules: Box<[Arc<Rule>]>,
    matches: Box<[CompiledMatch]>,
}

/// A match with everything that doesn't depend on the host.
#[derive(Debug)]
struct CompiledMatch {
    rule: u32,
    position: u32,
    residual: Option<Arc<Residual>>,
    regex: Option<Pattern>,
}

impl CompiledRoute {
    pub(super) fn compile(
        id: &Id,
        route: &ir::HttpRoute,
        slots: &[Slot],
        backends: &impl Slots,
    ) -> (Self, Vec<Problem>) {
        let (mut rules, mut matches, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (rule, slot)) in route.rules.iter().zip(slots).enumerate() {
            let (compiled, error) = Rule::compile(route, place, rule, *slot, backends);
            rules.push(Arc::new(compiled));
            let mut problem = |error| {
                problems.push(Problem {
                    object: id.clone(),
                    rule: Some(place),
                    error,
                });
            };
            error.into_iter().for_each(&mut problem);
            for (position, one) in rule.matches.iter().enumerate() {
                match CompiledMatch::compile(place, position, one) {
                    Ok(one) => matches.push(one),
                    Err(error) => problem(error),
                }
            }
        }
        let compiled = Self {
            rules: rules.into(),
            matches: matches.into(),
        };
        (compiled, problems)
    }

    pub(super) fn candidates(
        &self,
        route: &ir::HttpRoute,
        written: &ir::Hostname,
        into: &mut Vec<Candidate>,
    ) {
        for one in &self.matches {
            let (place, position) = (one.rule as usize, one.position as usize);
            let (Some(rule), Some(object)) = (self.rules.get(place), route.rules.get(place)) else {
                continue;
            };
            let Some(object) = object.matches.get(position) else {
                continue;
            };
            into.push(Candidate {
                protocol: route.protocol,
                written: written.clone(),
                precedence: Precedence::of(route, place, position, object),
                residual: one.residual.clone(),
                regex: one.regex.clone(),
                rule: rule.clone(),
            });
        }
    }
}

impl CompiledMatch {
    /// A match whose expression is broken takes no request, and is a problem of its route.
    pub(super) fn compile(
        rule: usize,
        position: usize,
        one: &ir::Match,
    ) -> Result<Self, CompileError> {
        let broken = |expression: &str| {
            let expression = expression.to_owned();
            move |error: regex::Error| CompileError::Regex {
                expression,
                reason: error.to_string(),
            }
        };
        let path = match &one.path {
            ir::PathMatch::Exact(text)
            | ir::PathMatch::Prefix(text)
            | ir::PathMatch::Regex(text) => text,
            ir::PathMatch::Rpc(_) => "of a gRPC method",
        };
        let regex = match &one.path {
            ir::PathMatch::Regex(text) => {
                Pattern::compile(&ir::TextMatch::Regex(text.clone())).map(Some)
            }
            ir::PathMatch::Rpc(one) => rpc_pattern(one),
            ir::PathMatch::Exact(_) | ir::PathMatch::Prefix(_) => Ok(None),
        };
        let regex = regex.map_err(broken(path))?;
        let plain = one.headers.is_empty() && one.query.is_empty() && one.method.is_none();
        let residual = (!plain).then(|| Residual::compile(one)).transpose();
        // Both are bounded far below (`limits::RULES`, `limits::MATCHES`).
        let place = |place| u32::try_from(place).unwrap_or(u32::MAX);
        Ok(Self {
            rule: place(rule),
            position: place(position),
            residual: residual.map_err(broken(path))?.map(Arc::new),
            regex,
        })
    }
}

/// What a route itself says, where it is attached to a listener for `host`.
pub(super) fn written<'r>(
    attachments: &'r [ir::Attachment],
    listener: &Id,
    host: &'r ir::Hostname,
) -> &'r ir::Hostname {
    let hosts = attachments
        .iter()
        .filter(|one| one.listener == *listener)
        .flat_map(|one| &one.hostnames)
        .filter(|one| one.hostname == *host)
        .map(|one| &one.written);
    hosts
        .max_by_key(|written| written.specificity())
        .unwrap_or(host)
}

/// Where a route is attached; anything else nowhere.
pub(super) fn attachments(object: &Object) -> &[ir::Attachment] {
    match object {
        Object::HttpRoute(route) => &route.attachments,
        Object::StreamRoute(route) => &route.attachments,
        _ => &[],
    }
}

pub(super) fn uses(object: &Object, backend: &Id) -> bool {
    let route = match object {
        Object::HttpRoute(route) => route,
        Object::StreamRoute(route) => {
            let target = ir::BackendTarget::Backend(backend.clone());
            return route.backends.iter().any(|one| one.target == target);
        }
        _ => return false,
    };
    let mirrors = |filters: &[ir::Filter]| {
        filters.iter().any(|filter| match filter {
            ir::Filter::Mirror(mirror) => mirror.backend == *backend,
            _ => false,
        })
    };
    route.rules.iter().any(|rule| {
        mirrors(&rule.filters)
            || rule.backends.iter().any(|one| {
                one.target == ir::BackendTarget::Backend(backend.clone()) || mirrors(&one.filters)
            })
    })
}
