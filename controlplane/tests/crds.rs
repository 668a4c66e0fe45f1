//! The CRDs of our own kinds and the types that read them say the same: each field, each bound.
//!
//! Walks the schemas in `deploy/kubernetes/crds` and asks the validator of files about samples made of
//! them. `deploy/kubernetes/check` asks a real API server about the same files.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on shall stop"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ringgate_controlplane::problem::Problem;
use ringgate_controlplane::watch::file::{Content, Folder, Scan};
use serde_json::{Map, Value, json};

/// A kind, and the schema of its `spec`.
struct Crd {
    kind: String,
    spec: Value,
}

fn crds() -> Vec<Crd> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes/crds");
    let entries = fs::read_dir(folder).unwrap();
    let mut crds: Vec<Crd> = entries.map(|entry| crd(&entry.unwrap().path())).collect();
    crds.sort_by(|one, other| one.kind.cmp(&other.kind));
    crds
}

fn crd(path: &Path) -> Crd {
    let text = fs::read_to_string(path).unwrap();
    let crd: Value = serde_saphyr::from_str(&text).unwrap();
    let version = &crd["spec"]["versions"][0];
    assert_eq!(version["name"], "v1alpha1", "{}", path.display());
    Crd {
        kind: crd["spec"]["names"]["kind"].as_str().unwrap().to_owned(),
        spec: version["schema"]["openAPIV3Schema"]["properties"]["spec"].clone(),
    }
}

impl Crd {
    /// What is wrong with an object that has this `spec`.
    fn problems(&self, spec: &Value) -> Vec<Problem> {
        let object = json!({
            "apiVersion": "ringgate.io/v1alpha1",
            "kind": self.kind,
            "metadata": {"name": "sample"},
            "spec": spec,
        });
        let files = BTreeMap::from([("a.yaml".into(), Content::Text(object.to_string()))]);
        let scan = Scan {
            files,
            ..Scan::default()
        };
        Folder::default().update(scan).batch.problems
    }

    fn taken(&self, spec: &Value) {
        let problems = self.problems(spec);
        assert!(problems.is_empty(), "{} {spec}: {problems:#?}", self.kind);
    }

    fn refused(&self, spec: &Value, why: &str) {
        let problems = self.problems(spec);
        assert!(!problems.is_empty(), "{}, {why}: {spec}", self.kind);
    }
}

/// Fields of which an object has one at most: the first is in a sample unless it is left out there.
const ONE_OF: [&str; 2] = ["http", "grpc"];

/// With every field that can be there beside the others: one sample for each of [`ONE_OF`].
fn wholes(schema: &Value) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for wanted in ONE_OF {
        let others = ONE_OF.into_iter().filter(|one| *one != wanted);
        let mut schema = schema.clone();
        others.for_each(|other| forget(&mut schema, other));
        let whole = sample(&schema, true);
        if !all.contains(&whole) {
            all.push(whole);
        }
    }
    all
}

/// Leaves a field out of every object of a schema that has another one of [`ONE_OF`].
fn forget(schema: &mut Value, field: &str) {
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    if let Some(fields) = fields {
        if ONE_OF.iter().all(|one| fields.contains_key(*one)) {
            fields.remove(field);
        }
        fields.values_mut().for_each(|one| forget(one, field));
    }
}

