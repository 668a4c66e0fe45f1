//! Certificates that the control plane issues: to whom, by which authority, and while that is another.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use ringgate_controlplane::issue::authority::Authorities;
use ringgate_controlplane::issue::{IssueConfig, NamespacedName, Periods};
use ringgate_controlplane::push::service::certificates_client::CertificatesClient;
use ringgate_controlplane::push::service::snapshots_client::SnapshotsClient;
use ringgate_controlplane::serve::{Certificates, RemoteConfig};
use ringgate_core::wire::proto::{self, IssueRequest, dataplane_message::Message};
use ringgate_identity::config;
use ringgate_identity::pem::{Pair, parse_certificates};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::fake::Fake;
use super::running::Running;

const ACCOUNT: &str = "ringgate-system/ringgate-dataplane";
const USER: &str = "system:serviceaccount:ringgate-system:ringgate-dataplane";
const NAME: &str = "control.example";

fn remote() -> RemoteConfig {
    RemoteConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        advertise: None,
        certificates: Certificates::Issued(IssueConfig {
            accounts: vec![ACCOUNT.parse().unwrap()],
            names: vec![NAME.to_owned()],
            store: Some("ringgate-system/ringgate-authority".parse().unwrap()),
            periods: Periods::default(),
        }),
    }
}

/// The Secret or the ConfigMap.
fn stored(kind: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": kind,
        "metadata": {"name": "ringgate-authority", "namespace": "ringgate-system"},
    })
}

/// As manifests bring them: with nothing in them.
fn cluster() -> Fake {
    let fake = Fake::new();
    fake.apply(stored("Secret"));
    fake.apply(stored("ConfigMap"));
    fake.give_token("right", USER);
    fake.give_token("other", "system:serviceaccount:default:default");
    fake
}

/// Authorities as a Secret has them.
fn apply(fake: &Fake, authorities: &Authorities) {
    let entries = authorities.entries().into_iter();
    let entries: BTreeMap<_, _> = entries
        .map(|(key, value)| (key, BASE64_STANDARD.encode(value)))
        .collect();
    let mut secret = stored("Secret");
    secret["data"] = json!(entries);
    fake.apply(secret);
}

async fn published(fake: &Fake, count: usize) -> Vec<CertificateDer<'static>> {
    let map = stored("ConfigMap");
    fake.until("the published authority", || {
        let text = fake.get(&map)?["data"]["ca.crt"].as_str()?.to_owned();
        let found = parse_certificates(text.as_bytes(), "the ConfigMap").unwrap();
        (found.len() == count).then_some(found)
    })
    .await
}

