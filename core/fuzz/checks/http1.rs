//! What must hold for any input to the HTTP/1 decoders. The fuzz targets run it on what they find
//! (`cargo +nightly fuzz run http1_request` in `core/`), and a test of `ringgate-core` on each file of
//! the corpus, so that stable Rust is enough to keep it true.

// Each fuzz target uses one of the checks.
#![allow(dead_code, reason = "shared by several targets")]

use ringgate_core::http1::{
    BodyError, Field, Framing, Limits, Method, Parse, Relay, RequestHead, ResponseHead, encode,
    parse_request, parse_response,
};

/// Small, so that they are met.
const LIMITS: Limits = Limits {
    request_line_bytes: 200,
    header_bytes: 400,
    header_fields: 8,
};

/// A request's head: the same however it is split, and the same when written again.
pub(crate) fn request(input: &[u8]) {
    let Some((&first, buf)) = input.split_first() else {
        return;
    };
    let mut whole = RequestHead::default();
    let verdict = parse_request(buf, &LIMITS, &mut whole);
    let mut head = RequestHead::default();
    let mut parse = |part: &[u8]| parse_request(part, &LIMITS, &mut head);
    match in_steps(buf, first, &mut parse, &Ok(Parse::Partial)) {
        // Faults may be told as late as at the head's end.
        Ok(Parse::Partial) => assert_ne!(verdict, Ok(Parse::Complete)),
        split => assert_eq!(split, verdict),
    }
    if verdict != Ok(Parse::Complete) {
        return;
    }
    assert_eq!(format!("{head:?}"), format!("{whole:?}"));
    assert!(whole.len <= buf.len() && buf[..whole.len].ends_with(b"\r\n\r\n"));
    if whole.minor == 0 {
        return; // we write HTTP/1.1 alone
    }
    let written = write_request(&whole, buf);
    let mut again = RequestHead::default();
    assert_eq!(
        parse_request(&written, &Limits::default(), &mut again),
        Ok(Parse::Complete)
    );
    assert_eq!(texts(&again.fields, &written), texts(&whole.fields, buf));
    assert_eq!(
        (again.path(&written), again.framing),
        (whole.path(buf), whole.framing)
    );
    assert_eq!(again.method_text.of(&written), whole.method_text.of(buf));
}

fn write_request(head: &RequestHead, buf: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if head.method == Method::Connect {
        encode::request_line(&mut out, b"CONNECT", head.target.of(buf), None);
    } else {
        let query = head.query.map(|query| query.of(buf));
        encode::request_line(&mut out, head.method_text.of(buf), head.path(buf), query);
    }
    head.fields
        .iter()
        .for_each(|field| encode::field_copy(&mut out, field, buf));
    encode::head_end(&mut out);
    out
}

fn texts<'b>(fields: &[Field], buf: &'b [u8]) -> Vec<(&'b [u8], &'b [u8])> {
    fields
        .iter()
        .map(|field| (field.name.of(buf), field.value.of(buf)))
        .collect()
}

/// A response's head: the same however it is split.
pub(crate) fn response(input: &[u8]) {
    let Some((&first, buf)) = input.split_first() else {
        return;
    };
    let method = if first & 1 == 0 {
        Method::Get
    } else {
        Method::Head
    };
    let mut whole = ResponseHead::default();
    let verdict = parse_response(buf, &LIMITS, method, &mut whole);
    let mut head = ResponseHead::default();
    let mut parse = |part: &[u8]| parse_response(part, &LIMITS, method, &mut head);
    match in_steps(buf, first, &mut parse, &Ok(Parse::Partial)) {
        Ok(Parse::Partial) => assert_ne!(verdict, Ok(Parse::Complete)),
        split => assert_eq!(split, verdict),
    }
    if verdict == Ok(Parse::Complete) {
        assert_eq!(format!("{head:?}"), format!("{whole:?}"));
        assert!(whole.len <= buf.len() && buf[..whole.len].ends_with(b"\r\n\r\n"));
        assert!((100..1000).contains(&whole.status));
        assert!(whole.framing.is_empty() || !whole.is_interim());
    }
}

/// The verdict when the bytes come in steps of `1 + first % 16`.
fn in_steps<T: PartialEq>(
    buf: &[u8],
    first: u8,
    parse: &mut impl FnMut(&[u8]) -> T,
    partial: &T,
) -> T {
    let step = 1 + usize::from(first % 16);
    let mut end = 0;
    loop {
        end = (end + step).min(buf.len());
        let verdict = parse(&buf[..end]);
        if verdict != *partial || end == buf.len() {
            return verdict;
        }
    }
}

/// A chunked body: the same however it is split and however little room there is, and the same when the
/// chunks that were written are read again.
pub(crate) fn chunked(input: &[u8]) {
    let Some((&first, body)) = input.split_first() else {
        return;
    };
    let whole = relay(body, Framing::UntilClose, usize::MAX, usize::MAX);
    let step = 1 + usize::from(first & 15);
    let room = 1 + usize::from(first >> 4);
    assert_eq!(relay(body, Framing::UntilClose, step, room), whole);
    let chunks = relay(body, Framing::Chunked, step, room);
    assert_eq!(
        (chunks.used, chunks.error, chunks.received),
        (whole.used, whole.error, whole.received)
    );
    if whole.error.is_none() && chunks.is_done {
        let again = relay(&chunks.out, Framing::UntilClose, usize::MAX, usize::MAX);
        assert_eq!(
            (again.out, again.is_done, again.used),
            (whole.out, true, chunks.out.len())
        );
    }
}

#[derive(Debug, Default, PartialEq)]
struct Relayed {
    out: Vec<u8>,
    used: usize,
    received: u64,
    error: Option<BodyError>,
    is_done: bool,
}

fn relay(input: &[u8], to: Framing, step: usize, room: usize) -> Relayed {
    let mut relay = Relay::new(Framing::Chunked, to);
    let mut relayed = Relayed::default();
    let mut end = 0;
    while !relay.is_done() && (end < input.len() || relayed.used < end) {
        end = end.saturating_add(step).min(input.len());
        match relay.pump(&input[relayed.used..end], &mut relayed.out, room) {
            Ok(0) => panic!("a body that goes on takes bytes"),
            Ok(used) => relayed.used += used,
            Err(error) => {
                relayed.error = Some(error);
                break;
            }
        }
    }
    if relayed.error.is_some() {
        // How far it came before the fault depends on the splits.
        relayed.used = 0;
    }
    relayed.received = relay.received();
    relayed.is_done = relay.is_done();
    relayed
}
