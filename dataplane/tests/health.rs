//! Endpoints that don't work are found out, by checks and by what becomes of traffic, and come back.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response};
use ringgate_core::ir::{
    BackendProtocol, BackendSettings, BackendTls, HealthCheck, Id, Object, OutlierDetection, Probe,
    Protocol, ProxyHeader, StatusRange, StreamProtocol, Thresholds, Trust,
};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::certificates::Authority;
use support::http2::{self, Got};
use support::streams::{Streams, lines, nobody, peer, tcp};
use support::{Client, DataPlane, PATIENCE, Wanted, name, prefix, rule, wait_until};

const STATES: [&str; 3] = ["healthy", "unhealthy", "ejected"];

fn check(probe: Probe) -> BackendSettings {
    let check = HealthCheck {
        interval: Duration::from_millis(20),
        timeout: PATIENCE,
        thresholds: Thresholds {
            healthy: 2,
            unhealthy: 2,
        },
        ..HealthCheck::by(probe)
    };
    BackendSettings {
        health_check: Some(check),
        ..BackendSettings::default()
    }
}

fn http_check() -> BackendSettings {
    check(Probe::Http {
        path: "/healthz".into(),
        host: None,
        statuses: vec![StatusRange::FINE],
    })
}

fn outliers(failures: u32, ejection: Duration) -> BackendSettings {
    BackendSettings {
        outlier_detection: Some(OutlierDetection {
            consecutive_failures: failures,
            base_ejection: ejection,
            max_ejection: ejection,
            max_ejected_percent: 50,
        }),
        ..BackendSettings::default()
    }
}

/// Waits until so many of the only backend's endpoints are healthy, unhealthy, and ejected.
fn await_states(plane: &DataPlane, backend: &str, counts: [u64; 3]) {
    for (state, count) in STATES.into_iter().zip(counts) {
        let metric = format!("ringgate_endpoints{{backend=\"{backend}\",state=\"{state}\"}}");
        plane.await_metric(&metric, count);
    }
}

/// A backend of which it can be said what it answers.
struct Backend {
    address: SocketAddr,
    /// To `/healthz`, and to all else.
    health: Arc<AtomicU16>,
    status: Arc<AtomicU16>,
    /// Requests but for `/healthz`.
    served: Arc<AtomicUsize>,
}

