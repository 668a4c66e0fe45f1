//! What reading a head and relaying a body cost: `cargo bench -p ringgate-core --bench http1`.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use ringgate_core::http1::{
    Framing, Limits, Method, Relay, RequestHead, ResponseHead, encode, parse_request,
    parse_response,
};

fn main() {
    divan::main();
}

/// What wrk sends.
const SMALL: &[u8] = b"GET /hello/world?id=1 HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// What a browser sends.
const BROWSER: &[u8] = b"GET /articles/2026/11/gateways?utm_source=feed HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://www.example.com/articles\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=all\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\n\
    Content-Type: text/plain\r\nContent-Length: 14\r\nLast-Modified: Mon, 23 Nov 2026 11:00:00 GMT\r\n\
    Connection: keep-alive\r\nETag: \"69228a10-e\"\r\nAccept-Ranges: bytes\r\n\r\n";

/// Sixty fields, as behind several proxies with tracing and authentication.
fn large() -> Vec<u8> {
    let mut buf =
        b"POST /api/v1/orders HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 2\r\n".to_vec();
    for index in 0..58 {
        let name = format!("x-service-header-{index}");
        encode::field(
            &mut buf,
            name.as_bytes(),
            b"a value of common length, 40 bytes or so",
        );
    }
    encode::head_end(&mut buf);
    buf
}

fn bench_request(bencher: Bencher<'_, '_>, buf: &[u8]) {
    let (limits, mut head) = (Limits::default(), RequestHead::default());
    let bencher = bencher.counter(BytesCount::of_slice(buf));
    bencher.bench_local(|| parse_request(black_box(buf), &limits, &mut head));
}

#[divan::bench]
fn request_small(bencher: Bencher<'_, '_>) {
    bench_request(bencher, SMALL);
}

#[divan::bench]
fn request_browser(bencher: Bencher<'_, '_>) {
    bench_request(bencher, BROWSER);
}

#[divan::bench]
fn request_60_fields(bencher: Bencher<'_, '_>) {
    bench_request(bencher, &large());
}

#[divan::bench]
fn response(bencher: Bencher<'_, '_>) {
    let (limits, mut head) = (Limits::default(), ResponseHead::default());
    let bencher = bencher.counter(BytesCount::of_slice(RESPONSE));
    bencher.bench_local(|| parse_response(black_box(RESPONSE), &limits, Method::Get, &mut head));
}

/// What a proxy does with a browser's request: read it, leave out what is not for the next hop, write it.
#[divan::bench]
fn request_read_and_written(bencher: Bencher<'_, '_>) {
    let (limits, mut head) = (Limits::default(), RequestHead::default());
    let mut out = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        let buf = black_box(BROWSER);
        out.clear();
        let parsed = parse_request(buf, &limits, &mut head);
        let query = head.query.map(|query| query.of(buf));
        encode::request_line(&mut out, head.method_text.of(buf), head.path(buf), query);
        for field in head
            .fields
            .iter()
            .filter(|field| head.passes_on(field, buf))
        {
            encode::field_copy(&mut out, field, buf);
        }
        encode::head_end(&mut out);
        (parsed, out.len())
    });
}

/// 64 KiB in chunks of so many bytes, written in chunks again.
#[divan::bench(args = [64, 1024, 16 << 10])]
fn chunked_64_kib(bencher: Bencher<'_, '_>, size: usize) {
    let mut input = Vec::new();
    for _ in 0..(64 << 10) / size {
        encode::chunk_start(&mut input, size as u64);
        input.resize(input.len() + size, b'a');
        encode::chunk_end(&mut input);
    }
    encode::last_chunk(&mut input);
    encode::head_end(&mut input);
    let mut out = Vec::with_capacity(input.len());
    bencher
        .counter(BytesCount::of_slice(&input))
        .bench_local(|| {
            out.clear();
            Relay::new(Framing::Chunked, Framing::Chunked).pump(
                black_box(&input),
                &mut out,
                usize::MAX,
            )
        });
}
