//! Which addresses each Gateway has and shall have: what is stored stays, then what is asked for by
//! name, then the lowest that is free. Older Gateways come first. In files an address that no pool has may be
//! asked for, too: it is the host's, and nobody's alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;

use super::allocation::{Allocation, Tenant};
use super::parameters::{self, Parameters};
use super::pool::AddressRange;
use super::pools::{Asker, Pool, PoolName};
use super::stored::{self, Stored};
use super::{Scene, names};
use crate::api::ObjectKind;
use crate::api::gateway::{Gateway, PortPlace};
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
    /// The Service that is generated, in a cluster.
    pub service: ObjectName,
    pub parameters: Parameters,
    /// What is allocated, and shall be stored; of a foreign load balancer nothing.
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

/// The Gateways that are to be provisioned, in the order in which they are served.
pub(super) fn candidates(scene: Scene<'_>) -> Vec<Candidate<'_>> {
    let mut gateways: Vec<_> = our_gateways(scene.resources, scene.options).collect();
    gateways.sort_by_key(|(name, gateway)| {
        let created = gateway.metadata.creation_timestamp;
        (created.map_or(0, |moment| moment.0), *name)
    });
    let candidates = gateways.into_iter();
    candidates
        .filter_map(|(name, gateway)| Candidate::new(name, gateway, scene))
        .collect()
}

/// A Gateway that is to be provisioned.
pub(super) struct Candidate<'r> {
    name: &'r ObjectName,
    gateway: &'r Arc<Gateway>,
    service: ObjectName,
    tenant: Tenant,
    stored: Stored,
    parameters: Parameters,
    scene: Scene<'r>,
    findings: Vec<Finding>,
}

impl<'r> Candidate<'r> {
    fn new(name: &'r ObjectName, gateway: &'r Arc<Gateway>, scene: Scene<'r>) -> Option<Self> {
        let (parameters, findings) = parameters::of(name, gateway, scene.resources);
        let class = &gateway.spec.gateway_class_name;
        let mut candidate = Self {
            name,
            gateway,
            service: ObjectName {
                namespace: name.namespace.clone(),
                name: names::service(&name.name, class),
            },
            tenant: Tenant::gateway(name),
            stored: Stored::default(),
            parameters,
            scene,
            findings,
        };
        candidate.stored = candidate.read_stored();
        let is_provisioned = match scene.options.cluster {
            true => candidate.is_wanted_in_cluster(),
            false => candidate.is_wanted_in_files(),
        };
        is_provisioned.then_some(candidate)
    }

    /// Anybody may write annotations: what stands only there counts as far as pools are for this Gateway.
    fn read_stored(&self) -> Stored {
        let Scene {
            resources,
            options,
            memory,
            pools,
        } = self.scene;
        if !options.cluster {
            return Stored::remembered(memory.of(&self.tenant.owner));
        }
        let mut stored = stored::of(resources, &self.service, self.name);
        let Stored {
            addresses, status, ..
        } = &mut stored;
        addresses.retain(|one| {
            status.contains(&one.to_string()) || pools.permit(*one, self.asker()).is_ok()
        });
        stored
    }

    fn is_wanted_in_cluster(&self) -> bool {
        let has_source = !self.scene.pools.is_empty() || !self.stored.addresses.is_empty();
        has_source || !self.parameters.class.is_ours()
    }

    /// Without anything for it in a pool it is at the host's addresses, as nobody's load balancer is here but us.
    fn is_wanted_in_files(&self) -> bool {
        let pools = self.scene.pools;
        if pools.is_empty() || !self.parameters.class.is_ours() {
            return false;
        }
        let asked = self.gateway.spec.addresses.iter();
        let asked: Vec<Asked> = asked.filter_map(|one| Asked::of(one).ok()).collect();
        let is_asked = asked.iter().any(|one| match one {
            Asked::Address(address) => pools.have(*address),
            Asked::Hostname(hostname) => pools.of_hostname(hostname).next().is_some(),
            Asked::Any => false,
        });
        let is_any = |one: &Asked| matches!(one, Asked::Any);
        let chooses = self.gateway.spec.addresses.is_empty() || asked.iter().any(is_any);
        let is_named = self.parameters.pool.is_some();
        let may_choose = is_named || !pools.open_to(self.asker()).is_empty();
        is_asked || (chooses && (may_choose || !self.stored.addresses.is_empty()))
    }

    /// The Service that is generated.
    pub(super) fn service(&self) -> &ObjectName {
        &self.service
    }

