//! Each object's status as Gateway API v1.7.0 words it: conditions from verdicts and coverage.

use std::collections::BTreeMap;

use ringgate_core::ir::{Id, ObjectName, Version};
use serde::{Deserialize, Serialize};

use super::condition::{Condition, Truth, messages};
use super::coverage::{Coverage, Reached};
use crate::api::ObjectKey;
use crate::api::gateway::RouteGroupKind;
use crate::api::reference::ParentReference;
use crate::translate::problem::{Concern, Finding};
use crate::translate::verdict::{
    ClassVerdict, GatewayVerdict, ListenerVerdict, ParentVerdict, PolicyVerdict, RouteVerdict,
    SetVerdict,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassStatus {
    pub name: String,
    /// It is written nowhere, but ours all the same.
    pub implied: bool,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    pub namespace: String,
    pub name: String,
    pub class: String,
    /// Empty: every address of the host.
    pub addresses: Vec<String>,
    pub conditions: Vec<Condition>,
    pub listeners: Vec<ListenerStatus>,
    /// How many ListenerSets are attached, and accepted.
    pub attached_listener_sets: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSetStatus {
    pub namespace: String,
    pub name: String,
    /// `namespace/name` of the Gateway that the listeners are added to.
    pub gateway: String,
    /// The Gateway's; empty: every address of the host.
    pub addresses: Vec<String>,
    pub conditions: Vec<Condition>,
    pub listeners: Vec<ListenerStatus>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    pub name: String,
    pub port: u16,
    pub protocol: String,
    pub hostname: String,
    pub supported_kinds: Vec<RouteGroupKind>,
    pub attached_routes: u32,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStatus {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub parents: Vec<ParentStatus>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    pub parent_ref: ParentReference,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub ancestors: Vec<AncestorStatus>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AncestorStatus {
    pub ancestor_ref: ParentReference,
    pub conditions: Vec<Condition>,
}

/// Since which version each listener has been as it is.
pub type Since = BTreeMap<Id, Version>;

pub(super) fn class(name: &str, verdict: &ClassVerdict) -> ClassStatus {
    let supported = Condition::new(
        "SupportedVersion",
        Truth::True,
        "SupportedVersion",
        String::new(),
    );
    ClassStatus {
        name: name.to_owned(),
        implied: verdict.implied,
        conditions: vec![
            Condition::unless("Accepted", "Accepted", &verdict.findings),
            supported,
        ],
    }
}

pub(super) fn gateway(
    name: &ObjectName,
    verdict: &GatewayVerdict,
    since: &Since,
    coverage: &Coverage,
) -> GatewayStatus {
    let listeners = with_programmed(&verdict.listeners, since, coverage);
    let accepted = gateway_accepted(verdict);
    let programmed = gateway_programmed(verdict, &accepted, &listeners);
    GatewayStatus {
        namespace: name.namespace.to_string(),
        name: name.name.to_string(),
        class: verdict.class.to_string(),
        addresses: verdict.addresses.clone(),
        conditions: [accepted, programmed, gateway_resolved(verdict)]
            .into_iter()
            .chain(insecure(verdict))
            .collect(),
        listeners: listeners
            .into_iter()
            .map(|(verdict, programmed)| listener(verdict, programmed))
            .collect(),
        attached_listener_sets: verdict.listener_sets,
    }
}

fn with_programmed<'v>(
    listeners: &'v [ListenerVerdict],
    since: &Since,
    coverage: &Coverage,
) -> Vec<(&'v ListenerVerdict, Condition)> {
    let listeners = listeners.iter();
    listeners
        .map(|listener| (listener, listener_programmed(listener, since, coverage)))
        .collect()
}

pub(super) fn listener_set(
    name: &ObjectName,
    verdict: &SetVerdict,
    since: &Since,
    coverage: &Coverage,
) -> ListenerSetStatus {
    let listeners = with_programmed(&verdict.listeners, since, coverage);
    let accepted = match &verdict.refused {
        Some(refused) => Condition::unless("Accepted", "Accepted", [refused]),
        None => listeners_accepted(&verdict.listeners)
            .unwrap_or_else(|| Condition::unless("Accepted", "Accepted", [])),
    };
    let programmed = set_programmed(&accepted, &listeners);
    ListenerSetStatus {
        namespace: name.namespace.to_string(),
        name: name.name.to_string(),
        gateway: verdict.gateway.to_string(),
        addresses: verdict.addresses.clone(),
        conditions: vec![accepted, programmed],
        listeners: listeners
            .into_iter()
            .map(|(verdict, programmed)| listener(verdict, programmed))
            .collect(),
    }
}

/// A set that isn't accepted isn't programmed for the same reason (GEP-1713).
fn set_programmed(accepted: &Condition, listeners: &[(&ListenerVerdict, Condition)]) -> Condition {
    let programmed =
        |reason: &str, message| Condition::new("Programmed", Truth::False, reason, message);
    if accepted.status != Truth::True {
        let reason = match accepted.reason.as_str() {
            "ParentNotAccepted" => "ParentNotProgrammed",
            same => same,
        };
        return programmed(reason, accepted.message.clone());
    }
    match not_yet(listeners) {
        None => Condition::unless("Programmed", "Programmed", []),
        Some((listener, condition)) => {
            let message = format!("listener {}: {}", listener.name, condition.message);
            programmed(&condition.reason, message)
        }
    }
}

/// The first listener that shall be in force, but isn't everywhere.
fn not_yet<'l, 'v>(
    listeners: &'l [(&'v ListenerVerdict, Condition)],
) -> Option<&'l (&'v ListenerVerdict, Condition)> {
    let mut listeners = listeners.iter();
    listeners.find(|(listener, condition)| listener.is_valid() && condition.status != Truth::True)
}

