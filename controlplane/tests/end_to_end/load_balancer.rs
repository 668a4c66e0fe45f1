//! Services of type LoadBalancer from a folder: the example as its page tells it, addresses that stay, and
//! the client's address, which its backend learns.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use crate::http::get;
use crate::stage::{PATIENCE, Stage, free_port, until};
use crate::streams::peer;

/// Answers what it is told in capitals, by TCP and UDP at one port.
fn capitals() -> u16 {
    let port = free_port();
    let datagrams = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((count, from)) = datagrams.recv_from(&mut bytes) {
            let answer = bytes[..count].to_ascii_uppercase();
            datagrams.send_to(&answer, from).unwrap();
        }
    });
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut bytes = [0; 64];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    let answer = bytes[..count].to_ascii_uppercase();
                    stream.write_all(&answer).unwrap();
                }
            });
        }
    });
    port
}

fn by_tcp(address: &str, port: u16) -> std::io::Result<String> {
    let address: IpAddr = address.parse().unwrap();
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"hello\n")?;
    let mut answer = [0; 6];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn by_udp(address: &str, port: u16) -> String {
    let address: IpAddr = address.parse().unwrap();
    let here = match address {
        IpAddr::V4(_) => "127.0.0.1:0",
        IpAddr::V6(_) => "[::1]:0",
    };
    let socket = UdpSocket::bind(here).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(b"hello\n", (address, port)).unwrap();
    let mut answer = [0; 64];
    let (count, from) = socket.recv_from(&mut answer).unwrap();
    assert_eq!(from.ip(), address, "whom it was asked from");
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

/// The example on ports of its own.
fn example() -> Stage {
    let backend = capitals().to_string();
    Stage::example("dns", &[("5353", "PORT".to_owned()), ("9053", backend)])
}

fn status(stage: &Stage) -> String {
    let admin = format!("127.0.0.1:{}", stage.controller_admin);
    let mut command = stage.ringgate("status");
    let output = command.args(["--controller-admin", &admin]).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn the_dns_example_answers_at_both_families_with_both_protocols() {
    let stage = example();
    let port = stage.port;
    let run = stage.run(&[]);
    run.wait_for_line(&format!("tcp://[::1]:{port}, Service default/dns"));
    for address in ["127.0.53.1", "::1"] {
        assert_eq!(by_tcp(address, port).unwrap(), "HELLO\n");
        assert_eq!(by_udp(address, port), "HELLO\n");
    }
    assert!(by_tcp("127.0.53.2", port).is_err(), "not its own");
    let shown = status(&stage);
    let row = format!("default/dns  127.0.53.1 ::1  {port}/UDP {port}/TCP");
    assert!(shown.contains(&row), "{shown}");
    assert!(shown.contains("edge          IPv4    1      8"), "{shown}");

    // Nobody else's sources.
    let text = std::fs::read_to_string(stage.site().join("service.yaml")).unwrap();
    stage.write("service.yaml", &text.replace("127.0.0.0/8", "192.0.2.0/24"));
    until("others are refused", || by_tcp("127.0.53.1", port).err());
    assert_eq!(by_tcp("::1", port).unwrap(), "HELLO\n");
}

#[test]
fn an_address_of_files_stays_over_edits_and_restarts_and_is_said_to_have_left_its_pool() {
    let stage = example();
    let port = stage.port;
    let older = "\
apiVersion: v1
kind: Service
metadata: {name: a-older, creationTimestamp: \"2020-01-01T00:00:00Z\"}
spec: {type: LoadBalancer, loadBalancerClass: ringgate.io/lb, ports: [{port: 5353}]}
";
    let run = stage.run(&[]);
    assert_eq!(by_tcp("127.0.53.1", port).unwrap(), "HELLO\n");
    run.end();

    // It would get the lower address, if the other weren't remembered.
    stage.write("older.yaml", older);
    let run = stage.run(&[]);
    assert_eq!(by_tcp("127.0.53.1", port).unwrap(), "HELLO\n");
    assert!(status(&stage).contains("default/a-older  127.0.53.2"));

    let pool = std::fs::read_to_string(stage.site().join("pool.yaml")).unwrap();
    let narrow = pool.replace("127.0.53.1-127.0.53.9", "127.0.53.2-127.0.53.9");
    stage.write("pool.yaml", &narrow);
    run.wait_for_line("127.0.53.1 is in no pool for this any more, and goes on all the same");
    assert_eq!(by_tcp("127.0.53.1", port).unwrap(), "HELLO\n");
    assert_eq!(by_udp("127.0.53.1", port), "HELLO\n");
    run.end();
}

#[test]
fn without_a_pool_a_service_of_files_is_at_the_hosts_addresses_and_a_port_is_one_s() {
    let stage = example();
    let port = stage.port;
    std::fs::remove_file(stage.site().join("pool.yaml")).unwrap();
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
  - {{name: http, protocol: HTTP, port: {port}}}
"
        ),
    );
    let run = stage.run(&[]);
    let taken = "spec.ports[1]: Gateway default/web listens on this port already";
    assert!(status(&stage).contains(taken), "{}", status(&stage));
    assert_eq!(by_udp("127.0.0.1", port), "HELLO\n", "another protocol");
    std::fs::remove_file(stage.site().join("gateway.yaml")).unwrap();
    until("the port is free", || {
        let answer = by_tcp("127.0.0.1", port).ok()?;
        (answer == "HELLO\n").then_some(())
    });
    run.end();
}

/// The example with a Service that says this too, its endpoints on `edge-1`.
fn on_a_node(says: &str) -> Stage {
    let stage = example();
    let path = stage.site().join("service.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.replace(
        "  ports:\n  - {name: dns, port",
        &format!("  {says}\n  ports:\n  - {{name: dns, port"),
    );
    let text = text.replace(
        "addresses: [127.0.0.1]",
        "addresses: [127.0.0.1], nodeName: edge-1",
    );
    stage.write("service.yaml", &text);
    stage
}

/// What is told at a health check port: code, weight and body.
fn told(port: u16) -> (String, String, String) {
    let response = get(port, "/healthz").unwrap();
    let weight = response.fields.iter().find_map(|field| {
        let (name, value) = field.split_once(": ")?;
        (name == "x-load-balancing-endpoint-weight").then(|| value.to_owned())
    });
    (response.status_line, weight.unwrap(), response.body)
}

#[test]
fn local_traffic_stays_on_the_node_and_nodes_without_endpoints_say_so() {
    let check = free_port();
    let stage = on_a_node(&format!(
        "externalTrafficPolicy: Local\n  healthCheckNodePort: {check}"
    ));
    let run = stage.run(&["--node", "edge-1"]);
    assert_eq!(by_tcp("127.0.53.1", stage.port).unwrap(), "HELLO\n");
    let (status_line, weight, body) = until("it is told", || {
        get(check, "/healthz").ok().map(|_| told(check))
    });
    assert_eq!(status_line, "HTTP/1.1 200 OK");
    assert_eq!(weight, "1");
    let expected = r#"{"localEndpoints":1,"service":{"name":"dns","namespace":"default"},"serviceProxyHealthy":true}"#;
    assert_eq!(body, expected);
    let addresses = || get(stage.admin, "/addresses").unwrap().body;
    assert_eq!(addresses(), r#"["127.0.53.1","::1"]"#);
    let shown = status(&stage);
    let hidden = "endpoints of its UDP ports see the data plane's address";
    assert!(shown.contains(hidden), "{shown}");

    // Its endpoints go to another node: nobody shall come here.
    let path = stage.site().join("service.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    stage.write("service.yaml", &text.replace("edge-1", "edge-2"));
    until("it isn't announced here", || {
        (addresses() == "[]").then_some(())
    });
    let (status_line, weight, _) = until("no endpoint is told", || {
        let told = told(check);
        (told.1 == "0").then_some(told)
    });
    assert_eq!(status_line, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(weight, "0");
    assert!(by_tcp("127.0.53.1", stage.port).is_err());
    run.end();
}

#[test]
fn a_client_stays_with_its_endpoint() {
    let others: Vec<String> = (0..4).map(|_| named_backend()).collect();
    let stage = example();
    let path = stage.site().join("service.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let (service, _) = text.split_once("---").unwrap();
    let mut text = service.replace("spec:\n", "spec:\n  sessionAffinity: ClientIP\n");
    for (place, port) in others.iter().enumerate() {
        text += &format!(
            "\
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: dns-{place}, labels: {{kubernetes.io/service-name: dns}}}}
addressType: IPv4
ports: [{{name: dns-tcp, port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"
        );
    }
    stage.write("service.yaml", &text);
    let run = stage.run(&[]);
    let ask = || {
        let stream = TcpStream::connect(("127.0.53.1", stage.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut name = String::new();
        BufReader::new(stream).read_line(&mut name).unwrap();
        name
    };
    let first = ask();
    assert!(!first.is_empty());
    // By chance once in a thousand millions.
    for _ in 0..15 {
        assert_eq!(ask(), first);
    }
    run.end();
}

/// Says its port to everybody who comes.
fn named_backend() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            stream
                .unwrap()
                .write_all(format!("{port}\n").as_bytes())
                .unwrap();
        }
    });
    port.to_string()
}

/// The backend behind a load balancer sees the balancer's address instead of the client's, or a header that
/// anybody could have written.
/// cilium/cilium#30042, cilium/cilium#43521, cilium/cilium#41876, envoyproxy/gateway#8072, metallb/metallb#797,
/// kube-vip/kube-vip#1212.
///
/// Here a BackendPolicy tells a Service's endpoints the client's address and port, by PROXY protocol.
#[test]
fn pain_10_the_clients_address_reaches_the_endpoints_of_a_service() {
    let backend = peer(|stream| {
        let mut first = String::new();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        reader.read_line(&mut first).unwrap();
        let mut stream = stream;
        stream.write_all(first.as_bytes()).unwrap();
    });
    let stage = Stage::example(
        "dns",
        &[("5353", "PORT".to_owned()), ("9053", backend.to_string())],
    );
    stage.write(
        "policy.yaml",
        "\
apiVersion: ringgate.io/v1alpha1
kind: BackendPolicy
metadata: {name: tell}
spec:
  targetRefs: [{group: \"\", kind: Service, name: dns}]
  proxyProtocol: V1
",
    );
    let run = stage.run(&[]);
    let mut client = TcpStream::connect(("127.0.53.1", stage.port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
        .write_all(b"PROXY TCP4 192.0.2.66 127.0.53.1 1 2\r\n")
        .unwrap();
    let mut told = String::new();
    BufReader::new(&client).read_line(&mut told).unwrap();
    let here = client.local_addr().unwrap();
    let (ip, port, to) = (here.ip(), here.port(), stage.port);
    assert_eq!(told, format!("PROXY TCP4 {ip} 127.0.53.1 {port} {to}\r\n"));
    // Before its connection the end would wait.
    drop(client);
    run.end();
}
