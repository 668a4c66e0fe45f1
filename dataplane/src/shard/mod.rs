//! A shard: one thread, one runtime, its own sockets, pools, counters and table. Nothing in here is
//! shared with another shard; what reaches it comes by [`Command`].

mod command;
mod run;
mod state;
pub(crate) mod timer;
mod turns;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::Sender;
use ringgate_core::balance::{Random, Whereabouts};
use ringgate_core::table::Table;

pub(crate) use command::{Command, End, Handle, Report, Swap};
pub(crate) use run::{Options, spawn};
pub(crate) use state::RuleStates;
use timer::Deadlines;
use turns::Turns;

use crate::accept::Accepting;
use crate::datagram::Datagrams;
use crate::http2::Kit;
use crate::shared::affinity::Affinities;
use crate::shared::health::Health;
use crate::sys::buffer::Pool;
use crate::sys::pipe::Pipes;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::counters::Counters;
use crate::telemetry::date::Date;
use crate::tls::credentials::Credentials;
use crate::upstream::pool::Upstreams;

/// Everything that a shard's tasks share. Lives as long as its thread, and that is as long as the
/// process: so it is leaked, and tasks need no reference counts.
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) buffers: Pool,
    pub(crate) http2: Kit,
    pub(crate) pipes: Pipes,
    pub(crate) deadlines: Deadlines,
    pub(crate) turns: Turns,
    pub(crate) upstreams: Upstreams,
    /// Of this data plane.
    pub(crate) whereabouts: Whereabouts,
    pub(crate) affinities: Arc<Affinities>,
    pub(crate) rules: RefCell<RuleStates>,
    pub(crate) counters: Counters,
    pub(crate) random: RefCell<Random>,
    pub(crate) date: Date,
    pub(crate) log: AccessLog,
    pub(crate) accepting: Accepting,
    pub(crate) datagrams: Datagrams,
    pub(crate) mirrors: Cell<usize>,
    /// Connections that wait for their next request with a buffer at hand.
    pub(crate) hot: Cell<usize>,
    /// Counts tables, for whoever lasts longer than one.
    swaps: Cell<u32>,
    table: RefCell<Rc<ShardTable>>,
}

/// The table that a shard serves from: requests count references here, within the shard, and not on the
/// `Arc` that all shards share.
pub(crate) struct ShardTable {
    table: Arc<Table>,
    credentials: Arc<Credentials>,
    health: Arc<Health>,
    /// Where tables are dropped: not on a shard, for that can take milliseconds.
    graveyard: Sender<Buried>,
}

/// What no shard uses any more.
pub(crate) type Buried = (Arc<Table>, Arc<Credentials>, Arc<Health>);

impl ShardTable {
    /// What belongs to the table's listeners and backends.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// What is thought of its backends' endpoints.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }
}

impl std::ops::Deref for ShardTable {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.table
    }
}

impl Drop for ShardTable {
    fn drop(&mut self) {
        // If nobody takes it any more, the process ends.
        let buried = (
            std::mem::take(&mut self.table),
            std::mem::take(&mut self.credentials),
            std::mem::take(&mut self.health),
        );
        let _ = self.graveyard.send(buried);
    }
}

impl Shard {
    /// The table in force. A request takes it once and uses it to its end.
    pub(crate) fn table(&self) -> Rc<ShardTable> {
        self.table.borrow().clone()
    }

    pub(crate) fn swaps(&self) -> u32 {
        self.swaps.get()
    }
}
