//! TLS with clients and with backends, through the real data plane.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ringgate_core::ir::{
    BackendProtocol, BackendTls, ClientValidation, Id, Object, SubjectName, Termination,
    TlsVersion, Trust, Unverified,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection,
    StreamOwned,
};
use support::certificates::{Authority, Identity, client_config, client_of, terminate};
use support::{DataPlane, Wanted, name, rule};

fn authorities() -> Id {
    Id::authorities("ConfigMap", &name("ca"))
}

/// One listener for every name, with one certificate, in front of an echo.
fn echo(identity: &Identity) -> Wanted {
    let mut wanted = Wanted::new().echo("one").route(vec![rule("one")]);
    wanted
        .objects
        .insert(Id::certificate(&name("cert")), identity.object());
    wanted
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn connect(plane: &DataPlane, config: &Arc<ClientConfig>, server_name: &str) -> Tls {
    let server_name = ServerName::try_from(server_name.to_owned()).unwrap();
    let connection = ClientConnection::new(config.clone(), server_name).unwrap();
    let stream = TcpStream::connect(("127.0.0.1", plane.port)).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    StreamOwned::new(connection, stream)
}

fn request(host: &str, more: &str) -> String {
    format!("GET /hello HTTP/1.1\r\nHost: {host}\r\n{more}\r\n")
}

/// A request whose connection closes behind it; everything that came, if it ended as TLS wants it.
fn ask(mut tls: Tls, host: &str) -> std::io::Result<String> {
    tls.write_all(request(host, "Connection: close\r\n").as_bytes())?;
    let mut text = String::new();
    tls.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn both_versions_serve_and_say_https_to_the_backend() {
    let authority = Authority::new();
    let plane = echo(&authority.sign(&["a.example.com"]))
        .https("all", "", terminate(&["cert"]))
        .start();
    for (version, protocol) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let config = client_of(authority.roots(), &[version]).with_no_client_auth();
        let mut tls = connect(&plane, &Arc::new(config), "a.example.com");
        tls.conn.complete_io(&mut tls.sock).unwrap();
        assert_eq!(tls.conn.protocol_version(), Some(protocol));
        let answer = ask(tls, "a.example.com").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["headers"]["x-forwarded-proto"][0], "https");
    }
}

#[test]
fn a_listener_that_asks_for_1_3_takes_nothing_older() {
    let authority = Authority::new();
    let termination = Termination {
        minimum: TlsVersion::V1_3,
        ..terminate(&["cert"])
    };
    let plane = echo(&authority.sign(&["a.example.com"]))
        .https("all", "", termination)
        .start();
    let old = client_of(authority.roots(), &[&rustls::version::TLS12]).with_no_client_auth();
    assert!(
        ask(
            connect(&plane, &Arc::new(old), "a.example.com"),
            "a.example.com"
        )
        .is_err()
    );
    let new = Arc::new(client_config(authority.roots()));
    assert!(ask(connect(&plane, &new, "a.example.com"), "a.example.com").is_ok());
}

