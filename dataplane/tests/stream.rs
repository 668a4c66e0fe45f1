//! Connections whose bytes go to a backend whatever they mean, through the real data plane: TLS that passes,
//! and TLS that ends there.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use ringgate_core::ir::{
    BackendSettings, BackendTls, Id, Network, Protocol, ProxyHeader, ProxyProtocol, StreamProtocol,
    Trust,
};
use ringgate_core::proxy_protocol::{Header, parse, write};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use support::certificates::{Authority, Identity, client_config, terminate};
use support::streams::{Streams, lines, nobody, peer, tcp};
use support::{DataPlane, Wanted, name};

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn ends() -> Protocol {
    Protocol::Tls(terminate(&["cert"]))
}

/// As [`lines`], inside of TLS.
fn secure_lines(name: &'static str, identity: &Identity) -> SocketAddr {
    let chain = vec![identity.chain.clone()];
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, identity.key())
            .unwrap();
    let config = Arc::new(config);
    peer(move |stream| {
        let session = ServerConnection::new(config.clone()).unwrap();
        let mut tls = StreamOwned::new(session, stream);
        let mut line = String::new();
        let mut byte = [0];
        while tls.read(&mut byte).is_ok_and(|count| count == 1) {
            line.push(char::from(byte[0]));
            if line.ends_with('\n') {
                let server_name = tls.conn.server_name().unwrap_or("nobody").to_owned();
                let answer = format!("{name} as {server_name}: {line}");
                tls.write_all(answer.as_bytes()).unwrap();
                line.clear();
            }
        }
    })
}

fn client(config: &Arc<ClientConfig>, server_name: &str) -> ClientConnection {
    let server_name = ServerName::try_from(server_name.to_owned()).unwrap();
    ClientConnection::new(config.clone(), server_name).unwrap()
}

fn connect(plane: &DataPlane, authority: &Authority, server_name: &str) -> Tls {
    let config = Arc::new(client_config(authority.roots()));
    StreamOwned::new(client(&config, server_name), tcp(plane))
}

/// One line there and back.
fn ask(tls: &mut Tls) -> std::io::Result<String> {
    tls.write_all(b"hello\n")?;
    let mut answer = String::new();
    let mut byte = [0];
    while !answer.ends_with('\n') {
        tls.read_exact(&mut byte)?;
        answer.push(char::from(byte[0]));
    }
    Ok(answer.trim_end().to_owned())
}

fn ask_once(
    plane: &DataPlane,
    authority: &Authority,
    server_name: &str,
) -> std::io::Result<String> {
    ask(&mut connect(plane, authority, server_name))
}

