//! Which endpoints there are to watch, kept in step with the table by the configuration thread. What was known of
//! those that stay goes on.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ringgate_core::ir::{Endpoints, Id, Kind};
use ringgate_core::table::{Backend, Compiler, Slot, Table};
use tokio::sync::mpsc;

use crate::shared::health::{BackendHealth, EndpointHealth, Health, Suspect, Tally};

pub(crate) struct Keeper {
    made: Arc<Health>,
    slots: HashMap<Id, Slot>,
    suspects: mpsc::Sender<Suspect>,
}

impl Keeper {
    pub(crate) fn new(suspects: mpsc::Sender<Suspect>) -> Self {
        Self {
            made: Arc::default(),
            slots: HashMap::new(),
            suspects,
        }
    }

    pub(crate) fn made(&self) -> &Arc<Health> {
        &self.made
    }

    /// Takes a change over: `changed` are the objects that were put or removed. Costs what these touch, and a copy
    /// of the list if any is watched.
    pub(crate) fn update(&mut self, compiler: &Compiler, table: &Table, changed: &BTreeSet<Id>) {
        for id in changed.iter().filter(|id| id.kind == Kind::Backend) {
            let slot = compiler.slot_of(id);
            let backend = slot.and_then(|slot| table.backend(slot));
            let backend = backend.filter(|backend| is_watched(backend));
            let before = self.slots.get(id).copied();
            if let Some(before) =
                before.filter(|before| backend.is_none_or(|one| one.slot != *before))
            {
                self.slots.remove(id);
                Arc::make_mut(&mut self.made).remove(before);
            }
            if let Some(backend) = backend {
                self.slots.insert(id.clone(), backend.slot);
                let watched = self.watch(backend);
                Arc::make_mut(&mut self.made).put(watched);
            }
        }
    }

    fn watch(&self, backend: &Arc<Backend>) -> BackendHealth {
        let before = self.made.backend(backend.slot);
        let tally = before.map_or_else(Arc::<Tally>::default, |before| before.tally.clone());
        let addresses = match &backend.backend.endpoints {
            Endpoints::Addresses(all) => all.as_slice(),
            Endpoints::Echo(_) => &[],
        };
        let outliers = backend.backend.settings.outlier_detection;
        let limit = outliers.map_or(0, |outliers| outliers.consecutive_failures);
        let endpoints = addresses.iter().map(|one| {
            let address = one.address;
            let known = before.and_then(|before| before.endpoint(address)).cloned();
            let endpoint = known.unwrap_or_else(|| {
                let whose = (backend.slot, address);
                Arc::new(EndpointHealth::new(whose, &tally, &self.suspects))
            });
            endpoint.limit(limit);
            endpoint
        });
        BackendHealth {
            backend: backend.clone(),
            endpoints: endpoints.collect(),
            tally,
        }
    }
}

fn is_watched(backend: &Backend) -> bool {
    let settings = &backend.backend.settings;
    let has_endpoints = matches!(backend.backend.endpoints, Endpoints::Addresses(_));
    has_endpoints && (settings.health_check.is_some() || settings.outlier_detection.is_some())
}
