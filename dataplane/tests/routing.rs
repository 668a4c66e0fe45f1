//! Filters, weights, mirrors, CORS, redirects: what a rule does, seen from both ends.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use ringgate_core::ir::{
    BackendProtocol, Cors, Filter, HeaderEdits, HeaderField, Id, ListenerSettings, Mirror, Network,
    Origin as Allowed, PathModifier, ProxyProtocol, Redirect, Rewrite, Rule, Tokens,
    WeightedBackend,
};
use support::{Origin, Wanted, name, plain, prefix, rule, to, with_filters};

fn edits(set: &str, add: &str, remove: &str) -> HeaderEdits {
    let field = |text: &str| {
        let (name, value) = text.split_once('=').unwrap();
        vec![HeaderField {
            name: name.into(),
            value: value.into(),
        }]
    };
    HeaderEdits {
        set: field(set),
        add: field(add),
        remove: vec![remove.into()],
    }
}

#[test]
fn headers_paths_and_hosts_are_rewritten_per_rule_and_per_backend() {
    let origin = Origin::start(|stream, request| {
        use std::io::Write;
        let _ = request;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nX-Gone: 1\r\nX-Set: 0\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        support::Then::Next
    });
    let path = Some(PathModifier::ReplacePrefix("/new".into()));
    let rewrite = Rewrite {
        hostname: Some("inner.example".into()),
        path,
    };
    let backend = WeightedBackend {
        filters: vec![
            Filter::RequestHeaders(edits("x-set=2", "x-add=b", "x-three")),
            Filter::Rewrite(rewrite),
            Filter::ResponseHeaders(edits("x-set=9", "x-new=1", "x-gone")),
        ],
        ..to("one")
    };
    let rule = Rule {
        matches: vec![prefix("/old")],
        filters: vec![Filter::RequestHeaders(edits(
            "x-set=1", "x-add=a", "x-gone",
        ))],
        backends: vec![backend],
        ..rule("one")
    };
    let gateway = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule])
        .start();
    let mut client = gateway.connect();
    client.send("GET /old/x?q HTTP/1.1\r\nHost: a\r\nX-Set: 0\r\nX-Gone: 1\r\nX-Three: 3\r\nX-Add: 0\r\n\r\n");
    let response = client.response();
    assert_eq!(response.field("x-gone"), None);
    assert_eq!(response.fields("x-set").collect::<Vec<_>>(), ["9"]);
    assert_eq!(response.field("x-new"), Some("1"));
    let request = origin.request();
    assert_eq!(request.line, "GET /new/x?q HTTP/1.1");
    assert_eq!(request.field("host"), Some("inner.example"));
    assert_eq!(request.field("x-forwarded-host"), Some("a"));
    assert_eq!(
        (request.field("x-gone"), request.field("x-three")),
        (None, None)
    );
    let of = |name: &str| {
        let lines = request.head.iter().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(one, _)| one.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("x-set"), ["2"]);
    assert_eq!(of("x-add"), ["0", "a", "b"]);
}

#[test]
fn weights_are_exact_over_a_short_run() {
    let (one, two) = (Origin::start(plain), Origin::start(plain));
    let weighted = |backend, weight| WeightedBackend {
        weight,
        ..to(backend)
    };
    let backends = vec![weighted("one", 9), weighted("two", 1), weighted("none", 0)];
    let gateway = Wanted::new()
        .backend("one", &[one.address])
        .backend("two", &[two.address])
        .backend("none", &[])
        .route(vec![Rule {
            backends,
            ..rule("one")
        }])
        .start();
    let mut client = gateway.connect();
    for _ in 0..20 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
    let count = |origin: &Origin| std::iter::from_fn(|| (!origin.has_none()).then_some(())).count();
    assert_eq!((count(&one), count(&two)), (18, 2));
}

#[test]
fn redirects_are_answered_without_a_backend() {
    let path = Some(PathModifier::ReplacePrefix("/b".into()));
    let redirect = Redirect {
        scheme: Some("https".into()),
        hostname: None,
        port: Some(8443),
        path,
        status: 308,
    };
    let rule = Rule {
        matches: vec![prefix("/a")],
        ..with_filters(rule("x"), vec![Filter::Redirect(redirect)])
    };
    let gateway = Wanted::new().backend("x", &[]).route(vec![rule]).start();
    let mut client = gateway.connect();
    client.send("POST /a/c?d=e HTTP/1.1\r\nHost: h.example:1\r\nContent-Length: 3\r\n\r\nabc");
    let response = client.response();
    assert_eq!(response.status, 308);
    assert_eq!(
        response.field("location"),
        Some("https://h.example:8443/b/c?d=e")
    );
    client.send("GET /a HTTP/1.1\r\nHost: h.example\r\n\r\n");
    assert_eq!(
        client.response().status,
        308,
        "the connection can be used again"
    );
}

#[test]
fn a_redirect_without_a_port_names_the_one_that_clients_come_by() {
    let location = |public: Option<u16>| {
        let redirect = Redirect {
            scheme: None,
            hostname: None,
            port: None,
            path: Some(PathModifier::ReplacePrefix("/b".into())),
            status: 302,
        };
        let rule = Rule {
            matches: vec![prefix("/a")],
            ..with_filters(rule("x"), vec![Filter::Redirect(redirect)])
        };
        let wanted = Wanted::new().backend("x", &[]).route(vec![rule]);
        let wanted = match public {
            Some(port) => wanted.public_port(port),
            None => wanted,
        };
        let bound = wanted.port;
        let gateway = wanted.start();
        let mut client = gateway.connect();
        client.send("GET /a HTTP/1.1\r\nHost: h.example\r\n\r\n");
        (
            client.response().field("location").map(str::to_owned),
            bound,
        )
    };
    assert_eq!(location(Some(80)).0.unwrap(), "http://h.example/b");
    assert_eq!(location(Some(8080)).0.unwrap(), "http://h.example:8080/b");
    let (own, bound) = location(None);
    assert_eq!(own.unwrap(), format!("http://h.example:{bound}/b"));
}

