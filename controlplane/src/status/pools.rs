//! Statuses of AddressPools: how full each is, and what it has in common with others.

use ringgate_core::ir::ObjectName;
use serde::{Deserialize, Serialize};

use super::condition::{Condition, EXHAUSTED, Truth, messages};
use super::words;
use crate::provision::{PoolVerdict, Usage};
use crate::translate::problem::Finding;

/// Of an AddressPool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolStatus {
    pub name: String,
    pub conditions: Vec<Condition>,
    /// None: it has no addresses of the family.
    pub ipv4: Option<UsageStatus>,
    pub ipv6: Option<UsageStatus>,
}

/// How many addresses of one family are given, and how many aren't.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageStatus {
    pub assigned: u64,
    pub available: u64,
}

pub(super) fn pool(name: &ObjectName, verdict: &PoolVerdict) -> PoolStatus {
    let findings: Vec<&Finding> = verdict.findings.iter().collect();
    let conflicted = match findings.first() {
        None => Condition::new("Conflicted", Truth::False, "NoConflicts", String::new()),
        Some(first) => {
            let reason = words::reason(&first.fault);
            Condition::new("Conflicted", Truth::True, reason, messages(&findings))
        }
    };
    let usage = |one: Option<Usage>| {
        one.map(|one| UsageStatus {
            assigned: one.assigned,
            available: one.available,
        })
    };
    PoolStatus {
        name: name.name.to_string(),
        conditions: vec![conflicted, exhausted(verdict)],
        ipv4: usage(verdict.ipv4),
        ipv6: usage(verdict.ipv6),
    }
}

/// No fault by itself: who waits for an address is told, too.
fn exhausted(verdict: &PoolVerdict) -> Condition {
    let families = [("IPv4", verdict.ipv4), ("IPv6", verdict.ipv6)];
    let used_up = families.iter().filter_map(|(family, usage)| {
        let usage = usage.filter(|one| one.available == 0)?;
        let assigned = usage.assigned;
        Some(format!(
            "no {family} address is free: {assigned} of {assigned} are given."
        ))
    });
    let used_up: Vec<String> = used_up.collect();
    match used_up.is_empty() {
        true => Condition::new(EXHAUSTED, Truth::False, "AddressesFree", String::new()),
        false => {
            let message = format!("{} Widen the pool for those who come.", used_up.join(" "));
            Condition::new(EXHAUSTED, Truth::True, "NoFreeAddress", message)
        }
    }
}
