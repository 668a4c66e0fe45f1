//! What compiling a table costs, changing one route of it, and finding a rule in it:
//! `cargo bench -p ringgate-core --bench table`.
//!
//! Routes are as a cluster has them: one path prefix each, four routes to a hostname.

#![expect(clippy::unwrap_used, reason = "a bench that can't go on shall stop")]

use std::borrow::Cow;

use divan::{Bencher, black_box};
use ringgate_core::ir::{
    AttachedHost, Attachment, BackendProtocol, BackendSettings, BackendTarget, Endpoints, Hostname,
    HttpRoute, Id, Listener, ListenerSettings, Match, Object, ObjectName, PathMatch, Protocol,
    Reach, RouteProtocol, Rule, Snapshot, Timeouts, Version, WeightedBackend,
};
use ringgate_core::route::{Fields, Request};
use ringgate_core::table::{
    Action, Backend, Bind, Compiler, IpProtocol, MatchedRule, Table, Target,
};

const SIZES: [usize; 4] = [1, 100, 10_000, 100_000];
const ROUTES_PER_HOST: usize = 4;
const BIND: Bind = Bind {
    protocol: IpProtocol::Tcp,
    address: None,
    port: 80,
};

fn main() {
    divan::main();
}

fn name(text: &str) -> ObjectName {
    ObjectName::new("default", text)
}

fn listener() -> (Id, Object) {
    let listener = Listener {
        gateway: name("gw"),
        name: "web".into(),
        addresses: Vec::new(),
        port: BIND.port,
        public_port: None,
        protocol: Protocol::Http,
        client_certificate: None,
        hostname: Hostname::Any,
        settings: ListenerSettings::default(),
    };
    (Id::listener(&name("gw"), "web"), Object::Listener(listener))
}

fn backend() -> (Id, Object) {
    let backend = ringgate_core::ir::Backend {
        service: name("svc"),
        port: 80,
        endpoints: Endpoints::Addresses(Vec::new()),
        protocol: BackendProtocol::Http1,
        reach: Reach::Anywhere,
        health_check_port: None,
        tls: None,
        settings: BackendSettings::default(),
    };
    (
        Id::backend(&name("svc"), 80, BackendProtocol::Http1),
        Object::Backend(backend),
    )
}

fn host(index: usize) -> String {
    format!("svc{:06}.bench.test", index / ROUTES_PER_HOST)
}

fn path(index: usize) -> String {
    format!("/api/v{}", index % ROUTES_PER_HOST)
}

fn route(index: usize, path: &str) -> (Id, Object) {
    let all = Match {
        path: PathMatch::Prefix(path.into()),
        headers: Vec::new(),
        query: Vec::new(),
        method: None,
    };
    let route = HttpRoute {
        protocol: RouteProtocol::Http,
        name: name(&format!("route-{index}")),
        created: 0,
        attachments: vec![Attachment {
            listener: Id::listener(&name("gw"), "web"),
            hostnames: vec![AttachedHost::as_written(
                Hostname::parse(&host(index)).unwrap(),
            )],
        }],
        rules: vec![Rule {
            name: None,
            matches: vec![all],
            filters: Vec::new(),
            backends: vec![WeightedBackend {
                target: BackendTarget::Backend(Id::backend(
                    &name("svc"),
                    80,
                    BackendProtocol::Http1,
                )),
                weight: 1,
                filters: Vec::new(),
            }],
            timeouts: Timeouts::default(),
            retry: None,
            broken: false,
        }],
    };
    (Id::http_route(&route.name), Object::HttpRoute(route))
}

fn version(sequence: u64) -> Version {
    Version { term: 1, sequence }
}

fn snapshot(routes: usize) -> Snapshot {
    let routes = (0..routes).map(|index| route(index, &path(index)));
    Snapshot {
        version: version(1),
        objects: [listener(), backend()].into_iter().chain(routes).collect(),
    }
}

/// A request without any field that matters.
struct NoFields;

impl Fields for NoFields {
    fn value(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }
}

