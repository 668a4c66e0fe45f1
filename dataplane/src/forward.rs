//! A request on its way to a backend: attempts, and when there is another one.

use std::future::poll_fn;
use std::mem::take;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringgate_core::grpc;
use ringgate_core::http1::{After, Method, Relay};
use ringgate_core::ir::{Id, ListenerSettings};
use ringgate_core::retry::{self, Failure, Sendable};
use ringgate_core::table::{Backend, Plan, Rule, Table};

use crate::downstream::Downstream;
use crate::downstream::h1::{self, Session};
use crate::downstream::reply::{self, Reply};
use crate::grpc_web::GrpcWeb;
use crate::limits;
use crate::mirror;
use crate::proxy::Outcome;
use crate::shard::Shard;
use crate::shard::timer::{Action, Millis, NEVER};
use crate::shared::health::Failed;
use crate::sys::buffer::Buffer;
use crate::sys::io::sleep;
use crate::sys::socket::Shutdown;
use crate::tunnel;
use crate::upstream::backing::Asker;
use crate::upstream::exchange::{self, Exchanged};
use crate::upstream::pool::{self, Connection, Load, Unavailable};

/// Where a request goes, and what it looks like there.
pub(crate) struct Forward<'t> {
    pub(crate) table: &'t Table,
    pub(crate) settings: &'t ListenerSettings,
    pub(crate) rule: &'t Rule,
    pub(crate) plan: &'t Plan,
    pub(crate) backend: &'t Arc<Backend>,
    /// What consistent hashing goes by; none: the client's address.
    pub(crate) key: Option<u64>,
    /// Shown to a backend that asks for one.
    pub(crate) certificate: Option<&'t Id>,
    /// Whose origin the response is shared with, if the plan has a CORS filter.
    pub(crate) origin: Option<Box<[u8]>>,
    /// The head for the backend, and what of the body came with it. Kept until a response begins, to be
    /// sent again.
    pub(crate) out: Buffer,
    pub(crate) started: Instant,
    /// How long the client waits, if it said so (`grpc-timeout`).
    pub(crate) patience: Option<Duration>,
    /// The client speaks gRPC-Web, the backend gRPC.
    pub(crate) web: Option<GrpcWeb>,
    pub(crate) method: Method,
    /// All of the body is in `out`, so that the request can be sent again. What was streamed can't.
    pub(crate) is_whole: bool,
}

impl Forward<'_> {
    fn asker(&self, downstream: &Downstream) -> Asker {
        Asker {
            client: downstream.client.ip(),
            key: self.key,
        }
    }

    /// The longest silence of the backend.
    pub(crate) fn idle(&self) -> Duration {
        self.backend.backend.settings.idle_timeout
    }

    /// For the whole exchange, retries included: as the route has it, and as long as the client waits.
    fn time(&self) -> Option<Duration> {
        let route = self.rule.timeouts.request;
        route.into_iter().chain(self.patience).min()
    }

    /// Statuses that lead to another attempt after this one.
    pub(crate) fn retry_codes(&self, attempt: u32) -> &[u16] {
        match &self.rule.retry {
            Some(retry) if attempt <= retry.attempts => &retry.codes,
            _ => &[],
        }
    }
}

/// What an attempt came to.
enum Attempt {
    Over(After),
    Failed(Failure),
}

/// Sends a request to its backend and the response to the client.
pub(crate) async fn forward(
    downstream: &Downstream,
    session: &mut Session,
    mut forward: Forward<'_>,
) -> (After, Outcome) {
    let mut outcome = Outcome::default();
    let after = match prepare(downstream, session, &mut forward).await {
        Ok(()) => {
            downstream.watch.clear();
            forward.is_whole = session.body.is_done();
            mirror::start(downstream, &forward);
            attempts(downstream, session, &mut forward, &mut outcome).await
        }
        Err(reply) => {
            // Where the next request would begin is in doubt.
            session.side.borrow_mut().drain();
            outcome.status = reply.status;
            outcome.reason = Some(reply.reason);
            reply::send(downstream, session, reply).await
        }
    };
    downstream.shard.buffers.give(forward.out);
    (after, outcome)
}

