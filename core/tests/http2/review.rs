//! Review.

use ringgate_core::http2::{Account, PREFACE, Reason, Role};

use crate::raw::*;

/// Streams that we end in the middle of a frame of DATA: the rest of the frame is never given back.
#[test]
fn window_leaks_when_a_stream_is_reset_within_a_frame() {
    let mut side = Side::client();
    let mut credit: i64 = 1 << 20;
    for turn in 0..200_u32 {
        let id = 2 * turn + 1;
        let key = side.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true);
        assert_eq!(key.id(), id);
        let head = frame(HEADERS, END_HEADERS, id, &block(&[(":status", "200")]));
        side.told(&head).unwrap();
        let data = frame(DATA, 0, id, &[0; 16 << 10]);
        if credit < 16 << 10 {
            panic!("stalled for ever after {turn} cancelled responses, credit {credit}");
        }
        credit -= 16 << 10;
        side.told(&data[..100]).unwrap();
        // Its client is gone.
        side.core.reset(key, Reason::CANCEL);
        side.told(&data[100..]).unwrap();
        for (kind, _, stream, payload) in side.sent_no_preface() {
            if kind == WINDOW_UPDATE && stream == 0 {
                credit += i64::from(u32::from_be_bytes(payload.try_into().unwrap()));
            }
        }
    }
}

/// Bodies alone stop reading: two of ours that both send come to wait for each other.
#[test]
fn bodies_alone_do_not_stop_reading() {
    let mut side = Side::server();
    let mut settings = setting(4, 1 << 20);
    settings.extend(frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 20).to_be_bytes()));
    side.told(&settings).unwrap();
    side.request(1, END_STREAM);
    let key = side.key(1);
    side.respond(
        key,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        false,
    );
    while side.core.data(key, &[0; 20 << 10], false).unwrap() > 0 {}
    assert!(!side.core.is_full(), "{} bytes", side.core.output().len());
}

/// Two of ours, and sockets that hold `pipe` bytes for each direction, as link.rs drives them.
#[test]
fn two_of_ours_do_not_wait_for_each_other() {
    for pipe in [128 << 10, 256 << 10, 512 << 10, 700 << 10] {
        let mut client = Side::new(config(Role::Client));
        let mut server = Side::new(config(Role::Server));
        let first: Vec<u8> = std::mem::take(client.core.output());
        server.told(&first).unwrap();
        let hello: Vec<u8> = std::mem::take(server.core.output());
        client.told(&hello).unwrap();
        let ack: Vec<u8> = std::mem::take(client.core.output());
        server.told(&ack).unwrap();
        let mut keys = Vec::new();
        for _ in 0..40 {
            let key = client.ask(
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
                false,
            );
            let heads: Vec<u8> = std::mem::take(client.core.output());
            server.told(&heads).unwrap();
            let theirs = server.key(key.id());
            server.respond(
                theirs,
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                false,
            );
            let heads: Vec<u8> = std::mem::take(server.core.output());
            client.told(&heads).unwrap();
            keys.push((key, theirs));
        }
        // [to the server, to the client]: what is being written, and what the sockets hold.
        let mut writing = [Vec::new(), Vec::new()];
        let mut sockets = [Vec::new(), Vec::new()];
        let mut passed = 0;
        for round in 0..2_000 {
            let before = passed;
            // Both write first, as much as they may, then both read if they do.
            for side in 0..2 {
                for (key, theirs) in &keys {
                    let (core, key) = match side {
                        0 => (&mut client.core, *key),
                        _ => (&mut server.core, *theirs),
                    };
                    passed += core.data(key, &[0; 20 << 10], false).unwrap();
                }
                let out = if side == 0 {
                    client.core.output()
                } else {
                    server.core.output()
                };
                if writing[side].is_empty() {
                    writing[side] = std::mem::take(out);
                }
                let room = (pipe - sockets[side].len()).min(writing[side].len());
                let part: Vec<u8> = writing[side].drain(..room).collect();
                passed += part.len();
                sockets[side].extend(part);
            }
            // A wave of both directions is on its way before either looks again.
            if round < 40 {
                continue;
            }
            for side in 0..2 {
                let reader = if side == 0 { &mut server } else { &mut client };
                if reader.core.is_full() {
                    continue;
                }
                let count = sockets[side].len().min(20 << 10);
                let part: Vec<u8> = sockets[side].drain(..count).collect();
                passed += part.len();
                reader.told(&part).unwrap();
            }
            assert!(
                round < 40 || passed > before,
                "sockets of {pipe} bytes: nothing moves in round {round}"
            );
        }
    }
}

