//! What a watch yields.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ringgate_controlplane::api::{ObjectKey, ObjectKind};
use ringgate_controlplane::store::Resources;
use ringgate_controlplane::watch::kube::{KubeWatch, References, Yield};
use ringgate_controlplane::watch::{Batch, Event};
use serde_json::json;
use tokio::sync::watch;

use super::fake::Fake;
use super::{CONTROLLER, class, gateway, route, secret, service};

struct Watching {
    _watch: KubeWatch,
    yields: Yield,
    references: watch::Sender<References>,
    resources: Resources,
}

impl Watching {
    fn start(fake: &Fake) -> Self {
        let (references, wanted) = watch::channel(References::default());
        let (_watch, yields) = KubeWatch::start(&fake.client(), wanted, Arc::default());
        Self {
            _watch,
            yields,
            references,
            resources: Resources::default(),
        }
    }

    async fn next(&mut self) -> Batch {
        let batch = tokio::time::timeout(Duration::from_secs(60), self.yields.batches.recv());
        let batch = batch.await.unwrap().unwrap();
        self.resources.apply(&batch);
        batch
    }

    async fn until(&mut self, holds: impl Fn(&Resources) -> bool) {
        while !holds(&self.resources) {
            self.next().await;
        }
    }
}

fn keys(batch: &Batch) -> Vec<String> {
    let events = batch.events.iter().map(|event| match event {
        Event::Applied { object, .. } => object.key().to_string(),
        Event::Removed(key) => format!("-{key}"),
        Event::Misread(key, _) => format!("?{key}"),
    });
    events.collect()
}

#[tokio::test]
async fn nothing_is_told_before_every_kind_was_listed() {
    let fake = Fake::new();
    fake.apply(service("app"));
    fake.apply(route("app", &["edge"]));
    fake.set_forbidden("services", true);
    let mut watching = Watching::start(&fake);
    let refused = |one: &String| one.contains("/services?");
    fake.until("two attempts", || {
        (fake.requests().into_iter().filter(refused).count() > 1).then_some(())
    })
    .await;
    assert!(watching.yields.batches.try_recv().is_err());
    fake.set_forbidden("services", false);
    let batch = watching.next().await;
    let mut keys = keys(&batch);
    keys.sort();
    assert_eq!(keys, ["HTTPRoute default/app", "Service default/app"]);
    assert!(batch.problems.is_empty(), "{:?}", batch.problems);
}

#[tokio::test]
async fn changes_follow_and_a_status_alone_is_none() {
    let fake = Fake::new();
    let edge = gateway("edge", "ours");
    fake.apply(edge.clone());
    let mut watching = Watching::start(&fake);
    watching.next().await;
    fake.edit_status(&edge, |status| *status = json!({"conditions": []}));
    fake.apply(service("app"));
    watching.until(|all| all.services.len() == 1).await;
    let live = watching.yields.live.recv().await.unwrap();
    assert_eq!(live.len(), 1);
    let mut changed = edge.clone();
    changed["spec"]["gatewayClassName"] = "theirs".into();
    fake.apply(changed);
    watching
        .until(|all| {
            all.gateways
                .values()
                .any(|one| &*one.spec.gateway_class_name == "theirs")
        })
        .await;
    fake.delete(&edge);
    watching.until(|all| all.gateways.is_empty()).await;
}

#[tokio::test]
async fn what_went_while_nobody_listened_is_removed_by_the_next_list() {
    let fake = Fake::new();
    let (one, two) = (service("one"), service("two"));
    fake.apply(one.clone());
    fake.apply(two.clone());
    let mut watching = Watching::start(&fake);
    watching.next().await;
    assert_eq!(watching.resources.services.len(), 2);
    fake.delete_silently(&one);
    fake.forget_the_past();
    watching.until(|all| all.services.len() == 1).await;
    assert!(
        watching
            .resources
            .services
            .keys()
            .all(|name| &*name.name == "two")
    );
}

