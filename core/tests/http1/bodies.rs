//! Bodies through a relay: every pair of framings, what is refused, what is dropped.

use ringgate_core::grpc::web::{Base64, Recode};
use ringgate_core::http1::{BodyError, Framing, Relay};

/// All at once; gives what the receiver gets and how many bytes were left over.
fn relay(from: Framing, to: Framing, input: &[u8]) -> Result<(String, usize), BodyError> {
    let mut relay = Relay::new(from, to);
    let mut out = Vec::new();
    let used = relay.pump(input, &mut out, usize::MAX)?;
    if !relay.is_done() {
        relay.end_of_stream(&mut out)?;
    }
    assert!(relay.is_done());
    Ok((String::from_utf8(out).unwrap(), input.len() - used))
}

#[test]
fn every_sender_can_be_carried_to_every_receiver() {
    use Framing::{Chunked, Length, UntilClose};
    let chunks = &b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nmore"[..];
    let table = [
        (Length(5), Length(5), &b"abcdemore"[..], "abcde", 4),
        (
            Length(5),
            Chunked,
            b"abcdemore",
            "5\r\nabcde\r\n0\r\n\r\n",
            4,
        ),
        (Length(5), UntilClose, b"abcdemore", "abcde", 4),
        (Length(5), Framing::None, b"abcdemore", "", 4),
        (Length(0), Length(0), b"more", "", 4),
        (Length(0), Chunked, b"more", "0\r\n\r\n", 4),
        (Framing::None, Length(0), b"more", "", 4),
        (Framing::None, Chunked, b"more", "0\r\n\r\n", 4),
        (Framing::None, Framing::None, b"more", "", 4),
        (
            Chunked,
            Chunked,
            chunks,
            "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            4,
        ),
        (Chunked, Length(5), chunks, "abcde", 4),
        (Chunked, UntilClose, chunks, "abcde", 4),
        (Chunked, Framing::None, chunks, "", 4),
        (Chunked, UntilClose, b"0\r\n\r\n", "", 0),
        (UntilClose, UntilClose, b"abcde", "abcde", 0),
        (UntilClose, Chunked, b"abcde", "5\r\nabcde\r\n0\r\n\r\n", 0),
        (UntilClose, Chunked, b"", "0\r\n\r\n", 0),
        (UntilClose, Length(5), b"abcde", "abcde", 0),
        (UntilClose, Framing::None, b"abcde", "", 0),
    ];
    for (from, to, input, wanted, left) in table {
        assert_eq!(
            relay(from, to, input),
            Ok((wanted.to_owned(), left)),
            "{from:?} to {to:?}"
        );
    }
}

#[test]
fn chunk_sizes_are_bare_hexadecimal_digits() {
    let sizes = [
        ("", false),
        ("3", true),
        ("0003", true),
        ("0000000000000003", true),
        ("00000000000000003", false),
        ("10000000000000003", false),
        ("0x3", false),
        ("+3", false),
        ("-3", false),
        (" 3", false),
        ("3 ", false),
        ("\t3", false),
        ("3g", false),
        ("3\0", false),
        ("3\u{e9}", false),
        ("3,", false),
        ("3;", true),
        ("3;a", true),
        ("3; a = \"b c\"", true),
        ("3;a\0", false),
        ("3;a\x7f", false),
        ("3;a\rb", false),
        ("3\n", false),
    ];
    for (size, good) in sizes {
        let input = format!("{size}\r\nabc\r\n0\r\n\r\n");
        let found = relay(Framing::Chunked, Framing::UntilClose, input.as_bytes());
        assert_eq!(found.is_ok(), good, "{}: {found:?}", size.escape_debug());
    }
}

#[test]
fn line_ends_in_chunked_bodies_are_crlf() {
    for input in [
        "3\nabc\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3;a\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n\rX\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA: b\rC: d\r\n\r\n",
    ] {
        let found = relay(Framing::Chunked, Framing::Chunked, input.as_bytes());
        assert!(found.is_err(), "{}: {found:?}", input.escape_debug());
        assert_ne!(found, Err(BodyError::Truncated), "{}", input.escape_debug());
    }
}