#[test]
fn interim_responses_are_bounded() {
    let mut side = Side::client();
    side.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true);
    let (mut came, mut text) = (0_usize, 0_usize);
    let value = "x".repeat(3 << 10);
    let mut first = block(&[(":status", "103")]);
    first.extend([0x40, 1, b'a', 0x7f, 0x81, 0x17]);
    first.extend(value.bytes());
    came += first.len();
    side.told(&frame(HEADERS, END_HEADERS, 1, &first)).unwrap();
    for _ in 0..1_000 {
        let mut more = block(&[(":status", "103")]);
        more.extend([0xbe; 5]);
        let more = frame(HEADERS, END_HEADERS, 1, &more);
        came += more.len();
        match side.told(&more) {
            Err(_) => return,
            Ok(told) => {
                for one in told {
                    match one {
                        Told::Response(_, head, _) => text += head.len(),
                        Told::Reset(..) => return,
                        _ => {}
                    }
                }
            }
        }
    }
    panic!("{came} bytes made {text} bytes of heads, of which no flow control knows");
}

#[test]
fn rapid_resets_cannot_be_paid_for_with_crumbs() {
    let mut account = Account::new(PREFACE.len(), 0);
    account.received(PREFACE, 0).unwrap();
    for turn in 0..100_000_u32 {
        let id = 2 * turn + 1;
        let mut bytes = frame(HEADERS, END_HEADERS, id, &[0x82]);
        for _ in 0..4 {
            bytes.extend(frame(DATA, 0, id, b"x"));
        }
        bytes.extend(frame(RST_STREAM, 0, id, &[0; 4]));
        if account.received(&bytes, 0).is_err() {
            return;
        }
    }
    panic!("100000 requests were taken back at once, and that is no flood");
}

#[test]
fn many_refused_streams_with_bodies_do_not_end_the_connection() {
    let mut side = Side::server();
    for turn in 0..400_u32 {
        let head = frame(HEADERS, END_HEADERS, 2 * turn + 1, &asked("POST", &[]));
        side.told(&head).unwrap();
    }
    // The 101st, which was refused.
    let body = side.told(&frame(DATA, END_STREAM, 201, b"body"));
    assert!(body.is_ok(), "{body:?}");
}

#[test]
fn late_answers_to_many_cancelled_requests_do_not_end_the_connection() {
    let mut side = Side::client();
    for _ in 0..300 {
        let key = side.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true);
        side.core.reset(key, Reason::CANCEL);
    }
    let late = side.told(&frame(
        HEADERS,
        END_HEADERS,
        1,
        &block(&[(":status", "200")]),
    ));
    assert!(late.is_ok(), "{late:?}");
}

#[test]
fn a_table_that_was_emptied_within_one_frame_is_told_of() {
    let mut side = Side::server();
    let mut both = setting(1, 0)[9..].to_vec();
    both.extend(&setting(1, 4096)[9..]);
    side.told(&frame(SETTINGS, 0, 0, &both)).unwrap();
    side.sent();
    side.request(1, END_STREAM);
    let key = side.key(1);
    side.respond(key, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true);
    let (_, _, _, block) = side.sent().pop().unwrap();
    assert_eq!(block[0], 0x20, "{block:x?}");
}

/// Those who read slowly must not take all of a window that others need.
#[test]
fn sixteen_slow_readers_leave_something_for_others() {
    let mut side = Side::new(ringgate_core::http2::Config {
        connection_window: 100 * (64 << 10),
        ..config(Role::Client)
    });
    side.told(&frame(SETTINGS, 0, 0, &[])).unwrap();
    for turn in 0..20_u32 {
        let id = 2 * turn + 1;
        side.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true);
        let head = frame(HEADERS, END_HEADERS, id, &block(&[(":status", "200")]));
        side.unread(&head);
    }
    for turn in 0..16_u32 {
        for _ in 0..4 {
            side.unread(&frame(DATA, 0, 2 * turn + 1, &[0; 16 << 10]));
        }
    }
    // Is there one byte of window for another client's response?
    let told = side.told(&frame(DATA, 0, 39, b"x"));
    assert!(told.is_ok(), "{told:?}");
}
