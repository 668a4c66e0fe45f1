//! Which addresses each Gateway has and shall have: what is stored stays, then what is asked for by
//! name, then the lowest that is free. Older Gateways come first.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::names;
use super::parameters::{self, Parameters};
use super::pool::AddressRange;
use super::stored::{self, Stored};
use crate::api::ObjectKind;
use crate::api::gateway::{Gateway, PortPlace};
use crate::store::Resources;
use crate::translate::Options;
use crate::translate::gateway_class::our_gateways;
use crate::translate::place::Asked;
use crate::translate::problem::{Concern, Fault, Finding};

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `--address-pool`.
    pub pools: Vec<AddressRange>,
    /// Where a foreign load balancer reaches the data planes.
    pub data_planes: Vec<IpAddr>,
    /// What listeners are bound to behind a foreign load balancer.
    pub ports: RangeInclusive<u16>,
    /// `--default-load-balancer`: Services of type LoadBalancer without a class are ours, too.
    pub is_default: bool,
}

/// Above the ports that programs use, below those that Linux gives to connections going out.
pub const DEFAULT_PORTS: RangeInclusive<u16> = 20_000..=29_999;

impl Default for Settings {
    fn default() -> Self {
        Self {
            pools: Vec::new(),
            data_planes: Vec::new(),
            ports: DEFAULT_PORTS,
            is_default: false,
        }
    }
}

/// What one Gateway has, and shall have.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The Service that is generated.
    pub service: ObjectName,
    pub parameters: Parameters,
    /// What shall be stored; of a foreign load balancer nothing.
    pub wanted: Vec<IpAddr>,
    /// What is stored and still wanted: what clients may be told.
    pub addresses: Vec<String>,
    /// Where listeners are bound; none: on every address of the host (behind a foreign load balancer).
    pub binds: Vec<IpAddr>,
    /// Behind a foreign load balancer: the ports that listeners are bound to, by theirs, as stored.
    pub bound_ports: Option<BTreeMap<PortPlace, u16>>,
    /// False: listeners wait until addresses are stored.
    pub is_ready: bool,
    pub findings: Vec<Finding>,
}

impl Claim {
    /// Whether nothing is generated: it asks for what can't be, or the Service is a stranger's.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(|one| {
            one.fault.concern() == Concern::Accepted
                || matches!(one.fault, Fault::ForeignService(_))
        })
    }
}

/// Claims of the Gateways that are provisioned at all: those for which there is a pool, or another's
/// load balancer.
pub type Claims = BTreeMap<ObjectName, Claim>;

/// Decides everything. Pure: the same objects give the same claims, and applying what is wanted
/// changes no claim but for what is stored.
#[must_use]
pub fn claims(resources: &Resources, options: &Options) -> Claims {
    let mut gateways: Vec<_> = our_gateways(resources, options).collect();
    gateways.sort_by_key(|(name, gateway)| {
        let created = gateway.metadata.creation_timestamp;
        (created.map_or(0, |moment| moment.0), *name)
    });
    let pools = Pools::of(resources, &options.provision);
    let candidates: Vec<Candidate<'_>> = gateways
        .into_iter()
        .filter_map(|(name, gateway)| Candidate::new(name, gateway, resources, &pools))
        .collect();
    let mut taken = stored::of_others(resources, candidates.iter().map(|one| &one.service));
    for candidate in &candidates {
        for address in candidate.kept() {
            let owner = candidate.service.clone();
            taken.entry(address).or_insert(owner);
        }
    }
    let mut allocation = Allocation { taken };
    let claims = candidates.into_iter();
    claims
        .map(|one| (one.name.clone(), one.claim(&mut allocation)))
        .collect()
}

/// A Gateway that is to be provisioned.
struct Candidate<'r> {
    name: &'r ObjectName,
    gateway: &'r Arc<Gateway>,
    service: ObjectName,
    stored: Stored,
    parameters: Parameters,
    pools: &'r Pools,
    findings: Vec<Finding>,
}

/// Where addresses come from.
#[derive(Debug, Default)]
pub(super) struct Pools {
    /// For those who name no address.
    pub(super) dynamic: Vec<AddressRange>,
    /// For those who do.
    pub(super) all: Vec<AddressRange>,
    pub(super) by_name: BTreeMap<Arc<str>, Vec<AddressRange>>,
    by_hostname: BTreeMap<Arc<str>, Vec<AddressRange>>,
}

