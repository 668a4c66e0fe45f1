//! Configuration: from the control plane, or from the copy on disk, into force on every shard.

mod apply;
mod credentials;
mod last_good;
mod reach;
mod receive;

/// Generated: the clients of the services of `ringgate.proto`.
mod stubs {
    #![allow(
        clippy::all,
        clippy::allow_attributes_without_reason,
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        reason = "generated code"
    )]
    tonic::include_proto!("ringgate.v1");
}

use std::sync::Arc;
use std::time::SystemTime;

use ringgate_core::ir::{Id, Version};
use ringgate_core::table::Table;
use tokio::sync::{mpsc, oneshot, watch};

use crate::shared::health::Health;
use crate::tls;

pub(crate) use apply::Applier;
pub(crate) use credentials::Credentials;
pub use credentials::Own;
pub(crate) use last_good::LastGood;
pub(crate) use reach::Reach;
pub(crate) use receive::receive;

/// What is in force, for whoever looks inside.
#[derive(Clone, Debug, Default)]
pub(crate) struct InForce {
    pub(crate) version: Version,
    pub(crate) table: Arc<Table>,
    pub(crate) credentials: Arc<tls::credentials::Credentials>,
    pub(crate) health: Arc<Health>,
    /// What could not be carried out, with the reason.
    pub(crate) failures: Arc<Vec<(Id, String)>>,
    /// None: nothing has come into force yet.
    pub(crate) since: Option<SystemTime>,
    /// Whether the control plane is connected.
    pub(crate) is_led: bool,
    pub(crate) updates: u64,
}

/// A question for the configuration thread.
pub(crate) enum Question {
    /// Everything that is in force, as JSON.
    Dump(oneshot::Sender<String>),
}

/// The ends that the configuration thread holds.
pub(crate) struct Ends {
    pub(crate) instance: String,
    pub(crate) driver: &'static str,
    pub(crate) in_force: watch::Sender<InForce>,
    pub(crate) questions: mpsc::Receiver<Question>,
    pub(crate) draining: watch::Receiver<bool>,
}
