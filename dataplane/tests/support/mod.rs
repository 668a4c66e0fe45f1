//! Starts the real data plane from a snapshot on disk, with scripted backends and clients around it.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "each test file uses a part of it, and a test that can't go on shall stop and say why"
)]

pub(crate) mod certificates;
pub(crate) mod http2;
#[path = "../../../controlplane/tests/support/port.rs"]
mod port;
pub(crate) mod streams;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use prost::Message;
pub(crate) use ringgate_core::ir::Rule;
use ringgate_core::ir::{
    AttachedHost, Attachment, Backend, BackendProtocol, BackendSettings, BackendTarget, Endpoint,
    Endpoints, Filter, Hostname, HttpRoute, Id, Listener, ListenerSettings, Match, Object,
    ObjectName, PathMatch, Protocol, Reach, RouteProtocol, Snapshot, Termination, Timeouts,
    Version, WeightedBackend,
};
use ringgate_core::wire;
use tempfile::TempDir;

pub(crate) use self::port::free_port;

/// No event that a test waits for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a data plane shall serve.
pub(crate) struct Wanted {
    pub(crate) port: u16,
    pub(crate) objects: BTreeMap<Id, Object>,
}

pub(crate) fn name(text: &str) -> ObjectName {
    ObjectName::new("default", text)
}

/// A rule that sends every request to one backend.
pub(crate) fn rule(backend: &str) -> Rule {
    Rule {
        name: None,
        matches: vec![prefix("/")],
        filters: Vec::new(),
        backends: vec![to(backend)],
        timeouts: Timeouts::default(),
        retry: None,
        broken: false,
    }
}

pub(crate) fn to(backend: &str) -> WeightedBackend {
    let target = BackendTarget::Backend(Id::backend(&name(backend), 80, BackendProtocol::Http1));
    WeightedBackend {
        target,
        weight: 1,
        filters: Vec::new(),
    }
}

pub(crate) fn prefix(path: &str) -> Match {
    let path = PathMatch::Prefix(path.trim_end_matches('/').into());
    Match {
        path,
        headers: Vec::new(),
        query: Vec::new(),
        method: None,
    }
}

impl Wanted {
    pub(crate) fn new() -> Self {
        let mut wanted = Self {
            port: free_port(),
            objects: BTreeMap::new(),
        };
        wanted.listener(ListenerSettings::default());
        wanted
    }

    pub(crate) fn listener(&mut self, settings: ListenerSettings) {
        let listener = self.plain_listener(settings);
        self.objects
            .insert(Id::listener(&name("gw"), "web"), Object::Listener(listener));
    }

    fn plain_listener(&self, settings: ListenerSettings) -> Listener {
        Listener {
            gateway: name("gw"),
            name: "web".into(),
            addresses: vec!["127.0.0.1".parse().unwrap()],
            port: self.port,
            public_port: None,
            protocol: Protocol::Http,
            client_certificate: None,
            hostname: Hostname::Any,
            settings,
        }
    }

    /// A listener that terminates TLS, to which the route is attached too; the plain one goes.
    pub(crate) fn https(mut self, name: &str, hostname: &str, termination: Termination) -> Self {
        let gateway = self::name("gw");
        self.objects.remove(&Id::listener(&gateway, "web"));
        let listener = Listener {
            name: name.into(),
            hostname: Hostname::parse(hostname).unwrap(),
            protocol: Protocol::Https(termination),
            ..self.plain_listener(ListenerSettings::default())
        };
        let id = Id::listener(&gateway, name);
        let attachment = Attachment {
            listener: id.clone(),
            hostnames: vec![AttachedHost::as_written(listener.hostname.clone())],
        };
        for object in self.objects.values_mut() {
            if let Object::HttpRoute(route) = object {
                route.attachments.push(attachment.clone());
            }
        }
        self.objects.insert(id, Object::Listener(listener));
        self
    }

    /// Clients come by another port than the one that is bound.
    pub(crate) fn public_port(mut self, port: u16) -> Self {
        for object in self.objects.values_mut() {
            if let Object::Listener(listener) = object {
                listener.public_port = Some(port);
            }
        }
        self
    }

    pub(crate) fn backend(mut self, service: &str, addresses: &[SocketAddr]) -> Self {
        self.backend_with(service, addresses, BackendSettings::default());
        self
    }

