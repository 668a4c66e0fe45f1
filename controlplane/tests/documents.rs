//! Any text at all: reading it never panics and ends in time, and what is YAML is read as such.
//!
//! `corpus/yaml` keeps inputs that are awkward by design, and any that ever made trouble.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on shall stop"
)]

use std::collections::BTreeMap;
use std::path::Path;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use ringgate_controlplane::problem::{Problem, Severity};
use ringgate_controlplane::watch::Event;
use ringgate_controlplane::watch::file::{Content, Folder, Scan, Update};
use ringgate_controlplane::yaml::{FieldPath, Reading, decode, parse, split};
use serde_json::{Map, Value};

fn read(text: &str) -> Update {
    let files = BTreeMap::from([("a.yaml".into(), Content::Text(text.to_owned()))]);
    let scan = Scan {
        files,
        ..Scan::default()
    };
    Folder::default().update(scan)
}

/// What holds for every text.
fn check(text: &str) {
    let update = read(text);
    let breaks = text.matches(['\n', '\r']).count() - text.matches("\r\n").count();
    let lines = breaks as u32 + 1;
    for problem in &update.batch.problems {
        let position = problem
            .place
            .as_ref()
            .and_then(|place| place.position)
            .expect("a position");
        assert!(
            (1..=lines).contains(&position.line),
            "{problem} of {lines} lines"
        );
        assert!(position.column >= 1, "{problem}");
        assert!(!problem.message.is_empty());
        assert!(
            problem.severity == Severity::Note || problem.remedy.is_some(),
            "{problem}"
        );
    }
    for event in &update.batch.events {
        let Event::Applied {
            object,
            source: Some(_),
        } = event
        else {
            panic!("{event:?}");
        };
        let wrong = |one: &Problem| {
            one.severity == Severity::Error
                && one.object == Some(object.key())
                && !one.message.starts_with("is there already")
        };
        assert!(
            !update.batch.problems.iter().any(wrong),
            "an object with errors is not taken: {object:?}"
        );
    }
}

fn corpus() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/yaml");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            (
                path.display().to_string(),
                String::from_utf8_lossy(&bytes).into_owned(),
            )
        })
        .collect();
    files.sort();
    files
}

const WHOLE: &str = include_str!("corpus/whole.yaml");

#[test]
fn the_corpus_is_read_without_harm() {
    let files = corpus();
    assert!(files.len() > 20);
    for (name, text) in files {
        println!("{name}");
        check(&text);
    }
}

#[test]
fn every_prefix_of_a_document_is_read_without_harm() {
    for document in split(WHOLE) {
        let ends = 0..=document.text.len();
        for end in ends.filter(|end| document.text.is_char_boundary(*end)) {
            check(&document.text[..end]);
        }
    }
}

#[test]
fn the_whole_example_has_no_problem() {
    let update = read(WHOLE);
    assert_eq!(update.batch.problems, []);
    assert_eq!(update.batch.events.len(), 11, "one object of each kind");
}

/// Pieces that YAML gives a meaning, in any order.
fn yaml_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[ \n]{1,3}",
        1 => "[-:?,\\[\\]{}#&*!|>'\"%@`~\t\r]",
        1 => prop::sample::select(vec!["---", "...", "\n---\n", "&a ", "*a", "<<: ", ": ", "- ", "? ", "!!str ", "|\n", ">-\n", "\u{feff}", "\u{85}", "\\x", "null", "0x"]).prop_map(String::from),
        2 => prop::sample::select(vec!["apiVersion: v1\n", "kind: Service\n", "kind: List\n", "kind: HTTPRoute\n", "apiVersion: gateway.networking.k8s.io/v1\n", "metadata: ", "name: a\n", "spec:\n", "  rules:\n", "items:\n"]).prop_map(String::from),
        1 => "[a-z0-9é]{1,4}",
    ];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// The whole example with some of its bytes exchanged, left out or doubled.
fn damaged() -> impl Strategy<Value = String> {
    let edit = (0..WHOLE.len(), 0..4_u8, any::<u8>());
    vec(edit, 1..12).prop_map(|edits| {
        let mut bytes = WHOLE.as_bytes().to_vec();
        for (at, sort, byte) in edits {
            let at = at.min(bytes.len() - 1);
            match sort {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, byte),
                _ => {
                    let end = (at + usize::from(byte)).min(bytes.len());
                    bytes.drain(at..end);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "yes",
            "1",
            "0x1f",
            "~",
            "",
            "null",
            "<<",
            "a: b",
            "- a",
            "---",
            "\n",
            "\t",
            "é\u{1F600}"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map("[a-z./ é\"\\]\\[]{0,6}", inner, 0..6)
                .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A few per run of the tests; `PROPTEST_CASES=100000` makes a fuzzer of it.
fn cases() -> u32 {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    wanted.and_then(|number| number.parse().ok()).unwrap_or(200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn no_text_does_harm(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn no_text_that_looks_like_yaml_does_harm(text in yaml_like()) {
        check(&text);
    }

    #[test]
    fn no_damage_to_good_files_does_harm(text in damaged()) {
        check(&text);
    }

    #[test]
    fn documents_are_cut_at_lines_and_nothing_is_lost(text in yaml_like()) {
        let mut rest = text.trim_start_matches('\u{feff}');
        for chunk in split(&text) {
            let at = rest.find(chunk.text).expect("a piece of the text, in order");
            prop_assert!(rest[..at].lines().all(|line| {
                let line = line.trim_start_matches("---").trim();
                line.is_empty() || line.starts_with(['#', '%', '.'])
            }), "lost {:?} of {:?}", &rest[..at], text);
            rest = &rest[at + chunk.text.len()..];
        }
    }

    #[test]
    fn json_is_read_as_itself(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let parsed = parse(&text.unwrap());
        prop_assert_eq!(&parsed.findings, &[]);
        let decoded = decode::<Value>(&parsed.root.expect("a document"), Reading::default());
        prop_assert_eq!(&decoded.findings, &[]);
        prop_assert_eq!(decoded.value, Some(value));
    }

    #[test]
    fn every_field_is_found_again_by_its_printed_path(value in json()) {
        let parsed = parse(&serde_json::to_string(&value).unwrap());
        let root = parsed.root.expect("a document");
        if let Value::Object(map) = &value {
            for (key, inner) in map {
                let outer = FieldPath::Root;
                let path = outer.field(key);
                if !inner.is_object() && !inner.is_array() {
                    let node = root.get(key).expect("the field");
                    prop_assert_eq!(root.find(&path.to_string()), node.position, "{}", path);
                }
            }
        }
    }
}
