//! The command line of `ringgate`: verbs, flags and their defaults. What a verb does lies elsewhere.

pub mod announce;
pub mod load_balancer;
pub mod places;
pub mod remote;
pub mod run;
pub mod status;
pub mod validate;

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use thiserror::Error;

use self::announce::SharingArgs;
pub use self::announce::{AnnounceArgs, OwnersArgs};
use self::load_balancer::LoadBalancerArgs;
use self::remote::RemoteArgs;
use crate::api::CONTROLLER_NAME;
use crate::issue::NamespacedName;
use crate::lead::LeaseName;
use crate::origin::Origin;
use crate::provision::Settings;
use crate::tickets::TicketSource;
use crate::watch::kube::Cluster;

/// Everything that `ringgate` takes.
#[derive(Debug, Parser)]
#[command(
    name = "ringgate",
    version,
    about = "An edge gateway: Kubernetes Gateway API, from a cluster or a folder of YAML",
    after_help = EXIT_CODES,
    propagate_version = false
)]
pub struct Cli {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub verb: Verb,
}

const EXIT_CODES: &str = "Exit codes:
  0  fine
  1  something is not fine: a problem was found (validate, status), or the work failed
  2  the command line is wrong";

#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// What is logged to standard error: error, warn, info, debug, trace, or a filter such as
    /// `info,ringgate_controlplane::push=debug`
    #[arg(
        long,
        global = true,
        env = "RINGGATE_LOG_LEVEL",
        default_value = "info"
    )]
    pub log_level: String,
    /// How log lines look
    #[arg(
        long,
        global = true,
        env = "RINGGATE_LOG_FORMAT",
        default_value = "text"
    )]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve what DIR or a cluster says: starts a control plane and a data plane, and keeps them alive
    Run(Box<RunArgs>),
    /// Only the control plane: watches DIR or a cluster and tells data planes what shall be in force
    Controlplane(Box<ControlPlaneVerb>),
    /// Only put Gateways' addresses on a network interface, with the capabilities NET_ADMIN and NET_RAW
    Announce(AnnounceArgs),
    /// Which node has which of the addresses that are announced
    Owners(OwnersArgs),
    /// Only a data plane: carries the traffic (flags: `ringgate dataplane --help`)
    #[command(disable_help_flag = true)]
    Dataplane(DataPlaneVerb),
    /// Print everything that is wrong in files; exit code 1 if there is an error
    Validate(ValidateArgs),
    /// What is in force, and what is not fine; exit code 1 if something is not fine
    Status(StatusArgs),
    /// The configuration in force
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Print a completion script for SHELL
    Completions { shell: clap_complete::Shell },
    /// Print the version
    Version,
}

#[derive(Clone, Debug, Args)]
// What is shared is what is put there: without an interface it would be ignored in silence.
#[command(
    mut_arg("gossip_key", |key| key.requires("interface")),
    mut_arg("while_ready", |flag| flag.requires("interface"))
)]
pub struct RunArgs {
    #[command(flatten)]
    pub control: ControlPlaneArgs,
    #[command(flatten)]
    pub data: DataPlaneArgs,
    /// Put Gateways' addresses on this network interface, where they aren't local already
    #[arg(long, value_name = "IF", env = "RINGGATE_INTERFACE")]
    pub interface: Option<String>,
    #[command(flatten)]
    pub sharing: SharingArgs,
}

#[derive(Clone, Debug, Args)]
pub struct ControlPlaneVerb {
    #[command(flatten)]
    pub control: ControlPlaneArgs,
    /// Where it remembers which addresses it gave to objects of DIR [default: $RINGGATE_STATE_DIR, else as that of
    /// `run DIR`]
    #[arg(long, value_name = "PATH", env = "RINGGATE_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub lifeline: Lifeline,
}

