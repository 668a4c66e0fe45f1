//! A tunnel between client and backend: bytes both ways, whatever they mean (RFC 9110, section 7.8).

use std::cell::Cell;
use std::time::Duration;

use crate::downstream::Downstream;
use crate::join::both;
use crate::limits;
use crate::shard::timer::{Action, Watched};
use crate::sys::buffer::Buffer;
use crate::sys::socket::Shutdown;
use crate::transport::Transport;
use crate::upstream::pool::Connection;

/// How many bytes went through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Carried {
    /// To the backend.
    pub(crate) up: u64,
    /// To the client.
    pub(crate) down: u64,
}

/// Carries bytes until both sides have ended, or neither has sent anything for `idle`. `sent` and
/// `received` are what came before.
pub(crate) async fn run(
    downstream: &Downstream,
    upstream: &Connection,
    idle: Duration,
    sent: Buffer,
    received: Buffer,
) -> Carried {
    let shard = downstream.shard;
    let alive = || {
        let now = shard.deadlines.now();
        let watches: [&Watched; 2] = [&downstream.watch, &upstream.watch];
        for watch in watches {
            watch.set(now, idle, Action::Shutdown(Shutdown::Both));
        }
    };
    let (up, down) = (Cell::new(0), Cell::new(0));
    let upward = Way {
        from: &downstream.stream,
        to: &upstream.stream,
        bytes: &up,
    };
    let downward = Way {
        from: &upstream.stream,
        to: &downstream.stream,
        bytes: &down,
    };
    let (is_unheard, is_over) = (Cell::new(false), Cell::new(false));
    let upward = async {
        let (carried, mut buffer) = upward.carry(sent, &alive).await;
        if let Err(Lost) = carried {
            // The backend may still have something to say. Unread bytes of the client would make the kernel
            // reset its connection, and destroy that.
            is_unheard.set(true);
            if is_over.get() {
                downstream.watch.linger();
            }
            buffer = upward.drain(buffer).await;
        }
        buffer
    };
    let downward = async {
        let (carried, buffer) = downward.carry(received, &alive).await;
        if let Err(Lost) = carried {
            upstream.stream.reset();
        }
        is_over.set(true);
        if is_unheard.get() {
            downstream.watch.linger();
        }
        buffer
    };
    let (sent, received) = both(upward, downward).await;
    shard.buffers.give(sent);
    shard.buffers.give(received);
    Carried {
        up: up.get(),
        down: down.get(),
    }
}

struct Way<'w> {
    from: &'w Transport,
    to: &'w Transport,
    bytes: &'w Cell<u64>,
}

/// Whoever the bytes are for takes no more.
struct Lost;

impl Way<'_> {
    /// One direction to its end; a side that has ended is told to the other, which may go on sending.
    async fn carry(&self, mut buffer: Buffer, alive: &impl Fn()) -> (Result<(), Lost>, Buffer) {
        loop {
            self.bytes.set(self.bytes.get() + buffer.len() as u64);
            let (written, back) = self.to.write(buffer, alive).await;
            buffer = back;
            buffer.clear();
            if written.is_err() {
                return (Err(Lost), buffer);
            }
            buffer.reserve(limits::BUFFER_BYTES);
            alive();
            let (read, back) = self.from.read(buffer).await;
            buffer = back;
            match read {
                Ok(1..) => {}
                Ok(_) => {
                    self.to.finish().await;
                    return (Ok(()), buffer);
                }
                // What came before is not whole, and must not look so.
                Err(_) => {
                    self.to.reset();
                    return (Ok(()), buffer);
                }
            }
        }
    }

    /// Reads to nowhere.
    async fn drain(&self, mut buffer: Buffer) -> Buffer {
        loop {
            buffer.clear();
            buffer.reserve(limits::BUFFER_BYTES);
            let (read, back) = self.from.read(buffer).await;
            buffer = back;
            if !matches!(read, Ok(1..)) {
                return buffer;
            }
        }
    }
}
