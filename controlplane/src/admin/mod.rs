//! The control plane's admin server: is it alive, is it ready, what does it measure, what stands.

pub mod client;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use crate::metrics::Metrics;
use crate::status::report::Report;

#[derive(Debug, Error)]
#[error(
    "can't listen on {address} for --controller-admin: {error}; give another address, or stop who uses it"
)]
pub struct AdminError {
    address: SocketAddr,
    error: std::io::Error,
}

/// A request for a report of this moment.
pub type AskReport = oneshot::Sender<Report>;

/// Where the server's answers come from.
#[derive(Clone, Debug)]
pub struct Sources {
    pub metrics: Arc<Metrics>,
    pub reports: mpsc::Sender<AskReport>,
    pub ready: watch::Receiver<bool>,
}

/// # Errors
/// When the address can't be bound.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, AdminError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| AdminError { address, error })
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, sources: Sources) {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/addresses", get(addresses))
        .with_state(sources);
    // It never ends by itself: errors of accept are waited out inside.
    let _ = axum::serve(listener, router).await;
}

/// Ready once it is known what data planes shall put in force, whoever tells them.
async fn readyz(State(sources): State<Sources>) -> (StatusCode, &'static str) {
    if *sources.ready.borrow() {
        (StatusCode::OK, "ok\n")
    } else {
        let text = "nothing has been read yet\n";
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

async fn metrics(State(sources): State<Sources>) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (
        [(header::CONTENT_TYPE, OPEN_METRICS)],
        sources.metrics.text(),
    )
}

async fn status(State(sources): State<Sources>) -> Response {
    let report = report(&sources).await;
    json(report.and_then(|report| serde_json::to_vec(&report).ok()))
}

/// Those that clients of Gateways use, each once.
async fn addresses(State(sources): State<Sources>) -> Response {
    let report = report(&sources).await;
    json(report.and_then(|report| serde_json::to_vec(&report.addresses()).ok()))
}

/// None only while the process ends.
async fn report(sources: &Sources) -> Option<Report> {
    let (ask, answer) = oneshot::channel();
    sources.reports.send(ask).await.ok()?;
    answer.await.ok()
}

fn json(json: Option<Vec<u8>>) -> Response {
    match json {
        Some(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
