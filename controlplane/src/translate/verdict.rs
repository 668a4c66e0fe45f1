//! What translation decided about each object: the raw material of statuses, without their words.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::ir::{Hostname, Id, ObjectName};
use ringgate_core::table::IpProtocol;

use super::problem::{Concern, Fault, Finding};
use crate::api::ObjectKey;
use crate::api::gateway::RouteGroupKind;
use crate::api::reference::ParentReference;
use crate::provision::PoolVerdicts;
use crate::shared_map::SharedMap;

/// Verdicts on everything that is ours, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    pub gateway_classes: BTreeMap<Arc<str>, ClassVerdict>,
    pub gateways: BTreeMap<ObjectName, GatewayVerdict>,
    pub listener_sets: SharedMap<ObjectName, Arc<SetVerdict>>,
    /// Of every kind.
    pub routes: SharedMap<ObjectKey, Arc<RouteVerdict>>,
    pub policies: BTreeMap<ObjectKey, PolicyVerdict>,
    pub pools: PoolVerdicts,
    /// On what is not ours to judge, and on what is nobody's.
    pub others: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ClassVerdict {
    pub generation: i64,
    /// Not written anywhere, but ours all the same.
    pub implied: bool,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GatewayVerdict {
    pub generation: i64,
    pub class: Arc<str>,
    /// IP addresses and names, as clients are told. Empty: every address of the host.
    pub addresses: Vec<String>,
    /// About the Gateway itself.
    pub findings: Vec<Finding>,
    /// Some clients are let in without a certificate that holds, though it is asked for.
    pub lets_in_unverified: bool,
    pub listeners: Vec<ListenerVerdict>,
    /// How many ListenerSets are attached, and accepted.
    pub listener_sets: u32,
}

/// A ListenerSet of a Gateway of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct SetVerdict {
    pub generation: i64,
    pub gateway: ObjectName,
    /// The Gateway's, where the set is taken.
    pub addresses: Vec<String>,
    /// Why the Gateway doesn't take the set as a whole.
    pub refused: Option<Finding>,
    /// Empty for a set that isn't taken.
    pub listeners: Vec<ListenerVerdict>,
}

impl SetVerdict {
    /// Whether it is attached, with at least one listener that is valid.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.refused.is_none() && self.listeners.iter().any(ListenerVerdict::is_valid)
    }

    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let listeners = self.listeners.iter().flat_map(|one| &one.findings);
        self.refused.iter().chain(listeners)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ListenerVerdict {
    pub id: Id,
    pub name: Arc<str>,
    pub port: u16,
    pub ip_protocol: IpProtocol,
    pub protocol: Arc<str>,
    pub hostname: Hostname,
    pub supported_kinds: Vec<RouteGroupKind>,
    pub attached_routes: u32,
    /// Whether it is part of the snapshot.
    pub in_force: bool,
    /// It terminates TLS, and no certificate of it can be used.
    pub lacks_certificate: bool,
    /// It terminates TLS for hostnames that another listener of its port has too.
    pub overlaps: bool,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RouteVerdict {
    /// As data planes know the route.
    pub id: Id,
    pub generation: i64,
    /// One for each parent reference to a Gateway of ours (or to nothing).
    pub parents: Vec<ParentVerdict>,
    pub rules: RulesVerdict,
}

/// What is the same for every parent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RulesVerdict {
    pub count: usize,
    /// Which of them can't be carried out, ascending.
    pub broken: Vec<usize>,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ParentVerdict {
    pub parent: ParentReference,
    /// Why the route isn't attached there. Boxed, for few are refused.
    pub refused: Option<Box<Finding>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PolicyVerdict {
    pub generation: i64,
    /// Whether it can name other objects than its targets.
    pub has_references: bool,
    /// Where it takes effect, or would.
    pub ancestors: Vec<AncestorVerdict>,
}

/// A policy's target, or a Gateway above it.
#[derive(Clone, Debug, PartialEq)]
pub struct AncestorVerdict {
    pub ancestor: ParentReference,
    pub findings: Vec<Finding>,
}

impl RouteVerdict {
    /// All rules are broken, so that no parent accepts the route.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.rules.count > 0 && self.rules.broken.len() == self.rules.count
    }

    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let parents = self.parents.iter().filter_map(|one| one.refused.as_deref());
        self.rules.findings.iter().chain(parents)
    }

    #[must_use]
    pub fn is_accepted_by(&self, parent: &ParentVerdict) -> bool {
        parent.refused.is_none() && !self.is_void()
    }
}

impl ListenerVerdict {
    /// Whether it does what it is meant to, once data planes have it.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.in_force && !self.lacks_certificate
    }

    /// The first finding of each concern is the one that its condition names.
    #[must_use]
    pub fn first(&self, concern: Concern) -> Option<&Finding> {
        first(&self.findings, concern)
    }
}

/// The first of these that speaks to `concern`.
#[must_use]
pub fn first(findings: &[Finding], concern: Concern) -> Option<&Finding> {
    findings
        .iter()
        .find(|finding| finding.fault.concern() == concern)
}

impl Verdicts {
    /// Everything that was found, sorted, each once.
    #[must_use]
    pub fn findings(&self) -> Vec<&Finding> {
        let sets = self.listener_sets.values().map(|one| &**one);
        self.findings_with(sets, self.routes.values().map(|one| &**one))
    }

    /// The same, if `sets` and `routes` are all of those here that have any.
    #[must_use]
    pub fn findings_with<'v>(
        &'v self,
        sets: impl Iterator<Item = &'v SetVerdict>,
        routes: impl Iterator<Item = &'v RouteVerdict>,
    ) -> Vec<&'v Finding> {
        let classes = self.gateway_classes.values().flat_map(|one| &one.findings);
        let gateways = self.gateways.values().flat_map(|one| {
            let listeners = one.listeners.iter().flat_map(|one| &one.findings);
            one.findings.iter().chain(listeners)
        });
        let ancestors = self.policies.values().flat_map(|one| &one.ancestors);
        let policies = ancestors.flat_map(|one| &one.findings);
        // Who read the object has told of it.
        let is_untold = |one: &&Finding| !matches!(one.fault, Fault::Misread { .. });
        let mut all: Vec<_> = classes
            .chain(gateways)
            .chain(sets.flat_map(SetVerdict::findings))
            .chain(routes.flat_map(RouteVerdict::findings))
            .chain(policies)
            .chain(self.pools.values().flat_map(|one| &one.findings))
            .chain(&self.others)
            .filter(is_untold)
            .collect();
        all.sort();
        all.dedup();
        all
    }
}
