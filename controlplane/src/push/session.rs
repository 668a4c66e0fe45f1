//! The conversation with one data plane: what it has, what it is sent next, what it acked.
//!
//! No input or output, and time is an argument. At most one version is in flight; versions that came
//! up meanwhile become one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringgate_core::ir::{Id, Version};
use ringgate_core::limits::OBJECTS;
use ringgate_core::wire::proto::{self, dataplane_message::Message};
use ringgate_core::wire::{self, DecodeError};
use thiserror::Error;

use super::wanted::Wanted;
use crate::limits::{PART_BYTES, PEER_TEXT_BYTES};

/// What a data plane broke of the protocol; its stream is ended with this.
#[derive(Debug, Error)]
pub enum SessionError {
    #[error("the first message must be a hello")]
    NoHello,
    #[error("a second hello")]
    SecondHello,
    #[error("an empty message")]
    Empty,
    #[error("{count} objects are more than the limit of {OBJECTS}")]
    TooMany { count: usize },
    #[error("an ack of version {version}, which was not sent last")]
    StrayAck { version: Version },
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Who a data plane says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    pub instance: String,
    pub software: String,
    pub driver: String,
    pub workers: u32,
    /// What it has in force, from a control plane before or from disk.
    pub version: Version,
}

/// What could not be put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub id: Id,
    pub reason: String,
}