fn find_rule<'t>(table: &'t Table, host: &str, path: &str) -> Option<MatchedRule<'t>> {
    let request = Request {
        method: "GET",
        host,
        path,
        query: b"",
        fields: &NoFields,
    };
    let listener = table.port(BIND).and_then(|port| port.listener(host));
    listener.and_then(|one| one.find(&request))
}

/// What a request reads of its rule next: where it goes.
fn find_backend<'t>(table: &'t Table, host: &str, path: &str) -> Option<&'t Backend> {
    let Action::Forward(targets) = &find_rule(table, host, path)?.rule.action else {
        return None;
    };
    match targets.first()?.target {
        Target::Backend(slot) => table.backend(slot).map(|one| &**one),
        Target::Invalid => None,
    }
}

/// Requests to each route of a table, 4,096 at most, in an order of hosts that no cache foresees.
///
/// Texts stand behind one another as they are asked for, so that the processor fetches them ahead: a real
/// request has just been received and is in the cache, so what stands for it here must be too.
struct Requests {
    text: String,
    /// Of each host, and of the path behind it.
    lengths: Vec<(u8, u8)>,
}

impl Requests {
    fn to(routes: usize) -> Self {
        let (mut text, mut lengths) = (String::new(), Vec::new());
        for index in (0..routes.min(4096)).map(|index| index * 7919 % routes) {
            let (host, path) = (host(index), format!("{}/item", path(index)));
            text.extend([&*host, &*path]);
            let length = |text: &str| u8::try_from(text.len()).unwrap();
            lengths.push((length(&host), length(&path)));
        }
        Self { text, lengths }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let mut rest = &*self.text;
        self.lengths.iter().map(move |(host, path)| {
            let (host, behind) = rest.split_at(usize::from(*host));
            let (path, behind) = behind.split_at(usize::from(*path));
            rest = behind;
            (host, path)
        })
    }
}

/// The whole way from host and path to a rule.
#[divan::bench(args = SIZES)]
fn find(bencher: Bencher<'_, '_>, routes: usize) {
    ask_for_each(bencher, routes, |table, host, path| {
        find_rule(table, host, path).is_some()
    });
}

/// And on to the backend: the rule itself is read, of which there are as many as routes.
#[divan::bench(args = SIZES)]
fn find_to_backend(bencher: Bencher<'_, '_>, routes: usize) {
    ask_for_each(bencher, routes, |table, host, path| {
        find_backend(table, host, path).is_some()
    });
}

fn ask_for_each(
    bencher: Bencher<'_, '_>,
    routes: usize,
    is_found: impl Fn(&Table, &str, &str) -> bool,
) {
    let table = Compiler::default().replace(snapshot(routes)).table;
    let requests = Requests::to(routes);
    let mut endless = requests.iter().cycle();
    bencher.bench_local(|| {
        let (host, path) = endless.next().unwrap();
        assert!(is_found(black_box(&table), host, path));
    });
}

/// A host that no route is for.
#[divan::bench(args = SIZES)]
fn find_nothing(bencher: Bencher<'_, '_>, routes: usize) {
    let table = Compiler::default().replace(snapshot(routes)).table;
    bencher.bench_local(|| {
        assert!(find_rule(black_box(&table), "nobody.test", "/api/v0/item").is_none());
    });
}

/// From a whole snapshot: what a data plane does when it starts.
#[divan::bench(args = SIZES, sample_count = 10, sample_size = 1)]
fn compile(bencher: Bencher<'_, '_>, routes: usize) {
    bencher
        .with_inputs(|| snapshot(routes))
        .bench_local_values(|snapshot| Compiler::default().replace(snapshot).table);
}

/// One route changes: only its host is compiled again.
#[divan::bench(args = SIZES)]
fn edit(bencher: Bencher<'_, '_>, routes: usize) {
    let mut compiler = Compiler::default();
    compiler.replace(snapshot(routes));
    let mut sequence = 1;
    bencher.bench_local(|| {
        sequence += 1;
        let changed = vec![route(routes / 2, &format!("/edit/{}", sequence % 2))];
        compiler.update(version(sequence), changed, Vec::new())
    });
}
