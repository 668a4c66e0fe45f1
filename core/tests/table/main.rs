//! Requests against compiled tables: Gateway API's matching and precedence, and that an update leaves
//! the same table as compiling everything anew.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod grpc;
mod layout;
mod precedence;
mod updates;

use std::borrow::Cow;

use ringgate_core::ir::{
    AttachedHost, Attachment, Backend, BackendProtocol, BackendSettings, BackendTarget, Endpoints,
    FieldMatch, Hostname, HttpRoute, Id, Listener, ListenerSettings, Match, Object, ObjectName,
    PathMatch, Protocol, Reach, RouteProtocol, Rule, Snapshot, TextMatch, Timeouts, Version,
    WeightedBackend,
};
use ringgate_core::route::{Fields, Request};
use ringgate_core::table::{Bind, Compiler, IpProtocol, Table};

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
        reach: Reach::Anywhere,
        health_check_port: None,
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