/// Takes what of the body is there; all of it, up to a bound, where it may be needed a second time.
async fn prepare(
    downstream: &Downstream,
    session: &mut Session,
    forward: &mut Forward<'_>,
) -> Result<(), Reply> {
    let framing = session.head.framing;
    session.body = match forward.web {
        Some(web) => web.upload(framing),
        None => Relay::new(framing, framing),
    };
    let mut is_large = session.input.room() == 0;
    take_body(session, forward)?;
    // What has filled its buffer, or ended with the head, most likely has more behind it, which goes with the head: another
    // write costs as much as all else.
    while is_large && !session.body.is_done() && forward.out.len() < limits::TOGETHER_BYTES {
        match downstream.stream.read_now(&mut session.input) {
            Ok(1..) => {}
            // Whoever waits for more is told.
            Ok(_) | Err(_) => break,
        }
        is_large = session.input.room() == 0;
        take_body(session, forward)?;
    }
    let is_kept = forward
        .rule
        .retry
        .as_ref()
        .is_some_and(|retry| retry.attempts > 0)
        || !forward.plan.mirrors.is_empty();
    while is_kept && !session.body.is_done() && forward.out.len() < limits::REPLAY_BYTES {
        h1::ask_for_body(downstream, session).await;
        let now = downstream.shard.deadlines.now();
        let idle = forward.settings.timeouts.idle;
        downstream
            .watch
            .set(now, idle, Action::Shutdown(Shutdown::Read));
        match h1::read_more(downstream, session).await {
            Ok(1..) => take_body(session, forward)?,
            _ if downstream.watch.has_fired() => return Err(Reply::late_body()),
            _ => return Err(Reply::truncated_body()),
        }
    }
    Ok(())
}

fn take_body(session: &mut Session, forward: &mut Forward<'_>) -> Result<(), Reply> {
    if !session.input.is_empty() {
        session.side.borrow_mut().request_body_started();
    }
    let room = limits::REPLAY_BYTES;
    let taken = session
        .body
        .pump(session.input.pending(), forward.out.out(), room);
    session
        .input
        .consume(taken.map_err(|error| Reply::bad_body(&error))?);
    if forward
        .settings
        .limits
        .body_bytes
        .is_some_and(|most| session.body.received() > most)
    {
        return Err(Reply::large_body());
    }
    if session.body.is_done() {
        session.side.borrow_mut().request_body_done();
    }
    Ok(())
}

async fn attempts(
    downstream: &Downstream,
    session: &mut Session,
    forward: &mut Forward<'_>,
    outcome: &mut Outcome,
) -> After {
    let shard = downstream.shard;
    let until = deadline(shard.deadlines.at(forward.started), forward.time());
    loop {
        outcome.attempts += 1;
        let attempt = attempt(downstream, session, forward, outcome, until).await;
        let failure = match attempt {
            Attempt::Over(after) => return after,
            Attempt::Failed(failure) => failure,
        };
        let is_late = shard.deadlines.now() >= until;
        let again = again(downstream, session, forward, failure, outcome.attempts);
        let Some(wait) = again.filter(|_| !is_late) else {
            let mut reply = Reply::failed(failure);
            if is_late && failure == Failure::Timeout {
                reply.grpc_code = Some(grpc::status::DEADLINE_EXCEEDED);
            }
            outcome.status = reply.status;
            outcome.reason = Some(reply.reason);
            return reply::send(downstream, session, reply).await;
        };
        shard.counters.total(|totals| totals.retries += 1);
        if !wait.is_zero() {
            let left = Duration::from_millis(until.saturating_sub(shard.deadlines.now()));
            Box::pin(sleep(wait.min(left))).await;
        }
    }
}

/// After how long the request goes out once more, if it does.
pub(crate) fn again(
    downstream: &Downstream,
    session: &Session,
    forward: &Forward<'_>,
    failure: Failure,
    attempt: u32,
) -> Option<Duration> {
    let request = Sendable {
        idempotent: session.head.method.is_idempotent(),
        replayable: forward.is_whole || failure == Failure::Connect,
    };
    let mut random = downstream.shard.random.borrow_mut();
    retry::after(
        failure,
        attempt,
        request,
        forward.rule.retry.as_deref(),
        &mut random,
    )
}

