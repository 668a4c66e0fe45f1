//! `ringgate run`: which processes are started with which arguments, and the first lines that tell
//! the user what is served.

use std::ffi::OsString;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thiserror::Error;
use tracing::warn;

use super::places::{PlaceError, Surroundings, make_private, private_name};
use super::{ControlPlaneArgs, LogArgs, LogFormat, RunArgs};
use crate::admin::client;
use crate::status::report::{Report, ServiceStatus};
use crate::supervise::Program;

/// The file name of the data plane's program; it lies beside ours.
pub const DATA_PLANE: &str = "ringgate-dataplane";
/// The socket's name in its folder.
pub const SOCKET: &str = "control.sock";
/// Ends a process when its standard input closes, which happens when its supervisor dies.
const LIFELINE: &str = "--exit-with-stdin";

/// Where a control plane of files alone remembers what it gave; none: where nobody else may write there is no place.
#[must_use]
pub fn state_of(
    given: Option<PathBuf>,
    dir: &Path,
    surroundings: &Surroundings,
) -> Option<PathBuf> {
    if given.is_some() {
        return given;
    }
    let folder = surroundings.state().join(private_name(dir).ok()?);
    match make_private(&folder, surroundings) {
        Ok(()) => Some(folder),
        Err(error) => {
            warn!(
                "addresses that are given aren't remembered, after a restart they may be others: {error}"
            );
            None
        }
    }
}

/// Where `run` keeps what its two processes share.
#[derive(Debug)]
pub struct Places {
    pub socket: PathBuf,
    pub state_dir: PathBuf,
}

impl Places {
    /// As the command line says, else private to DIR or the kubeconfig; the folders are made.
    ///
    /// # Errors
    /// When DIR or the kubeconfig isn't there, or a folder can't be made.
    pub fn prepare(run: &RunArgs, surroundings: &Surroundings) -> Result<Self, PlaceError> {
        let own = match (&run.control.dir, &run.control.kubeconfig) {
            (Some(path), _) | (None, Some(path)) => private_name(path)?,
            (None, None) => "run-pod".to_owned(),
        };
        let socket = match &run.control.socket {
            Some(socket) => socket.clone(),
            None => {
                let folder = surroundings.runtime().join(&own);
                make_private(&folder, surroundings)?;
                folder.join(SOCKET)
            }
        };
        let state_dir = match &run.data.state_dir {
            Some(dir) => dir.clone(),
            None => surroundings.state().join(&own),
        };
        make_private(&state_dir, surroundings)?;
        Ok(Self { socket, state_dir })
    }
}

/// Beyond the time that a process itself takes to end.
const SLACK: Duration = Duration::from_secs(5);

/// Both processes, and with an interface the third; `ours` is the path of this program.
#[must_use]
pub fn programs(run: &RunArgs, log: &LogArgs, places: &Places, ours: &Path) -> Vec<Program> {
    let environment = log_environment(log);
    let mut control: Vec<OsString> = vec!["controlplane".into(), LIFELINE.into()];
    if run.control.dir.is_some() {
        control.extend(["--state-dir".into(), places.state_dir.clone().into()]);
    }
    control.extend(run.control.to_arguments(&places.socket));
    let mut data: Vec<OsString> = vec![LIFELINE.into()];
    data.extend(run.data.to_arguments(&places.socket, &places.state_dir));
    if run.interface.is_some() && run.sharing.has_others() {
        data.push("--announced".into());
    }
    let announce = run.interface.as_ref().map(|interface| Program {
        name: "announcer",
        path: ours.to_owned(),
        arguments: announce_arguments(run, interface),
        environment: environment.clone(),
        patience: SLACK,
    });
    let mut programs = vec![
        Program {
            name: "control plane",
            path: ours.to_owned(),
            arguments: control,
            environment: environment.clone(),
            patience: SLACK,
        },
        Program {
            name: "data plane",
            path: ours.with_file_name(DATA_PLANE),
            arguments: data,
            environment,
            patience: run.data.drain_grace + SLACK,
        },
    ];
    programs.extend(announce);
    programs
}

