//! What goes over the wire comes back the same, and what isn't ours is refused without a panic.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use prost::Message;
use ringgate_core::ir::{
    AttachedHost, Attachment, Authorities, Backend, BackendProtocol, BackendSettings,
    BackendTarget, BackendTls, Balance, Certificate, ClientValidation, Cors, Der,
    DownstreamTimeouts, Endpoint, Endpoints, FieldMatch, Filter, HashBy, HeaderEdits, HeaderField,
    HealthCheck, Hostname, HttpLimits, HttpRoute, Id, Listener, ListenerSettings, Match, Mirror,
    Network, Object, ObjectName, Origin, OutlierDetection, PathMatch, PathModifier, PrivateKey,
    Probe, Protocol, ProxyHeader, ProxyProtocol, Reach, Redirect, Retry, Rewrite, RouteProtocol,
    RpcMatch, Rule, Snapshot, Staple, StatusRange, StreamBackend, StreamProtocol, StreamRoute,
    SubjectName, Termination, TextMatch, Thresholds, TicketKey, TicketKeys, Timeouts, TlsVersion,
    Tokens, Trust, Unverified, Version, WeightedBackend,
};
use ringgate_core::wire;

fn listener(name: &ObjectName) -> Listener {
    Listener {
        gateway: name.clone(),
        name: "web".into(),
        addresses: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        port: 8080,
        public_port: Some(80),
        protocol: Protocol::Http,
        client_certificate: None,
        hostname: Hostname::parse("*.example.com").unwrap(),
        settings: ListenerSettings {
            timeouts: DownstreamTimeouts {
                header: Duration::from_millis(1),
                keep_alive: Duration::from_millis(2),
                idle: Duration::from_millis(3),
                tunnel_idle: Duration::from_millis(4),
                session_idle: Duration::from_millis(10),
            },
            limits: HttpLimits {
                request_line_bytes: 5,
                header_bytes: 6,
                header_fields: 7,
                body_bytes: Some(8),
                connections: Some(9),
                sessions: 11,
            },
            trusted_proxies: [Network {
                address: "10.0.0.0".parse().unwrap(),
                prefix: 8,
            }]
            .into(),
            proxy_protocol: ProxyProtocol::FromTrusted,
            allowed_sources: [Network {
                address: "fd00::".parse().unwrap(),
                prefix: 16,
            }]
            .into(),
            access_log: false,
            http2: false,
            server: Some("s".into()),
            via: Some("v".into()),
        },
    }
}

fn filters(backend: &Id) -> Vec<Filter> {
    let edits = HeaderEdits {
        set: vec![HeaderField {
            name: "a".into(),
            value: "1".into(),
        }],
        add: vec![HeaderField {
            name: "b".into(),
            value: "2".into(),
        }],
        remove: vec!["c".into()],
    };
    vec![
        Filter::RequestHeaders(edits.clone()),
        Filter::ResponseHeaders(edits),
        Filter::Redirect(Redirect {
            scheme: Some("https".into()),
            hostname: Some("h.example".into()),
            port: Some(443),
            path: Some(PathModifier::ReplaceFullPath("/x".into())),
            status: 308,
        }),
        Filter::Rewrite(Rewrite {
            hostname: Some("h".into()),
            path: Some(PathModifier::ReplacePrefix("/y".into())),
        }),
        Filter::Mirror(Mirror {
            backend: backend.clone(),
            numerator: 1,
            denominator: 3,
        }),
        Filter::Cors(Cors {
            origins: vec![
                Origin::Any,
                Origin::Exact("https://a.example".into()),
                Origin::Wildcard {
                    before: "https://".into(),
                    after: ".example".into(),
                },
            ],
            credentials: true,
            methods: Tokens::Any,
            headers: Tokens::List(vec!["x".into()]),
            expose: Tokens::List(Vec::new()),
            max_age: Duration::from_secs(5),
        }),
    ]
}

fn rule(path: PathMatch, backend: &Id) -> Rule {
    let exact = FieldMatch {
        name: "n".into(),
        value: TextMatch::Exact("v".into()),
    };
    let regex = FieldMatch {
        name: "n".into(),
        value: TextMatch::Regex("v+".into()),
    };
    Rule {
        name: Some("r".into()),
        matches: vec![Match {
            path,
            headers: vec![exact.clone(), regex.clone()],
            query: vec![regex, exact],
            method: Some("GET".into()),
        }],
        filters: filters(backend),
        backends: vec![
            WeightedBackend {
                target: BackendTarget::Backend(backend.clone()),
                weight: 3,
                filters: filters(backend),
            },
            WeightedBackend {
                target: BackendTarget::Invalid,
                weight: 0,
                filters: Vec::new(),
            },
        ],
        timeouts: Timeouts {
            request: Some(Duration::from_secs(1)),
            backend_request: None,
        },
        retry: Some(Retry {
            codes: vec![500, 503],
            attempts: 2,
            backoff: None,
        }),
        broken: true,
    }
}

