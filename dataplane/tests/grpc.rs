//! What clients of gRPC are told by the gateway itself, how long it waits for them, and what it translates.
//! Mostly framed as HTTP/1 here: what carries the messages makes no difference to it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use ringgate_core::ir::{
    BackendTarget, ListenerSettings, Match, PathMatch, RpcMatch, TextMatch, Timeouts,
    WeightedBackend,
};
use support::http2::{self, Client, answer, post, talk};
use support::{DataPlane, Origin, Response, Rule, Then, Wanted, rule};

const MESSAGE: &str = "\0\0\0\0\u{2}hi";

fn call_as(gateway: &DataPlane, path: &str, content_type: &str, fields: &str) -> Response {
    let mut client = gateway.connect();
    client.send(&format!(
        "POST {path} HTTP/1.1\r\nhost: a.example\r\ncontent-type: {content_type}\r\n{fields}content-length: {}\r\n\r\n{MESSAGE}",
        MESSAGE.len()
    ));
    client.response()
}

fn call(gateway: &DataPlane, path: &str) -> Response {
    call_as(gateway, path, "application/grpc+proto", "")
}

/// `grpc-status` of a response of trailers only.
fn status(response: &Response) -> Option<&str> {
    assert_eq!(response.status, 200);
    assert_eq!(response.body, b"");
    response.field("grpc-status")
}

fn of_service(service: &str, rule: Rule) -> Rule {
    let rpc = RpcMatch {
        service: Some(TextMatch::Exact(service.into())),
        method: None,
    };
    let one = Match {
        path: PathMatch::Rpc(rpc),
        ..support::prefix("/")
    };
    Rule {
        matches: vec![one],
        ..rule
    }
}

fn invalid() -> Rule {
    let target = WeightedBackend {
        target: BackendTarget::Invalid,
        weight: 1,
        filters: Vec::new(),
    };
    Rule {
        backends: vec![target],
        ..rule("none")
    }
}

/// Reads and doesn't answer.
fn silent(_: &mut std::net::TcpStream, _: &support::Request) -> Then {
    Then::Next
}

#[test]
fn errors_of_the_gateway_are_statuses_of_grpc() {
    let gateway = Wanted::new()
        .backend("empty", &[])
        .grpc_route(vec![
            of_service("a.Invalid", invalid()),
            of_service("a.Empty", rule("empty")),
            of_service(
                "a.Broken",
                Rule {
                    broken: true,
                    ..rule("empty")
                },
            ),
            of_service(
                "a.None",
                Rule {
                    backends: Vec::new(),
                    ..rule("empty")
                },
            ),
        ])
        .start();
    for (path, code, message) in [
        ("/a.Other/Get", "12", "No route matches this request."),
        (
            "/a.Invalid/Get",
            "14",
            "This route refers to a backend that doesn't exist or isn't granted.",
        ),
        (
            "/a.None/Get",
            "14",
            "This route has no backend with a weight above zero.",
        ),
        (
            "/a.Empty/Get",
            "14",
            "The backend has no endpoint that is ready.",
        ),
        ("/a.Broken/Get", "2", "This route can't be carried out."),
    ] {
        let response = call(&gateway, path);
        assert_eq!(status(&response), Some(code), "{path}");
        assert_eq!(response.field("grpc-message"), Some(message));
        assert_eq!(response.field("content-type"), Some("application/grpc"));
        assert!(response.field("date").is_some());
    }
    for kind in ["application/grpc-web", "application/grpc-web-text"] {
        let response = call_as(&gateway, "/a.Invalid/Get", kind, "");
        assert_eq!(status(&response), Some("14"));
        assert_eq!(response.field("content-type"), Some(kind));
    }
    let metrics = gateway.ask_admin("/metrics");
    let counted = "route_kind=\"GRPCRoute\",route=\"default/route\",rule=\"0\",http_response_status_class=\"5xx\"} 3";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn who_speaks_no_grpc_is_told_in_http() {
    let gateway = Wanted::new()
        .grpc_route(vec![of_service("a.B", invalid())])
        .start();
    assert_eq!(
        gateway.get("/a.B/Get").0,
        404,
        "a GRPCRoute is for gRPC alone"
    );
    let response = call_as(&gateway, "/a.B/Get", "application/json", "");
    assert_eq!(response.status, 404);
    assert_eq!(response.field("grpc-status"), None);
}

/// The same connection goes on behind an error.
#[test]
fn a_connection_serves_on_after_a_status_of_the_gateway() {
    let gateway = Wanted::new().grpc_route(vec![invalid()]).start();
    let mut client = gateway.connect();
    for _ in 0..3 {
        client.send(&format!("POST /a.B/Get HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 7\r\n\r\n{MESSAGE}"));
        assert_eq!(status(&client.response()), Some("14"));
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.response().status, 404);
    }
}