fn announce_arguments(run: &RunArgs, interface: &str) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![
        "announce".into(),
        LIFELINE.into(),
        "--interface".into(),
        interface.into(),
    ];
    let asked = match run.sharing.has_others() {
        true => ("--admin", run.data.admin),
        false => ("--controller-admin", run.control.controller.admin),
    };
    arguments.extend([asked.0.into(), asked.1.to_string().into()]);
    arguments.extend(run.sharing.to_arguments());
    arguments
}

/// Both processes log as this one does.
fn log_environment(log: &LogArgs) -> Vec<(&'static str, OsString)> {
    let format = match log.log_format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    vec![
        ("RINGGATE_LOG_LEVEL", log.log_level.clone().into()),
        ("RINGGATE_LOG_FORMAT", format.into()),
    ]
}

/// As the greeting names it.
#[must_use]
pub fn what_is_served(control: &ControlPlaneArgs) -> String {
    match (&control.dir, &control.kubeconfig) {
        (Some(dir), _) => dir.display().to_string(),
        (None, Some(path)) => format!("the cluster of {}", path.display()),
        (None, None) => "the cluster of this Pod".to_owned(),
    }
}

/// Who listens where one of our processes shall.
#[derive(Debug, Error)]
#[error(
    "can't listen on {address} for {flag}: {error}; give another address by {flag}, or stop who uses it"
)]
pub struct AddressTaken {
    flag: &'static str,
    address: SocketAddr,
    error: io::Error,
}

/// Looks whether our processes can have their admin addresses: of another's process we would tell what
/// that one serves.
///
/// # Errors
/// When they can't.
pub fn look_for_others(run: &RunArgs) -> Result<(), AddressTaken> {
    let announcer = run.sharing.announcer.admin;
    let announcer = run
        .interface
        .as_ref()
        .map(|_| ("--announce-admin", announcer));
    let addresses = [
        ("--controller-admin", run.control.controller.admin),
        ("--admin", run.data.admin),
    ];
    for (flag, address) in addresses.into_iter().chain(announcer) {
        TcpListener::bind(address).map_err(|error| AddressTaken {
            flag,
            address,
            error,
        })?;
    }
    Ok(())
}

/// How often it is asked whether all is ready, and for how long.
const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a data plane has put a version in force; then tells what is served. `None` when that
/// doesn't come to pass: the processes' own logs say why.
pub async fn greeting(what: &str, admin: SocketAddr) -> Option<String> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(report) = ready_report(admin).await {
            return Some(greet(what, admin, &report));
        }
        tokio::time::sleep(POLL).await;
    }
    None
}

async fn ready_report(admin: SocketAddr) -> Option<Report> {
    let body = client::get(admin, "/status").await.ok()?;
    let report: Report = serde_json::from_slice(&body).ok()?;
    let mut planes = report.data_planes.iter();
    let is_ready = report.version.is_some() && planes.any(|plane| plane.version == report.version);
    is_ready.then_some(report)
}

fn greet(what: &str, admin: SocketAddr, report: &Report) -> String {
    let mut lines = vec![format!("Ringgate serves {what}:")];
    for gateway in &report.gateways {
        for listener in &gateway.listeners {
            let programmed = listener.conditions.iter();
            let mut programmed = programmed.filter(|one| one.condition_type == "Programmed");
            if !programmed.any(|one| one.is_fine()) {
                continue;
            }
            let addresses = match gateway.addresses.as_slice() {
                [] => vec!["localhost".to_owned()],
                some => some.iter().map(|one| bracketed(one)).collect(),
            };
            for address in addresses {
                let hosts = match listener.hostname.as_str() {
                    "*" => String::new(),
                    hostname => format!(" for {hostname}"),
                };
                let scheme = match listener.protocol.as_str() {
                    "HTTPS" => "https",
                    // What is in it is between client and backend.
                    "TLS" => "tls",
                    _ => "http",
                };
                lines.push(format!(
                    "  {scheme}://{address}:{}{hosts}, listener {} of Gateway {}/{}, routes: {}",
                    listener.port,
                    listener.name,
                    gateway.namespace,
                    gateway.name,
                    listener.attached_routes
                ));
            }
        }
    }
    lines.extend(report.services.iter().flat_map(greet_service));
    if lines.len() == 1 {
        lines = vec![format!("Ringgate found no listener to serve in {what}")];
    }
    if !report.is_fine() {
        let command = "ringgate status --controller-admin";
        lines.push(format!("Not all is fine: `{command} {admin}` tells what"));
    }
    lines.join("\n")
}