/// What steers a control plane.
#[derive(Clone, Debug, Args)]
pub struct ControlPlaneArgs {
    /// A folder (with its sub-folders) of Kubernetes YAML, or one file. Without it a cluster is
    /// watched: the one of --kubeconfig, else the one whose Pod this runs in
    #[arg(conflicts_with = "kubeconfig")]
    pub dir: Option<PathBuf>,
    /// Watch the cluster that this kubeconfig names (its current context), and write statuses there
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The Lease that says who leads, where several control planes watch one cluster [default:
    /// `ringgate` in the namespace of the kubeconfig's context or of the Pod]
    #[arg(long, value_name = "NAMESPACE/NAME", env = "RINGGATE_LEASE", value_parser = lease_name)]
    pub lease: Option<LeaseName>,
    /// Serve Gateways of this class too, whether or not DIR has the GatewayClass (repeatable); in a
    /// cluster the GatewayClass itself must name the controller `ringgate.io/gateway-controller`
    #[arg(
        long = "gateway-class",
        value_name = "NAME",
        env = "RINGGATE_GATEWAY_CLASS",
        value_delimiter = ',',
        conflicts_with = "kubeconfig"
    )]
    pub gateway_classes: Vec<String>,
    #[command(flatten)]
    pub load_balancer: LoadBalancerArgs,
    /// Where the load balancer of a cloud reaches the data planes (repeatable)
    #[arg(
        long = "data-plane-address",
        value_name = "IP",
        env = "RINGGATE_DATA_PLANE_ADDRESS",
        value_delimiter = ',',
        conflicts_with = "dir"
    )]
    pub data_plane_addresses: Vec<IpAddr>,
    /// Answer for Services without endpoints with a built-in echo backend
    #[arg(long, env = "RINGGATE_ECHO")]
    pub echo: bool,
    /// Keys of the session tickets of TLS, a line of base64 each, for data planes that shall go on with
    /// each other's sessions: the last but one makes tickets, all open them [default: each data plane
    /// has its own]
    #[arg(long, value_name = "FILE", env = "RINGGATE_TICKET_KEYS")]
    pub ticket_keys: Option<PathBuf>,
    /// In a cluster, in place of a file: the Secret in which the control planes keep these keys, and
    /// change them every six hours
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        env = "RINGGATE_TICKET_SECRET",
        conflicts_with_all = ["dir", "ticket_keys"]
    )]
    pub ticket_secret: Option<NamespacedName>,
    /// Unix socket between control plane and data plane [default: control.sock in
    /// $RINGGATE_RUNTIME_DIR, else /run/ringgate as root, else a folder of the user's own; `run`
    /// uses one folder there for each DIR; `controlplane --listen` has none]
    #[arg(long, value_name = "PATH", env = "RINGGATE_SOCKET")]
    pub socket: Option<PathBuf>,
    #[command(flatten)]
    pub remote: RemoteArgs,
    #[command(flatten)]
    pub controller: ControllerAdmin,
}

/// Of whoever is asked by the control plane's admin address, and of the control plane itself.
#[derive(Clone, Copy, Debug, Args)]
pub struct ControllerAdmin {
    /// Where the control plane answers /livez, /readyz, /metrics and /status
    #[arg(
        id = "controller_admin",
        long = "controller-admin",
        value_name = "ADDR",
        env = "RINGGATE_CONTROLLER_ADMIN",
        default_value = DEFAULT_CONTROLLER_ADMIN
    )]
    pub admin: SocketAddr,
}

/// Of the processes that `run` starts.
#[derive(Clone, Copy, Debug, Args)]
pub struct Lifeline {
    /// End when standard input closes (how `run` makes sure that nobody outlives it)
    #[arg(long, hide = true)]
    pub exit_with_stdin: bool,
}

pub const DEFAULT_CONTROLLER_ADMIN: &str = "127.0.0.1:9902";
pub const DEFAULT_ADMIN: &str = "127.0.0.1:9901";

/// What `run` passes on to the data plane.
#[derive(Clone, Debug, Args)]
pub struct DataPlaneArgs {
    /// Where the data plane keeps its last good snapshot, and the control plane the addresses that it
    /// gave [default: $RINGGATE_STATE_DIR, else /var/lib/ringgate as root, else below $XDG_STATE_HOME;
    /// `run` uses one folder there for each DIR]
    #[arg(long, value_name = "PATH")]
    pub state_dir: Option<PathBuf>,
    /// Where the data plane answers /livez, /readyz, /metrics and /config
    #[arg(long, value_name = "ADDR", env = "RINGGATE_ADMIN", default_value = DEFAULT_ADMIN)]
    pub admin: SocketAddr,
    /// Threads that carry traffic [default: one for each CPU that is ours]
    #[arg(long, value_name = "N", env = "RINGGATE_WORKERS")]
    pub workers: Option<NonZeroU16>,
    /// The node that this is, as EndpointSlices name it: for Services whose traffic stays on a node, or near
    #[arg(long, value_name = "NAME", env = "RINGGATE_NODE")]
    pub node: Option<String>,
    /// The zone that this is in, as EndpointSlices name it
    #[arg(long, value_name = "NAME", env = "RINGGATE_ZONE")]
    pub zone: Option<String>,
    /// How the kernel is asked for input and output
    #[arg(long, env = "RINGGATE_DRIVER", default_value = "auto")]
    pub driver: Driver,
    /// Where requests are logged as JSON lines: `off`, `stdout`, or a file
    #[arg(
        long,
        value_name = "off|stdout|FILE",
        env = "RINGGATE_ACCESS_LOG",
        default_value = "off"
    )]
    pub access_log: PathBuf,
    /// How long requests in flight may go on after SIGTERM
    #[arg(
        long,
        value_name = "DURATION",
        env = "RINGGATE_DRAIN_GRACE",
        default_value = "30s",
        value_parser = humantime::parse_duration
    )]
    pub drain_grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// The best that this kernel allows
    Auto,
    #[value(name = "io_uring")]
    IoUring,
    Epoll,
}

