//! What is left to write: what differs from what was written last, and what was lost since.

use std::collections::{BTreeMap, BTreeSet};

use ringgate_core::ir::ObjectName;
use serde_json::Value;

use super::service::Generated;
use crate::api::{ObjectKey, ObjectKind};

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Apply(ObjectKey, Value),
    /// Of a Service.
    Status(ObjectName, Value),
    /// What the annotation of a Service says that stores its addresses.
    Note(ObjectName, String),
    /// Takes status and annotation from a Service that isn't ours any more.
    Release(ObjectName),
    Delete(ObjectKey),
}

impl Step {
    pub(super) fn key(&self) -> ObjectKey {
        match self {
            Self::Apply(key, _) | Self::Delete(key) => key.clone(),
            Self::Status(name, _) | Self::Note(name, _) | Self::Release(name) => ObjectKey {
                kind: ObjectKind::Service,
                name: name.clone(),
            },
        }
    }
}

/// What was written, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    objects: BTreeMap<ObjectKey, Value>,
    statuses: BTreeMap<ObjectName, Value>,
    notes: BTreeMap<ObjectName, String>,
    /// Until the cluster tells of it.
    released: BTreeSet<ObjectName>,
    /// What was seen in the cluster as it shall be, and so is lost if it isn't any more.
    stored: BTreeSet<ObjectKey>,
    /// The same of statuses of others' Services.
    shown: BTreeSet<ObjectName>,
    /// And of their annotations.
    noted: BTreeSet<ObjectName>,
}

impl Backlog {
    /// In the order in which they are to be taken: a status after its Service. What is released goes first, for others
    /// may have got its addresses.
    pub(super) fn steps(&mut self, generated: &Generated) -> Vec<Step> {
        self.forget_lost(generated);
        let is_new = |(key, object): &(&ObjectKey, &Value)| self.objects.get(key) != Some(object);
        let objects = generated.objects.iter().filter(is_new);
        let objects = objects.map(|(key, object)| Step::Apply(key.clone(), object.clone()));
        let is_new =
            |(name, status): &(&ObjectName, &Value)| self.statuses.get(name) != Some(status);
        let statuses = generated.statuses.iter().filter(is_new);
        let statuses = statuses.map(|(name, status)| Step::Status(name.clone(), status.clone()));
        let is_new = |(name, note): &(&ObjectName, &String)| self.notes.get(name) != Some(note);
        let notes = generated.notes.iter().filter(is_new);
        let notes = notes.map(|(name, note)| Step::Note(name.clone(), note.clone()));
        let released = generated.released.difference(&self.released);
        let released = released.cloned().map(Step::Release);
        let gone = generated.gone.iter().cloned().map(Step::Delete);
        let first = gone.chain(released);
        first.chain(objects).chain(notes).chain(statuses).collect()
    }

    pub(super) fn done(&mut self, step: Step) {
        match step {
            Step::Apply(key, object) => {
                self.objects.insert(key, object);
            }
            Step::Status(name, status) => {
                self.statuses.insert(name, status);
            }
            Step::Note(name, note) => {
                self.notes.insert(name, note);
            }
            Step::Release(name) => {
                self.released.insert(name);
            }
            Step::Delete(key) => {
                self.objects.remove(&key);
                self.statuses.remove(&key.name);
            }
        }
    }

    fn forget_lost(&mut self, generated: &Generated) {
        for key in generated.objects.keys() {
            if !generated.unstored.contains(key) {
                self.stored.insert(key.clone());
            } else if self.stored.remove(key) {
                self.objects.remove(key);
                self.statuses.remove(&key.name);
            }
        }
        let seen = (&generated.statuses, &generated.shown);
        follow(&mut self.statuses, &mut self.shown, seen);
        let seen = (&generated.notes, &generated.noted);
        follow(&mut self.notes, &mut self.noted, seen);
        self.released
            .retain(|name| generated.released.contains(name));
        let is_wanted = |key: &ObjectKey| generated.objects.contains_key(key);
        self.stored.retain(is_wanted);
        self.objects.retain(|key, _| is_wanted(key));
        let statuses = &generated.statuses;
        self.statuses.retain(|name, _| statuses.contains_key(name));
        self.shown.retain(|name| statuses.contains_key(name));
        let notes = &generated.notes;
        self.notes.retain(|name, _| notes.contains_key(name));
        self.noted.retain(|name| notes.contains_key(name));
    }
}

