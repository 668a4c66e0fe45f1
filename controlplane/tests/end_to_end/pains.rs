//! What people suffer from with other gateways, where it concerns configuration and shows in traffic: a
//! test for each, that shows Ringgate free of it. Those about statuses stand among the tests against an
//! API server.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::process::{Signal, kill_process};

use crate::http::{Client, get};
use crate::stage::{is_gone, until};
use crate::{blue, route};

/// A backend that answers with its name, and ends as a Pod does: at once, with all its connections.
struct Pod {
    name: String,
    port: u16,
    ended: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Pod {
    fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ended = Arc::new(AtomicBool::new(false));
        let streams: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (told, kept, body) = (ended.clone(), streams.clone(), name.to_owned());
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if told.load(Ordering::Relaxed) {
                    return;
                }
                kept.lock().unwrap().push(stream.try_clone().unwrap());
                let body = body.clone();
                thread::spawn(move || answer(stream, &body));
            }
        });
        Self {
            name: name.to_owned(),
            port,
            ended,
            streams,
            accepting: Some(accepting),
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes it, so that it sees that it has ended.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.accepting.take().map(JoinHandle::join);
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn answer(stream: TcpStream, body: &str) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        if line?.is_empty() {
            let length = body.len();
            write!(
                writer,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
            )?;
        }
    }
    Ok(())
}

/// A route to Service `app`, and an EndpointSlice of its own for each Pod.
fn slices(pods: &[&Pod]) -> String {
    let service = "\
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
";
    let slices = pods.iter().map(|pod| {
        let (name, port) = (&pod.name, pod.port);
        format!(
            "\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: app-{name}
  labels: {{kubernetes.io/service-name: app}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"
        )
    });
    service.to_owned() + &slices.collect::<String>()
}

/// One wrong object, and every route is gone: at once, or when the proxy starts the next time.
/// envoyproxy/gateway#5147, envoyproxy/gateway#5182, kgateway-dev/kgateway#11794,
/// cilium/cilium#34982, kgateway-dev/kgateway#13963.
///
/// Here its neighbours answer before and after both processes died.
#[test]
fn pain_1_one_bad_object_takes_no_route_down_now_or_after_a_restart() {
    let stage = blue();
    let run = stage.run(&[]);
    assert_eq!(get(stage.port, "/").unwrap().body, "blue");
    let expression = route("blue")
        .replace("name: app", "name: expression")
        .replace(
            "  - backendRefs:\n",
            "  - matches: [{path: {type: RegularExpression, value: '/bad/(unclosed'}}]\n    backendRefs:\n",
        );
    let filter = route("blue").replace("name: app", "name: filter").replace(
        "  - backendRefs:\n",
        "  - matches: [{path: {value: /filter}}]\n    filters: [{type: ExtensionRef, extensionRef: {group: example.com, kind: Magic, name: wand}}]\n    backendRefs:\n",
    );
    let certificate = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: lost-certificate}
spec:
  gatewayClassName: ringgate
  listeners:
  - {name: https, protocol: HTTPS, port: 1, tls: {certificateRefs: [{name: lost}]}}
";
    for (name, text) in [
        ("expression.yaml", expression.as_str()),
        ("filter.yaml", filter.as_str()),
        ("certificate.yaml", certificate),
        ("broken.yaml", "kind: [}"),
    ] {
        stage.write(name, text);
    }
    until("the rule that can't be carried out", || {
        (get(stage.port, "/filter").ok()?.status() == 500).then_some(())
    });
    run.wait_for_line("broken.yaml");
    assert_eq!(get(stage.port, "/").unwrap().body, "blue");

    for word in ["controlplane", "ringgate-dataplane"] {
        let process = run.process(word, None);
        kill_process(process, Signal::KILL).unwrap();
        until("its end", || is_gone(process));
        run.process(word, Some(process));
    }
    until("service", || get(stage.port, "/").ok());
    assert_eq!(get(stage.port, "/").unwrap().body, "blue");
    stage.write("route.yaml", &route("green"));
    until("a neighbour's change", || {
        (get(stage.port, "/").ok()?.body == "green").then_some(())
    });
    assert_eq!(get(stage.port, "/filter").unwrap().status(), 500);
    run.end();
}

/// 500 or 503 while a backend's Pods are replaced, or while a route goes to another Service; and Pods
/// that are gone are asked for minutes.
/// envoyproxy/gateway#6287, envoyproxy/gateway#6198, envoyproxy/gateway#4685,
/// envoyproxy/gateway#7366, cilium/cilium#48460.
///
/// Here Pods roll as Kubernetes has them roll, a new one before the old one goes, and every request is
/// answered by one that lives.
#[test]
fn pain_5_no_request_fails_while_backends_roll_and_routes_change() {
    let stage = blue();
    let mut old = Pod::start("pod-0");
    stage.write("app.yaml", &slices(&[&old]));
    stage.write("route.yaml", &route("app"));
    let run = stage.run(&[]);
    let mut client = Client::connect(stage.port).unwrap();
    let mut ask = || {
        let fresh = get(stage.port, "/").unwrap();
        assert_eq!(fresh.status(), 200, "{fresh:?}");
        let kept = client.get("/").unwrap();
        assert_eq!(kept.status(), 200, "{kept:?}");
        [fresh.body, kept.body]
    };
    for number in 1..=8 {
        let new = Pod::start(&format!("pod-{number}"));
        stage.write("app.yaml", &slices(&[&old, &new]));
        until("the new Pod's answer", || {
            ask().contains(&new.name).then_some(())
        });
        stage.write("app.yaml", &slices(&[&new]));
        // Both are as good while both are there: so many answers by one say that the other is out.
        let mut in_a_row = 0;
        until("the old Pod to be asked no more", || {
            in_a_row = match ask().contains(&old.name) {
                true => 0,
                false => in_a_row + 1,
            };
            (in_a_row == 20).then_some(())
        });
        old = new;
        assert_eq!(ask(), [old.name.clone(), old.name.clone()]);
    }
    for to in ["blue", "green", "app", "blue"] {
        stage.write("route.yaml", &route(to));
        let body = if to == "app" { &*old.name } else { to };
        until(body, || ask().iter().all(|one| one == body).then_some(()));
    }
    run.end();
}

/// There is no access log, or the route's name isn't in it, so that nobody knows which rule took a
/// request.
/// cilium/cilium#30667, cilium/cilium#31357, envoyproxy/gateway#4551.
#[test]
fn pain_12_the_access_log_names_the_route_and_its_rule() {
    let stage = blue();
    let named = route("blue").replace("  - backendRefs:", "  - name: front\n    backendRefs:");
    stage.write("route.yaml", &named);
    let log = stage.site().with_file_name("access.log");
    let run = stage.run(&["--access-log", log.to_str().unwrap()]);
    assert_eq!(get(stage.port, "/asked").unwrap().body, "blue");
    let line = until("a line", || {
        let text = fs::read_to_string(&log).ok()?;
        text.lines().next().map(str::to_owned)
    });
    let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
    for (field, value) in [
        ("target", "/asked"),
        ("gateway", "default/web"),
        ("listener", "http"),
        ("route", "default/app"),
        ("rule", "front"),
        ("backend", "default/blue:80"),
    ] {
        assert_eq!(entry[field], value, "{field} in {line}");
    }
    run.end();
}
