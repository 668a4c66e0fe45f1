//! Clients and backends of HTTP/2, by the `h2` crate on tokio.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};

use super::PATIENCE;

/// Runs a test's conversation.
pub(crate) fn talk<T>(conversation: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let bounded = async { tokio::time::timeout(PATIENCE, conversation).await };
    runtime.block_on(bounded).expect("it takes too long")
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Response<()>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name)?.to_str().ok()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client's connection; `closed` gives how it ended.
pub(crate) struct Client {
    pub(crate) send: SendRequest<Bytes>,
    pub(crate) closed: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub(crate) async fn connect(port: u16) -> Self {
        Self::connect_with(port, &h2::client::Builder::new()).await
    }

    pub(crate) async fn connect_with(port: u16, builder: &h2::client::Builder) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (send, connection) = builder.handshake(stream).await.unwrap();
        Self {
            send,
            closed: tokio::spawn(connection),
        }
    }

    /// Opens a stream.
    pub(crate) async fn ask(
        &mut self,
        request: Request<()>,
        is_whole: bool,
    ) -> (ResponseFuture, h2::SendStream<Bytes>) {
        let mut ready = self.send.clone().ready().await.unwrap();
        ready.send_request(request, is_whole).unwrap()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let (response, _) = self.ask(get(path), true).await;
        answer(response).await.unwrap()
    }
}

pub(crate) fn get(path: &str) -> Request<()> {
    let uri = format!("http://a.example{path}");
    Request::builder().uri(uri).body(()).unwrap()
}

pub(crate) fn post(path: &str) -> Request<()> {
    let mut request = get(path);
    *request.method_mut() = http::Method::POST;
    request
}

pub(crate) async fn answer(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    let (bytes, trailers) = read(&mut body).await?;
    Ok(Answer {
        head: Response::from_parts(head, ()),
        body: bytes,
        trailers,
    })
}

/// A body to its end.
pub(crate) async fn read(body: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        bytes.extend_from_slice(&part);
    }
    Ok((bytes, body.trailers().await?))
}

/// Sends a body as fast as the peer takes it.
pub(crate) async fn send(
    stream: &mut h2::SendStream<Bytes>,
    body: Bytes,
    trailers: Option<HeaderMap>,
) {
    let mut rest = body;
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let room = room.unwrap().unwrap();
        let part = rest.split_to(room.min(rest.len()));
        stream.send_data(part, false).unwrap();
    }
    match trailers {
        Some(trailers) => stream.send_trailers(trailers).unwrap(),
        None => stream.send_data(Bytes::new(), true).unwrap(),
    }
}

/// A request as a backend got it.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) head: Request<()>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    /// Which connection it came by.
    pub(crate) connection: usize,
}

impl Got {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name)?.to_str().ok()
    }
}

/// A backend that speaks HTTP/2 in plain text. It tells of each request when it has all of it.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Receiver<Got>,
}

/// What a backend does with a request that it has read.
pub(crate) type Script = fn(&Got, SendResponse<Bytes>);

impl Origin {
    pub(crate) fn start(script: Script) -> Self {
        Self::start_with(h2::server::Builder::new(), script)
    }

    pub(crate) fn start_with(builder: h2::server::Builder, script: Script) -> Self {
        let (tell, requests) = mpsc::channel();
        let (bound, address) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                for connection in 0.. {
                    let (stream, _) = listener.accept().await.unwrap();
                    let serving = serve(builder.clone(), stream, connection, tell.clone(), script);
                    tokio::spawn(serving);
                }
            });
        });
        Self {
            address: address.recv().unwrap(),
            requests,
        }
    }

    pub(crate) fn request(&self) -> Got {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }
}

async fn serve(
    builder: h2::server::Builder,
    stream: TcpStream,
    connection: usize,
    tell: Sender<Got>,
    script: Script,
) {
    let Ok(mut server) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    while let Some(Ok((request, respond))) = server.accept().await {
        let tell = tell.clone();
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let Ok((body, trailers)) = read(&mut body).await else {
                return;
            };
            let got = Got {
                head: Request::from_parts(head, ()),
                body,
                trailers,
                connection,
            };
            script(&got, respond);
            let _ = tell.send(got);
        });
    }
}

/// Answers with the request's body and trailers.
pub(crate) fn echo(got: &Got, mut respond: SendResponse<Bytes>) {
    let response = Response::builder().header("x-from", "h2").body(()).unwrap();
    let mut stream = respond.send_response(response, false).unwrap();
    let (body, trailers) = (Bytes::from(got.body.clone()), got.trailers.clone());
    tokio::spawn(async move { send(&mut stream, body, trailers).await });
}
