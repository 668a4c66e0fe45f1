//! RFC 9113's rules for frames, streams, windows and settings, one by one.

use ringgate_core::http2::head::OwnHead;
use ringgate_core::http2::{Gone, PREFACE, Reason, Role};

use crate::raw::*;

const MORE: [u8; 4] = 100_u32.to_be_bytes();
const CODE: [u8; 4] = Reason::CANCEL.0.to_be_bytes();

#[test]
fn frames_on_idle_streams_end_the_connection() {
    for idle in [
        frame(DATA, 0, 1, b"x"),
        frame(RST_STREAM, 0, 1, &CODE),
        frame(WINDOW_UPDATE, 0, 1, &MORE),
        frame(CONTINUATION, END_HEADERS, 1, b""),
        // Streams of servers, of which there are none.
        frame(DATA, 0, 2, b"x"),
        frame(HEADERS, END_HEADERS, 2, &asked("GET", &[])),
    ] {
        Side::server().fails(&idle, Reason::PROTOCOL_ERROR);
    }
    let head = frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "200")]));
    Side::client().fails(&head, Reason::PROTOCOL_ERROR);
}

#[test]
fn priority_may_come_for_idle_streams() {
    let mut side = Side::server();
    let told = side.told(&frame(PRIORITY, 0, 7, &[0, 0, 0, 1, 9]));
    assert_eq!(told, Ok(Vec::new()));
    side.request(1, END_STREAM);
}

#[test]
fn a_stream_that_depends_on_itself_ends_the_connection() {
    let on_itself = [0, 0, 0, 3, 9];
    Side::server().fails(&frame(PRIORITY, 0, 3, &on_itself), Reason::PROTOCOL_ERROR);
    let mut payload = on_itself.to_vec();
    payload.extend(asked("GET", &[]));
    let head = frame(HEADERS, END_HEADERS | WITH_PRIORITY, 3, &payload);
    Side::server().fails(&head, Reason::PROTOCOL_ERROR);
}

#[test]
fn what_comes_behind_a_streams_end_is_its_mistake() {
    for late in [
        frame(DATA, 0, 1, b"x"),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("a", "b")])),
    ] {
        let mut side = Side::server();
        side.request(1, END_STREAM);
        side.resets(&late, 1, Reason::STREAM_CLOSED);
    }
}

#[test]
fn frames_on_closed_streams_are_mistakes_or_late() {
    let mut side = Side::server();
    side.request(1, 0);
    let told = side.told(&frame(RST_STREAM, 0, 1, &CODE));
    assert_eq!(told, Ok(vec![Told::Reset(1, Reason::CANCEL, false)]));
    // These were on their way, perhaps.
    for late in [
        frame(RST_STREAM, 0, 1, &CODE),
        frame(WINDOW_UPDATE, 0, 1, &MORE),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
    ] {
        assert_eq!(side.told(&late), Ok(Vec::new()));
    }
    side.resets(&frame(DATA, 0, 1, b"x"), 1, Reason::STREAM_CLOSED);
    let mut side = Side::server();
    side.request(5, END_STREAM);
    // A stream that was passed over is closed, too.
    let head = frame(HEADERS, END_HEADERS, 3, &asked("GET", &[]));
    side.fails(&head, Reason::STREAM_CLOSED);
}

#[test]
fn what_comes_on_a_stream_that_we_have_reset_is_passed_over() {
    let mut side = Side::server();
    side.request(1, 0);
    let key = match &side.told(&frame(DATA, 0, 1, b"x")).unwrap()[..] {
        [Told::Data(1, ..)] => side.key(1),
        told => panic!("{told:?}"),
    };
    side.core.reset(key, Reason::INTERNAL_ERROR);
    side.sent();
    let late = [
        frame(DATA, 0, 1, &[7; 1000]),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("a", "b")])),
    ];
    assert_eq!(side.told(&late.concat()), Ok(Vec::new()));
    assert_eq!(side.sent(), []);
    assert_eq!(side.core.data(key, b"x", false), Err(Gone));
}

#[test]
fn padding_belongs_to_windows_and_not_to_bodies() {
    let mut side = Side::server();
    side.request(1, 0);
    let padded = frame(DATA, PADDED | END_STREAM, 1, &[3, b'h', b'i', 0, 0, 0]);
    for byte in &padded[..padded.len() - 1] {
        for told in side.told(&[*byte]).unwrap() {
            assert!(matches!(told, Told::Data(1, ..)), "{told:?}");
        }
    }
    assert_eq!(side.told(&padded[padded.len() - 1..]), Ok(Vec::new()));
    for (flags, payload) in [(PADDED, &[2, 0][..]), (PADDED, &[1])] {
        let mut side = Side::server();
        side.request(1, 0);
        side.fails(&frame(DATA, flags, 1, payload), Reason::PROTOCOL_ERROR);
        let head = frame(HEADERS, END_HEADERS | flags, 1, payload);
        Side::server().fails(&head, Reason::PROTOCOL_ERROR);
    }
    let mut side = Side::server();
    side.request(1, 0);
    side.fails(&frame(DATA, PADDED, 1, &[]), Reason::FRAME_SIZE_ERROR);
}

