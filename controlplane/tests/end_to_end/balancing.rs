//! Which endpoint requests go to while endpoints come.

use crate::http::{backend, get};
use crate::stage::{Stage, until};
use crate::{service, site};

/// Before the first answer, what went wrong.
fn answer(stage: &Stage) -> String {
    get(stage.port, "/").map_or_else(|error| error.to_string(), |response| response.body)
}

#[test]
fn an_endpoint_that_joins_others_begins_with_a_small_share() {
    let stage = Stage::new();
    site(&stage);
    stage.write(
        "route.yaml",
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all}
spec:
  parentRefs: [{name: web}]
  rules: [{backendRefs: [{name: blue, port: 80}]}]
---
apiVersion: ringgate.io/v1alpha1
kind: BackendPolicy
metadata: {name: slowly}
spec:
  targetRefs: [{group: '', kind: Service, name: blue}]
  balance: RoundRobin
  slowStart: 1h
",
    );
    let _run = stage.run(&[]);
    until("blue answers", || (answer(&stage) == "blue").then_some(()));
    let joins = service("blue", backend("new"));
    let (_, slice) = joins.split_once("---\n").unwrap();
    stage.write("joins.yaml", &slice.replace("blue-1", "blue-2"));
    until("the new one answers", || {
        (answer(&stage) == "new").then_some(())
    });
    let new = (0..100).filter(|_| answer(&stage) == "new").count();
    // A tenth of its half is expected; without a slow start it would be each second one.
    assert!((..30).contains(&new), "{new} of 100");
}
