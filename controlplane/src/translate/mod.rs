//! Translation: from Gateway API objects to what data planes shall put in force, and a verdict on
//! each object. Pure: the same input gives the same result, in whatever order objects came.
//!
//! The way of an object: [`gateway_class`] says whose a Gateway is, `gateway` and `listener` which
//! listeners stand, `attach` where a route goes, `http_route` (with `http_match`, `filter`,
//! `backend`, `grant`) what it does there, `policy` with which settings. What is wrong becomes a
//! [`problem::Finding`], without words; [`crate::status`] has those.

mod attach;
mod backend;
mod filter;
mod gateway;
pub mod gateway_class;
mod grant;
mod http_match;
mod http_route;
mod listener;
mod memory;
mod policy;
pub mod problem;
pub mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ringgate_core::ir::{Id, Object};

use crate::api::ObjectKind;
use crate::api::meta::ObjectMeta;
use crate::store::Resources;
use gateway::Gateways;
use gateway_class::Classes;
use memory::Memory;
use policy::Policies;
use problem::Finding;
use verdict::Verdicts;

/// What the command line decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Classes that are ours by name, whoever's controller they name.
    pub classes: BTreeSet<Arc<str>>,
    /// Services without endpoints are answered by an echo.
    pub echo: bool,
}

/// The addresses of ExternalNames, as far as they are known.
pub type ResolvedNames = BTreeMap<Arc<str>, Arc<[IpAddr]>>;

/// Everything that a translation depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub resources: &'a Resources,
    pub names: &'a ResolvedNames,
    pub options: &'a Options,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Translation {
    pub objects: BTreeMap<Id, Arc<Object>>,
    pub verdicts: Verdicts,
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
        let mut others = gateways.others.clone();
        let mut attached = Attached::new(&gateways);
        let mut routes = Vec::new();
        for (name, route) in self.memory.routes() {
            objects.extend(route.object.clone());
            others.extend(route.others.iter().cloned());
            if !route.verdict.parents.is_empty() {
                attached.count(route);
                routes.push((name.clone(), route.verdict.clone()));
            }
        }
        let mut external_names = BTreeSet::new();
        for backend in self.memory.backends() {
            objects.push((backend.id.clone(), backend.object.clone()));
            others.extend(odd(backend));
            external_names.extend(backend.external_name.clone());
        }
        Translation {
            // Sorted but for a few, so that this is one pass.
            objects: objects.into_iter().collect(),
            verdicts: Verdicts {
                gateway_classes: classes.verdicts(),
                gateways: attached.verdicts(&gateways),
                http_routes: routes.into_iter().collect(),
                policies: policies.verdicts,
                others,
            },
            external_names,
        }
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

/// How many routes each listener of each Gateway has.
struct Attached(Vec<Vec<u32>>);

impl Attached {
    fn new(gateways: &Gateways) -> Self {
        let counts = gateways.drafts.iter();
        Self(counts.map(|one| vec![0; one.listeners.len()]).collect())
    }

    fn count(&mut self, route: &memory::Route) {
        if route.verdict.is_void() {
            return;
        }
        for (gateway, listener) in &route.listeners {
            let counts = self.0.get_mut(*gateway);
            if let Some(count) = counts.and_then(|counts| counts.get_mut(*listener)) {
                *count += 1;
            }
        }
    }

    fn verdicts(
        self,
        gateways: &Gateways,
    ) -> BTreeMap<ringgate_core::ir::ObjectName, verdict::GatewayVerdict> {
        let drafts = gateways.drafts.iter().zip(self.0);
        drafts
            .map(|(draft, counts)| (draft.name.clone(), draft.verdict(&counts)))
            .collect()
    }
}

fn listeners(gateways: &Gateways, policies: &Policies<'_>) -> Vec<(Id, Arc<Object>)> {
    let all = gateways.drafts.iter().flat_map(|gateway| {
        let listeners = gateway.listeners.iter();
        listeners.map(move |listener| (gateway, listener))
    });
    all.filter(|(gateway, listener)| gateway.is_in_force(listener))
        .map(|(gateway, listener)| {
            let settings = policies.listener_settings(&gateway.name, &listener.name);
            let object = listener.translate(gateway, settings);
            (listener.id.clone(), object.into())
        })
        .collect()
}

/// Seconds since 1970; zero where nothing was written.
fn created(metadata: &ObjectMeta) -> u64 {
    metadata.creation_timestamp.map_or(0, |moment| moment.0)
}

fn generation(metadata: &ObjectMeta) -> i64 {
    metadata.generation.unwrap_or_default()
}
