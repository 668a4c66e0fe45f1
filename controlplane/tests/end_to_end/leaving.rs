//! A listener that goes: what becomes of the connections that came by it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};

use crate::http::{Client, get};
use crate::http2::Http2;
use crate::rotation::Identity;
use crate::stage::{Stage, free_port, until};
use crate::streams::{self, Tls, peer};
use crate::{route, service};

/// A backend that answers `/slow` when it is told to, and all else at once.
fn patient(told: Receiver<()>) -> u16 {
    let told = Mutex::new(told);
    peer(move |stream| {
        // Its client may leave at any time.
        let _ = serve(stream, &told);
    })
}

fn serve(stream: TcpStream, told: &Mutex<Receiver<()>>) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut slow = false;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        slow |= line.starts_with("GET /slow ");
        if line.is_empty() {
            if std::mem::take(&mut slow) {
                let _ = told.lock().unwrap().recv();
            }
            writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")?;
        }
    }
    Ok(())
}

/// Of names, protocols' words, ports and hosts.
fn gateway(listeners: &[(&str, u16, &str)]) -> String {
    let mut text = "\
apiVersion: v1
kind: Secret
metadata:
  name: web
  annotations: {ringgate.io/certificate-file: web.crt, ringgate.io/key-file: web.key}
type: kubernetes.io/tls
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec:
  gatewayClassName: ringgate
  listeners:
"
    .to_owned();
    for (name, port, host) in listeners {
        let protocol = match host.is_empty() {
            true => "protocol: HTTP".to_owned(),
            false => format!(
                "protocol: HTTPS, hostname: {host}, tls: {{certificateRefs: [{{name: web}}]}}"
            ),
        };
        text += &format!("  - {{name: {name}, port: {port}, {protocol}}}\n");
    }
    text
}

fn ask(tls: &mut Tls, host: &str) -> String {
    write!(tls, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = vec![0; 4096];
    let count = tls.read(&mut answer).unwrap();
    String::from_utf8(answer[..count].to_vec()).unwrap()
}

/// Idle connections end at once, those with a request under way as soon as it is answered; those of neighbours
/// go on.
#[test]
fn a_listener_that_goes_parts_from_its_clients_in_good_order() {
    let stage = Stage::new();
    let identity = Identity::of("*.w.example");
    let [certificate, key] = &identity.texts;
    stage.write("web.crt", certificate);
    stage.write("web.key", key);
    let (tell, told) = mpsc::channel();
    stage.write("app.yaml", &service("app", patient(told)));
    stage.write("route.yaml", &route("app"));
    let [kept, plain, secure] = [free_port(), free_port(), free_port()];
    let stays = ("stays", kept, "stays.w.example");
    let all = [
        stays,
        ("shares", kept, "shares.w.example"),
        ("plain", plain, ""),
        ("secure", secure, "secure.w.example"),
        ("first", stage.port, ""),
    ];
    stage.write("gateway.yaml", &gateway(&all));
    let run = stage.run(&[]);
    until("service", || get(plain, "/").ok());

    let done = (200, "done".to_owned());
    let connect = |port, name| Http2::connect(port, name, &identity);
    let mut neighbour = connect(kept, "stays.w.example");
    let mut shared = connect(kept, "shares.w.example");
    let mut idle = connect(secure, "secure.w.example");
    let mut busy = connect(secure, "secure.w.example");
    for (client, host) in [
        (&neighbour, "stays.w.example"),
        (&shared, "shares.w.example"),
        (&idle, "secure.w.example"),
        (&busy, "secure.w.example"),
    ] {
        assert_eq!(client.get(host, "/"), done);
    }
    let mut old = Client::connect(plain).unwrap();
    assert_eq!(old.get("/").unwrap().status(), 200);
    let mut old_shared = streams::connect(kept, "shares.w.example", &identity);
    assert!(ask(&mut old_shared, "shares.w.example").starts_with("HTTP/1.1 200 "));
    let under_way = busy.send("secure.w.example", "/slow");

    stage.write("gateway.yaml", &gateway(&[stays, all[4]]));
    until("the listeners' end", || get(plain, "/").err());
    assert!(old.get("/").is_err(), "an idle connection of HTTP/1 ended");
    idle.ended();
    tell.send(()).unwrap();
    assert_eq!(busy.receive(under_way), done);
    busy.ended();

    // Its port is still there: the next request tells.
    assert_eq!(shared.get("shares.w.example", "/").0, 404);
    shared.ended();
    let last = ask(&mut old_shared, "shares.w.example");
    assert!(last.starts_with("HTTP/1.1 404 "), "{last}");
    assert!(last.contains("connection: close"), "{last}");
    assert_eq!(neighbour.get("stays.w.example", "/"), done);
    run.end();
    neighbour.ended();
}
