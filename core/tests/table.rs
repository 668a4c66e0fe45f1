//! Requests against compiled tables: Gateway API's matching and precedence, and that an update leaves
//! the same table as compiling everything anew.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

#[path = "table/grpc.rs"]
mod grpc;

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;
use ringgate_core::ir::{
    AttachedHost, Attachment, Backend, BackendProtocol, BackendSettings, BackendTarget, Endpoints,
    FieldMatch, Filter, HeaderEdits, Hostname, HttpRoute, Id, Listener, ListenerSettings, Match,
    Object, ObjectName, PathMatch, Protocol, RouteProtocol, Rule, Snapshot, TextMatch, Timeouts,
    Version, WeightedBackend,
};
use ringgate_core::route::{Fields, Request};
use ringgate_core::table::{Action, Bind, Compiler, IpProtocol, Port, Table, Target};

const PORT: u16 = 80;

/// Fields of a test's request.
struct Headers(Vec<(&'static str, &'static str)>);

impl Fields for Headers {
    fn value(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let found = self.0.iter().find(|(one, _)| *one == name)?;
        Some(Cow::Borrowed(found.1.as_bytes()))
    }
}

fn gateway() -> ObjectName {
    ObjectName::new("default", "gw")
}

fn backend_id() -> Id {
    Id::backend(
        &ObjectName::new("default", "svc"),
        80,
        BackendProtocol::Http1,
    )
}

fn listener(name: &str, hostname: &str) -> (Id, Object) {
    let listener = Listener {
        gateway: gateway(),
        name: name.into(),
        addresses: Vec::new(),
        port: PORT,
        public_port: None,
        protocol: Protocol::Http,
        client_certificate: None,
        hostname: Hostname::parse(hostname).unwrap(),
        settings: ListenerSettings::default(),
    };
    (Id::listener(&gateway(), name), Object::Listener(listener))
}

fn backend() -> (Id, Object) {
    let backend = Backend {
        service: ObjectName::new("default", "svc"),
        port: 80,
        endpoints: Endpoints::Addresses(Vec::new()),
        protocol: BackendProtocol::Http1,
        tls: None,
        settings: BackendSettings::default(),
    };
    (backend_id(), Object::Backend(backend))
}

fn by_path(path: PathMatch) -> Match {
    Match {
        path,
        headers: Vec::new(),
        query: Vec::new(),
        method: None,
    }
}

fn exact(path: &str) -> Match {
    by_path(PathMatch::Exact(path.into()))
}

fn prefix(path: &str) -> Match {
    by_path(PathMatch::Prefix(path.trim_end_matches('/').into()))
}

fn regex(path: &str) -> Match {
    by_path(PathMatch::Regex(path.into()))
}

fn field(name: &str, value: &str) -> FieldMatch {
    FieldMatch {
        name: name.into(),
        value: TextMatch::Exact(value.into()),
    }
}

fn rule(matches: Vec<Match>) -> Rule {
    Rule {
        name: None,
        matches,
        filters: Vec::new(),
        backends: vec![WeightedBackend {
            target: BackendTarget::Backend(backend_id()),
            weight: 1,
            filters: Vec::new(),
        }],
        timeouts: Timeouts::default(),
        retry: None,
        broken: false,
    }
}

/// A route at listener `web` whose rules have these matches each.
fn route(name: &str, hosts: &[&str], rules: Vec<Vec<Match>>) -> HttpRoute {
    HttpRoute {
        protocol: RouteProtocol::Http,
        name: ObjectName::new("default", name),
        created: 0,
        attachments: vec![Attachment {
            listener: Id::listener(&gateway(), "web"),
            hostnames: hosts
                .iter()
                .map(|host| AttachedHost::as_written(Hostname::parse(host).unwrap()))
                .collect(),
        }],
        rules: rules.into_iter().map(rule).collect(),
    }
}

fn object(route: HttpRoute) -> (Id, Object) {
    let id = match route.protocol {
        RouteProtocol::Http => Id::http_route(&route.name),
        RouteProtocol::Grpc => Id::grpc_route(&route.name),
    };
    (id, Object::HttpRoute(route))
}

