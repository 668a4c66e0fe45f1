//! Hosts of every size and kind: how one is laid out must not show in what is found.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;

/// A host of this many bytes, in labels.
fn host_of(length: usize) -> String {
    let mut host: String = "a".repeat(length);
    for place in (60..length.saturating_sub(1)).step_by(61) {
        host.replace_range(place..=place, ".");
    }
    host
}

#[test]
fn long_hosts_and_paths_are_found_as_short_ones_are() {
    // Around the places that a host has for its texts, and the most that the API allows.
    for host in [1, 2, 60, 63, 64, 65, 114, 115, 116, 117, 118, 128, 252, 253].map(host_of) {
        for length in (1..120).chain([127, 128, 255, 256, 1023, 1024]) {
            let path = format!("/{}", "p".repeat(length - 1));
            let table = compile(vec![route(
                "r",
                &[&host],
                vec![vec![prefix(&path)], vec![exact("/e")]],
            )]);
            let place = format!("{} {length}", host.len());
            assert_eq!(get(&table, &host, &path), "r 0", "{place}");
            assert_eq!(get(&table, &host, "/e"), "r 1", "{place}");
            let below = format!("{}/below", path.trim_end_matches('/'));
            assert_eq!(get(&table, &host, &below), "r 0", "{place}");
            if length > 1 {
                assert_eq!(get(&table, &host, &format!("{path}p")), "none", "{place}");
                assert_eq!(get(&table, &host, &path[..length - 1]), "none", "{place}");
            }
            assert_eq!(get(&table, &format!("{host}a"), &path), "none", "{place}");
        }
    }
}

#[test]
fn a_wildcard_and_a_name_of_the_same_text_are_two_hosts() {
    let table = compile(vec![
        route("wild", &["*.a.example"], vec![vec![prefix("/")]]),
        route("exact", &["a.example"], vec![vec![prefix("/")]]),
    ]);
    assert_eq!(get(&table, "a.example", "/"), "exact 0");
    assert_eq!(get(&table, "b.a.example", "/"), "wild 0");
    assert_eq!(get(&table, "example", "/"), "none");
}

/// A match by path alone, or with a header.
#[derive(Clone, Debug)]
struct Wanted {
    is_exact: bool,
    path: &'static str,
    has_header: bool,
}

const PATHS: [&str; 9] = [
    "/",
    "/a",
    "/b",
    "/a/b",
    "/a/bc",
    "/a/b/c",
    "/ab",
    "/long/elements/of/paths",
    "/long/elements/of/others",
];

impl Wanted {
    fn any() -> impl Strategy<Value = Self> {
        let parts = (any::<bool>(), prop::sample::select(&PATHS), any::<bool>());
        parts.prop_map(|(is_exact, path, has_header)| Self {
            is_exact,
            path,
            has_header,
        })
    }

    fn as_match(&self) -> Match {
        let one = match self.is_exact {
            true => exact(self.path),
            false => prefix(self.path),
        };
        let headers = self.has_header.then(|| field("x", "1"));
        Match {
            headers: headers.into_iter().collect(),
            ..one
        }
    }

    fn takes(&self, path: &str, with_header: bool) -> bool {
        let rest = path.strip_prefix(self.path.trim_end_matches('/'));
        let takes = match self.is_exact {
            true => path == self.path,
            false => rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        };
        takes && (with_header || !self.has_header)
    }
}

proptest! {
    /// From those that stand with their host to those that have an index.
    #[test]
    fn however_many_matches_a_host_has_the_first_by_precedence_takes_a_request(
        wanted in prop::collection::vec(Wanted::any(), 1..14),
        host_length in prop::sample::select(vec![1, 20, 50, 75, 100, 117, 253]),
    ) {
        let host = host_of(host_length);
        let rules = wanted.iter().map(|one| vec![one.as_match()]).collect();
        let table = compile(vec![route("r", &[&host], rules)]);
        for (path, with_header) in PATHS.iter().flat_map(|path| [(path, false), (path, true)]) {
            let taking = wanted.iter().enumerate().filter(|(_, one)| one.takes(path, with_header));
            let first = taking.min_by_key(|(place, one)| {
                (!one.is_exact, Reverse(one.path.len()), Reverse(one.has_header), *place)
            });
            let first = first.map_or_else(|| "none".to_owned(), |(place, _)| format!("r {place}"));
            let headers = Headers(if with_header { vec![("x", "1")] } else { Vec::new() });
            prop_assert_eq!(find(&table, &host, path, "GET", headers), first, "{} {}", path, with_header);
        }
    }
}
