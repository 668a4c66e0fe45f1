//! `ringgate run` on a node: control plane, data plane and announcer.

use std::fs;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::ADDRESSES;
use crate::network::Node;

/// Control plane, data plane and announcer on a node.
pub(crate) struct Run {
    child: Child,
    temp: tempfile::TempDir,
}

impl Run {
    /// An agent that knows of no other.
    pub(crate) fn alone(node: &Node) -> Self {
        Self::start(node, &gateway(&ADDRESSES), &[])
    }

    /// With the objects of `site`, and these arguments besides.
    pub(crate) fn start(node: &Node, site: &str, arguments: &[&str]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("site");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("site.yaml"), site).unwrap();
        let log = fs::File::create(temp.path().join("log")).unwrap();
        let child = node
            .command(env!("CARGO_BIN_EXE_ringgate"))
            .args(["run", "--interface", "eth0", "--workers", "1", "--echo"])
            .args(arguments)
            .arg(&folder)
            .env("RINGGATE_RUNTIME_DIR", temp.path())
            .env("RINGGATE_STATE_DIR", temp.path().join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, temp }
    }

    /// Two that share addresses by gossip, at these places, and the folder with their key.
    pub(crate) fn pair(
        nodes: [&Node; 2],
        site: &str,
        [one, two]: [&str; 2],
    ) -> ([Self; 2], tempfile::TempDir) {
        let temp = tempfile::tempdir().unwrap();
        let key = temp.path().join("key");
        fs::write(&key, "0123456789abcdef0123456789abcdef").unwrap();
        let key = key.to_str().unwrap();
        let arguments = ["--gossip-key", key, "--peer", one, "--peer", two];
        let runs = nodes.map(|node| Self::start(node, site, &arguments));
        (runs, temp)
    }

    pub(crate) fn said(&self, texts: &[&str]) -> Option<()> {
        let log = self.log();
        let mut lines = log.lines();
        lines
            .any(|line| texts.iter().all(|text| line.contains(text)))
            .then_some(())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.temp.path().join("log")).unwrap()
    }

    /// Control plane, data plane and announcer, in this order.
    fn children(&self) -> Vec<i32> {
        let id = self.child.id();
        let listed = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        listed
            .split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect()
    }

    /// As when the power of its processes goes: none can say a last word.
    pub(crate) fn kill_all(&self) {
        let children = self.children();
        kill(i32::try_from(self.child.id()).unwrap(), Signal::STOP);
        for child in children {
            kill(child, Signal::KILL);
        }
        kill(i32::try_from(self.child.id()).unwrap(), Signal::KILL);
    }

    /// The process that was started as this program, or with this verb, gets a signal.
    pub(crate) fn signal(&self, word: &str, signal: Signal) {
        let is_it = |id: &i32| {
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0);
            words.any(|one| String::from_utf8_lossy(one).rsplit('/').next() == Some(word))
        };
        let child = self.children().into_iter().find(is_it).unwrap();
        kill(child, signal);
    }

    /// Keeps it from being started again.
    pub(crate) fn freeze_supervisor(&self) {
        kill(i32::try_from(self.child.id()).unwrap(), Signal::STOP);
    }

    pub(crate) fn stop(&self) {
        kill(i32::try_from(self.child.id()).unwrap(), Signal::TERM);
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for signal in [Signal::CONT, Signal::TERM] {
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
        let ended = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{ended:?} after:\n{}", self.log());
        }
    }
}

fn kill(process: i32, signal: Signal) {
    // One that is gone already needs none.
    let _ = kill_process(Pid::from_raw(process).unwrap(), signal);
}

/// A Gateway with these addresses, and a listener of HTTP on port 8080.
pub(crate) fn gateway(addresses: &[impl AsRef<str>]) -> String {
    let addresses = addresses.iter().map(|one| {
        let address = one.as_ref();
        format!("  - {{type: IPAddress, value: '{address}'}}\n")
    });
    let addresses: String = addresses.collect();
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: ringgate
  addresses:
{addresses}  listeners:
  - {{name: http, protocol: HTTP, port: 8080}}
"
    )
}