    pub(crate) fn backend_with(
        &mut self,
        service: &str,
        addresses: &[SocketAddr],
        settings: BackendSettings,
    ) {
        let endpoints = addresses.iter().map(|address| Endpoint::at(*address));
        self.insert_backend(service, Endpoints::Addresses(endpoints.collect()), settings);
    }

    /// Speaks HTTP/2 to the backends that are there.
    pub(crate) fn by_http2(mut self) -> Self {
        for object in self.objects.values_mut() {
            if let Object::Backend(backend) = object {
                backend.protocol = BackendProtocol::Http2;
            }
        }
        self
    }

    pub(crate) fn echo(mut self, service: &str) -> Self {
        let echo = Endpoints::Echo(service.into());
        self.insert_backend(service, echo, BackendSettings::default());
        self
    }

    fn insert_backend(&mut self, service: &str, endpoints: Endpoints, settings: BackendSettings) {
        let backend = Backend {
            service: name(service),
            port: 80,
            endpoints,
            protocol: BackendProtocol::Http1,
            reach: Reach::Anywhere,
            health_check_port: None,
            tls: None,
            settings,
        };
        self.objects.insert(
            Id::backend(&name(service), 80, BackendProtocol::Http1),
            Object::Backend(backend),
        );
    }

    pub(crate) fn route(self, rules: Vec<Rule>) -> Self {
        self.route_of(RouteProtocol::Http, rules)
    }

    pub(crate) fn grpc_route(self, rules: Vec<Rule>) -> Self {
        self.route_of(RouteProtocol::Grpc, rules)
    }

    fn route_of(mut self, protocol: RouteProtocol, rules: Vec<Rule>) -> Self {
        let listener = Id::listener(&name("gw"), "web");
        let route = HttpRoute {
            protocol,
            name: name("route"),
            created: 0,
            attachments: vec![Attachment {
                listener,
                hostnames: vec![AttachedHost::as_written(Hostname::Any)],
            }],
            rules,
        };
        let id = match protocol {
            RouteProtocol::Http => Id::http_route(&route.name),
            RouteProtocol::Grpc => Id::grpc_route(&route.name),
        };
        self.objects.insert(id, Object::HttpRoute(route));
        self
    }

    pub(crate) fn start(self) -> DataPlane {
        self.start_with(&[])
    }

    pub(crate) fn start_with(self, arguments: &[&str]) -> DataPlane {
        let port = self.port;
        DataPlane::start(self.save(), port, arguments)
    }

    /// A state folder for a data plane that shall boot from it.
    pub(crate) fn save(self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let version = Version {
            term: 1,
            sequence: 1,
        };
        let saved = wire::encode_saved(&Snapshot {
            version,
            objects: self.objects,
        });
        std::fs::write(folder.path().join("snapshot.pb"), saved.encode_to_vec()).unwrap();
        folder
    }
}

/// A running data plane; ended when dropped.
pub(crate) struct DataPlane {
    process: Child,
    pub(crate) port: u16,
    pub(crate) admin: SocketAddr,
    log: Receiver<String>,
    _folder: TempDir,
}

impl DataPlane {
    fn start(folder: TempDir, port: u16, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ringgate-dataplane"))
            .arg("--socket")
            .arg(folder.path().join("control.sock"))
            .arg("--state-dir")
            .arg(folder.path())
            .args(["--admin", "127.0.0.1:0"])
            .args(arguments)
            .args(if arguments.contains(&"--workers") {
                &[][..]
            } else {
                &["--workers", "1"]
            })
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, log) = mpsc::channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("{line}");
                let _ = sender.send(line);
            }
        });
        let admin = wait_for(&log, "admin endpoint address=");
        let mut started = Self {
            process,
            port,
            admin: admin.parse().unwrap(),
            log,
            _folder: folder,
        };
        started.wait_ready();
        started
    }

    fn wait_ready(&mut self) {
        let until = Instant::now() + PATIENCE;
        while !self.ask_admin("/readyz").starts_with("HTTP/1.1 200") {
            assert!(Instant::now() < until, "not ready");
            thread::yield_now();
        }
    }

    /// The whole response of the admin endpoint.
    pub(crate) fn ask_admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits until a metric has this value.
    pub(crate) fn await_metric(&self, name: &str, wanted: u64) {
        let until = Instant::now() + PATIENCE;
        loop {
            let page = self.ask_admin("/metrics");
            let line = page.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
            if value == Some(wanted) {
                return;
            }
            assert!(Instant::now() < until, "{name}: {value:?}, not {wanted}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.port)
    }

    /// One request on a connection of its own: status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut client = self.connect();
        client.send(&format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n"));
        let response = client.response();
        (response.status, response.text())
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        self.process.wait().unwrap()
    }

    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        wait_for(&self.log, text)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `look` finds, once it finds something.
pub(crate) fn wait_until<T>(look: impl Fn() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "it never came");
        thread::yield_now();
    }
}

