//! One exchange on an upstream connection: the request out, the response in and on to the client.

mod body;

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::time::Duration;

use ringgate_core::grpc::{Carriage, status as grpc};
use ringgate_core::http1::{
    Answer, Framing, Method, Parse, Relay, ResponseHead, ServerSide, parse_response,
};
use ringgate_core::retry::Failure;

use super::pool::Connection;
use super::response_head::Answered;
use super::upload::{Upload, Uploaded};
use crate::downstream::Downstream;
use crate::downstream::h1::Session;
use crate::downstream::reply::Reply;
use crate::forward::Forward;
use crate::grpc_web::GrpcWeb;
use crate::join::both;
use crate::limits;
use crate::proxy::Outcome;
use crate::shard::timer::{Action, Millis};
use crate::sys::buffer::Buffer;
use crate::sys::socket::Shutdown;

/// What an exchange came to.
pub(crate) enum Exchanged {
    /// The client has the whole response.
    Whole { reuse: bool },
    /// The client has nothing yet.
    Failed { failure: Failure, reuse: bool },
    /// The client has nothing yet, and is at fault.
    Refused(Reply),
    /// The client has a part that can't be completed, or is gone: only closing tells.
    Cut(&'static str),
    /// The connection carries another protocol; these bytes of it have come already.
    Switched { received: Buffer },
}

/// Sends the request that `forward` holds, and passes the response on.
pub(crate) async fn run(
    downstream: &Downstream,
    session: &mut Session,
    upstream: &Connection,
    forward: &mut Forward<'_>,
    until: Millis,
    outcome: &mut Outcome,
) -> Exchanged {
    let (framing, upgrades) = (session.head.framing, session.head.upgrade.is_some());
    upstream.side.borrow_mut().request(framing, upgrades);
    upstream.uploaded.set(None);
    if !send(downstream, upstream, forward, until).await {
        return Exchanged::Failed {
            failure: upstream.failure(true),
            reuse: false,
        };
    }
    let is_sent = forward.is_whole;
    if is_sent {
        upstream.side.borrow_mut().request_body_done();
    }
    let (is_answered, is_writing) = (Cell::new(false), Cell::new(false));
    let is_uploading = Cell::new(!is_sent);
    let receiving = Receiving {
        downstream,
        side: &session.side,
        method: session.head.method,
        is_grpc: session.grpc == Some(Carriage::Plain),
        upstream,
        forward,
        until,
        retry_codes: match is_sent {
            true => forward.retry_codes(outcome.attempts),
            false => &[],
        },
        is_uploading: &is_uploading,
        is_answered: &is_answered,
        is_writing: &is_writing,
        has_begun: false,
        is_large: false,
        input: Buffer::default(),
        status: 0,
        bytes: 0,
    };
    if is_sent {
        return receiving.run(outcome).await;
    }
    let upload = Upload {
        downstream,
        input: &mut session.input,
        body: &mut session.body,
        side: &session.side,
        upstream,
        forward,
        until,
        is_answered: &is_answered,
        is_large: false,
    };
    // Boxed, as the tunnel is: requests that need neither shall not carry room for them.
    let exchange = Box::pin(async {
        let upload = async {
            let uploaded = upload.run().await;
            is_uploading.set(false);
            // From here on the client is waited for only where it is written to, and the backend for its answer.
            if !is_writing.get() {
                downstream.watch.clear();
            }
            let now = downstream.shard.deadlines.now();
            upstream.set_deadline(now, forward.idle(), until);
            uploaded
        };
        both(pin!(upload), pin!(receiving.run(outcome))).await
    });
    match exchange.await {
        (Uploaded::Refused(reply), exchanged) => refused(reply, exchanged),
        (_, exchanged) => exchanged,
    }
}

/// What an exchange came to whose client is at fault: how the backend took its end doesn't count.
fn refused(reply: Reply, exchanged: Exchanged) -> Exchanged {
    match exchanged {
        Exchanged::Failed { .. } => Exchanged::Refused(reply),
        Exchanged::Whole { .. } | Exchanged::Cut(_) => Exchanged::Cut(reply.reason),
        Exchanged::Refused(_) | Exchanged::Switched { .. } => exchanged,
    }
}

/// Sends the head, and what is kept of the body.
async fn send(
    downstream: &Downstream,
    upstream: &Connection,
    forward: &mut Forward<'_>,
    until: Millis,
) -> bool {
    forward.out.rewind();
    let out = std::mem::take(&mut forward.out);
    let alive = || {
        let now = downstream.shard.deadlines.now();
        upstream.set_deadline(now, forward.idle(), until);
    };
    let (sent, out) = upstream.stream.write(out, alive).await;
    forward.out = out;
    sent.is_ok()
}

impl Connection {
    /// The next read or write ends `idle` after `now`, and no later than `until`.
    pub(crate) fn set_deadline(&self, now: Millis, idle: Duration, until: Millis) {
        let idle = Millis::try_from(idle.as_millis()).unwrap_or(Millis::MAX);
        let at = now.saturating_add(idle).min(until);
        self.watch.set_at(at, Action::Shutdown(Shutdown::Both));
    }