#[test]
fn a_size_of_64_bits_is_counted_without_overflow() {
    let mut relay = Relay::new(Framing::Chunked, Framing::Chunked);
    let mut out = Vec::new();
    assert_eq!(relay.pump(b"FFFFFFFFFFFFFFFF\r\nab", &mut out, 30), Ok(20));
    assert_eq!(
        (relay.received(), &out[..]),
        (2, &b"ffffffffffffffff\r\nab"[..])
    );
    assert_eq!(relay.verbatim(usize::MAX), usize::MAX - 2);
}

#[test]
fn trailers_go_on_to_a_receiver_of_chunks_but_those_that_must_not() {
    let input = b"0\r\nGrpc-Status: 0\r\nX-Sum:\tab \r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: b\r\n\
                  Authorization: c\r\nSet-Cookie: d\r\nConnection: close\r\nX-Forwarded-For: e\r\nContent-Type: f\r\n\r\n";
    let to_chunks = relay(Framing::Chunked, Framing::Chunked, input).unwrap().0;
    assert_eq!(to_chunks, "0\r\nGrpc-Status: 0\r\nX-Sum: ab\r\n\r\n");
    assert_eq!(
        relay(Framing::Chunked, Framing::UntilClose, input)
            .unwrap()
            .0,
        ""
    );
}

#[test]
fn trailers_obey_the_rules_for_fields() {
    for line in ["A : b", ": b", " A: b", "A", "A: b\0", "A\u{e9}: b"] {
        let input = format!("0\r\n{line}\r\n\r\n");
        let found = relay(Framing::Chunked, Framing::UntilClose, input.as_bytes());
        assert!(
            matches!(found, Err(BodyError::Trailer(_))),
            "{line}: {found:?}"
        );
    }
}

#[test]
fn what_costs_much_and_carries_nothing_is_bounded() {
    let verdict =
        |input: String| relay(Framing::Chunked, Framing::None, input.as_bytes()).unwrap_err();
    assert_eq!(
        verdict(format!("1;{}\r\na\r\n", "e".repeat(5_000))),
        BodyError::ExtensionsTooLarge
    );
    assert_eq!(
        verdict(format!("1;{}\r\na\r\n", "e".repeat(400)).repeat(50)),
        BodyError::ExtensionsTooLarge
    );
    assert_eq!(
        verdict(format!("0\r\nA: {}\r\n", "b".repeat(9_000))),
        BodyError::TrailersTooLarge
    );
    assert_eq!(
        verdict(format!("0\r\n{}", "A: b\r\n".repeat(65))),
        BodyError::TrailersTooLarge
    );
}

#[test]
fn signed_chunks_of_a_long_upload_are_not_taken_for_abuse() {
    let chunk = format!(
        "1000;chunk-signature={}\r\n{}\r\n",
        "0".repeat(64),
        "a".repeat(4096)
    );
    let input = chunk.repeat(1000) + "0\r\n\r\n";
    assert_eq!(
        relay(Framing::Chunked, Framing::None, input.as_bytes()),
        Ok((String::new(), 0))
    );
}

/// CVE-2026-118899 of nginx is about such a close: it must end the exchange, at once and as a failure.
#[test]
fn a_body_that_was_cut_is_never_ended() {
    let table = [
        (Framing::Length(5), "abc"),
        (Framing::Length(5), ""),
        (Framing::Chunked, ""),
        (Framing::Chunked, "3\r\nab"),
        (Framing::Chunked, "3\r\nabc\r\n"),
        (Framing::Chunked, "3\r\nabc\r\n0\r\n"),
        (Framing::Chunked, "3\r\nabc\r\n0\r\nA: b\r\n"),
    ];
    for (from, input) in table {
        for to in [Framing::Chunked, Framing::UntilClose, Framing::None] {
            let mut relay = Relay::new(from, to);
            let mut out = Vec::new();
            relay.pump(input.as_bytes(), &mut out, usize::MAX).unwrap();
            assert_eq!(
                relay.end_of_stream(&mut out),
                Err(BodyError::Truncated),
                "{from:?} {input:?}"
            );
            assert!(!out.ends_with(b"0\r\n\r\n") && !relay.is_done());
        }
    }
}

