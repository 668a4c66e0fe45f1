//! Golden pairs: `testdata/<topic>/<sentence>.in.yaml` is translated and compared with `.out.yaml`.
//!
//! `RINGGATE_BLESS=1 cargo test -p ringgate-controlplane --test golden` writes the outputs anew: read
//! the difference before it is committed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on shall stop"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ringgate_controlplane::api::Object;
use ringgate_controlplane::provision::pool::AddressRange;
use ringgate_controlplane::provision::service::{self, Generated};
use ringgate_controlplane::provision::{Claims, claims};
use ringgate_controlplane::push::server::PeerEvent;
use ringgate_controlplane::push::session::{Heard, Introduction};
use ringgate_controlplane::status::board::Board;
use ringgate_controlplane::status::coverage::DataPlanes;
use ringgate_controlplane::status::report::Report;
use ringgate_controlplane::status::{self, condition::Condition};
use ringgate_controlplane::store::Resources;
use ringgate_controlplane::translate::{Inputs, Options, ResolvedNames, Translation, Translator};
use ringgate_controlplane::watch::{Batch, Event};
use ringgate_core::ir::{BackendSettings, Id, ListenerSettings, Object as IrObject, Version};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A golden pair's input.
struct Case {
    documents: Vec<Object>,
    options: Options,
    names: ResolvedNames,
}

/// `kind: Options` in an input: the command line, whether the objects are a cluster's, what names
/// resolve to, and the addresses of Gateways (by `namespace/name`).
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OptionsDocument {
    gateway_classes: Vec<Arc<str>>,
    echo: bool,
    cluster: bool,
    pools: Vec<AddressRange>,
    data_planes: Vec<std::net::IpAddr>,
    names: BTreeMap<Arc<str>, Vec<std::net::IpAddr>>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut case = Self {
            documents: Vec::new(),
            options: Options::default(),
            names: ResolvedNames::new(),
        };
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for document in documents {
            if document["kind"] == "Options" {
                let options: OptionsDocument = serde_json::from_value(document).unwrap();
                case.options.classes = options.gateway_classes.into_iter().collect();
                case.options.echo = options.echo;
                case.options.cluster = options.cluster;
                case.options.provision.pools = options.pools;
                case.options.provision.data_planes = options.data_planes;
                let names = options.names.into_iter();
                case.names = names.map(|(name, all)| (name, all.into())).collect();
            } else {
                case.documents.push(object(document, path));
            }
        }
        case
    }

    fn resources(&self) -> Resources {
        let mut resources = Resources::default();
        resources.apply(&batch(&self.documents));
        resources
    }

    fn claims(&self, resources: &Resources) -> Claims {
        match self.options.cluster {
            true => claims(resources, &self.options),
            false => Claims::new(),
        }
    }

    fn translate(&self, resources: &Resources, translator: &mut Translator) -> Translation {
        translator.translate(&Inputs {
            resources,
            names: &self.names,
            claims: &self.claims(resources),
            options: &self.options,
        })
    }

    fn translate_anew(&self, resources: &Resources) -> Translation {
        self.translate(resources, &mut Translator::default())
    }

    fn generated(&self, resources: &Resources) -> Generated {
        let claims = self.claims(resources);
        let ports = service::ports(&self.translate_anew(resources).verdicts);
        service::generate(resources, &claims, &ports, &self.options.provision)
    }

    fn output(&self, resources: &Resources) -> String {
        let translation = self.translate_anew(resources);
        Output::of(&translation, &self.generated(resources)).to_yaml()
    }
}

fn batch(documents: &[Object]) -> Batch {
    let events = documents.iter().map(|object| Event::Applied {
        object: object.clone(),
        source: None,
    });
    Batch {
        events: events.collect(),
        problems: Vec::new(),
    }
}

