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
use super::route::{Placed, RouteKind, Wanted};
use crate::api::ObjectKind;
use crate::api::grpc_route::{
    GrpcMethodMatch, GrpcMethodMatchType, GrpcRoute, GrpcRouteMatch, GrpcRouteRule,
};
use crate::api::text::RpcName;
use crate::store::{ByName, Resources};

impl RouteKind for GrpcRouteRule {
    const KIND: ObjectKind = ObjectKind::GrpcRoute;
    const SPEAKS: BackendProtocol = BackendProtocol::Http2;
    type Rule = Rule;

    fn all(resources: &Resources) -> &ByName<GrpcRoute> {
        &resources.grpc_routes
    }

    fn translate(&self, wanted: &mut Wanted<'_>) -> Option<Rule> {
        let every_rpc = || of_rpc(RpcMatch::default());
        let common = Common {
            name: self.name.as_ref(),
            matches: http_route::matches(&self.matches, wanted, every_rpc, translate),
            filters: &self.filters,
            backend_refs: &self.backend_refs,
            session_persistence: self.session_persistence.as_deref(),
        };
        common.translate(wanted)
    }

    fn id(name: &ObjectName) -> Id {
        Id::grpc_route(name)
    }

    fn object(placed: Placed, rules: Vec<Rule>) -> Object {
        http_route::object(RouteProtocol::Grpc, placed, rules)
    }
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