impl Pools {
    pub(super) fn of(resources: &Resources, settings: &Settings) -> Self {
        let mut pools = Self {
            dynamic: settings.pools.clone(),
            all: settings.pools.clone(),
            by_name: BTreeMap::new(),
            by_hostname: BTreeMap::new(),
        };
        for (name, pool) in &resources.address_pools {
            let ranges = &pool.spec.addresses;
            pools.all.extend(ranges);
            pools.by_name.insert(name.name.clone(), ranges.clone());
            if pool.spec.auto_assign {
                pools.dynamic.extend(ranges);
            }
            if let Some(hostname) = &pool.spec.hostname {
                let of_name = pools.by_hostname.entry(hostname.shared()).or_default();
                of_name.extend(ranges);
            }
        }
        pools
    }
}

impl<'r> Candidate<'r> {
    fn new(
        name: &'r ObjectName,
        gateway: &'r Arc<Gateway>,
        resources: &Resources,
        pools: &'r Pools,
    ) -> Option<Self> {
        let (parameters, findings) = parameters::of(name, gateway, resources);
        if pools.all.is_empty() && parameters.class.is_ours() {
            return None;
        }
        let class = &gateway.spec.gateway_class_name;
        let service = ObjectName {
            namespace: name.namespace.clone(),
            name: names::service(&name.name, class),
        };
        let stored = stored::of(resources, &service, name);
        Some(Self {
            name,
            gateway,
            service,
            stored,
            parameters,
            pools,
            findings,
        })
    }

    /// Those of the stored addresses that it doesn't give back.
    fn kept(&self) -> Vec<IpAddr> {
        if !self.parameters.class.is_ours() {
            return Vec::new();
        }
        let asked = self.requests().addresses;
        let stored = self.stored.addresses.iter().copied();
        match asked.is_empty() {
            true => stored.collect(),
            false => stored.filter(|one| asked.contains_key(one)).collect(),
        }
    }

    fn claim(self, allocation: &mut Allocation) -> Claim {
        if self.stored.is_strangers {
            self.refused()
        } else if self.parameters.class.is_ours() {
            self.with_pools(allocation)
        } else {
            self.with_anothers_balancer()
        }
    }

    fn refused(mut self) -> Claim {
        let fault = Fault::ForeignService(self.service.clone());
        self.report("metadata.name", fault);
        self.into_claim(Vec::new(), Vec::new(), false)
    }

    /// Another's load balancer gives what it gives.
    fn with_anothers_balancer(mut self) -> Claim {
        for (place, address) in self.gateway.spec.addresses.iter().enumerate() {
            if let Some(value) = &address.value {
                let value = value.clone();
                self.report_address(place, Fault::Address { value });
            }
        }
        let addresses = self.stored.status.clone();
        if addresses.is_empty() {
            self.report("", Fault::AddressPending);
        }
        let is_ready = self.stored.exists;
        self.into_claim(Vec::new(), addresses, is_ready)
    }

    fn with_pools(mut self, allocation: &mut Allocation) -> Claim {
        let Requests {
            addresses,
            hostnames,
            any,
            faults,
        } = self.requests();
        for (place, fault) in faults {
            self.report_address(place, fault);
        }
        let mut wanted = Vec::new();
        for (address, place) in addresses {
            match allocation.take(address, &self.service) {
                Ok(()) => wanted.push(address),
                Err(by) => self.report_address(place, Fault::AddressTaken { address, by }),
            }
        }
        for (hostname, place) in &hostnames {
            let ranges = self.pools.by_hostname.get(hostname);
            let ranges = ranges.map(Vec::as_slice).unwrap_or_default();
            if !self.add_dynamic(ranges, allocation, &mut wanted, Some(*place)) {
                self.report_address(*place, Fault::NoFreeAddress);
            }
        }
        let choose = any || self.gateway.spec.addresses.is_empty();
        if choose && !self.add_dynamic(self.dynamic(), allocation, &mut wanted, None) {
            self.report("", Fault::NoFreeAddress);
        }
        wanted.sort_unstable();
        wanted.dedup();
        let stored = &self.stored.addresses;
        let binds = wanted.iter().copied().filter(|one| stored.contains(one));
        let binds: Vec<IpAddr> = binds.collect();
        if binds.len() < wanted.len() {
            self.report("", Fault::AddressPending);
        }
        let is_ready = !binds.is_empty();
        let shown = binds.iter().map(ToString::to_string);
        let hostnames = hostnames.keys().filter(|_| is_ready);
        let shown = shown.chain(hostnames.map(|one| one.to_string())).collect();
        let mut claim = self.into_claim(wanted, shown, is_ready);
        claim.binds = binds;
        claim
    }

