//! A shard's counters: plain numbers that only their shard touches. Whoever wants to see them asks the
//! shard for a copy ([`Counted`]).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use ringgate_core::table::Slot;

type Map<K, T> = HashMap<K, T, foldhash::fast::FixedState>;

/// Upper bounds of the duration histograms, in seconds (those of OpenTelemetry's HTTP conventions).
pub(crate) const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Requests by the first digit of their status; 0 is an exchange that ended without one.
pub(crate) type Classes = [u64; 6];

fn count(classes: &mut Classes, status: u16) {
    let class = usize::from(status / 100);
    if let Some(count) = classes.get_mut(if class > 5 { 0 } else { class }) {
        *count += 1;
    }
}

/// Requests with one outcome class each, and how long they took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durations {
    pub(crate) classes: Classes,
    /// One per bound and one beyond them; not cumulative.
    pub(crate) buckets: [u64; BOUNDS.len() + 1],
    pub(crate) seconds: f64,
}

impl Durations {
    pub(crate) fn count(&mut self, status: u16, took: Duration) {
        count(&mut self.classes, status);
        let seconds = took.as_secs_f64();
        self.seconds += seconds;
        let place = BOUNDS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get_mut(place) {
            *bucket += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = self.classes.iter_mut().zip(&other.classes);
        let pairs = pairs.chain(self.buckets.iter_mut().zip(&other.buckets));
        pairs.for_each(|(mine, theirs)| *mine += theirs);
        self.seconds += other.seconds;
    }
}

/// Where a request went: a listener, and a rule unless none took it.
pub(crate) type Place = (Slot, Option<Slot>);

/// Connections whose bytes went on as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stream {
    /// With a backend.
    pub(crate) opened: u64,
    /// Without: no route, no backend, or none that answered.
    pub(crate) refused: u64,
    /// To backends, of those that are over.
    pub(crate) sent: u64,
    /// To clients.
    pub(crate) received: u64,
}

impl Stream {
    pub(crate) fn opened() -> Self {
        Self {
            opened: 1,
            ..Self::default()
        }
    }

    pub(crate) fn refused() -> Self {
        Self {
            refused: 1,
            ..Self::default()
        }
    }

    pub(crate) fn carried(sent: u64, received: u64) -> Self {
        Self {
            sent,
            received,
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.refused += other.refused;
        self.sent += other.sent;
        self.received += other.received;
    }
}

/// A copy of everything that a shard has counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) requests: Map<Place, Classes>,
    pub(crate) streams: Map<Place, Stream>,
    pub(crate) listeners: Map<Slot, Durations>,
    pub(crate) backends: Map<Slot, Durations>,
    pub(crate) goaways: Map<&'static str, u64>,
    pub(crate) totals: Totals,
}

/// Events without labels.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) connections: u64,
    /// Those of them that another shard had accepted.
    pub(crate) handed_over: u64,
    pub(crate) accept_failures: u64,
    pub(crate) accept_waits: u64,
    pub(crate) refused_requests: u64,
    /// Clients whose address isn't let in.
    pub(crate) refused_sources: u64,
    pub(crate) handshakes: u64,
    pub(crate) handshake_failures: u64,
    pub(crate) upstream_connections: u64,
    pub(crate) upstream_connect_failures: u64,
    pub(crate) retries: u64,
    pub(crate) timeouts: u64,
    pub(crate) mirrors: u64,
    pub(crate) mirrors_dropped: u64,
    pub(crate) tunnels: u64,
    /// To endpoints.
    pub(crate) datagrams_sent: u64,
    /// From endpoints.
    pub(crate) datagrams_received: u64,
    /// That had nowhere to go, or couldn't be sent.
    pub(crate) datagrams_dropped: u64,
    /// Choices among all endpoints of a backend, because none of them is thought to work.
    pub(crate) unhealthy_choices: u64,
    pub(crate) log_lines_dropped: u64,
}

/// Rules on a page of [`ByRule`].
const PAGE: usize = 32;

/// Requests by rule, where a rule's slot says: one cache line of its own for each request, when there
/// are thousands of rules and all of them are cold.
#[derive(Default)]
struct ByRule {
    pages: Vec<Option<Box<[OfRule; PAGE]>>>,
    /// Of rules that are reached through more than one listener: all but the first.
    others: Map<Place, Classes>,
}

#[derive(Clone, Copy, Default)]
struct OfRule {
    listener: Option<Slot>,
    classes: Classes,
}

impl ByRule {
    fn classes(&mut self, listener: Slot, rule: Slot) -> &mut Classes {
        let (page, place) = Self::place(rule);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let here = self.pages.get_mut(page);
        if let Some(here) = here.and_then(|page| page.get_or_insert_default().get_mut(place))
            && *here.listener.get_or_insert(listener) == listener
        {
            return &mut here.classes;
        }
        self.others.entry((listener, Some(rule))).or_default()
    }

    fn place(rule: Slot) -> (usize, usize) {
        let slot = rule.0 as usize;
        (slot / PAGE, slot % PAGE)
    }

    fn retire(&mut self, slots: &[Slot]) {
        for slot in slots {
            let (page, place) = Self::place(*slot);
            let Some(page) = self.pages.get_mut(page) else {
                continue;
            };
            if let Some(rules) = page {
                if let Some(rule) = rules.get_mut(place) {
                    *rule = OfRule::default();
                }
                if rules.iter().all(|rule| rule.listener.is_none()) {
                    *page = None;
                }
            }
        }
        if !self.others.is_empty() {
            let gone = |slot: Slot| slots.contains(&slot);
            self.others
                .retain(|(listener, rule), _| !gone(*listener) && !rule.is_some_and(gone));
        }
    }

