//! A shard's life: its thread, its runtime, the commands that it carries out.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::Sender;
use monoio::io::AsyncReadRent;
use ringgate_core::balance::{Random, Whereabouts};
use ringgate_core::table::IpProtocol;

use super::timer::Deadlines;
use super::turns::Turns;
use super::{Buried, Command, End, Report, Shard, ShardTable, Swap};
use crate::accept::Accepting;
use crate::datagram::Datagrams;
use crate::limits;
use crate::neighbours::Neighbours;
use crate::shared::affinity::Affinities;
use crate::sys::affinity;
use crate::sys::clock;
use crate::sys::driver::{AnyRuntime, Choice, Driver};
use crate::sys::io::Turn;
use crate::sys::ready;
use crate::sys::socket::{Bound, always_readable};
use crate::telemetry::access_log::AccessLog;

/// What a shard is started with.
pub(crate) struct Options {
    pub(crate) index: usize,
    pub(crate) core: Option<usize>,
    pub(crate) driver: Choice,
    /// The most clients at a time.
    pub(crate) clients: usize,
    /// The most sockets that datagrams leave from, of each address family.
    pub(crate) datagram_sockets: u32,
    pub(crate) log: AccessLog,
    pub(crate) graveyard: Sender<Buried>,
    pub(crate) seed: u64,
    pub(crate) whereabouts: Whereabouts,
    pub(crate) affinities: Arc<Affinities>,
    pub(crate) neighbours: Neighbours,
}

/// Starts a shard's thread; returns once its runtime stands.
pub(crate) fn spawn(options: Options, end: End) -> io::Result<Driver> {
    let (ready, started) = crossbeam_channel::bounded(1);
    thread::Builder::new()
        .name(format!("shard-{}", options.index))
        .spawn(move || {
            if let Some(core) = options.core {
                affinity::pin(core);
            }
            let built = AnyRuntime::build(options.driver);
            match built.and_then(|built| Ok((built, always_readable()?))) {
                Ok(((mut runtime, driver), always)) => {
                    let _ = ready.send(Ok(driver));
                    runtime.block_on(live(options, driver, always, end));
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        })?;
    started
        .recv()
        .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?
}

async fn live(options: Options, driver: Driver, always: OwnedFd, end: End) {
    let End { commands, woken } = end;
    let empty = ShardTable {
        table: Arc::default(),
        credentials: Arc::default(),
        health: Arc::default(),
        graveyard: options.graveyard.clone(),
    };
    let shard: &'static Shard = Box::leak(Box::new(Shard {
        index: options.index,
        buffers: crate::sys::buffer::Pool::default(),
        http2: crate::http2::Kit::default(),
        pipes: crate::sys::pipe::Pipes::default(),
        deadlines: Deadlines::new(),
        turns: Turns::default(),
        upstreams: crate::upstream::pool::Upstreams::default(),
        whereabouts: options.whereabouts,
        affinities: options.affinities,
        rules: RefCell::default(),
        counters: crate::telemetry::counters::Counters::default(),
        random: RefCell::new(Random::seeded(options.seed)),
        date: crate::telemetry::date::Date::default(),
        log: options.log,
        accepting: Accepting::new(options.clients, options.neighbours),
        datagrams: Datagrams::new(options.datagram_sockets),
        mirrors: Cell::new(0),
        hot: Cell::new(0),
        swaps: Cell::new(0),
        table: RefCell::new(Rc::new(empty)),
    }));
    if let Some(set) = ready::current() {
        set.lend(&shard.buffers);
        monoio::spawn(set.run());
    }
    monoio::spawn(shard.deadlines.run());
    monoio::spawn(keep_house(shard));
    monoio::spawn(shard.accepting.neighbours.weigh());
    let woken = monoio::net::UnixStream::from_std(woken);
    let (Ok(turn), Ok(mut woken)) = (Turn::new(always), woken) else {
        return;
    };
    monoio::spawn(shard.turns.run(turn));
    let mut bytes = vec![0_u8; 64];
    loop {
        while let Ok(command) = commands.try_recv() {
            shard.carry_out(command, driver, &options.graveyard);
        }
        let (read, back) = woken.read(bytes).await;
        bytes = back;
        if !matches!(read, Ok(1..)) {
            return;
        }
    }
}

/// Closes upstream connections that were idle for too long, and frees buffers and pipes after a burst.
async fn keep_house(shard: &'static Shard) {
    loop {
        monoio::time::sleep(limits::HOUSEKEEPING).await;
        shard.upstreams.prune(shard.deadlines.now());
        shard.buffers.trim();
        shard.http2.trim();
        shard.pipes.trim();
        shard.datagrams.prune(shard);
    }
}

impl Shard {
    fn carry_out(&'static self, command: Command, driver: Driver, graveyard: &Sender<Buried>) {
        match command {
            Command::Swap(swap) => self.swap(*swap, graveyard),
            Command::Hush => self.accepting.hush_all(),
            Command::Drain => self.drain(),
            Command::Serve(handed) => self.accepting.take(self, *handed),
            Command::Report(to) => {
                let _ = to.try_send(Report {
                    shard: self.index,
                    driver,
                    clients: self.accepting.clients(),
                    sessions: self.datagrams.sessions(),
                    busy_sessions: self.datagrams.busy(self.deadlines.now()),
                    idle_upstreams: self.upstreams.idle(),
                    cpu_time: clock::of_this_thread(),
                    counted: self.counters.counted(),
                });
            }
        }
    }

    /// A new set of sockets stands before the old one goes, and the table lies between.
    fn swap(&'static self, swap: Swap, graveyard: &Sender<Buried>) {
        let next = ShardTable {
            table: swap.table,
            credentials: swap.credentials,
            health: swap.health,
            graveyard: graveyard.clone(),
        };
        drop(self.table.replace(Rc::new(next)));
        self.swaps.set(self.swaps.get().wrapping_add(1));
        self.upstreams.retire(&swap.retired);
        self.rules.borrow_mut().retire(&swap.retired);
        self.counters.retire(&swap.retired);
        self.datagrams.changed();
        for (bind, socket) in swap.open {
            match socket {
                Bound::Connections(socket) => self.accepting.open(self, bind, socket),
                Bound::Datagrams(socket) => self.datagrams.open(self, bind, socket),
            }
        }
        for bind in swap.close {
            match bind.protocol {
                IpProtocol::Tcp => self.accepting.close(self, bind),
                IpProtocol::Udp => self.datagrams.close(self, bind),
            }
        }
        let _ = swap.done.try_send(());
    }

    fn drain(&'static self) {
        self.accepting.close_all();
        self.deadlines.end_idle(None);
    }
}
