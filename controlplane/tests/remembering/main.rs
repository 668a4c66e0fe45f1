//! What a translator takes over from one translation to the next: everything that an edit doesn't
//! concern, and nothing that it does.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod statuses;
mod world;

use std::sync::Arc;

use ringgate_controlplane::api::Object;
use ringgate_controlplane::api::gateway::{Gateway, ReferenceGrant};
use ringgate_controlplane::api::http_route::HttpRoute;
use ringgate_controlplane::api::listener_set::ListenerSet;
use ringgate_controlplane::api::service::Service;
use ringgate_controlplane::api::storage::{Namespace, Secret};
use ringgate_controlplane::provision::memory::Memory;
use ringgate_controlplane::provision::provide;
use ringgate_controlplane::store::Resources;
use ringgate_controlplane::translate::{
    Inputs, Options, ResolvedNames, Translation, Translator, translate,
};
use ringgate_controlplane::watch::{Batch, Event};
use serde_json::json;
use world::{Dice, of};

/// What a cluster's control plane is started with, or one's that reads files.
fn options(cluster: bool) -> Options {
    let mut options = Options::default();
    if cluster {
        options.cluster = true;
        options.provision.pools = vec!["192.0.2.1-192.0.2.3".parse().unwrap()];
    }
    options
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
    with_options(resources, &Options::default(), see)
}

