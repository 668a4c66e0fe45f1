//! Which endpoint of a backend, by the backend's balance, among those that this data plane uses. An endpoint's connections are
//! `pool`'s.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringgate_core::balance;
use ringgate_core::ir::{Balance, Endpoints};
use ringgate_core::table::Backend;

use super::pool::Endpoint;
use crate::limits;
use crate::shard::Shard;
use crate::shard::timer::Millis;
use crate::shared::health::BackendHealth;

/// Whom an endpoint is chosen for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub(crate) client: IpAddr,
    /// What consistent hashing goes by; none: the client's address.
    pub(crate) key: Option<u64>,
}

impl Asker {
    /// All that is known is the client.
    pub(crate) const fn client(client: IpAddr) -> Self {
        Self { client, key: None }
    }
}

/// What a shard keeps for a backend: its endpoints as of the version that was seen last.
pub(super) struct Backing {
    pub(super) seen: Arc<Backend>,
    /// Ascending by address.
    pub(super) endpoints: Vec<Rc<Endpoint>>,
    /// The places of those that are used, ascending.
    usable: Vec<u32>,
    /// What is thought of them, and as of which change. None: it isn't watched.
    health: Option<(Arc<BackendHealth>, u32)>,
    turn: usize,
}

impl Backing {
    pub(super) fn new(shard: &Shard, backend: &Arc<Backend>) -> Self {
        let mut backing = Self {
            seen: backend.clone(),
            endpoints: Vec::new(),
            usable: Vec::new(),
            health: None,
            turn: 0,
        };
        backing.renew(shard, backend);
        backing
    }

    /// None: there is none to use. `tried` is avoided if there is another.
    pub(super) fn choose(
        &mut self,
        shard: &Shard,
        asker: Asker,
        tried: Option<SocketAddr>,
    ) -> Option<Rc<Endpoint>> {
        self.look_again(shard);
        if self.fails_open() {
            let counters = &shard.counters;
            counters.total(|totals| totals.unhealthy_choices += 1);
        }
        let tried = tried.and_then(|tried| self.place_of(tried));
        let settings = &self.seen.backend.settings;
        let place = match (settings.affinity, settings.slow_start) {
            (Some(lasting), _) => self.lasting(shard, asker, tried, lasting),
            (None, Some(within)) => self.slowly(shard, asker, tried, within),
            (None, None) => self.balanced(shard, asker, tried),
        };
        self.endpoints.get(place?).cloned()
    }

    fn balanced(&mut self, shard: &Shard, asker: Asker, tried: Option<usize>) -> Option<usize> {
        let count = self.usable.len();
        let tried_at = tried.and_then(|tried| self.position(tried));
        let at = match self.seen.backend.settings.balance {
            Balance::Consistent(_) => return self.consistent(asker, tried),
            Balance::RoundRobin => balance::next_in_turn(count, tried_at, &mut self.turn),
            Balance::LeastLoadedOfTwo => {
                let mut random = shard.random.borrow_mut();
                let load = |at| self.used(at).map_or(0, |endpoint| endpoint.load.get());
                balance::less_loaded_of_two(count, tried_at, &mut random, load)
            }
        };
        self.place_at(at?)
    }

    /// An endpoint that joined others gets a share that grows with time: it is passed over, more and more seldom.
    fn slowly(
        &mut self,
        shard: &Shard,
        asker: Asker,
        tried: Option<usize>,
        within: Duration,
    ) -> Option<usize> {
        let first = self.balanced(shard, asker, tried)?;
        let is_hash = matches!(self.seen.backend.settings.balance, Balance::Consistent(_));
        if is_hash || !self.is_passed_over(shard, first, within) {
            return Some(first);
        }
        let second = self.balanced(shard, asker, Some(first));
        second.filter(|one| Some(*one) != tried).or(Some(first))
    }

    fn is_passed_over(&self, shard: &Shard, place: usize, within: Duration) -> bool {
        let Some(endpoint) = self.endpoints.get(place) else {
            return false;
        };
        let Some(joined) = endpoint.joined.get() else {
            return false;
        };
        let for_ms = shard.deadlines.now().saturating_sub(joined);
        let within = Millis::try_from(within.as_millis()).unwrap_or(Millis::MAX);
        if for_ms >= within {
            endpoint.joined.set(None);
            return false;
        }
        let share = for_ms.max(within / limits::SLOW_START_LEAST);
        shard.random.borrow_mut().bits() % within >= share
    }

    /// A client stays with its endpoint as long as that is used.
    fn lasting(
        &self,
        shard: &Shard,
        asker: Asker,
        tried: Option<usize>,
        lasting: Duration,
    ) -> Option<usize> {
        let whose = (self.seen.slot, asker.client.to_canonical());
        let kept = shard.affinities.get(whose);
        let kept = kept.and_then(|address| self.place_of(address));
        let kept = kept.filter(|place| self.is_usable(*place, tried));
        let place = kept.or_else(|| self.heaviest(balance::key_of_client(asker.client), tried))?;
        let address = self.endpoints.get(place)?.address;
        shard.affinities.put(whose, address, lasting);
        Some(place)
    }