impl Driver {
    fn as_flag(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct DataPlaneVerb {
    /// Passed on to `ringgate-dataplane`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

#[derive(Clone, Debug, Args)]
pub struct ValidateArgs {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Take Gateways of this class as ours too (repeatable)
    #[arg(
        long = "gateway-class",
        value_name = "NAME",
        env = "RINGGATE_GATEWAY_CLASS",
        value_delimiter = ','
    )]
    pub gateway_classes: Vec<String>,
    #[command(flatten)]
    pub load_balancer: LoadBalancerArgs,
}

#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub controller: ControllerAdmin,
    /// Ask the cluster that this kubeconfig names instead: what the statuses there say
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// How it is printed
    #[arg(short, long, default_value = "table")]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
    Yaml,
}

#[derive(Clone, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print what the data plane has in force, as JSON
    Dump {
        /// The data plane's admin address
        #[arg(long, value_name = "ADDR", env = "RINGGATE_ADMIN", default_value = DEFAULT_ADMIN)]
        admin: SocketAddr,
    },
}

fn lease_name(text: &str) -> Result<LeaseName, &'static str> {
    let (namespace, name) = text.split_once('/').ok_or("write NAMESPACE/NAME")?;
    Ok(LeaseName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

/// Why it can't be told where objects shall come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OriginMissing {
    #[error("what shall be served? give a DIR, or --kubeconfig FILE")]
    Nothing,
    #[error(
        "--gateway-class can't claim a class in a cluster: let the GatewayClass name the controller {CONTROLLER_NAME}"
    )]
    Class,
}

impl ControlPlaneArgs {
    /// The arguments of `ringgate controlplane` that say the same.
    #[must_use]
    pub fn to_arguments(&self, socket: &std::path::Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--socket".into(), socket.into()];
        for class in &self.gateway_classes {
            arguments.extend(["--gateway-class".into(), class.into()]);
        }
        if self.echo {
            arguments.push("--echo".into());
        }
        arguments.extend(self.load_balancer.to_arguments());
        for address in &self.data_plane_addresses {
            arguments.extend(["--data-plane-address".into(), address.to_string().into()]);
        }
        if let Some(file) = &self.ticket_keys {
            arguments.extend(["--ticket-keys".into(), file.into()]);
        }
        if let Some(name) = &self.ticket_secret {
            arguments.extend(["--ticket-secret".into(), name.to_string().into()]);
        }
        arguments.extend(self.remote.to_arguments());
        arguments.push("--controller-admin".into());
        arguments.push(self.controller.admin.to_string().into());
        if let Some(LeaseName { namespace, name }) = &self.lease {
            arguments.extend(["--lease".into(), format!("{namespace}/{name}").into()]);
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            arguments.extend(["--kubeconfig".into(), kubeconfig.into()]);
        }
        if let Some(dir) = &self.dir {
            arguments.extend(["--".into(), dir.into()]);
        }
        arguments
    }

    /// Where the keys of session tickets come from.
    #[must_use]
    pub fn tickets(&self) -> TicketSource {
        match (&self.ticket_keys, &self.ticket_secret) {
            (Some(file), _) => TicketSource::File(file.clone()),
            (None, Some(name)) => TicketSource::Secret(name.clone()),
            (None, None) => TicketSource::None,
        }
    }

    /// Where addresses come from.
    #[must_use]
    pub fn provision(&self) -> Settings {
        Settings {
            data_planes: self.data_plane_addresses.clone(),
            ..self.load_balancer.provision()
        }
    }

    /// Where the objects come from.
    ///
    /// # Errors
    /// When nothing says it, or what is said makes no sense there.
    pub fn origin(&self) -> Result<Origin, OriginMissing> {
        match (&self.dir, &self.kubeconfig) {
            (Some(dir), _) => Ok(Origin::Files(vec![dir.clone()])),
            (None, _) if !self.gateway_classes.is_empty() => Err(OriginMissing::Class),
            (None, Some(path)) => Ok(Origin::Cluster(Cluster::Kubeconfig(path.clone()))),
            (None, None) if Cluster::is_pod() => Ok(Origin::Cluster(Cluster::Pod)),
            (None, None) => Err(OriginMissing::Nothing),
        }
    }
}

impl DataPlaneArgs {
    /// The arguments of `ringgate-dataplane` that say the same.
    #[must_use]
    pub fn to_arguments(
        &self,
        socket: &std::path::Path,
        state_dir: &std::path::Path,
    ) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![
            "--socket".into(),
            socket.into(),
            "--state-dir".into(),
            state_dir.into(),
            "--admin".into(),
            self.admin.to_string().into(),
            "--driver".into(),
            self.driver.as_flag().into(),
            "--access-log".into(),
            self.access_log.clone().into(),
            "--drain-grace".into(),
            format!("{}ms", self.drain_grace.as_millis()).into(),
        ];
        for (flag, name) in [("--node", &self.node), ("--zone", &self.zone)] {
            if let Some(name) = name {
                arguments.extend([flag.into(), name.into()]);
            }
        }
        if let Some(workers) = self.workers {
            arguments.extend(["--workers".into(), workers.to_string().into()]);
        }
        arguments
    }
}

#[cfg(test)]
mod tests;
