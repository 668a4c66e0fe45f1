//! The rest of a request's body, on its way to the backend while the response may already come.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use ringgate_core::http1::{Relay, ServerSide};

use super::pool::Connection;
use crate::downstream::Downstream;
use crate::downstream::reply::Reply;
use crate::forward::Forward;
use crate::shard::timer::{Action, Millis};
use crate::sys::buffer::Buffer;
use crate::sys::socket::Shutdown;

/// The request's side of an exchange.
pub(crate) struct Upload<'x> {
    pub(crate) downstream: &'x Downstream,
    pub(crate) input: &'x mut Buffer,
    pub(crate) body: &'x mut Relay,
    pub(crate) side: &'x RefCell<ServerSide>,
    pub(crate) upstream: &'x Connection,
    pub(crate) forward: &'x Forward<'x>,
    pub(crate) until: Millis,
    /// The response is over: nobody needs the rest.
    pub(crate) is_answered: &'x Cell<bool>,
    /// The last read filled its buffer.
    pub(crate) is_large: bool,
}

pub(crate) enum Uploaded {
    /// All of it, or as much as the backend wanted.
    Done,
    /// The client is at fault; the upstream connection was ended.
    Refused(Reply),
}

impl Upload<'_> {
    pub(crate) async fn run(mut self) -> Uploaded {
        let mut out = Buffer::default();
        let uploaded = loop {
            match self.step(&mut out).await {
                Ok(true) => {}
                Ok(false) => break Uploaded::Done,
                Err(reply) => {
                    // Ends the response's side too, if nothing has come yet.
                    self.upstream.stream.abort();
                    break Uploaded::Refused(reply);
                }
            }
        };
        self.downstream.shard.buffers.give(out);
        uploaded
    }

    /// Passes on what is there, then reads more; false at the end.
    async fn step(&mut self, out: &mut Buffer) -> Result<bool, Reply> {
        let length = self.input.len();
        if length > 0 && self.body.verbatim(length) == length {
            self.body.advance(length);
            std::mem::swap(out, self.input);
        } else {
            if out.capacity() == 0 {
                *out = self.downstream.buffer();
            }
            let taken = self.body.pump(
                self.input.pending(),
                out.out(),
                self.downstream.body_buffer(),
            );
            self.input
                .consume(taken.map_err(|error| Reply::bad_body(&error))?);
        }
        let most = self.forward.settings.limits.body_bytes;
        if most.is_some_and(|most| self.body.received() > most) {
            return Err(Reply::large_body());
        }
        if !out.is_empty() && !self.write(out).await {
            return Ok(false);
        }
        if self.body.is_done() {
            self.side.borrow_mut().request_body_done();
            self.upstream.side.borrow_mut().request_body_done();
            return Ok(false);
        }
        if self.input.is_empty() {
            if out.capacity() > self.input.capacity() {
                std::mem::swap(out, self.input);
            }
            self.downstream.shard.buffers.rest(out);
            self.read().await
        } else {
            Ok(true)
        }
    }

    /// False when the backend takes no more: its response, if there is one, tells why.
    async fn write(&self, out: &mut Buffer) -> bool {
        let alive = || {
            let now = self.downstream.shard.deadlines.now();
            self.upstream
                .set_deadline(now, self.forward.idle(), self.until);
        };
        let (sent, back) = self.upstream.stream.write(std::mem::take(out), alive).await;
        *out = back;
        out.clear();
        let now = self.downstream.shard.deadlines.now();
        self.upstream.set_deadline(now, Duration::MAX, self.until);
        sent.is_ok()
    }

    async fn read(&mut self) -> Result<bool, Reply> {
        if self.is_answered.get() {
            return Ok(false);
        }
        let now = self.downstream.shard.deadlines.now();
        let watch = &self.downstream.watch;
        let idle = self.forward.settings.timeouts.idle;
        watch.set(now, idle, Action::Shutdown(Shutdown::Read));
        let mut input = std::mem::take(self.input);
        if self.is_large {
            self.downstream.enlarge(&mut input);
        }
        let buffers = &self.downstream.shard.buffers;
        self.downstream.stream.make_room(&mut input, buffers);
        let (read, input) = self
            .downstream
            .stream
            .read_unless(input, watch.cancel_handle())
            .await;
        // Only a large body fills a buffer: then fewer, larger reads pay.
        self.is_large = input.room() == 0;
        *self.input = input;
        match read {
            Ok(1..) => {
                self.upstream.uploaded.set(Some(Instant::now()));
                self.side.borrow_mut().request_body_started();
                Ok(true)
            }
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => Ok(false),
            _ if watch.has_fired() => Err(Reply::late_body()),
            _ => Err(Reply::truncated_body()),
        }
    }
}
