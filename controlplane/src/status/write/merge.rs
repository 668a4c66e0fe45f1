//! A status as it shall be, made from the one that is there and ours: what others wrote stays, what
//! we wrote and don't mean any more goes, times stay where nothing changed. Pure.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::ObjectStatus;
use crate::api::{CONTROLLER_NAME, ObjectKind};
use crate::status::condition::Condition;
use crate::status::features;
use crate::status::objects::{
    AncestorStatus, ClassStatus, GatewayStatus, ListenerStatus, ParentStatus, PolicyStatus,
};
use crate::status::pools::PoolStatus;

/// Every condition type that is ours to set or to remove, on whatever object.
const OURS: &[&str] = &[
    "Accepted",
    "Programmed",
    "ResolvedRefs",
    "Conflicted",
    "PartiallyInvalid",
    "SupportedVersion",
    "InsecureFrontendValidationMode",
    "OverlappingTLSConfig",
    "Exhausted",
];

/// What the status becomes; `wanted` None: nothing of ours is meant any more.
pub(super) fn merge(kind: ObjectKind, live: &Value, wanted: Option<&ObjectStatus>) -> Value {
    let Value::Object(mut status) = live.clone() else {
        return merge(kind, &Value::Object(Map::new()), wanted);
    };
    match wanted {
        Some(ObjectStatus::Class(one)) => class(&mut status, one),
        Some(ObjectStatus::Gateway(one)) => gateway(&mut status, one),
        Some(ObjectStatus::ListenerSet(one)) => {
            set_conditions(&mut status, &one.conditions);
            set_listeners(&mut status, &one.listeners);
        }
        Some(ObjectStatus::Route(one)) => {
            let ours = one.parents.iter().map(Entry::of_parent);
            entries(&mut status, "parents", ours);
        }
        Some(ObjectStatus::Policy(one)) => policy(&mut status, one),
        Some(ObjectStatus::Pool(one)) => pool(&mut status, one),
        None => match kind {
            kind if kind.is_route() => entries(&mut status, "parents", [].into_iter()),
            ObjectKind::ListenerPolicy
            | ObjectKind::BackendPolicy
            | ObjectKind::BackendTlsPolicy => {
                entries(&mut status, "ancestors", [].into_iter());
            }
            // Nothing tells whose these are: whoever takes them over overwrites them.
            _ => {}
        },
    }
    Value::Object(status)
}

fn class(status: &mut Map<String, Value>, wanted: &ClassStatus) {
    set_conditions(status, &wanted.conditions);
    let features = features::SUPPORTED.iter();
    let features = features.map(|name| json!({"name": name})).collect();
    status.insert("supportedFeatures".into(), features);
}

fn address_type(address: &str) -> &'static str {
    match address.parse::<IpAddr>() {
        Ok(_) => "IPAddress",
        Err(_) => "Hostname",
    }
}

fn gateway(status: &mut Map<String, Value>, wanted: &GatewayStatus) {
    set_conditions(status, &wanted.conditions);
    let addresses = wanted.addresses.iter();
    let addresses: Vec<Value> = addresses
        .map(|address| json!({"type": address_type(address), "value": address}))
        .collect();
    if addresses.is_empty() {
        status.remove("addresses");
    } else {
        status.insert("addresses".into(), Value::Array(addresses));
    }
    set_listeners(status, &wanted.listeners);
    let sets = wanted.attached_listener_sets;
    status.insert("attachedListenerSets".into(), sets.into());
}

fn set_listeners(status: &mut Map<String, Value>, wanted: &[ListenerStatus]) {
    let live = take_list(status, "listeners");
    let listeners = wanted.iter().map(|one| listener(&live, one));
    status.insert("listeners".into(), listeners.collect());
}

/// A listener that the Gateway has no more isn't kept, whoever wrote about it.
fn listener(live: &[Value], wanted: &ListenerStatus) -> Value {
    let there = live.iter().find(|one| one["name"] == *wanted.name);
    let mut listener = there
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    set_conditions(&mut listener, &wanted.conditions);
    listener.insert("name".into(), wanted.name.as_str().into());
    listener.insert("attachedRoutes".into(), wanted.attached_routes.into());
    listener.insert("supportedKinds".into(), as_json(&wanted.supported_kinds));
    Value::Object(listener)
}

