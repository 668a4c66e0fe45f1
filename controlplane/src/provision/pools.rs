//! All pools together: who may have addresses of which, in which order they are asked, what they have in
//! common, and how full they are.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::allocation::Allocation;
use super::claim::Settings;
use super::pool::{AddressRange, is_edge};
use crate::api::ObjectKind;
use crate::api::meta::{LabelSelector, Labels};
use crate::api::pool::{AddressPool, AddressPoolSpec};
use crate::limits::{POOL_COUNT_MOST, POOL_OVERLAPS};
use crate::store::Resources;
use crate::translate::problem::{Fault, Finding};

/// What a pool is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolName {
    /// `--address-pool`.
    Flag,
    Object(Arc<str>),
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("--address-pool"),
            Self::Object(name) => write!(f, "AddressPool {name}"),
        }
    }
}

/// Where addresses come from.
#[derive(Debug, Default)]
pub(super) struct Pools {
    /// In the order in which they are asked.
    all: Vec<Pool>,
}

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) name: PoolName,
    spec: AddressPoolSpec,
    generation: i64,
    /// Its ranges ascending, without what they have in common.
    merged: Vec<AddressRange>,
}

/// Who asks for an address.
#[derive(Clone, Copy)]
pub(super) struct Asker<'r> {
    pub(super) name: &'r ObjectName,
    pub(super) labels: &'r Labels,
    pub(super) resources: &'r Resources,
}

impl Pools {
    /// A pool that is for some only is asked before one that is for all, then the one of higher priority.
    pub(super) fn of(resources: &Resources, settings: &Settings) -> Self {
        let flags = AddressPoolSpec {
            addresses: settings.pools.clone(),
            ..AddressPoolSpec::default()
        };
        let flags = (!settings.pools.is_empty()).then(|| Pool::new(PoolName::Flag, flags, 0));
        let objects = resources.address_pools.values();
        let objects = objects.map(|pool| Pool::of_object(pool));
        let mut all: Vec<Pool> = flags.into_iter().chain(objects).collect();
        all.sort_by_key(|pool| (!pool.is_for_some(), -i64::from(pool.spec.priority)));
        Self { all }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Of these anybody gets addresses who names no pool.
    pub(super) fn open_to(&self, asker: Asker<'_>) -> Vec<&Pool> {
        let open = self.all.iter();
        open.filter(|pool| pool.spec.auto_assign && pool.is_for(asker))
            .collect()
    }

    /// # Errors
    /// When there is none of that name, or it is for others.
    pub(super) fn named(&self, name: &Arc<str>, asker: Asker<'_>) -> Result<Vec<&Pool>, Fault> {
        let wanted = PoolName::Object(name.clone());
        match self.all.iter().find(|pool| pool.name == wanted) {
            None => Err(Fault::NoPool(name.clone())),
            Some(pool) if pool.is_for(asker) => Ok(vec![pool]),
            Some(pool) => Err(Fault::PoolOfOthers(pool.name.clone())),
        }
    }

    /// Those with this hostname, for whomever they are.
    pub(super) fn of_hostname<'p>(&'p self, hostname: &'p str) -> impl Iterator<Item = &'p Pool> {
        let is_of = move |pool: &&Pool| pool.spec.hostname.as_deref() == Some(hostname);
        self.all.iter().filter(is_of)
    }

    pub(super) fn have(&self, address: IpAddr) -> bool {
        self.all.iter().any(|pool| pool.contains(address))
    }

    /// Whether `asker` may have just this address.
    ///
    /// # Errors
    /// When no pool has it, or only such as are for others.
    pub(super) fn permit(&self, address: IpAddr, asker: Asker<'_>) -> Result<(), Fault> {
        let having = self.all.iter().filter(|pool| pool.contains(address));
        let having: Vec<&Pool> = having.collect();
        match having.first() {
            None => Err(Fault::AddressNotInPool(address)),
            Some(_) if having.iter().any(|pool| pool.is_for(asker)) => Ok(()),
            Some(pool) => Err(Fault::PoolOfOthers(pool.name.clone())),
        }
    }

    /// What is to be said of each AddressPool.
    pub(super) fn verdicts(&self, allocation: &Allocation) -> PoolVerdicts {
        let mut overlaps = self.overlaps();
        let pools = self.all.iter().filter_map(|pool| {
            let PoolName::Object(name) = &pool.name else {
                return None;
            };
            let name = ObjectName {
                namespace: "".into(),
                name: name.clone(),
            };
            let findings = overlaps.remove(&pool.name).unwrap_or_default();
            let findings = findings.into_iter().map(|(with, range)| {
                let fault = Fault::PoolOverlap { with, range };
                Finding::new(ObjectKind::AddressPool, &name, "spec.addresses", fault)
            });
            let verdict = PoolVerdict {
                generation: pool.generation,
                findings: findings.collect(),
                ipv4: pool.usage(true, allocation),
                ipv6: pool.usage(false, allocation),
            };
            Some((name, verdict))
        });
        pools.collect()
    }

    /// What each pool has in common with others: with each of them the first range.
    fn overlaps(&self) -> BTreeMap<PoolName, BTreeMap<PoolName, AddressRange>> {
        let pools = self.all.iter();
        let ranges = pools.flat_map(|pool| pool.merged.iter().map(move |range| (*range, pool)));
        let mut ranges: Vec<(AddressRange, &Pool)> = ranges.collect();
        ranges.sort_by_key(|(range, _)| *range);
        let mut overlaps = BTreeMap::<PoolName, BTreeMap<PoolName, AddressRange>>::new();
        // Of each pool one at most, for its own have nothing in common.
        let mut open: Vec<(AddressRange, &Pool)> = Vec::new();
        for (range, pool) in ranges {
            open.retain(|(before, _)| before.common(&range).is_some());
            for (before, other) in &open {
                let Some(common) = before.common(&range) else {
                    continue;
                };
                for (one, two) in [(pool, other), (other, &pool)] {
                    let of_one = overlaps.entry(one.name.clone()).or_default();
                    if of_one.len() < POOL_OVERLAPS {
                        of_one.entry(two.name.clone()).or_insert(common);
                    }
                }
            }
            open.push((range, pool));
        }
        overlaps
    }
}

impl Pool {
    fn of_object(pool: &AddressPool) -> Self {
        let name = PoolName::Object(pool.metadata.name.clone());
        let generation = pool.metadata.generation.unwrap_or_default();
        Self::new(name, pool.spec.clone(), generation)
    }

