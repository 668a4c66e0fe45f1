//! Heads and trailers that go out: from HTTP/1, as our parsers have found it, to HPACK. What HTTP/1 takes for
//! a name or a value, HTTP/2 takes too, but for the names' case.

use crate::http1::encode::{DIGITS, digits};
use crate::http1::{Field, FieldId, Form, Framing, RequestHead, ResponseHead};
use crate::http2::hpack::Encoder;

/// A request's head, towards a backend (RFC 9113, section 8.3.1). `text` is what it was parsed from.
pub fn write_request(
    head: &RequestHead,
    text: &[u8],
    scheme: &str,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) {
    encoder.lower(b":method", head.method_text.of(text), out);
    let authority = head.authority.of(text);
    if head.form != Form::Authority {
        encoder.lower(b":scheme", scheme.as_bytes(), out);
    }
    if !authority.is_empty() {
        encoder.lower(b":authority", authority, out);
    }
    match head.form {
        Form::Origin | Form::Asterisk => encoder.lower(b":path", head.target.of(text), out),
        Form::Absolute => {
            let mut path = head.path(text).to_vec();
            if let Some(query) = head.query {
                path.push(b'?');
                path.extend_from_slice(query.of(text));
            }
            encoder.lower(b":path", &path, out);
        }
        Form::Authority => {}
    }
    let is_passed = |field: &&Field| field.id != FieldId::Host && head.passes_on(field, text);
    write_fields(head.fields.iter().filter(is_passed), text, encoder, out);
    if let Framing::Length(length) = head.framing {
        write_length(length, encoder, out);
    }
    if head.te_trailers {
        encoder.lower(b"te", b"trailers", out);
    }
}

/// A response's head, towards a client (RFC 9113, section 8.3.2). `text` is what it was parsed from.
pub fn write_response(head: &ResponseHead, text: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    write_status(head.status, encoder, out);
    let passed = head
        .fields
        .iter()
        .filter(|field| head.passes_on(field, text));
    write_fields(passed, text, encoder, out);
    if let Some(length) = head.content_length {
        write_length(length, encoder, out);
    }
}

/// What was a 101 in HTTP/1, as the answer to an extended CONNECT (RFC 8441, section 5).
pub fn write_switched(head: &ResponseHead, text: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    write_status(200, encoder, out);
    let is_accept = |field: &Field| {
        field
            .name
            .of(text)
            .eq_ignore_ascii_case(b"sec-websocket-accept")
    };
    let is_passed = |field: &&Field| !is_accept(field) && head.passes_on(field, text);
    write_fields(head.fields.iter().filter(is_passed), text, encoder, out);
}

/// Trailers, from field lines that our parser has written.
pub fn write_trailers(lines: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        encoder.field(name, value, out);
    }
}

fn write_fields<'f>(
    fields: impl Iterator<Item = &'f Field>,
    text: &[u8],
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) {
    for field in fields {
        let (name, value) = (field.name.of(text), field.value.of(text));
        encoder.field_as(field.id, name, value, out);
    }
}

fn write_status(status: u16, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let mut room = [0; DIGITS];
    encoder.lower(b":status", digits(status.into(), &mut room), out);
}

fn write_length(length: u64, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let mut room = [0; DIGITS];
    encoder.lower(b"content-length", digits(length, &mut room), out);
}
