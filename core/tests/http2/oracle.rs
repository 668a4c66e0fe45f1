//! Against the `h2` crate, in memory: what one side sends is what the other gets, whatever the sizes of bodies,
//! windows, frames and reads.

use std::collections::HashMap;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use proptest::prelude::*;
use ringgate_core::http1::{
    Method, Parse, RequestHead, ResponseHead, parse_request, parse_response,
};
use ringgate_core::http2::head::OwnHead;
use ringgate_core::http2::{Config, Connection, Event, Key, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::raw::{LIMITS, config};

/// One exchange: the other side sends back what it gets.
#[derive(Clone, Debug)]
struct Exchange {
    parts: Vec<usize>,
    has_trailers: bool,
    /// The client takes it back.
    is_reset: bool,
    field: String,
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let parts = prop::collection::vec(prop_oneof![0_usize..20, 0_usize..40_000], 0..5);
    let field = prop_oneof!["[a-z]{0,20}", "[a-z]{300}", "[a-z]{5000}"];
    (parts, any::<bool>(), prop::bool::weighted(0.1), field).prop_map(
        |(parts, has_trailers, is_reset, field)| Exchange {
            parts,
            has_trailers,
            is_reset,
            field,
        },
    )
}

fn body(exchange: &Exchange) -> Vec<u8> {
    let length = exchange.parts.iter().sum();
    (0..length).map(|at: usize| (at % 251) as u8).collect()
}

/// What one of ours keeps for a stream.
#[derive(Debug, Default)]
struct Stream {
    key: Option<Key>,
    has_answered: bool,
    pending: Vec<u8>,
    sent: usize,
    is_last: bool,
    trailers: Option<Vec<u8>>,
    is_over: bool,
    got: Vec<u8>,
    is_reset: bool,
}

/// One of ours, with the streams by the numbers of their exchanges.
struct Ours {
    core: Connection<usize>,
    streams: HashMap<usize, Stream>,
    /// A server's: sends back what comes.
    echoes: bool,
}

impl Ours {
    fn new(config: Config) -> Self {
        Self {
            core: Connection::new(config),
            streams: HashMap::new(),
            echoes: config.role == Role::Server,
        }
    }

    /// Until the other side ends the connection; `step` bytes at a time.
    async fn run(mut self, mut io: DuplexStream, step: usize, count: usize) -> Self {
        let (mut input, mut text) = (Vec::new(), Vec::new());
        let mut piece = vec![0; step];
        loop {
            self.send();
            let out = std::mem::take(self.core.output());
            if io.write_all(&out).await.is_err() {
                break;
            }
            if !self.echoes && self.streams.values().filter(|one| one.is_over).count() == count {
                break;
            }
            if !out.is_empty() {
                continue;
            }
            match io.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(read) => input.extend_from_slice(&piece[..read]),
            }
            let mut used = 0;
            loop {
                let received = self.core.receive(&input[used..], &mut text, &String::new);
                let received = received.unwrap();
                used += received.used;
                let Some(event) = received.event else { break };
                self.note(event, &text);
            }
            input.drain(..used);
        }
        self
    }

    fn note(&mut self, event: Event<'_, usize>, text: &[u8]) {
        match event {
            Event::Request(key, request) => {
                let mut head = RequestHead::default();
                let parsed = parse_request(text, &LIMITS, &mut head);
                assert_eq!(parsed, Ok(Parse::Complete));
                let path = std::str::from_utf8(head.target.of(text)).unwrap();
                let number = path[1..].parse().unwrap();
                self.core.adopt(key, number);
                let stream = Stream {
                    key: Some(key),
                    is_last: request.is_last,
                    ..Stream::default()
                };
                self.streams.insert(number, stream);
            }
            Event::Response(number, response) => {
                let mut head = ResponseHead::default();
                let parsed = parse_response(text, &LIMITS, Method::Get, &mut head);
                assert_eq!(parsed, Ok(Parse::Complete));
                assert_eq!(head.status, 200);
                self.stream(number).is_over = response.is_last;
            }
            Event::Data {
                tag,
                bytes,
                is_last,
            } => {
                let echoes = self.echoes;
                let stream = self.stream(tag);
                stream.got.extend_from_slice(bytes);
                if echoes {
                    stream.pending.extend_from_slice(bytes);
                    stream.is_last = is_last;
                } else {
                    stream.is_over = is_last;
                }
                let key = stream.key;
                self.core.taken(key, bytes.len());
            }
            Event::Trailers(number) => {
                let echoes = self.echoes;
                let stream = self.stream(number);
                stream.trailers = Some(text.to_vec());
                stream.is_last = stream.is_last || echoes;
                stream.is_over = !echoes;
            }
            Event::Reset { tag, is_ours, .. } => {
                assert!(!is_ours, "a mistake");
                let stream = self.stream(tag);
                stream.is_over = true;
                stream.is_reset = true;
            }
            Event::Settings | Event::GoAway(_) => {}
        }
    }

    fn stream(&mut self, number: usize) -> &mut Stream {
        self.streams.get_mut(&number).unwrap()
    }

    /// What there is room for.
    fn send(&mut self) {
        let (core, echoes) = (&mut self.core, self.echoes);
        for stream in self.streams.values_mut() {
            let Some(key) = stream.key.filter(|_| !stream.is_reset) else {
                continue;
            };
            if echoes && !stream.has_answered {
                stream.has_answered = true;
                let text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let mut head = OwnHead::default();
                head.response(text, Method::Get).unwrap();
                core.respond(key, (&head, text), false, false).unwrap();
            }
            let rest = &stream.pending[stream.sent..];
            let ends = stream.is_last && (!echoes || stream.trailers.is_none());
            if rest.is_empty() && !stream.is_last {
                continue;
            }
            // It was ended before.
            let Ok(sent) = core.data(key, rest, ends) else {
                continue;
            };
            stream.sent += sent;
            let is_all = stream.sent == stream.pending.len();
            if let Some(lines) = stream.trailers.as_ref().filter(|_| echoes && is_all) {
                core.trailers(key, lines).unwrap();
            }
        }
    }
}

