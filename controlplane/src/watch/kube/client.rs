//! Which cluster, and as whom: a kubeconfig, or the ServiceAccount of the Pod that this runs in.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use thiserror::Error;

use crate::error::chain;
use crate::limits::{API_CONNECT, WATCH_SECONDS};

/// Where the API server is told.
#[derive(Clone)]
pub enum Cluster {
    Kubeconfig(PathBuf),
    /// The Pod's environment and ServiceAccount.
    Pod,
    /// Someone else knows.
    Client(Client),
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubeconfig(path) => f.debug_tuple("Kubeconfig").field(path).finish(),
            Self::Pod => f.write_str("Pod"),
            Self::Client(_) => f.write_str("Client"),
        }
    }
}

#[derive(Debug, Error)]
pub enum ClientError {
    #[error("can't use the kubeconfig {path}: {}", chain(error))]
    Kubeconfig {
        path: PathBuf,
        error: KubeconfigError,
    },
    #[error(
        "can't use this Pod's ServiceAccount: {}; is its token mounted?",
        chain(error)
    )]
    Pod { error: InClusterError },
    #[error("can't make a client for the API server: {}", chain(error))]
    Client { error: kube::Error },
}

impl Cluster {
    /// Whether this process runs in a Pod that has a ServiceAccount's environment.
    #[must_use]
    pub fn is_pod() -> bool {
        std::env::var_os("KUBERNETES_SERVICE_HOST").is_some_and(|host| !host.is_empty())
    }
}

/// A client; nothing is asked yet, so the API server may be away.
///
/// # Errors
/// When the kubeconfig or the ServiceAccount can't be read.
pub async fn connect(cluster: &Cluster) -> Result<Client, ClientError> {
    let mut config = match cluster {
        Cluster::Kubeconfig(path) => read(path).await.map_err(|error| ClientError::Kubeconfig {
            path: path.clone(),
            error,
        })?,
        Cluster::Pod => Config::incluster().map_err(|error| ClientError::Pod { error })?,
        Cluster::Client(client) => return Ok(client.clone()),
    };
    config.connect_timeout = Some(API_CONNECT);
    // A watch that says nothing for longer than it lasts has lost its server.
    config.read_timeout = Some(Duration::from_secs(u64::from(WATCH_SECONDS)) + API_CONNECT);
    Client::try_from(config).map_err(|error| ClientError::Client { error })
}

async fn read(path: &Path) -> Result<Config, KubeconfigError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await
}
