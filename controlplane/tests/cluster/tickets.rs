//! Keys of session tickets that the control planes of a cluster keep.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ringgate_controlplane::tickets::TicketSource;
use serde_json::{Value, json};

use super::fake::Fake;
use super::running::Running;

/// As manifests bring it: with nothing in it.
fn empty() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "keys", "namespace": "ringgate-system"},
    })
}

async fn start(fake: &Fake) -> Running {
    let name = "ringgate-system/keys".parse().unwrap();
    Running::start_as(fake, |config| config.tickets = TicketSource::Secret(name)).await
}

fn entry(secret: &Value, key: &str) -> Option<String> {
    let text = secret["data"][key].as_str()?;
    Some(String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap())
}

async fn keys(fake: &Fake, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
    fake.until("its keys", || {
        let text = entry(&fake.get(&empty())?, "keys")?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        wanted(&lines).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn the_leader_fills_the_secret_leaves_what_is_fresh_and_renews_what_is_old() {
    let fake = Fake::new();
    fake.apply(empty());
    let first = start(&fake).await;
    let made = keys(&fake, |_| true).await;
    assert_eq!(made.len(), 3);
    first.end().await;

    // Its successor goes on with them.
    let second = start(&fake).await;
    let mut old = fake.get(&empty()).unwrap();
    assert_eq!(
        entry(&old, "keys").unwrap().lines().collect::<Vec<_>>(),
        made
    );
    second.end().await;

    old["data"]["rotated"] = json!(BASE64_STANDARD.encode("1700000000"));
    fake.apply(old);
    let third = start(&fake).await;
    let rotated = keys(&fake, |keys| keys[0] != made[0]).await;
    assert_eq!(
        rotated[..2],
        made[1..],
        "the next comes into use, the oldest goes"
    );
    assert_ne!(rotated[2], made[2]);
    third.end().await;
}
