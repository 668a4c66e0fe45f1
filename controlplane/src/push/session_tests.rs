//! A conversation with a data plane, message by message.

use super::*;
use crate::limits::PART_BYTES;
use crate::shared_map::SharedMap;
use ringgate_core::ir::{
    Backend, BackendProtocol, BackendSettings, Endpoints, Object, ObjectName, Reach,
};

fn backend(name: &str, port: u16) -> (Id, Arc<Object>) {
    let service = ObjectName::new("default", name);
    let object = Object::Backend(Backend {
        service: service.clone(),
        port,
        endpoints: Endpoints::Addresses(Vec::new()),
        protocol: BackendProtocol::Http1,
        reach: Reach::Anywhere,
        health_check_port: None,
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