/// All that comes until the gateway ends the connection; a reset is an end too.
fn answer_to(plane: &DataPlane, bytes: &[u8]) -> Vec<u8> {
    let mut stream = tcp(plane);
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn hello(authority: &Authority, server_name: &str) -> Vec<u8> {
    let config = Arc::new(client_config(authority.roots()));
    let mut hello = Vec::new();
    client(&config, server_name).write_tls(&mut hello).unwrap();
    hello
}

/// What was received until the client's end, by connection.
fn recorder() -> (SocketAddr, Receiver<Vec<u8>>) {
    let (sender, received) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let address = peer(move |mut stream| {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let _ = sender.lock().unwrap().send(bytes);
    });
    (address, received)
}

#[test]
fn tls_passes_to_the_backend_of_its_server_name() {
    let authority = Authority::new();
    let one = secure_lines("one", &authority.sign(&["a.example.com"]));
    let two = secure_lines("two", &authority.sign(&["*.example.com"]));
    let plane = Streams::new(StreamProtocol::Tls)
        .listener("", Protocol::TlsPassthrough)
        .route("", "a.example.com", &[("one", 1)])
        .route("", "*.example.com", &[("two", 1)])
        .backend("one", &[one])
        .backend("two", &[two])
        .start();
    let ask = |host| ask_once(&plane, &authority, host).unwrap();
    assert_eq!(ask("a.example.com"), "one as a.example.com: hello");
    assert_eq!(ask("A.example.com"), "one as a.example.com: hello");
    assert_eq!(ask("b.example.com"), "two as b.example.com: hello");
    // Whom no route is for gets nothing: neither of the two speaks for the gateway.
    assert_eq!(answer_to(&plane, &hello(&authority, "c.example.org")), b"");
}

#[test]
fn bytes_that_pass_are_untouched_and_a_hello_may_come_byte_by_byte() {
    let authority = Authority::new();
    let (address, received) = recorder();
    let plane = Streams::new(StreamProtocol::Tls)
        .listener("", Protocol::TlsPassthrough)
        .route("", "a.example.com", &[("one", 1)])
        .backend("one", &[address])
        .start();
    let sent = [&hello(&authority, "a.example.com"), &b"\0anything\xff"[..]].concat();
    let mut stream = tcp(&plane);
    for byte in &sent {
        stream.write_all(&[*byte]).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(received.recv_timeout(support::PATIENCE).unwrap(), sent);
}

#[test]
fn without_a_server_name_only_a_route_for_every_name_takes_a_connection() {
    let authority = Authority::new();
    let identity = authority.sign(&["a.example.com"]);
    let one = secure_lines("one", &identity);
    let named = Streams::new(StreamProtocol::Tls)
        .listener("", Protocol::TlsPassthrough)
        .route("", "a.example.com", &[("one", 1)])
        .backend("one", &[one])
        .start();
    // An address is no server name (RFC 6066, section 3).
    let nameless = hello(&authority, "127.0.0.1");
    assert_eq!(answer_to(&named, &nameless), b"");
    let any = Streams::new(StreamProtocol::Tls)
        .listener("", Protocol::TlsPassthrough)
        .route("", "", &[("one", 1)])
        .backend("one", &[one])
        .start();
    let mut stream = tcp(&any);
    stream.write_all(&nameless).unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(first, [22], "the backend's handshake");
}

#[test]
fn what_is_no_hello_is_closed_without_a_word() {
    let authority = Authority::new();
    let one = lines("one");
    let plane = Streams::new(StreamProtocol::Tls)
        .listener("", Protocol::TlsPassthrough)
        .settings(|settings| settings.timeouts.header = Duration::from_millis(300))
        .route("", "", &[("one", 1)])
        .backend("one", &[one])
        .start();
    let endless = [
        &[22, 3, 1, 0x40, 0][..],
        &[1, 0xff, 0xff, 0xff],
        &[0; 0x3ffc],
    ]
    .concat();
    let whole = hello(&authority, "a.example.com");
    // Larger than allowed, none at all, plain HTTP, and one that doesn't come to its end in time.
    for bytes in [
        &endless[..],
        b"\0\0\0\0\0\0",
        b"GET / HTTP/1.1\r\n\r\n",
        &whole[..20],
    ] {
        let began = Instant::now();
        assert_eq!(answer_to(&plane, bytes), b"");
        assert!(began.elapsed() < support::PATIENCE / 2);
    }
    let metrics = plane.ask_admin("/metrics");
    assert!(
        metrics.contains("ringgate_upstream_connections_total 0\n"),
        "{metrics}"
    );
}

#[test]
fn tls_ends_here_and_its_bytes_go_to_the_backend_in_plain() {
    let authority = Authority::new();
    let plane = Streams::new(StreamProtocol::Tls)
        .listener("*.example.com", ends())
        .certificate(&authority.sign(&["a.example.com"]))
        .route("*.example.com", "a.example.com", &[("one", 1)])
        .backend("one", &[lines("one")])
        .start();
    let mut config = client_config(authority.roots());
    // What is inside of it is between client and backend.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let session = client(&Arc::new(config), "a.example.com");
    let mut tls = StreamOwned::new(session, tcp(&plane));
    assert_eq!(ask(&mut tls).unwrap(), "one: hello");
    assert_eq!(tls.conn.alpn_protocol(), None);
    // No route: the client is told in the handshake.
    let error = ask_once(&plane, &authority, "b.example.com").unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
}

#[test]
fn either_side_may_end_first_and_the_other_goes_on() {
    let authority = Authority::new();
    let identity = authority.sign(&["a.example.com", "b.example.com"]);
    // Answers only when it has seen the client's end, then ends too.
    let patient = peer(|mut stream| {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        stream
            .write_all(format!("all of {text}").as_bytes())
            .unwrap();
    });
    // Ends first, and goes on reading.
    let (sender, heard) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let hasty = peer(move |mut stream| {
        stream.write_all(b"that was all").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        sender.lock().unwrap().send(text).unwrap();
    });
    let plane = Streams::new(StreamProtocol::Tls)
        .listener("", ends())
        .certificate(&identity)
        .route("", "a.example.com", &[("patient", 1)])
        .route("", "b.example.com", &[("hasty", 1)])
        .backend("patient", &[patient])
        .backend("hasty", &[hasty])
        .start();
    let mut tls = connect(&plane, &authority, "a.example.com");
    tls.write_all(b"it").unwrap();
    tls.conn.send_close_notify();
    tls.flush().unwrap();
    let mut text = String::new();
    // An end without close_notify would be an error here.
    tls.read_to_string(&mut text).unwrap();
    assert_eq!(text, "all of it");

    let mut tls = connect(&plane, &authority, "b.example.com");
    let mut text = String::new();
    tls.read_to_string(&mut text).unwrap();
    assert_eq!(text, "that was all");
    tls.write_all(b"thanks").unwrap();
    tls.conn.send_close_notify();
    tls.flush().unwrap();
    let heard = heard.recv_timeout(support::PATIENCE).unwrap();
    assert_eq!(heard, "thanks");
}

#[test]
fn what_a_backend_cuts_is_not_taken_for_its_end() {
    let authority = Authority::new();
    let cut = peer(|mut stream| {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        stream.write_all(b"half").unwrap();
        // What is unread makes the kernel reset the connection.
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    });
    let plane = Streams::new(StreamProtocol::Tls)
        .listener("", ends())
        .certificate(&authority.sign(&["a.example.com"]))
        .route("", "a.example.com", &[("one", 1)])
        .backend("one", &[cut])
        .start();
    let mut tls = connect(&plane, &authority, "a.example.com");
    tls.write_all(b"hello").unwrap();
    let mut text = String::new();
    let error = tls.read_to_string(&mut text).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn an_endpoint_that_is_down_is_passed_over() {
    let authority = Authority::new();
    let one = secure_lines("one", &authority.sign(&["a.example.com"]));
    let plane = Streams::new(StreamProtocol::Tls)
        .listener("", Protocol::TlsPassthrough)
        .route("", "a.example.com", &[("one", 1)])
        .route("", "b.example.com", &[("down", 1)])
        .route("", "c.example.com", &[("empty", 1)])
        .backend("one", &[nobody(), one])
        .backend("down", &[nobody(), nobody()])
        .backend("empty", &[])
        .start();
    for _ in 0..8 {
        let answer = ask_once(&plane, &authority, "a.example.com").unwrap();
        assert_eq!(answer, "one as a.example.com: hello");
    }
    for host in ["b.example.com", "c.example.com"] {
        assert_eq!(answer_to(&plane, &hello(&authority, host)), b"", "{host}");
    }
}

#[test]
fn weights_are_kept_and_what_is_invalid_takes_its_share() {
    let authority = Authority::new();
    let identity = authority.sign(&["a.example.com"]);
    let plane = Streams::new(StreamProtocol::Tls)
        .listener("", ends())
        .certificate(&identity)
        .route(
            "",
            "a.example.com",
            &[("one", 7), ("two", 2), ("", 1), ("never", 0)],
        )
        .backend("one", &[lines("one")])
        .backend("two", &[lines("two")])
        .backend("never", &[lines("never")])
        .start();
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..20 {
        let answer = ask_once(&plane, &authority, "a.example.com");
        let who = answer.unwrap_or_else(|_| "closed".to_owned());
        *counts.entry(who).or_insert(0) += 1;
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(who, count)| (who.as_str(), *count))
        .collect();
    assert_eq!(
        counts,
        [("closed", 2), ("one: hello", 14), ("two: hello", 4)]
    );
}

#[test]
fn all_modes_share_a_port() {
    let authority = Authority::new();
    let passes = secure_lines("passes", &authority.sign(&["passes.example.com"]));
    let wanted = Wanted::new().echo("web").route(vec![support::rule("web")]);
    let wanted = wanted.https("https", "web.example.com", terminate(&["cert"]));
    let names = ["web.example.com", "ends.example.com"];
    let plane = Streams::beside(wanted, StreamProtocol::Tls)
        .certificate(&authority.sign(&names))
        .listener("passes.example.com", Protocol::TlsPassthrough)
        .listener("ends.example.com", ends())
        .route("passes.example.com", "passes.example.com", &[("passes", 1)])
        .route("ends.example.com", "ends.example.com", &[("ends", 1)])
        .backend("passes", &[passes])
        .backend("ends", &[lines("ends")])
        .start();
    let ask = |host| ask_once(&plane, &authority, host).unwrap();
    assert_eq!(
        ask("passes.example.com"),
        "passes as passes.example.com: hello"
    );
    assert_eq!(ask("ends.example.com"), "ends: hello");
    let get = |host: &str| {
        let mut tls = connect(&plane, &authority, "web.example.com");
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        tls.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        tls.read_to_string(&mut answer).unwrap();
        answer.get(..12).unwrap().to_owned()
    };
    assert_eq!(get("web.example.com"), "HTTP/1.1 200");
    assert_eq!(get("ends.example.com"), "HTTP/1.1 421");
    assert_eq!(get("passes.example.com"), "HTTP/1.1 421");
}

#[test]
fn a_policy_encrypts_what_ended_here_and_leaves_what_passes_alone() {
    let authority = Authority::new();
    let secure = secure_lines("one", &authority.sign(&["backend.example.com"]));
    let authorities = Id::authorities("ConfigMap", &name("ca"));
    let tls = BackendTls {
        hostname: "backend.example.com".into(),
        trust: Trust::Authorities(vec![authorities.clone()]),
        names: Vec::new(),
    };
    let plane = Streams::new(StreamProtocol::Tls)
        .with(authorities, authority.object())
        .certificate(&authority.sign(&["a.example.com"]))
        .listener("a.example.com", ends())
        .listener("backend.example.com", Protocol::TlsPassthrough)
        .route("a.example.com", "a.example.com", &[("one", 1)])
        .route("backend.example.com", "backend.example.com", &[("one", 1)])
        .backend_with("one", &[secure], BackendSettings::default(), Some(tls))
        .start();
    for host in ["a.example.com", "backend.example.com"] {
        let answer = ask_once(&plane, &authority, host).unwrap();
        assert_eq!(answer, "one as backend.example.com: hello", "{host}");
    }
}

#[test]
fn a_backend_that_asks_for_it_is_told_who_the_client_is() {
    let authority = Authority::new();
    for version in [ProxyHeader::V1, ProxyHeader::V2] {
        let (address, received) = recorder();
        let settings = BackendSettings {
            proxy_header: Some(version),
            ..BackendSettings::default()
        };
        let plane = Streams::new(StreamProtocol::Tls)
            .listener("", Protocol::TlsPassthrough)
            .route("", "a.example.com", &[("one", 1)])
            .backend_with("one", &[address], settings, None)
            .start();
        let sent = hello(&authority, "a.example.com");
        let mut stream = tcp(&plane);
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let bytes = received.recv_timeout(support::PATIENCE).unwrap();
        let Ok(Header::Complete { len, source }) = parse(&bytes) else {
            unreachable!("no header: {bytes:?}");
        };
        assert_eq!(source, Some(stream.local_addr().unwrap()));
        assert_eq!(bytes.get(len..).unwrap(), sent, "what passes is behind it");
    }
}

#[test]
fn a_client_behind_a_trusted_balancer_is_who_the_balancer_says() {
    let authority = Authority::new();
    let (address, received) = recorder();
    let settings = BackendSettings {
        proxy_header: Some(ProxyHeader::V2),
        ..BackendSettings::default()
    };
    let plane = Streams::new(StreamProtocol::Tls)
        .listener("", Protocol::TlsPassthrough)
        .settings(|settings| {
            settings.proxy_protocol = ProxyProtocol::FromTrusted;
            settings.trusted_proxies = [Network {
                address: "127.0.0.1".parse().unwrap(),
                prefix: 32,
            }]
            .into();
        })
        .route("", "a.example.com", &[("one", 1)])
        .backend_with("one", &[address], settings, None)
        .start();
    let client: SocketAddr = "192.0.2.7:4711".parse().unwrap();
    let mut sent = Vec::new();
    write(
        ProxyHeader::V1,
        client,
        "10.0.0.1:443".parse().unwrap(),
        &mut sent,
    );
    let hello = hello(&authority, "a.example.com");
    sent.extend(&hello);
    let mut stream = tcp(&plane);
    stream.write_all(&sent).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let bytes = received.recv_timeout(support::PATIENCE).unwrap();
    let Ok(Header::Complete { len, source }) = parse(&bytes) else {
        unreachable!("no header: {bytes:?}");
    };
    assert_eq!(source, Some(client));
    assert_eq!(bytes.get(len..).unwrap(), hello);
}

#[test]
fn a_connection_that_is_silent_is_ended() {
    let authority = Authority::new();
    let plane = Streams::new(StreamProtocol::Tls)
        .listener("", ends())
        .settings(|settings| settings.timeouts.tunnel_idle = Duration::from_millis(300))
        .certificate(&authority.sign(&["a.example.com"]))
        .route("", "a.example.com", &[("one", 1)])
        .backend("one", &[lines("one")])
        .start();
    let mut tls = connect(&plane, &authority, "a.example.com");
    assert_eq!(ask(&mut tls).unwrap(), "one: hello");
    let mut rest = Vec::new();
    let _ = tls.read_to_end(&mut rest);
    assert_eq!(rest, b"");
}

#[test]
fn connections_are_counted_and_logged() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let plane = Streams::new(StreamProtocol::Tls)
        .listener("", ends())
        .certificate(&authority.sign(&["a.example.com", "b.example.com"]))
        .route("", "a.example.com", &[("one", 1)])
        .route("", "b.example.com", &[("", 1)])
        .backend("one", &[lines("one")])
        .start_with(&["--access-log", log.to_str().unwrap()]);
    let mut tls = connect(&plane, &authority, "a.example.com");
    assert_eq!(ask(&mut tls).unwrap(), "one: hello");
    tls.conn.send_close_notify();
    tls.flush().unwrap();
    tls.read_to_end(&mut Vec::new()).unwrap();
    assert!(ask_once(&plane, &authority, "b.example.com").is_err());
    let lines = support::wait_until(|| {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        (text.lines().count() == 2).then_some(text)
    });
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["server_name"], "a.example.com");
    assert_eq!(lines[0]["sent_bytes"], 6);
    assert_eq!(lines[0]["received_bytes"], 11);
    assert_eq!(lines[0]["backend"], "default/one:80");
    assert_eq!(lines[0]["route"], "default/to-a.example.com");
    assert_eq!(lines[1]["error"], "invalid_backend");
    let metrics = plane.ask_admin("/metrics");
    let route = |host: &str| {
        format!(
            "gateway=\"default/gw\",listener=\"\",route_kind=\"TLSRoute\",route=\"default/to-{host}\",rule=\"0\""
        )
    };
    let (a, b) = (route("a.example.com"), route("b.example.com"));
    for line in [
        format!("ringgate_stream_connections_total{{{a},outcome=\"opened\"}} 1\n"),
        format!("ringgate_stream_connections_total{{{b},outcome=\"refused\"}} 1\n"),
        format!("ringgate_stream_bytes_total{{{a},direction=\"to_backend\"}} 6\n"),
        format!("ringgate_stream_bytes_total{{{a},direction=\"to_client\"}} 11\n"),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}
