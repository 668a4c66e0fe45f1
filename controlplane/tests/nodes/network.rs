//! Nodes with a network namespace each, on one switch: `unshare`, `nsenter` and `ip` make them, as root or with
//! user namespaces. They end with the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// Where this variable is set, a machine that can't make namespaces fails the tests; else they are left out.
const REQUIRED: &str = "RINGGATE_REQUIRE_NAMESPACES";

/// One network at a time: a dozen processes each are enough for a machine on which seconds count.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) struct Network {
    switch: Namespace,
    pub(crate) nodes: Vec<Node>,
    _turn: MutexGuard<'static, ()>,
}

pub(crate) struct Node {
    namespace: Namespace,
    number: usize,
    mac: String,
}

/// Lives as long as a process in it, which lives as long as its standard input.
struct Namespace(Child);

impl Network {
    /// Nodes 1 to `count` with the addresses 10.9.0.N and fd09::N on `eth0`. None where it can't be made here.
    pub(crate) fn make(count: usize) -> Option<Self> {
        Self::with_mtu(count, 1500)
    }

    /// On a network whose links carry packets of so many bytes at most.
    pub(crate) fn with_mtu(count: usize, mtu: u32) -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let made =
            Namespace::spawn(Command::new("unshare").args(["--user", "--map-root-user", "--net"]));
        let Some(switch) = made else {
            assert!(std::env::var_os(REQUIRED).is_none(), "no namespaces here");
            eprintln!(
                "left out: `unshare --user --net` makes no namespaces here; with {REQUIRED} set that is a failure"
            );
            return None;
        };
        switch.ip(&["link", "add", "switch", "type", "bridge"]);
        switch.ip(&["link", "set", "switch", "up"]);
        let nodes = (1..=count)
            .map(|number| Node::join(&switch, number, mtu))
            .collect();
        Some(Self {
            switch,
            nodes,
            _turn: turn,
        })
    }

    /// As when the cable is pulled out at the switch.
    pub(crate) fn cut(&self, node: &Node) {
        let port = format!("port{}", node.number);
        self.switch.ip(&["link", "set", &port, "down"]);
    }

    /// A node's interface goes.
    pub(crate) fn remove_interface(&self, node: &Node) {
        let port = format!("port{}", node.number);
        self.switch.ip(&["link", "del", &port]);
    }

    /// Another one of the same name comes.
    pub(crate) fn plug(&self, node: &Node) {
        node.plug(&self.switch, 1500);
    }

    /// The cable is in again.
    pub(crate) fn mend(&self, node: &Node) {
        let port = format!("port{}", node.number);
        self.switch.ip(&["link", "set", &port, "up"]);
    }
}

impl Node {
    fn join(switch: &Namespace, number: usize, mtu: u32) -> Self {
        let namespace = Namespace::spawn(switch.command("unshare").arg("--net")).unwrap();
        let mac = format!("02:00:00:00:00:{number:02x}");
        let node = Self {
            namespace,
            number,
            mac,
        };
        node.plug(switch, mtu);
        node
    }

    fn plug(&self, switch: &Namespace, mtu: u32) {
        let number = self.number;
        let (port, id) = (format!("port{number}"), self.namespace.0.id().to_string());
        let peer = ["peer", "name", "eth0", "address", &self.mac, "netns", &id];
        switch.ip(&[&["link", "add", &port, "type", "veth"], peer.as_slice()].concat());
        let mtu = mtu.to_string();
        switch.ip(&["link", "set", &port, "mtu", &mtu, "master", "switch", "up"]);
        for interface in ["lo", "eth0"] {
            self.ip(&["link", "set", interface, "up"]);
        }
        self.ip(&["link", "set", "eth0", "mtu", &mtu]);
        let (v4, v6) = (format!("10.9.0.{number}/24"), format!("fd09::{number}/64"));
        self.ip(&["address", "add", &v4, "dev", "eth0"]);
        self.ip(&["address", "add", &v6, "dev", "eth0", "nodad"]);
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        self.namespace.command(program)
    }

    pub(crate) fn ip(&self, arguments: &[&str]) -> String {
        self.namespace.ip(arguments)
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn mac(&self) -> &str {
        &self.mac
    }

    pub(crate) fn addresses(&self) -> String {
        self.ip(&["-oneline", "address", "show", "dev", "eth0"])
    }

    pub(crate) fn has(&self, address: &str) -> bool {
        self.addresses().contains(&format!(" {address}/"))
    }

    /// The Ethernet address that this node knows for an address.
    pub(crate) fn neighbour(&self, address: &str) -> Option<String> {
        let shown = self.ip(&["neighbour", "show", address, "dev", "eth0"]);
        let (_, rest) = shown.split_once("lladdr ")?;
        rest.split_whitespace().next().map(str::to_owned)
    }

    pub(crate) fn forget(&self, address: &str) {
        self.ip(&["neighbour", "flush", "to", address, "dev", "eth0"]);
    }
}

impl Namespace {
    fn spawn(command: &mut Command) -> Option<Self> {
        let script = ["sh", "-c", "ip link show lo && echo made && exec cat"];
        let command = command.args(script).stdin(Stdio::piped());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let lines = BufReader::new(child.stdout.take()?).lines();
        let made = lines.map_while(Result::ok).any(|line| line == "made");
        let namespace = Self(child);
        made.then_some(namespace)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let id = self.0.id().to_string();
        command.args([
            "--target",
            &id,
            "--user",
            "--net",
            "--preserve-credentials",
            "--",
            program,
        ]);
        command
    }

    fn ip(&self, arguments: &[&str]) -> String {
        let done = self.command("ip").args(arguments).output().unwrap();
        let problem = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "ip {arguments:?}: {problem}");
        String::from_utf8(done.stdout).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Asks until it is found.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