/// Puts the files of `testdata/pem` where `pem:NAME` stands for them.
fn fill_in(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(fill_in),
        Value::Array(items) => items.iter_mut().for_each(fill_in),
        Value::String(text) => {
            if let Some(name) = text.strip_prefix("pem:") {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pem");
                *text = fs::read_to_string(folder.join(name)).unwrap();
            }
        }
        _ => {}
    }
}

fn object(mut document: Value, path: &Path) -> Object {
    fill_in(&mut document);
    let kind = document["kind"].as_str().unwrap().to_owned();
    let metadata = document["metadata"].as_object_mut().unwrap();
    if ![
        "GatewayClass",
        "Namespace",
        "AddressPool",
        "ClusterTrustBundle",
    ]
    .contains(&kind.as_str())
    {
        metadata.entry("namespace").or_insert(json!("default"));
    }
    fn of<T: serde::de::DeserializeOwned + Into<Object>>(
        document: Value,
    ) -> serde_json::Result<Object> {
        serde_json::from_value::<T>(document).map(Into::into)
    }
    use ringgate_controlplane::api::{
        backend_tls, gateway, grpc_route, http_route, listener_set, policy, pool, service, storage,
        stream_route,
    };
    let object = match kind.as_str() {
        "GatewayClass" => of::<gateway::GatewayClass>(document),
        "Gateway" => of::<gateway::Gateway>(document),
        "ListenerSet" => of::<listener_set::ListenerSet>(document),
        "TLSRoute" => of::<stream_route::TlsRoute>(document),
        "TCPRoute" => of::<stream_route::TcpRoute>(document),
        "UDPRoute" => of::<stream_route::UdpRoute>(document),
        "HTTPRoute" => of::<http_route::HttpRoute>(document),
        "GRPCRoute" => of::<grpc_route::GrpcRoute>(document),
        "ReferenceGrant" => of::<gateway::ReferenceGrant>(document),
        "Service" => of::<service::Service>(document),
        "EndpointSlice" => of::<service::EndpointSlice>(document),
        "Namespace" => of::<storage::Namespace>(document),
        "ListenerPolicy" => of::<policy::ListenerPolicy>(document),
        "GatewayParameters" => of::<pool::GatewayParameters>(document),
        "AddressPool" => of::<pool::AddressPool>(document),
        "Secret" => of::<storage::Secret>(document),
        "ConfigMap" => of::<storage::ConfigMap>(document),
        "BackendPolicy" => of::<policy::BackendPolicy>(document),
        "BackendTLSPolicy" => of::<backend_tls::BackendTlsPolicy>(document),
        "ClusterTrustBundle" => of::<backend_tls::ClusterTrustBundle>(document),
        other => panic!("{}: kind {other}", path.display()),
    };
    object.unwrap_or_else(|error| panic!("{}: {kind}: {error}", path.display()))
}

/// What a golden output shows.
#[derive(Serialize)]
struct Output {
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
    fn of(translation: &Translation, generated: &Generated) -> Self {
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

    fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).unwrap()
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
    objects.chain(statuses).collect()
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

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut found = Vec::new();
    for topic in fs::read_dir(root).unwrap() {
        let topic = topic.unwrap().path();
        if !topic.is_dir() {
            continue;
        }
        for file in fs::read_dir(topic).unwrap() {
            let file = file.unwrap().path();
            if file.to_string_lossy().ends_with(".in.yaml") {
                found.push(file);
            }
        }
    }
    found.sort();
    assert!(found.len() >= 40, "only {} golden pairs found", found.len());
    found
}

