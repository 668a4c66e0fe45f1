//! Two control planes of one cluster and data planes apart from them: real processes, and an API server
//! in memory behind a real socket.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use ringgate_controlplane::issue::{IssueConfig, Periods};
use ringgate_controlplane::origin::Origin;
use ringgate_controlplane::serve::{Certificates, Config, ControlPlane, RemoteConfig};
use ringgate_controlplane::tickets::TicketSource;
use ringgate_controlplane::translate::Options;
use ringgate_controlplane::watch;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::apart::{tls, words};
use crate::authority::{Authority, replace};
use crate::fake::Fake;
use crate::http::{Load, backend, get};
use crate::stage::{PATIENCE, Run, Stage, free_port, until};

/// Answers as `fake` does, on a port of 127.0.0.1, until the test ends.
fn listen(fake: Fake) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let router = axum::Router::new().fallback(answer).with_state(fake);
            axum::serve(listener, router).await.unwrap();
        });
    });
    port
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    match fake.answer(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(_) => {
            let mut gone = Response::default();
            *gone.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            gone
        }
    }
}

/// A cluster with a Gateway, and Services `blue` and `green`.
pub(crate) struct Cluster {
    pub(crate) fake: Fake,
    pub(crate) stage: Stage,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let (fake, stage) = (Fake::new(), Stage::new());
        let port = listen(fake.clone());
        fs::write(stage.path("kubeconfig"), kubeconfig(port)).unwrap();
        fake.apply(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": "ours"},
            "spec": {"controllerName": "ringgate.io/gateway-controller"},
        }));
        fake.apply(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "gatewayClassName": "ours",
                "listeners": [{"name": "http", "port": stage.port, "protocol": "HTTP"}],
            },
        }));
        for name in ["blue", "green"] {
            service(&fake, name);
        }
        Self { fake, stage }
    }

    /// From then on the route leads there.
    pub(crate) fn lead_to(&self, name: &str) {
        let reference =
            json!({"group": "", "kind": "Service", "name": name, "port": 80, "weight": 1});
        self.fake.apply(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "app", "namespace": "default"},
            "spec": {
                "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"}],
                "rules": [{"backendRefs": [reference]}],
            },
        }));
    }

    pub(crate) fn serves(&self, backend: &str) {
        let mut told = String::new();
        until(backend, || {
            let answer = get(self.stage.port, "/");
            let text = format!("{answer:?}");
            if text != told {
                eprintln!("instead of {backend}: {text}");
                told = text;
            }
            (answer.ok()?.body == backend).then_some(())
        });
    }

    /// One of several, at `port`.
    pub(crate) fn control_plane(&self, port: u16, more: &[OsString]) -> Run {
        let mut arguments = words(&["--listen", &format!("127.0.0.1:{port}"), "--kubeconfig"]);
        arguments.push(self.stage.path("kubeconfig").into());
        arguments.extend_from_slice(more);
        let stage = Stage::new();
        stage.control_plane(&arguments)
    }
}

fn kubeconfig(port: u16) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "users": [{"name": "test", "user": {}}],
    })
    .to_string()
}

fn service(fake: &Fake, name: &'static str) {
    let port = backend(name);
    fake.apply(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP"}]},
    }));
    let slice: Value = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-1"), "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": true}}],
    });
    fake.apply(slice);
}

/// A data plane of another machine, as it were. Here they share one, and the second to come finds the
/// Gateway's port taken: traffic goes through the first, streams are followed on both.
fn data_plane(ports: &[u16], authority: &Path, own: &[PathBuf; 2]) -> (Stage, Run) {
    let stage = Stage::new();
    let mut arguments = Vec::new();
    for port in ports {
        arguments.extend(words(&["--control-plane", &format!("127.0.0.1:{port}")]));
    }
    arguments.extend(tls(authority, own));
    let run = stage.distant_data_plane(&arguments);
    (stage, run)
}