fn policy(status: &mut Map<String, Value>, wanted: &PolicyStatus) {
    let ours = wanted.ancestors.iter();
    entries(status, "ancestors", ours.map(Entry::of_ancestor));
}

fn pool(status: &mut Map<String, Value>, wanted: &PoolStatus) {
    set_conditions(status, &wanted.conditions);
    for (field, usage) in [("ipv4", &wanted.ipv4), ("ipv6", &wanted.ipv6)] {
        match usage {
            Some(usage) => status.insert(field.into(), as_json(usage)),
            None => status.remove(field),
        };
    }
}

/// One entry of a list in which each controller has its own.
struct Entry<'a> {
    reference_field: &'static str,
    reference: Value,
    conditions: &'a [Condition],
}

impl<'a> Entry<'a> {
    fn of_parent(parent: &'a ParentStatus) -> Self {
        Self {
            reference_field: "parentRef",
            reference: as_json(&parent.parent_ref),
            conditions: &parent.conditions,
        }
    }

    fn of_ancestor(ancestor: &'a AncestorStatus) -> Self {
        Self {
            reference_field: "ancestorRef",
            reference: as_json(&ancestor.ancestor_ref),
            conditions: &ancestor.conditions,
        }
    }

    fn is(&self, entry: &Value) -> bool {
        is_ours(entry) && entry.get(self.reference_field) == Some(&self.reference)
    }

    fn merged(&self, live: Option<&Value>) -> Value {
        let mut entry = live.and_then(Value::as_object).cloned().unwrap_or_default();
        set_conditions(&mut entry, self.conditions);
        entry.insert(self.reference_field.into(), self.reference.clone());
        entry.insert("controllerName".into(), CONTROLLER_NAME.into());
        Value::Object(entry)
    }
}

/// How many entries the API has room for, all controllers' together.
fn limit(field: &str) -> usize {
    match field {
        "ancestors" => 16,
        _ => 32,
    }
}

fn is_ours(entry: &Value) -> bool {
    entry.get("controllerName").and_then(Value::as_str) == Some(CONTROLLER_NAME)
}

/// Others' entries stay, in their places; ours that are still meant too; new ones come last, as far as
/// there is room.
fn entries<'a>(
    status: &mut Map<String, Value>,
    field: &str,
    wanted: impl Iterator<Item = Entry<'a>>,
) {
    let mut wanted: Vec<Entry<'_>> = wanted.collect();
    let is_there = status.contains_key(field);
    let live = take_list(status, field);
    let mut merged = Vec::with_capacity(live.len() + wanted.len());
    for entry in live {
        if !is_ours(&entry) {
            merged.push(entry);
        } else if let Some(place) = wanted.iter().position(|one| one.is(&entry)) {
            merged.push(wanted.remove(place).merged(Some(&entry)));
        }
    }
    let room = limit(field).saturating_sub(merged.len());
    merged.extend(wanted.iter().take(room).map(|one| one.merged(None)));
    if is_there || !merged.is_empty() {
        status.insert(field.into(), Value::Array(merged));
    }
}

/// Others' stay, in their places; ours that are still meant too; new ones come last.
fn set_conditions(holder: &mut Map<String, Value>, wanted: &[Condition]) {
    let mut wanted: Vec<&Condition> = wanted.iter().collect();
    let live = take_list(holder, "conditions");
    let mut merged = Vec::with_capacity(live.len() + wanted.len());
    for condition in live {
        let name = condition
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if let Some(place) = wanted.iter().position(|own| own.condition_type == name) {
            merged.push(stamped(wanted.remove(place), Some(&condition)));
        } else if !OURS.contains(&name) {
            merged.push(condition);
        }
    }
    merged.extend(wanted.iter().map(|own| stamped(own, None)));
    holder.insert("conditions".into(), Value::Array(merged));
}

/// The time stays as it is in the cluster as long as the condition's status does.
fn stamped(wanted: &Condition, live: Option<&Value>) -> Value {
    let mut condition = as_json(wanted);
    if let Some(live) = live
        && live.get("status") == condition.get("status")
        && let Some(time) = live.get("lastTransitionTime")
    {
        condition["lastTransitionTime"] = time.clone();
    }
    condition
}

fn take_list(holder: &mut Map<String, Value>, field: &str) -> Vec<Value> {
    match holder.remove(field) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// Our statuses have texts as keys only, so this can't fail.
fn as_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
