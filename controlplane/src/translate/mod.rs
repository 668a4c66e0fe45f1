//! Translation: from Gateway API objects to what data planes shall put in force, and a verdict on
//! each object. Pure: the same input gives the same result, in whatever order objects came.
//!
//! The way of an object: [`gateway_class`] says whose a Gateway is, `gateway` (with `place`), `listener_set`,
//! `listener` (with `tls`, `frontend`, `certificate`), `conflict` and `overlap` which listeners stand, `attach` where a route goes (of any kind: `route`), `http_route`, `grpc_route` and `stream_route` (with `http_match`, `filter`,
//! `backend`, `app_protocol`, `grant`) what it does there, `policy` with which settings, `backend_tls` how backends are
//! spoken to by TLS, `material` which certificates and authorities all of that needs. `misread` tells of what nobody understood. `memory` finds what of
//! all that is other than before, `standing` brings the result up to date by it. What is wrong becomes a
//! [`problem::Finding`], without words; [`crate::status`] has those.

mod app_protocol;
mod attach;
pub(crate) mod backend;
mod backend_tls;
mod certificate;
mod checks;
mod conflict;
mod filter;
mod frontend;
pub(crate) mod gateway;
pub mod gateway_class;
mod grant;
mod grpc_route;
mod http_match;
mod http_route;
mod listener;
mod listener_set;
mod load_balancer;
mod material;
mod memory;
mod misread;
mod overlap;
pub(crate) mod place;
mod policy;
pub mod problem;
mod route;
mod standing;
mod stream_route;
mod tls;
pub mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::{Id, Object, ObjectName};

use crate::api::certificate::Ends;
use crate::api::meta::ObjectMeta;
use crate::provision::{Provided, Settings};
use crate::shared_map::SharedMap;
use crate::store::Resources;
use gateway_class::Classes;
use memory::Memory;
use policy::Policies;
use standing::Standing;
use verdict::Verdicts;

/// What the command line decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Classes that are ours by name, whoever's controller they name.
    pub classes: BTreeSet<Arc<str>>,
    /// Services without endpoints are answered by an echo.
    pub echo: bool,
    /// The objects are those of a cluster, which others' controllers share: what isn't ours is no
    /// mistake, and people who write routes aren't trusted with names of anywhere.
    pub cluster: bool,
    /// Where addresses come from.
    pub provision: Settings,
}

/// The addresses of ExternalNames, as far as they are known.
pub type ResolvedNames = BTreeMap<Arc<str>, Arc<[IpAddr]>>;

/// Everything that a translation depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub resources: &'a Resources,
    pub names: &'a ResolvedNames,
    /// Addresses of Gateways, and of Services whose load balancer we are.
    pub provided: &'a Provided,
    pub options: &'a Options,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Translation {
    pub objects: SharedMap<Id, Arc<Object>>,
    pub verdicts: Verdicts,
    /// When the certificates in force end, by Secret.
    pub certificates: SharedMap<ObjectName, Ends>,
    /// Names (not addresses) that backends in force need the addresses of.
    pub external_names: BTreeSet<Arc<str>>,
}

/// Translates everything from scratch.
#[must_use]
pub fn translate(inputs: &Inputs<'_>) -> Translation {
    Translator::default().translate(inputs)
}

/// Translates, and remembers what it may reuse: results are equal to [`translate`]'s, sooner.
#[derive(Debug, Default)]
pub struct Translator {
    memory: Memory,
    standing: Standing,
}

impl Translator {
    pub fn translate(&mut self, inputs: &Inputs<'_>) -> Translation {
        let resources = inputs.resources;
        let classes = Classes::new(resources, inputs.options);
        let gateways = self.memory.gateways(inputs, &classes);
        let policies = Policies::decide(resources, &gateways);
        let (ports, of_ports) = load_balancer::ports(inputs, &gateways, &policies);
        self.memory
            .hold(ports.iter().map(|one| one.backend.clone()).collect());
        let news = self.memory.update(inputs, &gateways, &policies);
        let standing = &mut self.standing;
        standing.take_ports(ports);
        standing.update(resources, (&gateways, &policies), (&self.memory, &news));

        let backends = self.memory.backends();
        let holders = backends.filter_map(|one| policies.tls.of_backend(resources, &one.name));
        let holders = holders.flat_map(|one| one.holders.iter().cloned());
        standing.take_authorities(holders, resources);
        let told = !inputs.options.cluster;
        let (tls_policies, of_nobody) = policies.tls.verdicts(&self.memory, &gateways, told);
        let of_services = inputs.provided.load_balancers.values();
        let of_services = of_services.flat_map(|one| one.findings.iter().cloned());
        let others = gateways.others.iter().chain(standing.others());
        let mut verdicts = Verdicts {
            gateway_classes: classes.verdicts(),
            gateways: standing.gateways(&gateways),
            listener_sets: standing.sets.clone(),
            routes: standing.routes.clone(),
            policies: policies.verdicts.into_iter().chain(tls_policies).collect(),
            others: others
                .cloned()
                .chain(of_nobody)
                .chain(of_services)
                .chain(of_ports)
                .collect(),
            pools: inputs.provided.pools.clone(),
        };
        misread::tell(resources, (&gateways, &self.memory), &mut verdicts);
        Translation {
            objects: standing.objects.clone(),
            verdicts,
            certificates: standing.ends().clone(),
            external_names: standing.external_names.clone(),
        }
    }

    /// How many Gateways and ListenerSets the last translation could not take over from the one before.
    #[must_use]
    pub fn fresh_drafts(&self) -> usize {
        self.memory.fresh_drafts()
    }

    /// How many routes the last translation could not take over from the one before.
    #[must_use]
    pub fn fresh_routes(&self) -> usize {
        self.memory.fresh_routes()
    }
}

/// Seconds since 1970; zero where nothing was written.
fn created(metadata: &ObjectMeta) -> u64 {
    metadata.creation_timestamp.map_or(0, |moment| moment.0)
}

fn generation(metadata: &ObjectMeta) -> i64 {
    metadata.generation.unwrap_or_default()
}
