//! The way to the control plane that leads: which one is tried next, and a connection to it. What is
//! said there, and how long to wait when nobody answers, is `receive`'s business.

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use ringgate_core::wire::LEADER_METADATA;
use ringgate_identity::host_port::HostPort;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::credentials::{CredentialError, Credentials};
use super::stubs::certificates_client::CertificatesClient;
use crate::limits::{CONTROL_PLANE_CONNECT, CONTROL_PLANE_SILENCE, ISSUE, ISSUE_PAUSE, REDIRECTS};

/// Where control planes are.
#[derive(Debug)]
pub(crate) enum Reach {
    /// On this machine.
    Socket(PathBuf),
    Remote(Box<Remote>),
}

/// Control planes of other machines.
#[derive(Debug)]
pub(crate) struct Remote {
    addresses: Vec<HostPort>,
    credentials: Credentials,
    /// Those of this round that are still to be tried.
    names: VecDeque<HostPort>,
    targets: VecDeque<Target>,
    /// How often in a row we were sent elsewhere.
    redirects: usize,
}

/// One address of a control plane.
#[derive(Clone, Debug)]
struct Target {
    name: HostPort,
    address: SocketAddr,
}

/// Why a control plane can't be asked.
#[derive(Debug, Error)]
pub(crate) enum ReachError {
    #[error("{path}: {source}", path = path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("the name of {name} has no address: {source}; is --control-plane right?")]
    Name { name: HostPort, source: io::Error },
    #[error(
        "{name} ({address}) can't be reached: {source}; does a control plane --listen there, and is the way open?"
    )]
    Connect {
        name: HostPort,
        address: SocketAddr,
        source: io::Error,
    },
    #[error(
        "{name} ({address}) isn't believed: {source}; its certificate has to name {host} and to be by an authority of {authority}",
        host = name.host().to_str()
    )]
    Tls {
        name: HostPort,
        address: SocketAddr,
        authority: String,
        source: io::Error,
    },
    /// RFC 8446, section 6.2.
    #[error(
        "{name} ({address}) refuses this data plane: {source}; {own} has to be valid, and by an authority that the control plane knows"
    )]
    Refused {
        name: HostPort,
        address: SocketAddr,
        own: String,
        source: io::Error,
    },
    #[error("{place} issues no certificate: {why}")]
    Issue { place: String, why: String },
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    #[error("{place}: {source}")]
    Http {
        place: String,
        source: tonic::transport::Error,
    },
}

impl Reach {
    /// Any of `addresses` may lead.
    pub(crate) fn remote(addresses: Vec<HostPort>, credentials: Credentials) -> Self {
        Self::Remote(Box::new(Remote {
            addresses,
            credentials,
            names: VecDeque::new(),
            targets: VecDeque::new(),
            redirects: 0,
        }))
    }

    /// A connection to the next that may lead.
    pub(crate) async fn connect(&mut self) -> Result<Reached, ReachError> {
        match self {
            Self::Socket(path) => {
                let stream = UnixStream::connect(&path).await;
                let path = path.clone();
                let stream = stream.map_err(|source| ReachError::Socket { path, source })?;
                Reached::over("the control plane's socket".to_owned(), stream).await
            }
            Self::Remote(remote) => remote.connect().await,
        }
    }

    /// Renews a certificate that was issued, by a connection that stands, in time before its end. For
    /// ever.
    pub(crate) async fn keep_fresh(&mut self, reached: &Reached) {
        let Self::Remote(remote) = self else {
            return std::future::pending().await;
        };
        while let Some(at) = remote.credentials.renew_at() {
            sleep_until(at).await;
            if let Err(error) = remote.renew(reached).await {
                tracing::warn!("the certificate isn't renewed yet: {error}");
                sleep(ISSUE_PAUSE).await;
            }
        }
        std::future::pending().await
    }

    /// Whether there is another to try before one waits.
    pub(crate) fn has_more(&self) -> bool {
        match self {
            Self::Socket(_) => false,
            Self::Remote(remote) => !(remote.names.is_empty() && remote.targets.is_empty()),
        }
    }

