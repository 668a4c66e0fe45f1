//! How an endpoint is asked: what goes out, and what passes for an answer. How long that may take, and how often, is
//! `rounds`' business.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::Builder;
use http::{HeaderMap, Method, Request};
use ringgate_core::grpc::health as grpc;
use ringgate_core::http1::{self, Parse, ResponseError, ResponseHead, parse_response};
use ringgate_core::ir::{Backend, BackendProtocol, Probe, StatusRange};
use ringgate_core::proxy_protocol;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::limits;
use crate::sys::socket;
use crate::tls::credentials::ToBackend;

/// Tells checks from other requests.
const USER_AGENT: &str = concat!("ringgate-health/", env!("CARGO_PKG_VERSION"));

/// Why an endpoint doesn't pass.
#[derive(Debug, Error)]
pub(super) enum Failing {
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("no TLS: {0}")]
    Tls(io::Error),
    #[error("it doesn't offer h2 by ALPN")]
    NoHttp2,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("the connection ended before the answer")]
    Ended,
    #[error("the answer is no HTTP: {0}")]
    NoHttp(#[from] ResponseError),
    #[error("the answer is no HTTP/2: {0}")]
    Http2(#[from] h2::Error),
    #[error("the check's path or host can't be asked for by HTTP/2: {0}")]
    Request(#[from] http::Error),
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer has grpc-status {0}")]
    GrpcStatus(String),
    #[error("the answer is none of grpc.health.v1.Health")]
    NoHealth,
    #[error("it says {}", .0.as_str())]
    NotServing(grpc::Serving),
    /// Says nothing of the endpoint.
    #[error("it can't be asked: {0}")]
    Ours(io::Error),
}

impl Failing {
    /// Whether it says nothing of the endpoint.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_))
    }

    /// For people, and short: what a backend sends is in it.
    pub(super) fn text(&self) -> String {
        let mut text = self.to_string();
        text.truncate(text.floor_char_boundary(limits::FAILURE_BYTES));
        text
    }
}

/// Asks once. `tls`: how the backend is spoken to, where its policy asks for that.
pub(super) async fn ask(
    backend: &Backend,
    address: SocketAddr,
    tls: Option<&Arc<ToBackend>>,
) -> Result<(), Failing> {
    let Some(check) = &backend.settings.health_check else {
        return Ok(());
    };
    let port = check.port.unwrap_or_else(|| address.port());
    // What the policies say of the port that takes traffic says nothing of another one.
    let is_own = port == address.port();
    let at = SocketAddr::new(address.ip(), port);
    let mut stream = TcpStream::connect(at).await.map_err(not_connected)?;
    let _ = stream.set_nodelay(true);
    if let (Some(version), BackendProtocol::Tcp, true) =
        (backend.settings.proxy_header, backend.protocol, is_own)
    {
        let mut header = Vec::new();
        proxy_protocol::write_own(version, &mut header);
        stream.write_all(&header).await.map_err(Failing::Broken)?;
    }
    let wanted = match &backend.tls {
        Some(wanted) if is_own => wanted,
        _ => return asked(&check.probe, stream, Spoken::plain(backend, at, is_own)).await,
    };
    if check.probe == Probe::Tcp {
        return Ok(());
    }
    let Some(tls) = tls else {
        let why = "its TLS settings can't be used";
        return Err(Failing::Ours(io::Error::new(
            io::ErrorKind::Unsupported,
            why,
        )));
    };
    let spoken = Spoken {
        scheme: "https",
        host: wanted.hostname.to_string(),
        by_http2: by_http2(backend, &check.probe),
    };
    let stream = encrypt(tls, stream, spoken.by_http2).await?;
    asked(&check.probe, stream, spoken).await
}

fn not_connected(error: io::Error) -> Failing {
    match socket::is_ours(&error) {
        true => Failing::Ours(error),
        false => Failing::Connect(error),
    }
}

/// As whom and how it is asked.
struct Spoken {
    scheme: &'static str,
    host: String,
    by_http2: bool,
}

impl Spoken {
    fn plain(backend: &Backend, at: SocketAddr, is_own: bool) -> Self {
        let probe = backend.settings.health_check.as_ref();
        let probe = probe.map(|check| &check.probe);
        Self {
            scheme: "http",
            host: at.to_string(),
            by_http2: probe.is_some_and(|probe| match is_own {
                true => by_http2(backend, probe),
                false => matches!(probe, Probe::Grpc { .. }),
            }),
        }
    }
}

fn by_http2(backend: &Backend, probe: &Probe) -> bool {
    matches!(probe, Probe::Grpc { .. }) || backend.protocol == BackendProtocol::Http2
}

async fn encrypt(
    tls: &ToBackend,
    stream: TcpStream,
    by_http2: bool,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failing> {
    let mut config = tls.for_checks().clone();
    if by_http2 && config.alpn_protocols != [b"h2"] {
        let mut by_h2 = ClientConfig::clone(&config);
        by_h2.alpn_protocols = vec![b"h2".to_vec()];
        config = Arc::new(by_h2);
    }
    let connected = TlsConnector::from(config).connect(tls.name.clone(), stream);
    let stream = connected.await.map_err(Failing::Tls)?;
    match by_http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        true => Err(Failing::NoHttp2),
        false => Ok(stream),
    }
}

async fn asked<S: AsyncRead + AsyncWrite + Unpin>(
    probe: &Probe,
    stream: S,
    spoken: Spoken,
) -> Result<(), Failing> {
    match probe {
        Probe::Tcp => Ok(()),
        Probe::Http {
            path,
            host,
            statuses,
        } => {
            let host = host.as_deref().unwrap_or(&spoken.host);
            let status = match spoken.by_http2 {
                false => by_http1(stream, path, host).await?,
                true => {
                    let request = request(Method::GET, (spoken.scheme, host), path)?;
                    let (status, ..) = call(stream, request, None).await?;
                    status
                }
            };
            is_fine(status, statuses)
        }
        Probe::Grpc { service } => {
            let mut request = request(Method::POST, (spoken.scheme, &spoken.host), grpc::PATH)?;
            let fields = request.headers_mut();
            fields.insert(
                "content-type",
                http::HeaderValue::from_static("application/grpc"),
            );
            fields.insert("te", http::HeaderValue::from_static("trailers"));
            let body = grpc::request(service).into();
            let (status, fields, body) = call(stream, request, Some(body)).await?;
            serves(status, &fields, &body)
        }
    }
}

fn is_fine(status: u16, statuses: &[StatusRange]) -> Result<(), Failing> {
    match statuses.iter().any(|range| range.contains(status)) {
        true => Ok(()),
        false => Err(Failing::Status(status)),
    }
}

fn serves(status: u16, fields: &HeaderMap, body: &[u8]) -> Result<(), Failing> {
    if status != 200 {
        return Err(Failing::Status(status));
    }
    let code = fields.get("grpc-status");
    if let Some(code) = code.filter(|code| *code != "0") {
        let code = String::from_utf8_lossy(code.as_bytes()).into_owned();
        return Err(Failing::GrpcStatus(code));
    }
    match grpc::answer(body) {
        Some(grpc::Serving::Serving) => Ok(()),
        Some(other) => Err(Failing::NotServing(other)),
        None => Err(Failing::NoHealth),
    }
}

/// The status of the answer to a GET. What its body says doesn't count.
async fn by_http1<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    path: &str,
    host: &str,
) -> Result<u16, Failing> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {USER_AGENT}\r\nconnection: close\r\n\r\n"
    );
    let sent = stream.write_all(request.as_bytes()).await;
    sent.map_err(Failing::Broken)?;
    let (mut input, mut head) = (Vec::with_capacity(1024), ResponseHead::default());
    loop {
        let read = stream.read_buf(&mut input).await;
        if read.map_err(Failing::Broken)? == 0 {
            return Err(Failing::Ended);
        }
        while !input.is_empty() {
            let limits = &limits::RESPONSE_HEAD;
            match parse_response(&input, limits, http1::Method::Get, &mut head)? {
                Parse::Partial => break,
                Parse::Complete if !head.is_interim() => return Ok(head.status),
                Parse::Complete => drop(input.drain(..head.len)),
            }
        }
    }
}

