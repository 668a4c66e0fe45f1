//! The control plane's own metrics, in Prometheus' text format.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use ringgate_core::ir::{Kind, Version};

use crate::api::ObjectKind;
use crate::problem::Severity;
use crate::status::certificates::AllEnds;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SeverityLabel {
    severity: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SecretLabel {
    secret: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// Counters and gauges, and the registry that prints them. Clones share the values.
pub struct Metrics {
    registry: Registry,
    reloads: Family<ResultLabel, Counter>,
    last_success: Gauge<f64, AtomicU64>,
    translate: Histogram,
    acks: Histogram,
    objects: Family<KindLabel, Gauge>,
    problems: Family<SeverityLabel, Gauge>,
    certificates: Family<SecretLabel, Gauge>,
    data_planes: Gauge,
    pushed: Counter,
    term: Gauge,
    sequence: Gauge,
    status_writes: Family<WriteLabels, Counter>,
    status_waiting: Gauge,
    watched: Family<KindLabel, Gauge>,
    watch_errors: Family<KindLabel, Counter>,
    last_event: Gauge<f64, AtomicU64>,
    leading: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        // 0.1 ms to 1.6 s: one route to a hundred thousand.
        let buckets = || exponential_buckets(0.0001, 2.0, 15);
        let mut metrics = Self {
            registry: Registry::with_prefix("ringgate_controlplane"),
            reloads: Family::default(),
            last_success: Gauge::default(),
            translate: Histogram::new(buckets()),
            acks: Histogram::new(buckets()),
            objects: Family::default(),
            problems: Family::default(),
            certificates: Family::default(),
            data_planes: Gauge::default(),
            pushed: Counter::default(),
            term: Gauge::default(),
            sequence: Gauge::default(),
            status_writes: Family::default(),
            status_waiting: Gauge::default(),
            watched: Family::default(),
            watch_errors: Family::default(),
            last_event: Gauge::default(),
            leading: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "reloads",
            "Changes that were taken in; failed: some document kept its last good version",
            self.reloads.clone(),
        );
        registry.register_with_unit(
            "last_reload_success_timestamp",
            "When a change was taken in without an error last, since 1970",
            Unit::Seconds,
            self.last_success.clone(),
        );
        registry.register_with_unit(
            "translate_duration",
            "Time to translate all objects",
            Unit::Seconds,
            self.translate.clone(),
        );
        registry.register_with_unit(
            "ack_duration",
            "Time from sending a version to a data plane until its ack",
            Unit::Seconds,
            self.acks.clone(),
        );
        registry.register("objects", "Objects in force", self.objects.clone());
        registry.register("problems", "Problems that stand now", self.problems.clone());
        registry.register_with_unit(
            "certificate_end_timestamp",
            "When each certificate in force ends, since 1970",
            Unit::Seconds,
            self.certificates.clone(),
        );
        registry.register(
            "data_planes",
            "Data planes that are connected",
            self.data_planes.clone(),
        );
        registry.register_with_unit(
            "pushed",
            "Bytes of updates sent to data planes",
            Unit::Bytes,
            self.pushed.clone(),
        );
        registry.register(
            "config_term",
            "Term of the wanted version",
            self.term.clone(),
        );
        registry.register(
            "config_sequence",
            "Sequence of the wanted version",
            self.sequence.clone(),
        );
        self.register_cluster();
    }

    fn register_cluster(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "watched_objects",
            "Objects of a cluster that are known",
            self.watched.clone(),
        );
        registry.register(
            "watch_errors",
            "Attempts to list or watch that failed",
            self.watch_errors.clone(),
        );
        registry.register_with_unit(
            "watch_last_event_timestamp",
            "When the API server told of a change last, since 1970",
            Unit::Seconds,
            self.last_event.clone(),
        );
        registry.register(
            "leading",
            "1 if this control plane holds the Lease",
            self.leading.clone(),
        );
        registry.register(
            "status_writes",
            "Attempts to write an object's status into the cluster",
            self.status_writes.clone(),
        );
        registry.register(
            "status_waiting",
            "Objects whose status is to be compared or written",
            self.status_waiting.clone(),
        );
    }

    pub fn reloaded(&self, success: bool, now: SystemTime) {
        let result = if success { "success" } else { "failure" };
        self.reloads.get_or_create(&ResultLabel { result }).inc();
        if success {
            let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
            self.last_success.set(since.as_secs_f64());
        }
    }

    pub fn translated(&self, took: Duration) {
        self.translate.observe(took.as_secs_f64());
    }

    pub fn acked(&self, took: Duration) {
        self.acks.observe(took.as_secs_f64());
    }

    pub fn pushed(&self, bytes: usize) {
        self.pushed.inc_by(bytes as u64);
    }

    pub fn set_version(&self, version: Version) {
        self.term.set(number(version.term));
        self.sequence.set(number(version.sequence));
    }

    pub fn set_data_planes(&self, count: usize) {
        self.data_planes.set(number(count as u64));
    }

    pub fn set_objects(&self, kind: Kind, count: usize) {
        let kind = match kind {
            Kind::Listener => "listener",
            Kind::HttpRoute => "http_route",
            Kind::GrpcRoute => "grpc_route",
            Kind::TlsRoute => "tls_route",
            Kind::TcpRoute => "tcp_route",
            Kind::UdpRoute => "udp_route",
            Kind::Backend => "backend",
            Kind::Certificate => "certificate",
            Kind::Authorities => "authorities",
            Kind::TicketKeys => "ticket_keys",
        };
        let gauge = self.objects.get_or_create(&KindLabel { kind });
        gauge.set(number(count as u64));
    }

    pub fn set_problems(&self, severity: Severity, count: usize) {
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let gauge = self.problems.get_or_create(&SeverityLabel { severity });
        gauge.set(number(count as u64));
    }

    /// Those in force; others are forgotten.
    /// `before` is what was told last.
    pub fn set_certificates(&self, before: &AllEnds, ends: &AllEnds) {
        for one in before.differences(ends, PartialEq::eq) {
            let label = SecretLabel {
                secret: one.key.to_string(),
            };
            match one.now {
                Some(ends) => {
                    self.certificates
                        .get_or_create(&label)
                        .set(ends.certificate);
                }
                None => {
                    self.certificates.remove(&label);
                }
            }
        }
    }

    pub fn set_watched(&self, kind: ObjectKind, count: usize) {
        let kind = kind.as_str();
        let gauge = self.watched.get_or_create(&KindLabel { kind });
        gauge.set(number(count as u64));
    }

    pub fn watch_failed(&self, kind: ObjectKind) {
        let kind = kind.as_str();
        self.watch_errors.get_or_create(&KindLabel { kind }).inc();
    }

    pub fn heard(&self, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_event.set(since.as_secs_f64());
    }

    pub fn set_leading(&self, leading: bool) {
        self.leading.set(leading.into());
    }

    pub fn status_written(&self, kind: ObjectKind, outcome: &'static str) {
        let kind = kind.as_str();
        let labels = WriteLabels { kind, outcome };
        self.status_writes.get_or_create(&labels).inc();
    }

    pub fn set_status_waiting(&self, count: usize) {
        self.status_waiting.set(number(count as u64));
    }

    /// The text that a scrape gets.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a text can't fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::certificate::Ends;

    #[test]
    fn a_scrape_shows_what_happened() {
        let metrics = Metrics::default();
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        metrics.reloaded(true, now);
        metrics.reloaded(false, now + Duration::from_secs(9));
        metrics.pushed(512);
        metrics.set_objects(Kind::HttpRoute, 3);
        metrics.set_problems(Severity::Error, 2);
        let secret = |name| ringgate_core::ir::ObjectName::new("default", name);
        let ends = |name, certificate| {
            let staple = None;
            AllEnds::from_iter([(
                secret(name),
                Ends {
                    certificate,
                    staple,
                },
            )])
        };
        metrics.set_certificates(&AllEnds::default(), &ends("old", 5));
        metrics.set_certificates(&ends("old", 5), &ends("site", 1_800_000_000));
        metrics.set_version(Version {
            term: 7,
            sequence: 5,
        });
        let text = metrics.text();
        for line in [
            "ringgate_controlplane_reloads_total{result=\"success\"} 1",
            "ringgate_controlplane_reloads_total{result=\"failure\"} 1",
            "ringgate_controlplane_last_reload_success_timestamp_seconds 1700000000.0",
            "ringgate_controlplane_pushed_bytes_total 512",
            "ringgate_controlplane_objects{kind=\"http_route\"} 3",
            "ringgate_controlplane_problems{severity=\"error\"} 2",
            "ringgate_controlplane_config_sequence 5",
            "ringgate_controlplane_certificate_end_timestamp_seconds{secret=\"default/site\"} 1800000000",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        assert!(!text.contains("default/old"));
    }
}
