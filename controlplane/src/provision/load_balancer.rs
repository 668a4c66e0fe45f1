//! Services of type LoadBalancer that are ours: which addresses each has and shall have, and whom it lets
//! in. What it has stays; then what is asked for by name, then what it may share, then the lowest that is free. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ringgate_core::ir::{Network, ObjectName};
use serde_json::{Value, json};

pub use super::allocation::SHARING_KEY;
use super::allocation::{Allocation, Tenant};
use super::pools::{Asker, Pool};
pub use super::request::REQUESTED_ADDRESSES;
use super::request::{Families, FamilyCount, Request, sources};
use super::service::{GATEWAY, LOAD_BALANCER_CLASS};
use super::{Scene, stored};
use crate::api::ObjectKind;
use crate::api::service::{Service, ServiceType};
use crate::translate::Options;
use crate::translate::problem::{Fault, Finding};

/// The annotation that names the AddressPool to take addresses from.
pub const ADDRESS_POOL: &str = "ringgate.io/address-pool";

/// What one Service has, and shall have.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadBalanced {
    /// What is allocated: its status shall show it, and its annotation store it.
    pub wanted: BTreeSet<IpAddr>,
    /// The same in the order of its families: many look at the first only.
    pub ordered: Vec<IpAddr>,
    /// Whether its status shows just that.
    pub is_shown: bool,
    /// Whether its annotation stores just that.
    pub is_stored: bool,
    /// Where it is served; none: nowhere, or not yet; empty: on every address of the host.
    pub binds: Option<Vec<IpAddr>>,
    /// Clients that are served; empty: all.
    pub sources: Vec<Network>,
    pub findings: Vec<Finding>,
}

/// By Service.
pub type LoadBalancers = BTreeMap<ObjectName, LoadBalanced>;