#[test]
fn a_client_is_told_when_its_own_time_is_over() {
    let origin = Origin::start(silent);
    let gateway = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")])
        .start();
    let began = Instant::now();
    let response = call_as(
        &gateway,
        "/a.B/Get",
        "application/grpc",
        "grpc-timeout: 300m\r\n",
    );
    let took = began.elapsed();
    assert_eq!(status(&response), Some("4"));
    assert!(took >= Duration::from_millis(250), "{took:?}");
    assert_eq!(origin.request().field("grpc-timeout"), Some("300m"));
}

/// Whichever is shorter counts, and the field says nothing outside of gRPC.
#[test]
fn the_routes_time_bounds_the_clients() {
    let origin = Origin::start(silent);
    let timeouts = Timeouts {
        request: Some(Duration::from_millis(300)),
        backend_request: None,
    };
    let gateway = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![Rule {
            timeouts,
            ..rule("one")
        }])
        .start();
    let patient = call_as(
        &gateway,
        "/a.B/Get",
        "application/grpc",
        "grpc-timeout: 1H\r\n",
    );
    assert_eq!(status(&patient), Some("4"));
    let began = Instant::now();
    let other = call_as(&gateway, "/", "text/plain", "grpc-timeout: 1m\r\n");
    assert_eq!(other.status, 504);
    assert!(began.elapsed() >= Duration::from_millis(250));
}

/// A status that a backend gives goes through as it is.
#[test]
fn answers_of_backends_pass() {
    let origin = Origin::start(|stream, _| {
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-type: application/grpc\r\ngrpc-status: 5\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        Then::Next
    });
    let gateway = Wanted::new()
        .backend("one", &[origin.address])
        .grpc_route(vec![of_service("a.B", rule("one"))])
        .start();
    let response = call(&gateway, "/a.B/Get");
    assert_eq!(response.status, 404);
    assert_eq!(response.field("grpc-status"), Some("5"));
    assert_eq!(origin.request().body, MESSAGE.as_bytes());
}

/// Answers with what it got, and a status behind it.
fn repeat(stream: &mut std::net::TcpStream, request: &support::Request) -> Then {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc+proto\r\ntransfer-encoding: chunked\r\n\r\n";
    let size = format!("{:x}\r\n", request.body.len());
    let end = "\r\n0\r\ngrpc-status: 0\r\n\r\n";
    for part in [
        head.as_bytes(),
        size.as_bytes(),
        &request.body,
        end.as_bytes(),
    ] {
        stream.write_all(part).unwrap();
    }
    Then::Next
}

const TRAILERS: &str = "\u{80}\0\0\0\u{10}grpc-status: 0\r\n";

fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect()
}

