//! GRPCRoutes (GEP-1016): an HTTPRoute's rules, for methods instead of paths. The API leaves it open
//! whether an HTTPRoute with a host in common is accepted beside one: it is, and data planes keep both
//! apart.

use ringgate_core::ir::{
    BackendProtocol, Id, Match, Object, ObjectName, PathMatch, RouteProtocol, RpcMatch, Rule,
    TextMatch,
};

use super::http_match::{self, Faulty};
use super::http_route::{self, Common};
use super::problem::Fault;
use super::route::{Placed, Route, Translated, Wanted};
use crate::api::ObjectKind;
use crate::api::grpc_route::{
    GrpcMethodMatch, GrpcMethodMatchType, GrpcRoute, GrpcRouteMatch, GrpcRouteRule,
};
use crate::api::meta::ObjectMeta;
use crate::api::reference::ParentReference;
use crate::api::text::{HostPattern, RpcName};
use crate::store::{ByName, Resources};

impl Route for GrpcRoute {
    const KIND: ObjectKind = ObjectKind::GrpcRoute;
    const SPEAKS: BackendProtocol = BackendProtocol::Http2;
    type Rule = Rule;

    fn all(resources: &Resources) -> &ByName<Self> {
        &resources.grpc_routes
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
        http_route::each(&self.spec.rules, wanted, translate_rule)
    }

    fn id(name: &ObjectName) -> Id {
        Id::grpc_route(name)
    }

    fn object(placed: Placed, rules: Vec<Rule>) -> Object {
        http_route::object(RouteProtocol::Grpc, placed, rules)
    }
}

fn translate_rule(rule: &GrpcRouteRule, wanted: &mut Wanted<'_>) -> (Option<Rule>, bool) {
    let before = wanted.faults;
    let common = Common {
        name: rule.name.as_ref(),
        matches: matches(rule, wanted),
        filters: &rule.filters,
        backend_refs: &rule.backend_refs,
        session_persistence: rule.session_persistence.as_ref(),
    };
    let translated = common.translate(before, wanted);
    (translated, wanted.faults > before)
}

fn matches(rule: &GrpcRouteRule, wanted: &mut Wanted<'_>) -> Vec<Match> {
    if rule.matches.is_empty() {
        return vec![of_rpc(RpcMatch::default())];
    }
    let mut matches = Vec::with_capacity(rule.matches.len());
    for (place, one) in rule.matches.iter().enumerate() {
        match translate(one) {
            Ok(one) => matches.push(one),
            Err((part, fault)) => wanted.fault(&format!("matches[{place}].{part}"), fault),
        }
    }
    matches
}

/// # Errors
/// The first fault: a match is a whole, so one that is partly understood matches nothing.
fn translate(one: &GrpcRouteMatch) -> Result<Match, Faulty> {
    let rpc = one.method.as_ref().map(rpc).transpose();
    let rpc = rpc.map_err(|(part, fault)| (format!("method.{part}"), fault))?;
    Ok(Match {
        headers: http_match::headers(&one.headers)?,
        ..of_rpc(rpc.unwrap_or_default())
    })
}

fn of_rpc(rpc: RpcMatch) -> Match {
    Match {
        path: PathMatch::Rpc(rpc),
        headers: Vec::new(),
        query: Vec::new(),
        method: None,
    }
}

fn rpc(one: &GrpcMethodMatch) -> Result<RpcMatch, Faulty> {
    if let GrpcMethodMatchType::Unknown(text) = &one.match_type {
        return Err(("type".to_owned(), Fault::Value(text.clone())));
    }
    let part = |name: &'static str, text: Option<&RpcName>| {
        let text = text.filter(|text| !text.is_empty());
        let text = text.map(|text| match &one.match_type {
            GrpcMethodMatchType::RegularExpression => {
                http_match::expression(text.shared()).map(TextMatch::Regex)
            }
            _ => Ok(TextMatch::Exact(text.shared())),
        });
        text.transpose().map_err(|fault| (name.to_owned(), fault))
    };
    Ok(RpcMatch {
        service: part("service", one.service.as_ref())?,
        method: part("method", one.method.as_ref())?,
    })
}
