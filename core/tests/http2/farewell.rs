//! How connections are left, by either side, without a request lost.

use ringgate_core::http2::Reason;

use crate::raw::*;

#[test]
fn a_client_that_is_told_goodbye_loses_no_request() {
    let mut side = Side::server();
    side.request(1, 0);
    side.core.shut_down();
    let sent = side.sent();
    let [(GOAWAY, 0, 0, payload), (PING, 0, 0, ping)] = &sent[..] else {
        panic!("{sent:?}");
    };
    assert_eq!(payload[..4], (u32::MAX >> 1).to_be_bytes());
    // It was on its way.
    side.request(3, END_STREAM);
    side.told(&frame(PING, ACK, 0, ping)).unwrap();
    let goaway = (GOAWAY, 0, 0, [0, 0, 0, 3, 0, 0, 0, 0].to_vec());
    assert_eq!(side.sent(), [goaway]);
    // Not so this one, which is not looked at.
    let late = frame(HEADERS, END_HEADERS, 5, &asked("GET", &[]));
    assert_eq!(side.told(&late), Ok(Vec::new()));
    assert_eq!(side.told(&frame(DATA, END_STREAM, 5, b"x")), Ok(Vec::new()));
    assert!(!side.core.is_over());
    for id in [1, 3] {
        side.core.reset(side.key(id), Reason::CANCEL);
    }
    assert!(side.core.is_over());
}

#[test]
fn a_server_that_says_goodbye_has_not_looked_at_the_rest() {
    let mut side = Side::client();
    side.told(&setting(3, 10)).unwrap();
    let keys: Vec<_> = (0..3)
        .map(|_| side.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true))
        .collect();
    let goaway = |last: u32| frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
    let told = side.told(&goaway(u32::MAX >> 1));
    assert_eq!(told, Ok(vec![Told::GoAway(Reason::NO_ERROR)]));
    assert_eq!(side.core.next_refused(), None);
    assert!(!side.core.is_usable());
    side.told(&goaway(1)).unwrap();
    let mut refused: Vec<_> = std::iter::from_fn(|| side.core.next_refused()).collect();
    refused.sort_by_key(|key| key.id());
    assert_eq!(refused, keys[1..]);
    side.fails(&goaway(3), Reason::PROTOCOL_ERROR);
}
