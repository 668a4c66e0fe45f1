//! Which endpoint a client comes to, through the real data plane.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ringgate_core::ir::{
    Backend, BackendProtocol, BackendSettings, Balance, Endpoint, Endpoints, HashBy, Id, Object,
    Protocol, Reach, StreamProtocol,
};
use support::streams::{Streams, lines, nobody, tcp};
use support::{DataPlane, Origin, Wanted, name, plain, rule};

fn settings(balance: Balance) -> BackendSettings {
    BackendSettings {
        balance,
        ..BackendSettings::default()
    }
}

/// Three origins, and a data plane with two shards before them.
fn site(balance: Balance) -> ([Origin; 3], DataPlane) {
    let origins = [(); 3].map(|()| Origin::start(plain));
    let addresses = sorted(origins.iter().map(|one| one.address));
    let mut wanted = Wanted::new().route(vec![rule("one")]);
    wanted.backend_with("one", &addresses, settings(balance));
    (origins, wanted.start_with(&["--workers", "2"]))
}

fn sorted(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    addresses.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Sends a request on a connection of its own; which origin got it.
fn asked(plane: &DataPlane, origins: &[Origin; 3], lines: &str) -> usize {
    let mut client = plane.connect();
    client.send(&format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n"));
    assert_eq!(client.response().status, 200);
    let got = |origin: &Origin| !origin.has_none();
    let got: Vec<_> = (0..3).filter(|place| got(&origins[*place])).collect();
    assert_eq!(got.len(), 1, "one gets it");
    got[0]
}

/// What is equal by its text goes to one origin, whatever shard it comes to; different ones to different origins.
fn is_spread_by(by: HashBy, head: impl Fn(&str) -> String) {
    let (origins, plane) = site(Balance::Consistent(by));
    let mut of_user = BTreeMap::new();
    for turn in 0..4 {
        // Ports are others each time: that forty keys leave out one of three endpoints happens once in a million times.
        for user in 0..40 {
            let user = format!("user-{user}");
            let origin = asked(&plane, &origins, &head(&user));
            let before = *of_user.entry(user.clone()).or_insert(origin);
            assert_eq!(before, origin, "{user} in turn {turn}");
        }
    }
    let all: BTreeSet<_> = of_user.values().collect();
    assert_eq!(all.len(), 3, "{of_user:?}");
}

#[test]
fn a_header_a_cookie_or_a_host_leads_to_the_same_endpoint_from_every_shard() {
    let header = HashBy {
        header: Some("x-user".into()),
        ..HashBy::default()
    };
    is_spread_by(header, |user| format!("host: a.example\r\nX-User: {user}"));
    let cookie = HashBy {
        cookie: Some("id".into()),
        header: Some("x-user".into()),
        ..HashBy::default()
    };
    is_spread_by(cookie, |user| {
        format!("host: a.example\r\nx-user: u\r\ncookie: a=b; id={user}; c=d")
    });
    let hostname = HashBy {
        header: Some("x-user".into()),
        hostname: true,
        ..HashBy::default()
    };
    is_spread_by(hostname, |user| format!("host: {user}.example"));
}

#[test]
fn without_what_is_hashed_a_client_goes_by_its_address() {
    let header = HashBy {
        header: Some("x-user".into()),
        ..HashBy::default()
    };
    for by in [header, HashBy::default()] {
        let (origins, plane) = site(Balance::Consistent(by));
        let first = asked(&plane, &origins, "host: a.example");
        for _ in 0..20 {
            assert_eq!(asked(&plane, &origins, "host: a.example"), first);
        }
    }
}

/// The name that a backend of `lines` has.
fn answered(stream: &TcpStream) -> String {
    let mut stream = stream;
    writeln!(stream, "x").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split_once(':').unwrap().0.to_owned()
}

#[test]
fn a_client_stays_with_its_endpoint_and_leaves_one_that_refuses() {
    let affinity = BackendSettings {
        affinity: Some(Duration::from_secs(60)),
        ..settings(Balance::RoundRobin)
    };
    let (one, two, gone) = (lines("one"), lines("two"), nobody());
    for endpoints in [vec![one, two], vec![one, two, gone]] {
        let endpoints = sorted(endpoints.into_iter());
        let plane = Streams::new(StreamProtocol::Tcp)
            .listener("", Protocol::Tcp)
            .route("", "", &[("one", 1)])
            .backend_with("one", &endpoints, affinity.clone(), None)
            .start_with(&["--workers", "2"]);
        let first = answered(&tcp(&plane));
        for _ in 0..20 {
            assert_eq!(answered(&tcp(&plane)), first);
        }
    }
}

#[test]
fn traffic_stays_on_a_node_or_in_a_zone_as_its_backend_asks() {
    let (here, near, far) = (lines("here"), lines("near"), lines("far"));
    let placed = |address, node: &str, zone: &str| Endpoint {
        address,
        node: Some(node.into()),
        zone: Some(zone.into()),
        is_leaving: false,
    };
    let endpoints = BTreeSet::from([
        placed(here, "n1", "z1"),
        placed(near, "n2", "z1"),
        placed(far, "n3", "z2"),
    ]);
    let answers = |reach, arguments: &[&str]| {
        let backend = Backend {
            service: name("one"),
            port: 80,
            endpoints: Endpoints::Addresses(endpoints.iter().cloned().collect()),
            protocol: BackendProtocol::Tcp,
            reach,
            health_check_port: None,
            tls: None,
            settings: settings(Balance::RoundRobin),
        };
        let plane = Streams::new(StreamProtocol::Tcp)
            .listener("", Protocol::Tcp)
            .route("", "", &[("one", 1)])
            .with(
                Id::backend(&name("one"), 80, BackendProtocol::Tcp),
                Object::Backend(backend),
            )
            .start_with(arguments);
        let answers = (0..6).map(|_| answered(&tcp(&plane)));
        answers
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let place = ["--node", "n1", "--zone", "z1"];
    assert_eq!(answers(Reach::SameNode, &place), "here");
    assert_eq!(answers(Reach::PreferZone, &place), "here near");
    assert_eq!(answers(Reach::PreferNode, &["--zone", "z2"]), "far");
    assert_eq!(answers(Reach::PreferZone, &["--zone", ""]), "far here near");
}
