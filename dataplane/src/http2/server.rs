//! HTTP/2 towards the client: a connection's life, and a task for each of its requests. Owns how many run
//! at a time and when the connection ends; what happens to a request is `proxy`'s.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Request, request};
use ringgate_core::grpc::Carriage;
use ringgate_core::http1::Framing;
use ringgate_core::http2::PREFACE;
use ringgate_core::ir::ListenerSettings;

use super::bridge::Bridge;
use super::head::{self, Shape};
use super::wire::{Line, Shared, Wire};
use crate::downstream::Downstream;
use crate::downstream::h1;
use crate::downstream::reply::Reply;
use crate::limits;
use crate::shard::timer::{Action, Interrupt, NEVER, Watched};
use crate::sys::buffer::Buffer;
use crate::sys::io::spawn;
use crate::sys::socket::Shutdown;

type Incoming = (Request<RecvStream>, SendResponse<Bytes>);

/// What a connection's task and those of its streams know of each other.
#[derive(Default)]
struct Life {
    /// Streams whose task runs.
    streams: Cell<u32>,
    ending: Cell<Ending>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Ending {
    #[default]
    No,
    /// The client was idle for too long, or we are to drain.
    Asked,
    /// It was told, but doesn't answer.
    Late,
}

impl Life {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A connection that was idle for too long, or that is to drain, says so and completes what is under way.
impl Interrupt for Life {
    fn shutdown(&self, _: Shutdown) {
        self.ending.set(match self.ending.get() {
            Ending::No => Ending::Asked,
            Ending::Asked | Ending::Late => Ending::Late,
        });
        self.wake();
    }

    fn cancel_read(&self) {}
}

/// Serves requests until either side ends the connection. `begun` is what has come already.
pub(crate) async fn serve(downstream: &Downstream, begun: Buffer) {
    let shard = downstream.shard;
    let settings = h1::settings(downstream, Clone::clone);
    let shared = Shared::new(shard, Some(begun), PREFACE.len());
    let life = Rc::new(Life::default());
    let deadlines = &shard.deadlines;
    let serving = Serving {
        downstream,
        shared: &shared,
        idle: deadlines.watch_task(life.clone(), downstream.port.number),
        was_busy: Cell::new(false),
        told: Cell::default(),
        seen: Cell::new(shard.swaps()),
        life: &life,
        settings: &settings,
    };
    let line = Line {
        transport: &downstream.stream,
        watch: &downstream.watch,
        idle: settings.timeouts.idle,
    };
    let now = shard.deadlines.now();
    let until = Action::Shutdown(Shutdown::Both);
    downstream.watch.set(now, settings.timeouts.header, until);
    let is_busy = || life.streams.get() > 0;
    let library = pin!(serving.run(Wire(shared.clone())));
    shared.run(line, is_busy, library).await;
}

struct Serving<'s> {
    downstream: &'s Downstream,
    shared: &'s Shared,
    life: &'s Rc<Life>,
    /// How long the connection may be without a request.
    idle: Watched,
    was_busy: Cell<bool>,
    /// What the client was told.
    told: Cell<Ending>,
    /// The table that the listener was last looked for in.
    seen: Cell<u32>,
    settings: &'s ListenerSettings,
}

impl Serving<'_> {
    async fn run(self, wire: Wire) {
        let handshake = builder(self.settings).handshake::<_, Bytes>(wire);
        let mut connection = match handshake.await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(client = %self.downstream.client, %error, "no HTTP/2 after all");
                return;
            }
        };
        self.downstream.watch.clear();
        self.set_deadline();
        loop {
            let next = poll_fn(|context| self.poll_next(context, &mut connection));
            match next.await {
                Some(Ok(incoming)) => self.start(incoming),
                Some(Err(error)) => {
                    tracing::debug!(client = %self.downstream.client, %error, "a connection is ended");
                    if let Some(reason) = error.reason().filter(|_| error.is_library()) {
                        self.downstream.shard.counters.goaway(name(reason));
                    }
                    return;
                }
                None => return,
            }
        }
    }

    fn poll_next(
        &self,
        context: &mut Context<'_>,
        connection: &mut Connection<Wire, Bytes>,
    ) -> Poll<Option<Result<Incoming, h2::Error>>> {
        *self.life.waker.borrow_mut() = Some(context.waker().clone());
        self.look_for_listener();
        self.end(connection);
        let is_busy = self.life.streams.get() > 0;
        if is_busy != self.was_busy.replace(is_busy) {
            self.set_deadline();
        }
        // A client that takes requests back at once must not make us work on more than it may have open
        // (CVE-2023-44487): those beyond wait in the library, which has a bound for them too.
        if self.life.streams.get() < limits::H2_STREAMS {
            return connection.poll_accept(context);
        }
        connection
            .poll_closed(context)
            .map(|closed| closed.err().map(Err))
    }

    /// What is for a listener that is gone shall come by a new connection.
    fn look_for_listener(&self) {
        let swaps = self.downstream.shard.swaps();
        let is_new = self.seen.replace(swaps) != swaps;
        if is_new && self.life.ending.get() == Ending::No && self.downstream.is_orphaned() {
            self.life.ending.set(Ending::Asked);
        }
    }

    /// Says goodbye, where there is a reason to.
    fn end(&self, connection: &mut Connection<Wire, Bytes>) {
        let told = self.told.get();
        if let Some(flood) = self.shared.flood() {
            if told != Ending::Late {
                let client = self.downstream.client;
                tracing::debug!(%client, flood = flood.name(), "a connection is ended");
                self.downstream.shard.counters.goaway(flood.name());
                self.told.set(Ending::Late);
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            return;
        }
        let asked = self.life.ending.get();
        if asked == told {
            return;
        }
        self.told.set(asked);
        match asked {
            Ending::No => {}
            Ending::Asked => connection.graceful_shutdown(),
            Ending::Late => connection.abrupt_shutdown(Reason::NO_ERROR),
        }
        self.set_deadline();
    }

    /// While requests are under way, draining alone ends the connection.
    fn set_deadline(&self) {
        let shard = self.downstream.shard;
        let wait = match self.told.get() {
            _ if self.life.streams.get() > 0 => {
                return self.idle.set_at(NEVER - 1, Action::EndIdle);
            }
            Ending::No if !self.downstream.is_ending() => self.settings.timeouts.keep_alive,
            // Its first request is most likely there already.
            Ending::No => Duration::from_millis(limits::HOT_MS),
            Ending::Asked | Ending::Late => Duration::from_millis(limits::LINGER_MS),
        };
        let now = shard.deadlines.now();
        self.idle.set(now, wait, Action::EndIdle);
    }

    fn start(&self, (request, respond): Incoming) {
        let (parts, body) = request.into_parts();
        let protocol = parts.extensions.get::<h2::ext::Protocol>();
        let key = protocol.map(|_| self.websocket_key()).unwrap_or_default();
        let shape = Shape {
            is_whole: body.is_end_stream(),
            protocol: protocol.map(h2::ext::Protocol::as_str),
            key: &key,
            most_fields: self.settings.limits.header_fields,
        };
        let mut text = Buffer::small();
        let written = head::request_text(&parts, shape, text.out());
        // Of a tunnel all bytes are its own.
        let framing = match parts.headers.contains_key(CONTENT_LENGTH) {
            _ if shape.protocol.is_some() => Framing::UntilClose,
            _ if shape.is_whole => Framing::None,
            true => Framing::UntilClose,
            false => Framing::Chunked,
        };
        let method = match parts.method {
            http::Method::HEAD => ringgate_core::http1::Method::Head,
            _ => ringgate_core::http1::Method::Get,
        };
        let asked = (method, shape.protocol.is_some());
        let bridge = Rc::new(Bridge::server(body, framing, respond, asked));
        let stream = self.downstream.stream(bridge);
        let refused = written.err().map(|error| h1::Refused {
            reply: Reply::bad_head(&error, error.status()),
            grpc: carriage(&parts),
        });
        let open = Open::new(self.life);
        spawn(async move {
            h1::answer_one(&stream, text, refused).await;
            drop(open);
        });
    }

    /// 16 random bytes in Base64 (RFC 6455, section 4.1).
    fn websocket_key(&self) -> String {
        let mut random = self.downstream.shard.random.borrow_mut();
        let halves = [random.bits().to_be_bytes(), random.bits().to_be_bytes()];
        BASE64_STANDARD.encode(halves.as_flattened())
    }
}