#[test]
fn grpc_web_is_translated_for_backends_of_a_grpc_route() {
    let origin = Origin::start(repeat);
    let gateway = Wanted::new()
        .backend("one", &[origin.address])
        .grpc_route(vec![of_service("a.B", rule("one"))])
        .start();
    let response = call_as(
        &gateway,
        "/a.B/Get",
        "application/grpc-web+proto",
        "x-grpc-web: 1\r\n",
    );
    let sent = origin.request();
    assert_eq!(sent.field("content-type"), Some("application/grpc+proto"));
    assert_eq!(sent.body, MESSAGE.as_bytes());
    assert_eq!(
        response.field("content-type"),
        Some("application/grpc-web+proto")
    );
    assert_eq!(response.body, bytes(&format!("{MESSAGE}{TRAILERS}")));

    let mut client = gateway.connect();
    for framing in [
        "content-length: 12\r\n\r\nAAAAAAJoaQ==",
        "transfer-encoding: chunked\r\n\r\n5\r\nAAAAA\r\n7\r\nAJoaQ==\r\n0\r\n\r\n",
    ] {
        client.send(&format!("POST /a.B/Get HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc-web-text\r\n{framing}"));
        let response = client.response();
        assert_eq!(origin.request().body, MESSAGE.as_bytes());
        assert_eq!(
            response.field("content-type"),
            Some("application/grpc-web-text+proto")
        );
        assert_eq!(response.text(), "AAAAAAJoaQ==gAAAABBncnBjLXN0YXR1czogMA0K");
    }
}

#[test]
fn text_of_grpc_web_that_is_none_is_refused() {
    let origin = Origin::start(repeat);
    let gateway = Wanted::new()
        .backend("one", &[origin.address])
        .grpc_route(vec![of_service("a.B", rule("one"))])
        .start();
    let response = call_as(&gateway, "/a.B/Get", "application/grpc-web-text", "");
    assert_eq!(status(&response), Some("13"), "the message is no base64");
    assert!(origin.has_none());
}

/// Its backend may understand it.
#[test]
fn an_http_route_passes_grpc_web_on() {
    let origin = Origin::start(repeat);
    let gateway = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")])
        .start();
    call_as(&gateway, "/a.B/Get", "application/grpc-web", "");
    assert_eq!(
        origin.request().field("content-type"),
        Some("application/grpc-web")
    );
}

/// What isn't gRPC's stays, and so does a status that stands in the head.
#[test]
fn answers_without_trailers_are_not_recoded() {
    let origin = Origin::start(|stream, request| {
        let answer = match request.line.contains("Plain") {
            true => "HTTP/1.1 503 No\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\nbusy",
            false => {
                "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 5\r\ncontent-length: 0\r\n\r\n"
            }
        };
        stream.write_all(answer.as_bytes()).unwrap();
        Then::Next
    });
    let gateway = Wanted::new()
        .backend("one", &[origin.address])
        .grpc_route(vec![of_service("a.B", rule("one"))])
        .start();
    let plain = call_as(&gateway, "/a.B/Plain", "application/grpc-web", "");
    assert_eq!((plain.status, plain.text()), (503, "busy".to_owned()));
    let none = call_as(&gateway, "/a.B/Get", "application/grpc-web", "");
    assert_eq!(status(&none), Some("5"));
    assert_eq!(none.field("content-type"), Some("application/grpc-web"));
}

fn of_grpc(path: &str) -> http::Request<()> {
    let mut request = post(path);
    let headers = request.headers_mut();
    headers.insert("content-type", "application/grpc".parse().unwrap());
    headers.insert("te", "trailers".parse().unwrap());
    request
}

/// As clients and backends of gRPC speak.
#[test]
fn by_http2_a_call_goes_through_and_errors_are_trailers_alone() {
    let origin = http2::Origin::start(http2::echo);
    let gateway = Wanted::new()
        .backend("one", &[origin.address])
        .by_http2()
        .grpc_route(vec![of_service("a.B", rule("one"))])
        .start();
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let (response, mut stream) = client.ask(of_grpc("/a.B/Get"), false).await;
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let sending = http2::send(&mut stream, MESSAGE.into(), Some(trailers.clone()));
        let (done, ()) = tokio::join!(answer(response), sending);
        let done = done.unwrap();
        assert_eq!(done.body, MESSAGE.as_bytes());
        assert_eq!(done.trailers, Some(trailers));

        let (response, _stream) = client.ask(of_grpc("/a.C/Get"), false).await;
        let refused = response.await.unwrap();
        assert_eq!(refused.status(), 200);
        assert_eq!(refused.headers()["grpc-status"], "12");
        assert!(refused.body().is_end_stream(), "trailers alone");
    });
    assert_eq!(origin.request().field("te"), Some("trailers"));
}

