//! A data plane's start and end, and what can be seen of it meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use support::{Origin, Then, Wanted, plain, rule};

#[test]
fn metrics_config_and_the_access_log_tell_of_requests() {
    let origin = Origin::start(plain);
    let log = tempfile::tempdir().unwrap();
    let path = log.path().join("access.log");
    let wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    let gateway = wanted.start_with(&["--access-log", path.to_str().unwrap()]);
    assert_eq!(gateway.get("/seen?x").0, 200);
    let metrics = gateway.ask_admin("/metrics");
    for line in [
        "http_server_requests_total{gateway=\"default/gw\",listener=\"web\",route_kind=\"HTTPRoute\",route=\"default/route\",rule=\"0\",http_response_status_class=\"2xx\"} 1",
        "http_client_requests_total{backend=\"default/one:80\",http_response_status_class=\"2xx\"} 1",
        "http_server_request_duration_seconds_count{gateway=\"default/gw\",listener=\"web\"} 1",
        "ringgate_config_sequence 1",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(
        gateway
            .ask_admin("/config")
            .contains("\"httproute/default/route\"")
    );
    assert!(gateway.ask_admin("/addresses").ends_with("[\"127.0.0.1\"]"));
    assert!(gateway.ask_admin("/livez").contains("200 OK"));
    let line = loop {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text.ends_with('\n') {
            break text;
        }
        std::thread::yield_now();
    };
    for part in [
        "\"target\":\"/seen?x\"",
        "\"status\":200",
        "\"route\":\"default/route\"",
        "\"backend\":\"default/one:80\"",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn the_first_signal_drains_and_requests_under_way_are_answered() {
    let origin = Origin::start(|stream, request| {
        std::thread::sleep(Duration::from_millis(300));
        plain(stream, request);
        Then::Next
    });
    let wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    let mut gateway = wanted.start();
    let mut idle = gateway.connect();
    idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.response().status, 200);
    origin.request();
    let mut busy = gateway.connect();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.request();
    gateway.signal("-TERM");
    assert!(idle.is_closed());
    let response = busy.response();
    assert_eq!(
        (response.status, response.field("connection")),
        (200, Some("close"))
    );
    assert!(gateway.wait().success());
}

#[test]
fn while_an_announced_address_is_here_nobody_is_refused_at_the_end_and_who_has_connected_is_answered()
 {
    let wanted = Wanted::new().echo("one").route(vec![rule("one")]);
    let address = SocketAddr::from(([127, 0, 0, 1], wanted.port));
    let mut gateway = wanted.start_with(&["--announced"]);
    let mut connected = gateway.connect();
    assert_eq!(gateway.get("/").0, 200);
    gateway.signal("-TERM");
    gateway.wait_for_log("draining");
    let tried = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
    // The shards hear of it soon.
    while tried().is_ok() {
        gateway.ask_admin("/readyz");
    }
    connected.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = connected.response();
    assert_eq!(
        (response.status, response.field("connection")),
        (200, Some("close"))
    );
    for _ in 0..5 {
        assert_eq!(tried().unwrap_err().kind(), ErrorKind::TimedOut);
    }
    assert!(gateway.ask_admin("/readyz").contains("draining: 0 clients"));
    assert!(gateway.wait().success());
}

#[test]
fn the_second_signal_ends_at_once() {
    let origin = Origin::start(|_, _| {
        std::thread::sleep(Duration::from_secs(600));
        Then::Close
    });
    let wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    let mut gateway = wanted.start();
    let mut busy = gateway.connect();
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.request();
    gateway.signal("-TERM");
    gateway.wait_for_log("draining");
    gateway.signal("-TERM");
    assert!(gateway.wait().success());
}

#[test]
fn a_port_that_is_taken_is_named_and_taken_over_when_it_is_free() {
    let wanted = Wanted::new().echo("one").route(vec![rule("one")]);
    let holder = TcpListener::bind(("127.0.0.1", wanted.port)).unwrap();
    let gateway = wanted.start();
    gateway.wait_for_log("another process listens there");
    assert!(
        gateway
            .ask_admin("/metrics")
            .contains("ringgate_config_failures 1")
    );
    drop(holder);
    while !gateway
        .ask_admin("/metrics")
        .contains("ringgate_config_failures 0")
    {
        std::thread::yield_now();
    }
    assert_eq!(gateway.get("/").0, 200);
}

#[test]
fn epoll_carries_the_same_traffic() {
    let origin = Origin::start(plain);
    let wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    let gateway = wanted.start_with(&["--driver", "epoll"]);
    let mut client = gateway.connect();
    for _ in 0..20 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(client.response().text(), "POST");
    }
    assert!(gateway.ask_admin("/metrics").contains("driver=\"epoll\""));
}