    /// Why a read or write failed. `is_first`: before any byte of a response.
    pub(crate) fn failure(&self, is_first: bool) -> Failure {
        if self.watch.has_fired() {
            Failure::Timeout
        } else if is_first && self.stream.is_refused() {
            Failure::Refused
        } else if is_first && self.is_reused {
            Failure::StaleConnection
        } else {
            Failure::Broken
        }
    }
}

/// The response's side of an exchange.
struct Receiving<'x> {
    downstream: &'x Downstream,
    side: &'x RefCell<ServerSide>,
    method: Method,
    /// The client reads trailers, whatever became of its request.
    is_grpc: bool,
    upstream: &'x Connection,
    forward: &'x Forward<'x>,
    until: Millis,
    /// Statuses that lead to another attempt instead of to the client.
    retry_codes: &'x [u16],
    is_uploading: &'x Cell<bool>,
    /// Tells the upload that nobody needs the rest.
    is_answered: &'x Cell<bool>,
    /// Whether the client's deadline is that of a write.
    is_writing: &'x Cell<bool>,
    /// Some bytes of an answer came: the connection was not stale.
    has_begun: bool,
    /// The last read filled its buffer.
    is_large: bool,
    /// What came from the backend and is not yet taken.
    input: Buffer,
    status: u16,
    bytes: u64,
}

/// Trailers of a call that went on for longer than it may.
fn late() -> Vec<u8> {
    let mut trailers = Vec::new();
    let text = b"The backend did not finish in time.";
    grpc::fields(grpc::DEADLINE_EXCEEDED, text, &mut trailers);
    trailers
}

/// What a read from the backend brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Bytes,
    /// The backend has closed its side in good order.
    End,
    /// A reset, or a deadline: what came before is not whole.
    Failure,
}

/// Why a response's body ended early.
enum Stop {
    Backend,
    Client,
}

