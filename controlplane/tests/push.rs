//! A whole control plane on real files and a real Unix socket, with a scripted data plane.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on shall stop"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use ringgate_controlplane::admin::client;
use ringgate_controlplane::origin::Origin;
use ringgate_controlplane::push::service::snapshots_client::SnapshotsClient;
use ringgate_controlplane::serve::{Config, ControlPlane, ServeError};
use ringgate_controlplane::status::condition::Condition;
use ringgate_controlplane::status::report::Report;
use ringgate_controlplane::tickets::TicketSource;
use ringgate_controlplane::translate::Options;
use ringgate_core::wire::proto::{self, controlplane_message, dataplane_message};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what} didn't come to pass in {PATIENCE:?}"),
    }
}

/// A control plane that serves a folder of its own.
struct Site {
    temp: tempfile::TempDir,
    admin: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), ServeError>>,
}

impl Site {
    async fn start(files: &[(&str, &str)]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("site")).unwrap();
        for (name, text) in files {
            fs::write(temp.path().join("site").join(name), text).unwrap();
        }
        Self::serve(temp).await
    }

    async fn serve(temp: tempfile::TempDir) -> Self {
        let control = ControlPlane::bind(config(temp.path())).await.unwrap();
        let admin = control.admin_address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(control.run(async { drop(stopped.await) }));
        Self {
            temp,
            admin,
            stop,
            running,
        }
    }

    fn socket(&self) -> PathBuf {
        self.temp.path().join("control.sock")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.temp.path().join("site").join(name);
        let beside = self.temp.path().join("beside");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, path).unwrap();
    }

    async fn report(&self) -> Report {
        let body = client::get(self.admin, "/status").await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// The first report that is as it shall be.
    async fn report_when(&self, what: &str, holds: impl Fn(&Report) -> bool) -> Report {
        soon(what, async {
            loop {
                let report = self.report().await;
                if holds(&report) {
                    return report;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    async fn end(self) -> tempfile::TempDir {
        self.stop.send(()).unwrap();
        soon("the end", self.running).await.unwrap().unwrap();
        self.temp
    }
}

fn config(temp: &Path) -> Config {
    Config {
        state_dir: None,
        origin: Origin::Files(vec![temp.join("site")]),
        tickets: TicketSource::None,
        lease: None,
        options: Options::default(),
        socket: Some(temp.join("control.sock")),
        remote: None,
        admin: "127.0.0.1:0".parse().unwrap(),
    }
}

/// A data plane that does what the test says.
struct DataPlane {
    say: mpsc::Sender<proto::DataplaneMessage>,
    hear: Streaming<proto::ControlplaneMessage>,
    held: BTreeMap<String, proto::Held>,
    version: Option<proto::Version>,
}

impl DataPlane {
    async fn connect(site: &Site, before: Option<&Self>) -> Self {
        let held = before.map(|one| one.held.clone()).unwrap_or_default();
        let version = before.and_then(|one| one.version);
        Self::connect_with(&site.socket(), held, version).await
    }

    async fn connect_with(
        socket: &Path,
        held: BTreeMap<String, proto::Held>,
        version: Option<proto::Version>,
    ) -> Self {
        let socket = socket.to_owned();
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://control-plane")
            .connect_with_connector(connect)
            .await
            .unwrap();
        let (say, said) = mpsc::channel(8);
        let hello = proto::Hello {
            instance: "scripted".into(),
            software: "a test".into(),
            driver: "epoll".into(),
            workers: 2,
            version,
            held: held.values().cloned().collect(),
        };
        say.send(message(dataplane_message::Message::Hello(hello)))
            .await
            .unwrap();
        let stream = SnapshotsClient::new(channel)
            .stream(ReceiverStream::new(said))
            .await
            .unwrap();
        Self {
            say,
            hear: stream.into_inner(),
            held,
            version,
        }
    }

    /// The next version, its parts put together, and taken over.
    async fn update(&mut self) -> proto::Update {
        let mut whole: Option<proto::Update> = None;
        loop {
            let message = soon("an update", self.hear.message()).await;
            let Some(controlplane_message::Message::Update(part)) =
                message.unwrap().and_then(|message| message.message)
            else {
                panic!("the stream ended");
            };
            let last = part.last;
            match &mut whole {
                None => whole = Some(part),
                Some(whole) => {
                    whole.upsert.extend(part.upsert);
                    whole.remove.extend(part.remove);
                }
            }
            if last {
                let whole = whole.unwrap();
                self.take(&whole);
                return whole;
            }
        }
    }

    fn take(&mut self, update: &proto::Update) {
        if update.full {
            self.held.clear();
        }
        for entry in &update.upsert {
            let held = proto::Held {
                id: entry.id.clone(),
                hash: entry.hash,
            };
            self.held.insert(name(entry.id.as_ref()), held);
        }
        for id in &update.remove {
            self.held.remove(&name(Some(id)));
        }
        self.version = update.version;
    }

    async fn ack(&self, failures: Vec<proto::Failure>) {
        let ack = proto::Ack {
            version: self.version,
            failures,
        };
        let ack = message(dataplane_message::Message::Ack(ack));
        self.say.send(ack).await.unwrap();
    }
}

fn message(message: dataplane_message::Message) -> proto::DataplaneMessage {
    proto::DataplaneMessage {
        message: Some(message),
    }
}

fn name(id: Option<&proto::ObjectId>) -> String {
    let id = id.unwrap();
    format!("{:?} {}", id.kind(), id.path)
}

fn upserts(update: &proto::Update) -> Vec<String> {
    let entries = update.upsert.iter();
    entries.map(|entry| name(entry.id.as_ref())).collect()
}

fn programmed(report: &Report) -> Option<&Condition> {
    let listener = report.gateways.first()?.listeners.first()?;
    let mut conditions = listener.conditions.iter();
    conditions.find(|one| one.condition_type == "Programmed")
}

fn is_programmed(report: &Report) -> bool {
    programmed(report).is_some_and(Condition::is_fine)
}

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: ringgate
  listeners:
  - {name: http, port: 8080, protocol: HTTP}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
";

fn route(name: &str, path: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: gw}}]
  rules:
  - matches: [{{path: {{value: {path}}}}}]
    backendRefs: [{{name: app, port: 80}}]
"
    )
}

#[tokio::test]
async fn a_data_plane_gets_the_whole_state_and_then_what_changed() {
    let one = route("one", "/one");
    let site = Site::start(&[("gw.yaml", GATEWAY), ("one.yaml", &one)]).await;
    let mut plane = DataPlane::connect(&site, None).await;

    let first = plane.update().await;
    assert!(first.full);
    assert_eq!(
        upserts(&first),
        [
            "Listener default/gw/http",
            "HttpRoute default/one",
            "Backend default/app/80"
        ]
    );
    let report = site.report().await;
    assert!(!is_programmed(&report), "nothing was acked");
    plane.ack(Vec::new()).await;
    let report = site.report_when("programmed", is_programmed).await;
    assert_eq!(report.data_planes[0].driver, "epoll");
    assert!(report.is_fine(), "{report:?}");

    site.write("two.yaml", &route("two", "/two"));
    let second = plane.update().await;
    assert_eq!(upserts(&second), ["HttpRoute default/two"]);
    assert!(!second.full && second.remove.is_empty());
    let report = site.report().await;
    assert!(is_programmed(&report), "the listener is as it was acked");
    plane.ack(Vec::new()).await;

    fs::remove_file(site.temp.path().join("site/two.yaml")).unwrap();
    let third = plane.update().await;
    assert_eq!(third.remove.len(), 1);
    assert_eq!(name(Some(&third.remove[0])), "HttpRoute default/two");
    site.end().await;
}

#[tokio::test]
async fn a_broken_file_leaves_what_is_in_force_and_is_told_until_it_is_mended() {
    let one = route("one", "/one");
    let site = Site::start(&[("gw.yaml", GATEWAY), ("one.yaml", &one)]).await;
    let mut plane = DataPlane::connect(&site, None).await;
    plane.update().await;
    plane.ack(Vec::new()).await;

    site.write("one.yaml", &one.replace("backendRefs", "backendrefs"));
    let report = site
        .report_when("the problem", |report| !report.problems.is_empty())
        .await;
    let problem = &report.problems[0];
    let place = problem.place.as_deref().unwrap();
    assert!(place.contains("one.yaml:9:5"), "{place}");
    assert!(is_programmed(&report));

    // The next thing that the data plane hears of is the mended file, not the broken one.
    site.write("one.yaml", &route("one", "/uno"));
    let next = plane.update().await;
    assert_eq!(upserts(&next), ["HttpRoute default/one"]);
    plane.ack(Vec::new()).await;
    let report = site
        .report_when("no problem", |report| report.problems.is_empty())
        .await;
    assert_eq!(report.routes.len(), 1);
    site.end().await;
}

#[tokio::test]
async fn one_that_comes_back_with_everything_is_sent_the_version_alone() {
    let site = Site::start(&[("gw.yaml", GATEWAY), ("one.yaml", &route("one", "/"))]).await;
    let mut first = DataPlane::connect(&site, None).await;
    first.update().await;
    first.ack(Vec::new()).await;

    let mut again = DataPlane::connect(&site, Some(&first)).await;
    let update = again.update().await;
    assert!(update.upsert.is_empty() && update.remove.is_empty() && update.last);
    again.ack(Vec::new()).await;
    let both_acked = |report: &Report| {
        let mut planes = report.data_planes.iter();
        report.data_planes.len() == 2 && planes.all(|plane| plane.version == report.version)
    };
    site.report_when("both acks", both_acked).await;
    site.end().await;
}

#[tokio::test]
async fn a_control_plane_with_an_older_clock_still_outranks_what_it_finds() {
    let site = Site::start(&[("gw.yaml", GATEWAY), ("one.yaml", &route("one", "/"))]).await;
    let ahead = proto::Version {
        term: u64::MAX / 2,
        sequence: 7,
    };
    let mut plane = DataPlane::connect_with(&site.socket(), BTreeMap::new(), Some(ahead)).await;
    let update = plane.update().await;
    assert_eq!(update.version.unwrap().term, ahead.term + 1);
    assert_eq!(update.upsert.len(), 3);
    plane.ack(Vec::new()).await;
    site.report_when("programmed", is_programmed).await;
    site.end().await;
}

#[tokio::test]
async fn what_could_not_be_bound_stands_in_the_status_until_it_can_be() {
    let site = Site::start(&[("gw.yaml", GATEWAY), ("one.yaml", &route("one", "/"))]).await;
    let mut plane = DataPlane::connect(&site, None).await;
    let update = plane.update().await;
    let reason = "port 8080: address in use; stop who listens there, or choose another port";
    let failure = proto::Failure {
        id: update.upsert[0].id.clone(),
        reason: reason.into(),
    };
    plane.ack(vec![failure]).await;
    let failed =
        |report: &Report| programmed(report).is_some_and(|one| one.reason == "PortUnavailable");
    let report = site.report_when("the failure", failed).await;
    assert_eq!(programmed(&report).unwrap().message, reason);
    assert!(!report.is_fine());

    // The port came free: the same version is acked once more.
    plane.ack(Vec::new()).await;
    site.report_when("programmed", is_programmed).await;
    site.end().await;
}

#[tokio::test]
async fn a_data_plane_that_goes_leaves_the_count() {
    let site = Site::start(&[("gw.yaml", GATEWAY)]).await;
    let mut plane = DataPlane::connect(&site, None).await;
    plane.update().await;
    plane.ack(Vec::new()).await;
    site.report_when("programmed", is_programmed).await;
    drop(plane);
    let report = site
        .report_when("nobody", |report| report.data_planes.is_empty())
        .await;
    assert_eq!(programmed(&report).unwrap().reason, "Pending");
    site.end().await;
}

#[tokio::test]
async fn one_that_breaks_the_protocol_is_told_and_sent_away() {
    let site = Site::start(&[("gw.yaml", GATEWAY)]).await;
    let mut plane = DataPlane::connect(&site, None).await;
    plane.update().await;
    plane.version = Some(proto::Version::default());
    plane.ack(Vec::new()).await;
    let status = soon("the refusal", plane.hear.message()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(status.message().contains("not sent last"), "{status}");
    site.end().await;
}

#[tokio::test]
async fn the_socket_is_private_replaces_a_stale_one_and_goes_with_its_owner() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("site")).unwrap();
    let socket = temp.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());

    let site = Site::serve(temp).await;
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let error = ControlPlane::bind(config(site.temp.path()))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("another control plane"),
        "{error}"
    );
    // A data plane that is connected doesn't keep it from ending.
    let _plane = DataPlane::connect(&site, None).await;
    let _temp = site.end().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn the_admin_server_answers_before_and_after_there_is_something_to_serve() {
    let site = Site::start(&[("gw.yaml", GATEWAY)]).await;
    let ask = |path| client::get(site.admin, path);
    assert_eq!(&*ask("/livez").await.unwrap(), b"ok\n");
    soon("ready", async {
        while ask("/readyz").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let metrics = ask("/metrics").await.unwrap();
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    assert!(
        metrics.contains("ringgate_controlplane_reloads_total"),
        "{metrics}"
    );
    assert!(ask("/nothing").await.is_err());
    site.end().await;
}
