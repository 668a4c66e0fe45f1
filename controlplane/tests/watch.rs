//! The file watch on real folders. Every step awaits what follows from it; a wait ends well before
//! the slow look that would hide a missing notice.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on shall stop"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringgate_controlplane::problem::Problem;
use ringgate_controlplane::store::Resources;
use ringgate_controlplane::watch::file::FileWatch;
use ringgate_controlplane::watch::{Batch, Event};
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

const PATIENCE: Duration = Duration::from_secs(5);

fn service(name: &str, port: u16) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"
    )
}

/// A watch, and what its batches have brought so far.
struct Seen {
    _watch: FileWatch,
    batches: Receiver<Batch>,
    resources: Resources,
    problems: Vec<Problem>,
    count: usize,
    /// Keys that were removed, ever.
    removed: usize,
}

impl Seen {
    async fn start(path: &Path) -> Self {
        let (watch, batches) = FileWatch::start(vec![path.to_path_buf()]).unwrap();
        let mut seen = Self {
            _watch: watch,
            batches,
            resources: Resources::default(),
            problems: Vec::new(),
            count: 0,
            removed: 0,
        };
        seen.next().await;
        seen
    }

    async fn next(&mut self) {
        let batch = tokio::time::timeout(PATIENCE, self.batches.recv()).await;
        let batch = batch.expect("a batch in time").expect("the watch runs");
        self.resources.apply(&batch);
        let removed = batch
            .events
            .iter()
            .filter(|event| matches!(event, Event::Removed(_)));
        self.removed += removed.count();
        self.problems = batch.problems;
        self.count += 1;
    }

    async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            self.next().await;
        }
    }

    /// Waits until exactly these Services are there, by name with their port.
    async fn services(&mut self, expected: &[(&str, u16)]) {
        let expected: BTreeMap<String, u16> = expected
            .iter()
            .map(|(name, port)| ((*name).to_owned(), *port))
            .collect();
        self.until(|seen| seen.ports() == expected).await;
    }

    fn ports(&self) -> BTreeMap<String, u16> {
        let services = self.resources.services.values();
        services
            .map(|one| (one.metadata.name.to_string(), one.spec.ports[0].port.get()))
            .collect()
    }
}

