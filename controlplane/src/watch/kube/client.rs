//! Which cluster, and as whom: a kubeconfig, or the ServiceAccount of the Pod that this runs in.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use thiserror::Error;

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
    #[error("can't use the kubeconfig {path}: {source}")]
    Kubeconfig {
        path: PathBuf,
        source: KubeconfigError,
    },
    #[error("can't use this Pod's ServiceAccount: {0}; is its token mounted?")]
    Pod(#[from] InClusterError),
    #[error("can't make a client for the API server: {0}")]
    Client(#[from] kube::Error),
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
        Cluster::Kubeconfig(path) => {
            read(path).await.map_err(|source| ClientError::Kubeconfig {
                path: path.clone(),
                source,
            })?
        }
        Cluster::Pod => Config::incluster()?,
        Cluster::Client(client) => return Ok(client.clone()),
    };
    config.connect_timeout = Some(API_CONNECT);
    // A watch that says nothing for longer than it lasts has lost its server.
    config.read_timeout = Some(Duration::from_secs(u64::from(WATCH_SECONDS)) + API_CONNECT);
    Ok(Client::try_from(config)?)
}

async fn read(path: &Path) -> Result<Config, KubeconfigError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await
}
