//! Statuses that are kept up to date say what statuses say that are made anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ringgate_controlplane::api::ObjectKey;
use ringgate_controlplane::metrics::Metrics;
use ringgate_controlplane::push::server::PeerEvent;
use ringgate_controlplane::push::session::{Failure, Heard, Introduction};
use ringgate_controlplane::reconcile::Reconciler;
use ringgate_controlplane::status::board::Board;
use ringgate_controlplane::status::coverage::DataPlanes;
use ringgate_controlplane::status::write::{ObjectStatus, StatusChange};
use ringgate_controlplane::store::Resources;
use ringgate_controlplane::translate::Translator;
use ringgate_controlplane::watch::{Batch, Event};
use ringgate_core::ir::{Id, Version};

use super::world::{self, Dice};
use super::{apply, options, with_options};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn version(sequence: u64) -> Version {
    Version { term: 1, sequence }
}

fn hello() -> Heard {
    Heard::Hello(Introduction {
        instance: String::new(),
        software: String::new(),
        driver: String::new(),
        workers: 1,
        version: Version::default(),
    })
}

/// A data plane says something, at random.
fn say(dice: &mut Dice, sent: u64, ids: &[Id]) -> PeerEvent {
    let peer = dice.below(2);
    if dice.below(8) == 0 {
        return PeerEvent::Gone(peer);
    }
    if dice.below(6) == 0 {
        return PeerEvent::Heard(peer, hello());
    }
    let mut failures = Vec::new();
    if !ids.is_empty() && dice.below(4) == 0 {
        let place = usize::try_from(dice.below(ids.len() as u64)).unwrap();
        failures.push(Failure {
            id: ids[place].clone(),
            reason: "it is in use".to_owned(),
        });
    }
    let acked = Heard::Acked {
        version: version(sent - dice.below(2).min(sent)),
        failures,
        took: None,
    };
    PeerEvent::Heard(peer, acked)
}

/// What a writer knows that took all changes.
#[derive(Default)]
struct Written(BTreeMap<ObjectKey, ObjectStatus>);

impl Written {
    fn take(&mut self, changes: Vec<StatusChange>) {
        for (key, status) in changes {
            match status {
                Some(status) => self.0.insert(key, status),
                None => self.0.remove(&key),
            };
        }
    }
}

#[test]
fn statuses_that_are_kept_are_those_made_anew() {
    let mut told = 0;
    for seed in 100..132 {
        let mut dice = Dice(seed);
        let options = options(seed % 4 == 3);
        let mut translator = Translator::default();
        let mut resources = Resources::default();
        let (mut board, mut written) = (Board::default(), Written::default());
        let mut planes = DataPlanes::default();
        planes.take(PeerEvent::Heard(0, hello()), Instant::now());
        let mut history = Vec::new();
        for step in 1..60 {
            if dice.below(3) > 0 {
                apply(&mut resources, world::event(&mut dice));
            }
            let translation =
                with_options(&resources, &options, |inputs| translator.translate(inputs));
            if dice.below(4) > 0 {
                board.sent(version(step), &translation.objects);
                history.push((version(step), translation.objects.clone()));
            }
            let ids: Vec<Id> = translation.objects.keys().cloned().collect();
            for _ in 0..dice.below(3) {
                planes.take(say(&mut dice, step, &ids), Instant::now());
            }
            let coverage = planes.coverage(Instant::now());
            board.update(&translation.verdicts, &coverage, NOW);
            written.take(board.take_changes());

            let (mut anew, mut all) = (Board::default(), Written::default());
            for (version, objects) in &history {
                anew.sent(*version, objects);
            }
            anew.update(&translation.verdicts, &coverage, NOW);
            all.take(anew.take_changes());
            assert_eq!(written.0, all.0, "seed {seed}, step {step}");
            told += all.0.len();
        }
    }
    assert!(told > 3000, "there are statuses at all: {told}");
}

/// Everything at once, and one after another.
#[test]
fn what_is_told_and_pushed_does_not_depend_on_the_way_there() {
    let batch = |events| Batch {
        events,
        problems: Vec::new(),
    };
    for seed in 200..216 {
        let mut dice = Dice(seed);
        let options = options(seed % 4 == 3);
        let start = || Reconciler::new(options.clone(), Some(1), Arc::new(Metrics::default()));
        let mut reconciler = start();
        let mut events: Vec<Event> = Vec::new();
        let mut pushed: BTreeMap<Id, u64> = BTreeMap::new();
        let mut last = None;
        for step in 0..40 {
            let event = world::event(&mut dice);
            events.push(event.clone());
            reconciler.take_batch(batch(vec![event]), NOW);
            if let Some(wanted) = reconciler.reconcile() {
                let before = last.replace(wanted.clone()).unwrap_or_default();
                for change in before.changes(&wanted) {
                    match change.now {
                        Some(entry) => pushed.insert(change.key.clone(), entry.hash),
                        None => pushed.remove(change.key),
                    };
                }
            }
            let mut anew = start();
            anew.take_batch(batch(events.clone()), NOW);
            let wanted = anew.reconcile().unwrap();
            let entries = wanted.entries();
            let entries: BTreeMap<Id, u64> = entries
                .map(|(id, entry)| (id.clone(), entry.hash))
                .collect();
            assert_eq!(pushed, entries, "seed {seed}, step {step}");

            reconciler.refresh(Instant::now(), NOW);
            anew.refresh(Instant::now(), NOW);
            let mut kept = reconciler.report(Instant::now(), NOW);
            let made = anew.report(Instant::now(), NOW);
            kept.version.clone_from(&made.version);
            assert_eq!(kept, made, "seed {seed}, step {step}");
        }
    }
}
