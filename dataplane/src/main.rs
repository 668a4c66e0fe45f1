//! `ringgate-dataplane`: the data plane alone. `ringgate run` starts it, and a control plane beside it.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use ringgate_dataplane::{Choice, Settings, Target, serve};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Carries the traffic that a Ringgate control plane describes.
#[derive(Debug, Parser)]
#[command(name = "ringgate-dataplane", version)]
struct Arguments {
    /// Unix socket of the control plane; may appear later.
    #[arg(long, env = "RINGGATE_SOCKET", value_name = "PATH")]
    socket: PathBuf,
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
    /// Drain when standard input ends, as a supervisor wants it.
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
    /// What to log to standard error: error, warn, info, debug, trace, or per module.
    #[arg(long, env = "RINGGATE_LOG_LEVEL", default_value = "info")]
    log_level: EnvFilter,
    /// How log lines look: text or json.
    #[arg(long, env = "RINGGATE_LOG_FORMAT", default_value = "text")]
    log_format: Format,
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
        socket: arguments.socket,
        state_dir: arguments.state_dir,
        admin: arguments.admin,
        workers: arguments.workers.map(usize::from),
        driver: arguments.driver,
        access_log: arguments.access_log,
        drain_grace: arguments.drain_grace,
        exit_with_stdin: arguments.exit_with_stdin,
    })
    .context("the data plane can't run")
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