#[test]
fn heads_in_parts_are_heads() {
    let whole = asked("GET", &[("a", "b")]);
    let mut side = Side::server();
    let mut bytes = frame(HEADERS, END_STREAM, 1, &whole[..3]);
    bytes.extend(frame(CONTINUATION, 0, 1, &[]));
    bytes.extend(frame(CONTINUATION, END_HEADERS, 1, &whole[3..]));
    let mut told = Vec::new();
    for byte in bytes {
        told.extend(side.told(&[byte]).unwrap());
    }
    let text = "GET / HTTP/1.1\r\nhost: a\r\na: b\r\n\r\n";
    assert_eq!(told, [Told::Request(1, text.into(), true)]);
    // Nothing may come between them.
    for between in [
        frame(PING, 0, 0, &[0; 8]),
        frame(CONTINUATION, END_HEADERS, 3, &[]),
        frame(HEADERS, END_HEADERS, 3, &whole),
    ] {
        let mut side = Side::server();
        side.told(&frame(HEADERS, END_STREAM, 1, &whole)).unwrap();
        side.fails(&between, Reason::PROTOCOL_ERROR);
    }
}

#[test]
fn sizes_are_those_of_their_frames() {
    for (kind, stream, length) in [
        (PRIORITY, 1, 4),
        (RST_STREAM, 1, 3),
        (SETTINGS, 0, 5),
        (PING, 0, 7),
        (GOAWAY, 0, 7),
        (WINDOW_UPDATE, 0, 5),
        (HEADERS, 1, (16 << 10) + 1),
        (77, 0, (16 << 10) + 1),
    ] {
        let mut side = Side::server();
        let wrong = frame(kind, 0, stream, &vec![0; length]);
        side.fails(&wrong, Reason::FRAME_SIZE_ERROR);
    }
    let ack = frame(SETTINGS, ACK, 0, &[0; 6]);
    Side::server().fails(&ack, Reason::FRAME_SIZE_ERROR);
}

#[test]
fn frames_stand_on_their_streams() {
    for (kind, stream, length) in [
        (DATA, 0, 1),
        (HEADERS, 0, 1),
        (PRIORITY, 0, 5),
        (RST_STREAM, 0, 4),
        (SETTINGS, 1, 0),
        (PUSH_PROMISE, 1, 4),
        (PING, 1, 8),
        (GOAWAY, 1, 8),
    ] {
        let mut side = Side::server();
        side.request(1, 0);
        let wrong = frame(kind, 0, stream, &vec![0; length]);
        side.fails(&wrong, Reason::PROTOCOL_ERROR);
    }
}

#[test]
fn unknown_frames_and_flags_say_nothing() {
    let mut side = Side::server();
    let unknown = [frame(99, 0xff, 8, b"what?"), frame(PING, 0xfe, 0, &[0; 8])];
    assert_eq!(side.told(&unknown.concat()), Ok(Vec::new()));
    assert_eq!(side.sent(), [(PING, ACK, 0, vec![0; 8])]);
}

#[test]
fn settings_come_first() {
    let mut side = Side::new(config(Role::Server));
    side.told(PREFACE).unwrap();
    side.fails(&frame(PING, 0, 0, &[0; 8]), Reason::PROTOCOL_ERROR);
    let mut side = Side::new(config(Role::Client));
    side.core.output().clear();
    side.fails(&frame(SETTINGS, ACK, 0, &[]), Reason::PROTOCOL_ERROR);
    let mut side = Side::new(config(Role::Server));
    side.fails(b"GET / HTTP/1.1\r\n", Reason::PROTOCOL_ERROR);
}

#[test]
fn settings_have_their_bounds() {
    for (name, value, reason) in [
        (2, 2, Reason::PROTOCOL_ERROR),
        (4, 1 << 31, Reason::FLOW_CONTROL_ERROR),
        (5, (16 << 10) - 1, Reason::PROTOCOL_ERROR),
        (5, 1 << 24, Reason::PROTOCOL_ERROR),
        (8, 2, Reason::PROTOCOL_ERROR),
    ] {
        Side::server().fails(&setting(name, value), reason);
    }
    // A server pushes nothing to a server.
    Side::client().fails(&setting(2, 1), Reason::PROTOCOL_ERROR);
    let mut side = Side::server();
    for (name, value) in [(1, 0), (2, 1), (3, 0), (5, 16 << 10), (6, 0), (99, 7)] {
        assert_eq!(side.told(&setting(name, value)), Ok(Vec::new()));
        assert_eq!(side.sent(), [(SETTINGS, ACK, 0, Vec::new())]);
    }
}

