//! Mirrored requests: a copy goes to another backend, and its answer to nowhere. The client waits for none
//! of it, and nothing that happens to it is seen by the client.

use std::sync::Arc;
use std::time::Duration;

use ringgate_core::http1::{Method, Parse, Relay, ResponseHead, parse_response};
use ringgate_core::ir::Id;
use ringgate_core::table::{Backend, MirrorTarget};

use crate::downstream::Downstream;
use crate::forward::Forward;
use crate::limits;
use crate::shard::Shard;
use crate::sys::buffer::Buffer;
use crate::sys::io;
use crate::upstream::backing::Asker;
use crate::upstream::pool::{self, Connection, Load};

/// The longest that a mirrored request may take.
const LONGEST: Duration = Duration::from_secs(60);

/// Sends the copies that the rule's mirror filters ask for. A request whose body was not kept whole is not
/// mirrored: half of it would be another request.
pub(crate) fn start(downstream: &Downstream, forward: &Forward<'_>) {
    let shard = downstream.shard;
    for mirror in &forward.plan.mirrors {
        if !is_taken(shard, mirror) {
            continue;
        }
        let backend = forward.table.backend(mirror.backend);
        let Some(backend) =
            backend.filter(|_| forward.is_whole && shard.mirrors.get() < limits::MIRRORS)
        else {
            shard.counters.total(|totals| totals.mirrors_dropped += 1);
            continue;
        };
        let mut request = shard.buffers.take();
        request.out().extend_from_slice(forward.out.pending());
        let method = forward.method;
        shard.counters.total(|totals| totals.mirrors += 1);
        shard.mirrors.set(shard.mirrors.get() + 1);
        let (backend, certificate) = (backend.clone(), forward.certificate.cloned());
        // What its own backend is hashed by means nothing here.
        let asker = Asker::client(downstream.client.ip());
        io::spawn(async move {
            let to = (&backend, certificate.as_ref());
            carry(shard, to, asker, request, method).await;
            shard.mirrors.set(shard.mirrors.get() - 1);
        });
    }
}

fn is_taken(shard: &Shard, mirror: &MirrorTarget) -> bool {
    mirror.numerator >= mirror.denominator
        || shard.random.borrow_mut().below(mirror.denominator) < mirror.numerator
}

async fn carry(
    shard: &'static Shard,
    (backend, certificate): (&Arc<Backend>, Option<&Id>),
    asker: Asker,
    request: Buffer,
    method: Method,
) {
    let Some(endpoint) = shard.upstreams.choose(shard, backend, asker, None) else {
        return;
    };
    let _load = Load::on(&endpoint);
    let connection = endpoint.connection(shard, backend, certificate, LONGEST);
    let Ok(connection) = connection.await else {
        return;
    };
    let now = shard.deadlines.now();
    connection.set_deadline(now, LONGEST, now + 60_000);
    let mut input = shard.buffers.take();
    let (sent, request) = connection.stream.write(request, || ()).await;
    shard.buffers.give(request);
    let is_done = sent.is_ok() && read_response(&connection, method, &mut input).await;
    if is_done && input.is_empty() {
        pool::keep(connection, shard.deadlines.now());
    }
    shard.buffers.give(input);
}

/// Reads a whole response to nowhere; whether the connection can be used again.
async fn read_response(connection: &Connection, method: Method, input: &mut Buffer) -> bool {
    let mut head = ResponseHead::default();
    loop {
        match parse_response(input.pending(), &limits::RESPONSE_HEAD, method, &mut head) {
            Ok(Parse::Complete) => input.consume(head.len),
            Ok(Parse::Partial) => {
                if !read(connection, input).await {
                    return false;
                }
                continue;
            }
            Err(_) => return false,
        }
        if !head.is_interim() {
            break;
        }
    }
    let mut body = Relay::discard(head.framing);
    loop {
        match body.pump(input.pending(), &mut Vec::new(), 0) {
            Ok(taken) => input.consume(taken),
            Err(_) => return false,
        }
        if body.is_done() {
            return head.keep_alive && head.status != 101;
        }
        if !read(connection, input).await {
            return false;
        }
    }
}

async fn read(connection: &Connection, input: &mut Buffer) -> bool {
    let mut buffer = std::mem::take(input);
    buffer.reserve(limits::BUFFER_BYTES / 2);
    let (read, back) = connection.stream.read(buffer).await;
    *input = back;
    matches!(read, Ok(1..))
}