#[tokio::test]
async fn a_missing_kind_is_reported_done_without_and_taken_up() {
    let fake = Fake::new();
    let api = "gateway.networking.k8s.io/v1";
    fake.stop_serving(api, "HTTPRoute");
    fake.serve(
        "gateway.networking.k8s.io/v1beta1",
        "HTTPRoute",
        "httproutes",
    );
    fake.stop_serving(api, "ReferenceGrant");
    fake.apply(class("ours", CONTROLLER));
    let mut old = route("old", &["edge"]);
    old["apiVersion"] = "gateway.networking.k8s.io/v1beta1".into();
    fake.apply(old);
    let mut watching = Watching::start(&fake);
    let batch = watching.next().await;
    assert_eq!(watching.resources.gateway_classes.len(), 1);
    assert_eq!(
        watching.resources.http_routes.len(),
        1,
        "at the version that is served"
    );
    let messages: Vec<_> = batch.problems.iter().map(ToString::to_string).collect();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("no ReferenceGrant"), "{messages:?}");

    fake.serve(api, "ReferenceGrant", "referencegrants");
    let batch = watching.next().await;
    assert!(batch.problems.is_empty(), "{:?}", batch.problems);
}

#[tokio::test]
async fn an_object_that_is_not_understood_keeps_its_last_good_version() {
    let fake = Fake::new();
    fake.apply(route("good", &["edge"]));
    let mut broken = route("bad", &["edge"]);
    fake.apply(broken.clone());
    let mut watching = Watching::start(&fake);
    watching.next().await;
    broken["spec"]["rules"][0]["timeouts"] = json!({"request": "ten"});
    fake.apply(broken.clone());
    let batch = watching.next().await;
    assert_eq!(keys(&batch), ["?HTTPRoute default/bad"]);
    assert_eq!(batch.problems.len(), 1);
    assert_eq!(batch.problems[0].field, "spec.rules[0].timeouts.request");
    assert_eq!(watching.resources.http_routes.len(), 2);
    broken["spec"]["rules"][0]["timeouts"] = json!({"request": "10s"});
    fake.apply(broken.clone());
    assert!(watching.next().await.problems.is_empty());
    fake.delete(&broken);
    watching.until(|all| all.http_routes.len() == 1).await;
}

#[tokio::test]
async fn an_outage_changes_nothing_and_what_happened_meanwhile_comes_after_it() {
    let fake = Fake::new();
    fake.apply(service("one"));
    let mut watching = Watching::start(&fake);
    watching.next().await;
    fake.set_down(true);
    let before = fake.requests().len();
    fake.until("several attempts", || {
        (fake.requests().len() > before + 20).then_some(())
    })
    .await;
    assert!(watching.yields.batches.try_recv().is_err());
    fake.apply(service("two"));
    fake.set_down(false);
    let batch = watching.next().await;
    assert_eq!(keys(&batch), ["Service default/two"]);
}

#[tokio::test]
async fn of_secrets_only_certificates_and_referenced_ones_are_known() {
    let fake = Fake::new();
    for place in 0..1000 {
        fake.apply(secret(&format!("unrelated-{place}"), "Opaque"));
    }
    fake.apply(secret("certificate", "kubernetes.io/tls"));
    fake.apply(secret("named", "Opaque"));
    let mut watching = Watching::start(&fake);
    watching.next().await;
    let names = |all: &Resources| -> Vec<String> {
        all.secrets
            .keys()
            .map(|name| name.name.to_string())
            .collect()
    };
    assert_eq!(names(&watching.resources), ["certificate"]);
    let key = ObjectKey::new(ObjectKind::Secret, "default", "named");
    watching
        .references
        .send_replace(Arc::new(BTreeSet::from([key])));
    watching.until(|all| all.secrets.len() == 2).await;
    assert_eq!(names(&watching.resources), ["certificate", "named"]);
    watching.references.send_replace(Arc::default());
    watching.until(|all| all.secrets.len() == 1).await;
    let listed = |one: &String| one.contains("/secrets") && !one.contains("fieldSelector");
    assert!(!fake.requests().iter().any(listed), "never all of them");
}
