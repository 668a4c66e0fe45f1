//! A tunnel between client and backend: bytes both ways, whatever they mean (RFC 9110, section 7.8).

use std::cell::Cell;
use std::io;
use std::pin::pin;
use std::time::Duration;

use crate::downstream::Downstream;
use crate::join::both;
use crate::limits;
use crate::shard::Shard;
use crate::shard::timer::{Action, Millis, Watched};
use crate::splice::{self, Broken, Flow};
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
    let client = Side::new(&downstream.stream, &downstream.watch);
    let backend = Side::new(&upstream.stream, &upstream.watch);
    let tunnel = Tunnel {
        shard: downstream.shard,
        idle,
        last: Cell::new(0),
        sides: [&client, &backend],
    };
    let (is_unheard, is_over) = (Cell::new(false), Cell::new(false));
    let upward = async {
        let (carried, mut buffer) = tunnel.carry(&client, &backend, sent).await;
        if let Err(Lost) = carried {
            // The backend may still have something to say. Unread bytes of the client would make the kernel
            // reset its connection, and destroy that.
            is_unheard.set(true);
            if is_over.get() {
                downstream.watch.linger();
            }
            buffer = client.drain(downstream.shard, buffer).await;
        }
        buffer
    };
    let downward = async {
        let (carried, buffer) = tunnel.carry(&backend, &client, received).await;
        if let Err(Lost) = carried {
            upstream.stream.reset();
        }
        is_over.set(true);
        if is_unheard.get() {
            downstream.watch.linger();
        }
        buffer
    };
    let (sent, received) = both(pin!(upward), pin!(downward)).await;
    downstream.shard.buffers.give(sent);
    downstream.shard.buffers.give(received);
    Carried {
        up: client.bytes.get(),
        down: backend.bytes.get(),
    }
}

struct Tunnel<'t> {
    shard: &'static Shard,
    idle: Duration,
    /// When something went through, either way.
    last: Cell<Millis>,
    sides: [&'t Side<'t>; 2],
}

/// One of the two connections.
struct Side<'t> {
    stream: &'t Transport,
    watch: &'t Watched,
    /// How many bytes came from it.
    bytes: Cell<u64>,
    /// It is likely to send soon, and read from with a buffer at hand: its deadline is the end of that.
    is_hot: Cell<bool>,
}

/// Whoever the bytes are for takes no more.
struct Lost;

/// One of its directions.
struct Way<'w, 't> {
    tunnel: &'w Tunnel<'t>,
    from: &'w Side<'t>,
}

impl Flow for Way<'_, '_> {
    fn left(&self) -> usize {
        usize::MAX
    }

    /// Its deadline is that of the tunnel.
    fn waits(&self) {}

    fn came(&mut self, bytes: usize) {
        self.from.bytes.set(self.from.bytes.get() + bytes as u64);
    }

    fn leaves(&self) {
        self.tunnel.live();
    }
}

impl Tunnel<'_> {
    /// One direction to its end; a side that has ended is told to the other, which may go on sending.
    async fn carry(
        &self,
        from: &Side<'_>,
        to: &Side<'_>,
        mut buffer: Buffer,
    ) -> (Result<(), Lost>, Buffer) {
        let mut is_busy = false;
        loop {
            from.bytes.set(from.bytes.get() + buffer.len() as u64);
            let (written, back) = to.stream.write(buffer, || self.live()).await;
            buffer = back;
            buffer.clear();
            if written.is_err() {
                return (Err(Lost), buffer);
            }
            self.live();
            if is_busy {
                self.shard.buffers.give(std::mem::take(&mut buffer));
                match self.splice(from, to).await {
                    Ok(()) => {}
                    Err(Broken::Sink) => return (Err(Lost), buffer),
                    Err(Broken::Source) => {
                        to.stream.reset();
                        return (Ok(()), buffer);
                    }
                }
            }
            let (read, back) = self.read(from, buffer).await;
            buffer = back;
            is_busy = buffer.len() >= limits::BUFFER_BYTES;
            match read {
                Ok(1..) => {}
                Ok(_) => {
                    to.stream.finish().await;
                    return (Ok(()), buffer);
                }
                // What came before is not whole, and must not look so.
                Err(_) => {
                    to.stream.reset();
                    return (Ok(()), buffer);
                }
            }
        }
    }

    /// Carries what comes within the kernel, where both sides are sockets.
    async fn splice(&self, from: &Side<'_>, to: &Side<'_>) -> Result<(), Broken> {
        match (from.stream.bare(), to.stream.bare()) {
            (Some(source), Some(sink)) => {
                splice::run(self.shard, (source, sink), &mut Way { tunnel: self, from }).await
            }
            _ => Ok(()),
        }
    }

    /// Something has come, or is about to leave.
    fn live(&self) {
        let now = self.shard.deadlines.now();
        self.last.set(now);
        for side in self.sides {
            if !side.is_hot.get() {
                let until = Action::Shutdown(Shutdown::Both);
                side.watch.set(now, self.idle, until);
            }
        }
    }

    /// What a side sends next. For a short time it is waited for with a buffer at hand, which saves asking first
    /// whether there is something to read; then without one, however long that takes.
    async fn read(&self, from: &Side<'_>, mut buffer: Buffer) -> (io::Result<usize>, Buffer) {
        from.stream.make_room(&mut buffer, &self.shard.buffers);
        let soon = Duration::from_millis(limits::HOT_MS).min(self.idle);
        from.is_hot.set(true);
        from.watch.set(self.last.get(), soon, Action::CancelRead);
        let handle = from.watch.cancel_handle();
        let (read, mut buffer) = from.stream.read_unless(buffer, handle).await;
        from.is_hot.set(false);
        let until = Action::Shutdown(Shutdown::Both);
        from.watch.set(self.last.get(), self.idle, until);
        let is_cancelled = |error: &io::Error| error.raw_os_error() == Some(libc::ECANCELED);
        if !read.as_ref().is_err_and(is_cancelled) {
            return (read, buffer);
        }
        self.shard.buffers.give(std::mem::take(&mut buffer));
        if let Err(error) = from.stream.readable().await {
            return (Err(error), buffer);
        }
        from.stream.make_room(&mut buffer, &self.shard.buffers);
        from.stream.read(buffer).await
    }
}

impl<'t> Side<'t> {
    fn new(stream: &'t Transport, watch: &'t Watched) -> Self {
        Self {
            stream,
            watch,
            bytes: Cell::new(0),
            is_hot: Cell::new(false),
        }
    }

    /// Reads to nowhere.
    async fn drain(&self, shard: &Shard, mut buffer: Buffer) -> Buffer {
        loop {
            buffer.clear();
            self.stream.make_room(&mut buffer, &shard.buffers);
            let (read, back) = self.stream.read(buffer).await;
            buffer = back;
            if !matches!(read, Ok(1..)) {
                return buffer;
            }
        }
    }
}