    fn into_claim(self, wanted: Vec<IpAddr>, addresses: Vec<String>, is_ready: bool) -> Claim {
        Claim {
            service: self.service,
            wanted,
            addresses,
            binds: Vec::new(),
            bound_ports: (!self.parameters.class.is_ours()).then_some(self.stored.ports),
            parameters: self.parameters,
            is_ready,
            findings: self.findings,
        }
    }

    /// Where its addresses come from, when it names none.
    fn dynamic(&self) -> &[AddressRange] {
        let own = self.parameters.pool.as_ref();
        own.unwrap_or(&self.pools.dynamic)
    }

    /// One of each family that `ranges` have, unless it has one of these already. False: there was none.
    fn add_dynamic(
        &self,
        ranges: &[AddressRange],
        allocation: &mut Allocation,
        wanted: &mut Vec<IpAddr>,
        place: Option<usize>,
    ) -> bool {
        let mut found = false;
        for is_ipv4 in [true, false] {
            let ranges: Vec<_> = ranges
                .iter()
                .filter(|one| one.is_ipv4() == is_ipv4)
                .collect();
            let of_family = |one: &&IpAddr| one.is_ipv4() == is_ipv4;
            let in_ranges = |one: &&IpAddr| ranges.iter().any(|range| range.contains(**one));
            // What a Gateway has is never taken away, though its pool may be another now.
            let has = wanted.iter().filter(of_family).find(in_ranges);
            let stored = self.stored.addresses.iter().filter(of_family);
            let kept = match place {
                None => stored.clone().next(),
                Some(_) => stored.clone().find(in_ranges),
            };
            let address = has
                .or(kept)
                .copied()
                .filter(|one| allocation.take(*one, &self.service).is_ok());
            let address = address.or_else(|| allocation.take_free(&ranges, &self.service));
            found |= address.is_some();
            wanted.extend(address);
        }
        found
    }

    fn requests(&self) -> Requests {
        let mut requests = Requests::default();
        for (place, address) in self.gateway.spec.addresses.iter().enumerate() {
            let asked = Asked::of(address);
            match asked.and_then(|asked| self.check(&asked).map(|()| asked)) {
                Ok(asked) => requests.add(asked, place),
                Err(fault) => requests.faults.push((place, fault)),
            }
        }
        requests
    }

    fn check(&self, asked: &Asked) -> Result<(), Fault> {
        let pools = &self.pools;
        match asked {
            Asked::Address(one) if !pools.all.iter().any(|range| range.contains(*one)) => {
                Err(Fault::AddressNotInPool(*one))
            }
            Asked::Hostname(value) if !pools.by_hostname.contains_key(value) => {
                let value = value.clone();
                Err(Fault::Address { value })
            }
            _ => Ok(()),
        }
    }

    fn report_address(&mut self, place: usize, fault: Fault) {
        self.report(&format!("spec.addresses[{place}]"), fault);
    }

    fn report(&mut self, field: &str, fault: Fault) {
        let finding = Finding::new(ObjectKind::Gateway, self.name, field, fault);
        self.findings.push(finding);
    }
}

/// What is asked for by name, and what is wrong with that, with its place in `spec.addresses`.
#[derive(Default)]
struct Requests {
    addresses: BTreeMap<IpAddr, usize>,
    hostnames: BTreeMap<Arc<str>, usize>,
    /// Whether one of them may be any.
    any: bool,
    faults: Vec<(usize, Fault)>,
}

impl Requests {
    fn add(&mut self, asked: Asked, place: usize) {
        match asked {
            Asked::Any => self.any = true,
            Asked::Address(address) => {
                self.addresses.entry(address).or_insert(place);
            }
            Asked::Hostname(hostname) => {
                self.hostnames.entry(hostname).or_insert(place);
            }
        }
    }
}

/// Which Service has an address.
#[derive(Default)]
pub(super) struct Allocation {
    taken: BTreeMap<IpAddr, ObjectName>,
}

impl Allocation {
    /// # Errors
    /// Names the Service that has it.
    pub(super) fn take(&mut self, address: IpAddr, service: &ObjectName) -> Result<(), ObjectName> {
        let owner = self.taken.entry(address).or_insert_with(|| service.clone());
        match owner == service {
            true => Ok(()),
            false => Err(owner.clone()),
        }
    }

    pub(super) fn take_free(
        &mut self,
        ranges: &[&AddressRange],
        service: &ObjectName,
    ) -> Option<IpAddr> {
        let is_taken = |one| self.taken.contains_key(&one);
        let free = ranges.iter().find_map(|range| range.free(is_taken))?;
        self.taken.insert(free, service.clone());
        Some(free)
    }
}
