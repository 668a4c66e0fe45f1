//! `ringgate announce`: puts Gateways' addresses on an interface, where they aren't local already.
//!
//! The only process that needs network-admin rights. It asks the data plane of its machine, or a control plane, which addresses
//! there are, and gives each a short lifetime that it renews: the kernel takes them away when this process dies. On an
//! Ethernet link an address that another host has isn't put there, and everybody is told of one that is.
//!
//! With a key several nodes share the addresses: `gossip` tells who lives and what each can serve, `owner` whose an
//! address is, `duty` what this node is good for and shall have, `rounds` what follows from that on the link. All of these
//! are pure; `frames` and `seal` know the messages. `agent` turns them, `shared` and `wire` carry gossip, `data_plane` asks, `interface` and `link` speak with the kernel,
//! and `inside` lets people see.

mod agent;
mod data_plane;
mod duty;
mod frames;
mod gossip;
mod inside;
mod interface;
mod link;
mod owner;
mod pace;
mod rounds;
mod shared;
#[cfg(test)]
mod simulation;
mod wire;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use ringgate_identity::host_port::HostPort;
use thiserror::Error;

use self::agent::Agent;
pub use self::gossip::{KeyError, Keys};
pub use self::inside::{AddressState, NodeState, Owners, table};
use self::interface::InterfaceError;
use self::link::LinkError;
use crate::limits::GOSSIP_KEY_BYTES;

/// What an agent is started with.
#[derive(Clone, Debug)]
pub struct Config {
    pub interface: String,
    pub asked: Asked,
    /// Where people look inside.
    pub admin: SocketAddr,
    pub sharing: Option<Sharing>,
    /// Nothing is announced here while the data plane isn't ready: others do it.
    pub while_ready: bool,
}

/// Who knows which addresses there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    ControlPlane(SocketAddr),
    DataPlane(SocketAddr),
}

/// How addresses are shared with other nodes.
#[derive(Clone, Debug)]
pub struct Sharing {
    /// A key a line.
    pub key: PathBuf,
    pub listen: SocketAddr,
    pub peers: Vec<HostPort>,
}

#[derive(Debug, Error)]
pub enum AnnounceError {
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(
        "can't read --gossip-key {path}: {error}; the file has what `openssl rand -base64 32` printed once, the same on all nodes"
    )]
    ReadKey { path: PathBuf, error: io::Error },
    #[error("--gossip-key {path}: {error}")]
    Key { path: PathBuf, error: KeyError },
    #[error(
        "can't listen on {address} for --gossip: {error}; give another address, or stop who uses it"
    )]
    Listen {
        address: SocketAddr,
        error: io::Error,
    },
    #[error(
        "can't listen on {address} for --announce-admin: {error}; give another address, or stop who uses it"
    )]
    Admin {
        address: SocketAddr,
        error: io::Error,
    },
    #[error("this system gives no random numbers")]
    Random,
}

/// Keeps the interface's addresses until `stop`. Then those that another node can serve go there; others are left: a data plane that
/// drains still needs them, and their lifetime ends soon.
///
/// # Errors
/// When there is no such interface, the kernel doesn't let us look at it, or speak on its link, or an address can't be
/// listened on.
pub async fn announce(config: Config, stop: impl Future<Output = ()>) -> Result<(), AnnounceError> {
    Agent::start(config).await?.run(stop).await;
    Ok(())
}

fn keys(path: &PathBuf) -> Result<Keys, AnnounceError> {
    let read = || {
        let mut text = Vec::new();
        let file = std::fs::File::open(path)?;
        io::Read::read_to_end(&mut io::Read::take(file, GOSSIP_KEY_BYTES), &mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error| AnnounceError::ReadKey {
        path: path.clone(),
        error,
    })?;
    Keys::parse(&text).map_err(|error| AnnounceError::Key {
        path: path.clone(),
        error,
    })
}