/// Brings `written` up to date: what is `there` needn't be written, what was there once is lost.
fn follow<V: Clone>(
    written: &mut BTreeMap<ObjectName, V>,
    known: &mut BTreeSet<ObjectName>,
    (wanted, there): (&BTreeMap<ObjectName, V>, &BTreeSet<ObjectName>),
) {
    for (name, value) in wanted {
        if there.contains(name) {
            known.insert(name.clone());
            written.insert(name.clone(), value.clone());
        } else if known.remove(name) {
            written.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key() -> ObjectKey {
        ObjectKey::new(ObjectKind::Service, "default", "gw")
    }

    fn generated(port: u16, is_stored: bool) -> Generated {
        let mut generated = Generated::default();
        generated.objects.insert(key(), json!({ "port": port }));
        generated.statuses.insert(key().name, json!({"ip": 1}));
        if !is_stored {
            generated.unstored.insert(key());
        }
        generated
    }

    fn take_all(backlog: &mut Backlog, generated: &Generated) -> usize {
        let steps = backlog.steps(generated);
        let count = steps.len();
        for step in steps {
            backlog.done(step);
        }
        count
    }

    #[test]
    fn the_status_of_anothers_service_is_written_only_where_it_is_not_shown() {
        let name = ObjectName::new("default", "web");
        let mut generated = Generated::default();
        generated.statuses.insert(name.clone(), json!({"ip": 1}));
        generated.shown.insert(name.clone());
        let mut backlog = Backlog::default();
        assert_eq!(take_all(&mut backlog, &generated), 0, "it is there");
        generated.shown.clear();
        assert_eq!(take_all(&mut backlog, &generated), 1, "lost");
        assert_eq!(take_all(&mut backlog, &generated), 0, "not told of it yet");
    }

    #[test]
    fn a_service_is_released_once_and_its_note_is_written_before_its_status() {
        let name = ObjectName::new("default", "web");
        let mut generated = Generated::default();
        generated.notes.insert(name.clone(), "192.0.2.1".to_owned());
        generated.statuses.insert(name.clone(), json!({"ip": 1}));
        let mut backlog = Backlog::default();
        let steps = backlog.steps(&generated);
        assert!(matches!(steps[..], [Step::Note(..), Step::Status(..)]));
        assert_eq!(take_all(&mut backlog, &generated), 2);
        let mut released = Generated::default();
        released.released.insert(name.clone());
        assert_eq!(backlog.steps(&released), [Step::Release(name)]);
        assert_eq!(take_all(&mut backlog, &released), 1);
        assert_eq!(take_all(&mut backlog, &released), 0, "not told of it yet");
        assert_eq!(take_all(&mut backlog, &generated), 2, "ours again");
    }

    #[test]
    fn what_was_written_is_written_again_only_when_it_differs_or_is_lost() {
        let mut backlog = Backlog::default();
        let steps = backlog.steps(&generated(80, false));
        assert_eq!(steps.len(), 2);
        assert!(matches!(steps[0], Step::Apply(..)), "before its status");
        assert_eq!(take_all(&mut backlog, &generated(80, false)), 2);
        let again = take_all(&mut backlog, &generated(80, false));
        assert_eq!(again, 0, "the watch hasn't told of it yet");
        assert_eq!(take_all(&mut backlog, &generated(80, true)), 0);
        assert_eq!(take_all(&mut backlog, &generated(80, false)), 2, "lost");
        assert_eq!(
            take_all(&mut backlog, &generated(81, true)),
            1,
            "another port"
        );
        let mut gone = Generated::default();
        gone.gone.insert(key());
        assert_eq!(backlog.steps(&gone), [Step::Delete(key())]);
        take_all(&mut backlog, &gone);
        assert_eq!(take_all(&mut backlog, &generated(81, false)), 2, "anew");
    }
}
