//! What does not compile, and tables that are updated instead of compiled anew.

use std::collections::BTreeMap;

use proptest::prelude::*;
use ringgate_core::ir::{Filter, HeaderEdits};
use ringgate_core::table::{Action, Port, Target};

use super::*;

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
