//! The real processes on real folders: the examples as their pages print them, mistakes, deaths.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that can't go on shall stop, and tell what it saw"
)]

mod apart;
mod authority;
mod balancing;
mod coalescing;
mod console;
#[allow(dead_code, reason = "tests/cluster uses the rest of it")]
#[path = "../cluster/fake/mod.rs"]
mod fake;
mod health;
mod http;
mod http2;
mod lasting;
mod leaving;
mod load_balancer;
mod pains;
#[path = "../support/port.rs"]
mod port;
mod replicas;
mod rotation;
mod stage;
mod staples;
mod streams;
mod tickets;

use std::fs;
use std::time::{Duration, Instant};

use console::{curls, undated};
use http::{Client, backend, get};
use rustix::process::{Signal, kill_process};
use stage::{PATIENCE, Stage, is_gone, repository, until};

/// A Gateway, and Services `blue` and `green` with a backend each.
fn site(stage: &Stage) {
    stage.write(
        "gateway.yaml",
        &format!(
            "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web}}
spec:
  gatewayClassName: ringgate
  listeners:
  - {{name: http, protocol: HTTP, port: {}}}
",
            stage.port
        ),
    );
    for name in ["blue", "green"] {
        let port = backend(name);
        stage.write(&format!("{name}.yaml"), &service(name, port));
    }
}

/// A Service, and its backend on this machine.
fn service(name: &str, port: u16) -> String {
    format!(
        "\
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-1
  labels: {{kubernetes.io/service-name: {name}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"
    )
}

fn route(to: &str) -> String {
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: app}}
spec:
  parentRefs:
  - {{name: web}}
  rules:
  - backendRefs:
    - {{name: {to}, port: 80}}
"
    )
}

/// A site whose route leads to blue.
fn blue() -> Stage {
    let stage = Stage::new();
    site(&stage);
    stage.write("route.yaml", &route("blue"));
    stage
}

#[test]
fn hello_answers_as_its_pages_print() {
    let stage = Stage::example("hello", &[("8080", "PORT".to_owned())]);
    let run = stage.run(&["--echo"]);
    assert!(run.greeting.starts_with("Ringgate serves"));
    let port = format!("localhost:{}", stage.port);
    for page in ["README.md", "deploy/examples/hello/README.md"] {
        let text = fs::read_to_string(repository().join(page)).unwrap();
        let shown = curls(&text);
        assert!(shown.len() >= 2, "{page} shows how to try it");
        for one in shown {
            let request = one.request().replace("localhost:8080", &port);
            let response = Client::connect(stage.port).unwrap().request(&request);
            let printed = one.prints(&response.unwrap());
            let expected = one.output.replace("localhost:8080", &port);
            assert_eq!(
                undated(&printed).trim_end(),
                undated(&expected).trim_end(),
                "{page}: {}",
                one.command
            );
        }
    }
    run.end();
}

#[test]
fn b_nova_routes_as_it_was_published() {
    let replace = [
        ("port: 80\n", "port: PORT\n".to_owned()),
        ("9081", backend("hello").to_string()),
        ("9082", backend("b-nova-page").to_string()),
    ];
    let stage = Stage::example("b-nova", &replace);
    let run = stage.run(&["--gateway-class", "cilium"]);
    let ask = |head: &str| {
        let mut client = Client::connect(stage.port).unwrap();
        let response = client.request(&format!("{head}Host: localhost\r\n"));
        let response = response.unwrap();
        (response.status(), response.body)
    };
    let tom = "user: tom\r\n";
    assert_eq!(
        ask("GET /hello HTTP/1.1\r\n"),
        (200, "hello".to_owned()),
        "the path alone"
    );
    let page = ask(&format!("GET /x?secretcode=123 HTTP/1.1\r\n{tom}"));
    assert_eq!(page, (200, "b-nova-page".to_owned()));
    for refused in [
        format!("POST /x?secretcode=123 HTTP/1.1\r\nContent-Length: 0\r\n{tom}"),
        "GET /x?secretcode=123 HTTP/1.1\r\n".to_owned(),
        format!("GET /x?secretcode=124 HTTP/1.1\r\n{tom}"),
    ] {
        assert_eq!(ask(&refused).0, 404, "{refused}");
    }
    run.end();
}