fn with_options<T>(
    resources: &Resources,
    options: &Options,
    see: impl FnOnce(&Inputs<'_>) -> T,
) -> T {
    let provided = provide(resources, options, &Memory::default());
    see(&Inputs {
        resources,
        names: &ResolvedNames::new(),
        provided: &provided,
        options,
    })
}

/// Objects of all kinds come, change and go at random.
#[test]
fn what_is_remembered_never_shows() {
    let mut attached = 0;
    let mut terminated = 0;
    let mut judged = 0;
    for seed in 0..48 {
        let mut dice = Dice(seed);
        let options = options(seed % 4 == 3);
        let mut translator = Translator::default();
        let mut resources = Resources::default();
        for step in 0..120 {
            apply(&mut resources, world::event(&mut dice));
            let remembered =
                with_options(&resources, &options, |inputs| translator.translate(inputs));
            let anew: Translation = with_options(&resources, &options, translate);
            assert_eq!(remembered, anew, "seed {seed}, step {step}");
            let sets = anew.verdicts.listener_sets.values();
            let listeners = sets.flat_map(|one| &one.listeners);
            attached += listeners.map(|one| one.attached_routes).sum::<u32>();
            terminated += anew.certificates.len();
            let policies = anew.verdicts.policies.values();
            judged += policies.filter(|one| !one.ancestors.is_empty()).count();
        }
    }
    assert!(attached > 300, "routes attach to sets: {attached}");
    assert!(terminated > 300, "certificates are in force: {terminated}");
    assert!(judged > 300, "policies take effect: {judged}");
}

/// Takes an event, and says how many Gateways and ListenerSets it made a translator that remembers draft
/// anew, and how many routes translate anew.
fn counting() -> impl FnMut(Event) -> (usize, usize) {
    let mut translator = Translator::default();
    let mut resources = Resources::default();
    move |event| {
        apply(&mut resources, event);
        with(&resources, |inputs| translator.translate(inputs));
        (translator.fresh_drafts(), translator.fresh_routes())
    }
}

/// Counts routes only.
fn remembering() -> impl FnMut(Event) -> usize {
    let mut count = counting();
    move |event| count(event).1
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
fn an_edit_decides_what_it_concerns_and_nothing_else() {
    let mut fresh = counting();
    fresh(applied(edge(1, "own.example.com", "All")));
    for number in 0..SETS {
        let hostname = format!("s{number}.example.com");
        assert_eq!(fresh(applied(set(number * 2, &hostname))), (1, 0));
        for place in 0..ROUTES_PER_SET {
            assert_eq!(fresh(applied(route(number * 2, place, "/"))), (0, 1));
        }
    }
    let sets = usize::try_from(SETS).unwrap();
    let of_set = usize::try_from(ROUTES_PER_SET).unwrap();

    assert_eq!(fresh(applied(set(50, "other.example.com"))), (1, of_set));
    assert_eq!(fresh(applied(route(50, 1, "/other"))), (0, 1));
    assert_eq!(fresh(applied(set(51, "new.example.com"))), (1, 0));
    assert_eq!(
        fresh(Event::Removed(set(51, "new.example.com").key())),
        (0, 0)
    );
    assert_eq!(
        fresh(Event::Removed(set(60, "s30.example.com").key())),
        (0, of_set)
    );
    assert_eq!(fresh(applied(set(60, "s30.example.com"))), (1, of_set));
    assert_eq!(fresh(applied(edge(2, "own.example.com", "All"))), (1, 0));
    assert_eq!(fresh(applied(edge(3, "two.example.com", "All"))), (1, 0));
    // The Gateway's own listener now has the host of one set.
    assert_eq!(
        fresh(applied(edge(4, "s30.example.com", "All"))),
        (1, of_set)
    );
    assert_eq!(
        fresh(applied(edge(5, "s30.example.com", "None"))),
        (1 + sets, sets * of_set)
    );
}

/// What a set's listener refers to concerns that set, wherever it is.
#[test]
fn a_secret_concerns_the_listeners_that_name_it() {
    let mut fresh = counting();
    let gateway = of::<Gateway>(json!({
        "metadata": {"namespace": "blue", "name": "edge"},
        "spec": {
            "gatewayClassName": "ringgate",
            "allowedListeners": {"namespaces": {"from": "All"}},
            "listeners": [{"name": "own", "port": 80, "protocol": "HTTP"}],
        },
    }));
    fresh(applied(gateway));
    for number in 0..10 {
        let secret = json!({"name": format!("c{number}"), "namespace": "vault"});
        let set = of::<ListenerSet>(json!({
            "metadata": {"namespace": "blue", "name": format!("s{number}")},
            "spec": {
                "parentRef": {"name": "edge"},
                "listeners": [{
                    "name": "https", "port": 443, "protocol": "HTTPS",
                    "hostname": format!("s{number}.example.com"),
                    "tls": {"certificateRefs": [secret]},
                }],
            },
        }));
        fresh(applied(set));
    }
    let secret = |name: &str| {
        of::<Secret>(json!({"metadata": {"namespace": "vault", "name": name}, "type": "Opaque"}))
    };
    assert_eq!(fresh(applied(secret("c3"))), (1, 0));
    assert_eq!(fresh(applied(secret("nobody's"))), (0, 0));
    assert_eq!(fresh(Event::Removed(secret("c3").key())), (1, 0));
    let grant = of::<ReferenceGrant>(json!({
        "metadata": {"namespace": "vault", "name": "g"},
        "spec": {
            "from": [{
                "group": "gateway.networking.k8s.io", "kind": "ListenerSet", "namespace": "blue",
            }],
            "to": [{"group": "", "kind": "Secret"}],
        },
    }));
    assert_eq!(fresh(applied(grant)), (10, 0));
}

/// Of many certificates.
#[test]
fn a_renewed_certificate_is_all_that_is_other() {
    const PEM: [[&str; 2]; 2] = [
        [
            include_str!("../../testdata/pem/ecdsa.crt"),
            include_str!("../../testdata/pem/ecdsa.key"),
        ],
        [
            include_str!("../../testdata/pem/rsa.crt"),
            include_str!("../../testdata/pem/rsa.key"),
        ],
    ];
    let secret = |number: usize, [certificate, key]: [&str; 2]| {
        of::<Secret>(json!({
            "metadata": {"namespace": "blue", "name": format!("c{number}")},
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate, "tls.key": key},
        }))
    };
    let listener = |number: usize| {
        json!({
            "name": format!("l{number}"), "port": 443, "protocol": "HTTPS",
            "hostname": format!("h{number}.example.com"),
            "tls": {"certificateRefs": [{"name": format!("c{number}")}]},
        })
    };
    let mut resources = Resources::default();
    let listeners: Vec<_> = (0..40).map(listener).collect();
    let gateway = json!({
        "metadata": {"namespace": "blue", "name": "edge"},
        "spec": {"gatewayClassName": "ringgate", "listeners": listeners},
    });
    apply(&mut resources, applied(of::<Gateway>(gateway)));
    for number in 0..40 {
        apply(&mut resources, applied(secret(number, PEM[0])));
    }
    let mut translator = Translator::default();
    let mut take = |object| {
        apply(&mut resources, applied(object));
        let translation = with(&resources, |inputs| translator.translate(inputs));
        (translation, translator.fresh_drafts())
    };
    let (before, _) = take(secret(7, PEM[0]));
    let other = |now: &Translation| -> Vec<String> {
        let differences = before.objects.differences(&now.objects, Arc::ptr_eq);
        differences.iter().map(|one| one.key.to_string()).collect()
    };
    let (renewed, fresh) = take(secret(7, PEM[1]));
    assert_eq!(other(&renewed), ["certificate/blue/c7"]);
    assert_eq!(fresh, 0, "nothing was decided by its content");
    assert_eq!(renewed.verdicts, before.verdicts);

    let (spoilt, fresh) = take(secret(7, [PEM[0][0], PEM[1][1]]));
    assert_eq!(fresh, 1);
    assert_ne!(spoilt.verdicts, before.verdicts);
    let (mended, fresh) = take(secret(7, PEM[0]));
    assert_eq!(fresh, 1);
    assert!(mended == before);
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
