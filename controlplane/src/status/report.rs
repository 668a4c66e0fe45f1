//! What `/status` answers and `ringgate status` prints: every status and problem, at one moment.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::board::Board;
use super::certificates::CertificateStatus;
use super::condition::Condition;
use super::coverage::DataPlaneStatus;
use super::objects::{
    ClassStatus, GatewayStatus, ListenerSetStatus, ListenerStatus, PolicyStatus, RouteStatus,
};
use super::pools::PoolStatus;
use crate::problem::{Problem, Severity};
use crate::provision::LoadBalancers;
use crate::store::Resources;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub software: String,
    /// Read from the API server, which knows nothing of versions, problems and data planes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_cluster: bool,
    /// The version that is wanted; none before the first.
    pub version: Option<String>,
    pub gateway_classes: Vec<ClassStatus>,
    pub gateways: Vec<GatewayStatus>,
    #[serde(default)]
    pub listener_sets: Vec<ListenerSetStatus>,
    /// Of type LoadBalancer, those that are ours.
    #[serde(default)]
    pub services: Vec<ServiceStatus>,
    pub routes: Vec<RouteStatus>,
    pub policies: Vec<PolicyStatus>,
    #[serde(default)]
    pub pools: Vec<PoolStatus>,
    pub problems: Vec<ProblemStatus>,
    pub data_planes: Vec<DataPlaneStatus>,
    /// In force, the soonest end first.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
}

/// A Service whose load balancer we are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    pub namespace: String,
    pub name: String,
    /// Where it is served; none: nowhere yet; empty: at every address of the host.
    pub addresses: Option<Vec<String>>,
    /// As `53/UDP`.
    #[serde(default)]
    pub ports: Vec<String>,
}

impl ServiceStatus {
    #[must_use]
    pub fn all(load_balancers: &LoadBalancers, resources: &Resources) -> Vec<Self> {
        let services = load_balancers.iter().map(|(name, served)| {
            let binds = served.binds.as_ref();
            let service = resources.services.get(name);
            let ports = service.iter().flat_map(|service| &service.spec.ports);
            let ports = ports.filter_map(|port| {
                let protocol = port.protocol.ip_protocol()?.as_str();
                Some(format!("{}/{protocol}", port.port.get()))
            });
            Self {
                namespace: name.namespace.to_string(),
                name: name.name.to_string(),
                addresses: binds.map(|all| all.iter().map(ToString::to_string).collect()),
                ports: ports.collect(),
            }
        });
        services.collect()
    }
}

/// A problem, where it is and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProblemStatus {
    /// `file:line:column`.
    pub place: Option<String>,
    /// `error`, `warning` or `note`.
    pub severity: String,
    pub object: Option<String>,
    pub field: String,
    pub message: String,
    pub remedy: Option<String>,
}

impl From<&Problem> for ProblemStatus {
    fn from(problem: &Problem) -> Self {
        Self {
            place: problem.place.as_ref().map(ToString::to_string),
            severity: problem.severity.to_string(),
            object: problem.object.as_ref().map(ToString::to_string),
            field: problem.field.clone(),
            message: problem.message.clone(),
            remedy: problem.remedy.clone(),
        }
    }
}

impl Report {
    #[must_use]
    pub fn new(
        version: Option<String>,
        board: &Board,
        problems: &[Problem],
        data_planes: Vec<DataPlaneStatus>,
    ) -> Self {
        Self {
            software: format!("ringgate {}", env!("CARGO_PKG_VERSION")),
            from_cluster: false,
            version,
            gateway_classes: board.classes.values().map(|one| (**one).clone()).collect(),
            gateways: board.gateways.values().map(|one| (**one).clone()).collect(),
            listener_sets: board
                .listener_sets
                .values()
                .map(|one| (**one).clone())
                .collect(),
            services: Vec::new(),
            routes: board.routes().cloned().collect(),
            policies: board.policies.values().map(|one| (**one).clone()).collect(),
            pools: board.pools.values().map(|one| (**one).clone()).collect(),
            problems: problems.iter().map(ProblemStatus::from).collect(),
            data_planes,
            certificates: Vec::new(),
        }
    }

    /// All addresses of Gateways and Services, in order.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<&str> {
        let gateways = self.gateways.iter().flat_map(|one| &one.addresses);
        let services = self
            .services
            .iter()
            .filter_map(|one| one.addresses.as_ref());
        let services = services.flatten();
        gateways.chain(services).map(String::as_str).collect()
    }

    /// Every condition, with the name of what it is about.
    pub fn conditions(&self) -> impl Iterator<Item = (String, &Condition)> {
        let classes = self.gateway_classes.iter().flat_map(|one| {
            let about = format!("GatewayClass {}", one.name);
            one.conditions.iter().map(move |it| (about.clone(), it))
        });
        let gateways = self.gateways.iter().map(|one| {
            let about = format!("Gateway {}/{}", one.namespace, one.name);
            (about, &one.conditions, &one.listeners)
        });
        let sets = self.listener_sets.iter().map(|one| {
            let about = format!("ListenerSet {}/{}", one.namespace, one.name);
            (about, &one.conditions, &one.listeners)
        });
        let parents: Vec<_> = gateways.chain(sets).collect();
        let listeners: Vec<_> = parents
            .iter()
            .flat_map(|(about, _, listeners)| listeners_of(about, listeners))
            .collect();
        let parents = parents.into_iter().flat_map(|(about, conditions, _)| {
            let conditions = conditions.iter();
            conditions.map(move |one| (about.clone(), one))
        });
        let routes = self.routes.iter().flat_map(|one| {
            one.parents.iter().flat_map(move |parent| {
                let about = format!("{} {}/{}", one.kind, one.namespace, one.name);
                parent.conditions.iter().map(move |it| (about.clone(), it))
            })
        });
        let policies = self.policies.iter().flat_map(|one| {
            one.ancestors.iter().flat_map(move |ancestor| {
                let about = format!("{} {}/{}", one.kind, one.namespace, one.name);
                ancestor
                    .conditions
                    .iter()
                    .map(move |it| (about.clone(), it))
            })
        });
        let pools = self.pools.iter().flat_map(|one| {
            let about = format!("AddressPool {}", one.name);
            one.conditions.iter().map(move |it| (about.clone(), it))
        });
        classes
            .chain(pools)
            .chain(parents)
            .chain(listeners)
            .chain(routes)
            .chain(policies)
    }

    /// Whether there is nothing that someone should look at.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        let error = Severity::Error.to_string();
        self.conditions().all(|(_, condition)| condition.is_fine())
            && self
                .problems
                .iter()
                .all(|problem| problem.severity != error)
            && (self.from_cluster || !self.data_planes.is_empty())
            && self
                .data_planes
                .iter()
                .all(|plane| !plane.lagging && plane.failures.is_empty())
    }
}

fn listeners_of<'l>(
    about: &str,
    listeners: &'l [ListenerStatus],
) -> impl Iterator<Item = (String, &'l Condition)> + use<'l> {
    let about = about.to_owned();
    listeners.iter().flat_map(move |listener| {
        let about = format!("{about} listener {}", listener.name);
        let conditions = listener.conditions.iter();
        conditions.map(move |one| (about.clone(), one))
    })
}