#[test]
fn a_body_ends_early_between_chunks_only() {
    use Framing::{Chunked, Length, UntilClose};
    for (from, to, input, expected) in [
        (
            Chunked,
            Chunked,
            &b"3\r\nabc\r\n"[..],
            Some("3\r\nabc\r\n0\r\na: b\r\n\r\n"),
        ),
        (
            Chunked,
            Chunked,
            b"3\r\nabc\r\n5",
            Some("3\r\nabc\r\n0\r\na: b\r\n\r\n"),
        ),
        (Chunked, Chunked, b"", Some("0\r\na: b\r\n\r\n")),
        (
            UntilClose,
            Chunked,
            b"abc",
            Some("3\r\nabc\r\n0\r\na: b\r\n\r\n"),
        ),
        (Chunked, Chunked, b"3\r\nab", None),
        (Chunked, Chunked, b"3\r\nabc\r\n0\r\n", None),
        (Chunked, UntilClose, b"3\r\nabc\r\n", None),
        (Length(5), Length(5), b"abc", None),
        (Length(5), Chunked, b"abc", None),
    ] {
        let mut relay = Relay::new(from, to);
        let mut out = Vec::new();
        relay.pump(input, &mut out, usize::MAX).unwrap();
        let before = out.clone();
        let has_ended = relay.end_early(b"a: b\r\n", &mut out);
        assert_eq!(
            (has_ended, relay.is_done()),
            (expected.is_some(), expected.is_some())
        );
        let expected = expected.map_or(before, |text| text.into());
        assert_eq!(out, expected, "{from:?} {to:?} {input:?}");
    }
    let mut out = Vec::new();
    let mut relay = Relay::new(Chunked, Chunked);
    relay.pump(b"3\r\n", &mut out, 1).unwrap();
    relay.advance(3);
    assert!(relay.end_early(b"", &mut out));
    assert_eq!(
        out, b"3\r\n\r\n0\r\n\r\n",
        "the chunk's bytes went another way"
    );
}

#[test]
fn a_receiver_gets_exactly_what_was_announced_to_it() {
    for (from, input) in [
        (Framing::Length(3), &b"abc"[..]),
        (Framing::Chunked, b"3\r\nabc\r\n0\r\n\r\n"),
        (Framing::UntilClose, b"abc"),
    ] {
        assert_eq!(
            relay(from, Framing::Length(2), input),
            Err(BodyError::Length),
            "{from:?}"
        );
        assert_eq!(
            relay(from, Framing::Length(4), input),
            Err(BodyError::Length),
            "{from:?}"
        );
    }
}

#[test]
fn bytes_may_pass_untouched_within_a_body_only() {
    let mut length = Relay::new(Framing::Length(5), Framing::Length(5));
    assert_eq!(length.verbatim(100), 5);
    length.advance(3);
    assert_eq!(
        (length.verbatim(1), length.verbatim(100), length.received()),
        (1, 2, 3)
    );
    length.advance(2);
    assert!(length.is_done() && length.verbatim(100) == 0);

    let mut stream = Relay::new(Framing::UntilClose, Framing::UntilClose);
    stream.advance(stream.verbatim(100));
    assert_eq!((stream.received(), stream.is_done()), (100, false));
    assert_eq!(stream.end_of_stream(&mut Vec::new()), Ok(()));

    let mut out = Vec::new();
    let mut chunked = Relay::new(Framing::Chunked, Framing::Chunked);
    assert_eq!(chunked.verbatim(100), 0);
    assert_eq!(chunked.pump(b"5\r\n", &mut out, 1), Ok(3));
    assert_eq!(chunked.verbatim(100), 5);
    chunked.advance(5);
    assert_eq!(chunked.verbatim(100), 0);
    assert_eq!(chunked.pump(b"\r\n0\r\n\r\n", &mut out, 1), Ok(7));
    assert_eq!(
        (&out[..], chunked.is_done()),
        (&b"5\r\n\r\n0\r\n\r\n"[..], true)
    );

    for (from, to) in [
        (Framing::Length(5), Framing::Chunked),
        (Framing::UntilClose, Framing::Chunked),
        (Framing::Length(5), Framing::None),
    ] {
        assert_eq!(Relay::new(from, to).verbatim(100), 0, "{from:?} to {to:?}");
    }
}