fn fields() -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("x-sum", "7".parse().unwrap());
    fields
}

async fn send(stream: &mut SendStream<Bytes>, exchange: &Exchange) -> Result<(), h2::Error> {
    let all = Bytes::from(body(exchange));
    send_all(stream, all, exchange.has_trailers.then(fields)).await
}

async fn send_all(
    stream: &mut SendStream<Bytes>,
    mut rest: Bytes,
    trailers: Option<HeaderMap>,
) -> Result<(), h2::Error> {
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let Some(room) = room.transpose()? else {
            return Ok(());
        };
        stream.send_data(rest.split_to(room.min(rest.len())), false)?;
    }
    match trailers {
        Some(trailers) => stream.send_trailers(trailers),
        None => stream.send_data(Bytes::new(), true),
    }
}

async fn read(body: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        bytes.extend_from_slice(&part);
    }
    Ok((bytes, body.trailers().await?))
}

fn run<T>(conversation: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let local = tokio::task::LocalSet::new();
    let bounded =
        async { tokio::time::timeout(std::time::Duration::from_secs(20), conversation).await };
    local.block_on(&runtime.unwrap(), bounded).unwrap()
}

async fn ask_ours(send_request: h2::client::SendRequest<Bytes>, number: usize, exchange: Exchange) {
    let mut ready = send_request.ready().await.unwrap();
    let request = Request::builder()
        .method("POST")
        .uri(format!("http://a/{number}"))
        .header("x-field", &exchange.field)
        .body(())
        .unwrap();
    let (response, mut stream) = ready.send_request(request, false).unwrap();
    if exchange.is_reset {
        tokio::task::yield_now().await;
        stream.send_reset(Reason::CANCEL);
        return;
    }
    let sending = async { send(&mut stream, &exchange).await.unwrap() };
    let reading = async {
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        read(&mut response.into_body()).await.unwrap()
    };
    let ((), (bytes, trailers)) = tokio::join!(sending, reading);
    assert!(bytes == body(&exchange), "{} bytes", bytes.len());
    assert_eq!(trailers, exchange.has_trailers.then(fields));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn our_server_and_its_client(
        exchanges in prop::collection::vec(exchange(), 1..12),
        window in prop_oneof![1_u32..200, 1_000_u32..100_000],
        own_window in prop_oneof![2_u32..200, 1_000_u32..100_000],
        step in 1_usize..20_000,
        pipe in 1_usize..70_000,
    ) {
        // Small windows take many turns.
        let small = window.min(own_window) < 1_000;
        let exchanges: Vec<_> = exchanges.into_iter().map(|mut one| {
            if small {
                one.parts.iter_mut().for_each(|part| *part %= 400);
            }
            one
        }).collect();
        run(async move {
            let (near, far) = duplex(pipe.max(64));
            let own = Config { stream_window: own_window, ..config(Role::Server) };
            let server = tokio::task::spawn_local(Ours::new(own).run(near, step, 0));
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(window).header_table_size(window);
            let (send_request, connection) = builder.handshake::<_, Bytes>(far).await.unwrap();
            let connection = tokio::task::spawn_local(connection);
            let asking: Vec<_> = exchanges.into_iter().enumerate().map(|(number, exchange)| {
                tokio::task::spawn_local(ask_ours(send_request.clone(), number, exchange))
            }).collect();
            for one in asking {
                one.await.unwrap();
            }
            drop(send_request);
            connection.await.unwrap().unwrap();
            server.await.unwrap();
        });
    }

    #[test]
    fn our_client_and_its_server(
        exchanges in prop::collection::vec(exchange(), 1..12),
        window in prop_oneof![1_u32..200, 1_000_u32..100_000],
        step in 1_usize..20_000,
        pipe in 1_usize..70_000,
    ) {
        let exchanges: Vec<_> = exchanges.into_iter().map(|mut one| {
            if window < 1_000 {
                one.parts.iter_mut().for_each(|part| *part %= 400);
            }
            one.is_reset = false;
            one
        }).collect();
        run(async move {
            let (near, far) = duplex(pipe.max(64));
            let server = tokio::task::spawn_local(async move {
                let mut builder = h2::server::Builder::new();
                builder.initial_window_size(window);
                let mut server = builder.handshake::<_, Bytes>(far).await.unwrap();
                while let Some(Ok((request, mut respond))) = server.accept().await {
                    tokio::task::spawn_local(async move {
                        let (bytes, trailers) = read(&mut request.into_body()).await.unwrap();
                        let mut stream = respond.send_response(Response::new(()), false).unwrap();
                        send_all(&mut stream, bytes.into(), trailers.or_else(|| Some(fields())))
                            .await
                            .unwrap();
                    });
                }
            });
            let own = Config { streams: 100, ..config(Role::Client) };
            let mut ours = Ours::new(own);
            for (number, exchange) in exchanges.iter().enumerate() {
                let field = &exchange.field;
                let text = format!("POST /{number} HTTP/1.1\r\nhost: a\r\nx-field: {field}\r\ntransfer-encoding: chunked\r\n\r\n");
                let mut head = OwnHead::default();
                head.request(text.as_bytes()).unwrap();
                let key = ours.core.request(Some(number), (&head, text.as_bytes()), "http", false);
                let stream = Stream {
                    key: Some(key.unwrap()),
                    pending: body(exchange),
                    is_last: true,
                    ..Stream::default()
                };
                ours.streams.insert(number, stream);
            }
            let ours = ours.run(near, step, exchanges.len()).await;
            for (number, exchange) in exchanges.iter().enumerate() {
                let stream = &ours.streams[&number];
                assert!(stream.got == body(exchange), "{number}: {} bytes", stream.got.len());
                let trailers = stream.trailers.as_deref();
                assert_eq!(trailers, Some(&b"x-sum: 7\r\n"[..]));
                assert!(!stream.is_reset);
            }
            assert_eq!(ours.core.open(), 0);
            drop(ours);
            server.await.unwrap();
        });
    }
}