fn snapshot(routes: Vec<HttpRoute>) -> Snapshot {
    let objects = [listener("web", ""), backend()].into_iter();
    let objects = objects.chain(routes.into_iter().map(object)).collect();
    Snapshot {
        version: Version {
            term: 1,
            sequence: 1,
        },
        objects,
    }
}

fn find(table: &Table, host: &str, target: &str, method: &str, headers: Headers) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method,
        host,
        path,
        query: query.as_bytes(),
        fields: &headers,
    };
    let port = table
        .port(Bind {
            protocol: IpProtocol::Tcp,
            address: None,
            port: PORT,
        })
        .unwrap();
    let found = port
        .listener(host)
        .and_then(|listener| listener.find(&request));
    found.map_or_else(
        || "none".to_owned(),
        |found| format!("{} {}", found.rule.route.name, found.rule.name),
    )
}

fn get(table: &Table, host: &str, target: &str) -> String {
    find(table, host, target, "GET", Headers(Vec::new()))
}

fn compile(routes: Vec<HttpRoute>) -> std::sync::Arc<Table> {
    let compiled = Compiler::default().replace(snapshot(routes));
    assert_eq!(compiled.problems, []);
    compiled.table
}

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

#[test]
fn a_rule_that_does_not_compile_is_broken_alone() {
    let mut broken = route("r", &[""], vec![vec![prefix("/a")], vec![prefix("/b")]]);
    let remove = vec!["Content-Length".into()];
    broken.rules[0].filters = vec![Filter::RequestHeaders(HeaderEdits {
        remove,
        ..HeaderEdits::default()
    })];
    let compiled = Compiler::default().replace(snapshot(vec![broken]));
    assert_eq!(compiled.problems.len(), 1);
    assert_eq!(compiled.problems[0].rule, Some(0));
    assert!(
        compiled.problems[0]
            .error
            .to_string()
            .contains("Content-Length")
    );
    let port = compiled
        .table
        .port(Bind {
            protocol: IpProtocol::Tcp,
            address: None,
            port: PORT,
        })
        .unwrap();
    let hosts: Vec<_> = port.listener("h").unwrap().hosts().collect();
    let broken: Vec<_> = hosts[0]
        .rules()
        .map(|rule| matches!(rule.action, Action::Broken))
        .collect();
    assert_eq!(broken.iter().filter(|broken| **broken).count(), 1);
}

#[test]
fn endpoint_churn_recompiles_no_route() {
    let mut compiler = Compiler::default();
    let before = compiler
        .replace(snapshot(vec![route("r", &[""], vec![vec![prefix("/")]])]))
        .table;
    let (id, Object::Backend(mut changed)) = backend() else {
        unreachable!()
    };
    changed.endpoints = Endpoints::Echo("x".into());
    let version = Version {
        term: 1,
        sequence: 2,
    };
    let after = compiler
        .update(version, vec![(id, Object::Backend(changed))], vec![])
        .table;
    assert!(std::sync::Arc::ptr_eq(&before.ports[0], &after.ports[0]));
    let endpoints = |table: &Table| table.backends().next().unwrap().backend.endpoints.clone();
    assert_ne!(endpoints(&before), endpoints(&after));
}

#[test]
fn a_backend_that_comes_later_mends_the_route() {
    let mut compiler = Compiler::default();
    let mut without = snapshot(vec![route("r", &[""], vec![vec![prefix("/")]])]);
    without.objects.remove(&backend_id());
    assert_eq!(compiler.replace(without).problems.len(), 1);
    let version = Version {
        term: 1,
        sequence: 2,
    };
    let mended = compiler.update(version, vec![backend()], vec![]);
    assert_eq!(mended.problems, []);
    let port = mended
        .table
        .port(Bind {
            protocol: IpProtocol::Tcp,
            address: None,
            port: PORT,
        })
        .unwrap();
    let hosts: Vec<_> = port.listener("h").unwrap().hosts().collect();
    let Action::Forward(targets) = &hosts[0].rules().next().unwrap().action else {
        panic!("the rule forwards again");
    };
    let slot = mended.table.backends().next().unwrap().slot;
    assert_eq!(targets[0].target, Target::Backend(slot));
}

