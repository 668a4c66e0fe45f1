//! Metrics as Prometheus reads them (OpenMetrics text), by OpenTelemetry's names for HTTP.
//!
//! Labels are what is configured (gateway, listener, route, rule, backend) and the status class: their number
//! is bounded by the configuration, whatever clients send.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use ringgate_core::table::Slot;

use super::counters::{BOUNDS, Classes, Counted, Durations, Place, Stream, Totals};
use super::health;
use crate::config::InForce;
use crate::shard::Report;

/// What was gathered for one scrape.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) in_force: InForce,
    pub(crate) reports: Vec<Report>,
}

type Labels = Vec<(&'static str, String)>;
/// One value of a label, and what is counted for it.
type Part = (&'static str, fn(&Stream) -> u64);
/// Counters and buckets carry no exemplars.
type NoLabels = [(&'static str, &'static str); 0];

/// The whole text.
pub(crate) fn text(scrape: Scrape) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut all = Counted::default();
        for report in &self.reports {
            merge(&mut all, &report.counted);
        }
        self.requests(&all, &mut encoder)?;
        self.streams(&all, &mut encoder)?;
        self.backends(&all, &mut encoder)?;
        goaways(&all, &mut encoder)?;
        self.totals(&all.totals, &mut encoder)?;
        health::encode(&self.in_force.health, &mut encoder)?;
        self.state(&mut encoder)
    }
}

fn merge(all: &mut Counted, one: &Counted) {
    for (place, classes) in &one.requests {
        let sums = all.requests.entry(*place).or_default().iter_mut();
        sums.zip(classes).for_each(|(sum, count)| *sum += count);
    }
    for (place, stream) in &one.streams {
        all.streams.entry(*place).or_default().add(stream);
    }
    for (slot, durations) in &one.listeners {
        all.listeners.entry(*slot).or_default().add(durations);
    }
    for (slot, durations) in &one.backends {
        all.backends.entry(*slot).or_default().add(durations);
    }
    for (reason, count) in &one.goaways {
        *all.goaways.entry(reason).or_default() += count;
    }
    all.totals.add(&one.totals);
}

/// A number of [`Totals`]: what its metric is called, what it says, and where it is.
type Total = (&'static str, &'static str, fn(&mut Totals) -> &mut u64);

const TOTALS: [Total; 20] = [
    ("connections", "Client connections accepted", |all| {
        &mut all.connections
    }),
    (
        "connections_handed_over",
        "Client connections served by another shard than the kernel chose",
        |all| &mut all.handed_over,
    ),
    (
        "accept_failures",
        "Connections that could not be accepted",
        |all| &mut all.accept_failures,
    ),
    (
        "accept_waits",
        "Pauses because a shard had as many clients as it may have",
        |all| &mut all.accept_waits,
    ),
    (
        "refused_requests",
        "Requests refused for their syntax or size",
        |all| &mut all.refused_requests,
    ),
    (
        "refused_sources",
        "Connections and datagrams from addresses that are not let in",
        |all| &mut all.refused_sources,
    ),
    (
        "handshakes",
        "TLS handshakes with clients that succeeded",
        |all| &mut all.handshakes,
    ),
    (
        "handshake_failures",
        "TLS handshakes with clients that failed",
        |all| &mut all.handshake_failures,
    ),
    (
        "upstream_connections",
        "Connections opened to backends",
        |all| &mut all.upstream_connections,
    ),
    (
        "upstream_connect_failures",
        "Connections to backends that failed",
        |all| &mut all.upstream_connect_failures,
    ),
    ("retries", "Attempts beyond a request's first", |all| {
        &mut all.retries
    }),
    ("timeouts", "Attempts that ran out of time", |all| {
        &mut all.timeouts
    }),
    ("mirrors", "Mirrored requests sent", |all| &mut all.mirrors),
    ("mirrors_dropped", "Mirrored requests not sent", |all| {
        &mut all.mirrors_dropped
    }),
    (
        "tunnels",
        "Connections that changed to another protocol",
        |all| &mut all.tunnels,
    ),
    ("datagrams_sent", "Datagrams to backends", |all| {
        &mut all.datagrams_sent
    }),
    (
        "datagrams_received",
        "Datagrams from backends, on to clients",
        |all| &mut all.datagrams_received,
    ),
    (
        "datagrams_dropped",
        "Datagrams that had nowhere to go, or could not be sent",
        |all| &mut all.datagrams_dropped,
    ),
    (
        "unhealthy_choices",
        "Choices among all endpoints of a backend, because none was thought to work",
        |all| &mut all.unhealthy_choices,
    ),
    (
        "access_log_lines_dropped",
        "Access log lines dropped",
        |all| &mut all.log_lines_dropped,
    ),
];

impl Totals {
    fn add(&mut self, other: &Self) {
        let mut other = *other;
        for (_, _, number) in TOTALS {
            *number(self) += *number(&mut other);
        }
    }

