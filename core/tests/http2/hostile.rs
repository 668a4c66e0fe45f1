//! Peers that mean no good, and clients that do harm to others who share a connection with them.

use ringgate_core::http2::{Account, Config, Key, PREFACE, Reason, Role};

use crate::raw::*;

/// The rest of the frame comes, and nobody takes it.
#[test]
fn the_window_of_a_stream_that_ends_within_a_frame_is_given_back() {
    let mut side = Side::client();
    let mut credit: i64 = 1 << 20;
    for turn in 0..200_u32 {
        let id = 2 * turn + 1;
        let key = side.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true);
        assert_eq!(key.id(), id);
        let head = frame(HEADERS, END_HEADERS, id, &block(&[(":status", "200")]));
        side.told(&head).unwrap();
        let data = frame(DATA, 0, id, &[0; 16 << 10]);
        assert!(
            credit >= 16 << 10,
            "after {turn} cancelled responses {credit} bytes are left"
        );
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
    let key = side.answering(1);
    while side.core.data(key, &[0; 20 << 10], false).unwrap() > 0 {}
    assert!(!side.core.is_full(), "{} bytes", side.core.output().len());
}

/// Two of ours that carry bodies both ways, and sockets that hold `pipe` bytes for each direction.
struct Pair {
    sides: [Side; 2],
    keys: Vec<[Key; 2]>,
    pipe: usize,
    /// By whom it was sent: what is being written, and what the sockets hold.
    writing: [Vec<u8>; 2],
    sockets: [Vec<u8>; 2],
}

impl Pair {
    fn new(pipe: usize, streams: usize) -> Self {
        let sides = [Role::Client, Role::Server].map(|role| Side::new(config(role)));
        let mut pair = Self {
            sides,
            keys: Vec::new(),
            pipe,
            writing: Default::default(),
            sockets: Default::default(),
        };
        for turn in 0..3 {
            pair.hand_over(turn % 2);
        }
        for _ in 0..streams {
            let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
            let key = pair.sides[0].ask(head, false);
            pair.hand_over(0);
            let theirs = pair.sides[1].key(key.id());
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            pair.sides[1].respond(theirs, head, false);
            pair.hand_over(1);
            pair.keys.push([key, theirs]);
        }
        pair
    }

    /// All that one side has to say, without the sockets.
    fn hand_over(&mut self, from: usize) {
        let bytes = std::mem::take(self.sides[from].core.output());
        self.sides[1 - from].told(&bytes).unwrap();
    }

    /// As much as a side may write; how much that was.
    fn write(&mut self, side: usize) -> usize {
        let core = &mut self.sides[side].core;
        let parts = self.keys.iter();
        let parts = parts.map(|keys| core.data(keys[side], &[0; 20 << 10], false).unwrap());
        let written: usize = parts.sum();
        if self.writing[side].is_empty() {
            self.writing[side] = std::mem::take(core.output());
        }
        let room = self.pipe - self.sockets[side].len();
        let left = room.min(self.writing[side].len());
        self.sockets[side].extend(self.writing[side].drain(..left));
        written + left
    }

    /// What was sent by a side, if the other reads; how much that was.
    fn read(&mut self, from: usize) -> usize {
        let reader = &mut self.sides[1 - from];
        if reader.core.is_full() {
            return 0;
        }
        let count = self.sockets[from].len().min(20 << 10);
        let part: Vec<u8> = self.sockets[from].drain(..count).collect();
        reader.told(&part).unwrap();
        count
    }
}

#[test]
fn two_of_ours_do_not_wait_for_each_other() {
    for pipe in [128 << 10, 256 << 10, 512 << 10, 700 << 10] {
        let mut pair = Pair::new(pipe, 40);
        // The sockets are full before anybody looks.
        for _ in 0..40 {
            let _ = [0, 1].map(|side| pair.write(side));
        }
        for round in 0..2_000 {
            let written = [0, 1].map(|side| pair.write(side));
            let read = [0, 1].map(|side| pair.read(side));
            let moved: usize = written.iter().chain(&read).sum();
            assert!(
                moved > 0,
                "nothing moves in round {round}, with {pipe} bytes"
            );
        }
    }
}

/// No window holds them up, and a field of the table makes much of little.
#[test]
fn interim_responses_are_bounded() {
    let mut side = Side::client();
    side.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true);
    let value = "x".repeat(3 << 10);
    let mut first = block(&[(":status", "103")]);
    first.extend([0x40, 1, b'a', 0x7f, 0x81, 0x17]);
    first.extend(value.bytes());
    side.told(&frame(HEADERS, END_HEADERS, 1, &first)).unwrap();
    let mut more = block(&[(":status", "103")]);
    more.extend([0xbe; 5]);
    let more = frame(HEADERS, END_HEADERS, 1, &more);
    let ended = (0..100).find(|_| {
        let told = side.told(&more).unwrap();
        matches!(told[..], [Told::Reset(1, Reason::ENHANCE_YOUR_CALM, true)])
    });
    assert_eq!(ended, Some(15));
}

#[test]
fn rapid_resets_cannot_be_paid_for_with_crumbs() {
    let mut account = Account::new(PREFACE.len(), 0);
    account.received(PREFACE, 0).unwrap();
    let is_flood = (0..100_000_u32).any(|turn| {
        let id = 2 * turn + 1;
        let mut bytes = frame(HEADERS, END_HEADERS, id, &[0x82]);
        for _ in 0..4 {
            bytes.extend(frame(DATA, 0, id, b"x"));
        }
        bytes.extend(frame(RST_STREAM, 0, id, &[0; 4]));
        account.received(&bytes, 0).is_err()
    });
    assert!(is_flood);
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
    let mut side = Side::new(Config {
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