fn greet_service(service: &ServiceStatus) -> Vec<String> {
    let addresses = match service.addresses.as_deref() {
        None => Vec::new(),
        Some([]) => vec!["localhost".to_owned()],
        Some(some) => some.iter().map(|one| bracketed(one)).collect(),
    };
    let lines = addresses.iter().flat_map(|address| {
        let ports = service.ports.iter();
        ports.filter_map(move |port| {
            let (port, protocol) = port.split_once('/')?;
            let scheme = protocol.to_ascii_lowercase();
            let ServiceStatus {
                namespace, name, ..
            } = service;
            Some(format!(
                "  {scheme}://{address}:{port}, Service {namespace}/{name}"
            ))
        })
    });
    lines.collect()
}

fn bracketed(address: &str) -> String {
    if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser;

    #[test]
    fn two_folders_have_two_sockets_and_one_folder_keeps_its_state() {
        let temp = tempfile::tempdir().unwrap();
        let mut surroundings = Surroundings::of_this_process();
        surroundings.runtime_dir = Some(temp.path().join("run"));
        surroundings.state_dir = Some(temp.path().join("state"));
        let places = |name: &str| {
            let dir = temp.path().join(name);
            std::fs::create_dir_all(&dir).unwrap();
            let cli = Cli::try_parse_from(["ringgate".as_ref(), "run".as_ref(), dir.as_os_str()]);
            let Verb::Run(run) = cli.unwrap().verb else {
                panic!("not run");
            };
            Places::prepare(&run, &surroundings).unwrap()
        };
        let (one, two, again) = (places("one"), places("two"), places("one"));
        assert_ne!(one.socket, two.socket);
        assert_ne!(one.state_dir, two.state_dir);
        assert_eq!(one.state_dir, again.state_dir);
        assert!(one.state_dir.is_dir() && one.socket.parent().unwrap().is_dir());
    }

    #[test]
    fn an_admin_address_of_another_process_is_refused_by_its_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().unwrap().to_string();
        for (flag, other) in [
            ("--controller-admin", "--admin"),
            ("--admin", "--controller-admin"),
        ] {
            let line = [
                "ringgate",
                "run",
                "site",
                flag,
                &taken,
                other,
                "127.0.0.1:0",
            ];
            let Verb::Run(run) = Cli::try_parse_from(line).unwrap().verb else {
                panic!("not run");
            };
            let error = look_for_others(&run).unwrap_err();
            assert_eq!(
                (error.flag, error.address.to_string()),
                (flag, taken.clone())
            );
        }
    }

    #[test]
    fn both_processes_are_told_to_end_with_this_one() {
        let line = ["ringgate", "run", "site", "--log-level", "debug"];
        let cli = Cli::try_parse_from(line).unwrap();
        let Verb::Run(run) = cli.verb else {
            panic!("not run");
        };
        let places = Places {
            socket: "/s".into(),
            state_dir: "/d".into(),
        };
        let programs = programs(&run, &cli.log, &places, Path::new("/bin/ringgate"));
        assert_eq!(programs[0].path, Path::new("/bin/ringgate"));
        assert_eq!(programs[0].arguments[..2], ["controlplane", LIFELINE]);
        assert_eq!(programs[1].path, Path::new("/bin/ringgate-dataplane"));
        assert_eq!(programs[1].arguments[0], LIFELINE);
        for program in programs {
            let level = ("RINGGATE_LOG_LEVEL", OsString::from("debug"));
            assert!(program.environment.contains(&level));
        }
    }
}
