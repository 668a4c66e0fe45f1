//! A response's body on its way to the client; what is large of it within the kernel, if its bytes go on as they came.

use ringgate_core::http1::Relay;

use super::{Came, Receiving, Stop};
use crate::limits;
use crate::shard::timer::Action;
use crate::splice::{self, Broken, Flow};
use crate::sys::buffer::Buffer;
use crate::sys::socket::Shutdown;

impl Receiving<'_> {
    /// Passes a body on as it comes. `out` holds the head, which goes with the body's first part.
    pub(super) async fn pass_body(
        &mut self,
        relay: &mut Relay,
        mut out: Buffer,
    ) -> (Result<(), Stop>, Buffer) {
        loop {
            let length = self.input.len();
            if out.is_empty() && length > 0 && relay.verbatim(length) == length {
                // Nothing to add: the bytes go out from where they came in.
                relay.advance(length);
                std::mem::swap(&mut out, &mut self.input);
            } else {
                if out.capacity() == 0 {
                    out = self.downstream.buffer();
                }
                let room = self.downstream.body_buffer();
                match relay.pump(self.input.pending(), out.out(), room) {
                    Ok(taken) => self.input.consume(taken),
                    Err(_) => return (Err(Stop::Backend), out),
                }
            }
            let (is_sent, back) = self.write(out).await;
            out = back;
            if !is_sent {
                return (Err(Stop::Client), out);
            }
            if relay.is_done() {
                return (Ok(()), out);
            }
            if !self.input.is_empty() {
                continue;
            }
            if self.is_large {
                // Boxed for the sake of those that aren't large.
                if let Err(stop) = Box::pin(self.splice(relay)).await {
                    return (Err(stop), out);
                }
                if relay.is_done() {
                    return (Ok(()), out);
                }
            }
            if out.capacity() > self.input.capacity() {
                std::mem::swap(&mut out, &mut self.input);
            }
            self.downstream.shard.buffers.rest(&mut out);
            self.downstream.shard.buffers.rest(&mut self.input);
            match self.read().await {
                Came::Bytes => {}
                Came::End if relay.end_of_stream(out.out()).is_ok() => {}
                Came::End | Came::Failure => return (Err(Stop::Backend), out),
            }
        }
    }

    /// Passes on what may be passed on unseen, if it is much; the rest is for who looks at it.
    async fn splice(&self, relay: &mut Relay) -> Result<(), Stop> {
        let streams = (self.upstream.stream.bare(), self.downstream.stream.bare());
        let (Some(source), Some(sink)) = streams else {
            return Ok(());
        };
        let mut rest = Rest {
            receiving: self,
            relay,
        };
        if rest.left() == 0 {
            return Ok(());
        }
        let carried = splice::run(self.downstream.shard, (source, sink), &mut rest).await;
        self.is_writing.set(false);
        if !self.is_uploading.get() {
            self.downstream.watch.clear();
        }
        match carried {
            Ok(()) => Ok(()),
            Err(Broken::Source) => Err(Stop::Backend),
            Err(Broken::Sink) => Err(Stop::Client),
        }
    }
}

/// What is left of a body.
struct Rest<'r, 'x> {
    receiving: &'r Receiving<'x>,
    relay: &'r mut Relay,
}

impl Flow for Rest<'_, '_> {
    /// Little is cheaper by a buffer, in which more may come behind it.
    fn left(&self) -> usize {
        match self.relay.verbatim(usize::MAX) {
            ..limits::SPLICED_BYTES => 0,
            left => left,
        }
    }

    fn waits(&self) {
        let receiving = self.receiving;
        receiving.is_writing.set(false);
        if !receiving.is_uploading.get() {
            receiving.downstream.watch.clear();
        }
        receiving.expect();
    }

    fn came(&mut self, bytes: usize) {
        self.relay.advance(bytes);
        if !self.receiving.is_uploading.get() {
            self.receiving.upstream.watch.clear();
        }
    }

    fn leaves(&self) {
        self.receiving.is_writing.set(true);
        let downstream = self.receiving.downstream;
        let idle = self.receiving.forward.settings.timeouts.idle;
        let now = downstream.shard.deadlines.now();
        let until = Action::Shutdown(Shutdown::Both);
        downstream.watch.set(now, idle, until);
    }

    fn is_late(&self) -> bool {
        self.receiving.upstream.watch.has_fired()
    }
}
