//! Statuses as a cluster has them: what `ringgate status --kubeconfig` shows, whoever wrote them.

use kube::api::{Api, ListParams};
use kube::{Client, Error as ClientError};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::condition::Condition;
use super::objects::{
    ClassStatus, GatewayStatus, ListenerSetStatus, ListenerStatus, ParentStatus, RouteStatus,
};
use super::pools::PoolStatus;
use super::report::{Report, ServiceStatus};
use crate::api::{CONTROLLER_NAME, ObjectKind};
use crate::error::chain;
use crate::limits::LIST_PAGE;
use crate::provision::service::{ADDRESSES, GATEWAY, LOAD_BALANCER_CLASS};
use crate::watch::kube::{Raw, find};

#[derive(Debug, Error)]
pub enum ReadError {
    #[error("can't ask the API server: {}", chain(error))]
    Client { error: ClientError },
    #[error("the cluster has no {kind}: install the CRDs of Gateway API")]
    NoKind { kind: ObjectKind },
}

/// What is ours, with the statuses that stand.
///
/// # Errors
/// When the API server can't be asked, or doesn't know Gateways.
pub async fn report(client: &Client) -> Result<Report, ReadError> {
    let classes = list(client, ObjectKind::GatewayClass).await?;
    let is_ours = |one: &&Value| one["spec"]["controllerName"] == *CONTROLLER_NAME;
    let classes: Vec<ClassStatus> = classes.iter().filter(is_ours).map(class).collect();
    let is_ours = |one: &&Value| {
        let class = &one["spec"]["gatewayClassName"];
        classes.iter().any(|ours| *class == *ours.name)
    };
    let gateways = list(client, ObjectKind::Gateway).await?;
    let gateways: Vec<GatewayStatus> = gateways.iter().filter(is_ours).map(gateway).collect();
    let sets = if_known(list(client, ObjectKind::ListenerSet).await)?;
    let sets = sets.iter().filter_map(|set| listener_set(set, &gateways));
    let mut routes = Vec::new();
    for kind in ObjectKind::ALL.iter().filter(|kind| kind.is_route()) {
        let of_kind = if_known(list(client, *kind).await)?;
        routes.extend(of_kind.iter().filter_map(|one| route(*kind, one)));
    }
    let services = if_allowed(list(client, ObjectKind::Service).await)?;
    let pools = if_allowed(list(client, ObjectKind::AddressPool).await)?;
    Ok(Report {
        software: format!("ringgate {}", env!("CARGO_PKG_VERSION")),
        from_cluster: true,
        services: services.iter().filter_map(service).collect(),
        pools: pools.iter().map(pool).collect(),
        listener_sets: sets.collect(),
        routes,
        gateway_classes: classes,
        gateways,
        ..Report::default()
    })
}

/// Nothing, where the cluster doesn't have the kind.
fn if_known(found: Result<Vec<Value>, ReadError>) -> Result<Vec<Value>, ReadError> {
    match found {
        Err(ReadError::NoKind { .. }) => Ok(Vec::new()),
        found => found,
    }
}

/// Nothing, where the cluster doesn't have the kind, or whoever asks may not see it: it is the smaller part.
fn if_allowed(found: Result<Vec<Value>, ReadError>) -> Result<Vec<Value>, ReadError> {
    match found {
        Err(ReadError::Client {
            error: ClientError::Api(status),
        }) if status.code == 403 => Ok(Vec::new()),
        found => if_known(found),
    }
}