fn request(
    method: Method,
    (scheme, host): (&str, &str),
    path: &str,
) -> Result<Request<()>, http::Error> {
    let uri = http::Uri::builder().scheme(scheme).authority(host);
    let uri = uri.path_and_query(path).build()?;
    let request = Request::builder().method(method).uri(uri);
    request.header("user-agent", USER_AGENT).body(())
}

/// What came back: status, fields, trailers with them, and what of the body is read if there was one to send.
type Called = (u16, HeaderMap, Vec<u8>);

async fn call<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: Request<()>,
    body: Option<Bytes>,
) -> Result<Called, Failing> {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .max_header_list_size(limits::RESPONSE_HEAD.header_bytes);
    let (send, connection) = builder.handshake::<_, Bytes>(stream).await?;
    let exchange = async {
        let mut send = send.ready().await?;
        let is_whole = body.is_none();
        let (response, mut upload) = send.send_request(request, is_whole)?;
        if let Some(body) = body {
            upload.send_data(body, true)?;
        }
        let (head, mut rest) = response.await?.into_parts();
        let (status, mut fields) = (head.status.as_u16(), head.headers);
        if is_whole {
            return Ok((status, fields, Vec::new()));
        }
        let body = read(&mut rest).await?;
        fields.extend(rest.trailers().await?.unwrap_or_default());
        Ok((status, fields, body))
    };
    let mut exchange = pin!(exchange);
    tokio::select! {
        biased;
        called = &mut exchange => called,
        ended = connection => {
            ended?;
            // What came with its end is there.
            exchange.await
        }
    }
}

/// A body, if it is as short as what we ask for.
async fn read(body: &mut RecvStream) -> Result<Vec<u8>, Failing> {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
        if bytes.len() > limits::HEALTH_ANSWER_BYTES {
            return Err(Failing::NoHealth);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_an_endpoint_fails_is_told_in_short_whatever_it_sends() {
        let failing = Failing::GrpcStatus("\u{e9}".repeat(limits::FAILURE_BYTES));
        let text = failing.text();
        assert!(
            text.starts_with("the answer has grpc-status \u{e9}"),
            "{text}"
        );
        assert!(text.len() <= limits::FAILURE_BYTES, "{}", text.len());
    }
}
