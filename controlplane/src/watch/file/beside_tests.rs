use super::*;
use crate::watch::file::{Content, Folder, Scan};

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: site\n  annotations:\n    ringgate.io/certificate-file: tls/site.crt\n    ringgate.io/key-file: tls/site.key\ntype: kubernetes.io/tls\n";
const PEM: [(&str, &str); 4] = [
    ("a.crt", include_str!("../../../testdata/pem/ecdsa.crt")),
    ("a.key", include_str!("../../../testdata/pem/ecdsa.key")),
    ("b.crt", include_str!("../../../testdata/pem/rsa.crt")),
    ("b.key", include_str!("../../../testdata/pem/rsa.key")),
];

/// A folder with one YAML file, and what lies beside it.
#[derive(Default)]
struct Seen {
    folder: Folder,
    beside: Beside,
    files: Fake,
}

/// Certificate and key, as named in `PEM`; others aren't there.
#[derive(Default)]
struct Fake {
    content: BTreeMap<PathBuf, &'static str>,
    others: BTreeSet<PathBuf>,
    reads: usize,
}

impl Fake {
    fn put(&mut self, path: &str, name: &str) {
        let text = PEM.iter().find(|(one, _)| *one == name);
        let text = text.map(|(_, text)| *text);
        if self.content.get(Path::new(path)).copied() != text {
            self.content.remove(Path::new(path));
            self.content.extend(text.map(|text| (path.into(), text)));
            self.others.insert(path.into());
        }
    }
}

impl Files for Fake {
    fn is_other(&mut self, path: &Path) -> bool {
        self.others.remove(path) || !self.content.contains_key(path)
    }

    fn read(&mut self, path: &Path) -> Result<Vec<u8>, ReadError> {
        self.reads += 1;
        let text = self.content.get(path).ok_or(ReadError::Missing)?;
        Ok(text.as_bytes().to_vec())
    }
}

impl Seen {
    /// `yaml` None: unchanged.
    fn look(&mut self, yaml: Option<&str>, certificate: &str, key: &str) -> Update {
        self.files.put("dir/tls/site.crt", certificate);
        self.files.put("dir/tls/site.key", key);
        self.look_at(yaml, &Suspects::All)
    }

    fn look_at(&mut self, yaml: Option<&str>, suspects: &Suspects) -> Update {
        let content = match yaml {
            Some(text) => Content::Text(text.to_owned()),
            None => Content::Unchanged,
        };
        let scan = Scan {
            files: BTreeMap::from([("dir/site.yaml".into(), content)]),
            ..Scan::default()
        };
        let update = self.folder.update(scan);
        self.beside.complete(update, suspects, &mut self.files)
    }
}

fn leaf(update: &Update) -> Vec<u8> {
    let [
        Event::Applied {
            object: Object::Secret(secret),
            ..
        },
    ] = update.batch.events.as_slice()
    else {
        panic!("{:?}", update.batch.events);
    };
    secret.data["tls.crt"].to_vec()
}

fn messages(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|one| one.message.clone()).collect()
}

#[test]
fn a_pair_is_taken_when_both_files_belong_together_again() {
    let mut seen = Seen::default();
    let first = seen.look(Some(SECRET), "a.crt", "a.key");
    assert_eq!(leaf(&first), PEM[0].1.as_bytes());
    assert!(!seen.look(None, "a.crt", "a.key").is_news());

    let half = seen.look(None, "b.crt", "a.key");
    assert!(half.batch.events.is_empty() && half.held.len() == 1);
    let told = messages(&half.appeared);
    assert!(told[0].contains("doesn't belong"), "{told:?}");
    assert!(!seen.look(None, "b.crt", "a.key").is_news(), "told once");

    let whole = seen.look(None, "b.crt", "b.key");
    assert_eq!(leaf(&whole), PEM[2].1.as_bytes());
    assert_eq!(messages(&whole.mended), told);
    assert!(whole.batch.problems.is_empty());
}

