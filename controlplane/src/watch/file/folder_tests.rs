//! Scans to events and problems: what is last good, what is removed, what is told once.

use super::*;
use crate::api::ObjectKind;

const PARENT: &str = "kind: HTTPRoute\napiVersion: gateway.networking.k8s.io/v1\n";

fn route(name: &str, path: &str) -> String {
    format!(
        "---\n{PARENT}metadata: {{name: {name}}}\nspec: {{rules: [{{matches: [{{path: {{value: {path}}}}}]}}]}}\n"
    )
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(ObjectKind::HttpRoute, "default", name)
}

fn scan(files: &[(&str, &str)]) -> Scan {
    let text = |text: &str| Content::Text(text.to_owned());
    Scan {
        files: files
            .iter()
            .map(|(path, content)| (path.into(), text(content)))
            .collect(),
        ..Scan::default()
    }
}

/// A folder, and the routes in force by name with their path, as its batches say.
#[derive(Default)]
struct Seen {
    folder: Folder,
    routes: BTreeMap<String, String>,
}

impl Seen {
    fn after(files: &[(&str, &str)]) -> Self {
        let mut seen = Self::default();
        seen.files(files);
        seen
    }

    fn files(&mut self, files: &[(&str, &str)]) -> Update {
        self.take(scan(files))
    }

    fn take(&mut self, scan: Scan) -> Update {
        let update = self.folder.update(scan);
        for event in &update.batch.events {
            match event {
                Event::Applied {
                    object: Object::HttpRoute(route),
                    ..
                } => {
                    let path = route.spec.rules[0].matches[0].path.value.to_string();
                    self.routes.insert(route.metadata.name.to_string(), path);
                }
                Event::Applied { object, .. } => panic!("unexpected {object:?}"),
                Event::Misread(key, _) => panic!("files are read with places: {key}"),
                Event::Removed(key) => {
                    self.routes
                        .remove(&*key.name.name)
                        .expect("what is removed was there");
                }
            }
        }
        update
    }

    fn routes(&self) -> Vec<(&str, &str)> {
        self.routes
            .iter()
            .map(|(name, path)| (name.as_str(), path.as_str()))
            .collect()
    }
}

#[test]
fn documents_and_files_come_change_and_go() {
    let mut seen = Seen::after(&[
        ("a.yaml", &(route("one", "/1") + &route("two", "/2"))),
        ("b.yaml", &route("three", "/3")),
    ]);
    assert_eq!(
        seen.routes(),
        [("one", "/1"), ("three", "/3"), ("two", "/2")]
    );
    let update = seen.files(&[
        ("a.yaml", &(route("one", "/1") + &route("two", "/two"))),
        ("b.yaml", &route("three", "/3")),
    ]);
    assert_eq!(update.batch.events.len(), 1, "only what changed is told");
    assert_eq!(
        seen.routes(),
        [("one", "/1"), ("three", "/3"), ("two", "/two")]
    );
    seen.files(&[("a.yaml", &route("two", "/two"))]);
    assert_eq!(seen.routes(), [("two", "/two")]);
}

#[test]
fn a_document_that_does_not_fit_keeps_its_last_good_version() {
    let good = route("one", "/1") + &route("two", "/2");
    let mut seen = Seen::after(&[("a.yaml", &good)]);
    let update = seen.files(&[("a.yaml", &(route("one", "hello") + &route("two", "/new")))]);
    assert_eq!(seen.routes(), [("one", "/1"), ("two", "/new")]);
    assert_eq!(update.held, BTreeSet::from([key("one")]));
    assert_eq!(update.appeared.len(), 1);
    assert!(update.appeared[0].to_string().starts_with(
        "a.yaml:5:42: error: HTTPRoute default/one: spec.rules[0].matches[0].path.value: must start with \"/\", is \"hello\""
    ), "{}", update.appeared[0]);
    let update = seen.files(&[(
        "a.yaml",
        &(route("one", "/repaired") + &route("two", "/new")),
    )]);
    assert_eq!(seen.routes(), [("one", "/repaired"), ("two", "/new")]);
    assert_eq!(
        (
            update.appeared.len(),
            update.mended.len(),
            update.held.len()
        ),
        (0, 1, 0)
    );
}

#[test]
fn a_document_that_is_no_yaml_keeps_what_its_file_lacks() {
    let mut seen = Seen::after(&[
        ("a.yaml", &(route("one", "/1") + &route("two", "/2"))),
        ("b.yaml", &route("three", "/3")),
    ]);
    let broken = format!(
        "---\n{PARENT}metadata: {{name: one\n{}",
        route("two", "/new")
    );
    let update = seen.files(&[("a.yaml", &broken)]);
    assert_eq!(
        seen.routes(),
        [("one", "/1"), ("two", "/new")],
        "b.yaml is removed, one stays"
    );
    assert_eq!(update.held, BTreeSet::from([key("one")]));
    seen.files(&[("a.yaml", &broken)]);
    assert_eq!(seen.routes(), [("one", "/1"), ("two", "/new")]);
    seen.files(&[("a.yaml", &route("two", "/new"))]);
    assert_eq!(
        seen.routes(),
        [("two", "/new")],
        "removed once nothing can be it"
    );
}

#[test]
fn a_slip_in_kind_or_name_keeps_the_object_too() {
    for slip in [
        ("kind: HTTPRoute", "kind: HTTPRout"),
        ("{name: one}", "{nmae: one}"),
        ("apiVersion", "apiVersio"),
    ] {
        let good = route("one", "/1");
        let mut seen = Seen::after(&[("a.yaml", &good)]);
        seen.files(&[("a.yaml", &good.replace(slip.0, slip.1))]);
        assert_eq!(seen.routes(), [("one", "/1")], "{slip:?}");
    }
}