async fn list(client: &Client, kind: ObjectKind) -> Result<Vec<Value>, ReadError> {
    let failed = |error| ReadError::Client { error };
    let resource = find(client, kind).await.map_err(failed)?;
    let resource = resource.ok_or(ReadError::NoKind { kind })?;
    let api: Api<Raw> = Api::all_with(client.clone(), &resource);
    let mut page = ListParams::default().limit(LIST_PAGE);
    let mut all = Vec::new();
    loop {
        let list = api.list(&page).await.map_err(failed)?;
        all.extend(list.items.into_iter().map(Raw::into_value));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(all),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Empty where it isn't there, or another's.
fn parsed<T: DeserializeOwned + Default>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

fn conditions(holder: &Value) -> Vec<Condition> {
    let conditions = holder["conditions"].as_array();
    let conditions = conditions.into_iter().flatten();
    conditions
        .filter_map(|one| serde_json::from_value(one.clone()).ok())
        .collect()
}

fn class(object: &Value) -> ClassStatus {
    ClassStatus {
        name: text(&object["metadata"]["name"]),
        implied: false,
        conditions: conditions(&object["status"]),
    }
}

fn gateway(object: &Value) -> GatewayStatus {
    let status = &object["status"];
    let addresses = status["addresses"].as_array().into_iter().flatten();
    let sets = status["attachedListenerSets"].as_u64().unwrap_or_default();
    GatewayStatus {
        namespace: text(&object["metadata"]["namespace"]),
        name: text(&object["metadata"]["name"]),
        class: text(&object["spec"]["gatewayClassName"]),
        addresses: addresses.map(|one| text(&one["value"])).collect(),
        conditions: conditions(status),
        listeners: listeners(object),
        attached_listener_sets: u32::try_from(sets).unwrap_or(u32::MAX),
    }
}

/// Of the Gateways that are ours.
fn listener_set(object: &Value, gateways: &[GatewayStatus]) -> Option<ListenerSetStatus> {
    let own = text(&object["metadata"]["namespace"]);
    let parent = &object["spec"]["parentRef"];
    let namespace = parent["namespace"].as_str().unwrap_or(&own);
    let mut ours = gateways.iter();
    let gateway = ours.find(|one| one.namespace == namespace && parent["name"] == *one.name)?;
    Some(ListenerSetStatus {
        name: text(&object["metadata"]["name"]),
        gateway: format!("{namespace}/{}", gateway.name),
        addresses: gateway.addresses.clone(),
        conditions: conditions(&object["status"]),
        listeners: listeners(object),
        namespace: own,
    })
}

/// Those of the spec, each with its status if it has one.
fn listeners(object: &Value) -> Vec<ListenerStatus> {
    let wanted = object["spec"]["listeners"].as_array().into_iter().flatten();
    wanted
        .map(|wanted| {
            let mut there = object["status"]["listeners"]
                .as_array()
                .into_iter()
                .flatten();
            let status = there.find(|one| one["name"] == wanted["name"]);
            let status = status.unwrap_or(&Value::Null);
            let attached = status["attachedRoutes"].as_u64().unwrap_or_default();
            ListenerStatus {
                name: text(&wanted["name"]),
                port: parsed(&wanted["port"]),
                protocol: text(&wanted["protocol"]),
                hostname: wanted["hostname"].as_str().unwrap_or("*").to_owned(),
                supported_kinds: parsed(&status["supportedKinds"]),
                attached_routes: u32::try_from(attached).unwrap_or(u32::MAX),
                conditions: conditions(status),
            }
        })
        .collect()
}

/// None: we aren't its load balancer, or it was generated for a Gateway.
fn service(object: &Value) -> Option<ServiceStatus> {
    let (metadata, spec) = (&object["metadata"], &object["spec"]);
    let annotations = &metadata["annotations"];
    let is_class = spec["loadBalancerClass"] == LOAD_BALANCER_CLASS;
    let is_ours = is_class || !annotations[ADDRESSES].is_null();
    if spec["type"] != "LoadBalancer" || !is_ours || !annotations[GATEWAY].is_null() {
        return None;
    }
    let ingress = object["status"]["loadBalancer"]["ingress"].as_array();
    let addresses = ingress.into_iter().flatten().map(|one| text(&one["ip"]));
    let addresses: Vec<String> = addresses.collect();
    let ports = spec["ports"].as_array().into_iter().flatten();
    let ports = ports.map(|one| format!("{}/{}", one["port"], text(&one["protocol"])));
    Some(ServiceStatus {
        namespace: text(&metadata["namespace"]),
        name: text(&metadata["name"]),
        addresses: (!addresses.is_empty()).then_some(addresses),
        ports: ports.collect(),
    })
}

fn pool(object: &Value) -> PoolStatus {
    let status = &object["status"];
    PoolStatus {
        name: text(&object["metadata"]["name"]),
        conditions: conditions(status),
        ipv4: parsed(&status["ipv4"]),
        ipv6: parsed(&status["ipv6"]),
    }
}

/// None: none of its parents is ours.
fn route(kind: ObjectKind, object: &Value) -> Option<RouteStatus> {
    let parents = object["status"]["parents"].as_array().into_iter().flatten();
    let ours = parents.filter(|one| one["controllerName"] == *CONTROLLER_NAME);
    let parents: Vec<ParentStatus> = ours
        .filter_map(|one| {
            Some(ParentStatus {
                parent_ref: serde_json::from_value(one["parentRef"].clone()).ok()?,
                conditions: conditions(one),
            })
        })
        .collect();
    (!parents.is_empty()).then(|| RouteStatus {
        kind: kind.as_str().to_owned(),
        namespace: text(&object["metadata"]["namespace"]),
        name: text(&object["metadata"]["name"]),
        parents,
    })
}
