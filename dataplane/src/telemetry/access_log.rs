//! The access log: one JSON object per line, written by a thread of its own. A shard never waits for it:
//! lines that the writer can't keep up with are dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender};
use ringgate_core::table::Backend;
use serde_json::{Value, json};

use crate::limits;

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    #[default]
    Off,
    Stdout,
    /// Opened again when it was renamed or removed, as log rotation does.
    File(PathBuf),
}

impl FromStr for Target {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "off" => Self::Off,
            "stdout" => Self::Stdout,
            path => Self::File(path.into()),
        })
    }
}

/// A shard's end of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessLog(Option<Sender<Vec<u8>>>);

/// Who came, by which listener and route, and where to.
pub(crate) struct Way<'l> {
    pub(crate) client: SocketAddr,
    pub(crate) took: Duration,
    pub(crate) gateway: Option<String>,
    pub(crate) listener: Option<&'l str>,
    pub(crate) route_kind: Option<&'static str>,
    pub(crate) route: Option<String>,
    pub(crate) rule: Option<String>,
    pub(crate) backend: Option<&'l Backend>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) attempts: u32,
    pub(crate) error: Option<&'static str>,
}

/// One request, told.
pub(crate) struct Line<'l> {
    pub(crate) way: Way<'l>,
    pub(crate) method: &'l [u8],
    pub(crate) authority: &'l [u8],
    pub(crate) target: &'l [u8],
    /// Of HTTP.
    pub(crate) version: &'static str,
    /// 0: the exchange ended without a response.
    pub(crate) status: u16,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

/// One connection whose bytes went on as they are, told.
pub(crate) struct StreamLine<'l> {
    pub(crate) way: Way<'l>,
    /// Empty: it said none.
    pub(crate) server_name: &'l str,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
}

impl AccessLog {
    /// Starts the writer.
    ///
    /// # Errors
    /// When the file can't be opened for appending.
    pub(crate) fn start(target: &Target) -> io::Result<Self> {
        let mut sink: Box<dyn Sink> = match target {
            Target::Off => return Ok(Self(None)),
            Target::Stdout => Box::new(io::stdout()),
            Target::File(path) => Box::new(Rotated::open(path.clone())?),
        };
        let (sender, lines) = crossbeam_channel::bounded(limits::LOG_LINES);
        thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write(&lines, sink.as_mut()))?;
        Ok(Self(Some(sender)))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// False: dropped, for the writer is behind.
    pub(crate) fn send(&self, line: &Line<'_>) -> bool {
        self.send_json(|| line.json())
    }

    /// As [`Self::send`].
    pub(crate) fn send_stream(&self, line: &StreamLine<'_>) -> bool {
        self.send_json(|| line.json())
    }

    fn send_json(&self, json: impl FnOnce() -> Vec<u8>) -> bool {
        match &self.0 {
            Some(sender) => sender.try_send(json()).is_ok(),
            None => true,
        }
    }
}

/// Something to write lines to.
trait Sink: Send {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()>;
}

impl Sink for io::Stdout {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut locked = self.lock();
        locked.write_all(lines)?;
        locked.flush()
    }
}

/// A file that is followed by its name.
struct Rotated {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Rotated {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        Ok(Self {
            path,
            file: BufWriter::new(file),
        })
    }

    fn is_moved(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let here = self
            .file
            .get_ref()
            .metadata()
            .map(|meta| (meta.dev(), meta.ino()));
        let there = std::fs::metadata(&self.path).map(|meta| (meta.dev(), meta.ino()));
        match (here, there) {
            (Ok(here), Ok(there)) => here != there,
            _ => true,
        }
    }
}

impl Sink for Rotated {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.is_moved()
            && let Ok(next) = Self::open(self.path.clone())
        {
            *self = next;
        }
        self.file.write_all(lines)?;
        self.file.flush()
    }
}

/// Gathers what is there, then writes it in one go.
fn write(lines: &Receiver<Vec<u8>>, sink: &mut dyn Sink) {
    let mut is_failing = false;
    while let Ok(first) = lines.recv() {
        let mut batch = first;
        while batch.len() < 256 << 10
            && let Ok(line) = lines.try_recv()
        {
            batch.extend_from_slice(&line);
        }
        match sink.write_lines(&batch) {
            Ok(()) => is_failing = false,
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::error!(%error, "the access log can't be written");
            }
            Err(_) => {}
        }
    }
}

impl Line<'_> {
    /// Field names are OpenTelemetry's where it has one.
    fn json(&self) -> Vec<u8> {
        let text = String::from_utf8_lossy;
        self.way.line(json!({
            "method": text(self.method),
            "authority": text(self.authority),
            "target": text(self.target),
            "protocol": format!("HTTP/{}", self.version),
            "status": self.status,
            "request_body_bytes": self.request_bytes,
            "response_body_bytes": self.response_bytes,
        }))
    }
}

impl StreamLine<'_> {
    fn json(&self) -> Vec<u8> {
        self.way.line(json!({
            "server_name": self.server_name,
            "sent_bytes": self.sent_bytes,
            "received_bytes": self.received_bytes,
        }))
    }
}

impl Way<'_> {
    /// The line with these fields and its own.
    fn line(&self, mut fields: Value) -> Vec<u8> {
        let backend = self.backend.map(|one| &one.backend);
        let mut own = json!({
            "time_unix_ms": unix_ms(),
            "client": self.client.to_string(),
            "duration_ms": millis(self.took),
            "gateway": self.gateway,
            "listener": self.listener,
            "route_kind": self.route_kind,
            "route": self.route,
            "rule": self.rule,
            "backend": backend.map(|one| format!("{}:{}", one.service, one.port)),
            "endpoint": self.endpoint.map(|endpoint| endpoint.to_string()),
            "attempts": self.attempts,
            "error": self.error,
        });
        if let (Value::Object(own), Value::Object(fields)) = (&mut own, &mut fields) {
            own.append(fields);
        }
        let mut line = own.to_string().into_bytes();
        line.push(b'\n');
        line
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(0)
}

/// To the microsecond.
fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}
