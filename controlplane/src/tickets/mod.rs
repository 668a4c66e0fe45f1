//! Keys of session tickets that all data planes have in common, so that a session goes on at whichever its
//! client comes to, and after a restart.
//!
//! [`keys`] is their text, [`mod@file`] follows the file that they are in; in a cluster [`keep`] keeps them in a
//! Secret, and [`rotation`] says when they are others. Making tickets is the data planes'
//! affair.

pub mod file;
pub mod keep;
pub mod keys;
pub mod rotation;

use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;
use ringgate_core::ir::Object;
use thiserror::Error;
use tokio::sync::watch;

use self::file::TicketFileError;
use self::keep::TicketKeeper;
use crate::issue::NamespacedName;

/// As they are part of a snapshot; None: data planes make their own.
pub type Known = watch::Receiver<Option<Arc<Object>>>;

/// Where they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TicketSource {
    /// Nowhere: each data plane makes its own.
    #[default]
    None,
    File(PathBuf),
    /// Kept by the leader, in a cluster.
    Secret(NamespacedName),
}

#[derive(Debug, Error)]
pub enum TicketError {
    #[error("--ticket-keys {0}")]
    File(#[from] TicketFileError),
    #[error("--ticket-secret names a Secret, and there is no cluster: give --ticket-keys FILE")]
    NoCluster,
}

/// Begins to follow them; who keeps them has to be started. `client`: of the cluster, if there is one.
pub(crate) fn open(
    source: TicketSource,
    client: Option<&Client>,
) -> Result<(Known, Option<TicketKeeper>), TicketError> {
    match (source, client) {
        (TicketSource::None, _) => Ok((watch::channel(None).1, None)),
        (TicketSource::File(path), _) => Ok((file::follow(path)?, None)),
        (TicketSource::Secret(name), Some(client)) => {
            let (known, seen) = watch::channel(None);
            Ok((seen, Some(TicketKeeper::new(client, name, known))))
        }
        (TicketSource::Secret(_), None) => Err(TicketError::NoCluster),
    }
}
