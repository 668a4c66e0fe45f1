//! Certificates that are replaced while they serve: what people suffer from there with other gateways.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http::get;
use crate::stage::{PATIENCE, Stage, free_port, until};
use crate::{backend, route};

/// A certificate that vouches for itself.
pub(crate) struct Identity {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    /// Certificate and key, in PEM.
    pub(crate) texts: [String; 2],
}

impl Identity {
    fn new() -> Self {
        Self::of("a.example")
    }

    pub(crate) fn of(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            texts: [certificate.pem(), key.serialize_pem()],
        }
    }

    pub(crate) fn secret(&self) -> String {
        let [certificate, key] = &self.texts;
        let block = |text: &str| text.trim_end().replace('\n', "\n    ");
        format!(
            "\
apiVersion: v1
kind: Secret
metadata: {{name: web}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
    {}
  tls.key: |
    {}
",
            block(certificate),
            block(key)
        )
    }
}

/// A connection that has shaken hands, and the certificate that it was shown.
pub(crate) struct Secured {
    stream: StreamOwned<ClientConnection, TcpStream>,
    shown: CertificateDer<'static>,
}

impl Secured {
    fn connect(port: u16, trusted: &[&Identity]) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        for identity in trusted {
            roots.add(identity.certificate.clone()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "a.example".try_into().unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(client, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).ok()?;
        }
        Some(Self::over(stream))
    }

    pub(crate) fn over(stream: StreamOwned<ClientConnection, TcpStream>) -> Self {
        let shown = stream.conn.peer_certificates().unwrap()[0].clone();
        Self {
            stream,
            shown: shown.into_owned(),
        }
    }

    /// The body of the answer, which ends with `blue` if all is well.
    pub(crate) fn ask(&mut self) -> String {
        write!(self.stream, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\nblue") {
            self.stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        String::from_utf8(answer).unwrap()
    }
}

fn site(stage: &Stage, port: u16) {
    let plain = stage.port;
    let gateway = format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web}}
spec:
  gatewayClassName: ringgate
  listeners:
  - {{name: http, protocol: HTTP, port: {plain}}}
  - {{name: https, protocol: HTTPS, port: {port}, tls: {{certificateRefs: [{{name: web}}]}}}}
"
    );
    stage.write("gateway.yaml", &gateway);
    stage.write("blue.yaml", &crate::service("blue", backend("blue")));
    stage.write("route.yaml", &route("blue"));
}

fn accepted(stage: &Stage) -> bool {
    let output = stage
        .ringgate("status")
        .args(["--output", "json", "--controller-admin"])
        .arg(format!("127.0.0.1:{}", stage.controller_admin))
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let conditions = &report["routes"][0]["parents"][0]["conditions"];
    let accepted = conditions.as_array().unwrap().iter();
    let mut accepted = accepted.filter(|one| one["type"] == "Accepted");
    accepted.next().unwrap()["status"] == "True"
}

/// A certificate that is renewed, flawed or missing for a while stops routes that have nothing to do with
/// it, or all of them at the next restart.
/// nginx/nginx-gateway-fabric#5468, envoyproxy/gateway#3398, envoyproxy/gateway#9128.
///
/// Here a renewed one is shown to new connections while old ones go on. A flawed one is told, and the one
/// before stays in force. A missing one stops its own listener alone. The route stays accepted.
#[test]
fn pain_14_a_certificate_is_renewed_or_spoilt_and_no_handshake_or_route_fails() {
    let stage = Stage::new();
    let port = free_port();
    let (first, second, third) = (Identity::new(), Identity::new(), Identity::new());
    let trusted = [&first, &second, &third];
    site(&stage, port);
    stage.write("secret.yaml", &first.secret());
    let run = stage.run(&[]);
    let connect = || Secured::connect(port, &trusted).unwrap();
    let mut kept = until("a handshake", || Secured::connect(port, &trusted));
    assert_eq!(kept.shown, first.certificate);
    kept.ask();
    let mut shows = |identity: &Identity| {
        until("its certificate", || {
            let mut fresh = connect();
            fresh.ask();
            kept.ask();
            (fresh.shown == identity.certificate).then_some(())
        });
    };

    stage.write("secret.yaml", &second.secret());
    shows(&second);

    let flawed = second
        .secret()
        .replace("BEGIN CERTIFICATE", "BEGIN NOTHING");
    stage.write("secret.yaml", &flawed);
    run.wait_for_line("Secret default/web");
    shows(&second);
    assert!(accepted(&stage), "the route has nothing to do with it");

    std::fs::remove_file(stage.site().join("secret.yaml")).unwrap();
    run.wait_for_line("there is no Secret default/web");
    assert!(accepted(&stage), "nor with this");
    assert_eq!(get(stage.port, "/").unwrap().body, "blue");

    stage.write("secret.yaml", &third.secret());
    let fresh = until("a handshake again", || Secured::connect(port, &trusted));
    assert_eq!(fresh.shown, third.certificate);
    assert_eq!(get(stage.port, "/").unwrap().body, "blue");
    run.end();
}
