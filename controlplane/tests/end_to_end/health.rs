//! Checks that begin and end with what is written, while the processes run.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;

use crate::http::{backend, get};
use crate::stage::{Stage, until};
use crate::{route, site};

/// What the data plane thinks of endpoints, by their ports.
fn states(stage: &Stage) -> Vec<(u16, String)> {
    let list = get(stage.admin, "/endpoints").unwrap();
    let list: Vec<Value> = serde_json::from_str(&list.body).unwrap();
    let states = list.iter().map(|one| {
        let endpoint = one["endpoint"].as_str().unwrap();
        let (_, port) = endpoint.rsplit_once(':').unwrap();
        let state = one["state"].as_str().unwrap().to_owned();
        (port.parse().unwrap(), state)
    });
    let mut states: Vec<_> = states.collect();
    states.sort();
    states
}

fn await_states(stage: &Stage, wanted: &[(u16, &str)]) {
    let mut wanted: Vec<_> = wanted
        .iter()
        .map(|(port, state)| (*port, (*state).to_owned()))
        .collect();
    wanted.sort();
    until("the states of endpoints", || {
        (states(stage) == wanted).then_some(())
    });
}

fn shop(ports: &[u16]) -> String {
    let mut text = "\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{port: 80}]}
"
    .to_owned();
    for port in ports {
        text += &format!(
            "\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: shop-{port}
  labels: {{kubernetes.io/service-name: shop}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"
        );
    }
    text
}

fn policy(check: &str) -> String {
    format!(
        "\
apiVersion: ringgate.io/v1alpha1
kind: BackendPolicy
metadata: {{name: shop}}
spec:
  targetRefs: [{{group: '', kind: Service, name: shop}}]
  healthCheck: {check}
"
    )
}

#[test]
fn checks_follow_what_is_written() {
    let stage = Stage::new();
    site(&stage);
    let working = backend("works");
    let (away, later) = {
        let nobody = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = nobody
            .each_ref()
            .map(|one| one.local_addr().unwrap().port());
        (ports[0], ports[1])
    };
    stage.write("shop.yaml", &shop(&[working, away]));
    stage.write("route.yaml", &route("shop"));
    let run = stage.run(&[]);
    assert_eq!(states(&stage), []);

    stage.write("policy.yaml", &policy("{interval: 100ms}"));
    await_states(&stage, &[(working, "healthy"), (away, "unhealthy")]);
    for _ in 0..20 {
        assert_eq!(get(stage.port, "/").unwrap().body, "works");
    }

    // An endpoint that joins is asked; what is known of the others stays.
    stage.write("shop.yaml", &shop(&[working, away, later]));
    await_states(
        &stage,
        &[
            (working, "healthy"),
            (away, "unhealthy"),
            (later, "unhealthy"),
        ],
    );
    let out = run.said("an endpoint is out");
    assert!(out <= 2, "{away} was told of once");
    stage.write("shop.yaml", &shop(&[working]));
    await_states(&stage, &[(working, "healthy")]);

    // Another check is another opinion.
    stage.write(
        "policy.yaml",
        &policy("{interval: 100ms, http: {path: /, statuses: [418]}}"),
    );
    await_states(&stage, &[(working, "unhealthy")]);
    let list = get(stage.admin, "/endpoints").unwrap().body;
    assert!(list.contains("the answer has status 200"), "{list}");
    assert_eq!(
        get(stage.port, "/").unwrap().body,
        "works",
        "it is the last"
    );
    fs::remove_file(stage.site().join("policy.yaml")).unwrap();
    await_states(&stage, &[]);
    run.end();
}
