//! What goes out.

use super::*;
use crate::http1::{Framing, Method};
use crate::http2::hpack::{Decoder, Encoder};

fn decoded(block: &[u8]) -> Vec<String> {
    let mut fields = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let field = |name: &[u8], value: &[u8]| fields.push(format!("{} {}", text(name), text(value)));
    Decoder::default().decode(block, field).unwrap();
    fields
}

fn sent_request(text: &str) -> (Vec<String>, Framing) {
    let (mut head, mut block) = (OwnHead::default(), Vec::new());
    head.request(text.as_bytes()).unwrap();
    assert_eq!(head.len, text.len());
    head.write_request(text.as_bytes(), "https", &mut Encoder::new(), &mut block);
    (decoded(&block), head.framing)
}

#[test]
fn a_request_goes_out_without_what_is_for_one_hop() {
    let text = "POST /p?q HTTP/1.1\r\nhost: a:1\r\nConnection: upgrade\r\nX-One: A\r\nTE: trailers\r\n\
                Keep-Alive: 1\r\nTransfer-Encoding: chunked\r\nUpgrade: x\r\nUser-Agent:u \r\n\r\n";
    let wanted = [
        ":method POST",
        ":scheme https",
        ":authority a:1",
        ":path /p?q",
        "x-one A",
        "user-agent u",
        "te trailers",
    ];
    let (sent, framing) = sent_request(text);
    assert_eq!(
        (&sent[..], framing),
        (&wanted.map(String::from)[..], Framing::Chunked)
    );
    let text = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let (sent, framing) = sent_request(text);
    assert_eq!((sent.len(), framing), (5, Framing::Length(0)));
    assert_eq!(sent[4], "content-length 0");
    let (sent, framing) = sent_request("OPTIONS * HTTP/1.1\r\nhost: \r\n\r\n");
    assert_eq!(sent, [":method OPTIONS", ":scheme https", ":path *"]);
    assert_eq!(framing, Framing::None);
}

#[test]
fn what_we_do_not_write_is_no_head_of_ours() {
    for text in [
        "",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n",
        "GET / HTTP/1.1\r\nx: y\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET HTTP/1.1\r\nhost: a\r\n\r\n",
        "\n\n",
    ] {
        let parsed = OwnHead::default().request(text.as_bytes());
        assert_eq!(parsed, Err(Foreign), "{text}");
    }
    for text in [
        "HTTP/1.1 200 Fine\r\n",
        "HTTP/1.1 2x0 \r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "\n\n",
    ] {
        let parsed = OwnHead::default().response(text.as_bytes(), Method::Get);
        assert_eq!(parsed, Err(Foreign), "{text}");
    }
}

fn found_response(text: &str, request: Method) -> OwnHead {
    let mut head = OwnHead::default();
    head.response(text.as_bytes(), request).unwrap();
    assert_eq!(head.len, text.len());
    head
}

#[test]
fn a_response_goes_out_without_what_is_for_one_hop() {
    let text = "HTTP/1.1 200 Fine\r\nConnection: close\r\nContent-Length: 12\r\nServer: s\r\n\r\n";
    let head = found_response(text, Method::Head);
    assert_eq!(head.framing, Framing::None);
    let mut block = Vec::new();
    head.write_response(text.as_bytes(), &mut Encoder::new(), &mut block);
    let wanted = [":status 200", "server s", "content-length 12"];
    assert_eq!(decoded(&block), wanted);
    assert_eq!(
        found_response(text, Method::Get).framing,
        Framing::Length(12)
    );
    let text = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\n\r\n";
    let head = found_response(text, Method::Get);
    block.clear();
    head.write_switched(text.as_bytes(), &mut Encoder::new(), &mut block);
    assert_eq!(decoded(&block), [":status 200", "sec-websocket-protocol p"]);
}

#[test]
fn how_a_response_ends_is_known() {
    for (text, framing) in [
        ("HTTP/1.1 204 \r\n\r\n", Framing::None),
        ("HTTP/1.1 304 \r\ncontent-length: 3\r\n\r\n", Framing::None),
        ("HTTP/1.1 103 \r\n\r\n", Framing::None),
        (
            "HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n",
            Framing::Chunked,
        ),
        ("HTTP/1.1 200 \r\n\r\n", Framing::UntilClose),
    ] {
        assert_eq!(found_response(text, Method::Get).framing, framing, "{text}");
    }
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
