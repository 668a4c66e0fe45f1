//! A call that writes into the cluster: of which kind and version, for how long, and why it failed.
//! What is written, and when again, is for who calls.

use kube::api::Api;
use kube::discovery::ApiResource;
use kube::{Client, Error as ClientError};
use thiserror::Error;

use super::follow::find;
use super::raw::Raw;
use crate::api::{ObjectKey, ObjectKind};
use crate::error::chain;
use crate::limits::API_CALL;

#[derive(Debug, Error)]
pub(crate) enum CallError {
    #[error("the cluster doesn't serve this kind")]
    NoKind,
    #[error("no answer within {API_CALL:?}")]
    Late,
    #[error("{}", chain(.0))]
    Client(#[from] ClientError),
}

impl CallError {
    /// Whether our role doesn't allow it.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Client(ClientError::Api(status)) if status.code == 403)
    }
}

/// The version of a kind that the cluster serves.
pub(crate) async fn served(client: &Client, kind: ObjectKind) -> Result<ApiResource, CallError> {
    find(client, kind).await?.ok_or(CallError::NoKind)
}

/// Where the object is read and written.
pub(crate) fn api_of(client: &Client, key: &ObjectKey, resource: &ApiResource) -> Api<Raw> {
    if key.kind.is_namespaced() {
        Api::namespaced_with(client.clone(), &key.name.namespace, resource)
    } else {
        Api::all_with(client.clone(), resource)
    }
}

/// One that hangs must not hold others up.
pub(crate) async fn in_time<T>(
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let answer = tokio::time::timeout(API_CALL, call).await;
    answer.unwrap_or(Err(CallError::Late))
}
