//! Connections of data planes of other machines: TCP, TLS, and how many of them there may be. Whose
//! certificates count is [`certificates`](super::certificates)' business.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use super::server::ServerError;
use crate::limits::{DATA_PLANES, HANDSHAKE, STRANGER_LIFE, STRANGERS};

/// What a TLS server needs, as it is now; None: it isn't known yet, connections wait.
pub type Tls = watch::Receiver<Option<Arc<ServerConfig>>>;

/// An address that is listened on.
#[derive(Debug)]
pub struct Remote {
    listener: TcpListener,
    tls: Tls,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Caller {
    pub address: SocketAddr,
    /// It showed a certificate by one of our authorities.
    pub is_certified: bool,
}

impl Remote {
    /// # Errors
    /// When the address can't be had.
    pub async fn bind(address: SocketAddr, tls: Tls) -> Result<Self, ServerError> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| ServerError::Listen { address, source })?;
        Ok(Self { listener, tls })
    }

    /// Where it listens, the port chosen.
    ///
    /// # Errors
    /// When the kernel doesn't tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Those whose handshake is done. Taking them ends with the stream.
    pub(super) fn connections(self) -> ReceiverStream<io::Result<Connection>> {
        let (done, connections) = mpsc::channel(1);
        let entrance = Entrance {
            tls: self.tls,
            done,
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            // Twice, for a data plane that comes again before its old connection is known to be dead.
            known: Arc::new(Semaphore::new(2 * DATA_PLANES)),
            told: Told::default(),
        };
        tokio::spawn(entrance.take(self.listener));
        ReceiverStream::new(connections)
    }
}

struct Entrance {
    tls: Tls,
    done: mpsc::Sender<io::Result<Connection>>,
    /// Places for those that have no certificate, or haven't shown it yet.
    strangers: Arc<Semaphore>,
    known: Arc<Semaphore>,
    told: Told,
}

/// Between two attempts to accept, where the kernel had no descriptor or memory for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Entrance {
    async fn take(mut self, listener: TcpListener) {
        let done = self.done.clone();
        tokio::select! {
            () = self.take_all(&listener) => {}
            () = done.closed() => {}
        }
    }

    async fn take_all(&mut self, listener: &TcpListener) {
        while self.tls.wait_for(Option::is_some).await.is_ok() {
            match listener.accept().await {
                Ok((stream, address)) => self.greet(stream, address),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    warn!("no data plane can come in just now: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn greet(&mut self, stream: TcpStream, address: SocketAddr) {
        let Some(tls) = self.tls.borrow().clone() else {
            return;
        };
        let Ok(place) = self.strangers.clone().try_acquire_owned() else {
            self.told.tell(address, "too many come at once");
            return;
        };
        let (done, known, mut told) = (self.done.clone(), self.known.clone(), self.told.clone());
        tokio::spawn(async move {
            match shake_hands(stream, address, tls, place, &known).await {
                Ok(connection) => drop(done.send(Ok(connection)).await),
                Err(error) => told.tell(address, &error.to_string()),
            }
        });
    }
}

async fn shake_hands(
    stream: TcpStream,
    address: SocketAddr,
    tls: Arc<ServerConfig>,
    place: OwnedSemaphorePermit,
    known: &Arc<Semaphore>,
) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let shaken = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(stream)).await;
    let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let is_certified = stream.get_ref().1.peer_certificates().is_some();
    let (place, ends) = if is_certified {
        let place = known.clone().try_acquire_owned();
        (place.map_err(io::Error::other)?, None)
    } else {
        let ends = tokio::time::sleep(STRANGER_LIFE);
        (place, Some(Box::pin(ends)))
    };
    Ok(Connection {
        stream,
        caller: Caller {
            address,
            is_certified,
        },
        ends,
        _place: place,
    })
}

/// Tells of callers that were sent away, but not of each: they may be many.
#[derive(Clone, Default)]
struct Told {
    last: Arc<std::sync::Mutex<Option<Instant>>>,
}

/// So many seconds pass between two warnings of this kind.
const TELL_AGAIN: Duration = Duration::from_secs(5);

impl Told {
    fn tell(&mut self, address: SocketAddr, why: &str) {
        let now = Instant::now();
        let is_due = self.last.lock().is_ok_and(|mut last| {
            let is_due = last.is_none_or(|last| now.duration_since(last) >= TELL_AGAIN);
            if is_due {
                *last = Some(now);
            }
            is_due
        });
        if is_due {
            warn!("{address} didn't get in: {why}");
        } else {
            debug!("{address} didn't get in: {why}");
        }
    }
}

/// One connection, its handshake done.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    caller: Caller,
    /// A stranger has a moment, to ask for a certificate.
    ends: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(ends) = &mut self.ends
            && ends.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