impl Backend {
    fn start(name: &'static str) -> Self {
        let (health, status) = (AtomicU16::new(200), AtomicU16::new(200));
        let (health, status) = (Arc::new(health), Arc::new(status));
        let served = Arc::new(AtomicUsize::new(0));
        let (asked, answered, counted) = (health.clone(), status.clone(), served.clone());
        let address = peer(move |stream| {
            let mut writer = stream.try_clone().unwrap();
            let mut head = String::new();
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if !line.is_empty() {
                    head.push_str(&line);
                    continue;
                }
                let status = match head.starts_with("GET /healthz ") {
                    true => asked.load(Ordering::SeqCst),
                    false => {
                        counted.fetch_add(1, Ordering::SeqCst);
                        answered.load(Ordering::SeqCst)
                    }
                };
                head.clear();
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 1\r\n\r\n{name}");
                if writer.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        Self {
            address,
            health,
            status,
            served,
        }
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

fn in_front_of(backends: &[SocketAddr], settings: BackendSettings) -> Wanted {
    let mut wanted = Wanted::new().route(vec![rule("app")]);
    wanted.backend_with("app", backends, settings);
    wanted
}

/// As many requests as would reach each of two endpoints.
fn all_from(plane: &DataPlane, name: &str) {
    for _ in 0..30 {
        assert_eq!(plane.get("/"), (200, name.to_owned()));
    }
}

fn await_answer(plane: &DataPlane, name: &str) {
    wait_until(|| (plane.get("/") == (200, name.to_owned())).then_some(()));
}

#[test]
fn a_check_by_http_takes_an_endpoint_out_and_brings_it_back() {
    let (a, b) = (Backend::start("a"), Backend::start("b"));
    let plane = in_front_of(&[a.address, b.address], http_check()).start();
    await_answer(&plane, "a");
    await_answer(&plane, "b");
    plane.await_metric(
        "ringgate_health_checks_total{backend=\"default/app:80\",result=\"failed\"}",
        0,
    );
    a.health.store(500, Ordering::SeqCst);
    await_states(&plane, "default/app:80", [1, 1, 0]);
    all_from(&plane, "b");
    let line = plane.wait_for_log("an endpoint is out: its health checks fail");
    assert!(line.contains(&a.address.to_string()), "{line}");
    assert!(line.contains("the answer has status 500"), "{line}");
    let list = plane.ask_admin("/endpoints");
    assert!(list.contains("\"state\": \"unhealthy\""), "{list}");
    assert!(
        list.contains("\"last_failure\": \"the answer has status 500\""),
        "{list}"
    );
    a.health.store(302, Ordering::SeqCst);
    await_states(&plane, "default/app:80", [2, 0, 0]);
    plane.wait_for_log("an endpoint is back");
    await_answer(&plane, "a");
}

#[test]
fn where_no_endpoint_works_all_are_used() {
    let (a, b) = (Backend::start("a"), Backend::start("b"));
    a.health.store(503, Ordering::SeqCst);
    b.health.store(503, Ordering::SeqCst);
    let plane = in_front_of(&[a.address, b.address], http_check()).start();
    await_states(&plane, "default/app:80", [0, 2, 0]);
    let page = plane.ask_admin("/metrics");
    assert!(
        page.contains("ringgate_unhealthy_choices_total 0\n"),
        "{page}"
    );
    await_answer(&plane, "a");
    await_answer(&plane, "b");
    let page = plane.ask_admin("/metrics");
    assert!(
        !page.contains("ringgate_unhealthy_choices_total 0\n"),
        "{page}"
    );
    b.health.store(200, Ordering::SeqCst);
    await_states(&plane, "default/app:80", [1, 1, 0]);
    all_from(&plane, "b");
}

#[test]
fn a_connection_is_a_check_and_nobody_is_sent_where_none_is_taken() {
    let away = nobody();
    let plane = Streams::new(StreamProtocol::Tcp)
        .listener("", Protocol::Tcp)
        .route("", "", &[("app", 1)])
        .backend_with("app", &[lines("a"), away], check(Probe::Tcp), None)
        .start();
    // One check is enough to find out about a new endpoint.
    await_states(&plane, "default/app:80", [1, 1, 0]);
    let ask = |plane: &DataPlane| {
        let stream = tcp(plane);
        (&stream).write_all(b"x\n").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    };
    for _ in 0..20 {
        assert_eq!(ask(&plane), "a: x\n");
    }
    plane.await_metric("ringgate_upstream_connect_failures_total", 0);
    let back = TcpListener::bind(away).unwrap();
    thread::spawn(move || {
        for stream in back.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut line = String::new();
                let _ = BufReader::new(&stream).read_line(&mut line);
                let _ = (&stream).write_all(b"b\n");
            });
        }
    });
    await_states(&plane, "default/app:80", [2, 0, 0]);
    wait_until(|| (ask(&plane) == "b\n").then_some(()));
}

/// A port whose connections' first bytes are told.
fn first_bytes() -> (SocketAddr, Receiver<Vec<u8>>) {
    let (tell, told) = mpsc::channel();
    let address = peer(move |mut stream| {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let _ = tell.send(bytes);
    });
    (address, told)
}

#[test]
fn a_check_says_that_it_is_for_no_client_where_clients_are_told() {
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    v2.extend([0x20, 0, 0, 0]);
    let v1 = b"PROXY UNKNOWN\r\n".to_vec();
    for (version, expected) in [(ProxyHeader::V1, v1), (ProxyHeader::V2, v2)] {
        let (address, told) = first_bytes();
        let settings = BackendSettings {
            proxy_header: Some(version),
            ..check(Probe::Tcp)
        };
        let _plane = Streams::new(StreamProtocol::Tcp)
            .listener("", Protocol::Tcp)
            .route("", "", &[("app", 1)])
            .backend_with("app", &[address], settings, None)
            .start();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), expected);
    }
}

