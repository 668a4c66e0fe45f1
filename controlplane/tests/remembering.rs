//! What a translator takes over from one translation to the next: everything that an edit doesn't
//! concern, and nothing that it does.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

use ringgate_controlplane::api::Object;
use ringgate_controlplane::api::gateway::{Gateway, ReferenceGrant};
use ringgate_controlplane::api::grpc_route::GrpcRoute;
use ringgate_controlplane::api::http_route::HttpRoute;
use ringgate_controlplane::api::listener_set::ListenerSet;
use ringgate_controlplane::api::service::Service;
use ringgate_controlplane::api::storage::Namespace;
use ringgate_controlplane::provision::Claims;
use ringgate_controlplane::store::Resources;
use ringgate_controlplane::translate::{
    Inputs, Options, ResolvedNames, Translation, Translator, translate,
};
use ringgate_controlplane::watch::{Batch, Event};
use serde_json::{Value, json};

/// Numbers that are the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

const NAMESPACES: [&str; 2] = ["blue", "red"];
const HOSTS: [&str; 3] = ["a.example.com", "b.example.com", "*.example.com"];

fn namespaces(dice: &mut Dice) -> Value {
    match dice.pick(&["All", "All", "All", "Same", "None", "Selector"]) {
        "Selector" => json!({"from": "Selector", "selector": {"matchLabels": {"team": "web"}}}),
        from => json!({"from": from}),
    }
}

fn listeners(dice: &mut Dice) -> Vec<Value> {
    let count = 1 + dice.below(3);
    let listener = |place| {
        let mut one = json!({
            "name": format!("l{place}"),
            "port": 80 + dice.below(2),
            "protocol": "HTTP",
            "allowedRoutes": {"namespaces": namespaces(dice)},
        });
        if dice.below(2) == 0 {
            one["hostname"] = dice.pick(&HOSTS).into();
        }
        one
    };
    (0..count).map(listener).collect()
}

/// Some object, as somebody might write it next.
fn object(dice: &mut Dice) -> Object {
    let namespace = dice.pick(&NAMESPACES);
    let name = format!("n{}", dice.below(3));
    let metadata = json!({"namespace": namespace, "name": name, "generation": dice.below(3)});
    let (set, place) = (dice.below(2) == 0, format!("n{}", dice.below(3)));
    match dice.below(9) {
        0 => of::<Gateway>(json!({
            "metadata": metadata,
            "spec": {
                "gatewayClassName": dice.pick(&["ringgate", "ringgate", "ringgate", "theirs"]),
                "allowedListeners": {"namespaces": namespaces(dice)},
                "addresses": [{"value": dice.pick(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "no address"])}],
                "listeners": listeners(dice),
            },
        })),
        1 | 2 => of::<ListenerSet>(json!({
            "metadata": metadata,
            "spec": {
                "parentRef": {"name": place, "namespace": dice.pick(&NAMESPACES)},
                "listeners": listeners(dice),
            },
        })),
        3 => of::<Namespace>(json!({
            "metadata": {"name": namespace, "labels": {"team": dice.pick(&["web", "mail"])}},
        })),
        4 => of::<ReferenceGrant>(json!({
            "metadata": metadata,
            "spec": {
                "from": [{
                    "group": "gateway.networking.k8s.io",
                    "kind": dice.pick(&["HTTPRoute", "HTTPRoute", "GRPCRoute"]),
                    "namespace": dice.pick(&NAMESPACES),
                }],
                "to": [{"group": "", "kind": "Service"}],
            },
        })),
        5 => of::<Service>(json!({
            "metadata": metadata,
            "spec": {"ports": [{"port": 80 + dice.below(2)}]},
        })),
        kind => {
            let route = json!({
            "metadata": metadata,
            "spec": {
                "parentRefs": [
                    {"name": "n0", "namespace": dice.pick(&NAMESPACES)},
                    {
                        "name": place,
                        "kind": if set { "ListenerSet" } else { "Gateway" },
                        "namespace": dice.pick(&NAMESPACES),
                        "port": 80 + dice.below(2),
                    },
                ],
                "hostnames": [dice.pick(&HOSTS)],
                "rules": [{"backendRefs": [
                    {"name": "n0", "port": 80, "namespace": dice.pick(&NAMESPACES)},
                    {"name": "n1", "port": 80},
                ]}],
            },
            });
            match kind {
                8 => of::<GrpcRoute>(route),
                _ => of::<HttpRoute>(route),
            }
        }
    }
}

fn of<T: serde::de::DeserializeOwned + Into<Object>>(value: Value) -> Object {
    serde_json::from_value::<T>(value).unwrap().into()
}

fn apply(resources: &mut Resources, event: Event) {
    resources.apply(&Batch {
        events: vec![event],
        problems: Vec::new(),
    });
}

fn applied(object: Object) -> Event {
    Event::Applied {
        object,
        source: None,
    }
}

