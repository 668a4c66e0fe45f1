//! What goes out.

use super::*;
use crate::http1::{Limits, Parse, RequestHead, ResponseHead, parse_request, parse_response};
use crate::http2::hpack::{Decoder, Encoder};

fn decoded(block: &[u8]) -> Vec<String> {
    let mut fields = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let field = |name: &[u8], value: &[u8]| fields.push(format!("{} {}", text(name), text(value)));
    Decoder::default().decode(block, field).unwrap();
    fields
}

fn sent_request(text: &str) -> Vec<String> {
    let mut head = RequestHead::default();
    let parsed = parse_request(text.as_bytes(), &Limits::default(), &mut head);
    assert_eq!(parsed, Ok(Parse::Complete));
    let mut block = Vec::new();
    write_request(
        &head,
        text.as_bytes(),
        "https",
        &mut Encoder::new(),
        &mut block,
    );
    decoded(&block)
}

#[test]
fn a_request_goes_out_without_what_is_for_one_hop() {
    let text = "POST /p?q HTTP/1.1\r\nHost: a:1\r\nConnection: x-hop, te\r\nX-Hop: 1\r\nX-One: A\r\nTE: trailers\r\n\
                Transfer-Encoding: chunked\r\nUpgrade: x\r\nUser-Agent: u\r\n\r\n";
    let wanted = [
        ":method POST",
        ":scheme https",
        ":authority a:1",
        ":path /p?q",
        "x-one A",
        "user-agent u",
        "te trailers",
    ];
    assert_eq!(sent_request(text), wanted);
    let text = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let wanted = [
        ":method PUT",
        ":scheme https",
        ":authority a",
        ":path /",
        "content-length 0",
    ];
    assert_eq!(sent_request(text), wanted);
    for (line, path) in [
        ("GET http://a?q", "/?q"),
        ("OPTIONS http://a", "*"),
        ("OPTIONS *", "*"),
        ("GET http://a/b?c", "/b?c"),
    ] {
        let sent = sent_request(&format!("{line} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(sent[3], format!(":path {path}"));
    }
}

fn parsed_response(text: &str, method: Method) -> ResponseHead {
    let mut head = ResponseHead::default();
    let parsed = parse_response(text.as_bytes(), &Limits::default(), method, &mut head);
    assert_eq!(parsed, Ok(Parse::Complete));
    head
}

#[test]
fn a_response_goes_out_without_what_is_for_one_hop() {
    let text = "HTTP/1.1 200 Fine\r\nConnection: close\r\nContent-Length: 12\r\nServer: s\r\n\r\n";
    let head = parsed_response(text, Method::Head);
    let mut block = Vec::new();
    write_response(&head, text.as_bytes(), &mut Encoder::new(), &mut block);
    assert_eq!(
        decoded(&block),
        [":status 200", "server s", "content-length 12"]
    );
    let text = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\n\r\n";
    let head = parsed_response(text, Method::Get);
    block.clear();
    write_switched(&head, text.as_bytes(), &mut Encoder::new(), &mut block);
    assert_eq!(decoded(&block), [":status 200", "sec-websocket-protocol p"]);
}

#[test]
fn trailers_go_out() {
    let mut block = Vec::new();
    write_trailers(
        b"Grpc-Status: 0\r\nx-a:b:c\r\n\r\n",
        &mut Encoder::new(),
        &mut block,
    );
    assert_eq!(decoded(&block), ["grpc-status 0", "x-a b:c"]);
}
