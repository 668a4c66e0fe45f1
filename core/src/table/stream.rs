//! Routes of connections and datagrams, compiled: for each host of a listener the one rule that takes them.

use std::cmp::Reverse;
use std::sync::Arc;

use super::host_set::HasHost;
use super::rule::{RuleName, Slots, Target};
use super::{CompileError, Slot};
use crate::ir;

/// The rule of one route of connections, shared by all hosts that lead to it.
#[derive(Debug)]
pub struct StreamRule {
    pub slot: Slot,
    /// As the kind of the route's object is written.
    pub kind: &'static str,
    pub route: ir::ObjectName,
    pub name: RuleName,
    /// By weight; none: connections are closed.
    pub targets: Box<[StreamTarget]>,
    created: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTarget {
    pub target: Target,
    pub weight: u32,
}

/// What takes the connections for one host at one listener.
#[derive(Clone, Debug)]
pub struct HostStream {
    pub hostname: ir::Hostname,
    pub rule: Arc<StreamRule>,
}

impl HasHost for HostStream {
    fn host(&self) -> &[u8] {
        self.hostname.text().as_bytes()
    }
}

impl StreamRule {
    /// Compiles the rule; a target that isn't there closes its share of connections, and the error says why.
    pub(super) fn compile(
        route: &ir::StreamRoute,
        slot: Slot,
        slots: &impl Slots,
    ) -> (Self, Option<CompileError>) {
        let mut error = None;
        let targets = route.backends.iter().map(|one| {
            let target = match Target::compile(&one.target, slots) {
                Ok(target) => target,
                Err(missing) => {
                    error = Some(missing);
                    Target::Invalid
                }
            };
            StreamTarget {
                target,
                weight: one.weight,
            }
        });
        let compiled = Self {
            slot,
            kind: route.kind(),
            route: route.name.clone(),
            name: match &route.rule {
                Some(name) => RuleName::Given(name.clone()),
                None => RuleName::Place(0),
            },
            targets: targets.collect(),
            created: route.created,
        };
        (compiled, error)
    }
}

impl HostStream {
    /// Of the routes that name the host the one that says it most specifically, then the oldest, then the
    /// first by name (GEP-2643). `candidates` are with their own hostname.
    pub(super) fn choose<'r>(
        hostname: &ir::Hostname,
        candidates: impl Iterator<Item = (&'r ir::Hostname, &'r Arc<StreamRule>)>,
    ) -> Option<Self> {
        let (_, rule) = candidates.min_by_key(|(written, rule)| {
            let specificity = Reverse(written.specificity());
            (specificity, rule.created, &rule.route)
        })?;
        Some(Self {
            hostname: hostname.clone(),
            rule: rule.clone(),
        })
    }
}
