//! What people suffer from with other gateways where connections last.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use crate::http::{backend, get};
use crate::http2::{Http2, Under};
use crate::rotation::Identity;
use crate::stage::{Stage, free_port, until};
use crate::streams::{self, Tls, peer, secure_lines};
use crate::{route, service};

const DOWNLOAD: usize = 16 << 20;
const PART: usize = 64 << 10;

/// A backend of what lasts: `/socket` answers lines after an upgrade, `/events` has a line for each tick,
/// `/download` is large. All else is answered with `first`.
fn lasting(ticks: Receiver<()>) -> u16 {
    let ticks = Arc::new(Mutex::new(ticks));
    peer(move |stream| {
        // Its client may leave at any time.
        let _ = serve(stream, &ticks);
    })
}

fn serve(stream: TcpStream, ticks: &Mutex<Receiver<()>>) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next() {
        let line = line?;
        while !lines
            .next()
            .ok_or(io::ErrorKind::UnexpectedEof)??
            .is_empty()
        {}
        match line.split(' ').nth(1).unwrap_or_default() {
            "/socket" => {
                writer.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")?;
                for line in lines.by_ref() {
                    writeln!(writer, "{}", line?)?;
                }
            }
            "/events" => {
                writer.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                for () in ticks.lock().unwrap().iter() {
                    writer.write_all(b"5\r\ntick\n\r\n")?;
                }
            }
            "/download" => {
                write!(
                    writer,
                    "HTTP/1.1 200 OK\r\ncontent-length: {DOWNLOAD}\r\n\r\n"
                )?;
                for _ in 0..DOWNLOAD / PART {
                    writer.write_all(&[b'x'; PART])?;
                }
            }
            _ => writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst")?,
        }
    }
    Ok(())
}

