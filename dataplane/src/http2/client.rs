//! HTTP/2 towards backends: an endpoint's connections, which all requests of the shard share. Owns how many
//! streams a connection carries, and when it is no longer used; which endpoint is `upstream::pool`'s choice.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use ringgate_core::ir::Id;

use super::bridge::Bridge;
use super::wire::{Line, Shared, Wire};
use crate::limits;
use crate::shard::Shard;
use crate::shard::timer::{Millis, Watched};
use crate::sys::io::{sleep, spawn};
use crate::transport::Transport;

/// A connection to a backend that carries streams.
pub(crate) struct Session {
    /// None: it is given up, and ends with its last stream.
    send: RefCell<Option<SendRequest<Bytes>>>,
    scheme: &'static str,
    /// The certificate that was shown: whom the backend takes us for.
    identity: Option<Id>,
    streams: Cell<u32>,
    /// Its settings have come.
    is_known: Cell<bool>,
    /// When it was used last.
    since: Cell<Millis>,
}

/// A stream's place on its connection.
pub(crate) struct Place {
    session: Rc<Session>,
    shard: &'static Shard,
}

impl Drop for Place {
    fn drop(&mut self) {
        let session = &self.session;
        session.streams.set(session.streams.get() - 1);
        session.since.set(self.shard.deadlines.now());
    }
}

impl Session {
    /// Whether another stream may be opened on it for requests that show this certificate.
    fn has_room(&self, identity: Option<&Id>) -> bool {
        let mut send = self.send.borrow_mut();
        let Some(sender) = &mut *send else {
            return false;
        };
        // It has failed, or the backend has said that it will end it.
        let ready = sender.poll_ready(&mut Context::from_waker(Waker::noop()));
        if matches!(ready, Poll::Ready(Err(_))) {
            *send = None;
            return false;
        }
        let streams = usize::try_from(self.streams.get()).unwrap_or(usize::MAX);
        let most = sender.current_max_send_streams();
        self.identity.as_ref() == identity
            && matches!(ready, Poll::Ready(Ok(())))
            && streams < most.min(limits::H2_UPSTREAM_STREAMS)
    }

    fn is_over(&self) -> bool {
        self.send.borrow().is_none()
    }

    fn give_up(&self) {
        self.send.take();
    }
}

/// All connections of HTTP/2 to one endpoint.
#[derive(Default)]
pub(crate) struct Sessions {
    open: RefCell<Vec<Rc<Session>>>,
    opening: Rc<Opening>,
    /// How many streams the endpoint took at a time when it was asked last.
    expected: Cell<Option<usize>>,
}

/// What requests know of a connection that they wait for.
#[derive(Default)]
struct Opening {
    /// There is one: it is being opened, or hasn't said how many streams it takes.
    is_connecting: Cell<bool>,
    has_failed: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

/// As long as one is being opened.
pub(crate) struct Connecting(Rc<Opening>);

impl Connecting {
    fn succeed(&self) {
        self.0.has_failed.set(false);
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.is_connecting.set(false);
        self.0.waiting.take().into_iter().for_each(Waker::wake);
    }
}

impl Sessions {
    /// A stream on a connection that has room for it. Whether others used the connection before comes with it.
    pub(crate) fn stream(
        &self,
        shard: &'static Shard,
        identity: Option<&Id>,
    ) -> Option<(Rc<Bridge>, Place)> {
        let mut open = self.open.borrow_mut();
        open.retain(|session| !session.is_over());
        let session = open.iter().find(|session| session.has_room(identity))?;
        let send = session.send.borrow().clone()?;
        if session.is_known.get() {
            self.expected.set(Some(send.current_max_send_streams()));
        }
        session.streams.set(session.streams.get() + 1);
        let place = Place {
            session: session.clone(),
            shard,
        };
        Some((Rc::new(Bridge::client(send, session.scheme)), place))
    }

    /// Whoever gets this is to open a connection; others wait for that.
    pub(crate) fn begin(&self) -> Option<Connecting> {
        let is_free = !self.opening.is_connecting.replace(true);
        is_free.then(|| {
            self.opening.has_failed.set(true);
            Connecting(self.opening.clone())
        })
    }