#[test]
fn the_bare_number_of_b_nova_is_a_warning_only() {
    let stage = Stage::example("b-nova", &[]);
    let validate = |arguments: &[&str]| {
        let mut command = stage.ringgate("validate");
        let output = command.arg(stage.site()).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = validate(&["--gateway-class", "cilium"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("route.yaml:25:16: warning: "), "{text}");
    assert!(text.contains("remedy: put it in quotes: \"123\""), "{text}");
    let (_, text) = validate(&[]);
    assert!(text.contains("--gateway-class cilium"), "{text}");
}

#[test]
fn validate_names_place_field_and_remedy() {
    let stage = blue();
    let broken = route("blue").replace("backendRefs", "backendRef");
    stage.write("route.yaml", &broken);
    let mut command = stage.ringgate("validate");
    let output = command.arg(stage.site()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let folder = format!("{}/", stage.site().display());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text.replace(&folder, ""),
        "route.yaml:8:5: error: HTTPRoute default/app: spec.rules[0].backendRef: \
         field `backendRef` is not known\n    \
         remedy: did you mean `backendRefs`?\n\
         errors: 1, warnings: 0\n"
    );
}

#[test]
fn a_broken_file_leaves_traffic_untouched_and_mending_it_takes_force_within_a_second() {
    let stage = blue();
    let run = stage.run(&[]);
    let mut client = Client::connect(stage.port).unwrap();
    assert_eq!(client.get("/").unwrap().body, "blue");

    for (broken, problem) in [
        (
            route("green").replace("backendRefs", "backendRef"),
            "is not known",
        ),
        (route("green").replace("spec:", "spec: [}"), "YAML"),
    ] {
        stage.write("route.yaml", &broken);
        let line = run.wait_for_line(problem);
        assert!(line.contains("route.yaml:"), "{line}");
        assert_eq!(client.get("/").unwrap().body, "blue");
        assert_eq!(get(stage.port, "/").unwrap().body, "blue");
    }

    let mended = Instant::now();
    stage.write("route.yaml", &route("green"));
    until("green", || {
        (client.get("/").unwrap().body == "green").then_some(())
    });
    let took = mended.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    run.end();
}

#[test]
fn a_control_plane_that_is_killed_is_not_missed_and_comes_back() {
    let stage = blue();
    let run = stage.run(&[]);
    let mut client = Client::connect(stage.port).unwrap();
    let first = run.process("controlplane", None);
    kill_process(first, Signal::KILL).unwrap();
    until("its end", || {
        assert_eq!(client.get("/").unwrap().body, "blue");
        is_gone(first)
    });
    run.process("controlplane", Some(first));
    stage.write("route.yaml", &route("green"));
    until("green", || {
        let body = client.get("/").unwrap().body;
        assert_eq!(get(stage.port, "/").unwrap().status(), 200);
        (body == "green").then_some(())
    });
    run.end();
}

#[test]
fn a_data_plane_that_is_killed_serves_again_within_two_seconds() {
    let stage = blue();
    let run = stage.run(&[]);
    until("a copy on disk", || {
        stage.state().join("snapshot.pb").exists().then_some(())
    });
    let first = run.process("ringgate-dataplane", None);
    kill_process(first, Signal::KILL).unwrap();
    let killed = Instant::now();
    until("its end", || is_gone(first));
    until("service", || get(stage.port, "/").ok());
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    run.end();
}

#[test]
fn a_data_plane_alone_serves_what_was_in_force_last() {
    let stage = blue();
    let run = stage.run(&[]);
    let snapshot = stage.state().join("snapshot.pb");
    until("a copy on disk", || snapshot.exists().then_some(()));
    run.end();
    assert!(get(stage.port, "/").is_err(), "nobody serves");

    let started = Instant::now();
    let alone = stage.data_plane();
    let response = until("service", || get(stage.port, "/").ok());
    let took = started.elapsed();
    assert_eq!(response.body, "blue");
    assert!(took < Duration::from_secs(2), "{took:?} of {PATIENCE:?}");
    alone.end();
}

/// Names of metrics as they are scraped, with the ending that a counter's samples have.
fn metrics(port: u16) -> Vec<String> {
    let text = get(port, "/metrics").unwrap().body;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, _) => name.to_owned(),
        })
        .collect()
}

#[test]
fn the_reference_names_every_metric() {
    let stage = blue();
    let run = stage.run(&[]);
    assert_eq!(get(stage.port, "/").unwrap().status(), 200);
    let page = fs::read_to_string(repository().join("docs/reference/telemetry.md")).unwrap();
    for (port, least) in [(stage.admin, 20), (stage.controller_admin, 10)] {
        let names = metrics(port);
        assert!(names.len() >= least, "{names:?}");
        let is_missing = |name: &&String| !page.contains(&format!("`{name}`"));
        let missing: Vec<_> = names.iter().filter(is_missing).collect();
        assert!(missing.is_empty(), "not in the page: {missing:?}");
    }
    run.end();
}
