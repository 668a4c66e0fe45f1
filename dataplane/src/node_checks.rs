//! Health checks of nodes (`healthCheckNodePort`): load balancers before the nodes learn which of them have endpoints of a
//! Service whose traffic stays on its node. Answered as Kubernetes' own proxy does, where that doesn't have the port already.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringgate_core::balance::Whereabouts;
use ringgate_core::table::Presence;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::debug;

use crate::config::InForce;
use crate::limits::NODE_CHECKS;

const WEIGHT: HeaderName = HeaderName::from_static("x-load-balancing-endpoint-weight");

/// What is told at one port.
#[derive(Clone)]
struct Told {
    presence: watch::Receiver<Presence>,
    draining: watch::Receiver<bool>,
}

/// One port that is served here. Ended when dropped.
struct Served {
    presence: watch::Sender<Presence>,
    _task: JoinSet<()>,
}

/// Serves what is in force, until nobody says any more what that is.
pub(crate) async fn serve(
    mut in_force: watch::Receiver<InForce>,
    draining: watch::Receiver<bool>,
    here: Arc<Whereabouts>,
) {
    let mut served: BTreeMap<u16, Served> = BTreeMap::new();
    while in_force.changed().await.is_ok() {
        let table = in_force.borrow_and_update().table.clone();
        let wanted = table.presences(&here);
        served.retain(|port, _| wanted.contains_key(port));
        for (port, presence) in wanted.into_iter().take(NODE_CHECKS) {
            match served.get(&port) {
                Some(one) => {
                    one.presence.send_replace(presence);
                }
                None => served.extend(open(port, presence, &draining).await),
            }
        }
    }
}

/// None: it is another's, who answers the same. It is tried again with the next change.
async fn open(
    port: u16,
    presence: Presence,
    draining: &watch::Receiver<bool>,
) -> Option<(u16, Served)> {
    let listener = match bind(port).await {
        Ok(listener) => listener,
        Err(error) => {
            let service = &presence.service;
            debug!(%service, port, %error, "the health check port of a Service is another's");
            return None;
        }
    };
    let (presence, seen) = watch::channel(presence);
    let told = Told {
        presence: seen,
        draining: draining.clone(),
    };
    let router = Router::new().fallback(answer).with_state(told);
    let mut task = JoinSet::new();
    task.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            debug!(port, %error, "a health check port is served no more");
        }
    });
    let served = Served {
        presence,
        _task: task,
    };
    Some((port, served))
}

/// Both families, where the host has both.
async fn bind(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        bound => bound,
    }
}

/// As kube-proxy words it, whatever is asked for.
async fn answer(State(told): State<Told>) -> Response {
    let Presence { service, endpoints } = told.presence.borrow().clone();
    let is_healthy = !*told.draining.borrow();
    let status = match is_healthy && endpoints > 0 {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = serde_json::json!({
        "service": {"namespace": service.namespace, "name": service.name},
        "localEndpoints": endpoints,
        "serviceProxyHealthy": is_healthy,
    });
    let fields = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (WEIGHT, endpoints.to_string()),
    ];
    (status, fields, body.to_string()).into_response()
}