#[test]
fn the_server_name_chooses_listener_and_certificate() {
    let authority = Authority::new();
    let mut wanted = Wanted::new().echo("one").route(vec![rule("one")]);
    for (secret, names) in [
        ("exact", &["a.example.com"][..]),
        ("wild", &["*.example.com"]),
        ("many-1", &["x.example.org"]),
        ("many-2", &["*.example.org"]),
    ] {
        let id = Id::certificate(&name(secret));
        wanted.objects.insert(id, authority.sign(names).object());
    }
    let plane = wanted
        .https("exact", "a.example.com", terminate(&["exact"]))
        .https("wild", "*.example.com", terminate(&["wild"]))
        .https("many", "*.example.org", terminate(&["many-1", "many-2"]))
        .start();
    // The client checks that the certificate is for the name that it asks for.
    let config = Arc::new(client_config(authority.roots()));
    for host in [
        "a.example.com",
        "B.example.com",
        "x.example.org",
        "y.example.org",
    ] {
        let answer = ask(connect(&plane, &config, host), host).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    let error = ask(connect(&plane, &config, "nobody.example.net"), "x").unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    // A connection for one listener doesn't carry another's requests (GEP-3567).
    let answer = ask(connect(&plane, &config, "a.example.com"), "b.example.com").unwrap();
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
}

#[test]
fn a_client_hello_may_come_byte_by_byte() {
    let authority = Authority::new();
    let plane = echo(&authority.sign(&["a.example.com"]))
        .https("all", "", terminate(&["cert"]))
        .start();
    let config = Arc::new(client_config(authority.roots()));
    let mut tls = connect(&plane, &config, "a.example.com");
    tls.sock.set_nodelay(true).unwrap();
    let mut hello = Vec::new();
    tls.conn.write_tls(&mut hello).unwrap();
    for byte in hello {
        tls.sock.write_all(&[byte]).unwrap();
    }
    let answer = ask(tls, "a.example.com").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// What a client reads until the gateway ends the connection.
fn answer_to(plane: &DataPlane, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", plane.port)).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn what_is_no_handshake_is_refused_and_others_are_served() {
    let authority = Authority::new();
    let plane = echo(&authority.sign(&["a.example.com"]))
        .https("all", "", terminate(&["cert"]))
        .start();
    let endless = [
        &[22, 3, 1, 0x40, 0][..],
        &[1, 0xff, 0xff, 0xff],
        &[0; 0x3ffc],
    ]
    .concat();
    for bytes in [
        &b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"[..],
        b"\0\0\0\0\0\0\0\0",
        &endless,
    ] {
        let answer = answer_to(&plane, bytes);
        // A fatal alert.
        assert_eq!(answer.first(), Some(&21), "{answer:?}");
        assert_eq!(answer.get(5), Some(&2), "{answer:?}");
    }
    let config = Arc::new(client_config(authority.roots()));
    assert!(ask(connect(&plane, &config, "a.example.com"), "a.example.com").is_ok());
    let metrics = plane.ask_admin("/metrics");
    assert!(
        metrics.contains("ringgate_handshake_failures_total 3\n"),
        "{metrics}"
    );
}

#[test]
fn a_handshake_that_stalls_is_ended_at_the_header_timeout() {
    let authority = Authority::new();
    let mut wanted =
        echo(&authority.sign(&["a.example.com"])).https("all", "", terminate(&["cert"]));
    for object in wanted.objects.values_mut() {
        if let Object::Listener(listener) = object {
            listener.settings.timeouts.header = Duration::from_millis(200);
        }
    }
    let plane = wanted.start();
    // Nothing at all; the beginning of a ClientHello; a whole one, and then nothing.
    let config = Arc::new(client_config(authority.roots()));
    let server_name = ServerName::try_from("a.example.com").unwrap();
    let mut connection = ClientConnection::new(config, server_name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    assert_eq!(answer_to(&plane, b""), b"");
    assert_eq!(answer_to(&plane, &hello[..20]), b"");
    assert!(!answer_to(&plane, &hello).is_empty());
}

#[test]
fn who_speaks_plain_http_is_told_so() {
    let authority = Authority::new();
    let plane = echo(&authority.sign(&["a.example.com"]))
        .https("all", "", terminate(&["cert"]))
        .start();
    let mut client = plane.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 400);
    assert!(response.text().contains("https://"), "{}", response.text());
}

#[test]
fn sessions_are_resumed_by_any_shard() {
    let authority = Authority::new();
    let plane = echo(&authority.sign(&["a.example.com"]))
        .https("all", "", terminate(&["cert"]))
        .start_with(&["--workers", "2"]);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = client_of(authority.roots(), &[version]).with_no_client_auth();
        let config = Arc::new(config);
        for turn in 0..8 {
            let mut tls = connect(&plane, &config, "a.example.com");
            tls.conn.complete_io(&mut tls.sock).unwrap();
            let expected = match turn {
                0 => HandshakeKind::Full,
                _ => HandshakeKind::Resumed,
            };
            assert_eq!(
                tls.conn.handshake_kind(),
                Some(expected),
                "{version:?} {turn}"
            );
            ask(tls, "a.example.com").unwrap();
        }
    }
}

#[test]
fn large_bodies_pass_both_ways_while_keys_change() {
    let authority = Authority::new();
    let origin = support::Origin::start(|stream, request| {
        let length = request.body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        )
        .unwrap();
        stream.write_all(&request.body).unwrap();
        support::Then::Next
    });
    let mut wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    let identity = authority.sign(&["a.example.com"]);
    wanted
        .objects
        .insert(Id::certificate(&name("cert")), identity.object());
    let plane = wanted.https("all", "", terminate(&["cert"])).start();
    let config = Arc::new(client_config(authority.roots()));
    let mut tls = connect(&plane, &config, "a.example.com");
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    tls.write_all(head.as_bytes()).unwrap();
    for part in body.chunks(500_000) {
        tls.write_all(part).unwrap();
        tls.conn.refresh_traffic_keys().unwrap();
    }
    let mut came = Vec::new();
    let mut part = vec![0; 64 << 10];
    while came.len() < body.len() {
        let count = tls.read(&mut part).unwrap();
        assert!(count > 0, "the answer ended after {} bytes", came.len());
        came.extend_from_slice(&part[..count]);
    }
    assert!(came.ends_with(&body[body.len() - 1_000_000..]));
}