async fn attempt(
    downstream: &Downstream,
    session: &mut Session,
    forward: &mut Forward<'_>,
    outcome: &mut Outcome,
    until: Millis,
) -> Attempt {
    let shard = downstream.shard;
    let (backend, certificate) = (forward.backend, forward.certificate);
    let (upstreams, asker) = (&shard.upstreams, forward.asker(downstream));
    let chosen = upstreams.choose(shard, backend, asker, outcome.endpoint);
    let Some(endpoint) = chosen else {
        return over(downstream, session, outcome, Reply::no_endpoints()).await;
    };
    outcome.endpoint = Some(endpoint.address);
    let load = Load::on(&endpoint);
    let began = Instant::now();
    let left = time_left(shard, forward, began, until);
    let connection = match endpoint.connection(shard, backend, certificate, left).await {
        Ok(connection) => connection,
        Err(Unavailable::Full) => {
            return over(downstream, session, outcome, Reply::full()).await;
        }
        Err(Unavailable::Connect(error)) => {
            tracing::debug!(endpoint = %endpoint.address, %error, "can't connect");
            let left = time_left(shard, forward, began, until);
            if began.elapsed() < left {
                return Attempt::Failed(Failure::Connect);
            }
            endpoint.note(late_connection(forward, session, began, left));
            return Attempt::Failed(Failure::Timeout);
        }
    };
    let end = end_of(shard, forward, began, until);
    let exchanged = {
        let exchange = exchange::run(downstream, session, &connection, forward, end, outcome);
        unless_left(downstream, &connection, pin!(exchange)).await
    };
    drop(load);
    let ended = Instant::now();
    let (counters, took) = (&shard.counters, ended - began);
    counters.backend(forward.backend.slot, outcome.status, took);
    let times = times(shard, forward, &connection, (began, ended, until));
    endpoint.note(judge(forward, session, outcome, &exchanged, times));
    match exchanged {
        Exchanged::Whole { reuse } => {
            outcome.ended = Some(ended);
            give_back(shard, connection, reuse);
            Attempt::Over(session.side.borrow_mut().response_done())
        }
        Exchanged::Failed { failure, reuse } => {
            give_back(shard, connection, reuse);
            if failure == Failure::Timeout {
                shard.counters.total(|totals| totals.timeouts += 1);
            }
            Attempt::Failed(failure)
        }
        Exchanged::Refused(reply) => {
            session.side.borrow_mut().drain();
            over(downstream, session, outcome, reply).await
        }
        Exchanged::Cut(reason) => {
            outcome.reason = Some(reason);
            Attempt::Over(After::Close { unread: false })
        }
        Exchanged::Switched { received } => {
            shard.counters.total(|totals| totals.tunnels += 1);
            // It isn't sent again, and a tunnel may be long.
            shard.buffers.give(take(&mut forward.out));
            let (idle, sent) = (forward.settings.timeouts.tunnel_idle, &mut session.input);
            let tunnel = tunnel::run(downstream, &connection, idle, take(sent), received);
            outcome.response_bytes = Box::pin(tunnel).await.down;
            Attempt::Over(After::Tunnel)
        }
    }
}

/// When an attempt ends that began at that time. Not kept, but made anew: it would be part of every request's memory.
fn end_of(shard: &Shard, forward: &Forward<'_>, began: Instant, until: Millis) -> Millis {
    let began = shard.deadlines.at(began);
    until.min(deadline(began, forward.rule.timeouts.backend_request))
}

/// What it had, when it began.
fn time_left(shard: &Shard, forward: &Forward<'_>, began: Instant, until: Millis) -> Duration {
    let end = end_of(shard, forward, began, until);
    Duration::from_millis(end.saturating_sub(shard.deadlines.at(began)))
}

fn give_back(shard: &Shard, connection: Box<Connection>, reuse: bool) {
    if reuse {
        pool::keep(connection, shard.deadlines.now());
    }
}

