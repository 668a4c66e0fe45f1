//! Asks an admin server (the control plane's or a data plane's) for one path.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::error::chain;
use crate::limits::ADMIN_BYTES;

/// Admin servers are on this machine, as a rule.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Error)]
pub enum ClientError {
    #[error("nobody answers on {address}: {error}")]
    Connect {
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error("{address} didn't answer {path} within {PATIENCE:?}")]
    Timeout {
        address: SocketAddr,
        path: &'static str,
    },
    #[error("{address} answered {path} with {status}: {text}")]
    Status {
        address: SocketAddr,
        path: &'static str,
        status: StatusCode,
        text: String,
    },
    #[error("{address} doesn't speak HTTP as it should: {}", chain(&**error))]
    Http {
        address: SocketAddr,
        error: AnyError,
    },
}

/// The body that `address` answers a GET of `path` with.
///
/// # Errors
/// When there is no answer, or none with status 200.
pub async fn get(address: SocketAddr, path: &'static str) -> Result<Bytes, ClientError> {
    tokio::time::timeout(PATIENCE, ask(address, path))
        .await
        .unwrap_or(Err(ClientError::Timeout { address, path }))
}

async fn ask(address: SocketAddr, path: &'static str) -> Result<Bytes, ClientError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| ClientError::Connect { address, error })?;
    let (status, body) = exchange(stream, address, path)
        .await
        .map_err(|error| ClientError::Http { address, error })?;
    if status == StatusCode::OK {
        return Ok(body);
    }
    Err(ClientError::Status {
        address,
        path,
        status,
        text: String::from_utf8_lossy(&body).trim().to_owned(),
    })
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(
    stream: TcpStream,
    address: SocketAddr,
    path: &str,
) -> Result<(StatusCode, Bytes), AnyError> {
    let request = Request::get(path)
        .header("host", address.to_string())
        .body(Empty::<Bytes>::new())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ADMIN_BYTES);
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok((status, body))
}
