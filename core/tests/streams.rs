//! Connections against compiled tables: which route takes a server name, and what an update changes.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

use std::collections::BTreeMap;

use ringgate_core::balance::Whereabouts;
use ringgate_core::ir::{
    AttachedHost, Attachment, Backend, BackendProtocol, BackendSettings, BackendTarget, Endpoint,
    Endpoints, Hostname, Id, Listener, ListenerSettings, Object, ObjectName, Protocol, Reach,
    Snapshot, StreamBackend, StreamProtocol, StreamRoute, Version,
};
use ringgate_core::table::{
    Bind, Carries, CompileError, Compiler, IpProtocol, Slot, Table, Target,
};

const PORT: u16 = 443;

fn name(name: &str) -> ObjectName {
    ObjectName::new("default", name)
}

fn listener(hostname: &str) -> (Id, Object) {
    let listener = Listener {
        gateway: name("gw"),
        name: hostname.into(),
        addresses: Vec::new(),
        port: PORT,
        public_port: None,
        protocol: Protocol::TlsPassthrough,
        client_certificate: None,
        hostname: Hostname::parse(hostname).unwrap(),
        settings: ListenerSettings::default(),
    };
    let id = Id::listener(&name("gw"), hostname);
    (id, Object::Listener(listener))
}

fn backend(service: &str) -> (Id, Object) {
    let backend = Backend {
        service: name(service),
        port: 443,
        endpoints: Endpoints::Addresses(Vec::new()),
        protocol: BackendProtocol::Tcp,
        reach: Reach::Anywhere,
        health_check_port: None,
        tls: None,
        settings: BackendSettings::default(),
    };
    (backend_id(service), Object::Backend(backend))
}

fn backend_id(service: &str) -> Id {
    Id::backend(&name(service), 443, BackendProtocol::Tcp)
}

/// A route to service `one` that is attached to a listener for hosts, each beside what the route says.
fn route(route: &str, created: u64, (listener, hosts): (&str, &[(&str, &str)])) -> (Id, Object) {
    let hostnames = hosts.iter().map(|(hostname, written)| AttachedHost {
        hostname: Hostname::parse(hostname).unwrap(),
        written: Hostname::parse(written).unwrap(),
    });
    let stream = StreamRoute {
        protocol: StreamProtocol::Tls,
        is_service: false,
        name: name(route),
        created,
        attachments: vec![Attachment {
            listener: Id::listener(&name("gw"), listener),
            hostnames: hostnames.collect(),
        }],
        rule: None,
        backends: vec![StreamBackend {
            target: BackendTarget::Backend(backend_id("one")),
            weight: 1,
        }],
    };
    (
        Id::stream_route(StreamProtocol::Tls, &name(route)),
        Object::StreamRoute(stream),
    )
}

fn version() -> Version {
    Version {
        term: 1,
        sequence: 1,
    }
}

fn compiler(objects: impl IntoIterator<Item = (Id, Object)>) -> (Compiler, std::sync::Arc<Table>) {
    let objects: BTreeMap<_, _> = objects.into_iter().collect();
    let mut compiler = Compiler::default();
    let compiled = compiler.replace(Snapshot {
        version: version(),
        objects,
    });
    assert_eq!(compiled.problems, []);
    (compiler, compiled.table)
}

fn found(table: &Table, host: &str) -> Option<(String, Slot)> {
    let bind = Bind {
        protocol: IpProtocol::Tcp,
        address: None,
        port: PORT,
    };
    let listener = table.port(bind)?.listener(host)?;
    assert_eq!(listener.carries, Carries::Tls);
    assert!(listener.is_encrypted);
    let rule = listener.stream(host)?;
    Some((rule.route.name.to_string(), rule.slot))
}

fn route_of(table: &Table, host: &str) -> Option<String> {
    found(table, host).map(|(route, _)| route)
}

#[test]
fn the_most_specific_hostname_takes_a_connection() {
    let (_, table) = compiler([
        listener(""),
        backend("one"),
        route("exact", 9, ("", &[("a.example.com", "a.example.com")])),
        route("wildcard", 1, ("", &[("*.example.com", "*.example.com")])),
        route("wider", 0, ("", &[("*.com", "*.com")])),
    ]);
    assert_eq!(route_of(&table, "a.example.com").as_deref(), Some("exact"));
    assert_eq!(
        route_of(&table, "b.example.com").as_deref(),
        Some("wildcard")
    );
    assert_eq!(route_of(&table, "example.com").as_deref(), Some("wider"));
    assert_eq!(route_of(&table, "example.org"), None);
    assert_eq!(route_of(&table, ""), None, "without a server name");
}

#[test]
fn of_routes_for_one_host_what_they_say_themselves_decides_then_age_then_name() {
    let host = "a.example.com";
    let at = |written| (host, written);
    let (_, table) = compiler([
        listener(host),
        backend("one"),
        route("older", 1, (host, &[at("*.com")])),
        route("specific", 2, (host, &[at("*.example.com")])),
    ]);
    assert_eq!(route_of(&table, host).as_deref(), Some("specific"));
    let (_, table) = compiler([
        listener(host),
        backend("one"),
        route("a", 2, (host, &[at(host)])),
        route("c", 1, (host, &[at(host)])),
        route("b", 1, (host, &[at(host)])),
    ]);
    assert_eq!(route_of(&table, host).as_deref(), Some("b"));
}