#[test]
fn room_bounds_what_is_written_and_nothing_is_lost() {
    let mut relay = Relay::new(Framing::Length(10), Framing::Length(10));
    let mut out = Vec::new();
    assert_eq!(relay.pump(b"0123456789", &mut out, 4), Ok(4));
    assert_eq!(relay.pump(b"456789", &mut out, 0), Ok(1));
    assert_eq!(relay.pump(b"56789next", &mut out, 100), Ok(5));
    assert_eq!((&out[..], relay.is_done()), (&b"0123456789"[..], true));
    // What is written around a body never keeps it from going on.
    for from in [Framing::Length(3), Framing::UntilClose] {
        assert_eq!(
            Relay::new(from, Framing::Chunked).pump(b"abc", &mut out, 1),
            Ok(1),
            "{from:?}"
        );
    }
}

#[test]
fn the_rest_of_a_body_can_be_thrown_away_midway() {
    let mut relay = Relay::new(Framing::Chunked, Framing::Chunked);
    let mut out = Vec::new();
    relay.pump(b"5\r\nab", &mut out, 100).unwrap();
    let mut rest = relay.into_discard();
    out.clear();
    assert_eq!(
        rest.pump(b"cde\r\n1\r\nf\r\n0\r\n\r\nnext", &mut out, 1),
        Ok(16)
    );
    assert!(rest.is_done() && out.is_empty() && rest.received() == 6);
    assert!(
        Relay::new(Framing::None, Framing::Chunked)
            .into_discard()
            .is_done()
    );
}

/// gRPC-Web: however a body is cut, the receiver gets the same frames, and the trailers as the last.
#[test]
fn a_recoded_body_is_the_same_however_it_comes() {
    let message = b"\0\0\0\0\x05hello";
    let mut sent = format!("{:x}\r\n", message.len()).into_bytes();
    sent.extend_from_slice(message);
    sent.extend_from_slice(b"\r\n0\r\nGrpc-Status: 0\r\ngrpc-message: fine\r\n\r\n");
    let frame = b"\x80\0\0\0\x24grpc-status: 0\r\ngrpc-message: fine\r\n";
    for cut in 1..=sent.len() {
        let to_web = Recode::ToWeb { as_text: false };
        let mut relay = Relay::recoding(Framing::Chunked, Framing::Chunked, to_web);
        assert_eq!(relay.verbatim(100), 0);
        let mut out = Vec::new();
        for piece in sent.chunks(cut) {
            assert!(!relay.is_done());
            assert_eq!(relay.pump(piece, &mut out, 100).unwrap(), piece.len());
        }
        assert!(relay.is_done());
        assert_eq!(relay.pump(b"x", &mut out, 100).unwrap(), 0);
        let mut plain = Vec::new();
        let mut receiver = Relay::new(Framing::Chunked, Framing::UntilClose);
        assert_eq!(receiver.pump(&out, &mut plain, 1000).unwrap(), out.len());
        assert!(receiver.is_done());
        assert_eq!(plain, [&message[..], frame].concat());
    }
}

#[test]
fn a_recoded_body_ends_with_its_stream_and_is_refused_if_it_is_none() {
    let mut out = Vec::new();
    let text = Recode::FromText(Base64::default());
    let mut relay = Relay::recoding(Framing::UntilClose, Framing::Chunked, text.clone());
    relay.pump(b"Zm9v", &mut out, 100).unwrap();
    relay.end_of_stream(&mut out).unwrap();
    assert_eq!(out, b"3\r\nfoo\r\n0\r\n\r\n");
    let mut short = Relay::recoding(Framing::Length(3), Framing::Chunked, text.clone());
    assert!(short.pump(b"Zm9", &mut Vec::new(), 100).is_err());
    let mut odd = Relay::recoding(Framing::Length(4), Framing::Chunked, text);
    assert!(odd.pump(b"Zm9!", &mut Vec::new(), 100).is_err());
}