/// A listener that lets in whoever the mode says.
fn validated(authority: &Authority, clients: &Authority, unverified: Unverified) -> DataPlane {
    let mut wanted = echo(&authority.sign(&["a.example.com"]));
    wanted.objects.insert(authorities(), clients.object());
    let validation = ClientValidation {
        authorities: vec![authorities()],
        unverified,
    };
    let termination = Termination {
        clients: Some(validation),
        ..terminate(&["cert"])
    };
    wanted.https("all", "", termination).start()
}

fn with_certificate(authority: &Authority, identity: &Identity) -> Arc<ClientConfig> {
    let builder = client_of(authority.roots(), rustls::ALL_VERSIONS);
    let config = builder.with_client_auth_cert(vec![identity.chain.clone()], identity.key());
    Arc::new(config.unwrap())
}

#[test]
fn clients_show_a_certificate_where_they_must() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let plane = validated(&authority, &clients, Unverified::Refuse);
    let known = with_certificate(&authority, &clients.sign(&["client"]));
    let unknown = with_certificate(&authority, &strangers.sign(&["client"]));
    let nobody = Arc::new(client_config(authority.roots()));
    let host = "a.example.com";
    assert!(ask(connect(&plane, &known, host), host).is_ok());
    assert!(ask(connect(&plane, &unknown, host), host).is_err());
    assert!(ask(connect(&plane, &nobody, host), host).is_err());
}

#[test]
fn clients_without_a_valid_certificate_are_let_in_on_request() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let plane = validated(&authority, &clients, Unverified::LetIn);
    let unknown = with_certificate(&authority, &strangers.sign(&["client"]));
    let nobody = Arc::new(client_config(authority.roots()));
    let host = "a.example.com";
    assert!(ask(connect(&plane, &unknown, host), host).is_ok());
    assert!(ask(connect(&plane, &nobody, host), host).is_ok());
}

/// A backend that speaks TLS; it answers with the number of certificates that it was shown.
fn secure_origin(identity: &Identity, clients: Option<&Authority>) -> SocketAddr {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let roots = Arc::new(clients.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let config = builder
        .with_single_cert(vec![identity.chain.clone()], identity.key())
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let tls = StreamOwned::new(connection, stream.unwrap());
            thread::spawn(move || answer(tls));
        }
    });
    address
}

/// Requests without bodies, until the gateway closes.
fn answer(mut tls: StreamOwned<ServerConnection, TcpStream>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while tls.read(&mut byte).is_ok_and(|count| count == 1) {
        head.extend_from_slice(&byte);
        if head.ends_with(b"\r\n\r\n") {
            let shown = tls.conn.peer_certificates().map_or(0, <[_]>::len);
            let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nshown {shown}");
            tls.write_all(text.as_bytes()).unwrap();
            head.clear();
        }
    }
}

