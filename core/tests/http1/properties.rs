//! What holds for any input: what was written is read back, and splits never matter.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use ringgate_core::http1::{
    BodyError, Form, Framing, Limits, Method, Parse, Relay, RequestError, RequestHead,
    ResponseHead, encode, parse_request, parse_response,
};

/// Small, so that they are met.
const LIMITS: Limits = Limits {
    request_line_bytes: 60,
    header_bytes: 120,
    header_fields: 6,
};

pub(crate) const REQUESTS: [&[u8]; 5] = [
    b"GET /path?query HTTP/1.1\r\nHost: example.com\r\nAccept: a, b\r\n\r\n",
    b"POST http://[::1]:80/ HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\nbody",
    b"\r\nPUT * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close, x\r\n\r\n0\r\n\r\n",
    b"OPTIONS * HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nX: \t tabs\tand \xff \t\r\n\r\n",
];

const RESPONSES: [&[u8]; 3] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: now\r\n\r\nhello",
    b"HTTP/1.0 304\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n",
];

const CHUNKED: [&[u8]; 3] = [
    b"5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\nnext",
    b"01;a=\"b\"\r\nz\r\n000\r\nGrpc-Status: 0\r\nHost: a\r\n\r\n",
    b"ffffffffffffffff\r\nabc",
];

/// A good text with a few bytes changed, left out or put in, and an empty line at the end: a head's faults may
/// be told as late as at its end.
pub(crate) fn spoiled(seeds: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let byte = select(b"\0\t\n\r !#%,:;/?@[]\\0159afxGH\x7f\x80\xff".to_vec());
    let edit = (any::<Index>(), 0..5_u8, byte);
    (select(seeds.to_vec()), vec(edit, 0..4)).prop_map(|(seed, edits)| {
        let mut text = seed.to_vec();
        for (place, kind, byte) in edits {
            let at = place.index(text.len().max(1));
            match kind {
                _ if text.is_empty() => text.push(byte),
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                2 => drop(text.remove(at)),
                3 => text.splice(at..at, vec![byte; 70]).for_each(drop),
                _ => text.truncate(at + 1),
            }
        }
        text.extend_from_slice(b"\r\n\r\n");
        text
    })
}

/// What a parser gave, in a form that can be compared.
fn summary(result: Result<Parse, RequestError>, head: &RequestHead) -> String {
    match result {
        Ok(Parse::Complete) => format!("{head:?}"),
        other => format!("{other:?}"),
    }
}

/// The first definite result when the bytes come in steps, or the last.
fn in_steps<T>(buf: &[u8], steps: &[usize], mut parse: impl FnMut(&[u8]) -> (T, bool)) -> T {
    let mut end = 0;
    for step in steps.iter().cycle() {
        end = (end + step).min(buf.len());
        let (result, is_partial) = parse(&buf[..end]);
        if !is_partial || end == buf.len() {
            return result;
        }
    }
    unreachable!("there is a step")
}