fn route(name: &ObjectName, backend: &Id) -> HttpRoute {
    HttpRoute {
        protocol: RouteProtocol::Http,
        name: name.clone(),
        created: 17,
        attachments: vec![Attachment {
            listener: Id::listener(name, "web"),
            hostnames: vec![
                AttachedHost::as_written(Hostname::Any),
                AttachedHost {
                    hostname: Hostname::parse("a.example.com").unwrap(),
                    written: Hostname::Wildcard("example.com".into()),
                },
            ],
        }],
        rules: vec![
            rule(PathMatch::Exact("/e".into()), backend),
            rule(PathMatch::Prefix("".into()), backend),
            rule(PathMatch::Regex("/r.*".into()), backend),
        ],
    }
}

fn grpc_route(name: &ObjectName, backend: &Id) -> HttpRoute {
    let methods = [
        (None, None),
        (Some(TextMatch::Exact("a.B".into())), None),
        (None, Some(TextMatch::Regex("Get|Set".into()))),
    ];
    let rules = methods.map(|(service, method)| {
        let rpc = PathMatch::Rpc(RpcMatch { service, method });
        rule(rpc, backend)
    });
    HttpRoute {
        protocol: RouteProtocol::Grpc,
        rules: rules.into(),
        ..route(name, backend)
    }
}

fn der(bytes: &[u8]) -> Der {
    Der(bytes.into())
}

fn secure_listener(name: &ObjectName, certificate: &Id, authorities: &Id) -> Listener {
    Listener {
        name: "secure".into(),
        protocol: Protocol::Https(Termination {
            certificates: vec![certificate.clone()],
            minimum: TlsVersion::V1_3,
            clients: Some(ClientValidation {
                authorities: vec![authorities.clone()],
                unverified: Unverified::LetIn,
            }),
        }),
        client_certificate: Some(certificate.clone()),
        ..listener(name)
    }
}

fn serving_certificate() -> Certificate {
    Certificate {
        chain: vec![der(b"leaf"), der(b"intermediate")],
        key: PrivateKey(b"key"[..].into()),
        staple: Some(Staple {
            response: der(b"ocsp"),
            ends: Some(1_800_000_000),
        }),
    }
}

fn ticket_keys() -> Object {
    Object::TicketKeys(TicketKeys {
        keys: vec![TicketKey([1; 48].into()), TicketKey([2; 80].into())],
    })
}

fn stream_listener(gateway: &ObjectName, name: &str, protocol: Protocol) -> Listener {
    Listener {
        name: name.into(),
        protocol,
        ..listener(gateway)
    }
}

fn stream_route(protocol: StreamProtocol, name: &ObjectName) -> (Id, Object) {
    let target = BackendTarget::Backend(Id::backend(name, 80, BackendProtocol::Tcp));
    let backend = |target, weight| StreamBackend { target, weight };
    let route = StreamRoute {
        protocol,
        is_service: protocol == StreamProtocol::Tcp,
        name: name.clone(),
        created: 7,
        attachments: vec![Attachment {
            listener: Id::listener(name, "passes"),
            hostnames: vec![AttachedHost::as_written(
                Hostname::parse("*.example.com").unwrap(),
            )],
        }],
        rule: Some("all".into()),
        backends: vec![backend(target, 9), backend(BackendTarget::Invalid, 1)],
    };
    (Id::stream_route(protocol, name), Object::StreamRoute(route))
}

/// A plain listener; routes of layer 4, and listeners of all kinds for them.
fn streams(name: &ObjectName, certificate: &Id) -> [(Id, Object); 8] {
    let ends = Protocol::Tls(Termination {
        certificates: vec![certificate.clone()],
        minimum: TlsVersion::V1_2,
        clients: None,
    });
    let listener = |section, protocol| {
        let listener = stream_listener(name, section, protocol);
        (Id::listener(name, section), Object::Listener(listener))
    };
    [
        (
            Id::listener(name, "web"),
            Object::Listener(self::listener(name)),
        ),
        listener("passes", Protocol::TlsPassthrough),
        listener("ends", ends),
        listener("bytes", Protocol::Tcp),
        listener("datagrams", Protocol::Udp),
        stream_route(StreamProtocol::Tls, name),
        stream_route(StreamProtocol::Tcp, name),
        stream_route(StreamProtocol::Udp, name),
    ]
}

