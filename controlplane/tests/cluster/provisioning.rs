//! Addresses: the Services that are generated, what is stored there, and what comes of it.

use serde_json::{Value, json};

use super::fake::Fake;
use super::running::Running;
use super::{CONTROLLER, class, gateway, service};

fn pool(addresses: &[&str]) -> Value {
    json!({
        "apiVersion": "ringgate.io/v1alpha1", "kind": "AddressPool",
        "metadata": {"name": "pool"},
        "spec": {"addresses": addresses},
    })
}

/// Waits until the Gateway's status has the address.
async fn address(fake: &Fake, gateway: &Value) -> String {
    let what = format!("an address of {}", gateway["metadata"]["name"]);
    fake.until(&what, || {
        let status = fake.get(gateway)?["status"].clone();
        Some(status["addresses"][0]["value"].as_str()?.to_owned())
    })
    .await
}

#[tokio::test]
async fn a_gateway_gets_a_service_with_an_address_and_keeps_it() {
    let fake = Fake::new();
    let first = gateway("first", "ours");
    for object in [&class("ours", CONTROLLER), &pool(&["192.0.2.8/30"]), &first] {
        fake.apply(object.clone());
    }
    let running = Running::start(&fake).await;
    assert_eq!(address(&fake, &first).await, "192.0.2.8");
    let generated = fake.get(&service("first-ours")).unwrap();
    assert_eq!(generated["spec"]["loadBalancerClass"], "ringgate.io/lb");
    let ingress = fake
        .until("the Service's status", || {
            let service = fake.get(&service("first-ours"))?;
            service["status"]["loadBalancer"]["ingress"]
                .as_array()
                .cloned()
        })
        .await;
    assert_eq!(ingress, [json!({"ip": "192.0.2.8", "ipMode": "Proxy"})]);
    running.end().await;

    // Older by name: it would get the lower address if that weren't stored.
    let second = gateway("a-second", "ours");
    fake.apply(second.clone());
    let running = Running::start(&fake).await;
    assert_eq!(address(&fake, &second).await, "192.0.2.9");
    assert_eq!(address(&fake, &first).await, "192.0.2.8");

    fake.delete(&service("first-ours"));
    fake.until("the Service again", || fake.get(&service("first-ours")))
        .await;
    fake.delete(&second);
    fake.until("the Service to go with its Gateway", || {
        fake.get(&service("a-second-ours")).is_none().then_some(())
    })
    .await;
    running.end().await;
}

#[tokio::test]
async fn a_foreign_load_balancers_address_is_told_once_its_service_has_it() {
    let fake = Fake::new();
    let mut edge = gateway("edge", "ours");
    edge["spec"]["infrastructure"] = json!({
        "parametersRef": {"group": "ringgate.io", "kind": "GatewayParameters", "name": "cloud"},
    });
    let parameters = json!({
        "apiVersion": "ringgate.io/v1alpha1", "kind": "GatewayParameters",
        "metadata": {"name": "cloud", "namespace": "default"},
        "spec": {"loadBalancerClass": "example.com/lb"},
    });
    for object in [&class("ours", CONTROLLER), &parameters, &edge] {
        fake.apply(object.clone());
    }
    let running = Running::start(&fake).await;
    let generated = service("edge-ours");
    fake.until("the Service", || fake.get(&generated)).await;
    let target = &fake.get(&generated).unwrap()["spec"]["ports"][0]["targetPort"];
    assert!(
        (20_000..30_000).contains(&target.as_u64().unwrap()),
        "{target}"
    );
    // What a cloud's controller does.
    fake.edit_status(&generated, |status| {
        *status = json!({"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}});
    });
    assert_eq!(address(&fake, &edge).await, "lb.example.com");
    let status = fake.get(&edge).unwrap()["status"].clone();
    assert_eq!(status["addresses"][0]["type"], "Hostname");
    running.end().await;
}