/// What a message from the data plane means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Hello(Introduction),
    Acked {
        version: Version,
        failures: Vec<Failure>,
        /// Since it was sent; none when it is acked once more, because what fails is other than before.
        took: Option<Duration>,
    },
    Heartbeat {
        draining: bool,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub struct Session {
    /// What the data plane has, what is in flight included; `None` before hello.
    held: Option<Held>,
    /// What it had when it came: it takes nothing below that.
    floor: Version,
    sent: Option<Version>,
    in_flight: Option<(Version, Instant)>,
}

/// What a data plane has.
#[derive(Debug)]
enum Held {
    /// Content hashes, as it said.
    Said(BTreeMap<Id, u64>),
    /// What it was sent last.
    Sent(Arc<Wanted>),
}

impl Held {
    fn is_empty(&self) -> bool {
        match self {
            Self::Said(hashes) => hashes.is_empty(),
            Self::Sent(sent) => sent.is_empty(),
        }
    }
}

impl Session {
    /// Takes a message of the data plane.
    ///
    /// # Errors
    /// [`SessionError`] when the data plane breaks the protocol.
    pub fn receive(
        &mut self,
        message: proto::DataplaneMessage,
        now: Instant,
    ) -> Result<Heard, SessionError> {
        let message = message.message.ok_or(SessionError::Empty)?;
        match (message, &self.held) {
            (Message::Hello(hello), None) => self.greet(hello),
            (Message::Hello(_), Some(_)) => Err(SessionError::SecondHello),
            (_, None) => Err(SessionError::NoHello),
            (Message::Ack(ack), Some(_)) => self.take_ack(ack, now),
            (Message::Heartbeat(beat), Some(_)) => Ok(Heard::Heartbeat {
                draining: beat.draining,
            }),
        }
    }

    /// What must be sent now to reach `wanted`, in this order: the parts of one version, or nothing.
    pub fn advance(&mut self, wanted: &Arc<Wanted>, now: Instant) -> Vec<proto::Update> {
        let Some(held) = &mut self.held else {
            return Vec::new();
        };
        let is_stale = wanted.version < self.floor;
        if is_stale || self.in_flight.is_some() || self.sent == Some(wanted.version) {
            return Vec::new();
        }
        let parts = parts(wanted, held);
        *held = Held::Sent(wanted.clone());
        self.sent = Some(wanted.version);
        self.in_flight = Some((wanted.version, now));
        parts
    }

    fn greet(&mut self, hello: proto::Hello) -> Result<Heard, SessionError> {
        let count = hello.held.len();
        if count > OBJECTS {
            return Err(SessionError::TooMany { count });
        }
        let held: Result<_, DecodeError> = hello
            .held
            .iter()
            .map(|held| Ok((wire::id(held.id.as_ref())?, held.hash)))
            .collect();
        self.held = Some(Held::Said(held?));
        let version = match hello.version {
            None => Version::default(),
            some => wire::version(some)?,
        };
        self.floor = version;
        Ok(Heard::Hello(Introduction {
            instance: bounded(hello.instance),
            software: bounded(hello.software),
            driver: bounded(hello.driver),
            workers: hello.workers,
            version,
        }))
    }

    fn take_ack(&mut self, ack: proto::Ack, now: Instant) -> Result<Heard, SessionError> {
        let version = wire::version(ack.version)?;
        let took = match self.in_flight {
            Some((sent, since)) if sent == version => Some(now.saturating_duration_since(since)),
            None if self.sent == Some(version) => None,
            _ => return Err(SessionError::StrayAck { version }),
        };
        self.in_flight = None;
        let failures: Result<_, DecodeError> = ack
            .failures
            .into_iter()
            .take(OBJECTS)
            .map(|failure| {
                Ok(Failure {
                    id: wire::id(failure.id.as_ref())?,
                    reason: bounded(failure.reason),
                })
            })
            .collect();
        Ok(Heard::Acked {
            version,
            failures: failures?,
            took,
        })
    }
}

/// What leads from `held` to `wanted`, cut into parts. A data plane that has nothing is told a full
/// state, so that nothing it may have loaded meanwhile stays.
fn parts(wanted: &Wanted, held: &Held) -> Vec<proto::Update> {
    let mut parts = Parts::new(wanted.version, held.is_empty());
    match held {
        Held::Said(hashes) => parts.lead_from_said(hashes, wanted),
        Held::Sent(sent) => parts.lead_from_sent(sent, wanted),
    }
    parts.finish()
}

/// The parts of one version.
struct Parts {
    closed: Vec<proto::Update>,
    open: proto::Update,
    open_bytes: usize,
}

impl Parts {
    fn new(version: Version, full: bool) -> Self {
        let open = proto::Update {
            version: Some(wire::encode_version(version)),
            full,
            ..proto::Update::default()
        };
        Self {
            closed: Vec::new(),
            open,
            open_bytes: 0,
        }
    }

    fn lead_from_said(&mut self, hashes: &BTreeMap<Id, u64>, wanted: &Wanted) {
        let mut said = hashes.iter().peekable();
        for (id, entry) in wanted.entries() {
            while let Some((gone, _)) = said.next_if(|(one, _)| *one < id) {
                self.remove(gone);
            }
            match said.next_if(|(one, _)| *one == id) {
                Some((_, hash)) if *hash == entry.hash => {}
                _ => self.upsert(id, entry),
            }
        }
        for (gone, _) in said {
            self.remove(gone);
        }
    }

    fn lead_from_sent(&mut self, sent: &Wanted, wanted: &Wanted) {
        for change in sent.changes(wanted) {
            match change.now {
                Some(entry) => self.upsert(change.key, entry),
                None => self.remove(change.key),
            }
        }
    }

    fn remove(&mut self, id: &Id) {
        self.make_room(id.path.len() + ENTRY_OVERHEAD);
        self.open.remove.push(wire::encode_id(id));
    }

    fn upsert(&mut self, id: &Id, entry: &proto::Entry) {
        self.make_room(id.path.len() + entry.object.len() + ENTRY_OVERHEAD);
        self.open.upsert.push(entry.clone());
    }

    fn make_room(&mut self, bytes: usize) {
        if self.open_bytes > 0 && self.open_bytes + bytes > PART_BYTES {
            let next = proto::Update {
                version: self.open.version,
                full: self.open.full,
                ..proto::Update::default()
            };
            self.closed.push(std::mem::replace(&mut self.open, next));
            self.open_bytes = 0;
        }
        self.open_bytes += bytes;
    }

    fn finish(mut self) -> Vec<proto::Update> {
        self.open.last = true;
        self.closed.push(self.open);
        self.closed
    }
}

/// Tags, lengths and the hash of an entry, rounded up.
const ENTRY_OVERHEAD: usize = 32;

fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(PEER_TEXT_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared_map::SharedMap;
    use ringgate_core::ir::{
        Backend, BackendProtocol, BackendSettings, Endpoints, Object, ObjectName,
    };

    fn backend(name: &str, port: u16) -> (Id, Arc<Object>) {
        let service = ObjectName::new("default", name);
        let object = Object::Backend(Backend {
            service: service.clone(),
            port,
            endpoints: Endpoints::Addresses(Vec::new()),
            protocol: BackendProtocol::Http1,
            tls: None,
            settings: BackendSettings::default(),
        });
        (
            Id::backend(&service, 80, BackendProtocol::Http1),
            object.into(),
        )
    }

    fn wanted(sequence: u64, objects: &[(&str, u16)]) -> Arc<Wanted> {
        let version = Version { term: 1, sequence };
        let objects = objects
            .iter()
            .map(|(name, port)| backend(name, *port))
            .collect();
        Wanted::new(version, &objects, None).into()
    }

    fn hello(held: &Wanted) -> proto::DataplaneMessage {
        say(Message::Hello(proto::Hello {
            instance: "one".into(),
            held: held
                .entries()
                .map(|(_, entry)| proto::Held {
                    id: entry.id.clone(),
                    hash: entry.hash,
                })
                .collect(),
            ..proto::Hello::default()
        }))
    }

    fn ack(sequence: u64) -> proto::DataplaneMessage {
        say(Message::Ack(proto::Ack {
            version: Some(proto::Version { term: 1, sequence }),
            failures: Vec::new(),
        }))
    }

    fn say(message: Message) -> proto::DataplaneMessage {
        proto::DataplaneMessage {
            message: Some(message),
        }
    }

    fn upserts(updates: &[proto::Update]) -> Vec<&str> {
        updates
            .iter()
            .flat_map(|update| &update.upsert)
            .map(|entry| entry.id.as_ref().unwrap().path.as_str())
            .collect()
    }

    fn removals(updates: &[proto::Update]) -> Vec<&str> {
        updates
            .iter()
            .flat_map(|update| &update.remove)
            .map(|id| id.path.as_str())
            .collect()
    }

    #[test]
    fn nothing_is_sent_before_the_hello_and_everything_after_it() {
        let now = Instant::now();
        let mut session = Session::default();
        let state = wanted(1, &[("a", 1), ("b", 1)]);
        assert!(session.advance(&state, now).is_empty());

        session.receive(hello(&Wanted::default()), now).unwrap();
        let sent = session.advance(&state, now);
        assert_eq!(upserts(&sent), ["default/a/80", "default/b/80"]);
        assert!(sent[0].full && sent[0].last);
    }

    #[test]
    fn one_that_has_most_of_it_gets_what_differs() {
        let now = Instant::now();
        let mut session = Session::default();
        let before = wanted(9, &[("a", 1), ("b", 1), ("gone", 1)]);
        session.receive(hello(&before), now).unwrap();

        let sent = session.advance(&wanted(1, &[("a", 1), ("b", 2), ("c", 1)]), now);
        assert_eq!(upserts(&sent), ["default/b/80", "default/c/80"]);
        assert_eq!(removals(&sent), ["default/gone/80"]);
        assert!(!sent[0].full);
    }

    #[test]
    fn one_that_has_all_of_it_still_gets_the_version_to_ack() {
        let now = Instant::now();
        let mut session = Session::default();
        let state = wanted(1, &[("a", 1)]);
        session.receive(hello(&state), now).unwrap();
        let sent = session.advance(&state, now);
        assert_eq!(sent.len(), 1);
        assert!(sent[0].last && sent[0].upsert.is_empty());
    }

    #[test]
    fn versions_that_come_while_one_is_in_flight_become_one() {
        let start = Instant::now();
        let mut session = Session::default();
        session.receive(hello(&Wanted::default()), start).unwrap();
        assert_eq!(session.advance(&wanted(1, &[("a", 1)]), start).len(), 1);

        let second = wanted(2, &[("a", 2), ("b", 1)]);
        assert!(session.advance(&second, start).is_empty());
        let third = wanted(3, &[("a", 3)]);
        assert!(session.advance(&third, start).is_empty());

        let later = start + Duration::from_millis(7);
        let heard = session.receive(ack(1), later).unwrap();
        assert!(
            matches!(heard, Heard::Acked { version, took, .. }
                if version.sequence == 1 && took == Some(Duration::from_millis(7))),
            "{heard:?}"
        );
        let sent = session.advance(&third, later);
        assert_eq!(upserts(&sent), ["default/a/80"]);
        assert!(removals(&sent).is_empty());
        session.receive(ack(3), later).unwrap();
        assert!(session.advance(&third, later).is_empty());
        let again = session.receive(ack(3), later).unwrap();
        assert!(
            matches!(again, Heard::Acked { took: None, .. }),
            "{again:?}"
        );
    }

    #[test]
    fn a_large_state_goes_in_parts_and_only_the_last_says_so() {
        let now = Instant::now();
        let names: Vec<String> = (0..30_000).map(|n| format!("service-{n:0100}")).collect();
        let pairs: Vec<(&str, u16)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let state = wanted(1, &pairs);
        let mut session = Session::default();
        session.receive(hello(&Wanted::default()), now).unwrap();

        let sent = session.advance(&state, now);
        assert!(sent.len() > 2, "{} parts", sent.len());
        assert_eq!(upserts(&sent).len(), state.len());
        let (last, others) = sent.split_last().unwrap();
        assert!(last.last && others.iter().all(|part| !part.last && part.full));
        for part in &sent {
            assert!(prost::Message::encoded_len(part) <= PART_BYTES);
        }
    }

    #[test]
    fn a_version_below_what_it_has_is_held_back() {
        let now = Instant::now();
        let mut session = Session::default();
        let above = proto::Version {
            term: 1,
            sequence: 5,
        };
        let greeting = proto::Hello {
            version: Some(above),
            ..proto::Hello::default()
        };
        session.receive(say(Message::Hello(greeting)), now).unwrap();
        assert!(session.advance(&wanted(4, &[("a", 1)]), now).is_empty());
        assert_eq!(session.advance(&wanted(5, &[("a", 1)]), now).len(), 1);
    }

    #[test]
    fn what_breaks_the_protocol_is_refused() {
        let now = Instant::now();
        let mut session = Session::default();
        let error = session.receive(ack(1), now).unwrap_err();
        assert!(matches!(error, SessionError::NoHello));
        let empty = proto::DataplaneMessage { message: None };
        let error = session.receive(empty, now).unwrap_err();
        assert!(matches!(error, SessionError::Empty));

        session.receive(hello(&Wanted::default()), now).unwrap();
        let error = session.receive(hello(&Wanted::default()), now).unwrap_err();
        assert!(matches!(error, SessionError::SecondHello));
        let error = session.receive(ack(1), now).unwrap_err();
        assert!(matches!(error, SessionError::StrayAck { .. }));
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = bounded("ä".repeat(PEER_TEXT_BYTES));
        assert_eq!(text.len(), PEER_TEXT_BYTES);
        assert_eq!(bounded("x".to_owned() + &text).len(), PEER_TEXT_BYTES - 1);
    }

    #[test]
    fn objects_that_did_not_change_are_not_encoded_again() {
        let objects: SharedMap<_, _> = [backend("a", 1), backend("b", 1)].into_iter().collect();
        let first = Wanted::new(Version::default(), &objects, None);
        let mut changed = objects.clone();
        changed.extend([backend("b", 2)]);
        let second = Wanted::new(Version::default(), &changed, Some(&first));
        let entries = first.entries().zip(second.entries());
        let shared: Vec<bool> = entries
            .map(|((_, one), (_, other))| Arc::ptr_eq(one, other))
            .collect();
        assert_eq!(shared, [true, false]);
        assert!(!first.same_objects(&second));
        assert!(first.same_objects(&Wanted::new(Version::default(), &objects, None)));
    }
}