fn backend_settings(protocol: BackendProtocol) -> BackendSettings {
    BackendSettings {
        balance: Balance::Consistent(HashBy {
            cookie: Some("c".into()),
            header: Some("x-user".into()),
            hostname: true,
        }),
        slow_start: Some(Duration::from_secs(12)),
        affinity: Some(Duration::from_secs(13)),
        max_connections: Some(3),
        proxy_header: Some(ProxyHeader::V2),
        health_check: health_check(protocol),
        outlier_detection: Some(OutlierDetection {
            consecutive_failures: 4,
            base_ejection: Duration::from_millis(1),
            max_ejection: Duration::from_millis(2),
            max_ejected_percent: 100,
        }),
        ..BackendSettings::default()
    }
}

/// Of another kind for each protocol.
fn health_check(protocol: BackendProtocol) -> Option<HealthCheck> {
    let probe = match protocol {
        BackendProtocol::Http1 => Probe::Http {
            path: "/healthz".into(),
            host: Some("shop.example.com".into()),
            statuses: vec![
                StatusRange::FINE,
                StatusRange {
                    first: 418,
                    last: 418,
                },
            ],
        },
        BackendProtocol::Http2 => Probe::Grpc {
            service: "shop.Cart".into(),
        },
        BackendProtocol::Tcp => Probe::Tcp,
        BackendProtocol::Udp => return None,
    };
    Some(HealthCheck {
        probe,
        interval: Duration::from_millis(12),
        timeout: Duration::from_millis(13),
        thresholds: Thresholds {
            healthy: 14,
            unhealthy: 15,
        },
        port: (protocol == BackendProtocol::Http2).then_some(8081),
    })
}

fn snapshot() -> Snapshot {
    let name = ObjectName::new("default", "one");
    let backend = Id::backend(&name, 80, BackendProtocol::Http1);
    let certificate = Id::certificate(&name);
    let authorities = Id::authorities("ConfigMap", &name);
    let service = |protocol, endpoints| {
        Object::Backend(Backend {
            service: name.clone(),
            port: 80,
            endpoints,
            protocol,
            reach: Reach::PreferZone,
            health_check_port: Some(30_100),
            tls: Some(BackendTls {
                hostname: "backend.example.com".into(),
                trust: Trust::Authorities(vec![authorities.clone()]),
                names: vec![
                    SubjectName::Dns("*.example.com".into()),
                    SubjectName::Uri("spiffe://a/b".into()),
                ],
            }),
            settings: backend_settings(protocol),
        })
    };
    let route_to =
        |make: fn(&ObjectName, &Id) -> HttpRoute| Object::HttpRoute(make(&name, &backend));
    let (http, grpc) = (route_to(route), route_to(grpc_route));
    let streams = streams(&name, &certificate);
    let address = Endpoint {
        address: "[fd00::2]:90".parse().unwrap(),
        node: Some("n".into()),
        zone: Some("z".into()),
        is_leaving: true,
    };
    let objects = BTreeMap::from([
        (Id::http_route(&name), http),
        (Id::grpc_route(&name), grpc),
        (
            Id::listener(&name, "secure"),
            Object::Listener(secure_listener(&name, &certificate, &authorities)),
        ),
        (certificate, Object::Certificate(serving_certificate())),
        (
            authorities.clone(),
            Object::Authorities(Authorities {
                certificates: vec![der(b"authority")],
            }),
        ),
        (Id::ticket_keys(), ticket_keys()),
    ]);
    let services = [
        (BackendProtocol::Http1, Endpoints::Addresses(vec![address])),
        (BackendProtocol::Http2, Endpoints::Echo("one".into())),
        (BackendProtocol::Tcp, Endpoints::Addresses(Vec::new())),
        (BackendProtocol::Udp, Endpoints::Addresses(Vec::new())),
    ];
    let services = services.map(|(protocol, endpoints)| {
        let id = Id::backend(&name, 80, protocol);
        (id, service(protocol, endpoints))
    });
    Snapshot {
        version: Version {
            term: 2,
            sequence: 3,
        },
        objects: objects.into_iter().chain(services).chain(streams).collect(),
    }
}

#[test]
fn a_snapshot_comes_back_as_it_was_sent() {
    let bytes = wire::encode_saved(&snapshot()).encode_to_vec();
    assert_eq!(wire::saved(&bytes).unwrap(), snapshot());
}

/// What was saved before there were public ports has none either.
#[test]
fn a_listener_that_is_reached_by_its_own_port_says_nothing_of_it_on_the_wire() {
    let gateway = ObjectName::new("default", "gw");
    let id = Id::listener(&gateway, "web");
    let behind = listener(&gateway);
    let own = Listener {
        public_port: None,
        ..behind.clone()
    };
    let lengths = [behind, own].map(|listener| {
        let entry = wire::encode_entry(&id, &Object::Listener(listener.clone()));
        let (_, decoded) = wire::entry(&entry).unwrap();
        assert_eq!(decoded, Object::Listener(listener));
        entry.object.len()
    });
    assert_eq!(lengths[0], lengths[1] + 2, "a tag and 80");
}