#[test]
fn a_listener_takes_no_connection_of_another_ones_host() {
    let (_, table) = compiler([
        listener("*.example.com"),
        listener(""),
        backend("one"),
        route("any", 0, ("", &[("", "")])),
    ]);
    assert_eq!(route_of(&table, "example.org").as_deref(), Some("any"));
    assert_eq!(
        route_of(&table, "a.example.com"),
        None,
        "listeners are apart"
    );
}

#[test]
fn what_goes_leaves_its_host_to_the_next_and_retires_its_slot() {
    let host = "a.example.com";
    let (mut compiler, table) = compiler([
        listener(""),
        backend("one"),
        route("one", 1, ("", &[(host, host)])),
        route("two", 2, ("", &[(host, host)])),
    ]);
    let (first, slot) = found(&table, host).unwrap();
    assert_eq!(first, "one");
    let moved = route("one", 1, ("", &[("b.example.com", "b.example.com")]));
    let compiled = compiler.update(version(), vec![moved], Vec::new());
    assert_eq!(route_of(&compiled.table, host).as_deref(), Some("two"));
    assert_eq!(found(&compiled.table, "b.example.com"), Some((first, slot)));
    assert_eq!(compiled.retired, []);
    let gone = Id::stream_route(StreamProtocol::Tls, &name("one"));
    let compiled = compiler.update(version(), Vec::new(), vec![gone]);
    assert_eq!(route_of(&compiled.table, "b.example.com"), None);
    assert_eq!(compiled.retired, [slot]);
}

#[test]
fn a_backend_that_is_missing_is_told_and_its_target_is_invalid_until_it_comes() {
    let host = "a.example.com";
    let mut compiler = Compiler::default();
    let objects = [listener(""), route("one", 1, ("", &[(host, host)]))];
    let compiled = compiler.update(version(), objects.into(), Vec::new());
    let targets = |table: &Table| {
        let bind = Bind {
            protocol: IpProtocol::Tcp,
            address: None,
            port: PORT,
        };
        let listener = table.port(bind).unwrap().listener(host).unwrap();
        listener.stream(host).unwrap().targets[0].target
    };
    assert_eq!(targets(&compiled.table), Target::Invalid);
    let error = &compiled.problems[0].error;
    assert!(matches!(error, CompileError::MissingBackend { .. }));
    let compiled = compiler.update(version(), vec![backend("one")], Vec::new());
    assert_eq!(compiled.problems, []);
    assert!(matches!(targets(&compiled.table), Target::Backend(_)));
}

/// What serves a Service of type LoadBalancer with an address and an endpoint on each of the nodes.
fn balanced(service: &str, address: u8, reach: Reach, nodes: &[&str]) -> [(Id, Object); 3] {
    let opened = Listener {
        gateway: name(service),
        name: "service/80".into(),
        addresses: vec![[192, 0, 2, address].into()],
        port: 80,
        public_port: None,
        protocol: Protocol::Tcp,
        client_certificate: None,
        hostname: Hostname::Any,
        settings: ListenerSettings::default(),
    };
    let listener = Id::listener(&name(service), "service/80");
    let endpoints = (1..).zip(nodes).map(|(last, node)| Endpoint {
        address: ([10, 0, address, last], 8080).into(),
        node: Some(node.trim_end_matches('!').into()),
        zone: None,
        is_leaving: node.ends_with('!'),
    });
    let backend = Backend {
        service: name(service),
        port: 80,
        endpoints: Endpoints::Addresses(endpoints.collect()),
        protocol: BackendProtocol::Tcp,
        reach,
        health_check_port: (reach == Reach::SameNode).then_some(30_000 + u16::from(address)),
        tls: None,
        settings: BackendSettings::default(),
    };
    let own = Id::service_backend(&name(service), 80, BackendProtocol::Tcp);
    let route = StreamRoute {
        protocol: StreamProtocol::Tcp,
        is_service: true,
        name: name(service),
        created: 0,
        attachments: vec![Attachment {
            listener: listener.clone(),
            hostnames: vec![AttachedHost::as_written(Hostname::Any)],
        }],
        rule: None,
        backends: vec![StreamBackend {
            target: BackendTarget::Backend(own.clone()),
            weight: 1,
        }],
    };
    let id = Id::stream_route(StreamProtocol::Tcp, &name(service));
    [
        (listener, Object::Listener(opened)),
        (own, Object::Backend(backend)),
        (id, Object::StreamRoute(route)),
    ]
}

#[test]
fn a_node_serves_local_traffic_only_where_it_has_endpoints_and_tells_how_many() {
    let objects = [
        balanced("everywhere", 1, Reach::Anywhere, &["a"]),
        balanced("local", 2, Reach::SameNode, &["a", "b", "a", "a!", "c!"]),
        balanced("empty", 3, Reach::SameNode, &[]),
    ];
    let (_, table) = compiler(objects.into_iter().flatten());
    for (node, last, counts) in [
        (Some("a"), vec![1, 2], [2, 0]),
        (Some("b"), vec![1, 2], [1, 0]),
        (Some("c"), vec![1], [0, 0]),
        (None, vec![1], [0, 0]),
    ] {
        let here = Whereabouts {
            node: node.map(Into::into),
            zone: None,
        };
        let addresses = last.into_iter().map(|last| [192, 0, 2, last].into());
        assert_eq!(table.addresses(&here), addresses.collect(), "{node:?}");
        let presences = table.presences(&here);
        let told = presences
            .values()
            .map(|one| (one.service.clone(), one.endpoints));
        let expected = [name("local"), name("empty")].into_iter().zip(counts);
        assert!(told.eq(expected), "{node:?}: {presences:?}");
        assert!(presences.keys().eq(&[30_002, 30_003]));
    }
}