#[test]
fn data_planes_find_the_leader_and_follow_when_another_leads() {
    let cluster = Cluster::new();
    cluster.lead_to("blue");
    let folder = cluster.stage.path("");
    let authority = Authority::new("test");
    replace(&folder.join("ca.crt"), &authority.pem);
    let server = authority.server(&folder, "server");
    let certificates = tls(&folder.join("ca.crt"), &server);

    let ports = [free_port(), free_port()];
    let first = cluster.control_plane(ports[0], &certificates);
    first.wait_for_line("this control plane leads");
    let second = cluster.control_plane(ports[1], &certificates);
    second.wait_for_line("this control plane stands by");

    // One knows both, one only the standby.
    let own = authority.client(&folder, "edge");
    let both = data_plane(&ports, &folder.join("ca.crt"), &own);
    let one = data_plane(&ports[1..], &folder.join("ca.crt"), &own);
    let planes = [&both.1, &one.1];
    let told = one.1.wait_for_line("this control plane doesn't lead");
    assert!(told.contains(&format!("127.0.0.1:{}", ports[0])), "{told}");
    for plane in planes {
        plane.wait_for_line("a new version is in force");
    }
    cluster.serves("blue");

    let load = Load::start(cluster.stage.port);
    first.signal(Signal::KILL);
    second.wait_for_line("this control plane leads");
    for plane in planes {
        plane.wait_for_line("connected to the control plane");
        plane.wait_for_line("a new version is in force");
    }
    cluster.lead_to("green");
    for plane in planes {
        plane.wait_for_line("a new version is in force");
    }
    cluster.serves("green");
    load.end();
}

/// What the kubelet puts into a data plane's Pod: the published authority, and a token.
fn project(cluster: &Cluster) -> Vec<OsString> {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "ringgate-authority", "namespace": "default"},
    });
    let text = until("the published authority", || {
        let text = cluster.fake.get(&map)?["data"]["ca.crt"]
            .as_str()?
            .to_owned();
        Some(text)
    });
    replace(&cluster.stage.path("ca.crt"), &text);
    replace(&cluster.stage.path("token"), "secret\n");
    let user = "system:serviceaccount:ringgate-system:ringgate-dataplane";
    cluster.fake.give_token("secret", user);
    [("--tls-authority", "ca.crt"), ("--token-file", "token")]
        .into_iter()
        .flat_map(|(flag, name)| [flag.into(), cluster.stage.path(name).into()])
        .collect()
}

const ISSUE: [&str; 2] = ["--issue-to", "ringgate-system/ringgate-dataplane"];

#[test]
fn data_planes_with_a_token_alone_come_in_and_follow_the_leader() {
    let cluster = Cluster::new();
    cluster.lead_to("blue");
    let ports = [free_port(), free_port()];
    let [first, second] = ports.map(|port| cluster.control_plane(port, &words(&ISSUE)));
    let shown = project(&cluster);
    let mut planes = Vec::new();
    // Stages keep folders and ports.
    for _ in 0..2 {
        let stage = Stage::new();
        let mut arguments = shown.clone();
        for port in ports {
            arguments.extend(words(&["--control-plane", &format!("127.0.0.1:{port}")]));
        }
        let run = stage.distant_data_plane(&arguments);
        planes.push((stage, run));
    }
    for (_, run) in &planes {
        run.wait_for_line("the control plane issued a certificate");
        run.wait_for_line("a new version is in force");
    }
    cluster.serves("blue");

    let load = Load::start(cluster.stage.port);
    let (leader, other) = leader_of(first, second);
    leader.signal(Signal::KILL);
    other.wait_for_line("this control plane leads");
    for (_, run) in &planes {
        run.wait_for_line("connected to the control plane");
        run.wait_for_line("a new version is in force");
    }
    cluster.lead_to("green");
    for (_, run) in &planes {
        run.wait_for_line("a new version is in force");
    }
    cluster.serves("green");
    load.end();
}

