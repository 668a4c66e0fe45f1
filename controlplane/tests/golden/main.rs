//! Golden pairs: `testdata/<topic>/<sentence>.in.yaml` is translated and compared with `.out.yaml`.
//!
//! `RINGGATE_BLESS=1 cargo test -p ringgate-controlplane --test golden` writes the outputs anew: read
//! the difference before it is committed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on shall stop"
)]

mod document;
mod output;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use document::{batch, object};
use output::Output;
use ringgate_controlplane::api::Object;
use ringgate_controlplane::provision::memory::Memory;
use ringgate_controlplane::provision::pool::AddressRange;
use ringgate_controlplane::provision::service::{self, Generated};
use ringgate_controlplane::provision::{Provided, provide};
use ringgate_controlplane::store::Resources;
use ringgate_controlplane::translate::{Inputs, Options, ResolvedNames, Translation, Translator};
use ringgate_controlplane::watch::{Batch, Event};
use ringgate_core::ir::{Id, Object as IrObject, Version};
use serde::Deserialize;
use serde_json::Value;

/// A golden pair's input.
struct Case {
    documents: Vec<Object>,
    options: Options,
    names: ResolvedNames,
    memory: Memory,
}

/// `kind: Options` in an input: the command line, whether the objects are a cluster's, what names
/// resolve to, and what control planes of files remember.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OptionsDocument {
    gateway_classes: Vec<Arc<str>>,
    echo: bool,
    cluster: bool,
    pools: Vec<AddressRange>,
    data_planes: Vec<std::net::IpAddr>,
    default_load_balancer: bool,
    memory: Option<Value>,
    names: BTreeMap<Arc<str>, Vec<std::net::IpAddr>>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut case = Self {
            documents: Vec::new(),
            options: Options::default(),
            names: ResolvedNames::new(),
            memory: Memory::default(),
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
                case.options.provision.is_default = options.default_load_balancer;
                if let Some(memory) = options.memory {
                    case.memory = Memory::parse(&memory.to_string()).unwrap();
                }
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

    fn provided(&self, resources: &Resources) -> Provided {
        provide(resources, &self.options, &self.memory)
    }

    fn translate(&self, resources: &Resources, translator: &mut Translator) -> Translation {
        translator.translate(&Inputs {
            resources,
            names: &self.names,
            provided: &self.provided(resources),
            options: &self.options,
        })
    }

    fn translate_anew(&self, resources: &Resources) -> Translation {
        self.translate(resources, &mut Translator::default())
    }

    fn generated(&self, resources: &Resources) -> Generated {
        if !self.options.cluster {
            return Generated::default();
        }
        let ports = service::ports(&self.translate_anew(resources).verdicts);
        let settings = &self.options.provision;
        service::generate(resources, &self.provided(resources), &ports, settings)
    }

    fn output(&self, resources: &Resources) -> String {
        let translation = self.translate_anew(resources);
        Output::of(&translation, &self.generated(resources)).to_yaml()
    }
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
        for (name, claim) in case.provided(&resources).claims {
            if before.statuses.contains_key(&claim.service) {
                assert_eq!(claim.binds, claim.wanted, "{name}: {}", input.display());
            }
        }
        checked += 1;
    }
    assert!(checked >= 8, "only {checked} inputs generate something");
}
