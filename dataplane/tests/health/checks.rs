//! Checks: what is asked, and what becomes of endpoints that fail them.

use super::*;

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