#[test]
fn streams_have_increasing_numbers_and_a_largest_count() {
    let mut side = Side::server();
    for id in 0..100 {
        side.request(2 * id + 1, 0);
    }
    let more = frame(HEADERS, END_HEADERS, 201, &asked("GET", &[]));
    side.resets(&more, 201, Reason::REFUSED_STREAM);
    side.core.reset(side.key(1), Reason::CANCEL);
    side.request(203, 0);
}

#[test]
fn a_peers_windows_are_kept() {
    let mut side = Side::server();
    let key = side.answering(1);
    let body = vec![7; 40 << 10];
    assert_eq!(side.core.data(key, &body, false), Ok(40 << 10));
    side.core.output().clear();
    // 65,535 is what there is.
    assert_eq!(side.core.data(key, &body, true), Ok(65_535 - (40 << 10)));
    assert_eq!(side.core.data(key, b"x", false), Ok(0));
    side.told(&frame(WINDOW_UPDATE, 0, 1, &MORE)).unwrap();
    assert_eq!(
        side.core.data(key, b"x", false),
        Ok(0),
        "the connection's is shut"
    );
    side.told(&frame(WINDOW_UPDATE, 0, 0, &MORE)).unwrap();
    assert_eq!(side.core.data(key, &[7; 200], false), Ok(100));
    // What the peer takes back is owed.
    side.told(&setting(4, 65_535 - 50)).unwrap();
    side.told(&frame(WINDOW_UPDATE, 0, 0, &MORE)).unwrap();
    side.told(&frame(WINDOW_UPDATE, 0, 1, &50_u32.to_be_bytes()))
        .unwrap();
    assert_eq!(side.core.data(key, b"x", false), Ok(0));
    side.told(&frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()))
        .unwrap();
    assert_eq!(side.core.data(key, b"xy", true), Ok(1));
    side.core.output().clear();
    // An end without bytes needs no window.
    assert_eq!(side.core.data(key, b"", true), Ok(0));
    assert_eq!(side.sent(), [(DATA, END_STREAM, 1, Vec::new())]);
    assert_eq!(side.core.open(), 0);
}

#[test]
fn a_window_beyond_its_bound_is_an_error() {
    let most = (u32::MAX >> 1).to_be_bytes();
    let mut side = Side::server();
    side.fails(
        &frame(WINDOW_UPDATE, 0, 0, &most),
        Reason::FLOW_CONTROL_ERROR,
    );
    let mut side = Side::server();
    side.request(1, 0);
    let wide = frame(WINDOW_UPDATE, 0, 1, &most);
    side.resets(&wide, 1, Reason::FLOW_CONTROL_ERROR);
    side.request(3, 0);
    let none = frame(WINDOW_UPDATE, 0, 3, &[0; 4]);
    side.resets(&none, 3, Reason::PROTOCOL_ERROR);
    side.request(5, 0);
    side.told(&frame(WINDOW_UPDATE, 0, 5, &MORE)).unwrap();
    side.fails(&setting(4, u32::MAX >> 1), Reason::FLOW_CONTROL_ERROR);
    Side::server().fails(&frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Reason::PROTOCOL_ERROR);
}

#[test]
fn our_windows_are_kept() {
    let mut side = Side::server();
    side.request(1, 0);
    side.request(3, 0);
    let part = [7; 16 << 10];
    for _ in 0..4 {
        side.unread(&frame(DATA, 0, 1, &part));
    }
    let told = side.told(&frame(DATA, 0, 1, b"x"));
    let reset = Told::Reset(1, Reason::FLOW_CONTROL_ERROR, true);
    assert_eq!(told, Ok(vec![reset]));
    // What was taken may come again.
    for _ in 0..100 {
        side.told(&frame(DATA, 0, 3, &part)).unwrap();
    }
    let updates = side.sent();
    let of_stream = updates
        .iter()
        .filter(|one| (one.0, one.2) == (WINDOW_UPDATE, 3));
    assert_eq!(of_stream.count(), 50);
    let of_all = updates
        .iter()
        .filter(|one| (one.0, one.2) == (WINDOW_UPDATE, 0));
    assert!(of_all.count() >= 3);
}

#[test]
fn a_body_has_its_length() {
    let head = |flags| {
        let fields = asked("POST", &[("content-length", "3")]);
        frame(HEADERS, END_HEADERS | flags, 1, &fields)
    };
    for parts in [
        vec![head(END_STREAM)],
        vec![head(0), frame(DATA, END_STREAM, 1, b"12")],
        vec![head(0), frame(DATA, 0, 1, b"1234")],
        vec![
            head(0),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("a", "b")])),
        ],
    ] {
        Side::server().resets(&parts.concat(), 1, Reason::PROTOCOL_ERROR);
    }
    let mut side = Side::server();
    let whole = [
        head(0),
        frame(DATA, 0, 1, b"12"),
        frame(DATA, END_STREAM, 1, b"3"),
    ];
    let told = side.told(&whole.concat()).unwrap();
    assert_eq!(told.last(), Some(&Told::Data(1, b"3".to_vec(), true)));
}