#[test]
fn every_input_gives_its_output() {
    let bless = std::env::var_os("RINGGATE_BLESS").is_some();
    let mut different = Vec::new();
    for input in cases() {
        let case = Case::read(&input);
        let resources = case.resources();
        let actual = case.output(&resources);
        let output = input.to_string_lossy().replace(".in.yaml", ".out.yaml");
        if bless {
            fs::write(&output, actual).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&output).unwrap_or_default();
        if expected != actual {
            different.push(format!(
                "{output}\n--- expected\n{expected}\n--- actual\n{actual}"
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn the_order_of_documents_does_not_matter_and_the_bytes_are_the_same_twice() {
    for input in cases() {
        let mut case = Case::read(&input);
        let translated = |case: &Case| case.output(&case.resources());
        let expected = translated(&case);
        assert_eq!(translated(&case), expected, "{}", input.display());
        for turn in 0..case.documents.len() {
            case.documents.rotate_left(1);
            if turn % 2 == 0 {
                case.documents.reverse();
            }
            assert_eq!(translated(&case), expected, "{}", input.display());
        }
    }
}

/// A translator that saw every step on the way there (and one thing coming and going) gives what one
/// gives that saw only the end.
#[test]
fn what_a_translator_remembers_does_not_change_the_result() {
    for input in cases() {
        let case = Case::read(&input);
        let mut translator = Translator::default();
        let mut resources = Resources::default();
        for document in &case.documents {
            resources.apply(&batch(std::slice::from_ref(document)));
            let anew = case.translate_anew(&resources);
            let remembered = case.translate(&resources, &mut translator);
            assert_eq!(remembered, anew, "{}", input.display());
        }
        for document in &case.documents {
            for back in [false, true] {
                let event = if back {
                    Event::Applied {
                        object: document.clone(),
                        source: None,
                    }
                } else {
                    Event::Removed(document.key())
                };
                resources.apply(&Batch {
                    events: vec![event],
                    problems: Vec::new(),
                });
                let anew = case.translate_anew(&resources);
                let remembered = case.translate(&resources, &mut translator);
                assert_eq!(remembered, anew, "{}", input.display());
            }
        }
    }
}

/// What data planes compile is never refused for what translation let through.
#[test]
fn what_is_put_in_force_compiles() {
    for input in cases() {
        let case = Case::read(&input);
        let resources = case.resources();
        let translation = case.translate_anew(&resources);
        let objects: BTreeMap<Id, IrObject> = translation
            .objects
            .iter()
            .map(|(id, object)| (id.clone(), (**object).clone()))
            .collect();
        let snapshot = ringgate_core::ir::Snapshot {
            version: Version::default(),
            objects,
        };
        let saved = ringgate_core::wire::encode_saved(&snapshot);
        let bytes = prost::Message::encode_to_vec(&saved);
        let decoded = ringgate_core::wire::saved(&bytes)
            .unwrap_or_else(|error| panic!("{}: {error}", input.display()));
        assert_eq!(decoded, snapshot, "{}", input.display());
        let compiled = ringgate_core::table::Compiler::default().replace(snapshot);
        assert!(
            compiled.problems.is_empty(),
            "{}: {:?}",
            input.display(),
            compiled.problems
        );
    }
}

/// What is decided is stored in what is generated: once that is in the cluster nothing changes any
/// more, in whatever order, and every address that was decided can be listened on.
#[test]
fn what_is_generated_stores_what_was_decided() {
    let mut checked = 0;
    for input in cases() {
        let case = Case::read(&input);
        let mut resources = case.resources();
        let before = case.generated(&resources);
        if before.objects.is_empty() {
            continue;
        }
        for (key, object) in &before.objects {
            let mut object = object.clone();
            if let Some(status) = before.statuses.get(&key.name) {
                object["status"] = status.clone();
            }
            resources.apply(&batch(&[self::object(object, &input)]));
        }
        let after = case.generated(&resources);
        assert_eq!(before.objects, after.objects, "{}", input.display());
        assert_eq!(before.statuses, after.statuses, "{}", input.display());
        for (name, claim) in case.claims(&resources) {
            if before.statuses.contains_key(&claim.service) {
                assert_eq!(claim.binds, claim.wanted, "{name}: {}", input.display());
            }
        }
        checked += 1;
    }
    assert!(checked >= 8, "only {checked} inputs generate something");
}