/// Calls `see` with what is to be translated.
fn with<T>(resources: &Resources, see: impl FnOnce(&Inputs<'_>) -> T) -> T {
    see(&Inputs {
        resources,
        names: &ResolvedNames::new(),
        claims: &Claims::new(),
        options: &Options::default(),
    })
}

/// Gateways, ListenerSets, routes, grants, namespaces and Services come, change and go at random.
#[test]
fn what_is_remembered_never_shows() {
    let mut attached = 0;
    for seed in 0..48 {
        let mut dice = Dice(seed);
        let mut translator = Translator::default();
        let mut resources = Resources::default();
        for step in 0..80 {
            let object = object(&mut dice);
            let event = match dice.below(5) {
                0 => Event::Removed(object.key()),
                _ => applied(object),
            };
            apply(&mut resources, event);
            let remembered = with(&resources, |inputs| translator.translate(inputs));
            let anew: Translation = with(&resources, translate);
            assert_eq!(remembered, anew, "seed {seed}, step {step}");
            let sets = anew.verdicts.listener_sets.values();
            let listeners = sets.flat_map(|one| &one.listeners);
            attached += listeners.map(|one| one.attached_routes).sum::<u32>();
        }
    }
    assert!(attached > 300, "routes attach to sets: {attached}");
}

/// Takes an event, and says how many routes it made a translator that remembers translate anew.
fn remembering() -> impl FnMut(Event) -> usize {
    let mut translator = Translator::default();
    let mut resources = Resources::default();
    move |event| {
        apply(&mut resources, event);
        with(&resources, |inputs| translator.translate(inputs));
        translator.fresh_routes()
    }
}

fn set(number: u32, hostname: &str) -> Object {
    of::<ListenerSet>(json!({
        "metadata": {"namespace": "blue", "name": format!("s{number:03}")},
        "spec": {
            "parentRef": {"name": "edge"},
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP", "hostname": hostname}],
        },
    }))
}

fn route(set: u32, number: u32, path: &str) -> Object {
    of::<HttpRoute>(json!({
        "metadata": {"namespace": "blue", "name": format!("r{set:03}-{number}")},
        "spec": {
            "parentRefs": [{"kind": "ListenerSet", "name": format!("s{set:03}")}],
            "rules": [{"matches": [{"path": {"value": path}}]}],
        },
    }))
}

fn edge(generation: i64, own_hostname: &str, allow: &str) -> Object {
    of::<Gateway>(json!({
        "metadata": {"namespace": "blue", "name": "edge", "generation": generation},
        "spec": {
            "gatewayClassName": "ringgate",
            "allowedListeners": {"namespaces": {"from": allow}},
            "listeners": [
                {"name": "own", "port": 80, "protocol": "HTTP", "hostname": own_hostname},
            ],
        },
    }))
}

const SETS: u32 = 100;
const ROUTES_PER_SET: u32 = 4;

#[test]
fn an_edit_translates_the_routes_that_it_concerns_and_no_others() {
    let mut fresh = remembering();
    fresh(applied(edge(1, "own.example.com", "All")));
    for number in 0..SETS {
        let hostname = format!("s{number}.example.com");
        assert_eq!(fresh(applied(set(number * 2, &hostname))), 0);
        for place in 0..ROUTES_PER_SET {
            assert_eq!(fresh(applied(route(number * 2, place, "/"))), 1);
        }
    }
    let all = usize::try_from(SETS * ROUTES_PER_SET).unwrap();
    let of_set = usize::try_from(ROUTES_PER_SET).unwrap();

    assert_eq!(fresh(applied(set(50, "other.example.com"))), of_set);
    assert_eq!(fresh(applied(route(50, 1, "/other"))), 1);
    assert_eq!(fresh(applied(set(51, "new.example.com"))), 0, "places move");
    assert_eq!(fresh(Event::Removed(set(51, "new.example.com").key())), 0);
    assert_eq!(
        fresh(Event::Removed(set(60, "s30.example.com").key())),
        of_set
    );
    assert_eq!(fresh(applied(set(60, "s30.example.com"))), of_set);
    assert_eq!(fresh(applied(edge(2, "own.example.com", "All"))), 0);
    assert_eq!(fresh(applied(edge(3, "two.example.com", "All"))), 0);
    // The Gateway's own listener now has the host of one set.
    assert_eq!(fresh(applied(edge(4, "s30.example.com", "All"))), of_set);
    assert_eq!(fresh(applied(edge(5, "s30.example.com", "None"))), all);
}

#[test]
fn grants_and_namespaces_concern_those_who_look_at_them() {
    let mut fresh = remembering();
    let route = |namespace: &str, service: &str| {
        of::<HttpRoute>(json!({
            "metadata": {"namespace": namespace, "name": "r"},
            "spec": {
                "parentRefs": [{"name": "edge", "namespace": "blue"}],
                "rules": [{"backendRefs": [{"name": "s", "port": 80, "namespace": service}]}],
            },
        }))
    };
    for object in [
        edge(1, "own.example.com", "All"),
        route("blue", "blue"),
        route("red", "green"),
        route("green", "yellow"),
    ] {
        fresh(applied(object));
    }
    let grant = of::<ReferenceGrant>(json!({
        "metadata": {"namespace": "green", "name": "g"},
        "spec": {
            "from": [{
                "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "red",
            }],
            "to": [{"group": "", "kind": "Service"}],
        },
    }));
    assert_eq!(fresh(applied(grant)), 1, "red's, which looks into green");
    let labelled = of::<Namespace>(json!({"metadata": {"name": "red", "labels": {"a": "b"}}}));
    assert_eq!(fresh(applied(labelled)), 1);
    let service = of::<Service>(json!({
        "metadata": {"namespace": "yellow", "name": "s"},
        "spec": {"ports": [{"port": 80}]},
    }));
    assert_eq!(fresh(applied(service)), 1);
}