#[test]
fn a_check_at_another_port_is_in_plain_text_and_without_a_header() {
    let (elsewhere, told) = first_bytes();
    let mut settings = BackendSettings {
        proxy_header: Some(ProxyHeader::V2),
        ..check(Probe::Http {
            path: "/ready?x=1".into(),
            host: Some("shop.example.com".into()),
            statuses: vec![StatusRange::FINE],
        })
    };
    let check = settings.health_check.as_mut().unwrap();
    (check.port, check.timeout) = (Some(elsewhere.port()), Duration::from_millis(200));
    let tls = BackendTls {
        hostname: "backend.example.com".into(),
        trust: Trust::Authorities(Vec::new()),
        names: Vec::new(),
    };
    let _plane = Streams::new(StreamProtocol::Tcp)
        .listener("", Protocol::Tcp)
        .route("", "", &[("app", 1)])
        .backend_with("app", &[lines("a")], settings, Some(tls))
        .start();
    let request = told.recv_timeout(PATIENCE).unwrap();
    let request = String::from_utf8(request).unwrap();
    let mut lines = request.lines();
    assert_eq!(lines.next(), Some("GET /ready?x=1 HTTP/1.1"));
    assert_eq!(lines.next(), Some("host: shop.example.com"));
    let agent = concat!("user-agent: ringgate-health/", env!("CARGO_PKG_VERSION"));
    assert_eq!(lines.next(), Some(agent));
}

/// What the backend of [`a_check_by_grpc_asks_for_the_service`] says of itself.
static SERVING: AtomicU16 = AtomicU16::new(1);

fn health_service(got: &Got, mut respond: SendResponse<Bytes>) {
    let message = b"\0\0\0\0\x0b\x0a\x09shop.Cart";
    let is_right = got.head.uri().path() == "/grpc.health.v1.Health/Check"
        && got.field("content-type") == Some("application/grpc")
        && got.field("te") == Some("trailers")
        && got.body == message;
    let status = u8::try_from(SERVING.load(Ordering::SeqCst)).unwrap();
    let response = Response::builder().header("content-type", "application/grpc");
    if !is_right || status > 3 {
        // Trailers only.
        let response = response.header("grpc-status", "12").body(()).unwrap();
        respond.send_response(response, true).unwrap();
        return;
    }
    let mut stream = respond
        .send_response(response.body(()).unwrap(), false)
        .unwrap();
    let answer = Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]);
    stream.send_data(answer, false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers).unwrap();
}

#[test]
fn a_check_by_grpc_asks_for_the_service() {
    let origin = http2::Origin::start(health_service);
    let settings = check(Probe::Grpc {
        service: "shop.Cart".into(),
    });
    let plane = in_front_of(&[origin.address], settings).by_http2().start();
    for (status, counts, failure) in [
        (2, [0, 1, 0], "it says NOT_SERVING"),
        (1, [1, 0, 0], "it says NOT_SERVING"),
        (4, [0, 1, 0], "the answer has grpc-status 12"),
    ] {
        SERVING.store(status, Ordering::SeqCst);
        await_states(&plane, "default/app:80", counts);
        let list = plane.ask_admin("/endpoints");
        assert!(
            list.contains(&format!("\"last_failure\": \"{failure}\"")),
            "{list}"
        );
    }
}

#[test]
fn a_check_by_http_is_in_http2_where_the_backend_speaks_that() {
    let origin = http2::Origin::start(http2::echo);
    let plane = in_front_of(&[origin.address], http_check())
        .by_http2()
        .start();
    let got = origin.request();
    assert_eq!(got.head.uri().path(), "/healthz");
    assert_eq!(
        got.head.uri().authority().unwrap().as_str(),
        origin.address.to_string()
    );
    await_states(&plane, "default/app:80", [1, 0, 0]);
}

/// Answers each request of a TLS connection with its `Host`.
fn secure(authority: &Authority) -> (SocketAddr, Receiver<String>) {
    let identity = authority.sign(&["backend.example.com"]);
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.chain.clone()], identity.key())
            .unwrap();
    let config = Arc::new(config);
    let (tell, told) = mpsc::channel();
    let address = peer(move |stream: TcpStream| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let mut tls = BufReader::new(StreamOwned::new(connection, stream));
        let mut line = String::new();
        while tls.read_line(&mut line).is_ok_and(|count| count > 0) {
            if let Some(host) = line.strip_prefix("host: ") {
                let _ = tell.send(host.trim().to_owned());
            }
            if line == "\r\n" {
                let _ = tls.get_mut().write_all(b"HTTP/1.1 204 x\r\n\r\n");
            }
            line.clear();
        }
    });
    (address, told)
}

