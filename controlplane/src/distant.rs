//! Opens the door for data planes of other machines: with certificates out of files, or of our own
//! issuing. What is done there is [`push`](crate::push)'s and [`issue`](crate::issue)'s business.

use std::net::SocketAddr;

use kube::Client;
use ringgate_identity::host_port::HostPort;
use tokio::sync::watch;

use crate::issue::keep::Keeper;
use crate::issue::service::Issuer;
use crate::issue::{NamespacedName, own};
use crate::push::remote::Remote;
use crate::serve::{Certificates, RemoteConfig, ServeError};

/// What belongs to that door; without one, nothing.
#[derive(Debug, Default)]
pub(crate) struct Distant {
    pub(crate) remote: Option<Remote>,
    /// Where data planes find it.
    pub(crate) address: Option<HostPort>,
    pub(crate) issuer: Option<Issuer>,
    pub(crate) keeper: Option<Keeper>,
}

/// The Secret's and the ConfigMap's name.
const DEFAULT_STORE: &str = "ringgate-authority";

/// `client`: of the cluster, if there is one.
///
/// # Errors
/// When the address can't be had, certificates are of no use, or there is no cluster to issue in.
pub(crate) async fn open(
    config: RemoteConfig,
    client: Option<&Client>,
) -> Result<Distant, ServeError> {
    match config.certificates {
        Certificates::Files(files) => {
            let remote = Remote::bind(config.listen, files.follow()?).await?;
            Ok(Distant {
                address: config.advertise.or_else(|| reachable(&remote)),
                remote: Some(remote),
                ..Distant::default()
            })
        }
        Certificates::Issued(issue) => {
            let client = client.ok_or(ServeError::NoCluster)?;
            let (authorities, known) = watch::channel(None);
            let mut names = issue.names;
            names.extend(own_name(config.advertise.as_ref(), config.listen));
            let tls = own::follow(known.clone(), names, issue.periods);
            let remote = Remote::bind(config.listen, tls).await?;
            let store = issue.store.unwrap_or_else(|| NamespacedName {
                namespace: client.default_namespace().to_owned(),
                name: DEFAULT_STORE.to_owned(),
            });
            let issuer = Issuer::new(client.clone(), issue.accounts, issue.periods, known);
            Ok(Distant {
                address: config.advertise.or_else(|| reachable(&remote)),
                remote: Some(remote),
                issuer: Some(issuer),
                keeper: Some(Keeper::new(client, store, issue.periods, authorities)),
            })
        }
    }
}

/// What its certificate has to name besides what the command line says.
fn own_name(advertise: Option<&HostPort>, listen: SocketAddr) -> Option<String> {
    match advertise {
        Some(address) => Some(address.host().to_str().into_owned()),
        None => (!listen.ip().is_unspecified()).then(|| listen.ip().to_string()),
    }
}

/// The address that is listened on, if others can go there.
fn reachable(remote: &Remote) -> Option<HostPort> {
    let address = remote.address().ok()?;
    (!address.ip().is_unspecified()).then(|| address.into())
}
