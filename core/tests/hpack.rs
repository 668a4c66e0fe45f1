//! Our HPACK against another one: `h2` reads what we have encoded, and we decode what it has written.

#![expect(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

use bytes::Bytes;
use http::{Method, Response};
use proptest::prelude::*;
use ringgate_core::http2::PREFACE;
use ringgate_core::http2::hpack::{Decoder, Encoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

type Fields = Vec<(String, String)>;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![high, middle, low, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `SETTINGS_HEADER_TABLE_SIZE`.
fn settings(table_size: u32) -> Vec<u8> {
    let mut payload = vec![0, 1];
    payload.extend(table_size.to_be_bytes());
    frame(SETTINGS, 0, 0, &payload)
}

/// The next header block, whole.
async fn next_block(wire: &mut DuplexStream) -> Vec<u8> {
    let mut block = Vec::new();
    loop {
        let mut header = [0; 9];
        wire.read_exact(&mut header).await.unwrap();
        let [high, middle, low, kind, flags, ..] = header;
        let mut payload =
            vec![0; usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)];
        wire.read_exact(&mut payload).await.unwrap();
        if matches!(kind, HEADERS | CONTINUATION) {
            assert_eq!(flags & 0x28, 0, "neither padding nor a priority");
            block.extend(payload);
            if flags & END_HEADERS > 0 {
                return block;
            }
        }
    }
}

/// Requests of these fields go to a server of `h2`, which has a table of this size and sends them back.
async fn exchange(requests: &[Fields], table_size: u32) {
    let (mut wire, theirs) = tokio::io::duplex(1 << 20);
    let mut builder = h2::server::Builder::new();
    builder
        .header_table_size(table_size)
        .max_header_list_size(1 << 20);
    wire.write_all(PREFACE).await.unwrap();
    wire.write_all(&settings(table_size)).await.unwrap();
    let server = async {
        let mut connection = builder.handshake::<_, Bytes>(theirs).await.unwrap();
        while let Some(accepted) = connection.accept().await {
            let (request, mut respond) = accepted.unwrap();
            let (head, _) = request.into_parts();
            assert_eq!((head.method, head.uri.path()), (Method::POST, "/a.B/C"));
            let mut response = Response::new(());
            *response.headers_mut() = head.headers;
            respond.send_response(response, true).unwrap();
        }
    };
    let client = async {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096.max(table_size)));
        encoder.set_table_size(table_size);
        wire.write_all(&frame(SETTINGS, ACK, 0, &[])).await.unwrap();
        for (turn, fields) in (0..).zip(requests) {
            let mut block = Vec::new();
            let pseudo = [
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/a.B/C"),
            ];
            let fields_of = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            for (name, value) in pseudo.into_iter().chain(fields_of) {
                encoder.field(name.as_bytes(), value.as_bytes(), &mut block);
            }
            let head = frame(HEADERS, END_STREAM | END_HEADERS, 1 + 2 * turn, &block);
            wire.write_all(&head).await.unwrap();
            let block = next_block(&mut wire).await;
            let mut got = Vec::new();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let decoded = decoder.decode(&block, |name, value| got.push((text(name), text(value))));
            assert_eq!(decoded, Ok(()));
            assert_eq!(got.remove(0), (":status".into(), "200".into()));
            assert_eq!(by_name(&got), by_name(fields));
        }
        drop(wire);
    };
    tokio::join!(client, server);
}

/// A map of headers keeps the order of those of one name only.
fn by_name(fields: &Fields) -> Fields {
    let lower = |(name, value): &(String, String)| (name.to_lowercase(), value.clone());
    let mut fields: Fields = fields.iter().map(lower).collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

fn field() -> impl Strategy<Value = (String, String)> {
    const KNOWN: [&str; 7] = [
        "content-type",
        "Server",
        "via",
        "cookie",
        "authorization",
        "x-unknown",
        "accept-encoding",
    ];
    let name = prop_oneof![
        4 => prop::sample::select(&KNOWN[..]).prop_map(str::to_owned),
        1 => "x-[a-z!#$%&'*+.^_`|~0-9-]{1,20}",
    ];
    let value = prop_oneof![
        3 => prop::sample::select(&["", "a", "gzip, deflate", "application/grpc"][..]).prop_map(str::to_owned),
        1 => "[!-~]([ -~]{0,200}[!-~])?",
        1 => (0_usize..2_000).prop_map(|length| "v".repeat(length)),
    ];
    (name, value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn h2_reads_and_writes_the_same(
        requests in prop::collection::vec(prop::collection::vec(field(), 0..7), 1..40),
        table_size in prop_oneof![Just(4096_u32), Just(0), 0_u32..5_000],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(exchange(&requests, table_size));
    }
}