    /// The last one led for a while: then all may be as new.
    pub(crate) fn begin_again(&mut self) {
        if let Self::Remote(remote) = self {
            remote.names.clear();
            remote.targets.clear();
            remote.redirects = 0;
        }
    }

    /// Whether the control plane said who leads when it sent us away: that one is next.
    pub(crate) fn heed(&mut self, refusal: &tonic::Status) -> bool {
        let Self::Remote(remote) = self else {
            return false;
        };
        let leader = refusal.metadata().get(LEADER_METADATA);
        let leader: Option<HostPort> = leader.and_then(|text| text.to_str().ok()?.parse().ok());
        let Some(leader) = leader.filter(|_| remote.redirects < REDIRECTS) else {
            return false;
        };
        tracing::info!(%leader, "this control plane doesn't lead, going to the one that does");
        remote.redirects += 1;
        remote.targets.clear();
        remote.names.push_front(leader);
        true
    }
}

impl Remote {
    async fn connect(&mut self) -> Result<Reached, ReachError> {
        let target = self.next_target().await?;
        if self.credentials.lacks_certificate() {
            let config = self.credentials.strangers_config()?;
            let reached = self.reach(&target, config).await?;
            self.renew(&reached).await?;
        }
        let config = self.credentials.config()?;
        let reached = self.reach(&target, config).await;
        if matches!(reached, Err(ReachError::Refused { .. })) {
            self.credentials.forget();
        }
        reached
    }

    async fn reach(
        &self,
        target: &Target,
        config: Arc<ClientConfig>,
    ) -> Result<Reached, ReachError> {
        let stream = self.secure(target, config).await?;
        Reached::over(format!("{} ({})", target.name, target.address), stream).await
    }