    fn asker(&self) -> Asker<'r> {
        Asker {
            name: self.name,
            labels: &self.gateway.metadata.labels,
            resources: self.scene.resources,
        }
    }

    /// Takes those of the stored addresses that it doesn't give back.
    pub(super) fn keep(&self, allocation: &mut Allocation) {
        if !self.parameters.class.is_ours() || self.stored.is_strangers {
            return;
        }
        let asked = self.requests().addresses;
        for address in &self.stored.addresses {
            if asked.is_empty() || asked.contains_key(address) {
                let _ = allocation.take(*address, &self.tenant);
            }
        }
    }

    pub(super) fn claim(self, allocation: &mut Allocation) -> (ObjectName, Claim) {
        let name = self.name.clone();
        let claim = if self.stored.is_strangers {
            self.refused()
        } else if self.parameters.class.is_ours() {
            self.with_pools(allocation)
        } else {
            self.with_anothers_balancer()
        };
        (name, claim)
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
        let mut wanted = BTreeSet::new();
        let mut of_host = Vec::new();
        for (address, place) in addresses {
            if self.is_of_host(address) {
                of_host.push(address);
                continue;
            }
            match allocation.take(address, &self.tenant) {
                Ok(()) => drop(wanted.insert(address)),
                Err(refusal) => self.report_address(place, refusal.fault(address)),
            }
        }
        for (hostname, place) in &hostnames {
            let pools = self.scene.pools.of_hostname(hostname);
            let pools: Vec<&Pool> = pools.filter(|pool| pool.is_for(self.asker())).collect();
            if !self.add_dynamic(&pools, allocation, &mut wanted, Some(*place)) {
                let fault = Fault::NoFreeAddress(names_of(&pools));
                self.report_address(*place, fault);
            }
        }
        if any || self.gateway.spec.addresses.is_empty() {
            self.choose(allocation, &mut wanted);
        }
        self.tell_strays(&wanted);
        let hostnames = hostnames.into_keys().collect();
        self.placed(wanted, of_host, hostnames)
    }

    /// The claim with these addresses: of pools, and of the host.
    fn placed(
        mut self,
        wanted: BTreeSet<IpAddr>,
        of_host: Vec<IpAddr>,
        hostnames: Vec<Arc<str>>,
    ) -> Claim {
        let is_stored =
            |one: &IpAddr| !self.scene.options.cluster || self.stored.addresses.contains(one);
        let binds = wanted.iter().copied().filter(is_stored);
        let mut binds: Vec<IpAddr> = binds.collect();
        if binds.len() < wanted.len() {
            self.report("", Fault::AddressPending);
        }
        binds.extend(of_host);
        binds.sort_unstable();
        let is_ready = !binds.is_empty();
        let shown = binds.iter().map(ToString::to_string);
        let hostnames = hostnames.iter().filter(|_| is_ready);
        let shown = shown.chain(hostnames.map(|one| one.to_string())).collect();
        let mut claim = self.into_claim(wanted.into_iter().collect(), shown, is_ready);
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

    /// Takes one of each family where it names none. What it has it keeps, even of a pool that is gone.
    fn choose(&mut self, allocation: &mut Allocation, wanted: &mut BTreeSet<IpAddr>) {
        let pools = match &self.parameters.pool {
            Some(name) => self.scene.pools.named(name, self.asker()),
            None => Ok(self.scene.pools.open_to(self.asker())),
        };
        let (pools, fault) = match pools {
            Ok(pools) if pools.is_empty() => (pools, Fault::NoPoolOpen),
            Ok(pools) => {
                let names = names_of(&pools);
                (pools, Fault::NoFreeAddress(names))
            }
            Err(fault) => (Vec::new(), fault),
        };
        if !self.add_dynamic(&pools, allocation, wanted, None) {
            self.report("", fault);
        }
    }

    /// One of each family that the pools have, unless it has one of these already. False: there was none.
    fn add_dynamic(
        &self,
        pools: &[&Pool],
        allocation: &mut Allocation,
        wanted: &mut BTreeSet<IpAddr>,
        place: Option<usize>,
    ) -> bool {
        let mut found = false;
        for is_ipv4 in [true, false] {
            let of_family = |one: &&IpAddr| one.is_ipv4() == is_ipv4;
            let in_pools = |one: &&IpAddr| pools.iter().any(|pool| pool.contains(**one));
            let is_astray = |one: &&IpAddr| self.is_astray(**one);
            // What a Gateway has is never taken away, though its pool may be another now, or gone.
            let has = wanted.iter().filter(of_family).find(in_pools);
            let mut stored = self.stored.addresses.iter().filter(of_family);
            let kept = match place {
                Some(_) => stored
                    .clone()
                    .find(in_pools)
                    .or_else(|| stored.find(is_astray)),
                None => stored.next(),
            };
            let address = has
                .or(kept)
                .copied()
                .filter(|one| allocation.take(*one, &self.tenant).is_ok());
            let address = address.or_else(|| allocation.take_free(pools, is_ipv4, &self.tenant));
            found |= address.is_some();
            wanted.extend(address);
        }
        found
    }

    /// What it has goes on, whatever became of its pool; that is said.
    fn tell_strays(&mut self, wanted: &BTreeSet<IpAddr>) {
        for address in wanted {
            if self.is_astray(*address) {
                self.report("", Fault::AddressAstray(*address));
            }
        }
    }

    fn is_astray(&self, address: IpAddr) -> bool {
        self.scene.pools.permit(address, self.asker()).is_err()
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

    /// What was given once may be asked for as long as it is had.
    fn check(&self, asked: &Asked) -> Result<(), Fault> {
        let pools = self.scene.pools;
        match asked {
            Asked::Address(one) if self.stored.addresses.contains(one) || self.is_of_host(*one) => {
                Ok(())
            }
            Asked::Address(one) => pools.permit(*one, self.asker()),
            Asked::Hostname(value) => {
                let of_name: Vec<&Pool> = pools.of_hostname(value).collect();
                let is_for = |pool: &&Pool| pool.is_for(self.asker());
                match of_name.first() {
                    Some(_) if of_name.iter().any(is_for) => Ok(()),
                    None => {
                        let value = value.clone();
                        Err(Fault::Address { value })
                    }
                    Some(first) => Err(Fault::PoolOfOthers(first.name.clone())),
                }
            }
            Asked::Any => Ok(()),
        }
    }

    /// In files whoever writes decides about the host, too.
    fn is_of_host(&self, address: IpAddr) -> bool {
        !self.scene.options.cluster && !self.scene.pools.have(address)
    }

    fn report_address(&mut self, place: usize, fault: Fault) {
        self.report(&format!("spec.addresses[{place}]"), fault);
    }

    fn report(&mut self, field: &str, fault: Fault) {
        let finding = Finding::new(ObjectKind::Gateway, self.name, field, fault);
        self.findings.push(finding);
    }
}

fn names_of(pools: &[&Pool]) -> Vec<PoolName> {
    pools.iter().map(|pool| pool.name.clone()).collect()
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
