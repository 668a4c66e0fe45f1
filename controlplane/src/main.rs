//! The `ringgate` command: each verb in a few lines, with its exit code. What verbs do lies in the
//! library.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use ringgate_controlplane::admin::client;
use ringgate_controlplane::announce;
use ringgate_controlplane::cli::places::{Surroundings, make_private};
use ringgate_controlplane::cli::remote::CertificatesMissing;
use ringgate_controlplane::cli::run::{self, Places};
use ringgate_controlplane::cli::{
    self, AnnounceArgs, Cli, ConfigVerb, ControlPlaneVerb, DataPlaneVerb, LogArgs, LogFormat,
    OriginMissing, Output, OwnersArgs, RunArgs, StatusArgs, ValidateArgs, Verb,
};
use ringgate_controlplane::origin::Origin;
use ringgate_controlplane::serve::{Config, ControlPlane};
use ringgate_controlplane::status::report::Report;
use ringgate_controlplane::supervise::{SuperviseError, supervise};
use ringgate_controlplane::translate::Options;
use ringgate_controlplane::watch::kube::{Cluster, connect};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Objects come and go with every change: jemalloc gives memory back that others keep.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Something was found that isn't fine, or the work failed.
const NOT_FINE: u8 = 1;
/// The command line is wrong.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match act(cli) {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(io::stderr(), "ringgate: {error:#}");
            let code = if error.is::<OriginMissing>() || error.is::<CertificatesMissing>() {
                USAGE
            } else {
                NOT_FINE
            };
            ExitCode::from(code)
        }
    }
}

