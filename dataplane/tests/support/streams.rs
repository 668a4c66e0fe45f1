//! What a data plane is told of connections and datagrams.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use ringgate_core::ir::{
    AttachedHost, Attachment, Backend, BackendProtocol, BackendSettings, BackendTarget, BackendTls,
    Endpoint, Endpoints, Hostname, Id, Listener, ListenerSettings, Object, Protocol, Reach,
    StreamBackend, StreamProtocol, StreamRoute,
};

use super::certificates::Identity;
use super::{DataPlane, Wanted, name};

/// Listeners and routes of one protocol of layer 4 on one port.
pub(crate) struct Streams {
    wanted: Wanted,
    protocol: StreamProtocol,
}

impl Streams {
    pub(crate) fn new(protocol: StreamProtocol) -> Self {
        let mut wanted = Wanted::new();
        wanted.objects.clear();
        Self { wanted, protocol }
    }

    /// Beside requests.
    pub(crate) fn beside(wanted: Wanted, protocol: StreamProtocol) -> Self {
        Self { wanted, protocol }
    }

    pub(crate) fn listener(mut self, hostname: &str, protocol: Protocol) -> Self {
        let listener = Listener {
            gateway: name("gw"),
            name: hostname.into(),
            addresses: vec!["127.0.0.1".parse().unwrap()],
            port: self.wanted.port,
            public_port: None,
            protocol,
            client_certificate: None,
            hostname: Hostname::parse(hostname).unwrap(),
            settings: ListenerSettings::default(),
        };
        let id = Id::listener(&name("gw"), hostname);
        self.wanted.objects.insert(id, Object::Listener(listener));
        self
    }

    pub(crate) fn settings(mut self, change: impl Fn(&mut ListenerSettings)) -> Self {
        for object in self.wanted.objects.values_mut() {
            if let Object::Listener(listener) = object {
                change(&mut listener.settings);
            }
        }
        self
    }

    /// At the listener of that hostname. A service without a name is a reference that leads nowhere.
    pub(crate) fn route(mut self, listener: &str, host: &str, backends: &[(&str, u32)]) -> Self {
        let route = name(&format!("to-{}", host.replace('*', "any")));
        let protocol = self.protocol;
        let backends = backends.iter().map(|(service, weight)| StreamBackend {
            target: match *service {
                "" => BackendTarget::Invalid,
                service => BackendTarget::Backend(backend_id(protocol, service)),
            },
            weight: *weight,
        });
        let stream = StreamRoute {
            protocol: self.protocol,
            is_service: false,
            name: route.clone(),
            created: 0,
            attachments: vec![Attachment {
                listener: Id::listener(&name("gw"), listener),
                hostnames: vec![AttachedHost::as_written(Hostname::parse(host).unwrap())],
            }],
            rule: None,
            backends: backends.collect(),
        };
        let id = Id::stream_route(self.protocol, &route);
        self.wanted.objects.insert(id, Object::StreamRoute(stream));
        self
    }

    pub(crate) fn backend(self, service: &str, addresses: &[SocketAddr]) -> Self {
        self.backend_with(service, addresses, BackendSettings::default(), None)
    }

    pub(crate) fn backend_with(
        mut self,
        service: &str,
        addresses: &[SocketAddr],
        settings: BackendSettings,
        tls: Option<BackendTls>,
    ) -> Self {
        let endpoints = addresses.iter().map(|one| Endpoint::at(*one));
        let backend = Backend {
            service: name(service),
            port: 80,
            endpoints: Endpoints::Addresses(endpoints.collect()),
            protocol: carried(self.protocol),
            reach: Reach::Anywhere,
            health_check_port: None,
            tls,
            settings,
        };
        let id = backend_id(self.protocol, service);
        self.wanted.objects.insert(id, Object::Backend(backend));
        self
    }

    pub(crate) fn with(mut self, id: Id, object: Object) -> Self {
        self.wanted.objects.insert(id, object);
        self
    }

    /// The certificate that listeners name `cert`.
    pub(crate) fn certificate(self, identity: &Identity) -> Self {
        self.with(Id::certificate(&name("cert")), identity.object())
    }

    /// On every address of the host.
    pub(crate) fn listen_everywhere(&mut self) {
        for object in self.wanted.objects.values_mut() {
            if let Object::Listener(listener) = object {
                listener.addresses.clear();
            }
        }
    }

    pub(crate) fn start(self) -> DataPlane {
        self.wanted.start()
    }

    pub(crate) fn start_with(self, arguments: &[&str]) -> DataPlane {
        self.wanted.start_with(arguments)
    }
}

fn carried(protocol: StreamProtocol) -> BackendProtocol {
    match protocol {
        StreamProtocol::Udp => BackendProtocol::Udp,
        _ => BackendProtocol::Tcp,
    }
}

fn backend_id(protocol: StreamProtocol, service: &str) -> Id {
    Id::backend(&name(service), 80, carried(protocol))
}

/// A backend that does this with each of its connections.
pub(crate) fn peer(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// Answers each line with its own name in front.
pub(crate) fn lines(name: &'static str) -> SocketAddr {
    peer(move |stream| answer_lines(name, &stream, &stream))
}

fn answer_lines(name: &str, from: impl Read, mut to: impl Write) {
    for line in BufReader::new(from).lines() {
        let Ok(line) = line else {
            return;
        };
        if writeln!(to, "{name}: {line}").is_err() {
            return;
        }
    }
}

/// Where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

pub(crate) fn tcp(plane: &DataPlane) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", plane.port)).unwrap();
    stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
