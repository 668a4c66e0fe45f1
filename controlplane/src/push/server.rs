//! The push service, on every door that data planes come by. One [`Conversation`] for each.
//!
//! What shall be in force comes in by a watch channel, what data planes say goes out as
//! [`PeerEvent`]s; nothing is kept here.
//!
//! [`Conversation`]: super::conversation

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use ringgate_core::ir::Version;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tonic::transport::Server;

use super::conversation::{Leader, Room, Snapshots};
use super::remote::Remote;
use super::service::certificates_server::CertificatesServer;
use super::service::snapshots_server::SnapshotsServer;
use super::session::Heard;
use super::socket::Socket;
use super::wanted::Wanted;
use crate::issue::service::Issuer;
use crate::limits::{HELLO_BYTES, ISSUE_BYTES, PEER_SILENCE};

/// A data plane's connection; a number that is never used again.
pub type PeerId = u64;

/// What happened with a data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    Heard(PeerId, Heard),
    Sent {
        peer: PeerId,
        version: Version,
        bytes: usize,
    },
    Gone(PeerId),
}

#[derive(Debug, Error)]
pub enum ServerError {
    #[error("another control plane serves on {path}: stop it, or give this one another --socket")]
    InUse { path: PathBuf },
    #[error(
        "the socket's path {path} has {length} bytes, the kernel takes 107: give a shorter --socket"
    )]
    TooLong { path: PathBuf, length: usize },
    #[error("can't listen on {path}: {source}")]
    Bind { path: PathBuf, source: io::Error },
    #[error(
        "can't listen on --listen {address}: {source}; stop who listens there, or give another address"
    )]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("the push service ended: {0}")]
    Serve(#[from] tonic::transport::Error),
}

/// Where data planes come in.
#[derive(Debug)]
pub struct Doors {
    pub socket: Option<Socket>,
    pub remote: Option<Remote>,
    /// Who gives data planes that come by `remote` their certificates, if someone does.
    pub issuer: Option<Issuer>,
}

/// What data planes are told, and who hears of them.
#[derive(Clone, Debug)]
pub struct Ends {
    /// `None`: nothing is known yet, so nothing is sent, and data planes keep what they have.
    pub wanted: watch::Receiver<Option<Arc<Wanted>>>,
    pub leader: watch::Receiver<Leader>,
    pub events: mpsc::Sender<PeerEvent>,
}

/// Serves data planes until `stop` resolves.
///
/// # Errors
/// When the transport fails.
pub async fn serve(
    doors: Doors,
    ends: Ends,
    stop: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let room = Arc::new(Room::new(ends));
    let stop = stop.shared();
    let local = async {
        match doors.socket {
            Some(socket) => serve_socket(socket, room.clone(), stop.clone()).await,
            None => Ok(()),
        }
    };
    let distant = async {
        match doors.remote {
            Some(remote) => serve_remote(remote, doors.issuer, room.clone(), stop.clone()).await,
            None => Ok(()),
        }
    };
    tokio::try_join!(local, distant).map(|((), ())| ())
}

async fn serve_socket(
    socket: Socket,
    room: Arc<Room>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let (connections, _file) = socket.into_parts();
    server()
        .add_service(snapshots(Snapshots::local(room)))
        .serve_with_incoming_shutdown(connections, stop)
        .await?;
    Ok(())
}

async fn serve_remote(
    remote: Remote,
    issuer: Option<Issuer>,
    room: Arc<Room>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let issuer =
        issuer.map(|issuer| CertificatesServer::new(issuer).max_decoding_message_size(ISSUE_BYTES));
    server()
        .add_service(snapshots(Snapshots::remote(room)))
        .add_optional_service(issuer)
        .serve_with_incoming_shutdown(remote.connections(), stop)
        .await?;
    Ok(())
}

fn snapshots(service: Snapshots) -> SnapshotsServer<Snapshots> {
    SnapshotsServer::new(service).max_decoding_message_size(HELLO_BYTES)
}

/// Who is silent on both questions has gone.
fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(PEER_SILENCE))
        .http2_keepalive_timeout(Some(PEER_SILENCE))
}