/// The one that leads, and the other.
fn leader_of(one: Run, other: Run) -> (Run, Run) {
    let told = one.wait_for_line("this control plane ");
    if told.contains("this control plane leads") {
        (one, other)
    } else {
        (other, one)
    }
}

/// A control plane in this process, whose certificates live for so long. It ends with the runtime.
fn in_process(cluster: &Cluster, port: u16, life: Duration) -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let entered = runtime.enter();
    let config = Config {
        state_dir: None,
        origin: Origin::Cluster(watch::kube::Cluster::Client(cluster.fake.client())),
        lease: None,
        tickets: TicketSource::None,
        options: Options {
            cluster: true,
            ..Options::default()
        },
        socket: None,
        remote: Some(RemoteConfig {
            listen: ([127, 0, 0, 1], port).into(),
            advertise: None,
            certificates: Certificates::Issued(IssueConfig {
                accounts: vec![ISSUE[1].parse().unwrap()],
                names: Vec::new(),
                store: None,
                periods: Periods {
                    certificate: life,
                    ..Periods::default()
                },
            }),
        }),
        admin: "127.0.0.1:0".parse().unwrap(),
    };
    let plane = runtime.block_on(ControlPlane::bind(config)).unwrap();
    runtime.spawn(plane.run(std::future::pending()));
    drop(entered);
    runtime
}

#[test]
fn a_certificate_is_renewed_before_its_end_without_a_new_stream() {
    let cluster = Cluster::new();
    cluster.lead_to("blue");
    let port = free_port();
    let life = Duration::from_secs(3);
    let control = in_process(&cluster, port, life);
    let mut arguments = project(&cluster);
    arguments.extend(words(&["--control-plane", &format!("127.0.0.1:{port}")]));
    let data = cluster.stage.distant_data_plane(&arguments);
    data.wait_for_line("connected to the control plane");
    let started = Instant::now();
    let mut between = Vec::new();
    while started.elapsed() < Duration::from_secs(4) {
        between.push(data.wait_for_line(""));
        if between.last().unwrap().contains("issued a certificate") {
            cluster.serves("blue");
        }
    }
    let said = |text: &str| between.iter().filter(|line| line.contains(text)).count();
    assert!(said("issued a certificate") >= 2, "{between:?}");
    assert_eq!(said("connected"), 0, "{between:?}");

    // The first certificate has ended; with the one in hand it comes back.
    control.shutdown_timeout(PATIENCE);
    data.wait_for_line("the control plane is gone");
    let control = in_process(&cluster, port, life);
    data.wait_for_line("connected to the control plane");
    cluster.lead_to("green");
    cluster.serves("green");
    control.shutdown_timeout(PATIENCE);
}

#[test]
fn a_data_plane_comes_in_again_when_the_authority_was_made_anew() {
    let cluster = Cluster::new();
    cluster.lead_to("blue");
    let (port, life) = (free_port(), Duration::from_hours(1));
    let control = in_process(&cluster, port, life);
    let mut arguments = project(&cluster);
    arguments.extend(words(&["--control-plane", &format!("127.0.0.1:{port}")]));
    let data = cluster.stage.distant_data_plane(&arguments);
    data.wait_for_line("connected to the control plane");
    cluster.serves("blue");

    control.shutdown_timeout(PATIENCE);
    for kind in ["Secret", "ConfigMap"] {
        cluster.fake.delete(&json!({
            "apiVersion": "v1", "kind": kind,
            "metadata": {"name": "ringgate-authority", "namespace": "default"},
        }));
    }
    let control = in_process(&cluster, port, life);
    // It believes nobody but whom its file names.
    data.wait_for_line("isn't believed");
    project(&cluster);
    data.wait_for_line("refuses this data plane");
    data.wait_for_line("the control plane issued a certificate");
    data.wait_for_line("connected to the control plane");
    cluster.lead_to("green");
    cluster.serves("green");
    control.shutdown_timeout(PATIENCE);
}