/// What stands behind `text` in the first line that has it.
fn wait_for(log: &Receiver<String>, text: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let line = log
            .recv_timeout(left)
            .unwrap_or_else(|_| panic!("{text:?} was never logged"));
        if let Some((_, behind)) = line.split_once(text) {
            return behind.trim().to_owned();
        }
    }
}

/// A client that sends bytes as they are.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    reader: BufReader<TcpStream>,
}

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Lines of the head, without the status line.
    pub(crate) head: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn fields<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r str> {
        self.head.iter().filter_map(move |line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            reader: BufReader::new(stream.try_clone().unwrap()),
            stream,
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The next response to a request that is not HEAD.
    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.head();
        let length = response
            .field("content-length")
            .map(|length| length.parse().unwrap());
        let is_chunked = response.field("transfer-encoding") == Some("chunked");
        match length {
            Some(length) => {
                response.body = vec![0; length];
                self.reader.read_exact(&mut response.body).unwrap();
            }
            None if is_chunked => response.body = self.chunks(),
            None if matches!(response.status, 100..=199 | 204 | 304) => {}
            None => {
                self.reader.read_to_end(&mut response.body).unwrap();
            }
        }
        response
    }

    pub(crate) fn head(&mut self) -> Response {
        let line = self.line();
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut head = Vec::new();
        loop {
            match self.line() {
                end if end.is_empty() => {
                    return Response {
                        status,
                        head,
                        body: Vec::new(),
                    };
                }
                field => head.push(field),
            }
        }
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line(), 16).unwrap();
            if size == 0 {
                while !self.line().is_empty() {}
                return body;
            }
            let start = body.len();
            body.resize(start + size, 0);
            self.reader.read_exact(&mut body[start..]).unwrap();
            self.line();
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Everything until the gateway closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.reader.read_to_end(&mut rest);
        rest
    }

    pub(crate) fn is_closed(&mut self) -> bool {
        self.rest().is_empty()
    }
}

/// A backend that reads requests and answers by a script.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    requests: Receiver<Request>,
}

/// A request as a backend got it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) head: Vec<String>,
    pub(crate) body: Vec<u8>,
    /// Counts the backend's connections from 0.
    pub(crate) connection: usize,
}

impl Request {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// What a backend's script sees: a connection and the request that came on it.
pub(crate) type Script = fn(&mut TcpStream, &Request) -> Then;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Next,
    Close,
    /// Without a word more: a reset, if the script has set the socket to linger for no time.
    Reset,
}

/// Answers 200 with the name of the method.
pub(crate) fn plain(stream: &mut TcpStream, request: &Request) -> Then {
    let body = request.line.split(' ').next().unwrap_or_default();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let body = if body == "HEAD" { "" } else { body };
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
    Then::Next
}

impl Origin {
    pub(crate) fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let sender = sender.clone();
                thread::spawn(move || serve(stream, connection, script, &sender));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn request(&self) -> Request {
        self.requests
            .recv_timeout(PATIENCE)
            .expect("the backend gets a request")
    }

    pub(crate) fn has_none(&self) -> bool {
        self.requests.try_recv().is_err()
    }
}

fn serve(stream: TcpStream, connection: usize, script: Script, requests: &Sender<Request>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader, connection) {
        let _ = requests.send(request.clone());
        match script(&mut writer, &request) {
            Then::Next => {}
            Then::Close => {
                let _ = writer.shutdown(Shutdown::Both);
                return;
            }
            Then::Reset => return,
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>, connection: usize) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut request = Request {
        line: lines.remove(0),
        head: lines,
        body: Vec::new(),
        connection,
    };
    if let Some(length) = request.field("content-length") {
        request.body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut request.body).ok()?;
    } else if request.field("transfer-encoding") == Some("chunked") {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let size = usize::from_str_radix(line.trim_end(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            request.body.extend_from_slice(&chunk[..size]);
        }
    }
    Some(request)
}

/// A filter alone in a rule's list.
pub(crate) fn with_filters(rule: Rule, filters: Vec<Filter>) -> Rule {
    Rule { filters, ..rule }
}