fn relay_in_steps(
    input: &[u8],
    to: Framing,
    steps: &[usize],
    room: usize,
) -> (Vec<u8>, usize, Option<BodyError>, bool) {
    let mut relay = Relay::new(Framing::Chunked, to);
    let (mut out, mut used, mut end) = (Vec::new(), 0, 0);
    let mut steps = steps.iter().cycle();
    while end < input.len() || used < end {
        let before = (used, end);
        end = (end + steps.next().unwrap()).min(input.len());
        match relay.pump(&input[used..end], &mut out, room) {
            Ok(n) => used += n,
            Err(error) => return (out, 0, Some(error), false),
        }
        if relay.is_done() || (used, end) == before {
            break;
        }
    }
    (out, used, None, relay.is_done())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn a_request_is_read_alike_however_it_is_split(buf in spoiled(&REQUESTS), steps in vec(1..9_usize, 1..5)) {
        let mut whole = RequestHead::default();
        let result = parse_request(&buf, &LIMITS, &mut whole);
        let mut head = RequestHead::default();
        let split = in_steps(&buf, &steps, |part| {
            let result = parse_request(part, &LIMITS, &mut head);
            (summary(result, &head), result == Ok(Parse::Partial))
        });
        prop_assert_eq!(split, summary(result, &whole), "{}", buf.escape_ascii());
    }

    #[test]
    fn a_response_is_read_alike_however_it_is_split(buf in spoiled(&RESPONSES), steps in vec(1..9_usize, 1..5)) {
        let verdict = |part: &[u8], head: &mut ResponseHead| {
            let result = parse_response(part, &LIMITS, Method::Get, head);
            let is_partial = result == Ok(Parse::Partial);
            let text = if is_partial { "partial".into() } else { format!("{result:?} {head:?}") };
            (if result.is_err() { format!("{result:?}") } else { text }, is_partial)
        };
        let whole = verdict(&buf, &mut ResponseHead::default()).0;
        let mut head = ResponseHead::default();
        let split = in_steps(&buf, &steps, |part| verdict(part, &mut head));
        prop_assert_eq!(split, whole, "{}", buf.escape_ascii());
    }

    #[test]
    fn a_chunked_body_is_read_alike_however_it_is_split(
        input in spoiled(&CHUNKED), steps in vec(1..9_usize, 1..5), room in 1..20_usize, to_chunks in any::<bool>(),
    ) {
        let to = if to_chunks { Framing::Chunked } else { Framing::UntilClose };
        let at_once = relay_in_steps(&input, to, &[usize::MAX / 2], usize::MAX);
        let split = relay_in_steps(&input, to, &steps, room);
        prop_assert_eq!(split, at_once, "{}", input.escape_ascii());
    }

    #[test]
    fn what_a_relay_writes_another_relay_reads(
        body in vec(any::<u8>(), 0..200), steps in vec(1..50_usize, 1..5), room in 1..50_usize,
    ) {
        let mut chunks = Vec::new();
        let mut relay = Relay::new(Framing::UntilClose, Framing::Chunked);
        let mut rest = &body[..];
        while !rest.is_empty() {
            rest = &rest[relay.pump(rest, &mut chunks, room).unwrap()..];
        }
        relay.end_of_stream(&mut chunks).unwrap();
        let (read, used, error, done) = relay_in_steps(&chunks, Framing::UntilClose, &steps, room);
        prop_assert_eq!((read, used, error, done), (body, chunks.len(), None, true));
    }

    #[test]
    fn a_request_that_was_written_is_read_back(
        method in "[A-Z]{1,9}",
        path in "/[!-\"$->@-~]{0,20}",
        query in proptest::option::of("[!-\"$-~]{0,10}"),
        fields in vec(("x-[!#$%&'*+.^_`|~0-9A-Za-z-]{1,10}", "([!-~\u{80}-\u{ff}]([ -~\t]{0,20}[!-~])?)?"), 0..5),
        framing in select(vec![Framing::None, Framing::Length(0), Framing::Length(u64::MAX), Framing::Chunked]),
    ) {
        prop_assume!(method != "CONNECT");
        let mut buf = Vec::new();
        encode::request_line(&mut buf, method.as_bytes(), path.as_bytes(), query.as_deref().map(str::as_bytes));
        encode::field(&mut buf, b"host", b"example.com");
        for (name, value) in &fields {
            encode::field(&mut buf, name.as_bytes(), value.as_bytes());
        }
        encode::framing(&mut buf, framing);
        encode::head_end(&mut buf);
        let mut head = RequestHead::default();
        prop_assert_eq!(parse_request(&buf, &Limits::default(), &mut head), Ok(Parse::Complete));
        prop_assert_eq!(head.method_text.of(&buf), method.as_bytes());
        prop_assert_eq!((head.form, head.path(&buf)), (Form::Origin, path.as_bytes()));
        prop_assert_eq!(head.query.map(|span| span.of(&buf)), query.as_deref().map(str::as_bytes));
        prop_assert_eq!((head.framing, head.len), (framing, buf.len()));
        for (field, (name, value)) in head.fields[1..].iter().zip(&fields) {
            prop_assert_eq!((field.name.of(&buf), field.value.of(&buf)), (name.as_bytes(), value.as_bytes()));
        }
        let mut copied = Vec::new();
        head.fields.iter().for_each(|field| encode::field_copy(&mut copied, field, &buf));
        encode::head_end(&mut copied);
        prop_assert!(buf.ends_with(&copied));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(buf in vec(any::<u8>(), 0..300)) {
        let _ = parse_request(&buf, &LIMITS, &mut RequestHead::default());
        let _ = parse_response(&buf, &LIMITS, Method::Head, &mut ResponseHead::default());
        let _ = Relay::new(Framing::Chunked, Framing::Chunked).pump(&buf, &mut Vec::new(), 10);
    }
}
