//! An outside judge: the crate `http_desync_guardian` classifies requests by how differently two
//! parsers may read them. Nothing that it calls severe is read by us; its own test vectors, which
//! come with its source, are among what is asked.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use http_desync_guardian::RequestSafetyTier::{self, Severe};
use http_desync_guardian::request_analyzer::HttpRequestData;
use proptest::prelude::*;
use ringgate_core::http1::{Limits, Parse, RequestHead, parse_request};
use saphyr_parser::{Event, Parser};

use crate::properties::{REQUESTS, spoiled};

/// The length of the head, if we read it.
fn accepted(buf: &[u8]) -> Option<usize> {
    let mut head = RequestHead::default();
    let result = parse_request(buf, &Limits::default(), &mut head);
    (result == Ok(Parse::Complete)).then_some(head.len)
}

fn tier(head: &[u8]) -> RequestSafetyTier {
    HttpRequestData::analyze_raw_request(head).tier
}

#[derive(Debug, Default)]
struct Vector {
    name: String,
    method: String,
    uri: String,
    version: String,
    headers: Vec<(String, String)>,
    tier: String,
}

impl Vector {
    /// Each character stands for one byte. The vectors have no `Host`, without which we read nothing.
    fn request(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.method, self.uri, self.version);
        if !self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            text += "Host: a\r\n";
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        text.chars()
            .map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?'))
            .collect()
    }
}

/// A path of keys to each scalar, as far as these files go: a list of mappings, one of them with a list
/// of mappings in it.
fn read_vectors(yaml: &str) -> Vec<Vector> {
    let mut vectors: Vec<Vector> = Vec::new();
    let (mut depth, mut key, mut parent) = (0, None::<String>, String::new());
    for event in Parser::new_from_str(yaml) {
        match event.expect("the crate's vectors are YAML").0 {
            Event::MappingStart(..) => {
                depth += 1;
                match depth {
                    1 => vectors.push(Vector::default()),
                    _ => parent = key.take().unwrap_or(parent),
                }
                if parent == "headers" && depth == 2 {
                    vectors.last_mut().unwrap().headers.push(Default::default());
                }
            }
            Event::MappingEnd => depth -= 1,
            Event::SequenceStart(..) => parent = key.take().unwrap_or_default(),
            Event::SequenceEnd => parent.clear(),
            Event::Scalar(text, ..) if parent == "required_message_items" => drop(text),
            Event::Scalar(text, ..) => match key.take() {
                None => key = Some(text.into_owned()),
                Some(name) => {
                    let vector = vectors.last_mut().unwrap();
                    match (depth, parent.as_str(), name.as_str()) {
                        (1, _, "name") => vector.name = text.into_owned(),
                        (1, _, "method") => vector.method = text.into_owned(),
                        (1, _, "uri") => vector.uri = text.into_owned(),
                        (1, _, "version") => vector.version = text.into_owned(),
                        (2, "expected", "tier") => vector.tier = text.into_owned(),
                        (2, "headers", "name") => {
                            vector.headers.last_mut().unwrap().0 = text.into_owned()
                        }
                        (2, "headers", "value") => {
                            vector.headers.last_mut().unwrap().1 = text.into_owned()
                        }
                        _ => {}
                    }
                }
            },
            _ => {}
        }
    }
    vectors
}

/// What was not needed for this platform is perhaps not on this machine.
fn host_platform() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap()
        .to_owned()
}

/// Cargo knows where the crate's source lies.
fn vectors() -> Vec<Vector> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--filter-platform",
            &host_platform(),
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let guardian = packages
        .iter()
        .find(|package| package["name"] == "http_desync_guardian")
        .unwrap();
    let manifest = PathBuf::from(guardian["manifest_path"].as_str().unwrap());
    let files = fs::read_dir(manifest.with_file_name("tests")).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    paths.sort();
    paths
        .iter()
        .flat_map(|path| read_vectors(&fs::read_to_string(path).unwrap()))
        .collect()
}

/// Good by the crate's word, refused by us on purpose: `#` in a target, no target at all, and any
/// transfer coding but chunked alone.
const STRICTER: [&str; 9] = [
    "Compliant URL",
    "Correct TE OK",
    "Different Transfer-Encoding headers",
    "Different Transfer-Encoding headers combined",
    "Empty URI",
    "Multiple transfer encoding headers in a single request OK",
    "TE with custom parameters OK",
    "Transfer-Encoding with a param: chunked;custom_param",
    "Transfer-Encoding: identity and chunked OK",
];

/// Called ambiguous for what some servers do with them; RFC 9110, section 9.3.1, lets a GET have a
/// body, search engines rely on it, and its length is as clear as any other's.
const BODIES_WITH_GET_OR_HEAD: [&str; 6] = [
    "Get with a body and Content-Length",
    "Get with a body and Transfer-Encoding",
    "Has a CL in GET",
    "Has a TE in GET",
    "Head with a body and Content-Length",
    "Head with a body and Transfer-Encoding",
];

/// The names of those vectors that both judgements hold for, in order.
fn names<'v>(vectors: &'v [Vector], tier: &str, is_read: bool) -> Vec<&'v str> {
    let same_tier = vectors.iter().filter(|vector| vector.tier == tier);
    let same = same_tier.filter(|vector| accepted(&vector.request()).is_some() == is_read);
    let mut names: Vec<_> = same.map(|vector| vector.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn of_its_own_vectors_no_severe_one_is_read_and_few_good_ones_are_refused() {
    let vectors = vectors();
    assert_eq!(names(&vectors, "Severe", true), [""; 0]);
    assert_eq!(names(&vectors, "Ambiguous", true), BODIES_WITH_GET_OR_HEAD);
    assert_eq!(names(&vectors, "Compliant", false), STRICTER);
    let counts = ["Severe", "Ambiguous", "Compliant"]
        .map(|tier| names(&vectors, tier, tier == "Compliant").len());
    assert!(
        counts[0] >= 40 && counts[1] >= 40 && counts[2] >= 15,
        "vectors were lost: {counts:?}"
    );
    for vector in &vectors {
        let request = vector.request();
        assert!(
            tier(&request) < Severe || accepted(&request).is_none(),
            "{}",
            vector.name
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn nothing_severe_is_read(buf in spoiled(&REQUESTS)) {
        if let Some(len) = accepted(&buf) {
            prop_assert_ne!(tier(&buf[..len]), Severe, "{}", buf.escape_ascii());
        }
    }
}
