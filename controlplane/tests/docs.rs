//! What pages promise: their links lead somewhere, and the reference knows every flag.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use ringgate_controlplane::cli::Cli;

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap().canonicalize().unwrap()
}

/// Every page of the repository, but for what was built or installed.
fn pages() -> Vec<PathBuf> {
    let mut folders = vec![repository()];
    let mut pages = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|one| one == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// A page's text without code blocks, where brackets mean other things.
fn prose(text: &str) -> String {
    let parts = text.split("```").step_by(2);
    parts.collect()
}

/// The targets of `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let behind = prose.split("](").skip(1);
    let targets = behind.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.map(str::to_owned).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept = text
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn no_link_is_dead() {
    let mut dead = Vec::new();
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link.as_str(), ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let is_there = target.exists()
                && (anchor.is_empty()
                    || anchors(&fs::read_to_string(&target).unwrap()).contains(anchor));
            if !is_there {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(count > 20, "only {count} links were found");
    assert!(dead.is_empty(), "{dead:#?}");
}

/// What a command and its verbs can be told.
fn told(command: &Command, words: &mut BTreeSet<String>) {
    let shown = command.get_arguments().filter(|one| !one.is_hide_set());
    for argument in shown.filter(|one| !["help", "version"].contains(&one.get_id().as_str())) {
        words.extend(argument.get_long().map(|long| format!("--{long}")));
        let variable = argument.get_env().and_then(|one| one.to_str());
        words.extend(variable.map(str::to_owned));
    }
    for verb in command
        .get_subcommands()
        .filter(|one| one.get_name() != "help")
    {
        words.insert(verb.get_name().to_owned());
        told(verb, words);
    }
}

#[test]
fn the_reference_names_every_verb_flag_and_variable() {
    let page = fs::read_to_string(repository().join("docs/reference/cli.md")).unwrap();
    let mut words = BTreeSet::new();
    told(&Cli::command(), &mut words);
    assert!(words.contains("--echo") && words.contains("dump"));
    let missing: Vec<_> = words.iter().filter(|word| !page.contains(*word)).collect();
    assert!(
        missing.is_empty(),
        "not in docs/reference/cli.md: {missing:?}"
    );
}