fn folder(files: &[(&str, String)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// As editors do: write beside, then rename over.
fn save(path: &Path, text: &str) {
    let beside = path.with_extension("yaml~");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

#[tokio::test]
async fn files_are_saved_in_place_by_rename_and_removed() {
    let folder = folder(&[("a.yaml", service("a", 1))]);
    let path = folder.path().join("a.yaml");
    let mut seen = Seen::start(folder.path()).await;
    seen.services(&[("a", 1)]).await;
    fs::write(&path, service("a", 2)).unwrap();
    seen.services(&[("a", 2)]).await;
    save(&path, &service("a", 3));
    seen.services(&[("a", 3)]).await;
    save(&path, &(service("a", 4) + &service("b", 1)));
    seen.services(&[("a", 4), ("b", 1)]).await;
    assert_eq!(seen.removed, 0);
    fs::remove_file(&path).unwrap();
    seen.services(&[]).await;
    fs::write(folder.path().join(".hidden.yaml"), service("h", 1)).unwrap();
    fs::write(folder.path().join("c.yml"), service("c", 1)).unwrap();
    seen.services(&[("c", 1)]).await;
}

#[tokio::test]
async fn a_file_that_is_cut_short_while_it_is_saved_is_not_taken() {
    let folder = folder(&[("a.yaml", service("a", 1) + &service("b", 1))]);
    let path = folder.path().join("a.yaml");
    let mut seen = Seen::start(folder.path()).await;
    for port in 2..10 {
        let mut file = fs::File::create(&path).unwrap();
        for text in [service("a", port), service("b", port)] {
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
            std::io::Write::flush(&mut file).unwrap();
            std::thread::yield_now();
        }
        drop(file);
        seen.services(&[("a", port), ("b", port)]).await;
    }
    assert_eq!(seen.removed, 0);
    fs::write(&path, "").unwrap();
    seen.services(&[]).await;
}

#[tokio::test]
async fn kubernetes_swaps_of_data_are_one_change() {
    let folder = tempfile::tempdir().unwrap();
    let version = |name: &str, port| {
        let inner = folder.path().join(name);
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("a.yaml"), service("a", port)).unwrap();
        fs::write(inner.join("b.yaml"), service("b", port)).unwrap();
    };
    version("..1", 1);
    symlink("..1", folder.path().join("..data")).unwrap();
    for name in ["a.yaml", "b.yaml"] {
        symlink(Path::new("..data").join(name), folder.path().join(name)).unwrap();
    }
    let mut seen = Seen::start(folder.path()).await;
    seen.services(&[("a", 1), ("b", 1)]).await;
    for port in 2..5 {
        version(&format!("..{port}"), port);
        symlink(format!("..{port}"), folder.path().join("..data_tmp")).unwrap();
        fs::rename(
            folder.path().join("..data_tmp"),
            folder.path().join("..data"),
        )
        .unwrap();
        fs::remove_dir_all(folder.path().join(format!("..{}", port - 1))).unwrap();
        seen.services(&[("a", port), ("b", port)]).await;
        assert_eq!(seen.removed, 0);
    }
    assert_eq!(seen.count, 4, "both files change in one batch");
}

#[tokio::test]
async fn what_is_broken_keeps_its_last_good_version_until_repaired() {
    let folder = folder(&[("a.yaml", service("a", 1)), ("b.yaml", service("b", 1))]);
    let path = folder.path().join("a.yaml");
    let mut seen = Seen::start(folder.path()).await;
    let large = |path: &Path| fs::File::create(path).unwrap().set_len(33 << 20).unwrap();
    let broken: [&dyn Fn(&Path); 5] = [
        &|path| fs::write(path, service("a", 1).replace("port: 1", "prot: 1")).unwrap(),
        &|path| fs::write(path, service("a", 1).replace("}]}", "")).unwrap(),
        &|path| fs::write(path, b"\xff\xfe").unwrap(),
        &|path| large(path),
        &|path| {
            fs::remove_file(path).unwrap();
            symlink("nowhere", path).unwrap();
        },
    ];
    for (port, break_it) in (2..).zip(broken) {
        break_it(&path);
        seen.until(|seen| !seen.problems.is_empty()).await;
        assert_eq!(seen.ports()["a"], port - 1);
        save(&path, &service("a", port));
        seen.services(&[("a", port), ("b", 1)]).await;
        seen.until(|seen| seen.problems.is_empty()).await;
    }
    assert_eq!(seen.removed, 0);
}

#[tokio::test]
async fn five_hundred_files_at_once_come_in_few_batches() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Seen::start(folder.path()).await;
    for number in 0..500 {
        let text = service(&format!("s{number}"), 80);
        fs::write(folder.path().join(format!("{number}.yaml")), text).unwrap();
    }
    seen.until(|seen| seen.resources.services.len() == 500)
        .await;
    assert!(seen.count < 25, "{} batches", seen.count);
}

#[tokio::test]
async fn a_folder_may_come_later_vanish_and_be_replaced() {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("not/yet");
    let mut seen = Seen::start(&path).await;
    assert_eq!(seen.problems.len(), 1);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("a.yaml"), service("a", 1)).unwrap();
    seen.services(&[("a", 1)]).await;

    fs::rename(&path, around.path().join("elsewhere")).unwrap();
    seen.until(|seen| seen.problems.len() == 1).await;
    assert_eq!(
        seen.ports().len(),
        1,
        "a folder that is gone keeps what it had"
    );

    let next = around.path().join("next");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("b.yaml"), service("b", 1)).unwrap();
    fs::rename(&next, &path).unwrap();
    seen.services(&[("b", 1)]).await;
    fs::write(path.join("b.yaml"), service("b", 2)).unwrap();
    seen.services(&[("b", 2)]).await;
}

