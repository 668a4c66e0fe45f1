//! What reaches a shard from outside: by a channel, and a byte on a socket that wakes it.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crossbeam_channel::Sender;
use ringgate_core::table::{Bind, Slot, Table};

use crate::shared::health::Health;
use crate::sys::driver::Driver;
use crate::sys::socket::Bound;
use crate::telemetry::counters::Counted;
use crate::tls::credentials::Credentials;

pub(crate) enum Command {
    Swap(Box<Swap>),
    /// Counters and state, for whoever looks inside.
    Report(Sender<Report>),
    /// Of listeners on addresses of their own: hear no new connection, and refuse none; answers say `Connection: close`.
    Hush,
    /// Accept no more; answers say `Connection: close`.
    Drain,
}

/// A new table, with the sockets that come and go with it. Everything that can fail has been done.
pub(crate) struct Swap {
    pub(crate) table: Arc<Table>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) health: Arc<Health>,
    pub(crate) open: Vec<(Bind, Bound)>,
    pub(crate) close: Vec<Bind>,
    pub(crate) retired: Arc<[Slot]>,
    /// Told when the table is in force on this shard.
    pub(crate) done: Sender<()>,
}

/// What a shard says of itself.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) shard: usize,
    pub(crate) driver: Driver,
    pub(crate) clients: usize,
    /// Of datagrams.
    pub(crate) sessions: usize,
    /// Those of them that were used just now.
    pub(crate) busy_sessions: usize,
    pub(crate) idle_upstreams: usize,
    pub(crate) counted: Counted,
}

/// The outside end of a shard.
pub(crate) struct Handle {
    pub(super) commands: Sender<Command>,
    pub(super) wake: UnixStream,
}

impl Handle {
    /// False if the shard is gone.
    pub(crate) fn send(&self, command: Command) -> bool {
        let sent = self.commands.send(command).is_ok();
        // A full socket means that the shard has not yet seen earlier wakes: it will see this command.
        let _ = (&self.wake).write(&[1]);
        sent
    }
}
