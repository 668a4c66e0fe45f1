//! What is generated for a Gateway, as it is written: its Service, and that one's EndpointSlices and
//! addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ringgate_core::ir::ObjectName;
use ringgate_core::table::IpProtocol;
use serde_json::{Map, Value, json};

use super::claim::{Claim, Claims, Settings};
use super::load_balancer::{self, LoadBalancers};
use super::parameters::LoadBalancer;
use super::{Provided, names, stored};
use crate::api::gateway::{Gateway, PortPlace};
use crate::api::{ObjectKey, ObjectKind};
use crate::store::Resources;
use crate::translate::verdict::{ListenerVerdict, SetVerdict, Verdicts};

/// Services of this class are served by Ringgate itself.
pub const LOAD_BALANCER_CLASS: &str = "ringgate.io/lb";
/// The annotation that names the Gateway in full: labels are too short for that.
pub(crate) const GATEWAY: &str = "ringgate.io/gateway";
/// The annotation that stores what was allocated, of generated Services and of others'.
pub(crate) const ADDRESSES: &str = "ringgate.io/addresses";
/// GEP-1762.
const GATEWAY_NAME_LABEL: &str = "gateway.networking.k8s.io/gateway-name";
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
const SLICE_MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "ringgate";

/// What shall be in the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generated {
    /// Services and EndpointSlices, to be applied.
    pub objects: BTreeMap<ObjectKey, Value>,
    /// Of Services: `status`, where that is ours to write.
    pub statuses: BTreeMap<ObjectName, Value>,
    /// Of others' Services whose load balancer we are: what the annotation shall say that stores what was allocated.
    pub notes: BTreeMap<ObjectName, String>,
    /// Those of `notes` that stand there already.
    pub noted: BTreeSet<ObjectName>,
    /// Services that have such an annotation, and whose load balancer we aren't any more.
    pub released: BTreeSet<ObjectName>,
    /// What was generated once and is wanted no more.
    pub gone: BTreeSet<ObjectKey>,
    /// Of `statuses`, those of others' Services that show just that already.
    pub shown: BTreeSet<ObjectName>,
    /// Of `objects`, those that aren't in the cluster, or don't store there what was decided.
    pub unstored: BTreeSet<ObjectKey>,
}

/// The ports that the listeners of each Gateway (and its sets) take, by Gateway.
pub type Ports = BTreeMap<ObjectName, BTreeSet<PortPlace>>;

/// Those of all listeners that are valid, in force yet or not.
#[must_use]
pub fn ports(verdicts: &Verdicts) -> Ports {
    let sets = verdicts.listener_sets.values();
    ports_with(verdicts, sets.flat_map(|set| set_ports(set)))
}

/// The same, if `of_sets` are those that the sets take, by Gateway.
#[must_use]
pub fn ports_with<'v>(
    verdicts: &'v Verdicts,
    of_sets: impl Iterator<Item = (&'v ObjectName, PortPlace)>,
) -> Ports {
    let gateways = verdicts.gateways.iter();
    let own = gateways.flat_map(|(name, one)| valid_ports(name, &one.listeners));
    let mut ports = Ports::new();
    for (gateway, port) in own.chain(of_sets) {
        ports.entry(gateway.clone()).or_default().insert(port);
    }
    ports
}

/// Those that one set takes of its Gateway's, each as often as it has it.
pub(crate) fn set_ports(set: &SetVerdict) -> impl Iterator<Item = (&ObjectName, PortPlace)> {
    valid_ports(&set.gateway, &set.listeners)
}

fn valid_ports<'v>(
    gateway: &'v ObjectName,
    listeners: &'v [ListenerVerdict],
) -> impl Iterator<Item = (&'v ObjectName, PortPlace)> {
    let valid = listeners.iter().filter(|one| one.in_force);
    valid.map(move |one| (gateway, (one.ip_protocol, one.port)))
}

#[must_use]
pub fn generate(
    resources: &Resources,
    provided: &Provided,
    ports: &Ports,
    settings: &Settings,
) -> Generated {
    let claims = &provided.claims;
    let mut generated = Generated::default();
    let mut bound = BoundPorts::of(resources);
    for (name, claim) in claims {
        let Some(gateway) = resources.gateways.get(name) else {
            continue;
        };
        // A Service needs a port.
        let Some(ports) = ports.get(name).filter(|ports| !ports.is_empty()) else {
            continue;
        };
        if claim.is_refused() {
            continue;
        }
        let targets = bound.targets(claim, ports, settings);
        let one = One {
            name,
            gateway,
            claim,
            targets,
        };
        one.generate(settings, &mut generated);
    }
    generated.gone = gone(resources, claims);
    let by_service = claims.values().map(|claim| (&claim.service, claim));
    let by_service: BTreeMap<&ObjectName, &Claim> = by_service.collect();
    let keys = generated.objects.keys();
    let is_stored = |key: &ObjectKey| match key.kind {
        ObjectKind::Service => {
            let has_status = generated.statuses.contains_key(&key.name);
            let claim = by_service.get(&key.name);
            claim.is_some_and(|claim| is_stored(claim, has_status, resources))
        }
        _ => resources.endpoint_slices.contains_key(&key.name),
    };
    let unstored = keys.filter(|key| !is_stored(key));
    generated.unstored = unstored.cloned().collect();
    generated.of_load_balancers(resources, &provided.load_balancers);
    generated
}