    /// Asks for a certificate.
    async fn renew(&mut self, reached: &Reached) -> Result<(), ReachError> {
        let asked = self.credentials.ask()?;
        let mut client = CertificatesClient::new(reached.channel.clone());
        let answer = timeout(ISSUE, client.issue(asked.request.clone())).await;
        let answer = answer.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("no answer")));
        let reply = answer.map_err(|status| ReachError::Issue {
            place: reached.place.clone(),
            why: chain(&status),
        })?;
        Ok(self.credentials.take(asked, reply.into_inner())?)
    }

    /// The next of this round, or the first of a new one.
    async fn next_target(&mut self) -> Result<Target, ReachError> {
        if self.targets.is_empty() {
            if self.names.is_empty() {
                self.redirects = 0;
                self.names.extend(self.addresses.iter().cloned());
            }
            if let Some(name) = self.names.pop_front() {
                self.targets = resolve(&name).await?.into();
            }
        }
        self.targets.pop_front().ok_or_else(|| ReachError::Name {
            name: self.addresses[0].clone(),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    async fn secure(
        &self,
        target: &Target,
        config: Arc<ClientConfig>,
    ) -> Result<BufReader<TlsStream<TcpStream>>, ReachError> {
        let Target { name, address } = target.clone();
        let stream = in_time(TcpStream::connect(address)).await;
        let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        let stream = stream.map_err(|source| ReachError::Connect {
            name: name.clone(),
            address,
            source,
        })?;
        let tls = TlsConnector::from(config).connect(name.host().clone(), stream);
        let stream = in_time(tls).await.map_err(|source| ReachError::Tls {
            name: name.clone(),
            address,
            authority: self.credentials.authority(),
            source,
        })?;
        // In TLS 1.3 a client's certificate is judged after the handshake: the first word tells how,
        // the settings of HTTP/2 or an alert.
        let mut stream = BufReader::new(stream);
        match in_time(stream.fill_buf()).await {
            Ok([_, ..]) => Ok(stream),
            Ok([]) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(source) => Err(source),
        }
        .map_err(|source| ReachError::Refused {
            name,
            address,
            own: self.credentials.own(),
            source,
        })
    }
}

async fn resolve(name: &HostPort) -> Result<Vec<Target>, ReachError> {
    let found = match name.host() {
        ServerName::IpAddress(address) => {
            vec![SocketAddr::new((*address).into(), name.port())]
        }
        host => {
            let host = host.to_str().into_owned();
            let found = in_time(tokio::net::lookup_host((host, name.port()))).await;
            let found = found.map_err(|source| ReachError::Name {
                name: name.clone(),
                source,
            })?;
            found.collect()
        }
    };
    let target = |address| Target {
        name: name.clone(),
        address,
    };
    Ok(found.into_iter().map(target).collect())
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(CONTROL_PLANE_CONNECT, work).await {
        Ok(done) => done,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// A control plane that answered.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) channel: Channel,
    place: String,
}

impl Reached {
    /// HTTP/2 over a connection that stands. It is never made again: who comes back chooses anew.
    async fn over<S>(place: String, stream: S) -> Result<Self, ReachError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut stream = Some(TokioIo::new(stream));
        let once = service_fn(move |_: Uri| {
            let taken = stream.take();
            async move { taken.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
        });
        // The address is not used: the connection is there.
        let made = Endpoint::from_static("http://control-plane")
            .http2_keep_alive_interval(CONTROL_PLANE_SILENCE)
            .keep_alive_timeout(CONTROL_PLANE_SILENCE)
            .keep_alive_while_idle(true)
            .connect_with_connector(once)
            .await;
        match made {
            Ok(channel) => Ok(Self { channel, place }),
            Err(source) => Err(ReachError::Http { place, source }),
        }
    }

    /// Why its stream ended.
    pub(crate) fn why(&self, status: &tonic::Status) -> String {
        format!("{}: {}", self.place, chain(status))
    }
}

/// With all that it follows from.
fn chain(status: &tonic::Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    let mut source = status.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Own;

    fn remote(addresses: &[&str]) -> Remote {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let credentials = Credentials::new("ca".into(), Own::Token("token".into()));
        let Reach::Remote(remote) = Reach::remote(addresses, credentials) else {
            panic!("not remote");
        };
        *remote
    }

    fn moved(leader: &'static str) -> tonic::Status {
        let mut status = tonic::Status::failed_precondition("elsewhere");
        let leader = leader.parse().unwrap();
        status.metadata_mut().insert(LEADER_METADATA, leader);
        status
    }

    async fn next(reach: &mut Reach) -> String {
        let Reach::Remote(remote) = reach else {
            panic!("not remote");
        };
        remote.next_target().await.unwrap().address.to_string()
    }

    #[tokio::test]
    async fn all_are_tried_in_turn_and_then_again() {
        let mut reach = Reach::Remote(Box::new(remote(&["127.0.0.1:1", "[::1]:2"])));
        assert!(!reach.has_more());
        assert_eq!(next(&mut reach).await, "127.0.0.1:1");
        assert!(reach.has_more());
        assert_eq!(next(&mut reach).await, "[::1]:2");
        assert!(!reach.has_more());
        assert_eq!(next(&mut reach).await, "127.0.0.1:1");
    }

    #[tokio::test]
    async fn who_leads_is_tried_next_but_not_round_and_round() {
        let mut reach = Reach::Remote(Box::new(remote(&["127.0.0.1:1", "127.0.0.1:2"])));
        next(&mut reach).await;
        for _ in 0..REDIRECTS {
            assert!(reach.heed(&moved("127.0.0.1:7")));
            assert_eq!(next(&mut reach).await, "127.0.0.1:7");
        }
        assert!(!reach.heed(&moved("127.0.0.1:7")));
        assert_eq!(next(&mut reach).await, "127.0.0.1:2");
        // A new round forgets how often it was.
        next(&mut reach).await;
        assert!(!reach.heed(&moved("nonsense")));
        assert!(reach.heed(&moved("127.0.0.1:7")));
        assert_eq!(next(&mut reach).await, "127.0.0.1:7");
    }

    #[tokio::test]
    async fn one_that_led_is_where_all_begins_again() {
        let mut reach = Reach::Remote(Box::new(remote(&["127.0.0.1:1", "127.0.0.1:2"])));
        next(&mut reach).await;
        reach.begin_again();
        assert!(!reach.has_more());
        assert_eq!(next(&mut reach).await, "127.0.0.1:1");
    }
}