fn act(cli: Cli) -> Result<ExitCode> {
    match cli.verb {
        Verb::Run(args) => {
            start_log(&cli.log)?;
            on_runtime(run_all(*args, &cli.log))
        }
        Verb::Controlplane(args) => {
            start_log(&cli.log)?;
            on_runtime(control_plane(*args))
        }
        Verb::Announce(args) => {
            start_log(&cli.log)?;
            on_runtime(announce(args))
        }
        Verb::Owners(args) => on_runtime(owners(args)),
        Verb::Dataplane(args) => data_plane(args),
        Verb::Validate(args) => validate(&args),
        Verb::Status(args) => on_runtime(status(args)),
        Verb::Config(ConfigVerb::Dump { admin }) => on_runtime(async move {
            print(&client::get(admin, "/config").await?)?;
            Ok(ExitCode::SUCCESS)
        }),
        Verb::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "ringgate", &mut io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Verb::Version => {
            print(concat!("ringgate ", env!("CARGO_PKG_VERSION"), "\n").as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// One thread is enough for the control plane of one machine; files are read on one of their own.
fn on_runtime(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?
        .block_on(work)
}

fn start_log(log: &LogArgs) -> Result<()> {
    // The client of the API server tells its errors to us, who log them once.
    let levels = format!("kube_client=off,kube_runtime=off,{}", log.log_level);
    let filter = EnvFilter::try_new(levels)
        .with_context(|| format!("--log-level {:?} is no level and no filter", log.log_level))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match log.log_format {
        LogFormat::Json => lines.json().init(),
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
    }
    Ok(())
}

fn print(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .context("can't write to standard output")
}

async fn run_all(args: RunArgs, log: &LogArgs) -> Result<ExitCode> {
    args.control.origin()?;
    args.control.remote.config()?;
    run::look_for_others(&args)?;
    let places = Places::prepare(&args, &Surroundings::of_this_process())?;
    let ours = std::env::current_exe().context("can't tell where this program lies")?;
    let programs = run::programs(&args, log, &places, &ours);
    let admin = args.control.controller.admin;
    let what = run::what_is_served(&args.control);
    let greeting = tokio::spawn(async move {
        if let Some(text) = run::greeting(&what, admin).await {
            let _ = print(format!("{text}\n").as_bytes());
        }
    });
    let outcome = supervise(programs).await;
    greeting.abort();
    exit_code_of(outcome)
}

fn exit_code_of(outcome: Result<(), SuperviseError>) -> Result<ExitCode> {
    match outcome {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.is_usage() => Ok(ExitCode::from(USAGE)),
        Err(error) => Err(error.into()),
    }
}

async fn control_plane(verb: ControlPlaneVerb) -> Result<ExitCode> {
    let args = verb.control;
    let origin = args.origin()?;
    let cluster = matches!(origin, Origin::Cluster(_));
    let provision = args.provision();
    let tickets = args.tickets();
    let remote = args.remote.config()?;
    let socket = match args.socket {
        None if remote.is_some() => None,
        given => Some(socket_of(given)?),
    };
    let surroundings = Surroundings::of_this_process();
    let state_dir = args
        .dir
        .as_deref()
        .and_then(|dir| run::state_of(verb.state_dir, dir, &surroundings));
    let config = Config {
        socket,
        remote,
        origin,
        state_dir,
        lease: args.lease,
        tickets,
        options: Options {
            classes: args
                .gateway_classes
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            echo: args.echo,
            cluster,
            provision,
        },
        admin: args.controller.admin,
    };
    let stop = stop(verb.lifeline.exit_with_stdin)?;
    ControlPlane::bind(config).await?.run(stop).await?;
    Ok(ExitCode::SUCCESS)
}

async fn announce(args: AnnounceArgs) -> Result<ExitCode> {
    let config = announce::Config {
        asked: args.asked(),
        admin: args.sharing.announcer.admin,
        sharing: args.sharing.config(),
        while_ready: args.sharing.while_ready,
        interface: args.interface,
    };
    announce::announce(config, stop(args.lifeline.exit_with_stdin)?).await?;
    Ok(ExitCode::SUCCESS)
}

fn socket_of(given: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(socket) = given {
        return Ok(socket);
    }
    let surroundings = Surroundings::of_this_process();
    let folder = surroundings.runtime();
    make_private(&folder, &surroundings)?;
    Ok(folder.join(run::SOCKET))
}

/// Resolves when the process shall end. SIGHUP is taken and does nothing: files are watched.
fn stop(with_stdin: bool) -> Result<impl Future<Output = ()>> {
    let listen = |kind| signal(kind).context("can't listen to signals");
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    let lifeline = with_stdin.then(watch_stdin);
    Ok(async move {
        let closed = async {
            match lifeline {
                Some(closed) => drop(closed.await),
                None => std::future::pending().await,
            }
        };
        let ignore_hang_ups = async { while hang_up.recv().await.is_some() {} };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = closed => {}
            () = ignore_hang_ups => {}
        }
    })
}

/// Resolves when standard input closes. On a thread of its own, for a read that never ends would
/// keep the runtime from ending.
fn watch_stdin() -> tokio::sync::oneshot::Receiver<()> {
    let (closed, closing) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = closed.send(());
    });
    closing
}

/// Becomes `ringgate-dataplane`, which lies beside this program.
fn data_plane(verb: DataPlaneVerb) -> Result<ExitCode> {
    let ours = std::env::current_exe().context("can't tell where this program lies")?;
    let path = ours.with_file_name(run::DATA_PLANE);
    let error = Command::new(&path).args(verb.arguments).exec();
    Err(error).with_context(|| format!("can't start {}", path.display()))
}

fn validate(args: &ValidateArgs) -> Result<ExitCode> {
    let problems = cli::validate::problems(
        &args.paths,
        &args.gateway_classes,
        args.load_balancer.provision(),
    );
    print(cli::validate::text(&problems).as_bytes())?;
    Ok(code_of(cli::validate::is_passed(&problems)))
}

async fn status(args: StatusArgs) -> Result<ExitCode> {
    let report = match &args.kubeconfig {
        Some(path) => {
            let client = connect(&Cluster::Kubeconfig(path.clone())).await?;
            ringgate_controlplane::status::cluster::report(&client).await?
        }
        None => ask(args.controller.admin).await?,
    };
    match args.output {
        Output::Table => print(cli::status::table(&report).as_bytes())?,
        Output::Json => print(format!("{}\n", serde_json::to_string_pretty(&report)?).as_bytes())?,
        Output::Yaml => print(serde_saphyr::to_string(&report)?.as_bytes())?,
    }
    Ok(code_of(report.is_fine()))
}

async fn owners(args: OwnersArgs) -> Result<ExitCode> {
    let body = client::get(args.announcer.admin, "/owners")
        .await
        .context("can't ask the announcer (is it running? is --announce-admin right?)")?;
    let owners: announce::Owners =
        serde_json::from_slice(&body).context("the announcer's answer isn't of this version")?;
    match args.output {
        Output::Table => print(announce::table(&owners).as_bytes())?,
        Output::Json => print(format!("{}\n", serde_json::to_string_pretty(&owners)?).as_bytes())?,
        Output::Yaml => print(serde_saphyr::to_string(&owners)?.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(admin: SocketAddr) -> Result<Report> {
    let body = client::get(admin, "/status")
        .await
        .context("can't ask the control plane (is it running? is --controller-admin right?)")?;
    serde_json::from_slice(&body).context("the control plane's answer isn't of this version")
}

fn code_of(is_fine: bool) -> ExitCode {
    if is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_FINE)
    }
}