/// What a backend is refused for, its check changed so.
fn refused_check(change: impl Fn(&mut HealthCheck)) -> String {
    let name = ObjectName::new("default", "one");
    let id = Id::backend(&name, 80, BackendProtocol::Http1);
    let Some(Object::Backend(mut backend)) = snapshot().objects.remove(&id) else {
        unreachable!("it is there");
    };
    change(backend.settings.health_check.as_mut().unwrap());
    let entry = wire::encode_entry(&id, &Object::Backend(backend));
    wire::entry(&entry).unwrap_err().to_string()
}

#[test]
fn checks_without_pause_or_end_and_requests_that_are_none_are_refused() {
    let http = |path: &str, statuses: usize| Probe::Http {
        path: path.into(),
        host: None,
        statuses: vec![StatusRange::FINE; statuses],
    };
    for (probe, error) in [
        (http("/a b", 1), "path is out of range: 32"),
        (http("/a\r\nx: y", 1), "path is out of range: 13"),
        (http("", 1), "path is missing"),
        (
            http(&"/".repeat(1025), 1),
            "path has 1025 entries, more than the limit of 1024",
        ),
        (
            http("/", 17),
            "statuses has 17 entries, more than the limit of 16",
        ),
    ] {
        assert_eq!(refused_check(|check| check.probe = probe.clone()), error);
    }
    let error = refused_check(|check| check.interval = Duration::ZERO);
    assert_eq!(error, "interval_ms is out of range: 0");
    let error = refused_check(|check| check.timeout = Duration::ZERO);
    assert_eq!(error, "timeout_ms is out of range: 0");
    let error = refused_check(|check| check.thresholds.healthy = 0);
    assert_eq!(error, "healthy_threshold is out of range: 0");
    let error = refused_check(|check| check.port = Some(0));
    assert_eq!(error, "port is out of range: 0");
}

#[test]
fn endpoints_come_in_order_and_once_however_they_were_sent() {
    let name = ObjectName::new("default", "one");
    let endpoint = |text: &str| Endpoint::at(text.parse().unwrap());
    let backend = |endpoints: &[&str]| {
        Object::Backend(Backend {
            service: name.clone(),
            port: 80,
            endpoints: Endpoints::Addresses(endpoints.iter().map(|one| endpoint(one)).collect()),
            protocol: BackendProtocol::Tcp,
            reach: Reach::Anywhere,
            health_check_port: None,
            tls: None,
            settings: BackendSettings::default(),
        })
    };
    let id = Id::backend(&name, 80, BackendProtocol::Tcp);
    let sent = backend(&["10.0.0.2:80", "10.0.0.1:81", "10.0.0.1:80", "10.0.0.2:80"]);
    let (_, decoded) = wire::entry(&wire::encode_entry(&id, &sent)).unwrap();
    let expected = backend(&["10.0.0.1:80", "10.0.0.1:81", "10.0.0.2:80"]);
    assert_eq!(decoded, expected);
}

#[test]
fn a_changed_byte_is_noticed() {
    for (id, object) in snapshot().objects {
        let mut entry = wire::encode_entry(&id, &object);
        let middle = entry.object.len() / 2;
        entry.object[middle] ^= 1;
        assert!(matches!(
            wire::entry(&entry),
            Err(wire::DecodeError::Hash { .. })
        ));
    }
}

#[test]
fn an_object_under_an_id_of_another_kind_is_refused() {
    let snapshot = snapshot();
    let (_, object) = snapshot.objects.first_key_value().unwrap();
    let id = Id::backend(
        &ObjectName::new("default", "one"),
        80,
        BackendProtocol::Http1,
    );
    let entry = wire::encode_entry(&id, object);
    assert!(matches!(
        wire::entry(&entry),
        Err(wire::DecodeError::Kind { .. })
    ));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = wire::saved(&bytes);
        let hash = wire::content_hash(&bytes);
        let id = wire::encode_id(&Id::backend(&ObjectName::new("a", "b"), 1, BackendProtocol::Http1));
        let _ = wire::entry(&wire::proto::Entry { id: Some(id), hash, object: bytes });
    }

    /// Damage that keeps the outer framing gets deeper into the decoder than random bytes do.
    #[test]
    fn damaged_objects_are_refused_without_a_panic(place in 0usize..2000, value in any::<u8>()) {
        for (id, object) in snapshot().objects {
            let mut entry = wire::encode_entry(&id, &object);
            let place = place % entry.object.len();
            entry.object[place] = value;
            entry.hash = wire::content_hash(&entry.object);
            let _ = wire::entry(&entry);
        }
    }
}
