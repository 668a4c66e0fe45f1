//! What people suffer from with other gateways where a browser takes one connection of HTTP/2 for several
//! hosts.

use crate::http2::Http2;
use crate::rotation::Identity;
use crate::stage::{Stage, free_port, until};
use crate::{http, service};

const HOSTS: [(&str, &str); 3] = [
    ("one", "one.w.example"),
    ("two", "two.w.example"),
    ("rest", "*.w.example"),
];

/// Three listeners of one port with one certificate, each with a route of its own; that of the last is for
/// two hosts.
fn site(stage: &Stage, port: u16, identity: &Identity) {
    let [certificate, key] = &identity.texts;
    stage.write("w.crt", certificate);
    stage.write("w.key", key);
    let mut text = "\
apiVersion: v1
kind: Secret
metadata:
  name: w
  annotations: {ringgate.io/certificate-file: w.crt, ringgate.io/key-file: w.key}
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
    for (name, host) in HOSTS {
        text += &format!(
            "  - {{name: {name}, protocol: HTTPS, port: {port}, hostname: '{host}', tls: {{certificateRefs: [{{name: w}}]}}}}\n"
        );
    }
    for (name, host) in HOSTS {
        let hosts = match name {
            "rest" => "x.w.example, y.w.example",
            _ => host,
        };
        text += &format!(
            "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: web, sectionName: {name}}}]
  hostnames: [{hosts}]
  rules: [{{backendRefs: [{{name: {name}, port: 80}}]}}]
---
{}",
            service(name, http::backend(name))
        );
    }
    stage.write("site.yaml", &text);
}

/// A browser sends what is meant for one host over the connection that it has for another, since the
/// wildcard certificate is good for both, and gets a 404 from routes that aren't meant; or, where all is
/// refused with 421, a page that it doesn't ask for again.
/// projectcontour/contour#5240, projectcontour/contour#1493, envoyproxy/gateway#9577,
/// nginx/nginx-gateway-fabric#4838.
///
/// Here hosts of one listener share a connection. A request for another listener's host is answered 421, at
/// no route's expense, the connection goes on, and one of its own serves it. 404 is for what no route has.
#[test]
fn pain_15_a_coalesced_request_is_served_or_misdirected_and_never_lost() {
    let stage = Stage::new();
    let port = free_port();
    let identity = Identity::of("*.w.example");
    site(&stage, port, &identity);
    let run = stage.run(&[]);
    until("service", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    let connect = |name| Http2::connect(port, name, &identity);
    let served = |name: &str| (200, name.to_owned());

    let one = connect("one.w.example");
    assert_eq!(one.get("one.w.example", "/"), served("one"));
    for other in ["two.w.example", "x.w.example", "z.w.example"] {
        let (status, _) = one.get(other, "/");
        assert_eq!(status, 421, "{other}");
        assert_eq!(
            one.get("one.w.example", "/"),
            served("one"),
            "after {other}"
        );
    }
    assert_eq!(
        connect("two.w.example").get("two.w.example", "/"),
        served("two")
    );

    let rest = connect("x.w.example");
    for host in ["x.w.example", "y.w.example", "x.w.example"] {
        assert_eq!(rest.get(host, "/"), served("rest"), "{host}");
    }
    // Of the same listener, and no route is for it.
    assert_eq!(rest.get("z.w.example", "/").0, 404);
    assert_eq!(rest.get("one.w.example", "/").0, 421);
    assert_eq!(rest.get("y.w.example", "/"), served("rest"));
    run.end();
}
