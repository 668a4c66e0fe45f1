//! What HPACK costs for a call of gRPC and for a page of a browser, on a connection that has carried some:
//! `cargo bench -p ringgate-core --bench hpack`.

use divan::{Bencher, black_box};
use ringgate_core::http2::head::{HeadLimits, RequestReader, SectionReader};
use ringgate_core::http2::hpack::{Decoder, Encoder};

fn main() {
    divan::main();
}

type Fields = &'static [(&'static str, &'static str)];

#[derive(Clone, Copy, Debug)]
enum Head {
    Call,
    Page,
}

impl Head {
    const fn fields(self) -> Fields {
        match self {
            Self::Call => CALL,
            Self::Page => PAGE,
        }
    }
}

const CALL: Fields = &[
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "greeter:50051"),
    (":path", "/greeter.Greeter/Hello"),
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-go/1.70.0"),
    ("te", "trailers"),
    ("grpc-timeout", "999999u"),
];
const PAGE: Fields = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "www.example.com"),
    (":path", "/articles/2026/11/30/index.html?from=feed"),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("cookie", "session=0123456789abcdef0123456789abcdef"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
];

fn encode(encoder: &mut Encoder, fields: Fields, out: &mut Vec<u8>) {
    out.clear();
    for (name, value) in fields {
        encoder.field(name.as_bytes(), value.as_bytes(), out);
    }
}

/// An encoder that has sent these fields, and a decoder that has got them.
fn warm(fields: Fields) -> (Encoder, Decoder, Vec<u8>) {
    let (mut encoder, mut decoder, mut out) = (Encoder::new(), Decoder::default(), Vec::new());
    for _ in 0..3 {
        encode(&mut encoder, fields, &mut out);
        assert!(decoder.decode(&out, |_, _| {}).is_ok());
    }
    encode(&mut encoder, fields, &mut out);
    (encoder, decoder, out)
}

#[divan::bench(args = [Head::Call, Head::Page])]
fn write(bencher: Bencher<'_, '_>, head: Head) {
    let (mut encoder, _, mut out) = warm(head.fields());
    bencher.bench_local(|| encode(&mut encoder, black_box(head.fields()), &mut out));
}

#[divan::bench(args = [Head::Call, Head::Page])]
fn read(bencher: Bencher<'_, '_>, head: Head) {
    let (_, mut decoder, block) = warm(head.fields());
    bencher.bench_local(|| {
        decoder.decode(black_box(&block), |name, value| {
            black_box((name, value));
        })
    });
}

#[divan::bench(args = [Head::Call, Head::Page])]
fn read_as_http1(bencher: Bencher<'_, '_>, head: Head) {
    let (_, mut decoder, block) = warm(head.fields());
    let limits = HeadLimits {
        list_bytes: 16 << 10,
        fields: 100,
    };
    let (mut reader, mut out) = (RequestReader::default(), Vec::new());
    bencher.bench_local(|| {
        out.clear();
        reader.begin(limits, &out);
        let read = decoder.decode(black_box(&block), |name, value| {
            reader.field(name, value, &mut out)
        });
        read.is_ok() && reader.finish(false, String::new, &mut out).is_ok()
    });
}

/// A string of 64 bytes in Huffman's code, as browsers send them.
#[divan::bench]
fn read_huffman(bencher: Bencher<'_, '_>) {
    // `0` has 00000: 40 bytes are 64 of them, as a value of the field `via`.
    let block = [&[0x0f, 0x2d, 0x80 | 40][..], &[0; 40]].concat();
    let mut decoder = Decoder::default();
    bencher.bench_local(|| {
        decoder.decode(black_box(&block), |name, value| {
            black_box((name, value));
        })
    });
}