/// A data plane's way in, under the name that it knows the control plane by.
async fn connect(
    address: SocketAddr,
    own: Option<Pair>,
    authorities: &[CertificateDer<'static>],
) -> io::Result<Channel> {
    let config = config::client(own, authorities).unwrap();
    let stream = TcpStream::connect(address).await?;
    let name = NAME.try_into().unwrap();
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    let mut stream = Some(TokioIo::new(stream));
    let once = tower::service_fn(move |_| {
        let taken = stream.take();
        async move { taken.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    let endpoint = Endpoint::from_static("http://control-plane");
    let channel = endpoint.connect_with_connector(once).await;
    channel.map_err(io::Error::other)
}

/// Says hello.
async fn greet(channel: Channel) -> Result<(), Status> {
    let hello = proto::DataplaneMessage {
        message: Some(Message::Hello(proto::Hello::default())),
    };
    let messages = tokio_stream::iter([hello]);
    SnapshotsClient::new(channel).stream(messages).await?;
    Ok(())
}

fn request() -> (KeyPair, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key);
    let request = request.unwrap().der().to_vec();
    (key, request)
}

fn pair(key: &KeyPair, chain: Vec<CertificateDer<'static>>) -> Pair {
    Pair {
        chain,
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    }
}

async fn ask(channel: Channel, token: &str) -> Result<Pair, Status> {
    let (key, request) = request();
    let question = IssueRequest {
        token: token.to_owned(),
        request,
    };
    let reply = CertificatesClient::new(channel).issue(question).await?;
    let chain = reply.into_inner().chain.into_iter().map(Into::into);
    Ok(pair(&key, chain.collect()))
}

#[tokio::test]
async fn a_data_plane_gets_its_certificate_for_its_token_and_nobody_else_does() {
    let fake = cluster();
    let running = Running::start_with(&fake, Some(remote())).await;
    let address = running.remote.unwrap();
    let believed = published(&fake, 1).await;

    let stranger = connect(address, None, &believed).await.unwrap();
    let refused = greet(stranger.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("--token-file"), "{refused}");
    let refused = ask(stranger.clone(), "forged").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = ask(stranger.clone(), "other").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("--issue-to"), "{refused}");

    let own = ask(stranger, "right").await.unwrap();
    let known = connect(address, Some(own), &believed).await.unwrap();
    greet(known).await.unwrap();
    running.end().await;
}

#[tokio::test]
async fn all_control_planes_issue_by_the_one_authority_that_the_leader_made() {
    let fake = cluster();
    let first = Running::start_with(&fake, Some(remote())).await;
    let believed = published(&fake, 1).await;
    let second = Running::start_with(&fake, Some(remote())).await;

    // Which of them doesn't matter: a standby issues too, and its own certificate is believed.
    for issuer in [&first, &second] {
        let stranger = connect(issuer.remote.unwrap(), None, &believed)
            .await
            .unwrap();
        let own = ask(stranger, "right").await.unwrap();
        let known = connect(first.remote.unwrap(), Some(own), &believed)
            .await
            .unwrap();
        greet(known).await.unwrap();
    }
    assert_eq!(published(&fake, 1).await, believed);
    second.end().await;
    first.end().await;
}

#[tokio::test]
async fn what_is_in_the_secret_but_of_no_use_is_left_as_it_is() {
    let fake = cluster();
    let mut secret = stored("Secret");
    secret["data"] = json!({"tls.crt": BASE64_STANDARD.encode("text")});
    fake.apply(secret.clone());
    let running = Running::start_with(&fake, Some(remote())).await;
    fake.until("two looks", || {
        let requests = fake.requests();
        let looks = requests
            .iter()
            .filter(|one| one.contains("GET") && one.contains("secrets/ringgate-authority"));
        (looks.count() > 2).then_some(())
    })
    .await;
    assert_eq!(fake.get(&secret).unwrap()["data"], secret["data"]);
    running.end().await;
}

const DAY: Duration = Duration::from_hours(24);

/// An authority of which less than a third is left, and the next, made `before`.
fn rotation(before: Duration) -> (Authorities, Authorities) {
    let (periods, now) = (Periods::default(), SystemTime::now());
    let first = Authorities::due(None, &periods, now - 250 * DAY);
    let first = first.unwrap().unwrap();
    let both = Authorities::due(Some(&first), &periods, now - before);
    (first, both.unwrap().unwrap())
}

#[tokio::test]
async fn the_next_authority_is_published_before_anything_is_signed_by_it() {
    let fake = cluster();
    let (first, _) = rotation(DAY);
    apply(&fake, &first);
    let running = Running::start_with(&fake, Some(remote())).await;
    let address = running.remote.unwrap();
    let believed = published(&fake, 2).await;

    // Whoever knows the first alone still believes the control plane, and its own is believed.
    let old = first.believed().unwrap();
    assert!(believed.contains(&old[0]));
    let stranger = connect(address, None, &old).await.unwrap();
    let own = ask(stranger, "right").await.unwrap();
    let known = connect(address, Some(own), &old).await.unwrap();
    greet(known).await.unwrap();
    running.end().await;
}

#[tokio::test]
async fn certificates_of_the_authority_before_are_believed_when_the_next_signs() {
    let fake = cluster();
    let (first, both) = rotation(2 * DAY);
    apply(&fake, &both);
    let account: NamespacedName = ACCOUNT.parse().unwrap();
    let (key, request) = request();
    let signed = first.sign(&request, &account, DAY, SystemTime::now());
    let old = pair(&key, vec![signed.unwrap()]);

    let running = Running::start_with(&fake, Some(remote())).await;
    let address = running.remote.unwrap();
    let secret = stored("Secret");
    fake.until("the next to sign", || {
        let secret = fake.get(&secret)?;
        secret["data"]["previous.crt"].as_str().map(|_| ())
    })
    .await;
    let believed = published(&fake, 2).await;
    let of_first = &first.believed().unwrap()[0];
    let next: Vec<_> = believed.into_iter().filter(|one| one != of_first).collect();
    assert_eq!(next.len(), 1);

    // The control plane's own is by the next; the data plane's is still by the one before.
    let known = until_believed(address, &old, &next).await;
    greet(known).await.unwrap();
    running.end().await;
}

/// The control plane's own certificate follows the Secret a moment later.
async fn until_believed(
    address: SocketAddr,
    own: &Pair,
    authorities: &[CertificateDer<'static>],
) -> Channel {
    let tried = async {
        loop {
            match connect(address, Some(own.clone()), authorities).await {
                Ok(channel) => return channel,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let tried = tokio::time::timeout(Duration::from_secs(20), tried).await;
    tried.unwrap()
}