/// What can be seen of a table from outside, for a fixed set of requests.
fn answers(table: &Table) -> Vec<String> {
    let ports = PORTS.map(|port| Bind {
        protocol: IpProtocol::Tcp,
        address: None,
        port,
    });
    let ports = ports.into_iter().filter_map(|bind| table.port(bind));
    ports.flat_map(|port| answers_of(port)).collect()
}

fn answers_of(port: &Port) -> Vec<String> {
    let mut names: Vec<_> = port.listeners().map(|one| one.name.to_string()).collect();
    names.sort();
    let mut answers = vec![format!(
        "{} {names:?} {:?}",
        port.bind, port.settings.server
    )];
    for host in ["a.x", "b.x", "x", "y"] {
        for path in ["/", "/a", "/a/b", "/b"] {
            let fields = Headers(Vec::new());
            let request = Request {
                method: "GET",
                host,
                path,
                query: b"",
                fields: &fields,
            };
            let listener = port.listener(host);
            let found = listener.and_then(|listener| listener.find(&request));
            let broken = found.map(|found| matches!(found.rule.action, Action::Broken));
            let found = found.map(|found| (found.rule.route.name.clone(), found.rule.name.clone()));
            let listener = listener.map(|one| one.name.clone());
            answers.push(format!("{host}{path} {listener:?} {found:?} {broken:?}"));
        }
    }
    answers
}

const LISTENERS: [&str; 3] = ["web", "other", "third"];
const PORTS: [u16; 2] = [PORT, PORT + 1];

fn any_object() -> impl Strategy<Value = (Id, Option<Object>)> {
    let hosts = ["", "*.x", "a.x", "x"];
    let paths = ["/", "/a", "/a/b"];
    let routes = (
        0..3usize,
        0..4usize,
        prop::collection::vec(0..3usize, 1..4),
        prop::sample::subsequence(LISTENERS.to_vec(), 1..=LISTENERS.len()),
        any::<bool>(),
    );
    let routes = routes.prop_map(move |(name, host, rules, listeners, there)| {
        let rules = rules
            .into_iter()
            .map(|path| vec![prefix(paths[path])])
            .collect();
        let mut route = route(["r0", "r1", "r2"][name], &[hosts[host]], rules);
        let hostnames = route.attachments.remove(0).hostnames;
        let attachments = listeners.iter().map(|listener| Attachment {
            listener: Id::listener(&gateway(), listener),
            hostnames: hostnames.clone(),
        });
        route.attachments = attachments.collect();
        let (id, object) = object(route);
        (id, there.then_some(object))
    });
    let listeners = (0..3usize, 0..4usize, 0..2usize, any::<bool>());
    let listeners = listeners.prop_map(move |(name, host, port, there)| {
        let (id, mut object) = listener(LISTENERS[name], hosts[host]);
        if let Object::Listener(listener) = &mut object {
            listener.port = PORTS[port];
            listener.settings.server = Some(LISTENERS[name].into());
        }
        (id, there.then_some(object))
    });
    let backends = any::<bool>().prop_map(|there| {
        let (id, object) = backend();
        (id, there.then_some(object))
    });
    prop_oneof![6 => routes, 3 => listeners, 1 => backends]
}

proptest! {
    #[test]
    fn updates_leave_the_same_table_as_compiling_anew(
        updates in prop::collection::vec(prop::collection::vec(any_object(), 1..4), 1..8)
    ) {
        let mut compiler = Compiler::default();
        let mut wanted = BTreeMap::new();
        for (sequence, update) in updates.into_iter().enumerate() {
            let (mut upsert, mut remove) = (BTreeMap::new(), Vec::new());
            for (id, object) in update.into_iter().collect::<BTreeMap<_, _>>() {
                match object {
                    Some(object) => {
                        wanted.insert(id.clone(), object.clone());
                        upsert.insert(id, object);
                    }
                    None => {
                        wanted.remove(&id);
                        remove.push(id);
                    }
                }
            }
            let version = Version { term: 1, sequence: sequence as u64 };
            let step = compiler.update(version, upsert.into_iter().collect(), remove);
            let anew = Compiler::default().replace(Snapshot { version, objects: wanted.clone() });
            prop_assert_eq!(answers(&step.table), answers(&anew.table));
            prop_assert_eq!(step.problems, anew.problems);
        }
    }
}