#[test]
fn without_a_last_good_one_there_is_no_secret_and_the_file_is_named() {
    let mut seen = Seen::default();
    let update = seen.look(Some(SECRET), "a.crt", "nowhere");
    assert!(update.batch.events.is_empty() && update.held.is_empty());
    let problem = &update.batch.problems[0];
    assert_eq!(problem.message, "dir/tls/site.key: no such file or folder");
    let field = "metadata.annotations[\"ringgate.io/key-file\"]";
    assert_eq!(problem.field, field);
    let removed = seen.look(Some("# nothing\n"), "a.crt", "nowhere");
    assert!(removed.batch.events.is_empty(), "it was never there");
    assert_eq!(removed.mended.len(), 1);
}

#[test]
fn a_certificate_does_not_wait_for_its_ocsp_response() {
    let mut seen = Seen::default();
    let stapled = SECRET.replace("type:", "    ringgate.io/ocsp-file: tls/site.ocsp\ntype:");
    let update = seen.look(Some(&stapled), "a.crt", "a.key");
    assert_eq!(leaf(&update), PEM[0].1.as_bytes());
    assert!(update.held.is_empty());
    let [problem] = update.batch.problems.as_slice() else {
        panic!("{:?}", update.batch.problems);
    };
    assert_eq!(problem.severity, Severity::Warning);
    assert_eq!(problem.message, "dir/tls/site.ocsp: no such file or folder");
    seen.files
        .content
        .insert("dir/tls/site.ocsp".into(), "a response");
    seen.files.others.insert("dir/tls/site.ocsp".into());
    let update = seen.look(None, "a.crt", "a.key");
    assert!(leaf(&update) == PEM[0].1.as_bytes() && update.mended.len() == 1);
}

#[test]
fn one_of_a_thousand_that_is_renewed_is_all_that_is_read() {
    let mut seen = Seen::default();
    let one = |i: usize| SECRET.replace("site", &format!("site-{i}"));
    let all: Vec<String> = (0..1000).map(one).collect();
    for i in 0..1000 {
        seen.files.put(&format!("dir/tls/site-{i}.crt"), "a.crt");
        seen.files.put(&format!("dir/tls/site-{i}.key"), "a.key");
    }
    let update = seen.look_at(Some(&all.join("---\n")), &Suspects::All);
    assert_eq!(update.batch.events.len(), 1000);
    assert!(seen.beside.has_new_paths() && !seen.beside.has_new_paths());
    seen.files.others.clear();
    seen.files.reads = 0;
    for suspects in [
        Suspects::These(BTreeSet::from(["dir/tls/site-7.key".into()])),
        Suspects::All,
    ] {
        seen.files.put("dir/tls/site-7.crt", "b.crt");
        seen.files.put("dir/tls/site-7.key", "b.key");
        let update = seen.look_at(None, &suspects);
        assert_eq!(leaf(&update), PEM[2].1.as_bytes());
        assert_eq!(seen.files.reads, 2, "{suspects:?}");
        seen.files.put("dir/tls/site-7.crt", "a.crt");
        seen.files.put("dir/tls/site-7.key", "a.key");
        seen.look_at(None, &Suspects::All);
        seen.files.reads = 0;
    }
    assert!(!seen.look_at(None, &Suspects::All).is_news());
    assert_eq!(seen.files.reads, 0);
}

#[test]
fn paths_do_not_leave_the_folder() {
    for path in ["/etc/site.crt", "../site.crt", "tls/../../site.crt"] {
        let mut seen = Seen::default();
        let update = seen.look(
            Some(&SECRET.replace("tls/site.crt", path)),
            "a.crt",
            "a.key",
        );
        assert!(update.batch.events.is_empty(), "{path}");
        let told = messages(&update.batch.problems);
        assert!(told[0].contains("beside"), "{path}: {told:?}");
    }
}
