//! Which rule a request comes to, of those that match.

use super::*;

#[test]
fn exact_goes_before_regex_before_the_longest_prefix() {
    let matches = ["/", "/a", "/a/b", "/a/b/c", "/x", "/y", "/z", "/v", "/w"];
    let mut rules: Vec<_> = matches.iter().map(|path| vec![prefix(path)]).collect();
    rules.push(vec![exact("/a/b")]);
    rules.push(vec![regex("/a/[q-z]+")]);
    for count in [rules.len(), 4] {
        // Few matches are walked, many are indexed: both must find the same.
        let skip = rules.len() - count;
        let rules = rules.iter().skip(skip).cloned().collect::<Vec<_>>();
        let table = compile(vec![route("r", &[""], rules)]);
        let name = |place: usize| place.checked_sub(skip).map(|place| format!("r {place}"));
        let none = || "none".to_owned();
        assert_eq!(Some(get(&table, "h", "/a/b")), name(9));
        assert_eq!(Some(get(&table, "h", "/a/xyz")), name(10));
        assert_eq!(get(&table, "h", "/a/b/c/d"), name(3).unwrap_or_else(none));
        assert_eq!(get(&table, "h", "/a/b/"), name(2).unwrap_or_else(none));
        assert_eq!(get(&table, "h", "/a/bc"), name(1).unwrap_or_else(none));
        assert_eq!(get(&table, "h", "/a/1"), name(1).unwrap_or_else(none));
        assert_eq!(get(&table, "h", "/ab"), name(0).unwrap_or_else(none));
    }
}

#[test]
fn ties_are_broken_by_method_headers_query_then_age_name_and_order() {
    let plain = prefix("/");
    let with_method = Match {
        method: Some("GET".into()),
        ..plain.clone()
    };
    let headers = Match {
        headers: vec![field("a", "1"), field("B", "2")],
        ..plain.clone()
    };
    let header = Match {
        headers: vec![field("a", "1")],
        ..plain.clone()
    };
    let query = Match {
        query: vec![field("q", "1")],
        ..plain.clone()
    };
    let rules = vec![
        vec![plain.clone()],
        vec![query],
        vec![header],
        vec![headers],
    ];
    let old = HttpRoute {
        created: 5,
        ..route("z-old", &[""], rules)
    };
    let methods = vec![vec![with_method], vec![plain.clone()]];
    let new = HttpRoute {
        created: 6,
        ..route("a-new", &[""], methods)
    };
    let same_age = HttpRoute {
        created: 5,
        ..route("z-zz", &[""], vec![vec![plain]])
    };
    let table = compile(vec![same_age, new, old]);
    let post = |target, headers| find(&table, "h", target, "POST", Headers(headers));
    assert_eq!(
        get(&table, "h", "/?q=1"),
        "a-new 0",
        "a method goes before everything else"
    );
    assert_eq!(post("/?q=1", vec![("a", "1"), ("b", "2")]), "z-old 3");
    assert_eq!(post("/?q=1", vec![("a", "1")]), "z-old 2");
    assert_eq!(post("/?q=1", vec![]), "z-old 1");
    assert_eq!(
        post("/", vec![]),
        "z-old 0",
        "the older one, then the first by name"
    );
}

#[test]
fn rules_of_the_more_specific_host_go_first_and_others_remain_reachable() {
    let table = compile(vec![
        route("any", &[""], vec![vec![prefix("/")]]),
        route("wild", &["*.example.com"], vec![vec![exact("/w")]]),
        route("deep", &["*.b.example.com"], vec![vec![exact("/d")]]),
        route("exact", &["a.b.example.com"], vec![vec![exact("/e")]]),
    ]);
    for (host, path, found) in [
        ("a.b.example.com", "/e", "exact 0"),
        ("a.b.example.com", "/d", "deep 0"),
        ("a.b.example.com", "/w", "wild 0"),
        ("a.b.example.com", "/x", "any 0"),
        ("c.example.com", "/w", "wild 0"),
        ("c.example.com", "/e", "any 0"),
        ("example.com", "/w", "any 0"),
    ] {
        assert_eq!(get(&table, host, path), found, "{host}{path}");
    }
}

/// GatewayRouteHostnameIntersectionPrecedence: what a route itself says counts, not what is left of it
/// at a listener.
#[test]
fn of_routes_with_a_host_in_common_the_one_that_names_it_more_specifically_goes_first() {
    let at = |mut route: HttpRoute, created, written| {
        route.created = created;
        for host in &mut route.attachments[0].hostnames {
            host.written = Hostname::parse(written).unwrap();
        }
        route
    };
    let host = &["a.example.com"];
    let mut exact_host = route("exact", host, vec![vec![prefix("/p")]]);
    exact_host.rules[0].matches[0].headers = vec![field("a", "1")];
    let routes = vec![
        at(route("any", host, vec![vec![exact("/p/q/r")]]), 1, ""),
        at(route("wide", host, vec![vec![exact("/p/q")]]), 2, "*.com"),
        at(
            route("wild", host, vec![vec![prefix("/p/q")]]),
            3,
            "*.example.com",
        ),
        at(exact_host, 4, "a.example.com"),
    ];
    let table = compile(routes);
    let get = |path, headers| find(&table, "a.example.com", path, "GET", Headers(headers));
    assert_eq!(get("/p/q", vec![("a", "1")]), "exact 0");
    assert_eq!(
        get("/p/q", vec![]),
        "wild 0",
        "before the exact path of *.com"
    );
    assert_eq!(get("/p/q/r", vec![]), "wild 0");
    assert_eq!(get("/p", vec![]), "none");
    let port = table
        .port(Bind {
            protocol: IpProtocol::Tcp,
            address: None,
            port: PORT,
        })
        .unwrap();
    let hosts: Vec<_> = port.listener("h").unwrap().hosts().collect();
    assert_eq!(hosts.len(), 1);
    assert_eq!(hosts[0].rules().count(), 4, "all of them are reachable");
}

#[test]
fn a_request_stays_with_the_most_specific_listener() {
    let mut snapshot = snapshot(vec![route("any", &[""], vec![vec![prefix("/")]])]);
    snapshot
        .objects
        .extend([listener("special", "a.example.com")]);
    let table = Compiler::default().replace(snapshot).table;
    assert_eq!(get(&table, "b.example.com", "/"), "any 0");
    assert_eq!(
        get(&table, "a.example.com", "/"),
        "none",
        "its listener has no route"
    );
}