#[tokio::test]
async fn sub_folders_and_symlinks_are_followed_but_not_in_circles() {
    let outside = folder(&[("linked.yaml", service("linked", 1))]);
    let elsewhere = folder(&[("x.yaml", service("x", 1))]);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    symlink(folder.path(), folder.path().join("sub/circle")).unwrap();
    symlink(
        outside.path().join("linked.yaml"),
        folder.path().join("sub/l.yaml"),
    )
    .unwrap();
    let mut seen = Seen::start(folder.path()).await;
    seen.services(&[("linked", 1)]).await;
    assert_eq!(seen.problems, []);
    // The second edit can only be noticed: the first may fall into the look that follows new watches.
    for port in [3, 2] {
        let text = service("linked", port);
        fs::write(outside.path().join("linked.yaml"), text).unwrap();
        seen.services(&[("linked", port)]).await;
    }
    symlink(elsewhere.path(), folder.path().join("more")).unwrap();
    seen.services(&[("linked", 2), ("x", 1)]).await;
    fs::write(elsewhere.path().join("x.yaml"), service("x", 2)).unwrap();
    seen.services(&[("linked", 2), ("x", 2)]).await;
    fs::create_dir_all(folder.path().join("sub/deep/er")).unwrap();
    fs::write(folder.path().join("sub/deep/er/d.json"), r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "d"}, "spec": {"ports": [{"port": 1}]}}"#).unwrap();
    seen.services(&[("d", 1), ("linked", 2), ("x", 2)]).await;
}

#[tokio::test]
async fn a_single_file_is_watched_whatever_its_name() {
    let folder = folder(&[
        ("gateway.conf", service("a", 1)),
        ("b.yaml", service("b", 1)),
    ]);
    let path = folder.path().join("gateway.conf");
    let mut seen = Seen::start(&path).await;
    seen.services(&[("a", 1)]).await;
    save(&path, &service("a", 2));
    seen.services(&[("a", 2)]).await;
    save(&path, &service("a", 3));
    seen.services(&[("a", 3)]).await;
}

#[tokio::test]
async fn relative_paths_are_watched_too() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let path = PathBuf::from(folder.path().file_name().unwrap());
    let mut seen = Seen::start(&path).await;
    fs::write(path.join("a.yaml"), service("a", 1)).unwrap();
    seen.services(&[("a", 1)]).await;
}

#[tokio::test]
async fn a_watch_ends_when_it_is_dropped() {
    let folder = folder(&[]);
    let (watch, mut batches) = FileWatch::start(vec![folder.path().to_path_buf()]).unwrap();
    assert!(batches.recv().await.is_some());
    drop(watch);
    let end = tokio::time::timeout(PATIENCE, batches.recv()).await;
    assert!(end.expect("the end in time").is_none());
}

#[tokio::test]
async fn a_certificate_beside_its_secret_is_taken_up_when_it_is_renewed() {
    const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: site\n  annotations: {ringgate.io/certificate-file: tls/site.crt, ringgate.io/key-file: tls/site.key}\ntype: kubernetes.io/tls\n";
    let pem = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pem");
        fs::read_to_string(folder.join(name)).unwrap()
    };
    let folder = folder(&[("site.yaml", SECRET.to_owned())]);
    let tls = folder.path().join("tls");
    fs::create_dir(&tls).unwrap();
    fs::write(tls.join("site.crt"), pem("ecdsa.crt")).unwrap();
    fs::write(tls.join("site.key"), pem("ecdsa.key")).unwrap();
    let certificate = |seen: &Seen| {
        let name = ringgate_core::ir::ObjectName::new("default", "site");
        let secret = seen.resources.secrets.get(&name)?;
        assert!(secret.key_pair().is_ok());
        Some(String::from_utf8(secret.data["tls.crt"].to_vec()).unwrap())
    };
    let mut seen = Seen::start(folder.path()).await;
    seen.until(|seen| certificate(seen) == Some(pem("ecdsa.crt")))
        .await;

    save(&tls.join("site.crt"), &pem("rsa.crt"));
    seen.until(|seen| !seen.problems.is_empty()).await;
    assert_eq!(
        certificate(&seen),
        Some(pem("ecdsa.crt")),
        "the last good one"
    );
    save(&tls.join("site.key"), &pem("rsa.key"));
    seen.until(|seen| certificate(seen) == Some(pem("rsa.crt")))
        .await;
    assert!(seen.problems.is_empty());
}
