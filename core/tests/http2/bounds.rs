//! Peers that mean no good: what they send is borne up to a bound, and never more than that is held.

use proptest::prelude::*;
use ringgate_core::http2::{PREFACE, Reason, Role};

use crate::raw::*;

#[test]
fn a_head_in_many_parts_is_bounded() {
    let mut side = Side::server();
    side.told(&frame(HEADERS, 0, 1, &asked("GET", &[])))
        .unwrap();
    let part = frame(CONTINUATION, 0, 1, &[0; 16 << 10]);
    let ended = (0..10).find_map(|_| side.told(&part).err());
    assert_eq!(ended.unwrap().0, Reason::ENHANCE_YOUR_CALM);
}

/// A few bytes that stand for many.
#[test]
fn a_head_that_grows_when_it_is_decoded_is_an_attack() {
    let mut side = Side::server();
    let value = "x".repeat(3 << 10);
    // Kept in the table: a literal with incremental indexing.
    let mut fields = vec![0x40, 1, b'a', 0x7f, 0x81, 0x17];
    fields.extend(value.bytes());
    let mut first = asked("GET", &[]);
    first.extend(fields);
    side.told(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &first))
        .unwrap();
    let mut bomb = asked("GET", &[]);
    bomb.extend([0xbe; 8 << 10]);
    let bomb = frame(HEADERS, END_HEADERS | END_STREAM, 3, &bomb);
    side.fails(&bomb, Reason::ENHANCE_YOUR_CALM);
}

/// CVE-2025-8671: the streams are ended by us, for mistakes of the peer.
#[test]
fn mistakes_are_not_borne_for_ever() {
    let mut side = Side::server();
    let ended = (0..2_000_u32).find_map(|turn| {
        let id = 2 * turn + 1;
        let none = frame(WINDOW_UPDATE, 0, id, &[0; 4]);
        let head = frame(HEADERS, END_HEADERS, id, &asked("GET", &[]));
        let ended = side.told(&[head, none].concat()).err();
        side.core.output().clear();
        ended.map(|failed| (turn, failed.0))
    });
    assert_eq!(ended, Some((1024, Reason::ENHANCE_YOUR_CALM)));
}

#[test]
fn a_reader_that_takes_nothing_stops_us() {
    let mut side = Side::server();
    for turn in 0..100_000 {
        if side.core.is_full() {
            break;
        }
        assert!(turn < 10_000, "it isn't told to wait");
        side.told(&frame(PING, 0, 0, &[0; 8])).unwrap();
    }
    let key = side.answering(1);
    assert_eq!(side.core.data(key, b"x", false), Ok(0));
    assert!(side.core.output().len() < 144 << 10);
}

/// Bytes that look like frames.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(asked("POST", &[])),
        Just(asked("GET", &[("a", "b"), ("content-length", "9")])),
        Just(block(&[("a", "b")])),
        Just(vec![0; 4]),
        Just(1_000_000_u32.to_be_bytes().to_vec()),
        Just(vec![0; 8]),
        prop::collection::vec(any::<u8>(), 500..2000),
    ];
    let whole = (0_u8..11, any::<u8>(), 0_u32..12, payload)
        .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload));
    prop_oneof![
        9 => whole,
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_comes_is_borne(
        is_server: bool,
        parts in prop::collection::vec(nearly(), 0..60),
        pieces in prop::collection::vec(1_usize..600, 1..40),
    ) {
        let role = if is_server { Role::Server } else { Role::Client };
        let mut side = Side::new(config(role));
        let mut bytes = if is_server { PREFACE.to_vec() } else { Vec::new() };
        bytes.extend(frame(SETTINGS, 0, 0, &[]));
        if !is_server {
            for _ in 0..5 {
                side.ask("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", false);
            }
        }
        bytes.extend(parts.concat());
        let mut rest = &bytes[..];
        for piece in pieces.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at(piece.min(rest.len()));
            rest = later;
            let told = side.told(now);
            prop_assert!(side.core.open() <= 100);
            prop_assert!(side.core.output().len() < 128 << 10);
            if told.is_err() {
                prop_assert!(side.core.is_over());
                break;
            }
        }
        // Whole frames, whatever happened.
        let out = std::mem::take(side.core.output());
        let start = if is_server { 0 } else { PREFACE.len() };
        frames(&out[start..]);
    }
}
