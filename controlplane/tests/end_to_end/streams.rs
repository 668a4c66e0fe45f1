//! TLSRoutes from a folder: the example as its page tells it, and edits beside connections that stand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::crypto::aws_lc_rs;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

use crate::rotation::Identity;
use crate::stage::{PATIENCE, Stage, repository, until};

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A backend that does this with each of its connections, and its port.
pub(crate) fn peer(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    port
}

/// Answers each line with its own name.
fn lines(name: &'static str) -> u16 {
    peer(move |mut stream| {
        let reader = BufReader::new(stream.try_clone().unwrap());
        for _ in reader.lines().map_while(Result::ok) {
            stream.write_all(format!("{name}\n").as_bytes()).unwrap();
        }
    })
}

/// As [`lines`], inside of TLS.
pub(crate) fn secure_lines(name: &'static str, identity: &Identity) -> u16 {
    let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .unwrap();
    let config = Arc::new(config);
    peer(move |stream| {
        let session = ServerConnection::new(config.clone()).unwrap();
        let mut tls = StreamOwned::new(session, stream);
        let mut byte = [0];
        while tls.read(&mut byte).is_ok_and(|count| count == 1) {
            if byte == *b"\n" {
                tls.write_all(format!("{name}\n").as_bytes()).unwrap();
            }
        }
    })
}

/// A connection that believes in this certificate alone.
pub(crate) fn connect(port: u16, name: &'static str, identity: &Identity) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(identity.certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(session, stream)
}

pub(crate) fn ask(tls: &mut Tls) -> std::io::Result<String> {
    tls.write_all(b"hello\n")?;
    let mut answer = String::new();
    let mut byte = [0];
    loop {
        tls.read_exact(&mut byte)?;
        match byte {
            [b'\n'] => return Ok(answer),
            [byte] => answer.push(char::from(byte)),
        }
    }
}

#[test]
fn the_tls_example_passes_one_name_on_and_ends_the_other_and_edits_leave_connections_alone() {
    let (db, mqtt) = (
        Identity::of("db.example.com"),
        Identity::of("mqtt.example.com"),
    );
    let (passes, ends) = (secure_lines("db", &db), lines("mqtt"));
    let ports = [
        ("8443", "PORT".to_owned()),
        ("9001", passes.to_string()),
        ("9002", ends.to_string()),
    ];
    let stage = Stage::example("tls", &ports);
    let [certificate, key] = &mqtt.texts;
    stage.write("mqtt.crt", certificate);
    stage.write("mqtt.key", key);
    let run = stage.run(&[]);
    run.wait_for_line(&format!(
        "tls://localhost:{} for db.example.com",
        stage.port
    ));

    // Each by the certificate of who ends its TLS: the backend's, and the gateway's.
    let mut stands = connect(stage.port, "mqtt.example.com", &mqtt);
    assert_eq!(ask(&mut stands).unwrap(), "mqtt");
    let mut passed = connect(stage.port, "db.example.com", &db);
    assert_eq!(ask(&mut passed).unwrap(), "db");
    let error = ask(&mut connect(stage.port, "other.example.com", &db)).unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");

    let path = repository().join("deploy/examples/tls/routes.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let moved = text
        .replace("9001", &passes.to_string())
        .replace("9002", &lines("moved").to_string());
    stage.write("routes.yaml", &moved);
    until("new connections go where the edit says", || {
        let mut tls = connect(stage.port, "mqtt.example.com", &mqtt);
        (ask(&mut tls).unwrap() == "moved").then_some(())
    });
    stage.write("routes.yaml", "");
    until("no route is left", || {
        ask(&mut connect(stage.port, "mqtt.example.com", &mqtt)).err()
    });
    assert_eq!(ask(&mut stands).unwrap(), "mqtt");
    assert_eq!(ask(&mut passed).unwrap(), "db");
}