impl Receiving<'_> {
    async fn run(mut self, outcome: &mut Outcome) -> Exchanged {
        let mut head = self.upstream.head.take();
        head.reset();
        let exchanged = self.response(&mut head).await;
        self.upstream.head.replace(head);
        self.is_answered.set(true);
        if self.is_uploading.get() {
            // Nobody needs the rest of the request's body: its reader is woken to see that.
            self.upstream.stream.abort();
            self.downstream.watch.cancel_read();
        }
        outcome.status = self.status;
        outcome.response_bytes = self.bytes;
        self.downstream.shard.buffers.give(self.input);
        exchanged
    }

    async fn response(&mut self, head: &mut ResponseHead) -> Exchanged {
        loop {
            if let Err(failure) = self.head(head).await {
                return Exchanged::Failed {
                    failure,
                    reuse: false,
                };
            }
            let answer = self.upstream.side.borrow_mut().response(head);
            match answer {
                Err(error) => {
                    tracing::debug!(%error, "a backend's response is refused");
                    return Exchanged::Failed {
                        failure: Failure::Broken,
                        reuse: false,
                    };
                }
                Ok(Answer::Interim) => {
                    if !self.interim(head).await {
                        return Exchanged::Cut("client_gone");
                    }
                }
                Ok(Answer::Switching) => return self.switching(head).await,
                Ok(Answer::Final { .. }) => return self.finally(head).await,
            }
        }
    }

    /// Reads until a head is complete.
    async fn head(&mut self, head: &mut ResponseHead) -> Result<(), Failure> {
        loop {
            if !self.input.is_empty() {
                match parse_response(
                    self.input.pending(),
                    &limits::RESPONSE_HEAD,
                    self.method,
                    head,
                ) {
                    Ok(Parse::Complete) => return Ok(()),
                    Ok(Parse::Partial) => {}
                    Err(error) => {
                        tracing::debug!(%error, "a backend's response is refused");
                        return Err(Failure::Broken);
                    }
                }
            }
            if self.read().await != Came::Bytes {
                return Err(self.upstream.failure(!self.has_begun));
            }
            self.has_begun = true;
        }
    }

    /// Appends what comes from the backend.
    async fn read(&mut self) -> Came {
        self.expect();
        let input = self.with_room();
        let (read, input) = self.upstream.stream.read(input).await;
        self.input = input;
        if !self.is_uploading.get() {
            self.upstream.watch.clear();
        }
        self.is_large = self.input.room() == 0;
        match read {
            Ok(1..) => Came::Bytes,
            Ok(_) if !self.upstream.watch.has_fired() => Came::End,
            Ok(_) | Err(_) => Came::Failure,
        }
    }

    /// Something is to come from the backend.
    fn expect(&self) {
        let now = self.downstream.shard.deadlines.now();
        // While the client sends, the backend may be silent: the client's own deadline counts.
        let idle = match self.is_uploading.get() {
            true => Duration::MAX,
            false => self.forward.idle(),
        };
        self.upstream.set_deadline(now, idle, self.until);
    }

    /// What is pending, with room for more.
    fn with_room(&mut self) -> Buffer {
        let mut input = std::mem::take(&mut self.input);
        let is_of_many = self.downstream.stream.is_http2();
        match input.capacity() {
            // It makes room itself, once something has come.
            _ if is_of_many && self.upstream.stream.is_http2() => {}
            // Only a large message fills a buffer: then fewer, larger reads pay.
            _ if self.is_large && input.is_empty() => self.downstream.enlarge(&mut input),
            0 if is_of_many && !self.is_large => {
                input = self.downstream.shard.buffers.take_small();
            }
            0 => input = self.downstream.shard.buffers.take(),
            _ if input.room() == 0 => input.reserve(limits::BUFFER_BYTES),
            _ => {}
        }
        input
    }

    fn answered<'a>(&'a self, head: &'a ResponseHead) -> Answered<'a> {
        Answered {
            shard: self.downstream.shard,
            now: self.downstream.shard.deadlines.now(),
            forward: self.forward,
            head,
            buf: self.input.pending(),
            method: self.method,
            version: self.upstream.stream.version(head.minor),
            web: self.web(head),
        }
    }

    fn web(&self, head: &ResponseHead) -> Option<GrpcWeb> {
        let web = self.forward.web?;
        GrpcWeb::translates(head, self.input.pending()).then_some(web)
    }

    async fn interim(&mut self, head: &ResponseHead) -> bool {
        let mut out = self.downstream.buffer();
        let is_passed = self.side.borrow_mut().interim(head.status);
        if is_passed {
            self.answered(head).write_interim(out.out());
        }
        self.input.consume(head.len);
        let (is_sent, out) = self.write(out).await;
        self.downstream.shard.buffers.give(out);
        is_sent
    }

    async fn switching(&mut self, head: &ResponseHead) -> Exchanged {
        if !self.side.borrow_mut().switching() {
            return Exchanged::Failed {
                failure: Failure::Broken,
                reuse: false,
            };
        }
        let mut out = self.downstream.buffer();
        self.answered(head).write_switching(out.out());
        self.status = head.status;
        self.input.consume(head.len);
        let (is_sent, out) = self.write(out).await;
        self.downstream.shard.buffers.give(out);
        if is_sent {
            Exchanged::Switched {
                received: std::mem::take(&mut self.input),
            }
        } else {
            Exchanged::Cut("client_gone")
        }
    }

    async fn finally(&mut self, head: &ResponseHead) -> Exchanged {
        self.status = head.status;
        let is_late = self.downstream.shard.deadlines.now() >= self.until;
        if self.retry_codes.contains(&head.status) && !is_late {
            return self.set_aside(head);
        }
        let web = self.web(head).filter(|_| !head.framing.is_empty());
        let framing = web.map_or(head.framing, |_| Framing::Chunked);
        let reply = {
            let mut side = self.side.borrow_mut();
            if self.downstream.is_ending() {
                side.drain();
            }
            side.response(head.status, framing)
        };
        let mut relay = match web {
            Some(web) => web.download(head.framing, reply.framing),
            None => Relay::new(head.framing, reply.framing),
        };
        let mut out = self.downstream.buffer_for(self.input.len());
        self.answered(head).write(reply, out.out());
        let is_grpc = self.is_grpc && GrpcWeb::translates(head, self.input.pending());
        self.input.consume(head.len);
        let (passed, mut out) = self.pass_body(&mut relay, out).await;
        if is_grpc && passed.is_err() && self.is_late() && relay.end_early(&late(), out.out()) {
            out = self.write(out).await.1;
        }
        self.downstream.shard.buffers.give(out);
        self.bytes = relay.received();
        match passed {
            Ok(()) => {
                let mut side = self.upstream.side.borrow_mut();
                side.response_body_done();
                Exchanged::Whole {
                    reuse: side.reuse(self.input.len()),
                }
            }
            Err(Stop::Client) => Exchanged::Cut("client_gone"),
            Err(Stop::Backend) if self.upstream.watch.has_fired() => {
                Exchanged::Cut("backend_timeout")
            }
            Err(Stop::Backend) => Exchanged::Cut("backend_broken"),
        }
    }

    /// Whether the time for all of the exchange is what ended it.
    fn is_late(&self) -> bool {
        self.upstream.watch.has_fired() && self.downstream.shard.deadlines.now() >= self.until
    }

    /// A response that leads to another attempt. Its connection is kept if all of it is here.
    fn set_aside(&mut self, head: &ResponseHead) -> Exchanged {
        self.input.consume(head.len);
        let mut relay = Relay::discard(head.framing);
        let taken = relay.pump(self.input.pending(), &mut Vec::new(), 0);
        let mut side = self.upstream.side.borrow_mut();
        let reuse = match taken {
            Ok(taken) if relay.is_done() => {
                side.response_body_done();
                side.reuse(self.input.len() - taken)
            }
            _ => false,
        };
        Exchanged::Failed {
            failure: Failure::Status(head.status),
            reuse,
        }
    }

    /// Sends all of a buffer to the client, and gives it back empty.
    async fn write(&self, out: Buffer) -> (bool, Buffer) {
        if out.is_empty() {
            return (true, out);
        }
        let idle = self.forward.settings.timeouts.idle;
        self.is_writing.set(true);
        let (sent, mut out) = self.downstream.write(out, idle).await;
        self.is_writing.set(false);
        if !self.is_uploading.get() {
            self.downstream.watch.clear();
        }
        out.clear();
        (sent.is_ok(), out)
    }
}