/// What `Accepted` says of a Gateway or a ListenerSet some of whose listeners can't be in force: false
/// when none can.
fn listeners_accepted(listeners: &[ListenerVerdict]) -> Option<Condition> {
    let bad = listeners.iter().filter(|one| !one.is_valid());
    let bad: Vec<&str> = bad.map(|one| &*one.name).collect();
    if bad.is_empty() {
        return None;
    }
    let truth = match bad.len() < listeners.len() {
        true => Truth::True,
        false => Truth::False,
    };
    let message = format!(
        "not in force: listener {}. See the conditions of each.",
        bad.join(", ")
    );
    Some(Condition::new(
        "Accepted",
        truth,
        "ListenersNotValid",
        message,
    ))
}

fn gateway_accepted(verdict: &GatewayVerdict) -> Condition {
    let of = |concern| of(&verdict.findings, concern);
    let mut refused = of(Concern::Accepted).peekable();
    if refused.peek().is_some() {
        return Condition::unless("Accepted", "Accepted", refused);
    }
    if let Some(condition) = listeners_accepted(&verdict.listeners) {
        return condition;
    }
    let advice: Vec<&Finding> = of(Concern::Advice).collect();
    Condition::new("Accepted", Truth::True, "Accepted", messages(&advice))
}

fn gateway_programmed(
    verdict: &GatewayVerdict,
    accepted: &Condition,
    listeners: &[(&ListenerVerdict, Condition)],
) -> Condition {
    let programmed = |truth, reason, message| Condition::new("Programmed", truth, reason, message);
    if accepted.status != Truth::True {
        let message = "the Gateway isn't accepted. See its condition Accepted.".to_owned();
        return programmed(Truth::False, "Invalid", message);
    }
    let mut missing = of(&verdict.findings, Concern::Programmed).peekable();
    if missing.peek().is_some() {
        return Condition::unless("Programmed", "Programmed", missing);
    }
    match not_yet(listeners) {
        None => programmed(Truth::True, "Programmed", String::new()),
        Some((listener, condition)) => {
            let reason = match condition.reason.as_str() {
                UNBOUND => "AddressNotUsable",
                _ => "Pending",
            };
            let message = format!("listener {}: {}", listener.name, condition.message);
            programmed(Truth::False, reason, message)
        }
    }
}