/// How a request of gRPC is carried; none: it is another.
fn carriage(head: &request::Parts) -> Option<Carriage> {
    let content_type = head.headers.get(CONTENT_TYPE)?;
    let carriage = Carriage::of(content_type.as_bytes());
    carriage.filter(|_| head.method == http::Method::POST)
}

/// Counts a stream as long as its task runs.
struct Open(Rc<Life>);

impl Open {
    fn new(life: &Rc<Life>) -> Self {
        life.streams.set(life.streams.get() + 1);
        Self(life.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let streams = self.0.streams.get();
        self.0.streams.set(streams - 1);
        // Others may wait for its place, or the connection is idle from here on.
        if streams == 1 || streams == limits::H2_STREAMS {
            self.0.wake();
        }
    }
}

fn builder(settings: &ListenerSettings) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits::H2_STREAMS)
        .initial_window_size(limits::H2_STREAM_WINDOW)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW)
        .max_header_list_size(settings.limits.header_bytes)
        .max_send_buffer_size(limits::H2_SEND_BYTES)
        .enable_connect_protocol();
    builder
}

/// Of the errors that a peer's bytes can be (RFC 9113, section 7).
fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::NO_ERROR => "no_error",
        Reason::PROTOCOL_ERROR => "protocol_error",
        Reason::FLOW_CONTROL_ERROR => "flow_control_error",
        Reason::SETTINGS_TIMEOUT => "settings_timeout",
        Reason::FRAME_SIZE_ERROR => "frame_size_error",
        Reason::COMPRESSION_ERROR => "compression_error",
        Reason::ENHANCE_YOUR_CALM => "enhance_your_calm",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<'d, F: Future>(_: fn(&'d Downstream, Buffer) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_is_bounded() {
        let size = size(serve);
        assert!(size <= 3328, "a connection's future has {size} bytes");
    }
}
