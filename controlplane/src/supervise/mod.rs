//! Keeps processes alive: starts them, restarts them, passes signals on, waits for them.
//!
//! It knows nothing of what they do. A process is told to end with its supervisor by its standard
//! input, a pipe that closes when the supervisor dies, however it dies.

mod restarts;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::wake::at;
use restarts::{Ending, Restarts, Verdict};

/// A process to keep alive.
#[derive(Clone, Debug)]
pub struct Program {
    /// As people call it: "control plane".
    pub name: &'static str,
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
    pub environment: Vec<(&'static str, OsString)>,
    /// One that was told to end and hasn't after so long is killed.
    pub patience: Duration,
}

#[derive(Debug, Error)]
pub enum SuperviseError {
    #[error("can't start the {name} ({path}): {error}")]
    Start {
        name: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    #[error("the {name} ended with {status}; its message stands above")]
    Ended {
        name: &'static str,
        status: ExitStatus,
    },
    #[error("lost sight of the {name}: {error}")]
    Wait {
        name: &'static str,
        error: io::Error,
    },
    #[error("can't listen to signals: {error}")]
    Signals { error: io::Error },
}

impl SuperviseError {
    /// Whether the process said that its command line is wrong.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Ended { status, .. } if status.code() == Some(2))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Pass a signal on, which doesn't end the process.
    Signal(Signal),
    Stop(Signal),
    Kill,
}

/// Keeps all `programs` alive until SIGTERM or SIGINT, which is passed on and waited for; a second
/// one kills them. SIGHUP is passed on. One that can't be kept alive stops the others.
///
/// # Errors
/// When a program can't be started, or refuses its work at its first start.
pub async fn supervise(programs: Vec<Program>) -> Result<(), SuperviseError> {
    let mut signals = Signals::listen()?;
    let mut keepers = JoinSet::new();
    let mut orders = Vec::new();
    for program in programs {
        let (sender, receiver) = mpsc::unbounded_channel();
        orders.push(sender);
        keepers.spawn(keep(program, receiver));
    }
    let tell = |order| {
        for keeper in &orders {
            // One that has ended needs no orders.
            let _ = keeper.send(order);
        }
    };
    let mut stopping = false;
    let mut outcome = Ok(());
    loop {
        tokio::select! {
            signal = signals.next() => {
                let order = match signal {
                    Signal::HUP => Order::Signal(signal),
                    _ if stopping => Order::Kill,
                    _ => Order::Stop(signal),
                };
                stopping |= order != Order::Signal(signal);
                tell(order);
            }
            ended = keepers.join_next() => match ended {
                None => return outcome,
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => {
                    stopping = true;
                    tell(Order::Stop(Signal::TERM));
                    outcome = outcome.and(Err(error));
                }
                Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
            },
        }
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self, SuperviseError> {
        let listen = |kind| signal(kind).map_err(|error| SuperviseError::Signals { error });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.hang_up.recv() => Signal::HUP,
        }
    }
}

/// One program's life: until it was told to stop, or can't be kept alive.
async fn keep(
    program: Program,
    mut orders: mpsc::UnboundedReceiver<Order>,
) -> Result<(), SuperviseError> {
    let name = program.name;
    let mut restarts = Restarts::default();
    loop {
        let mut child = program.start()?;
        let started = Instant::now();
        let (status, stopped) = attend(&program, &mut child, &mut orders).await?;
        if stopped {
            info!("the {name} ended with {status}");
            return Ok(());
        }
        match restarts.after(ending(status), started.elapsed()) {
            Verdict::GiveUp => return Err(SuperviseError::Ended { name, status }),
            Verdict::RestartAfter(pause) => {
                warn!(?pause, "the {name} ended with {status}, starting it again");
                if stopped_within(pause, &mut orders).await {
                    return Ok(());
                }
            }
        }
    }
}

impl Program {
    fn start(&self) -> Result<Child, SuperviseError> {
        Command::new(&self.path)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            // A terminal sends Ctrl-C to the whole group: the supervisor alone shall decide who gets it.
            .process_group(0)
            .spawn()
            .map_err(|error| SuperviseError::Start {
                name: self.name,
                path: self.path.clone(),
                error,
            })
    }
}

/// Waits for the end of `child`, obeying orders meanwhile. Tells also whether it was to stop.
async fn attend(
    program: &Program,
    child: &mut Child,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> Result<(ExitStatus, bool), SuperviseError> {
    // `wait` closes the standard input of a child that still has it, and that means: end.
    let _lifeline = child.stdin.take();
    let name = program.name;
    let mut deadline = None;
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(|error| SuperviseError::Wait { name, error })?;
                return Ok((status, deadline.is_some()));
            }
            Some(order) = orders.recv() => {
                if !matches!(order, Order::Signal(_)) {
                    deadline.get_or_insert_with(|| Instant::now() + program.patience);
                }
                obey(child, order);
            }
            () = at(deadline) => {
                warn!("the {name} hasn't ended in {:?}, it is killed", program.patience);
                obey(child, Order::Kill);
                deadline = Some(Instant::now() + program.patience);
            }
        }
    }
}

fn obey(child: &mut Child, order: Order) {
    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    // An error means that it ended just now, which `wait` will tell.
    let _ = match (order, pid) {
        (Order::Kill, _) => child.start_kill(),
        (Order::Signal(signal) | Order::Stop(signal), Some(pid)) => {
            kill_process(pid, signal).map_err(io::Error::from)
        }
        (_, None) => Ok(()),
    };
}

async fn stopped_within(pause: Duration, orders: &mut mpsc::UnboundedReceiver<Order>) -> bool {
    let stop = async {
        while let Some(order) = orders.recv().await {
            if !matches!(order, Order::Signal(_)) {
                return;
            }
        }
    };
    tokio::time::timeout(pause, stop).await.is_ok()
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Code(code),
        (None, signal) => Ending::Signal(signal.unwrap_or_default()),
    }
}
