//! HTTP/1 towards the client: waiting for requests, reading heads, ending connections in good order.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use ringgate_core::grpc::Carriage;
use ringgate_core::http1::{
    After, Framing, Limits, LineError, Parse, Relay, RequestError, RequestHead, ServerSide,
    conclude_request, encode, parse_request,
};
use ringgate_core::http2::PREFACE;
use ringgate_core::ir::ListenerSettings;

use super::Downstream;
use super::reply::{self, Reply};
use crate::proxy;
use crate::shard::timer::Action;
use crate::sys::buffer::Buffer;
use crate::sys::socket::Shutdown;
use crate::{http2, limits};

/// What a connection holds while it is in use; given back when it goes idle.
pub(crate) struct Session {
    /// Bytes from the client that are not yet taken.
    pub(crate) input: Buffer,
    pub(crate) head: RequestHead,
    /// The request's body, as far as it was read.
    pub(crate) body: Relay,
    /// Never borrowed across an await.
    pub(crate) side: RefCell<ServerSide>,
    /// Of a request of gRPC: what we answer ourselves is said in its terms.
    pub(crate) grpc: Option<Carriage>,
}

/// What came of waiting for a head.
enum Head {
    Complete,
    /// Nothing came for a while: wait on without a buffer.
    Idle,
    Closed,
    /// Some bytes came, but not the head's end in time.
    Late,
    Refused(RequestError),
}

enum Next<'d> {
    /// The connection is new, and nothing came for a while.
    Silent,
    Idle,
    Close,
    Http2(Pin<Box<dyn Future<Output = ()> + 'd>>),
}

/// Serves requests until either side ends the connection, in HTTP/2 if that is what the client speaks. `begun`
/// is what has come already.
pub(crate) async fn serve(downstream: &Downstream, mut begun: Option<Box<Buffer>>) {
    let mut is_new = true;
    // What a client has connected for is most likely there already, or about to come.
    let mut is_expected = begun.is_none() && !downstream.is_ending();
    loop {
        let wait = match downstream.is_ending() {
            false => settings(downstream, |settings| settings.timeouts.keep_alive),
            // Taken from the queue at the end: its request is most likely there already.
            true if is_new => Duration::from_millis(limits::HOT_MS),
            true => return,
        };
        let now = downstream.shard.deadlines.now();
        downstream.watch.set(now, wait, Action::EndIdle);
        if begun.is_none()
            && !is_expected
            && (downstream.stream.readable().await.is_err() || downstream.watch.has_fired())
        {
            return;
        }
        // Boxed, so that an idle connection's task is small.
        match Box::pin(burst(downstream, begun.take(), (is_new, is_expected))).await {
            Next::Silent => {}
            Next::Idle => is_new = false,
            Next::Close => return,
            Next::Http2(serving) => return serving.await,
        }
        is_expected = false;
    }
}

pub(crate) fn settings<T>(downstream: &Downstream, get: impl FnOnce(&ListenerSettings) -> T) -> T {
    let table = downstream.shard.table();
    match table.port(downstream.bind) {
        Some(port) => get(&port.settings),
        None => get(&ListenerSettings::default()),
    }
}

impl Session {
    pub(crate) fn new(input: Buffer) -> Self {
        Self {
            input,
            head: RequestHead::default(),
            body: Relay::discard(Framing::None),
            side: RefCell::default(),
            grpc: None,
        }
    }

    /// For another client's connection.
    pub(crate) fn clear(&mut self) {
        self.input.clear();
        self.head.reset();
        self.body = Relay::discard(Framing::None);
        self.side.replace(ServerSide::default());
        self.grpc = None;
    }
}

/// A request whose head can't be passed on.
pub(crate) struct Refused {
    pub(crate) reply: Reply,
    pub(crate) grpc: Option<Carriage>,
}

/// Answers the one request of a stream of HTTP/2, whose head has come; `length` bytes of it. Its fields' places are
/// in the session already.
pub(crate) async fn answer_one(downstream: &Downstream, session: &mut Session, length: usize) {
    while session.input.len() < length {
        if !matches!(read_more(downstream, session).await, Ok(1..)) {
            return;
        }
    }
    let limits = settings(downstream, |settings| Limits::from(&settings.limits));
    let head = match conclude_request(session.input.pending(), &limits, &mut session.head) {
        Ok(()) => Head::Complete,
        Err(error) => Head::Refused(error),
    };
    answer(downstream, session, head).await;
    let input = std::mem::take(&mut session.input);
    downstream.shard.buffers.give(input);
}

