//! Provisioning: addresses of Gateways and of Services. In a cluster a Gateway's come by the Service of type LoadBalancer
//! that is generated for it. What is allocated is stored there, and for Services in themselves, and read back, so it
//! outlives restarts and leaders; what is decided from files stands in a file ([`memory`], [`keep`]).
//!
//! [`claim`] decides which Gateway has which address, [`load_balancer`] which Service that we are the load
//! balancer of (`request`: what that one asks for); `pools` knows whom addresses are for, `allocation` whose they are.
//! [`service`] says what is generated. All of that is pure. `stored` reads what was decided before, `parameters` what users ask for, [`pool`] knows ranges of addresses,
//! [`names`] makes names that fit.
//!
//! Two ways lead to a Gateway: Ringgate itself is the load balancer (class `ringgate.io/lb`), takes
//! addresses from pools and listens on them; or another's is, whose traffic comes to ports that no
//! other Gateway has, and whose address is read from the Service's status.

mod allocation;
mod backlog;
pub mod claim;
pub mod keep;
pub mod load_balancer;
pub mod memory;
pub mod names;
mod parameters;
pub mod pool;
mod pools;
mod request;
pub mod service;
mod stored;
pub mod write;

use std::collections::BTreeSet;

use crate::api::ObjectKind;
use crate::api::gateway::{Gateway, GatewayClass};
use crate::api::pool::{AddressPool, GatewayParameters};
use crate::api::service::Service;
use crate::api::storage::Namespace;
use crate::store::{ByName, Resources};
use crate::translate::Options;
use allocation::{Allocation, Tenant};
pub use claim::{Claim, Claims, Settings};
pub use load_balancer::{LoadBalanced, LoadBalancers};
use memory::Memory;
pub(crate) use parameters::fault_of_class;
pub use parameters::{LoadBalancer, Parameters};
use pools::Pools;
pub use pools::{PoolName, PoolVerdict, PoolVerdicts, Usage};

/// Who has which addresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provided {
    pub claims: Claims,
    pub load_balancers: LoadBalancers,
    pub pools: PoolVerdicts,
}

/// Decides everything. Pure: the same objects give the same result, and storing what is wanted changes
/// nothing but what is stored. `memory` is of files: a cluster's stands in its Services.
#[must_use]
pub fn provide(resources: &Resources, options: &Options, memory: &Memory) -> Provided {
    let pools = Pools::of(resources, &options.provision);
    let scene = Scene {
        resources,
        options,
        memory,
        pools: &pools,
    };
    let gateways = claim::candidates(scene);
    let services = load_balancer::applicants(scene);
    let mut allocation = Allocation::default();
    // What somebody has is nobody else's, whoever comes first.
    for candidate in &gateways {
        candidate.keep(&mut allocation);
    }
    for applicant in &services {
        applicant.keep(&mut allocation);
    }
    let known: BTreeSet<_> = gateways.iter().map(claim::Candidate::service).collect();
    for (address, service) in stored::of_others(resources, &known) {
        let tenant = Tenant::alone(ObjectKind::Service, &service);
        let _ = allocation.take(address, &tenant);
    }
    allocation.reserve(memory.addresses());
    let gateways = gateways.into_iter();
    let claims = gateways.map(|one| one.claim(&mut allocation)).collect();
    let services = services.into_iter();
    let load_balancers = services.map(|one| one.decide(&mut allocation)).collect();
    Provided {
        claims,
        load_balancers,
        pools: pools.verdicts(&allocation),
    }
}

/// The objects that [`provide`] looks at: a copy, to tell later whether it may come out otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Grounds {
    classes: ByName<GatewayClass>,
    gateways: ByName<Gateway>,
    parameters: ByName<GatewayParameters>,
    pools: ByName<AddressPool>,
    namespaces: ByName<Namespace>,
    services: ByName<Service>,
}

impl Grounds {
    pub(crate) fn of(resources: &Resources) -> Self {
        Self {
            classes: resources.gateway_classes.clone(),
            gateways: resources.gateways.clone(),
            parameters: resources.gateway_parameters.clone(),
            pools: resources.address_pools.clone(),
            namespaces: resources.namespaces.clone(),
            services: resources.services.clone(),
        }
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.classes.is_same(&other.classes)
            && self.gateways.is_same(&other.gateways)
            && self.parameters.is_same(&other.parameters)
            && self.pools.is_same(&other.pools)
            && self.namespaces.is_same(&other.namespaces)
            && self.services.is_same(&other.services)
    }
}

/// What everything is decided from.
#[derive(Clone, Copy)]
struct Scene<'r> {
    resources: &'r Resources,
    options: &'r Options,
    memory: &'r Memory,
    pools: &'r Pools,
}
