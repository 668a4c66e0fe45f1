//! What may be named where: the runtime in two folders, `unsafe` in one. Kept here, for no lint says it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every line of code below `src`, with its place; comments are left out.
fn lines() -> Vec<(PathBuf, usize, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut lines = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let place = path.strip_prefix(&root).unwrap();
            for (number, line) in text.lines().enumerate() {
                if !line.trim_start().starts_with("//") {
                    lines.push((place.to_owned(), number + 1, line.to_owned()));
                }
            }
        }
    }
    lines
}

/// Fails where `word` stands outside of `rooms`, and where it stands in none of them: then the rule is
/// about nothing.
fn only_in(word: &str, rooms: &[&str]) {
    let (inside, outside): (Vec<_>, Vec<_>) = lines()
        .into_iter()
        .filter(|(_, _, line)| line.contains(word))
        .partition(|(place, _, _)| rooms.iter().any(|room| place.starts_with(room)));
    assert!(!inside.is_empty(), "{word} is nowhere in {rooms:?}");
    assert!(
        outside.is_empty(),
        "{word} belongs in {rooms:?}: {outside:?}"
    );
}

#[test]
fn the_runtime_is_named_in_sys_and_shard_only() {
    only_in("monoio", &["sys", "shard"]);
}

#[test]
fn unsafe_stands_in_sys_only() {
    only_in("unsafe {", &["sys"]);
    only_in("unsafe_code", &["sys"]);
}