impl Generated {
    fn of_load_balancers(&mut self, resources: &Resources, load_balancers: &LoadBalancers) {
        for (name, served) in load_balancers {
            let status = load_balancer::status(served);
            self.statuses.insert(name.clone(), status);
            let note = texts(served.wanted.iter());
            if served.is_shown {
                self.shown.insert(name.clone());
            }
            if served.is_stored {
                self.noted.insert(name.clone());
            }
            self.notes.insert(name.clone(), note);
        }
        let services = resources.services.iter();
        let released = services.filter(|(name, service)| {
            let annotations = &service.metadata.annotations;
            annotations.contains_key(ADDRESSES)
                && !annotations.contains_key(GATEWAY)
                && !load_balancers.contains_key(name)
        });
        self.released = released.map(|(name, _)| name.clone()).collect();
    }
}

/// As the annotation has them.
fn texts<'a>(addresses: impl Iterator<Item = &'a IpAddr>) -> String {
    let addresses: Vec<String> = addresses.map(IpAddr::to_string).collect();
    addresses.join(",")
}

/// Whether the Service stores what was decided; `has_status`: and shows it, for its status is ours.
fn is_stored(claim: &Claim, has_status: bool, resources: &Resources) -> bool {
    let Some(service) = resources.services.get(&claim.service) else {
        return false;
    };
    let ingress = service.status.load_balancer.ingress.iter();
    let shown: BTreeSet<&str> = ingress.filter_map(|one| one.ip.as_deref()).collect();
    let mut wanted = claim.wanted.iter().map(IpAddr::to_string);
    claim.binds == claim.wanted && (!has_status || wanted.all(|one| shown.contains(&*one)))
}

/// Generated Services whose Gateway is gone or no longer provisioned. Their EndpointSlices go with
/// them: Kubernetes collects those.
fn gone(resources: &Resources, claims: &Claims) -> BTreeSet<ObjectKey> {
    let services = resources.services.iter();
    let generated = services.filter_map(|(name, service)| {
        let labels = &service.metadata.labels;
        let is_ours = labels
            .get(MANAGED_BY_LABEL)
            .is_some_and(|one| **one == *MANAGER);
        let gateway = service
            .metadata
            .annotations
            .get(GATEWAY)
            .filter(|_| is_ours)?;
        Some((name, gateway))
    });
    let unclaimed = generated.filter(|(name, gateway)| {
        let gateway = ObjectName {
            namespace: name.namespace.clone(),
            name: (*gateway).clone(),
        };
        claims
            .get(&gateway)
            .is_none_or(|claim| claim.service != **name)
    });
    unclaimed
        .map(|(name, _)| ObjectKey {
            kind: ObjectKind::Service,
            name: name.clone(),
        })
        .collect()
}

/// The ports that listeners are bound to behind foreign load balancers.
struct BoundPorts {
    /// By any Service of that kind.
    stored: BTreeSet<u16>,
    /// Given or confirmed so far.
    given: BTreeSet<u16>,
}

impl BoundPorts {
    fn of(resources: &Resources) -> Self {
        Self {
            stored: stored::bound_ports(resources),
            given: BTreeSet::new(),
        }
    }

    /// Which port listeners are bound to, by the Service's. Our own load balancer leads to the same;
    /// behind another's each has one that no other Gateway has, which is stored in the Service.
    fn targets(
        &mut self,
        claim: &Claim,
        ports: &BTreeSet<PortPlace>,
        settings: &Settings,
    ) -> BTreeMap<PortPlace, u16> {
        let Some(own) = &claim.bound_ports else {
            return ports.iter().map(|port| (*port, port.1)).collect();
        };
        let kept: BTreeSet<u16> = own.values().copied().collect();
        let mut targets = BTreeMap::new();
        for port in ports {
            let own = own.get(port).copied();
            let own = own.filter(|one| settings.ports.contains(one) && self.given.insert(*one));
            let target = own.or_else(|| self.free(&kept, settings));
            targets.extend(target.map(|target| (*port, target)));
        }
        targets
    }

    fn free(&mut self, kept: &BTreeSet<u16>, settings: &Settings) -> Option<u16> {
        settings.ports.clone().find(|one| {
            !self.stored.contains(one) && !kept.contains(one) && self.given.insert(*one)
        })
    }
}

