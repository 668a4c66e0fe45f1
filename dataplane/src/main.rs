//! `ringgate-dataplane`: the data plane alone. `ringgate run` starts it, and a control plane beside it.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use ringgate_dataplane::{Choice, ControlPlane, Own, Settings, Target, Whereabouts, serve};
use ringgate_identity::host_port::HostPort;
use ringgate_identity::pem::PairFiles;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Carries the traffic that a Ringgate control plane describes.
#[derive(Debug, Parser)]
#[command(name = "ringgate-dataplane", version)]
struct Arguments {
    #[command(flatten)]
    way: Way,
    /// Folder where the last good snapshot is kept, to boot from without a control plane.
    #[arg(long, env = "RINGGATE_STATE_DIR", value_name = "PATH")]
    state_dir: PathBuf,
    /// Address of /livez, /readyz, /metrics and /config; port 0 is any free one.
    #[arg(long, env = "RINGGATE_ADMIN", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
    /// Shards, each a thread on a core of its own [default: our share of the machine's cores].
    #[arg(long, env = "RINGGATE_WORKERS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Which interface to the kernel to use.
    #[arg(long, env = "RINGGATE_DRIVER", value_enum, default_value_t)]
    driver: Choice,
    /// Where access log lines go: off, stdout, or a file's path.
    #[arg(
        long,
        env = "RINGGATE_ACCESS_LOG",
        default_value = "off",
        value_name = "off|stdout|PATH"
    )]
    access_log: Target,
    /// How long clients may finish after the first SIGTERM.
    #[arg(long, env = "RINGGATE_DRAIN_GRACE", default_value = "30s", value_parser = duration)]
    drain_grace: Duration,
    /// The node that this is, as EndpointSlices name it: for Services whose traffic stays on a node, or near.
    #[arg(long, env = "RINGGATE_NODE", value_name = "NAME")]
    node: Option<String>,
    /// The zone that this is in, as EndpointSlices name it: for Services whose traffic stays in a zone.
    #[arg(long, env = "RINGGATE_ZONE", value_name = "NAME")]
    zone: Option<String>,
    /// Addresses of listeners are announced by agents that hand them on: when this process ends, it refuses no connection there until
    /// they are another node's.
    #[arg(long, env = "RINGGATE_ANNOUNCED")]
    announced: bool,
    /// Drain when standard input ends, as a supervisor wants it.
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
    /// What to log to standard error: error, warn, info, debug, trace, or per module.
    #[arg(long, env = "RINGGATE_LOG_LEVEL", default_value = "info", value_parser = levels)]
    log_level: EnvFilter,
    /// How log lines look: text or json.
    #[arg(long, env = "RINGGATE_LOG_FORMAT", default_value = "text")]
    log_format: Format,
}

/// Where the control plane is.
#[derive(Debug, clap::Args)]
#[group(id = "way", required = true, multiple = false, args = ["socket", "control_plane"])]
struct Way {
    /// Unix socket of the control plane, on this machine; may appear later.
    #[arg(long, env = "RINGGATE_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// A control plane on another machine: whichever of them leads is found (repeatable).
    #[arg(
        long,
        env = "RINGGATE_CONTROL_PLANE",
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    control_plane: Vec<HostPort>,
    #[command(flatten)]
    tls: Tls,
}

/// What is shown to a control plane on another machine, and whom it has to be by.
#[derive(Debug, clap::Args)]
struct Tls {
    /// Certificates in PEM of the authorities whose certificate the control plane has to show.
    #[arg(long, env = "RINGGATE_TLS_AUTHORITY", value_name = "FILE")]
    tls_authority: Option<PathBuf>,
    /// This data plane's certificate in PEM, with those between it and the authority; read again for
    /// each connection.
    #[arg(long, env = "RINGGATE_TLS_CERTIFICATE", value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// Its private key in PEM.
    #[arg(long, env = "RINGGATE_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// In place of a certificate: a ServiceAccount token for the audience `ringgate.io`, for which the
    /// control plane issues one.
    #[arg(
        long,
        env = "RINGGATE_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with_all = ["tls_certificate", "tls_key"]
    )]
    token_file: Option<PathBuf>,
}

impl Way {
    fn to_control_plane(&self) -> anyhow::Result<ControlPlane> {
        if let Some(socket) = &self.socket {
            return Ok(ControlPlane::Socket(socket.clone()));
        }
        let (Some(authority), Some(own)) = (self.tls.tls_authority.clone(), self.tls.own()) else {
            bail!(
                "a control plane on another machine is spoken to over mutual TLS: give --tls-authority, and --tls-certificate with --tls-key or --token-file"
            );
        };
        Ok(ControlPlane::Remote {
            addresses: self.control_plane.clone(),
            authority,
            own,
        })
    }
}

impl Tls {
    fn own(&self) -> Option<Own> {
        match (&self.tls_certificate, &self.tls_key, &self.token_file) {
            (Some(certificate), Some(key), None) => Some(Own::Files(PairFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            })),
            (None, None, Some(path)) => Some(Own::Token(path.clone())),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(&arguments);
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(arguments: &Arguments) {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(arguments.log_level.clone())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match arguments.log_format {
        Format::Text => subscriber.with_target(false).init(),
        Format::Json => subscriber.json().init(),
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    serve(Settings {
        control_plane: arguments.way.to_control_plane()?,
        state_dir: arguments.state_dir,
        admin: arguments.admin,
        workers: arguments.workers.map(usize::from),
        driver: arguments.driver,
        access_log: arguments.access_log,
        drain_grace: arguments.drain_grace,
        whereabouts: Whereabouts {
            node: named(arguments.node),
            zone: named(arguments.zone),
        },
        announced: arguments.announced,
        exit_with_stdin: arguments.exit_with_stdin,
    })
    .context("the data plane can't run")
}

/// An empty variable of the environment names nothing: so it is where a Pod has no such label.
fn named(text: Option<String>) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty()).map(Arc::from)
}

/// The HTTP/2 library, by which backends are asked for their health, tells of their mistakes, which are not the
/// operator's business; where they fail a check, we tell.
fn levels(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("h2=error,{text}"))
}

/// `1h30m`, `10s`, `500ms`: a Gateway API duration (GEP-2257).
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write it like 30s, 1m30s or 500ms");
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|one: char| !one.is_ascii_digit())
            .ok_or_else(wrong)?;
        let (number, behind) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let end = behind
            .find(|one: char| one.is_ascii_digit())
            .unwrap_or(behind.len());
        let (unit, next) = behind.split_at(end);
        total += match unit {
            "h" => Duration::from_secs(number.saturating_mul(3600)),
            "m" => Duration::from_secs(number.saturating_mul(60)),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return Err(wrong()),
        };
        rest = next;
    }
    if text.is_empty() {
        Err(wrong())
    } else {
        Ok(total)
    }
}