/// What it says of the endpoint that there was no connection in time. What the policy's own time has ended is told
/// where it ended.
fn late_connection(
    forward: &Forward<'_>,
    session: &Session,
    began: Instant,
    left: Duration,
) -> Option<Result<(), Failed>> {
    let is_cut = left < forward.backend.backend.settings.connect_timeout;
    (is_cut && is_by_settings(forward, session, began)).then_some(Err(Failed::Timeout))
}

/// How an attempt's time went.
struct Times {
    /// It isn't over.
    has_time: bool,
    /// Since when the client was not waited for.
    alone: Instant,
    ended: Instant,
}

fn times(
    shard: &Shard,
    forward: &Forward<'_>,
    connection: &Connection,
    (began, ended, until): (Instant, Instant, Millis),
) -> Times {
    Times {
        has_time: ended - began < time_left(shard, forward, began, until),
        alone: connection.uploaded.get().unwrap_or(began),
        ended,
    }
}

/// What an exchange says of the endpoint; none: nothing, for a client could have brought it about alone.
fn judge(
    forward: &Forward<'_>,
    session: &Session,
    outcome: &Outcome,
    exchanged: &Exchanged,
    times: Times,
) -> Option<Result<(), Failed>> {
    let by_status = |status| Failed::by(status).map_or(Ok(()), Err);
    // So a server also ends a connection on which it has waited for the rest of a body for long enough.
    let is_early = times.ended - forward.started < limits::SLOW_UPLOAD;
    let broken = (is_early || session.body.is_done()).then_some(Err(Failed::Broken));
    match exchanged {
        Exchanged::Whole { .. } => Some(by_status(outcome.status)),
        Exchanged::Switched { .. } => Some(Ok(())),
        Exchanged::Failed { failure, .. } => match failure {
            Failure::Status(status) => Some(by_status(*status)),
            Failure::Broken => broken,
            Failure::Timeout => {
                is_by_settings(forward, session, times.alone).then_some(Err(Failed::Timeout))
            }
            // It has ended the connection in good order, or that was told where it was opened.
            Failure::StaleConnection | Failure::Refused | Failure::Connect => None,
        },
        Exchanged::Cut("backend_broken") => broken,
        Exchanged::Cut("backend_timeout") => {
            // Time for the whole of it may have been over because the client took the response slowly.
            times.has_time.then_some(Err(Failed::Timeout))
        }
        Exchanged::Cut(_) | Exchanged::Refused(_) => None,
    }
}

/// Whether an attempt that ran out of time did so as the policies have it: not because its client is slow, or
/// waits for less. Since `alone` only the endpoint was waited for: for half of the time, or others are to blame.
fn is_by_settings(forward: &Forward<'_>, session: &Session, alone: Instant) -> bool {
    let waited = forward.started.elapsed();
    let has_patience = forward.patience.is_none_or(|patience| waited < patience);
    let own = forward.rule.timeouts.backend_request.into_iter();
    let all = own.chain([forward.idle()]).fold(waited, Duration::min);
    has_patience && session.body.is_done() && alone.elapsed() >= all / 2
}

/// Ends an exchange when its client takes the request back, as those of gRPC do: who else would tell the backend?
/// A client of HTTP/1 has nothing to say it with.
async fn unless_left(
    downstream: &Downstream,
    upstream: &Connection,
    mut exchange: Pin<&mut impl Future<Output = Exchanged>>,
) -> Exchanged {
    let mut has_left = false;
    let exchanged = poll_fn(|context| {
        if !has_left && downstream.stream.poll_left(context).is_ready() {
            has_left = true;
            upstream.stream.abort();
        }
        exchange.as_mut().poll(context)
    });
    match exchanged.await {
        Exchanged::Failed { .. } | Exchanged::Cut(_) if has_left => Exchanged::Cut("client_gone"),
        exchanged => exchanged,
    }
}

async fn over(
    downstream: &Downstream,
    session: &mut Session,
    outcome: &mut Outcome,
    reply: Reply,
) -> Attempt {
    outcome.status = reply.status;
    outcome.reason = Some(reply.reason);
    Attempt::Over(reply::send(downstream, session, reply).await)
}

fn deadline(from: Millis, after: Option<Duration>) -> Millis {
    after.map_or(NEVER, |after| {
        from.saturating_add(Millis::try_from(after.as_millis()).unwrap_or(NEVER))
    })
}