    /// Until the connection that is being opened is there; an error if it isn't going to be.
    pub(crate) async fn wait(&self) -> io::Result<()> {
        let opening = &self.opening;
        poll_fn(|context| {
            if !opening.is_connecting.get() {
                return Poll::Ready(());
            }
            opening.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
        match opening.has_failed.get() {
            true => Err(io::Error::other("the connection that it waited for failed")),
            false => Ok(()),
        }
    }

    /// Speaks HTTP/2 on a new connection. `counted` lives as long as the connection does.
    pub(crate) async fn open(
        &self,
        shard: &'static Shard,
        (transport, watch): (Transport, Watched),
        (scheme, identity): (&'static str, Option<Id>),
        connecting: Connecting,
        counted: impl Sized + 'static,
    ) -> io::Result<()> {
        // A client's preface is ours to send: frames come at once.
        let shared = Shared::new(shard, None, 0);
        // Until its settings have come, it is taken for what it was before; one that is new gets one stream, lest
        // it refuses the others, which wait.
        let expected = self.expected.get();
        let mut builder = builder();
        builder.initial_max_send_streams(expected.unwrap_or(1));
        let handshake = builder.handshake::<_, Bytes>(Wire(shared.clone()));
        // Nothing is waited for in it.
        let (send, connection) = handshake.await.map_err(io::Error::other)?;
        let session = Rc::new(Session {
            send: RefCell::new(Some(send)),
            scheme,
            identity,
            streams: Cell::new(0),
            is_known: Cell::new(false),
            since: Cell::new(shard.deadlines.now()),
        });
        self.open.borrow_mut().push(session.clone());
        let mut awaited = match expected {
            Some(_) => {
                connecting.succeed();
                None
            }
            None => Some(Awaited::new(connecting)),
        };
        spawn(async move {
            let line = Line {
                transport: &transport,
                watch: &watch,
                idle: limits::H2_UPSTREAM_WRITE,
            };
            let is_busy = || session.streams.get() > 0;
            let mut connection = pin!(connection);
            let library = pin!(poll_fn(|context| {
                let ended = connection.as_mut().poll(context);
                session.is_known.set(shared.has_heard());
                awaited.take_if(|awaited| awaited.is_over(context, shared.has_heard()));
                ended
            }));
            let ended = shared.run(line, is_busy, library).await;
            if let Err(error) = ended {
                tracing::debug!(%error, "a backend's connection has ended");
            }
            session.give_up();
            drop(counted);
        });
        Ok(())
    }

    /// Ends connections that were idle for too long.
    pub(crate) fn prune(&self, now: Millis, keep: Millis) {
        self.open.borrow_mut().retain(|session| {
            let is_fresh = now.saturating_sub(session.since.get()) < keep;
            !session.is_over() && (is_fresh || session.streams.get() > 0)
        });
    }

    /// No request is sent on them any more; those under way are completed.
    pub(crate) fn end(&self) {
        for session in self.open.take() {
            session.give_up();
        }
    }

    pub(crate) fn idle(&self) -> usize {
        let open = self.open.borrow();
        let idle = open.iter().filter(|session| session.streams.get() == 0);
        idle.count()
    }
}

/// Reads what is left of an answer whose length said that it was over: the frame that ends the stream, which
/// would be reset otherwise.
pub(crate) fn finish(bridge: &Bridge, place: Place) {
    let Some(mut rest) = bridge.rest() else {
        return;
    };
    spawn(async move {
        let wait = Duration::from_millis(limits::LINGER_MS);
        let mut sleep = pin!(sleep(wait));
        poll_fn(|context| {
            while let Poll::Ready(come) = rest.poll_data(context) {
                if !matches!(come, Some(Ok(bytes)) if bytes.is_empty()) {
                    return Poll::Ready(());
                }
            }
            sleep.as_mut().poll(context)
        })
        .await;
        drop(place);
    });
}

/// A new connection's word about how many streams it takes, while other requests wait for that.
struct Awaited {
    connecting: Connecting,
    patience: Pin<Box<dyn Future<Output = ()>>>,
}

impl Awaited {
    fn new(connecting: Connecting) -> Self {
        Self {
            connecting,
            patience: Box::pin(sleep(limits::H2_UPSTREAM_SETTINGS)),
        }
    }

    fn is_over(&mut self, context: &mut Context<'_>, has_heard: bool) -> bool {
        let is_over = has_heard || self.patience.as_mut().poll(context).is_ready();
        if is_over {
            self.connecting.succeed();
        }
        is_over
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(limits::H2_STREAM_WINDOW)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW)
        .max_header_list_size(limits::RESPONSE_HEAD.header_bytes)
        .max_send_buffer_size(limits::H2_SEND_BYTES);
    builder
}
