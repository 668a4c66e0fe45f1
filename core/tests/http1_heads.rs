//! Heads as a whole: what is read from good ones, and that the verdict on any doesn't depend on how
//! its bytes were split.

use ringgate_core::http1::{
    FieldId, Form, Framing, Limits, Method, Parse, RequestHead, ResponseHead, parse_request,
    parse_response,
};

#[test]
fn a_common_request_is_read() {
    let buf = b"POST /a/b?c=d&e HTTP/1.1\r\nHost: example.com:8080\r\nAccept:*/*\r\ncontent-length: 5\r\n\r\nhello";
    let mut head = RequestHead::default();
    assert_eq!(
        parse_request(buf, &Limits::default(), &mut head),
        Ok(Parse::Complete)
    );
    assert_eq!(head.method, Method::Post);
    assert_eq!(head.form, Form::Origin);
    assert_eq!(head.path(buf), b"/a/b");
    assert_eq!(head.query.unwrap().of(buf), b"c=d&e");
    assert_eq!(head.authority.of(buf), b"example.com:8080");
    assert_eq!(head.framing, Framing::Length(5));
    assert_eq!(&buf[head.len..], b"hello");
    assert!(head.keep_alive);
    let accept = head.fields[1];
    assert_eq!(
        (accept.id, accept.name.of(buf), accept.value.of(buf)),
        (FieldId::Other, &b"Accept"[..], &b"*/*"[..])
    );
}

#[test]
fn a_common_response_is_read() {
    let buf = b"HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let mut head = ResponseHead::default();
    assert_eq!(
        parse_response(buf, &Limits::default(), Method::Get, &mut head),
        Ok(Parse::Complete)
    );
    assert_eq!((head.status, head.reason.of(buf)), (200, &b"OK"[..]));
    assert_eq!(head.framing, Framing::Chunked);
    assert_eq!(&buf[head.len..], b"0\r\n\r\n");
}
