//! The admin endpoint: `/livez`, `/readyz`, `/metrics`, `/config`, `/addresses`, `/endpoints`. Read-only.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ringgate_core::balance::Whereabouts;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::{InForce, Question};
use crate::health;
use crate::shard::{Command, Handle, Report};
use crate::telemetry::exposition::{self, Scrape};

/// How long a shard may take to tell its counters.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the admin endpoint can see.
#[derive(Clone)]
pub(crate) struct Inside {
    pub(crate) shards: Arc<Vec<Handle>>,
    pub(crate) in_force: watch::Receiver<InForce>,
    pub(crate) questions: mpsc::Sender<Question>,
    pub(crate) ask_health: mpsc::Sender<health::Question>,
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) whereabouts: Arc<Whereabouts>,
}

pub(crate) fn router(inside: Inside) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/config", get(config))
        .route("/addresses", get(addresses))
        .route("/endpoints", get(endpoints))
        .with_state(inside)
}

/// Asks every shard; one that is stuck is left out.
pub(crate) fn reports(shards: &[Handle]) -> Vec<Report> {
    let (sender, answers) = crossbeam_channel::bounded(shards.len());
    let asked = shards
        .iter()
        .filter(|shard| shard.send(Command::Report(sender.clone())))
        .count();
    drop(sender);
    (0..asked)
        .map_while(|_| answers.recv_timeout(PATIENCE).ok())
        .collect()
}

async fn livez() -> &'static str {
    "ok\n"
}

/// Clients of all shards that something is under way for.
pub(crate) async fn clients(shards: Arc<Vec<Handle>>) -> usize {
    let reports = tokio::task::spawn_blocking(move || reports(&shards)).await;
    let reports = reports.unwrap_or_default();
    let each = reports
        .iter()
        .map(|report| report.clients + report.busy_sessions);
    each.sum()
}

/// Ready: a snapshot is in force, and we don't drain. While we do, `ringgate announce` reads how many clients are left.
async fn readyz(State(inside): State<Inside>) -> (StatusCode, String) {
    if *inside.draining.borrow() {
        let clients = clients(inside.shards.clone()).await;
        let text = format!("draining: {clients} clients are left\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text);
    }
    match inside.in_force.borrow().since {
        Some(_) => (StatusCode::OK, "ok\n".to_owned()),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no snapshot in force: waiting for a control plane\n".to_owned(),
        ),
    }
}

async fn metrics(State(inside): State<Inside>) -> Response {
    let in_force = inside.in_force.borrow().clone();
    let shards = inside.shards.clone();
    let text = tokio::task::spawn_blocking(move || {
        exposition::text(Scrape {
            in_force,
            reports: reports(&shards),
        })
    });
    match text.await {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn config(State(inside): State<Inside>) -> Response {
    let (sender, answer) = oneshot::channel();
    let _ = inside.questions.send(Question::Dump(sender)).await;
    json(answer).await
}

/// Those whose health is watched, with what is thought of each.
async fn endpoints(State(inside): State<Inside>) -> Response {
    let (sender, answer) = oneshot::channel();
    let _ = inside.ask_health.send(sender).await;
    json(answer).await
}

/// Nobody answers where the thread that was asked is gone.
async fn json(answer: oneshot::Receiver<String>) -> Response {
    match answer.await {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// The addresses that listeners ask for by name and that clients are served at from here, for `ringgate announce`.
async fn addresses(State(inside): State<Inside>) -> Response {
    let table = inside.in_force.borrow().table.clone();
    let addresses = table.addresses(&inside.whereabouts);
    match serde_json::to_vec(&addresses) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