fn gateway(plain: u16, port: u16) -> String {
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web}}
spec:
  gatewayClassName: ringgate
  listeners:
  - {{name: http, protocol: HTTP, port: {plain}}}
  - {{name: https, protocol: HTTPS, port: {port}, hostname: a.example, tls: {{certificateRefs: [{{name: web}}]}}}}
  - {{name: pass, protocol: TLS, port: {port}, hostname: pass.example, tls: {{mode: Passthrough}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {{name: pass}}
spec:
  parentRefs: [{{name: web, sectionName: pass}}]
  hostnames: [pass.example]
  rules: [{{backendRefs: [{{name: pass, port: 80}}]}}]
---
apiVersion: v1
kind: Secret
metadata:
  name: web
  annotations: {{ringgate.io/certificate-file: web.crt, ringgate.io/key-file: web.key}}
type: kubernetes.io/tls
"
    )
}

fn put(stage: &Stage, identity: &Identity) {
    let [certificate, key] = &identity.texts;
    stage.write("web.crt", certificate);
    stage.write("web.key", key);
}

/// The Service `app` with these endpoints, each in a slice of its own.
fn app(ports: &[u16]) -> String {
    let text = service("app", 0);
    let (service, slice) = text.split_once("---\n").unwrap();
    let slices = ports.iter().map(|port| {
        let slice = slice.replace("app-1", &format!("app-{port}"));
        format!(
            "---\n{}",
            slice.replace("port: 0", &format!("port: {port}"))
        )
    });
    service.to_owned() + &slices.collect::<String>()
}

/// A route to `/elsewhere`, which nothing that lasts comes by.
fn elsewhere(to: &str) -> String {
    route(to)
        .replacen("name: app", "name: elsewhere", 1)
        .replace(
            "  - backendRefs:",
            "  - matches: [{path: {value: /elsewhere}}]\n    backendRefs:",
        )
}

/// `kept` is the port of what lasts.
fn site(stage: &Stage, port: u16, kept: u16, [web, pass]: [&Identity; 2]) {
    put(stage, web);
    for (name, text) in [
        ("gateway.yaml", gateway(stage.port, port)),
        ("pass.yaml", service("pass", secure_lines("pass", pass))),
        ("app.yaml", app(&[kept])),
        ("route.yaml", route("app")),
        ("blue.yaml", service("blue", backend("blue"))),
        ("elsewhere.yaml", elsewhere("app")),
    ] {
        stage.write(name, &text);
    }
}

/// Connections of every kind that lasts.
struct Connections {
    socket: Tls,
    passed: Tls,
    download: Tls,
    read: usize,
    http2: Http2,
    events: Under,
    ticks: Sender<()>,
}

impl Connections {
    fn open(port: u16, web: &Identity, pass: &Identity, ticks: Sender<()>) -> Self {
        let request = |path: &str, more: &str| {
            let mut tls = streams::connect(port, "a.example", web);
            write!(tls, "GET {path} HTTP/1.1\r\nHost: a.example\r\n{more}\r\n").unwrap();
            (head(&mut tls), tls)
        };
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let (status, socket) = request("/socket", upgrade);
        assert!(status.starts_with("HTTP/1.1 101 "), "{status}");
        let (status, download) = request("/download", "");
        assert!(status.starts_with("HTTP/1.1 200 "), "{status}");
        let http2 = Http2::connect(port, "a.example", web);
        let events = http2.begin("a.example", "/events");
        assert_eq!(events.status, 200);
        Self {
            socket,
            passed: streams::connect(port, "pass.example", pass),
            download,
            read: 0,
            http2,
            events,
            ticks,
        }
    }

    fn live(&mut self, after: &str) {
        assert_eq!(streams::ask(&mut self.socket).unwrap(), "hello", "{after}");
        assert_eq!(streams::ask(&mut self.passed).unwrap(), "pass", "{after}");
        self.ticks.send(()).unwrap();
        let event = self.http2.next(&mut self.events);
        assert_eq!(event.as_deref(), Some(b"tick\n".as_slice()), "{after}");
        self.read_part();
    }

    fn read_part(&mut self) {
        let mut part = [0; PART];
        self.download.read_exact(&mut part).unwrap();
        assert!(part.iter().all(|byte| *byte == b'x'));
        self.read += PART;
    }
}

fn head(tls: &mut Tls) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        tls.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// WebSockets, streams and downloads end because somebody else's route, an endpoint or a certificate
/// changes.
/// envoyproxy/gateway#6716, envoyproxy/gateway#8889, nginx/nginx-gateway-fabric#5524,
/// jcmoraisjr/haproxy-ingress#865, haproxytech/kubernetes-ingress#247.
///
/// Here a WebSocket, a response over HTTP/2, TLS that is passed on and a slow download go on through all
/// of that, even when their own endpoint is taken out.
#[test]
fn pain_3_what_lasts_goes_on_through_changes_of_all_else() {
    let stage = Stage::new();
    let port = free_port();
    let (first, second) = (Identity::of("a.example"), Identity::of("a.example"));
    let pass = Identity::of("pass.example");
    let (ticks, ticked) = mpsc::channel();
    let (kept, other) = (lasting(ticked), backend("second"));
    site(&stage, port, kept, [&first, &pass]);
    let run = stage.run(&[]);
    let body = |path: &str| get(stage.port, path).ok().map(|one| one.body);
    until("service", || body("/").filter(|body| body == "first"));
    let mut connections = Connections::open(port, &first, &pass, ticks);
    connections.live("the beginning");

    stage.write("elsewhere.yaml", &elsewhere("blue"));
    until("another route's change", || {
        body("/elsewhere").filter(|body| body == "blue")
    });
    connections.live("another route's change");

    stage.write("app.yaml", &app(&[kept, other]));
    until("a new endpoint", || {
        body("/").filter(|body| body == "second")
    });
    connections.live("a new endpoint");

    put(&stage, &second);
    until("the renewed certificate", || {
        let mut tls = streams::connect(port, "a.example", &second);
        tls.conn.complete_io(&mut tls.sock).ok()
    });
    connections.live("a renewed certificate");

    let more = free_port();
    let added = gateway(stage.port, port).replace(
        "  - {name: pass,",
        &format!("  - {{name: more, protocol: HTTP, port: {more}}}\n  - {{name: pass,"),
    );
    stage.write("gateway.yaml", &added);
    until("another listener", || get(more, "/").ok());
    connections.live("another listener");
    stage.write("gateway.yaml", &gateway(stage.port, port));
    until("a listener's end", || get(more, "/").err());
    connections.live("a listener's end");

    stage.write("app.yaml", &app(&[other]));
    let mut in_a_row = 0;
    until("its own endpoint to be asked no more", || {
        in_a_row = match body("/").as_deref() {
            Some("second") => in_a_row + 1,
            _ => 0,
        };
        (in_a_row == 20).then_some(())
    });
    connections.live("its own endpoint's end");
    while connections.read < DOWNLOAD {
        connections.read_part();
    }
    // They would hold up the end.
    drop(connections);
    run.end();
}
