//! HTTP/2 towards backends: an endpoint's connections, which all requests of the shard share. Owns how many
//! streams a connection carries, and when it is no longer used; which endpoint is `upstream::pool`'s choice.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ringgate_core::http2::{Config, Key, Request, Role};
use ringgate_core::ir::Id;

use super::bridge::Bridge;
use super::link::{Line, Link, User, Why};
use crate::limits;
use crate::shard::Shard;
use crate::shard::timer::{Millis, Watched};
use crate::sys::buffer::Buffer;
use crate::sys::io::{sleep, spawn};
use crate::transport::Transport;

/// A connection to a backend that carries streams.
pub(crate) struct Session {
    link: Rc<Link>,
    /// It ends with its last stream.
    is_given_up: Cell<bool>,
    scheme: &'static str,
    /// The certificate that was shown: whom the backend takes us for.
    identity: Option<Id>,
    streams: Cell<u32>,
    /// When it was used last.
    since: Cell<Millis>,
}

/// A stream's place on its connection.
pub(crate) struct Place {
    session: Rc<Session>,
    shard: &'static Shard,
}

impl Place {
    pub(crate) fn shard(&self) -> &'static Shard {
        self.shard
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let session = &self.session;
        let streams = session.streams.get() - 1;
        session.streams.set(streams);
        session.since.set(self.shard.deadlines.now());
        if streams == 0 {
            session.link.wake();
        }
    }
}

impl Session {
    /// Whether another stream may be opened on it for requests that show this certificate.
    fn has_room(&self, identity: Option<&Id>) -> bool {
        self.identity.as_ref() == identity
            && !self.is_over()
            && self.streams.get() < self.most().min(limits::H2_UPSTREAM_STREAMS)
    }

    /// How many streams the backend takes at a time.
    fn most(&self) -> u32 {
        self.link.peek(|core| core.peer_streams())
    }

    fn is_known(&self) -> bool {
        self.link.peek(|core| core.has_settings())
    }

    /// No other stream is opened on it: it was given up, has failed, or the backend has said that it will end it.
    fn is_over(&self) -> bool {
        self.is_given_up.get() || self.link.is_over() || !self.link.peek(|core| core.is_usable())
    }

    fn give_up(&self) {
        self.is_given_up.set(true);
        self.link.wake();
    }
}

/// All connections of HTTP/2 to one endpoint.
#[derive(Default)]
pub(crate) struct Sessions {
    open: RefCell<Vec<Rc<Session>>>,
    opening: Rc<Opening>,
    /// How many streams the endpoint took at a time when it was asked last.
    expected: Cell<Option<u32>>,
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
        if session.is_known() {
            self.expected.set(Some(session.most()));
        }
        session.streams.set(session.streams.get() + 1);
        let place = Place {
            session: session.clone(),
            shard,
        };
        Some((Bridge::client(session.link.clone(), session.scheme), place))
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
    pub(crate) fn open(
        &self,
        shard: &'static Shard,
        (transport, watch): (Transport, Watched),
        (scheme, identity): (&'static str, Option<Id>),
        connecting: Connecting,
        counted: impl Sized + 'static,
    ) {
        // Until its settings have come, it is taken for what it was before; one that is new gets one stream, lest
        // it refuses the others, which wait.
        let expected = self.expected.get();
        let session = Rc::new(Session {
            link: Link::new(shard, config(expected.unwrap_or(1))),
            is_given_up: Cell::default(),
            scheme,
            identity,
            streams: Cell::new(0),
            since: Cell::new(shard.deadlines.now()),
        });
        self.open.borrow_mut().push(session.clone());
        let awaited = match expected {
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
            let asking = Asking {
                session: &session,
                awaited: RefCell::new(awaited),
            };
            let link = session.link.clone();
            link.run(line, &asking, Buffer::default()).await;
            drop(asking);
            session.give_up();
            drop(counted);
        });
    }

    /// Ends connections that were idle for too long.
    pub(crate) fn prune(&self, now: Millis, keep: Millis) {
        self.open.borrow_mut().retain(|session| {
            let is_fresh = now.saturating_sub(session.since.get()) < keep;
            let is_kept = !session.is_over() && (is_fresh || session.streams.get() > 0);
            if !is_kept {
                session.give_up();
            }
            is_kept
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

/// The task of a backend's connection.
struct Asking<'s> {
    session: &'s Session,
    /// Until the backend has said how many streams it takes.
    awaited: RefCell<Option<Awaited>>,
}

impl User for Asking<'_> {
    fn request(&self, _: Key, _: Request, _: &[u8]) {
        // Backends open no streams: that is an error of the connection already.
    }

    fn turn(&self, context: &mut Context<'_>) {
        let link = &self.session.link;
        if let Some(why) = link.take_failure() {
            let why = match why {
                Why::Flood(flood) => flood.name(),
                Why::Error(reason) => reason.name(),
            };
            tracing::debug!(why, "a backend's connection is ended");
        }
        let has_heard = self.session.is_known();
        let mut awaited = self.awaited.borrow_mut();
        awaited.take_if(|awaited| awaited.is_over(context, has_heard));
        if self.session.is_over() && self.session.streams.get() == 0 && !link.is_over() {
            link.core().close();
            link.end();
        }
    }

    fn is_busy(&self) -> bool {
        self.session.streams.get() > 0
    }
}

/// Waits for what is left of an answer whose length said that it was over: the frame that ends the stream, which
/// would be reset otherwise.
pub(crate) fn finish(bridge: Rc<Bridge>, place: Place) {
    if bridge.has_ended() {
        return;
    }
    spawn(async move {
        let wait = Duration::from_millis(limits::LINGER_MS);
        let mut sleep = pin!(sleep(wait));
        poll_fn(|context| match bridge.poll_end(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => sleep.as_mut().poll(context),
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

fn config(streams: u32) -> Config {
    Config {
        role: Role::Client,
        streams,
        stream_window: limits::H2_STREAM_WINDOW,
        // Other clients' streams must not wait for those whose clients read slowly.
        connection_window: limits::H2_UPSTREAM_STREAMS * limits::H2_STREAM_WINDOW,
        head: limits::RESPONSE_HEAD,
    }
}
