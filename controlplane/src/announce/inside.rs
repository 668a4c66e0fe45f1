//! What can be seen of an agent: `/livez`, `/readyz`, `/metrics`, `/owners`. Read-only.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use super::gossip::Bad;

/// Who owns what, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// Where this node's gossip is found; none: it shares addresses with nobody.
    pub node: Option<String>,
    pub nodes: Vec<NodeState>,
    pub addresses: Vec<AddressState>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    pub node: String,
    /// `away`, `fresh`, `settled`
    pub stage: String,
    /// How many addresses it can serve.
    pub addresses: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressState {
    pub address: String,
    /// The node that it belongs to; none: nobody can serve it.
    pub owner: Option<String>,
    /// Whether it is on this node's interface.
    pub held: bool,
    /// The Ethernet address of another host that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<String>,
}

/// A request for who owns what at this moment.
pub(super) type AskOwners = oneshot::Sender<Owners>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Counters and gauges, and the registry that prints them.
pub(super) struct Metrics {
    registry: Registry,
    pub(super) held: Gauge,
    pub(super) members: Gauge,
    pub(super) taken_over: Counter,
    pub(super) released: Counter,
    pub(super) refused: Counter,
    pub(super) contested: Counter,
    bad: Family<ReasonLabel, Counter>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("ringgate_announce"),
            held: Gauge::default(),
            members: Gauge::default(),
            taken_over: Counter::default(),
            released: Counter::default(),
            refused: Counter::default(),
            contested: Counter::default(),
            bad: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        let gauges = [
            (
                "addresses",
                "Addresses on this node's interface",
                &self.held,
            ),
            (
                "members",
                "Nodes that share addresses and are alive, this one among them",
                &self.members,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        let counters = [
            (
                "taken",
                "Addresses that were put on the interface",
                &self.taken_over,
            ),
            (
                "released",
                "Addresses that were taken off the interface",
                &self.released,
            ),
            (
                "refused",
                "Addresses that weren't put there, for another host had them",
                &self.refused,
            ),
            (
                "contested",
                "Times that another host claimed an address of this node",
                &self.contested,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "bad_datagrams",
            "Datagrams of gossip that were dropped",
            self.bad.clone(),
        );
    }

    pub(super) fn set_bad(&self, bad: Bad, count: u64) {
        let reason = match bad {
            Bad::Foreign => "foreign",
            Bad::Key => "key",
            Bad::Replay => "replay",
            Bad::Malformed => "malformed",
        };
        let counter = self.bad.get_or_create(&ReasonLabel { reason });
        counter.inc_by(count.saturating_sub(counter.get()));
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string doesn't fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

/// Where the server's answers come from.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    pub(super) metrics: Arc<Metrics>,
    pub(super) owners: mpsc::Sender<AskOwners>,
    /// What keeps addresses from being announced as they should be.
    pub(super) trouble: watch::Receiver<Option<String>>,
}

pub(super) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, sources: Sources) {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/owners", get(owners))
        .with_state(sources);
    // It never ends by itself: errors of accept are waited out inside.
    let _ = axum::serve(listener, router).await;
}

async fn readyz(State(sources): State<Sources>) -> (StatusCode, String) {
    match &*sources.trouble.borrow() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(text) => (StatusCode::SERVICE_UNAVAILABLE, format!("{text}\n")),
    }
}

async fn metrics(State(sources): State<Sources>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (
        [(header::CONTENT_TYPE, OPEN_METRICS)],
        sources.metrics.text(),
    )
}

async fn owners(State(sources): State<Sources>) -> Response {
    let (ask, answer) = oneshot::channel();
    let _ = sources.owners.send(ask).await;
    let json = answer.await.ok();
    match json.and_then(|owners| serde_json::to_vec(&owners).ok()) {
        Some(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// For people: a line for each address, then the nodes.
#[must_use]
pub fn table(owners: &Owners) -> String {
    let mut lines = vec![format!("{:<40} {:<28} HERE", "ADDRESS", "OWNER")];
    for one in &owners.addresses {
        let here = match (&one.refused_by, one.held) {
            (Some(mac), _) => format!("no: {mac} has it"),
            (None, true) => "yes".to_owned(),
            (None, false) => "no".to_owned(),
        };
        let owner = match (&one.owner, &owners.node) {
            (Some(owner), _) => owner.as_str(),
            (None, Some(_)) => "nobody can serve it",
            (None, None) => "this node",
        };
        lines.push(format!("{:<40} {owner:<28} {here}", one.address));
    }
    if !owners.nodes.is_empty() {
        lines.push(String::new());
        lines.push(format!("{:<40} {:<28} ADDRESSES", "NODE", "STAGE"));
    }
    for one in &owners.nodes {
        let is_ours = owners.node.as_ref() == Some(&one.node);
        let node = if is_ours {
            format!("{} (this one)", one.node)
        } else {
            one.node.clone()
        };
        lines.push(format!("{node:<40} {:<28} {}", one.stage, one.addresses));
    }
    lines.join("\n") + "\n"
}