#[test]
fn grpc_web_reaches_a_backend_of_http2() {
    let origin = http2::Origin::start(|_, mut respond| {
        let head = http::Response::builder().header("content-type", "application/grpc");
        let mut stream = respond
            .send_response(head.body(()).unwrap(), false)
            .unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        tokio::spawn(async move { http2::send(&mut stream, MESSAGE.into(), Some(trailers)).await });
    });
    let gateway = Wanted::new()
        .backend("one", &[origin.address])
        .by_http2()
        .grpc_route(vec![of_service("a.B", rule("one"))])
        .start();
    let response = call_as(&gateway, "/a.B/Get", "application/grpc-web", "");
    assert_eq!(response.body, bytes(&format!("{MESSAGE}{TRAILERS}")));
    let got = origin.request();
    assert_eq!(got.field("content-type"), Some("application/grpc"));
    assert_eq!(got.field("te"), Some("trailers"));
    assert_eq!(got.body, MESSAGE.as_bytes());
}

/// Trailers that come after a part of the answer, and say what a reset couldn't.
#[test]
fn a_call_that_goes_on_for_too_long_is_ended_with_its_status() {
    let origin = http2::Origin::start(|_, mut respond| {
        let head = http::Response::builder().header("content-type", "application/grpc");
        let mut stream = respond
            .send_response(head.body(()).unwrap(), false)
            .unwrap();
        stream.send_data(MESSAGE.into(), false).unwrap();
        tokio::spawn(async move {
            let _open = stream;
            std::future::pending::<()>().await;
        });
    });
    let gateway = Wanted::new()
        .backend("one", &[origin.address])
        .by_http2()
        .grpc_route(vec![of_service("a.B", rule("one"))])
        .start();
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let mut request = of_grpc("/a.B/Watch");
        let headers = request.headers_mut();
        headers.insert("grpc-timeout", "300m".parse().unwrap());
        let (response, _) = client.ask(request, true).await;
        let done = answer(response).await.unwrap();
        assert_eq!(done.body, MESSAGE.as_bytes());
        let trailers = done.trailers.unwrap();
        assert_eq!(trailers["grpc-status"], "4");
        assert!(!trailers["grpc-message"].is_empty());
    });
}

/// Between two chunks there is room for a status; elsewhere a reset has to do.
#[test]
fn a_chunk_that_is_cut_is_not_ended_with_a_status() {
    let origin = Origin::start(|stream, _| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n7\r\n\0\0";
        stream.write_all(head.as_bytes()).unwrap();
        Then::Next
    });
    let gateway = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")])
        .start();
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let mut request = of_grpc("/a.B/Watch");
        let headers = request.headers_mut();
        headers.insert("grpc-timeout", "300m".parse().unwrap());
        let (response, _) = client.ask(request, true).await;
        assert!(answer(response).await.is_err());
    });
}

#[test]
fn what_is_too_large_is_a_resource_that_is_exhausted() {
    let origin = http2::Origin::start(http2::echo);
    let mut wanted = Wanted::new().backend("one", &[origin.address]).by_http2();
    let mut settings = ListenerSettings::default();
    settings.limits.body_bytes = Some(4);
    wanted.listener(settings);
    let gateway = wanted
        .grpc_route(vec![of_service("a.B", rule("one"))])
        .start();
    talk(async {
        let mut client = Client::connect(gateway.port).await;
        let mut many = of_grpc("/a.B/Get");
        for field in 0..200 {
            let name = http::HeaderName::try_from(format!("x-{field}")).unwrap();
            many.headers_mut().insert(name, "1".parse().unwrap());
        }
        let (response, _) = client.ask(many, true).await;
        let refused = response.await.unwrap();
        assert_eq!(refused.headers()["grpc-status"], "8", "431");
        let (response, mut stream) = client.ask(of_grpc("/a.B/Get"), false).await;
        stream.send_data(MESSAGE.into(), true).unwrap();
        let refused = response.await.unwrap();
        assert_eq!(refused.headers()["grpc-status"], "8", "413");
    });
}