#[test]
fn mirrors_get_a_copy_and_their_answers_go_nowhere() {
    let (main, copy) = (Origin::start(plain), Origin::start(plain));
    let mirror = |numerator| {
        let backend = Id::backend(&name("copy"), 80, BackendProtocol::Http1);
        Filter::Mirror(Mirror {
            backend,
            numerator,
            denominator: 100,
        })
    };
    let gateway = Wanted::new()
        .backend("main", &[main.address])
        .backend("copy", &[copy.address])
        .route(vec![with_filters(
            rule("main"),
            vec![mirror(100), mirror(0)],
        )])
        .start();
    let mut client = gateway.connect();
    client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.response().text(), "PUT");
    for origin in [&main, &copy] {
        let request = origin.request();
        assert_eq!(
            (request.line.as_str(), request.body.as_slice()),
            ("PUT /x HTTP/1.1", b"abc".as_slice())
        );
    }
    assert!(copy.has_none(), "zero of a hundred is none");
}

#[test]
fn cors_answers_preflights_and_marks_responses() {
    let origin = Origin::start(plain);
    let cors = Cors {
        origins: vec![Allowed::Exact("https://a.example".into())],
        credentials: true,
        methods: Tokens::List(vec!["GET".into(), "PUT".into()]),
        headers: Tokens::Any,
        expose: Tokens::List(vec!["x-a".into()]),
        max_age: Duration::from_secs(60),
    };
    let wanted = Wanted::new().backend("one", &[origin.address]);
    let gateway = wanted
        .route(vec![with_filters(rule("one"), vec![Filter::Cors(cors)])])
        .start();
    let mut client = gateway.connect();
    client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-b\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 204);
    for (name, value) in BTreeMap::from([
        ("access-control-allow-origin", "https://a.example"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-b"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "60"),
    ]) {
        assert_eq!(response.field(name), Some(value), "{name}");
    }
    assert!(origin.has_none(), "a preflight goes to no backend");
    client.send("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\n\r\n");
    let response = client.response();
    assert_eq!(
        response.field("access-control-allow-origin"),
        Some("https://a.example")
    );
    assert_eq!(response.field("access-control-expose-headers"), Some("x-a"));
    client.send("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://b.example\r\n\r\n");
    assert_eq!(client.response().field("access-control-allow-origin"), None);
}

#[test]
fn forwarded_headers_are_believed_of_trusted_proxies_only() {
    let said = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nForwarded: for=192.0.2.7\r\n";
    for (trusts, expected) in [
        (false, ["127.0.0.1", "http", "a"]),
        (true, ["192.0.2.7, 127.0.0.1", "https", "shop.example"]),
    ] {
        let origin = Origin::start(plain);
        let mut wanted = Wanted::new()
            .backend("one", &[origin.address])
            .route(vec![rule("one")]);
        let localhost = Network {
            address: "127.0.0.0".parse().unwrap(),
            prefix: 8,
        };
        let trusted_proxies = if trusts { vec![localhost] } else { Vec::new() };
        wanted.listener(ListenerSettings {
            trusted_proxies: trusted_proxies.into(),
            ..ListenerSettings::default()
        });
        let gateway = wanted.start();
        let mut client = gateway.connect();
        client.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{said}\r\n"));
        assert_eq!(client.response().status, 200);
        let request = origin.request();
        let names = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
        assert_eq!(
            names.map(|name| request.field(name).unwrap_or_default()),
            expected
        );
        assert_eq!(request.field("forwarded").is_some(), trusts);
    }
}

#[test]
fn proxy_protocol_names_the_client() {
    let origin = Origin::start(plain);
    let mut wanted = Wanted::new()
        .backend("one", &[origin.address])
        .route(vec![rule("one")]);
    wanted.listener(ListenerSettings {
        trusted_proxies: [Network {
            address: "127.0.0.1".parse().unwrap(),
            prefix: 32,
        }]
        .into(),
        proxy_protocol: ProxyProtocol::FromTrusted,
        server: Some("edge".into()),
        via: Some("edge".into()),
        ..ListenerSettings::default()
    });
    let gateway = wanted.start();
    let mut client = gateway.connect();
    client.send("PROXY TCP4 192.0.2.9 10.0.0.1 5555 80\r\nGET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.field("server"), response.field("via")),
        (Some("edge"), Some("1.1 edge"))
    );
    let request = origin.request();
    assert_eq!(
        request.field("x-forwarded-for"),
        Some("192.0.2.9"),
        "the client isn't trusted itself"
    );
    assert_eq!(request.field("via"), Some("1.1 edge"));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        client.is_closed(),
        "a trusted peer must say whom it speaks for"
    );
}

#[test]
fn the_echo_backend_shows_what_a_backend_would_get() {
    let gateway = Wanted::new().echo("shop").route(vec![rule("shop")]).start();
    let mut client = gateway.connect();
    client.send("GET /a?b HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nX-One: 2\r\n\r\n");
    let text = client.response().text();
    for part in [
        "\"service\": \"shop\"",
        "\"method\": \"GET\"",
        "\"path\": \"/a?b\"",
        "\"x-forwarded-for\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
