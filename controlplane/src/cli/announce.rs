//! The flags of `ringgate announce`, most of which `ringgate run` has too.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use ringgate_identity::host_port::HostPort;

use super::{ControllerAdmin, Lifeline, Output};
use crate::announce::{Asked, Sharing};

/// The data plane's, of this machine.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);
const DEFAULT_GOSSIP: &str = "[::]:9904";
const DEFAULT_ANNOUNCE_ADMIN: &str = "127.0.0.1:9905";

#[derive(Clone, Debug, Args)]
pub struct AnnounceArgs {
    /// The network interface that the addresses are put on
    #[arg(long, value_name = "IF", env = "RINGGATE_INTERFACE")]
    pub interface: String,
    #[command(flatten)]
    pub controller: ControllerAdmin,
    /// Ask the data plane of this machine instead: the control plane is on another, or whether it is ready counts
    /// [default with --gossip-key and --while-ready: 127.0.0.1:9901]
    #[arg(long, value_name = "ADDR", env = "RINGGATE_ADMIN")]
    pub admin: Option<SocketAddr>,
    #[command(flatten)]
    pub sharing: SharingArgs,
    #[command(flatten)]
    pub lifeline: Lifeline,
}

impl AnnounceArgs {
    /// Who knows which addresses there are: where they are shared, whether the data plane serves counts.
    #[must_use]
    pub fn asked(&self) -> Asked {
        match self.admin {
            Some(admin) => Asked::DataPlane(admin),
            None if self.sharing.has_others() => Asked::DataPlane(ADMIN),
            None => Asked::ControlPlane(self.controller.admin),
        }
    }
}

#[derive(Clone, Copy, Debug, Args)]
pub struct OwnersArgs {
    #[command(flatten)]
    pub announcer: AnnouncerAdmin,
    /// How it is printed
    #[arg(short, long, default_value = "table")]
    pub output: Output,
}

/// How addresses are shared with the agents of other nodes.
#[derive(Clone, Debug, Args)]
pub struct SharingArgs {
    /// Share the addresses with other nodes that have this key, what `openssl rand -base64 32` prints: each address is
    /// on one of them, and moves when that one or its data plane dies. Further lines are keys that are known too
    #[arg(long, value_name = "FILE", env = "RINGGATE_GOSSIP_KEY")]
    pub gossip_key: Option<PathBuf>,
    /// Another node that shares the addresses (repeatable), by an address, or by a name that may have those of all
    #[arg(
        long = "peer",
        value_name = "HOST:PORT",
        env = "RINGGATE_PEER",
        value_delimiter = ',',
        requires = "gossip_key"
    )]
    pub peers: Vec<HostPort>,
    /// Where this node hears the others; without an address of its own they are told the one that leads to them
    #[arg(
        long,
        value_name = "ADDR",
        env = "RINGGATE_GOSSIP",
        default_value = DEFAULT_GOSSIP
    )]
    pub gossip: SocketAddr,
    /// Have all addresses here while this machine's data plane is ready, and no longer: for a router that others tell of them too
    #[arg(long, env = "RINGGATE_WHILE_READY", conflicts_with = "gossip_key")]
    pub while_ready: bool,
    #[command(flatten)]
    pub announcer: AnnouncerAdmin,
}

/// Of whoever is asked by the announcer's admin address, and of the announcer itself.
#[derive(Clone, Copy, Debug, Args)]
pub struct AnnouncerAdmin {
    /// Where the announcer answers /livez, /readyz, /metrics and /owners
    #[arg(
        id = "announce_admin",
        long = "announce-admin",
        value_name = "ADDR",
        env = "RINGGATE_ANNOUNCE_ADMIN",
        default_value = DEFAULT_ANNOUNCE_ADMIN
    )]
    pub admin: SocketAddr,
}

impl SharingArgs {
    /// Whether others serve the addresses when this node's data plane doesn't.
    #[must_use]
    pub fn has_others(&self) -> bool {
        self.gossip_key.is_some() || self.while_ready
    }

    /// None: addresses are shared with nobody.
    #[must_use]
    pub fn config(&self) -> Option<Sharing> {
        let key = self.gossip_key.clone()?;
        Some(Sharing {
            key,
            listen: self.gossip,
            peers: self.peers.clone(),
        })
    }

    /// The arguments of `ringgate announce` that say the same.
    pub(super) fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![
            "--announce-admin".into(),
            self.announcer.admin.to_string().into(),
            "--gossip".into(),
            self.gossip.to_string().into(),
        ];
        if self.while_ready {
            arguments.push("--while-ready".into());
        }
        if let Some(key) = &self.gossip_key {
            arguments.extend(["--gossip-key".into(), key.into()]);
        }
        for peer in &self.peers {
            arguments.extend(["--peer".into(), peer.to_string().into()]);
        }
        arguments
    }
}