    fn named(&self) -> [(&'static str, &'static str, u64); TOTALS.len()] {
        let mut copy = *self;
        TOTALS.map(|(name, help, number)| (name, help, *number(&mut copy)))
    }
}

impl Scrape {
    fn requests(&self, all: &Counted, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let places = self.listeners();
        let rules = self.rules();
        let requests = all.requests.iter();
        let requests = requests
            .filter_map(|(place, classes)| Some((labelled(*place, &places, &rules)?, classes)));
        let help = "Requests by listener, route, rule and status class; no class: ended without a response";
        classes("http_server_requests", help, sorted(requests), encoder)?;
        let listeners = all.listeners.iter().filter_map(|(slot, durations)| {
            let (gateway, name) = places.get(slot)?;
            let labels = vec![("gateway", gateway.clone()), ("listener", name.clone())];
            Some((labels, durations))
        });
        let help = "Time from a request's head to the end of its response";
        histograms(
            "http_server_request_duration",
            help,
            &sorted(listeners),
            encoder,
        )
    }

    fn streams(&self, all: &Counted, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (places, rules) = (self.listeners(), self.rules());
        let streams = all.streams.iter();
        let streams = streams
            .filter_map(|(place, stream)| Some((labelled(*place, &places, &rules)?, *stream)));
        let streams = sorted(streams);
        let connections: [Part; 2] = [
            ("opened", |stream| stream.opened),
            ("refused", |stream| stream.refused),
        ];
        let help =
            "Connections whose bytes go on as they are, by listener, route, rule and outcome";
        let name = "ringgate_stream_connections";
        parts(name, help, "outcome", &connections, &streams, encoder)?;
        let bytes: [Part; 2] = [
            ("to_backend", |stream| stream.sent),
            ("to_client", |stream| stream.received),
        ];
        let help = "Bytes of such connections that are over, by direction";
        let name = "ringgate_stream_bytes";
        parts(name, help, "direction", &bytes, &streams, encoder)
    }

    fn backends(&self, all: &Counted, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        // One port may be two backends, by what is spoken there.
        let mut ports: BTreeMap<String, Durations> = BTreeMap::new();
        for (slot, durations) in &all.backends {
            if let Some(backend) = self.in_force.table.backend(*slot) {
                let name = format!("{}:{}", backend.backend.service, backend.backend.port);
                ports.entry(name).or_default().add(durations);
            }
        }
        let families = ports.iter();
        let families =
            families.map(|(name, durations)| (vec![("backend", name.clone())], durations));
        let families = sorted(families);
        let help = "Attempts at backends by status class; no class: failed without a response";
        let counts = families.iter();
        let counts = counts.map(|(labels, durations)| (labels.clone(), &durations.classes));
        classes("http_client_requests", help, counts.collect(), encoder)?;
        let help = "Time from choosing an endpoint to the end of its response";
        histograms("http_client_request_duration", help, &families, encoder)
    }

    fn totals(&self, totals: &Totals, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in totals.named() {
            let name = format!("ringgate_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            family.encode_counter::<NoLabels, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn state(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let sum = |get: fn(&Report) -> usize| -> i64 {
            i64::try_from(self.reports.iter().map(get).sum::<usize>()).unwrap_or(i64::MAX)
        };
        let since = self
            .in_force
            .since
            .and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let seconds = since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        for (name, help, value) in [
            (
                "ringgate_clients",
                "Client connections open",
                sum(|report| report.clients),
            ),
            (
                "ringgate_datagram_sessions",
                "Clients of datagrams that are served now",
                sum(|report| report.sessions),
            ),
            (
                "ringgate_idle_upstreams",
                "Connections to backends kept for reuse",
                sum(|report| report.idle_upstreams),
            ),
            (
                "ringgate_config_term",
                "The leader's term of the version in force",
                whole(self.in_force.version.term),
            ),
            (
                "ringgate_config_sequence",
                "The sequence of the version in force",
                whole(self.in_force.version.sequence),
            ),
            (
                "ringgate_config_updates",
                "Versions that came into force since the start",
                whole(self.in_force.updates),
            ),
            (
                "ringgate_config_failures",
                "Objects that can't be carried out",
                whole(self.in_force.failures.len() as u64),
            ),
            (
                "ringgate_config_last_reload_timestamp_seconds",
                "When the version in force came",
                seconds,
            ),
            (
                "ringgate_control_plane_connected",
                "Whether the control plane is connected",
                self.in_force.is_led.into(),
            ),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            family.encode_gauge(&value)?;
        }
        self.shards(encoder)
    }

    /// How evenly they carry what is to be carried.
    fn shards(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help) = (
            "ringgate_shard_clients",
            "Client connections open, by shard",
        );
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for report in &self.reports {
            let clients = i64::try_from(report.clients).unwrap_or(i64::MAX);
            let labels = [("shard", report.shard.to_string())];
            family.encode_family(&labels)?.encode_gauge(&clients)?;
        }
        let (name, help) = ("ringgate_shard_cpu", "Time of a shard's thread on a core");
        let unit = Some(&Unit::Seconds);
        let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for report in &self.reports {
            let labels = [("shard", report.shard.to_string())];
            let seconds = report.cpu_time.as_secs_f64();
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabels, _, u64>(&seconds, None)?;
        }
        let help = "The driver that a shard runs on";
        let mut family =
            encoder.encode_descriptor("ringgate_shard_driver", help, None, MetricType::Gauge)?;
        for report in &self.reports {
            let labels = vec![
                ("shard", report.shard.to_string()),
                ("driver", report.driver.name().to_owned()),
            ];
            family.encode_family(&labels)?.encode_gauge(&1_i64)?;
        }
        Ok(())
    }

