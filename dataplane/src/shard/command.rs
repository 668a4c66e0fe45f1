//! What reaches a shard from outside, or from another shard: by a channel, and a byte on a socket that wakes it.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use ringgate_core::table::{Bind, Slot, Table};

use crate::limits;
use crate::neighbours::Handed;
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
    /// Serve a connection that another shard has accepted.
    Serve(Box<Handed>),
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
    /// How long its thread was on a core.
    pub(crate) cpu_time: Duration,
    pub(crate) counted: Counted,
}

/// The outside end of a shard.
pub(crate) struct Handle {
    commands: Sender<Command>,
    wake: UnixStream,
}

/// The shard's own end.
pub(crate) struct End {
    pub(super) commands: Receiver<Command>,
    pub(super) woken: UnixStream,
}

impl Handle {
    /// Of a shard that is to be.
    pub(crate) fn new() -> std::io::Result<(Self, End)> {
        let (commands, receiver) = bounded(limits::COMMANDS);
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let end = End {
            commands: receiver,
            woken,
        };
        Ok((Self { commands, wake }, end))
    }

    /// A connection for the shard; never waits. What a shard that is stuck or gone doesn't take comes back.
    pub(crate) fn hand(&self, handed: Handed) -> Result<(), Handed> {
        let sent = self.commands.try_send(Command::Serve(Box::new(handed)));
        if let Err(Command::Serve(handed)) = sent.map_err(TrySendError::into_inner) {
            return Err(*handed);
        }
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        // A full socket means that the shard has not yet seen earlier wakes: it will see this command.
        let _ = (&self.wake).write(&[1]);
    }

    /// False if the shard is gone.
    pub(crate) fn send(&self, command: Command) -> bool {
        let sent = self.commands.send(command).is_ok();
        self.wake();
        sent
    }
}
