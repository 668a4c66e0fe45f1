//! Endpoints that don't work are found out, by checks and by what becomes of traffic, and come back.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod checks;
mod datagrams;
mod outliers;
#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response};
use ringgate_core::ir::{
    BackendProtocol, BackendSettings, BackendTls, HealthCheck, Id, Object, OutlierDetection, Probe,
    Protocol, ProxyHeader, StatusRange, StreamProtocol, Thresholds, Trust,
};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::certificates::Authority;
use support::http2::{self, Got};
use support::streams::{Streams, lines, nobody, peer, tcp};
use support::{Client, DataPlane, PATIENCE, Wanted, name, prefix, rule, wait_until};

pub(crate) const STATES: [&str; 3] = ["healthy", "unhealthy", "ejected"];

pub(crate) fn check(probe: Probe) -> BackendSettings {
    let check = HealthCheck {
        interval: Duration::from_millis(20),
        timeout: PATIENCE,
        thresholds: Thresholds {
            healthy: 2,
            unhealthy: 2,
        },
        ..HealthCheck::by(probe)
    };
    BackendSettings {
        health_check: Some(check),
        ..BackendSettings::default()
    }
}

pub(crate) fn http_check() -> BackendSettings {
    check(Probe::Http {
        path: "/healthz".into(),
        host: None,
        statuses: vec![StatusRange::FINE],
    })
}

pub(crate) fn outliers(failures: u32, ejection: Duration) -> BackendSettings {
    BackendSettings {
        outlier_detection: Some(OutlierDetection {
            consecutive_failures: failures,
            base_ejection: ejection,
            max_ejection: ejection,
            max_ejected_percent: 50,
        }),
        ..BackendSettings::default()
    }
}

/// Waits until so many of the only backend's endpoints are healthy, unhealthy, and ejected.
pub(crate) fn await_states(plane: &DataPlane, backend: &str, counts: [u64; 3]) {
    for (state, count) in STATES.into_iter().zip(counts) {
        let metric = format!("ringgate_endpoints{{backend=\"{backend}\",state=\"{state}\"}}");
        plane.await_metric(&metric, count);
    }
}

/// A backend of which it can be said what it answers.
pub(crate) struct Backend {
    address: SocketAddr,
    /// To `/healthz`, and to all else.
    health: Arc<AtomicU16>,
    status: Arc<AtomicU16>,
    /// Requests but for `/healthz`.
    served: Arc<AtomicUsize>,
}

impl Backend {
    pub(crate) fn start(name: &'static str) -> Self {
        let (health, status) = (AtomicU16::new(200), AtomicU16::new(200));
        let (health, status) = (Arc::new(health), Arc::new(status));
        let served = Arc::new(AtomicUsize::new(0));
        let (asked, answered, counted) = (health.clone(), status.clone(), served.clone());
        let address = peer(move |stream| {
            let mut writer = stream.try_clone().unwrap();
            let mut head = String::new();
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if !line.is_empty() {
                    head.push_str(&line);
                    continue;
                }
                let status = match head.starts_with("GET /healthz ") {
                    true => asked.load(Ordering::SeqCst),
                    false => {
                        counted.fetch_add(1, Ordering::SeqCst);
                        answered.load(Ordering::SeqCst)
                    }
                };
                head.clear();
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 1\r\n\r\n{name}");
                if writer.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Self {
            address,
            health,
            status,
            served,
        }
    }

    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

pub(crate) fn in_front_of(backends: &[SocketAddr], settings: BackendSettings) -> Wanted {
    let mut wanted = Wanted::new().route(vec![rule("app")]);
    wanted.backend_with("app", backends, settings);
    wanted
}

/// As many requests as would reach each of two endpoints.
pub(crate) fn all_from(plane: &DataPlane, name: &str) {
    for _ in 0..30 {
        assert_eq!(plane.get("/"), (200, name.to_owned()));
    }
}

pub(crate) fn await_answer(plane: &DataPlane, name: &str) {
    wait_until(|| (plane.get("/") == (200, name.to_owned())).then_some(()));
}
