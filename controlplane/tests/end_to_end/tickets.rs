//! Sessions that go on at another data plane, and after a restart.

use std::fs;
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Signal, kill_process};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::rotation::{Identity, Secured};
use crate::stage::{PATIENCE, Run, Stage, free_port, is_gone, until};
use crate::{backend, route, service};

/// A machine of its own, with the same site as others.
struct Machine {
    stage: Stage,
    port: u16,
}

impl Machine {
    fn new(identity: &Identity) -> Self {
        let (stage, port) = (Stage::new(), free_port());
        let gateway = format!(
            "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web}}
spec:
  gatewayClassName: ringgate
  listeners:
  - {{name: https, protocol: HTTPS, port: {port}, tls: {{certificateRefs: [{{name: web}}]}}}}
"
        );
        stage.write("gateway.yaml", &gateway);
        stage.write("secret.yaml", &identity.secret());
        stage.write("blue.yaml", &service("blue", backend("blue")));
        stage.write("route.yaml", &route("blue"));
        Self { stage, port }
    }

    /// How a client of `config` shakes hands here; its ticket for the next time is taken along.
    fn shake(&self, config: &Arc<ClientConfig>) -> HandshakeKind {
        until("a handshake", || {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // Takes a ticket, of which there are few, whatever comes of it.
            let name = "a.example".try_into().unwrap();
            let client = ClientConnection::new(config.clone(), name).unwrap();
            let mut stream = StreamOwned::new(client, stream);
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock).ok()?;
            }
            let kind = stream.conn.handshake_kind();
            Secured::over(stream).ask();
            kind
        })
    }
}

fn client(identity: &Identity) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// A file of keys: each is as many bytes of this value.
fn keys(values: [u8; 3]) -> String {
    let lines = values.map(|value| STANDARD.encode([value; 48]) + "\n");
    lines.concat()
}

fn restart(run: &Run) {
    let plane = run.process("ringgate-dataplane", None);
    kill_process(plane, Signal::KILL).unwrap();
    until("its end", || is_gone(plane));
    run.process("ringgate-dataplane", Some(plane));
}

#[test]
fn sessions_go_on_at_whoever_has_the_keys_while_these_rotate_and_processes_restart() {
    const RESUMED: HandshakeKind = HandshakeKind::Resumed;
    let identity = Identity::of("a.example");
    let [one, two, other] = [(); 3].map(|()| Machine::new(&identity));
    let shared = one.stage.path("keys");
    fs::write(&shared, keys([1, 2, 3])).unwrap();
    let argument = shared.to_str().unwrap();
    let (first, second) = (
        one.stage.run(&["--ticket-keys", argument]),
        two.stage.run(&["--ticket-keys", argument]),
    );
    let third = other.stage.run(&[]);
    let config = client(&identity);
    assert_ne!(one.shake(&config), RESUMED);
    assert_eq!(two.shake(&config), RESUMED, "at another");
    restart(&second);
    assert_eq!(two.shake(&config), RESUMED, "after a restart");

    fs::write(&shared, keys([2, 3, 4])).unwrap();
    for run in [&first, &second] {
        run.wait_for_line("session tickets are made by other keys");
    }
    assert_eq!(one.shake(&config), RESUMED, "by the key before");
    assert_eq!(two.shake(&config), RESUMED, "by the key that is new");

    fs::write(&shared, "no keys\n").unwrap();
    for run in [&first, &second] {
        run.wait_for_line("line 1 is not base64");
    }
    assert_eq!(one.shake(&config), RESUMED, "by the last good ones");

    assert_ne!(other.shake(&config), RESUMED, "it has its own keys");
    for run in [first, second, third] {
        run.end();
    }
}