#[test]
fn a_check_of_a_backend_with_tls_is_in_tls() {
    let authority = Authority::new();
    let (address, told) = secure(&authority);
    let authorities = Id::authorities("ConfigMap", &name("ca"));
    for (issuer, counts) in [(&authority, [1, 0, 0]), (&Authority::new(), [0, 1, 0])] {
        let mut wanted = in_front_of(&[address], http_check());
        let id = Id::backend(&name("app"), 80, BackendProtocol::Http1);
        let Some(Object::Backend(backend)) = wanted.objects.get_mut(&id) else {
            unreachable!("it is there");
        };
        backend.tls = Some(BackendTls {
            hostname: "backend.example.com".into(),
            trust: Trust::Authorities(vec![authorities.clone()]),
            names: Vec::new(),
        });
        wanted.objects.insert(authorities.clone(), issuer.object());
        let plane = wanted.start();
        await_states(&plane, "default/app:80", counts);
        if counts[0] == 1 {
            assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "backend.example.com");
        }
    }
}

/// Answers datagrams with its name.
fn datagrams(name: &'static str, address: &str) -> SocketAddr {
    let socket = UdpSocket::bind(address).unwrap();
    let here = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(name.as_bytes(), from);
        }
    });
    here
}

fn ask(client: &UdpSocket) -> String {
    client.send(b"?").unwrap();
    let mut bytes = [0; 64];
    let count = client.recv(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

fn udp(plane: &DataPlane) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", plane.port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Takes connections until it is dropped.
struct Port(TcpListener);

impl Port {
    fn at(address: &str, port: u16) -> Self {
        let listener = TcpListener::bind((address, port)).unwrap();
        let accepting = listener.try_clone().unwrap();
        thread::spawn(move || accepting.incoming().map_while(Result::ok).for_each(drop));
        Self(listener)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // The accept that waits on it ends, too.
        let _ = socket2::SockRef::from(&self.0).shutdown(Shutdown::Both);
    }
}

#[test]
fn sessions_of_datagrams_leave_an_endpoint_whose_checks_fail() {
    let first = Port::at("127.0.0.1", 0);
    let port = first.0.local_addr().unwrap().port();
    let second = Port::at("127.0.0.2", port);
    let backends = [datagrams("a", "127.0.0.1:0"), datagrams("b", "127.0.0.2:0")];
    let mut settings = check(Probe::Tcp);
    settings.health_check.as_mut().unwrap().port = Some(port);
    let plane = Streams::new(StreamProtocol::Udp)
        .listener("", Protocol::Udp)
        .route("", "", &[("app", 1)])
        .backend_with("app", &backends, settings, None)
        .start();
    let clients: Vec<_> = (0..20).map(|_| udp(&plane)).collect();
    let names: Vec<_> = clients.iter().map(ask).collect();
    assert!(names.iter().any(|name| name == "a") && names.iter().any(|name| name == "b"));
    drop(second);
    await_states(&plane, "default/app:80", [1, 1, 0]);
    for client in &clients {
        assert_eq!(ask(client), "a");
    }
    // Now that all are out, whoever has an endpoint stays there.
    drop(first);
    await_states(&plane, "default/app:80", [0, 2, 0]);
    for client in &clients {
        assert_eq!(ask(client), "a");
    }
}

#[test]
fn endpoints_that_refuse_datagrams_are_put_aside() {
    let gone = {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let plane = Streams::new(StreamProtocol::Udp)
        .listener("", Protocol::Udp)
        .route("", "", &[("app", 1)])
        .backend_with(
            "app",
            &[datagrams("a", "127.0.0.1:0"), gone],
            outliers(3, Duration::from_secs(3600)),
            None,
        )
        .start();
    // Each client that comes to the one that is gone is refused there.
    wait_until(|| {
        udp(&plane).send(b"?").unwrap();
        plane
            .ask_admin("/metrics")
            .contains("state=\"ejected\"} 1\n")
            .then_some(())
    });
    for _ in 0..20 {
        assert_eq!(ask(&udp(&plane)), "a");
    }
}

#[test]
fn failures_of_all_workers_count_together_and_an_endpoint_comes_back_in_time() {
    let (bad, good) = (Backend::start("a"), Backend::start("b"));
    bad.status.store(503, Ordering::SeqCst);
    let settings = outliers(30, Duration::from_secs(2));
    let plane = in_front_of(&[bad.address, good.address], settings).start_with(&["--workers", "2"]);
    while bad.served() < 30 {
        let status = plane.get("/").0;
        assert!(matches!(status, 200 | 503), "{status}");
    }
    // Neither worker has seen as many alone.
    plane.await_metric(
        "ringgate_endpoint_ejections_total{backend=\"default/app:80\"}",
        1,
    );
    assert_eq!(bad.served(), 30);
    bad.status.store(200, Ordering::SeqCst);
    all_from(&plane, "b");
    let list = plane.ask_admin("/endpoints");
    assert!(
        list.contains("\"last_failure\": \"it answers with status 503\""),
        "{list}"
    );
    await_states(&plane, "default/app:80", [2, 0, 0]);
    await_answer(&plane, "a");
}

#[test]
fn an_endpoint_that_takes_no_connections_is_put_aside() {
    let good = Backend::start("b");
    let settings = outliers(3, Duration::from_secs(3600));
    let plane = in_front_of(&[nobody(), good.address], settings).start();
    // A request that got no connection goes to another endpoint: clients see nothing of it.
    wait_until(|| {
        assert_eq!(plane.get("/"), (200, "b".to_owned()));
        plane
            .ask_admin("/metrics")
            .contains("state=\"ejected\"} 1\n")
            .then_some(())
    });
    plane.await_metric("ringgate_upstream_connect_failures_total", 3);
    all_from(&plane, "b");
    plane.await_metric("ringgate_upstream_connect_failures_total", 3);
}

#[test]
fn successes_between_failures_and_the_last_endpoint_are_left_alone() {
    let only = Backend::start("a");
    let settings = outliers(3, Duration::from_secs(3600));
    let plane = in_front_of(&[only.address], settings).start();
    only.status.store(503, Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(plane.get("/").0, 503);
    }
    await_states(&plane, "default/app:80", [1, 0, 0]);
    assert_eq!(only.served(), 10);

    let (one, other) = (Backend::start("a"), Backend::start("b"));
    let settings = outliers(3, Duration::from_secs(3600));
    let plane = in_front_of(&[one.address, other.address], settings).start();
    for _ in 0..5 {
        for status in [503, 504, 200] {
            one.status.store(status, Ordering::SeqCst);
            let before = one.served();
            while one.served() == before {
                plane.get("/");
            }
        }
    }
    await_states(&plane, "default/app:80", [2, 0, 0]);
}

/// Answers never.
fn silent() -> SocketAddr {
    peer(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[test]
fn a_client_that_waits_for_less_ejects_nobody() {
    let settings = outliers(1, Duration::from_secs(3600));
    let mut wanted = Wanted::new().grpc_route(vec![rule("app")]);
    wanted.backend_with("app", &[silent(), silent()], settings);
    let plane = wanted.start();
    for _ in 0..5 {
        let mut client = plane.connect();
        client.send(
            "POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\nte: trailers\r\n\
             grpc-timeout: 1m\r\ncontent-length: 0\r\n\r\n",
        );
        client.head();
    }
    await_states(&plane, "default/app:80", [2, 0, 0]);
}

#[test]
fn an_endpoint_that_answers_too_late_is_put_aside() {
    let good = Backend::start("b");
    let settings = BackendSettings {
        idle_timeout: Duration::from_millis(50),
        ..outliers(2, Duration::from_secs(3600))
    };
    let plane = in_front_of(&[silent(), good.address], settings).start();
    wait_until(|| {
        let status = plane.get("/").0;
        assert!(matches!(status, 200 | 504), "{status}");
        plane
            .ask_admin("/metrics")
            .contains("state=\"ejected\"} 1\n")
            .then_some(())
    });
    all_from(&plane, "b");
}

/// Answers with half of a body, and waits.
fn half() -> SocketAddr {
    peer(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc");
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[test]
fn a_client_that_leaves_in_the_middle_ejects_nobody() {
    let settings = outliers(1, Duration::from_secs(3600));
    let plane = in_front_of(&[half(), half()], settings).start();
    http2::talk(async {
        let mut client = http2::Client::connect(plane.port).await;
        for _ in 0..5 {
            let (response, _) = client.ask(http2::get("/"), true).await;
            let body = response.await.unwrap().into_body();
            // The last of it resets the stream.
            drop(body);
        }
        // As long as the connection is there, for the resets are to arrive.
        let page = || plane.ask_admin("/metrics");
        let counted = "http_client_requests_total{backend=\"default/app:80\",http_response_status_class=\"2xx\"} 5\n";
        while !page().contains(counted) {
            tokio::task::yield_now().await;
        }
    });
    await_states(&plane, "default/app:80", [2, 0, 0]);
    plane.await_metric(
        "ringgate_endpoint_ejections_total{backend=\"default/app:80\"}",
        0,
    );
}

/// Waits for a request no longer than some servers do.
fn impatient() -> SocketAddr {
    peer(|mut stream| {
        let patience = Some(Duration::from_millis(1200));
        stream.set_read_timeout(patience).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// A request that lacks the last byte of its body.
fn post(plane: &DataPlane, path: &str) -> Client {
    let mut client = plane.connect();
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nx");
    client.send(&head);
    client
}

#[test]
fn a_client_that_sends_slowly_ejects_nobody() {
    let settings = outliers(1, Duration::from_secs(3600));
    let timed = |backend: &'static str| {
        let mut timed = rule(backend);
        timed.matches = vec![prefix(&format!("/{backend}"))];
        timed.timeouts.request = Some(Duration::from_secs(1));
        timed
    };
    let mut wanted = Wanted::new().route(vec![timed("late"), timed("prompt"), rule("app")]);
    wanted.backend_with("app", &[impatient(), impatient()], settings.clone());
    wanted.backend_with("late", &[silent(), silent()], settings.clone());
    wanted.backend_with("prompt", &[silent(), silent()], settings);
    let plane = wanted.start();
    let (mut never, mut late) = (post(&plane, "/"), post(&plane, "/late"));
    thread::sleep(Duration::from_millis(800));
    late.send("x");
    assert_eq!(late.head().status, 504);
    assert_eq!(never.head().status, 502);
    // Those of an endpoint that alone was waited for are told later, and known by then.
    wait_until(|| {
        let mut prompt = post(&plane, "/prompt");
        prompt.send("x");
        assert_eq!(prompt.head().status, 504);
        let ejected = "ringgate_endpoint_ejections_total{backend=\"default/prompt:80\"} 1\n";
        plane.ask_admin("/metrics").contains(ejected).then_some(())
    });
    await_states(&plane, "default/prompt:80", [1, 0, 1]);
    let page = plane.ask_admin("/metrics");
    for backend in ["app", "late"] {
        let none =
            format!("ringgate_endpoint_ejections_total{{backend=\"default/{backend}:80\"}} 0\n");
        assert!(page.contains(&none), "{page}");
    }
}

#[test]
fn endpoints_that_take_their_time_with_checks_leave_turns_to_those_of_others() {
    let one = Backend::start("a");
    // It takes no connection from its queue.
    let hanging = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = hanging.local_addr().unwrap().port();
    let many: Vec<SocketAddr> = (0..1200_u16)
        .map(|number| {
            let [high, low] = number.to_be_bytes();
            SocketAddr::from(([127, 1, high, low], port))
        })
        .collect();
    let slow = HealthCheck {
        timeout: Duration::from_secs(3600),
        ..http_check().health_check.unwrap()
    };
    let slow = BackendSettings {
        health_check: Some(slow),
        ..BackendSettings::default()
    };
    let mut wanted = Wanted::new().route(vec![rule("app"), rule("slow")]);
    wanted.backend_with("app", &[one.address], http_check());
    wanted.backend_with("slow", &many, slow);
    let plane = wanted.start();
    for (status, state) in [(500, [0, 1, 0]), (200, [1, 0, 0]), (500, [0, 1, 0])] {
        one.health.store(status, Ordering::SeqCst);
        await_states(&plane, "default/app:80", state);
    }
}