    fn new(name: PoolName, spec: AddressPoolSpec, generation: i64) -> Self {
        Self {
            name,
            merged: merged(&spec.addresses),
            spec,
            generation,
        }
    }

    fn is_for_some(&self) -> bool {
        self.spec.namespace_selector.is_some() || self.spec.service_selector.is_some()
    }

    pub(super) fn is_for(&self, asker: Asker<'_>) -> bool {
        let (namespaces, services) = (&self.spec.namespace_selector, &self.spec.service_selector);
        let selects = |selector: &Option<LabelSelector>, labels: &Labels| {
            let selector = selector.as_ref();
            selector.is_none_or(|selector| selector.matches(labels))
        };
        let namespace = || asker.resources.namespace_labels(&asker.name.namespace);
        selects(services, asker.labels)
            && (namespaces.is_none() || selects(namespaces, &namespace()))
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let mut ranges = self.merged.iter();
        !self.avoids(address) && ranges.any(|range| range.contains(address))
    }

    pub(super) fn has_family(&self, is_ipv4: bool) -> bool {
        self.merged.iter().any(|range| range.is_ipv4() == is_ipv4)
    }

    /// The lowest address of the family that isn't taken, in the order of the ranges as written.
    pub(super) fn free(&self, is_ipv4: bool, is_taken: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let ranges = self.spec.addresses.iter();
        let mut ranges = ranges.filter(|range| range.is_ipv4() == is_ipv4);
        ranges.find_map(|range| range.free(|one| self.avoids(one) || is_taken(one)))
    }

    fn avoids(&self, address: IpAddr) -> bool {
        self.spec.avoid_edges && is_edge(address)
    }

    fn usage(&self, is_ipv4: bool, allocation: &Allocation) -> Option<Usage> {
        let ranges = self.merged.iter();
        let ranges = ranges.filter(|range| range.is_ipv4() == is_ipv4);
        let (mut total, mut assigned) = (0_u128, 0_u64);
        for range in ranges {
            let avoided = match self.spec.avoid_edges {
                true => range.edges(),
                false => 0,
            };
            total = total.saturating_add(range.size() - avoided);
            let held = allocation.held_in(range);
            let held = held.filter(|one| !self.avoids(*one)).count();
            assigned += u64::try_from(held).unwrap_or(u64::MAX);
        }
        let available = total.saturating_sub(assigned.into());
        let available = u64::try_from(available).unwrap_or(u64::MAX);
        self.has_family(is_ipv4).then(|| Usage {
            assigned,
            available: available.min(POOL_COUNT_MOST),
        })
    }
}

fn merged(ranges: &[AddressRange]) -> Vec<AddressRange> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<AddressRange> = Vec::new();
    for range in sorted {
        let joined = merged.last().and_then(|last| last.joined(&range));
        match (merged.last_mut(), joined) {
            (Some(last), Some(both)) => *last = both,
            _ => merged.push(range),
        }
    }
    merged
}

/// By AddressPool.
pub type PoolVerdicts = BTreeMap<ObjectName, PoolVerdict>;

/// How an AddressPool fares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolVerdict {
    pub generation: i64,
    /// What it has in common with others.
    pub findings: Vec<Finding>,
    /// None: it has no addresses of the family.
    pub ipv4: Option<Usage>,
    pub ipv6: Option<Usage>,
}

/// How many of a pool's addresses of one family are given, and how many aren't.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub assigned: u64,
    /// [`POOL_COUNT_MOST`]: so many, or more.
    pub available: u64,
}