/// A value with every field, or with those alone that must be there.
fn sample(schema: &Value, whole: bool) -> Value {
    if let Some(example) = schema.get("example") {
        return example.clone();
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let fields = schema["properties"].as_object().unwrap().iter();
            let fields = fields.filter(|(name, _)| whole || is_required(schema, name));
            let fields = fields.map(|(name, schema)| (name.clone(), sample(schema, whole)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Some("array") => json!([sample(&schema["items"], whole)]),
        other => panic!("no example for {other:?} in {schema}"),
    }
}

fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema["required"].as_array();
    required.is_some_and(|all| all.iter().any(|one| one == name))
}

/// Every schema below, with its JSON pointer in the sample.
fn below(schema: &Value, at: String, all: &mut Vec<(String, Value)>) {
    if let Some(fields) = schema["properties"].as_object() {
        for (name, field) in fields {
            below(field, format!("{at}/{name}"), all);
        }
    }
    if let Some(items) = schema.get("items") {
        below(items, format!("{at}/0"), all);
    }
    all.push((at, schema.clone()));
}

fn with(spec: &Value, at: &str, value: Value) -> Value {
    let mut spec = spec.clone();
    *spec.pointer_mut(at).unwrap() = value;
    spec
}

fn without(spec: &Value, at: &str) -> Value {
    let mut spec = spec.clone();
    let (parent, name) = at.rsplit_once('/').unwrap();
    let parent = spec.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    parent.remove(name).unwrap();
    spec
}

/// No pattern lets it pass.
const NO_TEXT: &str = " \u{7f}";

#[test]
fn every_field_of_a_crd_is_read_and_what_may_be_left_out_may_be() {
    let crds = crds();
    assert_eq!(crds.len(), 4);
    for (crd, whole) in samples(&crds) {
        crd.taken(&whole);
        crd.taken(&sample(&crd.spec, false));
        for (at, schema) in parts(crd, &whole) {
            for name in schema["properties"]
                .as_object()
                .into_iter()
                .flat_map(Map::keys)
                .filter(|name| whole.pointer(&format!("{at}/{name}")).is_some())
            {
                let less = without(&whole, &format!("{at}/{name}"));
                match is_required(&schema, name) {
                    true => crd.refused(&less, "a field is missing"),
                    false => crd.taken(&less),
                }
            }
        }
    }
}

/// Each with every whole sample of it.
fn samples(crds: &[Crd]) -> impl Iterator<Item = (&Crd, Value)> {
    crds.iter()
        .flat_map(|crd| wholes(&crd.spec).into_iter().map(move |whole| (crd, whole)))
}

/// Every schema of what is in the sample.
fn parts(crd: &Crd, whole: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    below(&crd.spec, String::new(), &mut all);
    all.retain(|(at, _)| whole.pointer(at).is_some());
    all
}

/// The validator names the fields that it knows when it meets one that it doesn't.
#[test]
fn a_crd_has_every_field_that_is_read() {
    // Too long to be a slip of the pen for any of them.
    let stranger = "x".repeat(80);
    for (crd, whole) in samples(&crds()) {
        for (at, schema) in parts(crd, &whole) {
            let Some(fields) = schema["properties"].as_object() else {
                continue;
            };
            let mut spec = whole.clone();
            let object = spec.pointer_mut(&at).unwrap().as_object_mut().unwrap();
            object.insert(stranger.clone(), json!(1));
            let problems = crd.problems(&spec);
            let [problem] = problems.as_slice() else {
                panic!("{} {at}: {problems:#?}", crd.kind);
            };
            let remedy = problem.remedy.as_deref().unwrap();
            let (_, known) = remedy.split_once("the fields here are ").unwrap();
            let known: BTreeSet<&str> = known.split(", ").collect();
            let fields: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
            assert_eq!(fields, known, "{} {at}", crd.kind);
        }
    }
}

#[test]
fn every_bound_of_a_crd_is_one_of_its_type() {
    let mut count = 0;
    for (crd, whole) in samples(&crds()) {
        for (at, schema) in parts(crd, &whole) {
            let cases = at_the_bounds(&schema, &sample(&schema, true));
            count += cases.len();
            for (value, fits) in cases {
                let spec = with(&whole, &at, value);
                match fits {
                    true => crd.taken(&spec),
                    false => crd.refused(&spec, &at),
                }
            }
        }
    }
    assert!(count > 60, "only {count} cases");
}

/// Values at the schema's bounds and beyond them, and whether they fit.
fn at_the_bounds(schema: &Value, example: &Value) -> Vec<(Value, bool)> {
    let mut cases = Vec::new();
    let number = |name: &str| schema[name].as_i64();
    let length = |name: &str| {
        schema[name]
            .as_u64()
            .map(|one| usize::try_from(one).unwrap())
    };
    // Where a rule says more than these bounds, they aren't the only ones.
    let alone = schema.get("x-kubernetes-validations").is_none();
    if schema["type"] == "integer" {
        cases.extend(number("minimum").map(|one| (json!(one), true)));
        cases.extend(number("maximum").map(|one| (json!(one), true)));
    }
    cases.extend(number("minimum").map(|one| (json!(one - 1), false)));
    cases.extend(number("maximum").map(|one| (json!(one + 1), false)));
    if let Some(values) = schema["enum"].as_array() {
        cases.extend(values.iter().map(|one| (one.clone(), true)));
        cases.push((json!("Unheard"), false));
    }
    if schema.get("pattern").is_some() {
        cases.push((json!(NO_TEXT), false));
    }
    if schema["type"] == "string" {
        // Where a length is bounded, letters are allowed, behind the slash of a path.
        let is_path = example.as_str().is_some_and(|text| text.starts_with('/'));
        let first = if is_path { "/" } else { "" };
        let long = |length: usize| json!(format!("{first:a<length$}"));
        let bound = length("maxLength").filter(|_| alone && schema.get("enum").is_none());
        cases.extend(bound.map(|one| (long(one), true)));
        cases.extend(bound.map(|one| (long(one + 1), false)));
        let least = length("minLength").filter(|one| *one > 0);
        cases.extend(least.map(|_| (json!(""), false)));
    }
    if let (Some(items), true) = (example.as_array(), alone) {
        let many = |count: usize| Value::Array(items.iter().cycle().take(count).cloned().collect());
        cases.extend(length("maxItems").map(|one| (many(one), true)));
        cases.extend(length("maxItems").map(|one| (many(one + 1), false)));
    }
    cases.extend(length("minItems").map(|_| (json!([]), false)));
    cases
}

#[test]
fn sizes_are_those_of_kubernetes() {
    let crds = crds();
    let crd = crds
        .iter()
        .find(|one| one.kind == "ListenerPolicy")
        .unwrap();
    let whole = wholes(&crd.spec).remove(0);
    for (field, value, fits) in [
        ("requestLine", json!("1Mi"), true),
        ("requestLine", json!(1_048_576), true),
        ("requestLine", json!(1_048_577), false),
        ("requestLine", json!("0"), false),
        ("headers", json!("1"), true),
        ("headers", json!("1M"), true),
        ("headers", json!("2Mi"), false),
        ("body", json!("9999999999Gi"), true),
        ("body", json!("9999999999999999999"), true),
        ("body", json!("1Ti"), false),
        ("body", json!("1.5Mi"), false),
    ] {
        let spec = with(&whole, &format!("/limits/{field}"), value);
        match fits {
            true => crd.taken(&spec),
            false => crd.refused(&spec, field),
        }
    }
}

/// Values of fields in a sample that has all else, and whether they fit.
fn has_form(kind: &str, rows: &[(&str, &str, bool)]) {
    let crds = crds();
    let crd = crds.iter().find(|one| one.kind == kind).unwrap();
    for (field, value, fits) in rows {
        let spec = with(&wholes(&crd.spec)[0], field, json!(value));
        match fits {
            true => crd.taken(&spec),
            false => crd.refused(&spec, field),
        }
    }
}

#[test]
fn forms_are_those_of_the_rules_in_a_crd() {
    has_form(
        "AddressPool",
        &[
            ("/addresses/0", "192.0.2.20-192.0.2.10", true),
            ("/addresses/0", "192.0.2.1-2001:db8::1", false),
            ("/addresses/0", "192.0.2.1/24", false),
        ],
    );
    has_form(
        "GatewayParameters",
        &[
            ("/loadBalancerClass", "", true),
            ("/loadBalancerClass", "internal", true),
            ("/loadBalancerClass", "example.com/lb", true),
            ("/loadBalancerClass", "example.com/l b", false),
            ("/loadBalancerClass", "a/b/c", false),
        ],
    );
}

#[test]
fn forms_of_checks_are_those_of_the_rules_in_a_crd() {
    has_form(
        "BackendPolicy",
        &[
            ("/healthCheck/interval", "100ms", true),
            ("/healthCheck/interval", "99ms", false),
            ("/healthCheck/interval", "1h", true),
            ("/healthCheck/interval", "1h1ms", false),
            ("/healthCheck/timeout", "9ms", false),
            ("/healthCheck/timeout", "61s", false),
            ("/healthCheck/http/path", "healthz", false),
            ("/healthCheck/http/path", "/a b", false),
            ("/healthCheck/http/path", "/a#b", false),
            ("/healthCheck/http/path", "/a?b=c", true),
            ("/healthCheck/http/statuses/0", "204", true),
            ("/healthCheck/http/statuses/0", "299-200", false),
            ("/healthCheck/http/statuses/0", "2xx", false),
            ("/outlierDetection/baseEjection", "2m", true),
            ("/outlierDetection/baseEjection", "3m", false),
            ("/outlierDetection/baseEjection", "999ms", false),
            ("/outlierDetection/maxEjection", "9s", false),
            ("/outlierDetection/maxEjection", "25h", false),
        ],
    );
}
