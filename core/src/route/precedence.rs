//! Which of several matches takes a request: Gateway API's precedence as one order, applied when
//! a table is compiled and never per request.

use std::cmp::Reverse;
use std::sync::Arc;

use super::rpc::{self, RpcPath};
use crate::ir;

/// The order of path matches: Exact, then RegularExpression (its place is implementation-specific in the
/// API: longer patterns first, and before prefixes, for a prefix `/` beside it would else take
/// everything), then PathPrefix by length.
///
/// Of gRPC's methods: a service and method, both Exact; a service alone, Exact; then, by the characters of
/// the service and of the method as they are written, expressions, methods of any service, and what takes
/// every request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathRank {
    Exact(Arc<str>),
    Regex(Reverse<usize>, Arc<str>),
    Prefix(Reverse<usize>, Arc<str>),
    /// The lengths of service and method.
    Rpc(Reverse<usize>, Reverse<usize>),
}

impl PathRank {
    #[must_use]
    pub fn of(path: &ir::PathMatch) -> Self {
        match path {
            ir::PathMatch::Exact(path) => Self::Exact(path.clone()),
            ir::PathMatch::Regex(path) => Self::Regex(Reverse(path.len()), path.clone()),
            ir::PathMatch::Prefix(path) => Self::Prefix(Reverse(path.len()), path.clone()),
            ir::PathMatch::Rpc(one) => Self::of_rpc(one),
        }
    }

    fn of_rpc(one: &ir::RpcMatch) -> Self {
        let length = |part: Option<&ir::TextMatch>| match part {
            None => Reverse(0),
            Some(ir::TextMatch::Exact(text) | ir::TextMatch::Regex(text)) => Reverse(text.len()),
        };
        match rpc::path(one) {
            Some(RpcPath::Method(path)) => Self::Exact(path),
            Some(RpcPath::Service(path)) => Self::Prefix(Reverse(path.len()), path),
            None => Self::Rpc(length(one.service.as_ref()), length(one.method.as_ref())),
        }
    }
}

/// Ascending: what is less is tried first. The fields' order is the API's (HTTPRouteRule and GRPCRouteRule,
/// `matches`).
/// Equal paths stand side by side, so that a path index can name them by a range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence {
    pub path: PathRank,
    /// A match that names a method goes first.
    pub method: Reverse<bool>,
    pub headers: Reverse<usize>,
    pub query: Reverse<usize>,
    /// The oldest route, then the first by `namespace/name`.
    pub created: u64,
    pub route: ir::ObjectName,
    pub rule: usize,
    pub position: usize,
}

impl Precedence {
    #[must_use]
    pub fn of(route: &ir::HttpRoute, rule: usize, position: usize, one: &ir::Match) -> Self {
        Self {
            path: PathRank::of(&one.path),
            method: Reverse(one.method.is_some()),
            headers: Reverse(one.headers.len()),
            query: Reverse(one.query.len()),
            created: route.created,
            route: route.name.clone(),
            rule,
            position,
        }
    }
}
