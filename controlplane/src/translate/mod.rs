//! Translation: from Gateway API objects to what data planes shall put in force, and a verdict on
//! each object. Pure: the same input gives the same result, in whatever order objects came.
//!
//! The way of an object: [`gateway_class`] says whose a Gateway is, `gateway`, `listener_set`,
//! `listener` (with `tls`, `frontend`, `certificate`), `conflict` and `overlap` which listeners stand, `attach` where a route goes (of any kind: `route`), `http_route`, `grpc_route` and `tls_route` (with `http_match`, `filter`,
//! `backend`, `app_protocol`, `grant`) what it does there, `policy` with which settings, `backend_tls` how backends are
//! spoken to by TLS, `material` which certificates and authorities all of that needs. `misread` tells of what nobody understood. What is wrong becomes a
//! [`problem::Finding`], without words; [`crate::status`] has those.

mod app_protocol;
mod attach;
pub(crate) mod backend;
mod backend_tls;
mod certificate;
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
mod material;
mod memory;
mod misread;
mod overlap;
mod policy;
pub mod problem;
mod route;
mod tls;
mod tls_route;
pub mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::{Id, Object, ObjectName};

use crate::api::ObjectKind;
use crate::api::meta::ObjectMeta;
use crate::provision::{Claims, Settings};
use crate::store::Resources;
use gateway::Gateways;
use gateway_class::Classes;
use material::Material;
use memory::Memory;
use policy::Policies;
use problem::Finding;
use verdict::{GatewayVerdict, SetVerdict, Verdicts};

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
    /// Where Gateways' addresses come from, in a cluster.
    pub provision: Settings,
}

/// The addresses of ExternalNames, as far as they are known.
pub type ResolvedNames = BTreeMap<Arc<str>, Arc<[IpAddr]>>;

/// Everything that a translation depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub resources: &'a Resources,
    pub names: &'a ResolvedNames,
    /// Of Gateways that are provisioned.
    pub claims: &'a Claims,
    pub options: &'a Options,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Translation {
    pub objects: BTreeMap<Id, Arc<Object>>,
    pub verdicts: Verdicts,
    /// When the certificates in force end, in seconds since 1970, by Secret.
    pub certificates: BTreeMap<ObjectName, i64>,
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
}

impl Translator {
    pub fn translate(&mut self, inputs: &Inputs<'_>) -> Translation {
        let classes = Classes::new(inputs.resources, inputs.options);
        let gateways = Gateways::decide(inputs, &classes);
        let policies = Policies::decide(inputs.resources, &gateways);
        self.memory.update(inputs, &gateways, &policies);

        let mut objects = listeners(&gateways, &policies);
        let mut material = Material::of(&gateways, inputs.resources);
        let mut others = gateways.others.clone();
        let mut attached = Attached::new(&gateways);
        let mut routes = Vec::new();
        for (key, route) in self.memory.routes() {
            objects.extend(route.object.clone());
            others.extend(route.others.iter().cloned());
            if !route.verdict.parents.is_empty() {
                attached.count(route);
                routes.push((key, route.verdict.clone()));
            }
        }
        let mut external_names = BTreeSet::new();
        for backend in self.memory.backends() {
            objects.push((backend.id.clone(), backend.object.clone()));
            others.extend(odd(backend));
            material.add_backend(&backend.name, &policies.tls);
            external_names.extend(backend.external_name.clone());
        }
        let certificates = material.certificates();
        objects.extend(material.objects());
        let listener_sets = attached.sets(&gateways);
        let attaching = self.memory.routes().map(|(_, route)| route);
        let told = !inputs.options.cluster;
        let (tls_policies, of_nobody) = policies.tls.verdicts(attaching, &gateways, told);
        others.extend(of_nobody);
        let mut verdicts = Verdicts {
            gateway_classes: classes.verdicts(),
            gateways: attached.gateways(&gateways, &listener_sets),
            listener_sets,
            routes: routes.into_iter().collect(),
            policies: policies.verdicts.into_iter().chain(tls_policies).collect(),
            others,
        };
        misread::tell(inputs.resources, &mut verdicts);
        self.memory.keep(gateways);
        Translation {
            // Sorted but for a few, so that this is one pass.
            objects: objects.into_iter().collect(),
            verdicts,
            certificates,
            external_names,
        }
    }

    /// How many routes the last translation could not take over from the one before.
    #[must_use]
    pub fn fresh_routes(&self) -> usize {
        self.memory.fresh_routes()
    }
}

fn odd(backend: &memory::Backend) -> Option<Finding> {
    let fault = backend.fault.clone()?;
    let service = &backend.name.service;
    Some(Finding::new(
        ObjectKind::Service,
        service,
        "spec.ports",
        fault,
    ))
}

/// How many routes each listener of each parent has.
struct Attached(Vec<Vec<u32>>);

impl Attached {
    fn new(gateways: &Gateways) -> Self {
        let parents = gateways.parents();
        Self(parents.map(|one| vec![0; one.listeners.len()]).collect())
    }

    fn count(&mut self, route: &memory::RouteResult) {
        if route.verdict.is_void() {
            return;
        }
        for (parent, listener) in &route.listeners {
            let counts = self.0.get_mut(*parent);
            if let Some(count) = counts.and_then(|counts| counts.get_mut(*listener)) {
                *count += 1;
            }
        }
    }

    fn sets(&self, gateways: &Gateways) -> BTreeMap<ObjectName, SetVerdict> {
        let counts = self.0.iter().skip(gateways.drafts.len());
        let sets = gateways.sets.drafts.iter().zip(counts);
        sets.filter_map(|(set, counts)| {
            let gateway = gateways.drafts.get(set.gateway)?;
            Some((set.name.clone(), set.verdict(gateway, counts)))
        })
        .collect()
    }

    fn gateways(
        &self,
        gateways: &Gateways,
        sets: &BTreeMap<ObjectName, SetVerdict>,
    ) -> BTreeMap<ObjectName, GatewayVerdict> {
        let mut accepted: BTreeMap<&ObjectName, u32> = BTreeMap::new();
        for set in sets.values().filter(|set| set.is_accepted()) {
            *accepted.entry(&set.gateway).or_default() += 1;
        }
        let drafts = gateways.drafts.iter().zip(&self.0);
        drafts
            .map(|(draft, counts)| {
                let sets = accepted.get(&draft.name).copied().unwrap_or_default();
                (draft.name.clone(), draft.verdict(counts, sets))
            })
            .collect()
    }
}

fn listeners(gateways: &Gateways, policies: &Policies<'_>) -> Vec<(Id, Arc<Object>)> {
    let mut objects = Vec::new();
    for parent in gateways.parents() {
        for listener in parent.listeners {
            if parent.gateway.is_in_force(listener) {
                let settings = policies.listener_settings(&parent, &listener.name);
                let object = listener.translate(parent.gateway, settings);
                objects.push((listener.id.clone(), object.into()));
            }
        }
    }
    objects
}

/// Seconds since 1970; zero where nothing was written.
fn created(metadata: &ObjectMeta) -> u64 {
    metadata.creation_timestamp.map_or(0, |moment| moment.0)
}

fn generation(metadata: &ObjectMeta) -> i64 {
    metadata.generation.unwrap_or_default()
}