/// Answers a stream's request that is refused for its head.
pub(crate) async fn refuse_one(downstream: &Downstream, session: &mut Session, refused: Refused) {
    session.grpc = refused.grpc;
    count_refused(downstream);
    // Its stream ends with it in any case.
    let _ = reply::send(downstream, session, refused.reply).await;
}

/// Requests that follow one another closely share a buffer and a head.
async fn burst(
    downstream: &Downstream,
    begun: Option<Box<Buffer>>,
    (is_new, is_expected): (bool, bool),
) -> Next<'_> {
    let begun = begun.map_or_else(|| downstream.shard.buffers.take(), |begun| *begun);
    let mut session = Session::new(begun);
    if is_expected {
        let next = match read_next(downstream, &mut session).await {
            Ok(1..) => None,
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => Some(Next::Silent),
            Ok(_) | Err(_) => Some(Next::Close),
        };
        if let Some(next) = next {
            downstream.shard.buffers.give(session.input);
            return next;
        }
    }
    if is_new && speaks_http2(downstream, &mut session).await {
        return Next::Http2(Box::pin(http2::server::serve(downstream, session.input)));
    }
    let next = requests(downstream, &mut session).await;
    downstream.shard.buffers.give(session.input);
    next
}

async fn requests<'d>(downstream: &'d Downstream, session: &mut Session) -> Next<'d> {
    let mut is_first = true;
    loop {
        let head = read_head(downstream, session, is_first).await;
        is_first = false;
        if let Head::Idle = head {
            return Next::Idle;
        }
        match answer(downstream, session, head).await {
            After::Next => {}
            After::Discard { at_most } => {
                if !discard(downstream, session, at_most).await {
                    linger(downstream, session).await;
                    return Next::Close;
                }
            }
            After::Close { unread: false } => return Next::Close,
            After::Close { unread: true } => {
                linger(downstream, session).await;
                return Next::Close;
            }
            After::Tunnel => return Next::Close,
        }
    }
}

async fn answer(downstream: &Downstream, session: &mut Session, head: Head) -> After {
    match head {
        Head::Complete => proxy::request(downstream, session).await,
        Head::Idle | Head::Closed => After::Close { unread: false },
        Head::Late => reply::refuse(downstream, session, Reply::timeout()).await,
        // Most likely meant as HTTP/2's preface, or no HTTP at all (RFC 9113, section 3.4).
        Head::Refused(RequestError::Line(LineError::NotHttp)) => {
            count_refused(downstream);
            After::Close { unread: true }
        }
        Head::Refused(error) => refuse(downstream, session, Reply::refused(&error)).await,
    }
}

async fn refuse(downstream: &Downstream, session: &mut Session, reply: Reply) -> After {
    count_refused(downstream);
    reply::refuse(downstream, session, reply).await
}

fn count_refused(downstream: &Downstream) {
    let counters = &downstream.shard.counters;
    counters.total(|totals| totals.refused_requests += 1);
}

/// As agreed on in TLS, or known to the client (RFC 9113, sections 3.2 and 3.3): then its preface says so, which
/// is read as far as it takes to tell.
async fn speaks_http2(downstream: &Downstream, session: &mut Session) -> bool {
    if downstream.secured_by.is_some() {
        return downstream.stream.has_agreed_on_http2();
    }
    if !settings(downstream, |settings| settings.http2) {
        return false;
    }
    let mut is_waiting = false;
    loop {
        let come = session.input.pending();
        if come.starts_with(PREFACE) {
            return true;
        }
        if !PREFACE.starts_with(come) {
            return false;
        }
        if !come.is_empty() && !is_waiting {
            is_waiting = true;
            set_header_deadline(downstream);
        }
        if !matches!(read_more(downstream, session).await, Ok(1..)) {
            return false;
        }
    }
}

/// For the rest of a head that has begun.
fn set_header_deadline(downstream: &Downstream) {
    let within = settings(downstream, |settings| settings.timeouts.header);
    let now = downstream.shard.deadlines.now();
    let until = Action::Shutdown(Shutdown::Read);
    downstream.watch.set(now, within, until);
}