fn to_secure(address: SocketAddr, authority: &Authority, names: &[SubjectName]) -> Wanted {
    let mut wanted = Wanted::new()
        .backend("one", &[address])
        .route(vec![rule("one")]);
    let id = Id::backend(&name("one"), 80, BackendProtocol::Http1);
    if let Some(Object::Backend(backend)) = wanted.objects.get_mut(&id) {
        backend.tls = Some(BackendTls {
            hostname: "backend.example.com".into(),
            trust: Trust::Authorities(vec![authorities()]),
            names: names.to_vec(),
        });
    }
    wanted.objects.insert(authorities(), authority.object());
    wanted
}

#[test]
fn backends_are_spoken_to_in_tls_and_their_connections_used_again() {
    let authority = Authority::new();
    let origin = secure_origin(&authority.sign(&["backend.example.com"]), None);
    let plane = to_secure(origin, &authority, &[]).start();
    for _ in 0..5 {
        assert_eq!(plane.get("/"), (200, "shown 0".to_owned()));
    }
    let opened = "ringgate_upstream_connections_total 1\n";
    assert!(plane.ask_admin("/metrics").contains(opened));
}

#[test]
fn a_backend_that_is_not_who_it_should_be_gets_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let host = ["backend.example.com"];
    let wrong_authority = secure_origin(&stranger.sign(&host), None);
    let plane = to_secure(wrong_authority, &authority, &[]).start();
    assert_eq!(plane.get("/").0, 503);
    let wrong_name = secure_origin(&authority.sign(&["other.example.com"]), None);
    let plane = to_secure(wrong_name, &authority, &[]).start();
    assert_eq!(plane.get("/").0, 503);
    // None of the authorities is there: that isn't the same as any authority.
    let right = secure_origin(&authority.sign(&host), None);
    let mut wanted = to_secure(right, &authority, &[]);
    wanted.objects.remove(&authorities());
    assert_eq!(wanted.start().get("/").0, 503);
}

#[test]
fn subject_names_of_a_policy_replace_the_hostname() {
    let authority = Authority::new();
    let names = ["other.example.com", "spiffe://cluster/one"];
    for (wanted, status) in [
        (SubjectName::Dns("other.example.com".into()), 200),
        (SubjectName::Dns("*.example.com".into()), 200),
        (SubjectName::Uri("spiffe://cluster/one".into()), 200),
        (SubjectName::Uri("spiffe://cluster/two".into()), 503),
        (SubjectName::Dns("backend.example.com".into()), 503),
    ] {
        let origin = secure_origin(&authority.sign(&names), None);
        let plane = to_secure(origin, &authority, std::slice::from_ref(&wanted)).start();
        assert_eq!(plane.get("/").0, status, "{wanted:?}");
    }
}

#[test]
fn backends_are_shown_the_gateways_certificate() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let origin = secure_origin(&authority.sign(&["backend.example.com"]), Some(&clients));
    let nobody = to_secure(origin, &authority, &[]).start();
    assert_ne!(nobody.get("/").0, 200);
    let mut wanted = to_secure(origin, &authority, &[]);
    let ours = Id::certificate(&name("ours"));
    wanted
        .objects
        .insert(ours.clone(), clients.sign(&["gateway"]).object());
    for object in wanted.objects.values_mut() {
        if let Object::Listener(listener) = object {
            listener.client_certificate = Some(ours.clone());
        }
    }
    let plane = wanted.start();
    assert_eq!(plane.get("/"), (200, "shown 1".to_owned()));
}

#[test]
fn a_listener_without_http2_does_not_offer_it() {
    let authority = Authority::new();
    for (http2, agreed) in [(true, b"h2".as_slice()), (false, b"http/1.1")] {
        let mut wanted = echo(&authority.sign(&["a.example.com"]));
        wanted = wanted.https("all", "", terminate(&["cert"]));
        for object in wanted.objects.values_mut() {
            if let Object::Listener(listener) = object {
                listener.settings.http2 = http2;
            }
        }
        let plane = wanted.start();
        let mut config = client_config(authority.roots());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut tls = connect(&plane, &Arc::new(config), "a.example.com");
        tls.conn.complete_io(&mut tls.sock).unwrap();
        assert_eq!(tls.conn.alpn_protocol(), Some(agreed));
        if !http2 {
            let answer = ask(tls, "a.example.com").unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
    }
}
