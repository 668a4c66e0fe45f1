//! A client of HTTP/2 over TLS: its requests share one connection.

use std::sync::Arc;

use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use hyper::Request;
use hyper::body::Bytes;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::rotation::Identity;
use crate::stage::PATIENCE;

pub(crate) struct Http2 {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A response whose body is still under way.
pub(crate) struct Under {
    pub(crate) status: u16,
    body: RecvStream,
}

impl Http2 {
    /// A connection for `name`, which believes in this certificate alone.
    pub(crate) fn connect(port: u16, name: &'static str, trusted: &Identity) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let (sender, connection) = runtime.block_on(async {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let name = name.try_into().unwrap();
            let stream = connector.connect(name, stream).await.unwrap();
            let (sender, connection) = h2::client::handshake(stream).await.unwrap();
            (sender, tokio::spawn(connection))
        });
        Self {
            runtime,
            sender,
            connection,
        }
    }

    /// Until the gateway has parted, without an error.
    pub(crate) fn ended(&mut self) {
        let connection = &mut self.connection;
        let ended = async { timeout(PATIENCE, connection).await };
        let ended = self.runtime.block_on(ended);
        ended.unwrap().unwrap().unwrap();
    }

    /// A request for a host that need not be the connection's.
    pub(crate) fn send(&self, host: &str, path: &str) -> ResponseFuture {
        let request = Request::get(format!("https://{host}{path}"))
            .body(())
            .unwrap();
        let ready = self.runtime.block_on(self.sender.clone().ready());
        let (response, _) = ready.unwrap().send_request(request, true).unwrap();
        response
    }

    /// Its response as soon as that begins.
    pub(crate) fn begin(&self, host: &str, path: &str) -> Under {
        self.begun(self.send(host, path))
    }

    fn begun(&self, response: ResponseFuture) -> Under {
        let response = self
            .runtime
            .block_on(async { timeout(PATIENCE, response).await });
        let response = response.unwrap().unwrap();
        Under {
            status: response.status().as_u16(),
            body: response.into_body(),
        }
    }

    /// The next part of a body; none at its end.
    pub(crate) fn next(&self, under: &mut Under) -> Option<Bytes> {
        let body = &mut under.body;
        let part = self
            .runtime
            .block_on(async { timeout(PATIENCE, body.data()).await });
        let part = part.unwrap()?.unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
        Some(part)
    }

    /// Status and body.
    pub(crate) fn get(&self, host: &str, path: &str) -> (u16, String) {
        self.receive(self.send(host, path))
    }

    pub(crate) fn receive(&self, response: ResponseFuture) -> (u16, String) {
        let mut under = self.begun(response);
        let mut body = Vec::new();
        while let Some(part) = self.next(&mut under) {
            body.extend_from_slice(&part);
        }
        (under.status, String::from_utf8(body).unwrap())
    }
}