#[test]
fn answers_to_head_have_no_body() {
    let head = block(&[(":status", "200"), ("content-length", "3")]);
    let head = |flags| frame(HEADERS, END_HEADERS | flags, 1, &head);
    let mut side = Side::client();
    side.ask("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", true);
    let told = side.told(&head(END_STREAM)).unwrap();
    assert!(matches!(told[..], [Told::Response(1, _, true)]), "{told:?}");
    let mut side = Side::client();
    side.ask("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", true);
    side.told(&head(0)).unwrap();
    side.resets(&frame(DATA, 0, 1, b"x"), 1, Reason::PROTOCOL_ERROR);
}

#[test]
fn trailers_are_the_end() {
    let trailers = |flags| frame(HEADERS, END_HEADERS | flags, 1, &block(&[("a", "b")]));
    let mut side = Side::server();
    side.request(1, 0);
    let told = side.told(&trailers(END_STREAM));
    assert_eq!(told, Ok(vec![Told::Trailers(1, "a: b\r\n".into())]));
    let mut side = Side::server();
    side.request(1, 0);
    side.resets(&trailers(0), 1, Reason::PROTOCOL_ERROR);
    let mut side = Side::server();
    side.request(1, 0);
    let pseudo = frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        &block(&[(":path", "/")]),
    );
    side.resets(&pseudo, 1, Reason::PROTOCOL_ERROR);
}

#[test]
fn interim_answers_come_before_the_final_one() {
    let mut side = Side::client();
    side.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true);
    let head = |status, flags| {
        frame(
            HEADERS,
            END_HEADERS | flags,
            1,
            &block(&[(":status", status)]),
        )
    };
    let all = [
        head("103", 0),
        head("200", 0),
        frame(DATA, END_STREAM, 1, b"x"),
    ];
    let told = side.told(&all.concat()).unwrap();
    let [
        Told::Response(1, interim, false),
        Told::Response(1, last, false),
        Told::Data(..),
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert!(interim.starts_with("HTTP/1.1 103 ") && last.starts_with("HTTP/1.1 200 "));
    assert_eq!(side.core.open(), 0);
    let mut side = Side::client();
    side.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true);
    side.resets(&frame(DATA, 0, 1, b"x"), 1, Reason::PROTOCOL_ERROR);
    let mut side = Side::client();
    side.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true);
    side.resets(&head("103", END_STREAM), 1, Reason::PROTOCOL_ERROR);
}

#[test]
fn blocks_that_cannot_be_decoded_end_the_connection() {
    let head = frame(HEADERS, END_HEADERS, 1, &[0xff, 0xff, 0xff]);
    Side::server().fails(&head, Reason::COMPRESSION_ERROR);
}

#[test]
fn a_client_opens_no_more_than_the_server_takes() {
    let ask = |side: &mut Side| {
        let text = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let mut head = OwnHead::default();
        head.request(text.as_bytes()).unwrap();
        let asked = side
            .core
            .request(None, (&head, text.as_bytes()), "http", true);
        asked.map(|key| key.id())
    };
    let mut side = Side::client();
    side.told(&setting(3, 2)).unwrap();
    assert_eq!(ask(&mut side), Ok(1));
    assert_eq!(ask(&mut side), Ok(3));
    assert_eq!(ask(&mut side), Err(Gone));
    side.told(&frame(RST_STREAM, 0, 1, &CODE)).unwrap();
    assert_eq!(ask(&mut side), Ok(5));
}

#[test]
fn a_large_head_goes_out_in_parts() {
    let mut side = Side::server();
    side.request(1, END_STREAM);
    let value = "x".repeat(20 << 10);
    let text = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: {value}\r\n\r\n");
    let key = side.key(1);
    side.respond(key, &text, true);
    let sent = side.sent();
    let [
        (HEADERS, END_STREAM, 1, first),
        (CONTINUATION, END_HEADERS, 1, rest),
    ] = &sent[..]
    else {
        panic!("{} frames", sent.len());
    };
    assert_eq!(first.len(), 16 << 10);
    let mut client = Side::client();
    client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true);
    let told = [
        frame(HEADERS, END_STREAM, 1, first),
        frame(CONTINUATION, END_HEADERS, 1, rest),
    ];
    // Too large for this one.
    client.resets(&told.concat(), 1, Reason::PROTOCOL_ERROR);
}