/// Reads until a head is complete. What is in the buffer already is tried first (pipelining).
async fn read_head(downstream: &Downstream, session: &mut Session, is_first: bool) -> Head {
    let limits = settings(downstream, |settings| Limits::from(&settings.limits));
    let mut has_begun = false;
    loop {
        if !session.input.is_empty() {
            if !has_begun {
                // It is idle no more: what ends those that are must not cut off this one's body.
                downstream.watch.clear();
                downstream.shard.turns.begin().await;
            }
            match parse_request(session.input.pending(), &limits, &mut session.head) {
                Ok(Parse::Complete) => return Head::Complete,
                Ok(Parse::Partial) => {}
                Err(error) => return Head::Refused(error),
            }
            if !has_begun {
                has_begun = true;
                set_header_deadline(downstream);
            }
        }
        let read = if has_begun || is_first {
            read_more(downstream, session).await
        } else {
            read_next(downstream, session).await
        };
        match read {
            Ok(1..) => {}
            Ok(_) if has_begun && downstream.watch.has_fired() => return Head::Late,
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => return Head::Idle,
            Ok(_) | Err(_) => return Head::Closed,
        }
    }
}

/// Appends what comes to the session's buffer.
pub(crate) async fn read_more(downstream: &Downstream, session: &mut Session) -> io::Result<usize> {
    let mut input = std::mem::take(&mut session.input);
    let buffers = &downstream.shard.buffers;
    downstream.stream.make_room(&mut input, buffers);
    let (read, back) = downstream.stream.read(input).await;
    session.input = back;
    read
}

/// Waits for the next request of a client that is likely to send one soon: with a buffer at hand, which
/// saves asking first whether there is something to read, but for a short time only. The error ECANCELED
/// says that it is over.
async fn read_next(downstream: &Downstream, session: &mut Session) -> io::Result<usize> {
    let shard = downstream.shard;
    if downstream.is_ending() {
        return Ok(0);
    }
    if shard.hot.get() >= limits::HOT_CONNECTIONS {
        return Err(io::Error::from_raw_os_error(libc::ECANCELED));
    }
    let now = shard.deadlines.now();
    let wait = Duration::from_millis(limits::HOT_MS);
    downstream.watch.set(now, wait, Action::CancelRead);
    let mut input = std::mem::take(&mut session.input);
    downstream.stream.make_room(&mut input, &shard.buffers);
    let handle = downstream.watch.cancel_handle();
    shard.hot.set(shard.hot.get() + 1);
    let (read, back) = downstream.stream.read_unless(input, handle).await;
    shard.hot.set(shard.hot.get() - 1);
    session.input = back;
    read
}

/// Lets a client that waits for it begin with the body, where the gateway itself wants that.
pub(crate) async fn ask_for_body(downstream: &Downstream, session: &Session) {
    if session.side.borrow_mut().must_continue() {
        let mut told = downstream.shard.buffers.take();
        told.out().extend_from_slice(encode::CONTINUE);
        reply::write(downstream, told).await;
    }
}

/// Reads all of a request's body to nowhere; false if it doesn't come to its end.
pub(crate) async fn swallow_body(downstream: &Downstream, session: &mut Session) -> bool {
    ask_for_body(downstream, session).await;
    let is_read = discard(downstream, session, u64::MAX).await;
    let mut side = session.side.borrow_mut();
    match is_read {
        true => side.request_body_done(),
        // Where the next request would begin is in doubt.
        false => side.drain(),
    }
    is_read
}

/// Reads the rest of a request's body to nowhere, so that the connection can be used again.
async fn discard(downstream: &Downstream, session: &mut Session, at_most: u64) -> bool {
    session.body = session.body.clone().into_discard();
    let before = session.body.received();
    let idle = settings(downstream, |settings| settings.timeouts.idle);
    let mut nowhere = Vec::new();
    loop {
        let input = session.input.pending();
        match session.body.pump(input, &mut nowhere, 0) {
            Ok(consumed) => session.input.consume(consumed),
            Err(_) => return false,
        }
        if session.body.is_done() {
            return true;
        }
        if session.body.received() - before > at_most {
            return false;
        }
        let now = downstream.shard.deadlines.now();
        downstream
            .watch
            .set(now, idle, Action::Shutdown(Shutdown::Both));
        if !matches!(read_more(downstream, session).await, Ok(1..)) {
            return false;
        }
    }
}

/// Lets the client read our last response before its unread bytes make the kernel reset the connection
/// (RFC 9112, section 9.6).
async fn linger(downstream: &Downstream, session: &mut Session) {
    downstream.stream.finish().await;
    downstream.watch.linger();
    loop {
        session.input.clear();
        if !matches!(read_more(downstream, session).await, Ok(1..)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a task costs in memory, by its function.
    fn size<A, B, C, F: Future>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_busy_connection_is_bounded() {
        let size = size(burst);
        assert!(size <= 4096, "a busy connection's future has {size} bytes");
    }

    #[test]
    fn a_stream_under_way_is_bounded() {
        let size = size(answer_one);
        assert!(size <= 2944, "a stream's future has {size} bytes");
    }
}