    fn counted(&self) -> Map<Place, Classes> {
        let mut counted = self.others.clone();
        for (page, rules) in self.pages.iter().enumerate() {
            for (place, rule) in rules.iter().flat_map(|rules| rules.iter()).enumerate() {
                if let (Some(listener), Ok(slot)) =
                    (rule.listener, u32::try_from(page * PAGE + place))
                {
                    counted.insert((listener, Some(Slot(slot))), rule.classes);
                }
            }
        }
        counted
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    requests: RefCell<ByRule>,
    /// Requests that no rule took.
    unmatched: RefCell<Map<Slot, Classes>>,
    streams: RefCell<Map<Place, Stream>>,
    listeners: RefCell<Map<Slot, Durations>>,
    backends: RefCell<Map<Slot, Durations>>,
    goaways: RefCell<Map<&'static str, u64>>,
    totals: Cell<Totals>,
}

impl Counters {
    pub(crate) fn request(&self, place: Place, status: u16, took: Duration) {
        let (listener, rule) = place;
        match rule {
            Some(rule) => count(self.requests.borrow_mut().classes(listener, rule), status),
            None => count(
                self.unmatched.borrow_mut().entry(listener).or_default(),
                status,
            ),
        }
        let mut listeners = self.listeners.borrow_mut();
        listeners.entry(listener).or_default().count(status, took);
    }

    pub(crate) fn stream(&self, place: Place, more: Stream) {
        let mut streams = self.streams.borrow_mut();
        streams.entry(place).or_default().add(&more);
    }

    pub(crate) fn backend(&self, backend: Slot, status: u16, took: Duration) {
        self.backends
            .borrow_mut()
            .entry(backend)
            .or_default()
            .count(status, took);
    }

    pub(crate) fn total(&self, change: impl FnOnce(&mut Totals)) {
        let mut totals = self.totals.get();
        change(&mut totals);
        self.totals.set(totals);
    }

    /// A client's connection of HTTP/2 was ended for what it sent.
    pub(crate) fn goaway(&self, reason: &'static str) {
        *self.goaways.borrow_mut().entry(reason).or_default() += 1;
    }

    pub(crate) fn accept_failed(&self) {
        self.total(|totals| totals.accept_failures += 1);
    }

    pub(crate) fn full(&self) {
        self.total(|totals| totals.accept_waits += 1);
    }

    /// Forgets what hangs on slots that are no longer in force.
    pub(crate) fn retire(&self, slots: &[Slot]) {
        if slots.is_empty() {
            return;
        }
        let (mut listeners, mut backends) =
            (self.listeners.borrow_mut(), self.backends.borrow_mut());
        let mut unmatched = self.unmatched.borrow_mut();
        for slot in slots {
            listeners.remove(slot);
            unmatched.remove(slot);
            backends.remove(slot);
        }
        let gone = |slot: Slot| slots.contains(&slot);
        let is_gone = |(listener, rule): Place| gone(listener) || rule.is_some_and(gone);
        let mut streams = self.streams.borrow_mut();
        streams.retain(|place, _| !is_gone(*place));
        self.requests.borrow_mut().retire(slots);
    }

    fn requests(&self) -> Map<Place, Classes> {
        let mut requests = self.requests.borrow().counted();
        let unmatched = self.unmatched.borrow();
        requests.extend(
            unmatched
                .iter()
                .map(|(slot, classes)| ((*slot, None), *classes)),
        );
        requests
    }

    pub(crate) fn counted(&self) -> Counted {
        Counted {
            requests: self.requests(),
            streams: self.streams.borrow().clone(),
            listeners: self.listeners.borrow().clone(),
            backends: self.backends.borrow().clone(),
            goaways: self.goaways.borrow().clone(),
            totals: self.totals.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_class_and_bucket() {
        let mut durations = Durations::default();
        durations.count(200, Duration::from_millis(5));
        durations.count(503, Duration::from_secs(60));
        durations.count(0, Duration::ZERO);
        assert_eq!(durations.classes, [1, 0, 1, 0, 0, 1]);
        assert_eq!(durations.buckets[0], 2);
        assert_eq!(durations.buckets[BOUNDS.len()], 1);
        let mut sum = durations.clone();
        sum.add(&durations);
        assert_eq!(sum.classes, [2, 0, 2, 0, 0, 2]);
    }

    #[test]
    fn what_is_retired_is_forgotten() {
        let counters = Counters::default();
        counters.request((Slot(1), Some(Slot(2))), 200, Duration::ZERO);
        counters.request((Slot(1), Some(Slot(3))), 200, Duration::ZERO);
        counters.request((Slot(5), Some(Slot(3))), 200, Duration::ZERO);
        counters.request((Slot(5), None), 404, Duration::ZERO);
        counters.backend(Slot(4), 200, Duration::ZERO);
        counters.stream((Slot(1), Some(Slot(2))), Stream::opened());
        assert_eq!(counters.counted().requests.len(), 4);
        counters.retire(&[Slot(2), Slot(4), Slot(5)]);
        let counted = counters.counted();
        assert_eq!(
            counted.requests.keys().collect::<Vec<_>>(),
            [&(Slot(1), Some(Slot(3)))]
        );
        assert!(counted.backends.is_empty());
        assert!(counted.streams.is_empty());
        counters.retire(&[Slot(3)]);
        assert!(counters.counted().requests.is_empty());
        let pages = &counters.requests.borrow().pages;
        assert!(pages.iter().all(Option::is_none), "an empty page is freed");
    }
}