/// One Gateway's.
struct One<'r> {
    name: &'r ObjectName,
    gateway: &'r Gateway,
    claim: &'r Claim,
    targets: BTreeMap<PortPlace, u16>,
}

impl One<'_> {
    fn generate(&self, settings: &Settings, generated: &mut Generated) {
        let claim = self.claim;
        let service = ObjectKey {
            kind: ObjectKind::Service,
            name: claim.service.clone(),
        };
        generated.objects.insert(service, self.service());
        let is_ours = claim.parameters.class.is_ours();
        let endpoints = match is_ours {
            // Traffic to the Service's own address within the cluster goes the same way.
            true => &claim.wanted,
            false => &settings.data_planes,
        };
        for (suffix, family, is_ipv4) in [("v4", "IPv4", true), ("v6", "IPv6", false)] {
            let of_family = endpoints.iter().filter(|one| one.is_ipv4() == is_ipv4);
            let of_family: Vec<&IpAddr> = of_family.collect();
            if of_family.is_empty() {
                continue;
            }
            let mut name = claim.service.clone();
            name.name = format!("{}-{suffix}", name.name).into();
            let slice = self.slice(&name, family, &of_family);
            let kind = ObjectKind::EndpointSlice;
            generated.objects.insert(ObjectKey { kind, name }, slice);
        }
        if is_ours {
            let ingress = claim.wanted.iter().map(|address| {
                // Else kube-proxy would take the packets before our sockets see them.
                json!({"ip": address, "ipMode": "Proxy"})
            });
            let ingress: Vec<Value> = ingress.collect();
            let status = json!({"loadBalancer": {"ingress": ingress}});
            generated.statuses.insert(claim.service.clone(), status);
        }
    }

    fn service(&self) -> Value {
        let claim = self.claim;
        let mut metadata = self.metadata(&claim.service);
        let parameters = &claim.parameters;
        for (key, value) in &parameters.annotations {
            metadata["annotations"][&**key] = json!(value);
        }
        metadata["annotations"][GATEWAY] = json!(self.name.name);
        let ports = self.targets.iter().map(|(port, target)| {
            let protocol = port.0.as_str();
            json!({"name": port_name(*port), "port": port.1, "targetPort": target, "protocol": protocol})
        });
        let ports: Vec<Value> = ports.collect();
        let mut spec = json!({"type": "LoadBalancer", "ports": ports});
        match &parameters.class {
            LoadBalancer::Ringgate => {
                metadata["annotations"][ADDRESSES] = json!(texts(claim.wanted.iter()));
                spec["loadBalancerClass"] = json!(LOAD_BALANCER_CLASS);
                spec["allocateLoadBalancerNodePorts"] = json!(false);
            }
            LoadBalancer::Other(Some(class)) => spec["loadBalancerClass"] = json!(class),
            LoadBalancer::Other(None) => {}
        }
        spec["ipFamilyPolicy"] = json!("PreferDualStack");
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    }

    fn slice(&self, name: &ObjectName, family: &str, addresses: &[&IpAddr]) -> Value {
        let mut metadata = self.metadata(name);
        metadata["labels"]["kubernetes.io/service-name"] = json!(self.claim.service.name);
        metadata["labels"][SLICE_MANAGED_BY_LABEL] = json!("ringgate.io");
        let endpoints = addresses
            .iter()
            .map(|address| json!({"addresses": [address], "conditions": {"ready": true}}));
        let endpoints: Vec<Value> = endpoints.collect();
        let ports = self.targets.iter().map(|(port, target)| {
            json!({"name": port_name(*port), "port": target, "protocol": port.0.as_str()})
        });
        let ports: Vec<Value> = ports.collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata,
            "addressType": family,
            "endpoints": endpoints,
            "ports": ports,
        })
    }

    /// With what `spec.infrastructure` says, and the Gateway as owner.
    fn metadata(&self, name: &ObjectName) -> Value {
        let mut labels = Map::new();
        let mut annotations = Map::new();
        if let Some(infrastructure) = &self.gateway.spec.infrastructure {
            let given = infrastructure.labels.iter();
            labels.extend(given.map(|(key, value)| (key.to_string(), json!(value.shared()))));
            let given = infrastructure.annotations.iter();
            annotations.extend(given.map(|(key, value)| (key.to_string(), json!(value.shared()))));
        }
        labels.insert(
            GATEWAY_NAME_LABEL.into(),
            json!(names::label(&self.name.name)),
        );
        labels.insert(MANAGED_BY_LABEL.into(), json!(MANAGER));
        let owner = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "name": self.name.name,
            "uid": self.gateway.metadata.uid,
            "controller": true,
        });
        json!({
            "name": name.name,
            "namespace": name.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner],
        })
    }
}

/// A name that stays the same as long as the port does.
fn port_name((protocol, port): PortPlace) -> String {
    match protocol {
        IpProtocol::Tcp => format!("port-{port}"),
        IpProtocol::Udp => format!("port-{port}-udp"),
    }
}
