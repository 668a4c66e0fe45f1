//! The push service on a Unix socket: one [`Session`] for each data plane that is connected.
//!
//! What shall be in force comes in by a watch channel, what data planes say goes out as
//! [`PeerEvent`]s; nothing is kept here.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prost::Message as _;
use ringgate_core::ir::Version;
use ringgate_core::wire::proto::{self, controlplane_message::Message};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};
use tracing::warn;

use super::service::snapshots_server::{Snapshots, SnapshotsServer};
use super::session::{Heard, Session};
use super::wanted::Wanted;
use crate::limits::{DATA_PLANES, HELLO_BYTES};

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
    #[error("the push service ended: {0}")]
    Serve(#[from] tonic::transport::Error),
}

/// A socket that only its owner may use, and that goes with this value.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Listens on `path`, in place of a socket that nobody serves any more. It is never there with
    /// more rights than it shall have: it is made beside, and renamed.
    ///
    /// # Errors
    /// When another process serves on it, or it can't be made.
    pub async fn bind(path: &Path) -> Result<Self, ServerError> {
        let length = path.as_os_str().len();
        if length > 107 {
            let path = path.to_owned();
            return Err(ServerError::TooLong { path, length });
        }
        if UnixStream::connect(path).await.is_ok() {
            let path = path.to_owned();
            return Err(ServerError::InUse { path });
        }
        Self::replace(path).map_err(|source| ServerError::Bind {
            path: path.to_owned(),
            source,
        })
    }

    fn replace(path: &Path) -> io::Result<Self> {
        let beside = path.with_extension("new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&beside)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
        let inode = fs::symlink_metadata(&beside)?.ino();
        fs::rename(&beside, path)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            inode,
        })
    }
}

/// Removes the socket's file, unless another process put its own in place meanwhile.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode);
        if ours {
            // It is stale in either case, and the next one replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Serves data planes until `stop` resolves. `None` in `wanted`: nothing is known yet, so nothing is
/// sent, and data planes keep what they have.
///
/// # Errors
/// When the transport fails.
pub async fn serve(
    socket: Socket,
    wanted: watch::Receiver<Option<Arc<Wanted>>>,
    leader: watch::Receiver<Leader>,
    events: mpsc::Sender<PeerEvent>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let _file = SocketFile {
        path: socket.path,
        inode: socket.inode,
    };
    let service = SnapshotsServer::new(Service {
        wanted,
        leader,
        events,
        peers: AtomicU64::new(0),
        places: Arc::new(tokio::sync::Semaphore::new(DATA_PLANES)),
    })
    .max_decoding_message_size(HELLO_BYTES);
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .add_service(service)
        .serve_with_incoming_shutdown(UnixListenerStream::new(socket.listener), stop)
        .await?;
    Ok(())
}

struct Service {
    wanted: watch::Receiver<Option<Arc<Wanted>>>,
    leader: watch::Receiver<Leader>,
    events: mpsc::Sender<PeerEvent>,
    peers: AtomicU64,
    places: Arc<tokio::sync::Semaphore>,
}

/// The control plane that data planes have to go to, if it is another one.
pub type Leader = Option<Arc<str>>;

/// Names who leads, in the message and as metadata.
fn elsewhere(leader: &str) -> Status {
    let mut status = Status::failed_precondition(format!("{leader} leads, ask there"));
    if let Ok(value) = leader.parse() {
        status.metadata_mut().insert("ringgate-leader", value);
    }
    status
}

type Outbound = Result<proto::ControlplaneMessage, Status>;

#[tonic::async_trait]
impl Snapshots for Service {
    type StreamStream = ReceiverStream<Outbound>;

    async fn stream(
        &self,
        request: Request<Streaming<proto::DataplaneMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        if let Some(leader) = &*self.leader.borrow() {
            return Err(elsewhere(leader));
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!(
                "{DATA_PLANES} data planes are connected already"
            )));
        };
        // One part on its way, one in preparation: more would only sit in memory.
        let (outbound, stream) = mpsc::channel(1);
        let conversation = Conversation {
            peer: self.peers.fetch_add(1, Ordering::Relaxed),
            inbound: request.into_inner(),
            outbound,
            wanted: self.wanted.clone(),
            leader: self.leader.clone(),
            events: self.events.clone(),
            session: Session::default(),
        };
        tokio::spawn(async move {
            conversation.go_on().await;
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

struct Conversation {
    peer: PeerId,
    inbound: Streaming<proto::DataplaneMessage>,
    outbound: mpsc::Sender<Outbound>,
    wanted: watch::Receiver<Option<Arc<Wanted>>>,
    leader: watch::Receiver<Leader>,
    events: mpsc::Sender<PeerEvent>,
    session: Session,
}

/// Why a conversation ends.
enum End {
    /// The data plane or this process goes.
    Closed,
    Refused(Status),
}

impl Conversation {
    async fn go_on(mut self) {
        let end = loop {
            if let Err(end) = self.turn().await {
                break end;
            }
        };
        if let End::Refused(status) = end {
            warn!(
                peer = self.peer,
                "a data plane's stream is ended: {}",
                status.message()
            );
            // Nobody listens if the data plane has gone meanwhile.
            let _ = self.outbound.send(Err(status)).await;
        }
        let _ = self.events.send(PeerEvent::Gone(self.peer)).await;
    }

    /// Takes one message or one new version, and sends what follows from it.
    async fn turn(&mut self) -> Result<(), End> {
        tokio::select! {
            message = self.inbound.message() => match message {
                Ok(Some(message)) => self.hear(message).await?,
                Ok(None) | Err(_) => return Err(End::Closed),
            },
            changed = self.wanted.changed() => changed.map_err(|_| End::Closed)?,
            Ok(()) = self.leader.changed() => {}
        }
        if let Some(leader) = &*self.leader.borrow_and_update() {
            return Err(End::Refused(elsewhere(leader)));
        }
        let wanted = self.wanted.borrow_and_update().clone();
        match wanted {
            Some(wanted) => self.tell(&wanted).await,
            None => Ok(()),
        }
    }

    async fn hear(&mut self, message: proto::DataplaneMessage) -> Result<(), End> {
        let heard = self
            .session
            .receive(message, Instant::now())
            .map_err(|error| End::Refused(Status::invalid_argument(error.to_string())))?;
        self.report(PeerEvent::Heard(self.peer, heard)).await
    }

    async fn tell(&mut self, wanted: &Arc<Wanted>) -> Result<(), End> {
        let updates = self.session.advance(wanted, Instant::now());
        if updates.is_empty() {
            return Ok(());
        }
        let bytes = updates.iter().map(proto::Update::encoded_len).sum();
        for update in updates {
            let message = proto::ControlplaneMessage {
                message: Some(Message::Update(update)),
            };
            self.outbound
                .send(Ok(message))
                .await
                .map_err(|_| End::Closed)?;
        }
        self.report(PeerEvent::Sent {
            peer: self.peer,
            version: wanted.version,
            bytes,
        })
        .await
    }

    async fn report(&self, event: PeerEvent) -> Result<(), End> {
        self.events.send(event).await.map_err(|_| End::Closed)
    }
}
