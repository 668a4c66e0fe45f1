//! GRPCRoutes: methods, their precedence, and HTTPRoutes beside them.

use ringgate_core::ir::{RouteProtocol, RpcMatch};

use super::*;

const GRPC: (&str, &str) = ("content-type", "application/grpc+proto");

fn grpc_route(name: &str, rules: Vec<Vec<Match>>) -> HttpRoute {
    HttpRoute {
        protocol: RouteProtocol::Grpc,
        ..route(name, &[""], rules)
    }
}

fn rpc(service: Option<TextMatch>, method: Option<TextMatch>) -> Match {
    by_path(PathMatch::Rpc(RpcMatch { service, method }))
}

fn exactly(text: &str) -> Option<TextMatch> {
    Some(TextMatch::Exact(text.into()))
}

fn like(text: &str) -> Option<TextMatch> {
    Some(TextMatch::Regex(text.into()))
}

fn call(table: &Table, path: &str) -> String {
    find(table, "h", path, "POST", Headers(vec![GRPC]))
}

/// More characters of the service, then of the method, as the API has it; expressions behind services
/// that are written out.
#[test]
fn of_methods_the_one_that_says_more_goes_first() {
    let mut rules = vec![
        vec![rpc(None, None)],
        vec![rpc(None, exactly("Get"))],
        vec![rpc(exactly("a.B"), None)],
        vec![rpc(exactly("a.B"), exactly("Get"))],
        vec![rpc(like("a[.]C+"), None)],
        vec![rpc(like("a[.]CC"), like("[GS]et"))],
    ];
    let padding = ["x.A", "x.B", "x.C", "x.D"];
    rules.extend(padding.map(|service| vec![rpc(exactly(service), None)]));
    for count in [rules.len(), 6] {
        // Few matches are walked, many are indexed: both must find the same.
        let rules = rules.iter().take(count).cloned().collect();
        let table = compile(vec![grpc_route("r", rules)]);
        for (path, found) in [
            ("/a.B/Get", "r 3"),
            ("/a.B/Set", "r 2"),
            ("/a.BB/Set", "r 0"),
            ("/a.BB/Get", "r 1"),
            ("/a.CC/Get", "r 5"),
            ("/a.CCC/Get", "r 4"),
            ("/aXC/Get", "r 1"),
            ("/a.B/get", "r 2"),
        ] {
            assert_eq!(call(&table, path), found, "{path}, {count} rules");
        }
    }
    let rules = vec![
        vec![rpc(like("a[.]CC"), like("[GS]et"))],
        vec![rpc(like("a[.]CC"), None)],
    ];
    let table = compile(vec![grpc_route("r", rules)]);
    assert_eq!(call(&table, "/a.CC/Set"), "r 0");
    assert_eq!(call(&table, "/a.CC/Put"), "r 1");
    assert_eq!(call(&table, "/a.CCX/Put"), "none");
    assert_eq!(call(&table, "/a.CC/Set/More"), "none");
}

#[test]
fn ties_among_methods_are_broken_by_headers_age_name_and_order() {
    let get = || rpc(exactly("a.B"), exactly("Get"));
    let with_header = Match {
        headers: vec![field("version", "two")],
        ..get()
    };
    let old = HttpRoute {
        created: 5,
        ..grpc_route("z-old", vec![vec![get()], vec![get()]])
    };
    let new = HttpRoute {
        created: 6,
        ..grpc_route("a-new", vec![vec![get()], vec![with_header]])
    };
    let table = compile(vec![new, old]);
    assert_eq!(call(&table, "/a.B/Get"), "z-old 0");
    let headers = vec![GRPC, ("version", "two")];
    let found = find(&table, "h", "/a.B/Get", "POST", Headers(headers));
    assert_eq!(found, "a-new 1");
}

/// The API forbids to merge rules of both kinds, and leaves it open to accept both.
#[test]
fn grpc_routes_are_for_grpc_alone_and_go_before_http_routes() {
    let table = compile(vec![
        route(
            "web",
            &[""],
            vec![vec![prefix("/")], vec![exact("/a.B/Get")]],
        ),
        grpc_route("api", vec![vec![rpc(exactly("a.B"), None)]]),
    ]);
    assert_eq!(call(&table, "/a.B/Get"), "api 0");
    assert_eq!(call(&table, "/other/Get"), "web 0");
    assert_eq!(get(&table, "h", "/a.B/Get"), "web 1");
    let json = Headers(vec![("content-type", "application/json")]);
    assert_eq!(find(&table, "h", "/a.B/Get", "POST", json), "web 1");
    let by_get = find(&table, "h", "/a.B/Get", "GET", Headers(vec![GRPC]));
    assert_eq!(by_get, "web 1");
    let web = Headers(vec![("content-type", "application/grpc-web-text")]);
    assert_eq!(find(&table, "h", "/a.B/Get", "POST", web), "api 0");
    let alone = compile(vec![grpc_route("api", vec![vec![rpc(None, None)]])]);
    assert_eq!(get(&alone, "h", "/a.B/Get"), "none");
    assert_eq!(call(&alone, "/a.B/Get"), "api 0");
}

/// Both kinds may have a route of one name.
#[test]
fn routes_of_both_kinds_with_one_name_are_two() {
    let table = compile(vec![
        route("same", &[""], vec![vec![prefix("/")]]),
        grpc_route("same", vec![vec![rpc(None, None)]]),
    ]);
    assert_eq!(call(&table, "/a.B/Get"), "same 0");
    assert_eq!(get(&table, "h", "/"), "same 0");
    let rules = table.listeners().flat_map(|one| one.hosts());
    let slots: Vec<_> = rules
        .flat_map(|one| one.rules())
        .map(|one| one.slot)
        .collect();
    assert_eq!(slots.len(), 2);
    assert_ne!(slots[0], slots[1]);
}

#[test]
fn an_expression_of_two_halves_is_refused() {
    let halves = rpc(like("a)(b"), None);
    let compiled = Compiler::default().replace(snapshot(vec![grpc_route("r", vec![vec![halves]])]));
    assert_eq!(compiled.problems.len(), 1);
}