/// Of the Gateway's own references, else a summary of its listeners'.
fn gateway_resolved(verdict: &GatewayVerdict) -> Condition {
    let mut own = of(&verdict.findings, Concern::ResolvedRefs).peekable();
    let listeners = verdict.listeners.iter();
    let bad = listeners.filter(|one| one.first(Concern::ResolvedRefs).is_some());
    let bad: Vec<&str> = bad.map(|one| &*one.name).collect();
    if own.peek().is_some() || bad.is_empty() {
        return Condition::unless("ResolvedRefs", "ResolvedRefs", own);
    }
    let message = format!(
        "references of listener {} can't be used. See the conditions of each.",
        bad.join(", ")
    );
    Condition::new(
        "ResolvedRefs",
        Truth::False,
        "ListenersNotResolved",
        message,
    )
}

/// There only while it is so.
fn insecure(verdict: &GatewayVerdict) -> Option<Condition> {
    verdict.lets_in_unverified.then(|| {
        let message = "clients without a valid certificate are let in too: AllowInsecureFallback";
        Condition::new(
            "InsecureFrontendValidationMode",
            Truth::True,
            "ConfigurationChanged",
            message.to_owned(),
        )
    })
}

/// Gateway API has this reason for a listener's `Accepted` and a ListenerSet's `Programmed`.
const UNBOUND: &str = "PortUnavailable";

fn listener_programmed(
    listener: &ListenerVerdict,
    since: &Since,
    coverage: &Coverage,
) -> Condition {
    let programmed = |truth, reason, message| Condition::new("Programmed", truth, reason, message);
    if let Some(conflict) = listener.first(Concern::Conflicted) {
        return Condition::unless("Programmed", "Programmed", [conflict]);
    }
    if let Some(message) = invalid(listener) {
        return programmed(Truth::False, "Invalid", message.to_owned());
    }
    let Some(version) = since.get(&listener.id) else {
        return programmed(Truth::Unknown, "Pending", "not sent yet".to_owned());
    };
    match coverage.reached(&listener.id, *version) {
        Reached::Everywhere => programmed(Truth::True, "Programmed", String::new()),
        Reached::Nobody => {
            let message = "no data plane is connected. Start one, or look why it can't reach this control plane."
                .to_owned();
            programmed(Truth::False, "Pending", message)
        }
        Reached::Waiting(count) => {
            let message = format!("{count} data planes haven't put it in force yet");
            programmed(Truth::False, "Pending", message)
        }
        Reached::Failed(reason) => programmed(Truth::False, UNBOUND, reason.to_owned()),
    }
}

/// Why a listener doesn't do what it is meant to.
fn invalid(listener: &ListenerVerdict) -> Option<&'static str> {
    match (listener.lacks_certificate, listener.in_force) {
        (false, true) => None,
        (true, true) => Some(
            "no certificate can be used; a data plane that has the one from before goes on with it. See the condition ResolvedRefs.",
        ),
        (true, false) if listener.first(Concern::Accepted).is_none() => {
            Some("no certificate can be used. See the condition ResolvedRefs.")
        }
        _ => {
            Some("the listener or its Gateway isn't accepted. See the condition Accepted of both.")
        }
    }
}

fn listener(verdict: &ListenerVerdict, programmed: Condition) -> ListenerStatus {
    let of = |concern| of(&verdict.findings, concern);
    let conflicts: Vec<&Finding> = of(Concern::Conflicted).collect();
    let conflicted = match Condition::unless("Conflicted", "NoConflicts", conflicts.clone()) {
        fine if conflicts.is_empty() => Condition {
            status: Truth::False,
            ..fine
        },
        bad => Condition {
            status: Truth::True,
            ..bad
        },
    };
    let refused = conflicts.into_iter().chain(of(Concern::Accepted));
    ListenerStatus {
        name: verdict.name.to_string(),
        port: verdict.port,
        protocol: verdict.protocol.to_string(),
        hostname: verdict.hostname.to_string(),
        supported_kinds: verdict.supported_kinds.clone(),
        attached_routes: verdict.attached_routes,
        conditions: [
            Condition::unless("Accepted", "Accepted", refused),
            conflicted,
            Condition::unless("ResolvedRefs", "ResolvedRefs", of(Concern::ResolvedRefs)),
            programmed,
        ]
        .into_iter()
        .chain(verdict.overlaps.then(|| overlapping(&verdict.protocol)))
        .collect(),
    }
}