    fn listeners(&self) -> HashMap<Slot, (String, String)> {
        let listeners = self.in_force.table.listeners();
        listeners
            .map(|one| (one.slot, (one.gateway.to_string(), one.name.to_string())))
            .collect()
    }

    /// Kind, route and name of each: routes of two kinds may have one name.
    fn rules(&self) -> HashMap<Slot, [String; 3]> {
        let listeners = self.in_force.table.listeners();
        let mut names = HashMap::new();
        for listener in listeners {
            for rule in listener.hosts().flat_map(|host| host.rules()) {
                let kind = rule.protocol.kind().to_owned();
                let name = [kind, rule.route.to_string(), rule.name.to_string()];
                names.insert(rule.slot, name);
            }
            for rule in listener.streams().map(|host| &host.rule) {
                let kind = rule.kind.to_owned();
                let name = [kind, rule.route.to_string(), rule.name.to_string()];
                names.insert(rule.slot, name);
            }
        }
        names
    }
}

/// The labels of a listener and one of its rules; none of what isn't in force any more.
fn labelled(
    (listener, rule): Place,
    listeners: &HashMap<Slot, (String, String)>,
    rules: &HashMap<Slot, [String; 3]>,
) -> Option<Labels> {
    let (gateway, name) = listeners.get(&listener)?;
    let none = <[String; 3]>::default();
    let [kind, route, rule] = match rule {
        Some(rule) => rules.get(&rule)?,
        None => &none,
    };
    Some(vec![
        ("gateway", gateway.clone()),
        ("listener", name.clone()),
        ("route_kind", kind.clone()),
        ("route", route.clone()),
        ("rule", rule.clone()),
    ])
}

/// A counter with a label for each of its parts.
fn parts(
    name: &str,
    help: &str,
    label: &'static str,
    parts: &[Part],
    families: &[(Labels, Stream)],
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, stream) in families {
        for (part, of) in parts {
            let mut labels = labels.clone();
            labels.push((label, (*part).to_owned()));
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabels, _, u64>(&of(stream), None)?;
        }
    }
    Ok(())
}

/// In the order of their labels, so that two scrapes can be compared.
fn sorted<T>(families: impl Iterator<Item = (Labels, T)>) -> Vec<(Labels, T)> {
    let mut families: Vec<_> = families.collect();
    families.sort_by(|a, b| a.0.cmp(&b.0));
    families
}

fn classes(
    name: &str,
    help: &str,
    families: Vec<(Labels, &Classes)>,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, counts) in families {
        for (class, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let mut labels = labels.clone();
            let class = if class == 0 {
                String::new()
            } else {
                format!("{class}xx")
            };
            labels.push(("http_response_status_class", class));
            family
                .encode_family(&labels)?
                .encode_counter::<NoLabels, _, u64>(count, None)?;
        }
    }
    Ok(())
}

fn goaways(all: &Counted, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Connections of HTTP/2 that were ended for what the client sent, by reason";
    let mut family =
        encoder.encode_descriptor("ringgate_http2_goaways", help, None, MetricType::Counter)?;
    for (reason, count) in &all.goaways {
        family
            .encode_family(&[("reason", *reason)])?
            .encode_counter::<NoLabels, _, u64>(count, None)?;
    }
    Ok(())
}

fn histograms(
    name: &str,
    help: &str,
    families: &[(Labels, &Durations)],
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let unit = Some(&Unit::Seconds);
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?;
    for (labels, durations) in families {
        Histogram(durations).encode(family.encode_family(labels)?)?;
    }
    Ok(())
}

struct Histogram<'d>(&'d Durations);

impl EncodeMetric for Histogram<'_> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = BOUNDS.iter().copied().chain([f64::MAX]);
        let buckets: Vec<_> = bounds.zip(self.0.buckets).collect();
        let count = self.0.buckets.iter().sum();
        encoder.encode_histogram::<NoLabels>(self.0.seconds, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