    fn consistent(&self, asker: Asker, tried: Option<usize>) -> Option<usize> {
        let key = asker
            .key
            .unwrap_or_else(|| balance::key_of_client(asker.client));
        let table = self.seen.consistent.as_ref();
        let place = table.and_then(|table| table.place(key, |place| self.is_usable(place, tried)));
        place.or_else(|| self.heaviest(key, tried))
    }

    /// Of all that are used.
    fn heaviest(&self, key: u64, tried: Option<usize>) -> Option<usize> {
        let places = (0..self.usable.len()).filter_map(|at| self.place_at(at));
        let others = places.filter(|place| !self.is_avoided(*place, tried));
        let weighed = others.filter_map(|place| Some((place, self.endpoints.get(place)?.key)));
        balance::highest_weight(key, weighed)
    }

    fn is_usable(&self, place: usize, tried: Option<usize>) -> bool {
        !self.is_avoided(place, tried) && self.position(place).is_some()
    }

    fn is_avoided(&self, place: usize, tried: Option<usize>) -> bool {
        tried == Some(place) && self.usable.len() > 1
    }

    fn place_of(&self, address: SocketAddr) -> Option<usize> {
        let found = self
            .endpoints
            .binary_search_by_key(&address, |one| one.address);
        found.ok()
    }

    /// Where an endpoint stands among those that are used.
    fn position(&self, place: usize) -> Option<usize> {
        let place = u32::try_from(place).ok()?;
        self.usable.binary_search(&place).ok()
    }

    fn place_at(&self, at: usize) -> Option<usize> {
        usize::try_from(*self.usable.get(at)?).ok()
    }

    fn used(&self, at: usize) -> Option<&Rc<Endpoint>> {
        self.endpoints.get(self.place_at(at)?)
    }

    /// Takes new endpoints over; those that stay keep their connections and load.
    pub(super) fn renew(&mut self, shard: &Shard, backend: &Arc<Backend>) {
        self.seen = backend.clone();
        self.usable.clear();
        self.health = None;
        let Endpoints::Addresses(wanted) = &backend.backend.endpoints else {
            self.endpoints.drain(..).for_each(|endpoint| endpoint.go());
            return;
        };
        let joined = (!self.endpoints.is_empty()).then(|| shard.deadlines.now());
        let mut old: HashMap<_, _> = self
            .endpoints
            .drain(..)
            .map(|endpoint| (endpoint.address, endpoint))
            .collect();
        let endpoints = wanted
            .iter()
            .map(|wanted| match old.remove(&wanted.address) {
                Some(endpoint) => endpoint,
                None => Endpoint::new(wanted.address, joined),
            });
        self.endpoints = endpoints.collect();
        old.values().for_each(|endpoint| endpoint.go());
        self.watch(shard);
        self.find_usable(shard);
    }

    /// Looks up what is thought of the endpoints: once for each version of them.
    fn watch(&mut self, shard: &Shard) {
        let table = shard.table();
        let health = table.health().backend(self.seen.slot);
        for endpoint in &self.endpoints {
            let known = health.and_then(|health| health.endpoint(endpoint.address));
            endpoint.watch(known.cloned());
        }
        self.health = health.map(|health| (health.clone(), health.changes()));
    }

    /// Finds those that are used anew, if what is thought of any of them has changed. One that is back among others
    /// joins them as one that is new.
    pub(super) fn look_again(&mut self, shard: &Shard) {
        let Some((health, seen)) = &mut self.health else {
            return;
        };
        let changes = health.changes();
        if *seen == changes {
            return;
        }
        *seen = changes;
        let before = std::mem::take(&mut self.usable);
        self.find_usable(shard);
        let now = shard.deadlines.now();
        let used = (0..self.usable.len()).filter_map(|at| self.place_at(at));
        let is_back = |place: &usize| {
            let place = u32::try_from(*place).unwrap_or(u32::MAX);
            before.binary_search(&place).is_err()
        };
        let back = used.filter(is_back);
        let back = back.filter_map(|place| self.endpoints.get(place));
        back.for_each(|endpoint| endpoint.joined.set(Some(now)));
    }

    /// Those within reach that are thought to work; if none is, all within reach: a check that is wrong must not end
    /// a service.
    fn find_usable(&mut self, shard: &Shard) {
        let backend = &self.seen.backend;
        let Endpoints::Addresses(all) = &backend.endpoints else {
            return;
        };
        let (reach, here) = (backend.reach, &shard.whereabouts);
        let works = |place: usize| !self.endpoints.get(place).is_some_and(|one| one.is_out());
        let mut usable = balance::within_reach(all, reach, here, works);
        if usable.is_empty() {
            usable = balance::within_reach(all, reach, here, |_| true);
        }
        self.usable = usable;
    }

    /// Whether those that are used are all thought not to work.
    pub(super) fn fails_open(&self) -> bool {
        self.health.is_some() && self.used(0).is_some_and(|endpoint| endpoint.is_out())
    }
}