/// There only while it is so; no fault by itself.
fn overlapping(protocol: &str) -> Condition {
    let message = match protocol {
        // Requests in it are none of ours.
        "TLS" => {
            "another listener of the port has hostnames in common with it: the more specific one gets a connection"
        }
        _ => {
            "another listener of the port has hostnames in common with it: a client that keeps a connection for both is answered 421 and asks anew"
        }
    };
    Condition::new(
        "OverlappingTLSConfig",
        Truth::True,
        "OverlappingHostnames",
        message.to_owned(),
    )
}

/// `refusal` is a data plane's, where one can't put the route in force.
pub(super) fn route(key: &ObjectKey, verdict: &RouteVerdict, refusal: Option<&str>) -> RouteStatus {
    let parents = verdict.parents.iter().map(|parent| ParentStatus {
        parent_ref: parent.parent.clone(),
        conditions: route_conditions(verdict, parent, refusal),
    });
    RouteStatus {
        kind: key.kind.as_str().to_owned(),
        namespace: key.name.namespace.to_string(),
        name: key.name.name.to_string(),
        parents: parents.collect(),
    }
}

fn route_conditions(
    verdict: &RouteVerdict,
    parent: &ParentVerdict,
    refusal: Option<&str>,
) -> Vec<Condition> {
    let of = |concern| of(&verdict.rules.findings, concern);
    let accepted = match (&parent.refused, refusal) {
        (Some(refused), _) => Condition::unless("Accepted", "Accepted", [&**refused]),
        (None, _) if verdict.is_void() => {
            Condition::unless("Accepted", "Accepted", of(Concern::Accepted))
        }
        (None, Some(reason)) => {
            let message = format!("a data plane refused it: {reason}. Correct what it names.");
            Condition::new("Accepted", Truth::False, "UnsupportedValue", message)
        }
        (None, None) => Condition::unless("Accepted", "Accepted", []),
    };
    let partial = accepted.status == Truth::True && !verdict.rules.broken.is_empty();
    let resolved = Condition::unless("ResolvedRefs", "ResolvedRefs", of(Concern::ResolvedRefs));
    let mut conditions = vec![accepted, resolved];
    if partial {
        let findings: Vec<&Finding> = of(Concern::Accepted).collect();
        let rules: Vec<String> = verdict.rules.broken.iter().map(usize::to_string).collect();
        // The API asks for this beginning.
        let message = format!("Dropped Rule {}: {}", rules.join(", "), messages(&findings));
        let condition =
            Condition::new("PartiallyInvalid", Truth::True, "UnsupportedValue", message);
        conditions.push(condition);
    }
    conditions
}

pub(super) fn policy(key: &ObjectKey, verdict: &PolicyVerdict) -> PolicyStatus {
    let condition =
        |name: &str, concern, findings| Condition::unless(name, name, of(findings, concern));
    let ancestors = verdict.ancestors.iter().map(|ancestor| {
        let findings = ancestor.findings.as_slice();
        let accepted = condition("Accepted", Concern::Accepted, findings);
        let resolved = || condition("ResolvedRefs", Concern::ResolvedRefs, findings);
        AncestorStatus {
            ancestor_ref: ancestor.ancestor.clone(),
            conditions: std::iter::once(accepted)
                .chain(verdict.has_references.then(resolved))
                .collect(),
        }
    });
    PolicyStatus {
        kind: key.kind.as_str().to_owned(),
        namespace: key.name.namespace.to_string(),
        name: key.name.name.to_string(),
        ancestors: ancestors.collect(),
    }
}

fn of(findings: &[Finding], concern: Concern) -> impl Iterator<Item = &Finding> {
    findings
        .iter()
        .filter(move |finding| finding.fault.concern() == concern)
}
