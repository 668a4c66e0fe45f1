//! One data plane's stream: a [`Session`], its messages and what changes here, until one side ends it.
//! Who doesn't lead says who does.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use prost::Message as _;
use ringgate_core::wire::LEADER_METADATA;
use ringgate_core::wire::proto::{self, controlplane_message::Message};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{info, warn};

use super::remote::Caller;
use super::server::{Ends, PeerEvent, PeerId};
use super::service::snapshots_server;
use super::session::Session;
use super::wanted::Wanted;
use crate::limits::{DATA_PLANES, UNDECIDED};
use crate::wake::at;

/// The control plane that data planes have to go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leader {
    /// That isn't known yet.
    #[default]
    Unknown,
    Ours,
    Other {
        holder: Arc<str>,
        /// HOST:PORT where it serves data planes of other machines, if it does and says so.
        address: Option<Arc<str>>,
    },
}

impl Leader {
    /// What a data plane is told that came to the wrong one: in the message, and for it to follow as
    /// metadata.
    fn refusal(&self) -> Option<Status> {
        let Self::Other { holder, address } = self else {
            return None;
        };
        let mut status = Status::failed_precondition(format!("{holder} leads, ask there"));
        let address = address.as_deref().and_then(|address| address.parse().ok());
        if let Some(address) = address {
            status.metadata_mut().insert(LEADER_METADATA, address);
        }
        Some(status)
    }
}

/// What all conversations share.
pub(super) struct Room {
    ends: Ends,
    peers: AtomicU64,
    places: Arc<Semaphore>,
}

impl Room {
    pub(super) fn new(ends: Ends) -> Self {
        Self {
            ends,
            peers: AtomicU64::new(0),
            places: Arc::new(Semaphore::new(DATA_PLANES)),
        }
    }
}

/// The service on one door.
pub(super) struct Snapshots {
    room: Arc<Room>,
    /// Callers have to have shown a certificate.
    is_remote: bool,
}

impl Snapshots {
    /// Whoever may use the socket is one of us.
    pub(super) fn local(room: Arc<Room>) -> Self {
        let is_remote = false;
        Self { room, is_remote }
    }

    pub(super) fn remote(room: Arc<Room>) -> Self {
        let is_remote = true;
        Self { room, is_remote }
    }

    fn admit<T>(&self, request: &Request<T>) -> Result<Origin, Status> {
        if !self.is_remote {
            return Ok(Origin::Socket);
        }
        match request.extensions().get::<Caller>() {
            Some(caller) if caller.is_certified => Ok(Origin::Remote(caller.clone())),
            _ => Err(Status::unauthenticated(
                "a data plane has to show a certificate: give it --tls-certificate and --tls-key, or --token-file",
            )),
        }
    }
}

/// Where a data plane is, for the log.
enum Origin {
    Socket,
    Remote(Caller),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket => f.write_str("this machine"),
            Self::Remote(caller) => write!(f, "{}", caller.address),
        }
    }
}

type Outbound = Result<proto::ControlplaneMessage, Status>;

#[tonic::async_trait]
impl snapshots_server::Snapshots for Snapshots {
    type StreamStream = ReceiverStream<Outbound>;

    async fn stream(
        &self,
        request: Request<Streaming<proto::DataplaneMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let origin = self.admit(&request)?;
        let room = &self.room;
        if let Some(refusal) = room.ends.leader.borrow().refusal() {
            return Err(refusal);
        }
        let Ok(place) = room.places.clone().try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!(
                "{DATA_PLANES} data planes are connected already"
            )));
        };
        // One part on its way, one in preparation: more would only sit in memory.
        let (outbound, stream) = mpsc::channel(1);
        let conversation = Conversation {
            peer: room.peers.fetch_add(1, Ordering::Relaxed),
            inbound: request.into_inner(),
            outbound,
            ends: room.ends.clone(),
            session: Session::default(),
            undecided_until: None,
        };
        info!(peer = conversation.peer, "a data plane came from {origin}");
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
    ends: Ends,
    session: Session,
    /// Nobody is known to lead; then it is sent away, for another may know.
    undecided_until: Option<Instant>,
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
        let _ = self.ends.events.send(PeerEvent::Gone(self.peer)).await;
    }

    /// Takes one message or one new version, and sends what follows from it.
    async fn turn(&mut self) -> Result<(), End> {
        self.check_leader()?;
        tokio::select! {
            message = self.inbound.message() => match message {
                Ok(Some(message)) => self.hear(message).await?,
                Ok(None) | Err(_) => return Err(End::Closed),
            },
            changed = self.ends.wanted.changed() => changed.map_err(|_| End::Closed)?,
            Ok(()) = self.ends.leader.changed() => {}
            () = at(self.undecided_until) => {}
        }
        self.check_leader()?;
        let wanted = self.ends.wanted.borrow_and_update().clone();
        match wanted {
            Some(wanted) => self.tell(&wanted).await,
            None => Ok(()),
        }
    }

    fn check_leader(&mut self) -> Result<(), End> {
        let leader = self.ends.leader.borrow_and_update().clone();
        if let Some(refusal) = leader.refusal() {
            return Err(End::Refused(refusal));
        }
        if leader != Leader::Unknown {
            self.undecided_until = None;
            return Ok(());
        }
        let now = Instant::now();
        if *self.undecided_until.get_or_insert(now + UNDECIDED) > now {
            return Ok(());
        }
        let status =
            Status::unavailable("it isn't known here who leads, ask another control plane");
        Err(End::Refused(status))
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
        self.ends.events.send(event).await.map_err(|_| End::Closed)
    }
}