#[test]
fn what_was_broken_before_or_is_not_for_us_keeps_nothing() {
    let later = "---\nkind: XBackend\napiVersion: gateway.networking.x-k8s.io/v1alpha1\nmetadata: {name: g}\n";
    for other in [
        "---\n{not yaml\n",
        later,
        "---\nkind: Deployment\napiVersion: apps/v1\n",
    ] {
        let mut seen = Seen::after(&[("a.yaml", &(route("one", "/1") + other))]);
        assert_eq!(seen.routes(), [("one", "/1")], "{other}");
        seen.files(&[("a.yaml", other)]);
        assert_eq!(seen.routes(), [], "{other}");
    }
}

#[test]
fn a_key_that_is_written_twice_in_a_mapping_is_not_taken() {
    let mut seen = Seen::after(&[("a.yaml", &route("one", "/1"))]);
    let twice = route("one", "/2") + "spec: {}\n";
    let update = seen.files(&[("a.yaml", &twice)]);
    assert_eq!(seen.routes(), [("one", "/1")]);
    assert!(update.appeared[0].message.contains("`spec` is there twice"));
}

#[test]
fn of_an_object_written_twice_the_first_stays() {
    let mut seen = Seen::after(&[
        ("b.yaml", &route("one", "/b")),
        ("a.yaml", &(route("x", "/x") + &route("one", "/a"))),
    ]);
    assert_eq!(seen.routes(), [("one", "/a"), ("x", "/x")]);
    let problems = seen.folder.reported.clone();
    assert_eq!(problems.len(), 1);
    assert_eq!(
        problems[0].to_string(),
        "b.yaml:2:1: error: HTTPRoute default/one: is there already, in a.yaml:7:1\n    remedy: remove one of both, or give it another name or namespace"
    );
    seen.files(&[
        ("b.yaml", &route("one", "/b")),
        ("a.yaml", &route("x", "/x")),
    ]);
    assert_eq!(seen.routes(), [("one", "/b"), ("x", "/x")]);
    seen.files(&[
        ("b.yaml", &route("one", "/b")),
        ("a.yaml", &route("one", "bad")),
    ]);
    assert_eq!(
        seen.routes(),
        [("one", "/b")],
        "a broken first one doesn't push it out"
    );
}

#[test]
fn a_file_or_folder_that_cannot_be_read_keeps_everything() {
    let mut seen = Seen::after(&[
        ("d/a.yaml", &route("one", "/1")),
        ("d/b.yaml", &route("two", "/2")),
    ]);
    let failed = Scan {
        files: BTreeMap::from([
            ("d/a.yaml".into(), Content::Failed(ReadError::Permission)),
            ("d/b.yaml".into(), Content::Unchanged),
        ]),
        ..Scan::default()
    };
    let update = seen.take(failed);
    assert_eq!(seen.routes(), [("one", "/1"), ("two", "/2")]);
    assert_eq!(
        update.appeared[0].to_string(),
        "d/a.yaml: error: no permission to read it\n    remedy: let Ringgate's user read it"
    );
    let missing = Scan {
        unreadable: BTreeMap::from([("d".into(), ReadError::Missing)]),
        ..Scan::default()
    };
    assert!(!seen.folder.doubts(&missing));
    seen.take(missing);
    assert_eq!(seen.routes(), [("one", "/1"), ("two", "/2")]);
    seen.files(&[("d/a.yaml", &route("one", "/1"))]);
    assert_eq!(seen.routes(), [("one", "/1")]);
}

#[test]
fn empty_and_vanished_files_are_doubted() {
    let seen = Seen::after(&[
        ("a.yaml", &route("one", "/1")),
        ("none.yaml", "# nothing\n"),
    ]);
    let doubts = |files: &[(&str, &str)]| seen.folder.doubts(&scan(files));
    assert!(!doubts(&[("a.yaml", "# cleared\n")]));
    assert!(!doubts(&[("a.yaml", "x")]), "a file without objects may go");
    assert!(doubts(&[("a.yaml", "")]));
    assert!(doubts(&[]));
}

#[test]
fn a_problem_is_told_once_wherever_it_moves() {
    let broken = route("one", "bad");
    let mut seen = Seen::default();
    assert_eq!(seen.files(&[("a.yaml", &broken)]).appeared.len(), 1);
    assert!(!seen.files(&[("a.yaml", &broken)]).is_news());
    let moved = format!("# a comment\n{}{broken}", route("two", "/2"));
    let update = seen.files(&[("a.yaml", &moved)]);
    assert_eq!(
        (
            update.appeared.len(),
            update.mended.len(),
            update.batch.problems.len()
        ),
        (0, 0, 1)
    );
    assert_eq!(
        update.batch.problems[0]
            .place
            .as_ref()
            .unwrap()
            .position
            .unwrap()
            .line,
        11
    );
    let update = seen.files(&[("a.yaml", &route("one", "worse"))]);
    assert_eq!((update.appeared.len(), update.mended.len()), (1, 1));
}

#[test]
fn an_object_that_moves_is_told_with_its_new_source_only() {
    let mut seen = Seen::after(&[("a.yaml", &route("one", "/1"))]);
    let update = seen.files(&[("b.yaml", &route("one", "/1"))]);
    let [
        Event::Applied {
            source: Some(source),
            ..
        },
    ] = &update.batch.events[..]
    else {
        panic!("{:?}", update.batch.events);
    };
    assert_eq!(&*source.file, Path::new("b.yaml"));
    let mut resources = crate::store::Resources::default();
    assert!(resources.apply(&update.batch));
    assert!(
        !resources.apply(&update.batch),
        "the same again changes nothing"
    );
}
