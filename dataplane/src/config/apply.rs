//! A change into force: compiled here, off the shards; sockets made for all shards before any of them
//! hears of it; then the same table for all.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use ringgate_core::ir::{Id, Object, Snapshot, Version};
use ringgate_core::table::{Bind, Compiled, Compiler, Objects, Table};
use tokio::sync::mpsc;

use crate::health;
use crate::shard::{Buried, Command, Handle, Swap};
use crate::shared::health::{Health, Suspect};
use crate::sys::socket::{self, Bound};
use crate::tls::credentials::{Credentials, Keeper};

/// A shard that doesn't answer for so long is stuck; the change is in force on the others.
const PATIENCE: Duration = Duration::from_secs(5);

/// The sockets of new addresses and ports, one per shard, made ready before shards hear of a change.
type Prepared = Vec<(Bind, Vec<Bound>)>;

/// Puts changes into force.
pub(crate) struct Applier {
    compiler: Compiler,
    keeper: Keeper,
    watched: health::Keeper,
    shards: Arc<Vec<Handle>>,
    /// Where our sockets are.
    held: BTreeSet<Bind>,
    /// Where they should be, and why they aren't.
    unbound: BTreeMap<Bind, String>,
    in_force: Arc<Table>,
    problems: Vec<(Id, String)>,
    /// Tables that no shard uses any more come here to be dropped.
    graveyard: Receiver<Buried>,
}

impl Applier {
    pub(crate) fn new(
        shards: Arc<Vec<Handle>>,
        graveyard: Receiver<Buried>,
        suspects: mpsc::Sender<Suspect>,
    ) -> Self {
        Self {
            compiler: Compiler::default(),
            keeper: Keeper::new(),
            watched: health::Keeper::new(suspects),
            shards,
            held: BTreeSet::new(),
            unbound: BTreeMap::new(),
            in_force: Arc::default(),
            problems: Vec::new(),
            graveyard,
        }
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.in_force
    }

    pub(crate) fn credentials(&self) -> &Arc<Credentials> {
        self.keeper.made()
    }

    pub(crate) fn health(&self) -> &Arc<Health> {
        self.watched.made()
    }

    pub(crate) fn objects(&self) -> &Objects {
        self.compiler.objects()
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Everything that is not as it should be.
    pub(crate) fn failures(&self) -> Vec<(Id, String)> {
        let mut failures = self.problems.clone();
        for (bind, reason) in &self.unbound {
            let port = self.in_force.port(*bind);
            let listeners = port.into_iter().flat_map(|port| port.listeners());
            failures.extend(
                listeners.map(|one| (Id::listener(&one.gateway, &one.name), reason.clone())),
            );
        }
        failures.extend(self.keeper.failures());
        failures.sort();
        failures
    }

    pub(crate) fn replace(&mut self, snapshot: Snapshot) {
        let before = self.compiler.objects().keys();
        let changed = before.chain(snapshot.objects.keys()).cloned().collect();
        let compiled = self.compiler.replace(snapshot);
        self.commit(compiled, &changed);
    }

    pub(crate) fn update(&mut self, version: Version, upsert: Vec<(Id, Object)>, remove: Vec<Id>) {
        let changed = upsert.iter().map(|(id, _)| id).chain(&remove);
        let changed = changed.cloned().collect();
        let compiled = self.compiler.update(version, upsert, remove);
        self.commit(compiled, &changed);
    }

    pub(crate) fn is_bound(&self) -> bool {
        self.unbound.is_empty()
    }

    /// Tries again what could not be bound; whether anything changed.
    pub(crate) fn bind_again(&mut self) -> bool {
        let before = self.unbound.clone();
        let table = self.in_force.clone();
        self.swap(table, &[]);
        self.unbound != before
    }

    fn commit(&mut self, compiled: Compiled, changed: &BTreeSet<Id>) {
        let table = &compiled.table;
        self.keeper.update(&self.compiler, changed);
        self.watched.update(&self.compiler, table, changed);
        self.problems = compiled
            .problems
            .into_iter()
            .map(|problem| (problem.object, problem.error.to_string()))
            .collect();
        self.swap(compiled.table, &compiled.retired);
    }

    fn swap(&mut self, table: Arc<Table>, retired: &[ringgate_core::table::Slot]) {
        let wanted: BTreeSet<_> = table.ports.iter().map(|port| port.bind).collect();
        let close: Vec<_> = self.held.difference(&wanted).copied().collect();
        let mut prepared = self.prepare(&wanted);
        self.in_force = table.clone();
        let retired: Arc<[_]> = retired.into();
        let (done, answers) = crossbeam_channel::bounded(self.shards.len());
        let mut told = 0;
        for shard in self.shards.iter() {
            let open = prepared
                .iter_mut()
                .filter_map(|(bind, sockets)| Some((*bind, sockets.pop()?)));
            let swap = Swap {
                table: table.clone(),
                credentials: self.keeper.made().clone(),
                health: self.watched.made().clone(),
                open: open.collect(),
                close: close.clone(),
                retired: retired.clone(),
                done: done.clone(),
            };
            told += usize::from(shard.send(Command::Swap(Box::new(swap))));
        }
        for _ in 0..told {
            if answers.recv_timeout(PATIENCE).is_err() {
                tracing::error!("a shard doesn't take the new table: is it stuck?");
                break;
            }
        }
        self.held.retain(|bind| wanted.contains(bind));
        self.held.extend(prepared.iter().map(|(bind, _)| *bind));
        self.bury();
    }

    /// Makes the sockets of all new addresses, for all shards, or for none.
    fn prepare(&mut self, wanted: &BTreeSet<Bind>) -> Prepared {
        let mut prepared = Prepared::new();
        let before = std::mem::take(&mut self.unbound);
        for bind in wanted.difference(&self.held) {
            match self.sockets(*bind) {
                Ok(sockets) => prepared.push((*bind, sockets)),
                Err(error) => {
                    let reason = unbound(*bind, &error);
                    if before.get(bind) != Some(&reason) {
                        tracing::error!(%bind, "{reason}");
                    }
                    self.unbound.insert(*bind, reason);
                }
            }
        }
        prepared
    }

    fn sockets(&self, bind: Bind) -> io::Result<Vec<Bound>> {
        // Our own sockets on the same port would answer the probe.
        let is_of_port = |held: &Bind| (held.protocol, held.port) == (bind.protocol, bind.port);
        if !self.held.iter().any(is_of_port) {
            socket::probe(bind)?;
        }
        socket::bind_all(bind, self.shards.len())
    }

    /// Drops tables that no shard uses any more.
    pub(crate) fn bury(&self) {
        while self.graveyard.try_recv().is_ok() {}
    }
}

/// One sentence with the remedy.
fn unbound(bind: Bind, error: &io::Error) -> String {
    let port = bind.port;
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "port {port} can't be bound: permission denied; give the process CAP_NET_BIND_SERVICE, \
             run it as root, or choose a port above 1023"
        ),
        io::ErrorKind::AddrInUse => format!(
            "{bind} can't be bound: another process listens there; stop it, or choose another port"
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "{bind} can't be bound: the address is not one of this host; put it on an interface"
        ),
        _ => format!("{bind} can't be bound: {error}"),
    }
}
