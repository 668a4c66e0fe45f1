//! What a golden output shows: objects, conditions and problems, as people read them.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use ringgate_controlplane::provision::service::Generated;
use ringgate_controlplane::push::server::PeerEvent;
use ringgate_controlplane::push::session::{Heard, Introduction};
use ringgate_controlplane::status::board::Board;
use ringgate_controlplane::status::coverage::DataPlanes;
use ringgate_controlplane::status::report::Report;
use ringgate_controlplane::status::{self, condition::Condition};
use ringgate_controlplane::translate::Translation;
use ringgate_core::ir::{BackendSettings, ListenerSettings, Object as IrObject, Version};
use serde::Serialize;
use serde_json::Value;

/// What a golden output shows.
#[derive(Serialize)]
pub(super) struct Output {
    objects: BTreeMap<String, Value>,
    statuses: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    generated: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gone: Vec<String>,
}

impl Output {
    pub(super) fn of(translation: &Translation, generated: &Generated) -> Self {
        let objects = translation.objects.iter();
        let report = report(translation);
        let mut statuses: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let gateways = report.gateways.iter().map(|one| {
            let about = format!("Gateway {}/{}", one.namespace, one.name);
            if !one.addresses.is_empty() {
                let line = format!("addresses {}", one.addresses.join(", "));
                statuses.entry(about.clone()).or_default().push(line);
            }
            if one.attached_listener_sets > 0 {
                let line = format!("attached ListenerSets {}", one.attached_listener_sets);
                statuses.entry(about.clone()).or_default().push(line);
            }
            (about, &one.listeners)
        });
        let gateways: Vec<_> = gateways.collect();
        let sets = report.listener_sets.iter().map(|one| {
            let about = format!("ListenerSet {}/{}", one.namespace, one.name);
            (about, &one.listeners)
        });
        for (parent, listeners) in gateways.into_iter().chain(sets) {
            for listener in listeners {
                let about = format!("{parent} listener {}", listener.name);
                let kinds: Vec<&str> = listener
                    .supported_kinds
                    .iter()
                    .map(|one| &*one.kind)
                    .collect();
                let line = format!(
                    "attached {}, kinds [{}]",
                    listener.attached_routes,
                    kinds.join(", ")
                );
                statuses.entry(about).or_default().push(line);
            }
        }
        for policy in &report.policies {
            let about = format!("{} {}/{}", policy.kind, policy.namespace, policy.name);
            let ancestors = policy.ancestors.iter().map(|one| {
                let one = &one.ancestor_ref;
                let namespace = one.namespace.as_deref().unwrap_or_default();
                format!("{} {namespace}/{}", one.kind, one.name)
            });
            let ancestors: Vec<String> = ancestors.collect();
            let line = format!("ancestors [{}]", ancestors.join(", "));
            statuses.entry(about).or_default().push(line);
        }
        usages(&report, &mut statuses);
        for (about, condition) in report.conditions() {
            statuses.entry(about).or_default().push(line(condition));
        }
        let findings = translation.verdicts.findings();
        let problems = findings
            .into_iter()
            .map(|finding| status::problem(finding, None));
        Self {
            objects: objects
                .map(|(id, object)| (id.to_string(), brief(object)))
                .collect(),
            statuses,
            problems: problems.map(|problem| problem.to_string()).collect(),
            generated: generated_texts(generated),
            gone: generated.gone.iter().map(ToString::to_string).collect(),
        }
    }

    pub(super) fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).unwrap()
    }
}

/// How full pools are.
fn usages(report: &Report, statuses: &mut BTreeMap<String, Vec<String>>) {
    for pool in &report.pools {
        let about = format!("AddressPool {}", pool.name);
        let usages = [("IPv4", pool.ipv4), ("IPv6", pool.ipv6)].into_iter();
        let usages = usages.filter_map(|(family, usage)| {
            let usage = usage?;
            let (given, free) = (usage.assigned, usage.available);
            Some(format!("{family}: given {given}, free {free}"))
        });
        statuses.entry(about).or_default().extend(usages);
    }
}

fn generated_texts(generated: &Generated) -> BTreeMap<String, Value> {
    let objects = generated.objects.iter().map(|(key, object)| {
        let mut object = object.clone();
        let fields = object.as_object_mut().unwrap();
        for known in ["apiVersion", "kind"] {
            fields.remove(known);
        }
        (key.to_string(), object)
    });
    let statuses = generated.statuses.iter();
    let statuses = statuses.map(|(name, status)| (format!("status of {name}"), status.clone()));
    let notes = generated.notes.iter();
    let notes = notes.map(|(name, note)| (format!("note of {name}"), note.as_str().into()));
    let released = generated.released.iter();
    let released = released.map(|name| (format!("release of {name}"), true.into()));
    objects
        .chain(statuses)
        .chain(notes)
        .chain(released)
        .collect()
}

/// Statuses as they are once one data plane has put everything in force.
fn report(translation: &Translation) -> Report {
    let version = Version {
        term: 1,
        sequence: 1,
    };
    let introduction = Introduction {
        instance: "one".into(),
        software: String::new(),
        driver: String::new(),
        workers: 1,
        version: Version::default(),
    };
    let acked = Heard::Acked {
        version,
        failures: Vec::new(),
        took: None,
    };
    let now = Instant::now();
    let mut planes = DataPlanes::default();
    planes.take(PeerEvent::Heard(0, Heard::Hello(introduction)), now);
    planes.take(PeerEvent::Heard(0, acked), now);
    let mut board = Board::default();
    board.sent(version, &translation.objects);
    board.update(
        &translation.verdicts,
        &planes.coverage(now),
        SystemTime::UNIX_EPOCH,
    );
    Report::new(None, &board, &[], planes.statuses(now))
}

fn line(condition: &Condition) -> String {
    let Condition {
        condition_type,
        status,
        reason,
        message,
        ..
    } = condition;
    match message.as_str() {
        "" => format!("{condition_type}={status:?} {reason}"),
        message => format!("{condition_type}={status:?} {reason}: {message}"),
    }
}

/// The object, but for settings that are the defaults.
fn brief(object: &IrObject) -> Value {
    let mut value = match object {
        IrObject::Listener(one) => serde_json::to_value(one),
        IrObject::HttpRoute(one) => serde_json::to_value(one),
        IrObject::StreamRoute(one) => serde_json::to_value(one),
        IrObject::Backend(one) => serde_json::to_value(one),
        IrObject::Certificate(one) => serde_json::to_value(one),
        IrObject::Authorities(one) => serde_json::to_value(one),
        IrObject::TicketKeys(one) => serde_json::to_value(one),
    }
    .unwrap();
    let defaults = match object {
        IrObject::Listener(_) => serde_json::to_value(ListenerSettings::default()),
        IrObject::Backend(_) => serde_json::to_value(BackendSettings::default()),
        _ => return value,
    }
    .unwrap();
    let fields = value.as_object_mut().unwrap();
    if fields["settings"] == defaults {
        fields.remove("settings");
    }
    value
}
