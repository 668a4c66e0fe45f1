//! Metrics of endpoints' health. One port may be two backends, by what is spoken there: they are one here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::shared::health::{Health, State};

/// Counters carry no exemplars.
type NoLabels = [(&'static str, &'static str); 0];

/// Of a backend's port.
#[derive(Default)]
struct Counted {
    /// By state, as in [`State::ALL`].
    endpoints: [i64; State::ALL.len()],
    passed: u64,
    failed: u64,
    ejections: u64,
}

pub(super) fn encode(health: &Health, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let all = count(health);
    let help = "Endpoints of backends whose health is watched, by state";
    let name = "ringgate_endpoints";
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (backend, counted) in &all {
        for (state, count) in State::ALL.into_iter().zip(counted.endpoints) {
            let labels = [("backend", backend.as_str()), ("state", state.as_str())];
            family.encode_family(&labels)?.encode_gauge(&count)?;
        }
    }
    let help = "Health checks, by result";
    let name = "ringgate_health_checks";
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (backend, counted) in &all {
        for (result, count) in [("passed", counted.passed), ("failed", counted.failed)] {
            let labels = [("backend", backend.as_str()), ("result", result)];
            let mut one = family.encode_family(&labels)?;
            one.encode_counter::<NoLabels, _, u64>(&count, None)?;
        }
    }
    let help = "How often endpoints were put aside because their traffic failed";
    let name = "ringgate_endpoint_ejections";
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (backend, counted) in &all {
        let labels = [("backend", backend.as_str())];
        let mut one = family.encode_family(&labels)?;
        one.encode_counter::<NoLabels, _, u64>(&counted.ejections, None)?;
    }
    Ok(())
}

fn count(health: &Health) -> BTreeMap<String, Counted> {
    let mut all: BTreeMap<String, Counted> = BTreeMap::new();
    for backend in health.backends() {
        let counted = all.entry(backend.name()).or_default();
        for endpoint in &backend.endpoints {
            if let Some(count) = counted.endpoints.get_mut(endpoint.state() as usize) {
                *count += 1;
            }
        }
        let tally = &backend.tally;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        counted.passed += read(&tally.passed);
        counted.failed += read(&tally.failed);
        counted.ejections += read(&tally.ejections);
    }
    all
}