/// The Services whose load balancer we are, in the order in which they are served.
pub(super) fn applicants(scene: Scene<'_>) -> Vec<Applicant<'_>> {
    let services = scene.resources.services.iter();
    let ours = services.filter(|(_, service)| is_ours(service, scene.options));
    let mut ours: Vec<_> = ours.collect();
    ours.sort_by_key(|(name, service)| {
        let created = service.metadata.creation_timestamp;
        (created.map_or(0, |moment| moment.0), *name)
    });
    let ours = ours.into_iter();
    ours.map(|(name, service)| Applicant::new(name, service, scene))
        .collect()
}

/// The status that a Service shall have.
pub(super) fn status(served: &LoadBalanced) -> Value {
    let ingress = served.ordered.iter().map(|address| {
        // Else kube-proxy would take the packets before our sockets see them.
        json!({"ip": address, "ipMode": "Proxy"})
    });
    let ingress: Vec<Value> = ingress.collect();
    json!({"loadBalancer": {"ingress": ingress}})
}

/// Whether we are its load balancer, and it isn't one that we generated for a Gateway. One that is being deleted has
/// none any more, as Kubernetes has it.
pub(super) fn is_ours(service: &Service, options: &Options) -> bool {
    let is_class = match service.spec.load_balancer_class.as_deref() {
        Some(class) => class == LOAD_BALANCER_CLASS,
        None => options.provision.is_default,
    };
    service.spec.service_type == ServiceType::LoadBalancer
        && is_class
        && service.metadata.deletion_timestamp.is_none()
        && !service.metadata.annotations.contains_key(GATEWAY)
}

/// A Service whose load balancer we are.
pub(super) struct Applicant<'r> {
    name: &'r ObjectName,
    service: &'r Service,
    tenant: Tenant,
    request: Request,
    /// What it has.
    own: BTreeSet<IpAddr>,
    scene: Scene<'r>,
    faults: Vec<(&'static str, Fault)>,
}

impl<'r> Applicant<'r> {
    fn new(name: &'r ObjectName, service: &'r Service, scene: Scene<'r>) -> Self {
        let mut applicant = Self {
            name,
            service,
            tenant: Tenant::service(name, service),
            request: Request::of(service),
            own: BTreeSet::new(),
            scene,
            faults: Vec::new(),
        };
        applicant.own = applicant.read_own();
        applicant
    }

    /// Anybody may write annotations: what stands only there counts as far as pools are for this Service.
    fn read_own(&self) -> BTreeSet<IpAddr> {
        let Scene {
            options,
            memory,
            pools,
            ..
        } = self.scene;
        let mut own = match options.cluster {
            true => stored::shown(self.service),
            // Who takes all pools out of files means the host's addresses.
            false if pools.is_empty() => BTreeSet::new(),
            false => memory.of(&self.tenant.owner),
        };
        if options.cluster {
            let noted = stored::addresses(self.service).into_iter();
            own.extend(noted.filter(|one| pools.permit(*one, self.asker()).is_ok()));
        }
        own.retain(|one| self.request.allows(*one));
        own
    }

    fn asker(&self) -> Asker<'r> {
        Asker {
            name: self.name,
            labels: &self.service.metadata.labels,
            resources: self.scene.resources,
        }
    }

    pub(super) fn keep(&self, allocation: &mut Allocation) {
        for address in &self.own {
            let _ = allocation.take(*address, &self.tenant);
        }
    }

    pub(super) fn decide(mut self, allocation: &mut Allocation) -> (ObjectName, LoadBalanced) {
        let sources = sources(self.service, &mut self.faults);
        self.advise();
        let mut wanted = BTreeSet::new();
        let of_host = match self.request.is_nothing() {
            true => self.choose(allocation, &mut wanted),
            false => self.take_requested(allocation, &mut wanted),
        };
        self.tell_strays(&wanted);
        // Whom to let in isn't known: nobody.
        let is_open = sources.is_some();
        let binds = self.binds(&wanted, of_host).filter(|_| is_open);
        let cluster = self.scene.options.cluster;
        let is_stored = stored::addresses(self.service).iter().eq(&wanted);
        let served = LoadBalanced {
            ordered: self.ordered(&wanted),
            is_shown: !cluster || stored::shown(self.service) == wanted,
            is_stored: !cluster || is_stored,
            wanted,
            binds,
            sources: sources.unwrap_or_default(),
            findings: self.findings(),
        };
        (self.name.clone(), served)
    }

    /// Takes what is asked for by name. Returns what of that is the host's: in files whoever writes decides about that,
    /// too.
    fn take_requested(
        &mut self,
        allocation: &mut Allocation,
        wanted: &mut BTreeSet<IpAddr>,
    ) -> Option<Vec<IpAddr>> {
        let mut of_host = Vec::new();
        let Request { addresses, faults } = std::mem::take(&mut self.request);
        self.faults.extend(faults);
        for (address, field) in addresses {
            let pools = self.scene.pools;
            if !self.scene.options.cluster && !pools.have(address) {
                of_host.push(address);
                continue;
            }
            let permitted = match self.own.contains(&address) {
                true => Ok(()),
                false => pools.permit(address, self.asker()),
            };
            let taken = permitted.and_then(|()| {
                let taken = allocation.take(address, &self.tenant);
                taken.map_err(|refusal| refusal.fault(address))
            });
            match taken {
                Ok(()) => drop(wanted.insert(address)),
                Err(fault) => self.faults.push((field, fault)),
            }
        }
        (!of_host.is_empty()).then_some(of_host)
    }

    /// Takes one of each family that it shall have. Returns all of the host's addresses (none is named) where no pool
    /// has anything for it, in files.
    fn choose(
        &mut self,
        allocation: &mut Allocation,
        wanted: &mut BTreeSet<IpAddr>,
    ) -> Option<Vec<IpAddr>> {
        let named = self.service.metadata.annotations.get(ADDRESS_POOL);
        let pools = match named {
            Some(name) => self.scene.pools.named(name, self.asker()),
            None => Ok(self.scene.pools.open_to(self.asker())),
        };
        let (pools, fault) = match pools {
            Ok(pools) if pools.is_empty() => (pools, ("", Fault::NoPoolOpen)),
            Ok(pools) => {
                let names = pools.iter().map(|pool| pool.name.clone()).collect();
                (pools, ("", Fault::NoFreeAddress(names)))
            }
            Err(fault) => (Vec::new(), ("metadata.annotations", fault)),
        };
        self.add_dynamic(&pools, allocation, wanted);
        if !wanted.is_empty() {
            return None;
        }
        if !self.scene.options.cluster && fault.1 == Fault::NoPoolOpen {
            return Some(Vec::new());
        }
        self.faults.push(fault);
        None
    }

    fn add_dynamic(
        &mut self,
        pools: &[&Pool],
        allocation: &mut Allocation,
        wanted: &mut BTreeSet<IpAddr>,
    ) {
        let families = Families::of(self.service);
        for is_ipv4 in families.ordered {
            if families.count == FamilyCount::One && !wanted.is_empty() {
                return;
            }
            let mut kept = self.own.iter().filter(|one| one.is_ipv4() == is_ipv4);
            let kept = kept.find(|one| allocation.take(**one, &self.tenant).is_ok());
            let address = match kept {
                Some(kept) => Some(*kept),
                None => self.take_new(pools, is_ipv4, allocation),
            };
            if address.is_none() && families.count == FamilyCount::All {
                let fault = Fault::FamilyMissing { is_ipv4 };
                self.faults.push(("spec.ipFamilyPolicy", fault));
            }
            wanted.extend(address);
        }
    }

    fn take_new(
        &mut self,
        pools: &[&Pool],
        is_ipv4: bool,
        allocation: &mut Allocation,
    ) -> Option<IpAddr> {
        let shared = allocation.take_shared(pools, is_ipv4, &self.tenant);
        let shared = shared.unwrap_or_else(|fault| {
            self.faults.push(("metadata.annotations", fault));
            None
        });
        shared.or_else(|| allocation.take_free(pools, is_ipv4, &self.tenant))
    }

    /// What it has goes on, whatever became of its pool; that is said.
    fn tell_strays(&mut self, wanted: &BTreeSet<IpAddr>) {
        for address in wanted {
            if self.scene.pools.permit(*address, self.asker()).is_err() {
                self.faults.push(("", Fault::AddressAstray(*address)));
            }
        }
    }

    /// In a cluster it has to be stored before it is told to clients.
    fn binds(
        &self,
        wanted: &BTreeSet<IpAddr>,
        of_host: Option<Vec<IpAddr>>,
    ) -> Option<Vec<IpAddr>> {
        let stored = |one: &IpAddr| !self.scene.options.cluster || self.own.contains(one);
        let ready = wanted.iter().copied().filter(stored);
        match of_host {
            Some(of_host) if of_host.is_empty() => Some(of_host),
            of_host => {
                let all: Vec<IpAddr> = ready.chain(of_host.into_iter().flatten()).collect();
                (!all.is_empty()).then_some(all)
            }
        }
    }

    fn ordered(&self, wanted: &BTreeSet<IpAddr>) -> Vec<IpAddr> {
        let first = Families::of(self.service).ordered.first().copied();
        let mut ordered: Vec<IpAddr> = wanted.iter().copied().collect();
        ordered.sort_by_key(|one| first.is_some_and(|first| first != one.is_ipv4()));
        ordered
    }

    /// Says what is served in another way than the Service asks for.
    fn advise(&mut self) {
        let mut ports = self.service.spec.ports.iter();
        if ports.any(|port| port.protocol.ip_protocol().is_none()) {
            self.faults.push(("spec.ports", Fault::NotCarriedOut));
        }
    }

    fn findings(&mut self) -> Vec<Finding> {
        let faults = std::mem::take(&mut self.faults).into_iter();
        faults
            .map(|(field, fault)| Finding::new(ObjectKind::Service, self.name, field, fault))
            .collect()
    }
}
