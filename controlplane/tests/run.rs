//! `ringgate run` as users start it, with a shell script in place of the data plane.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on shall stop"
)]

#[path = "support/port.rs"]
mod port;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

/// Notes its process id, and lives until its standard input closes or it is told to end.
const FAITHFUL: &str = "\
trap 'echo ended >> $HOME/log; exit 0' TERM
echo $$ >> $HOME/pids
echo \"$@\" > $HOME/arguments
while read -r line; do :; done
echo lifeline >> $HOME/log
";

/// A folder with the program, a script as its data plane, and a site.
struct Stage {
    temp: tempfile::TempDir,
    admin: u16,
}

impl Stage {
    fn new(data_plane: &str) -> Self {
        // Hard links don't reach over file systems, so it lies beside what is linked.
        let temp = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = temp.path();
        fs::hard_link(env!("CARGO_BIN_EXE_ringgate"), path.join("ringgate")).unwrap();
        let script = path.join("ringgate-dataplane");
        fs::write(&script, format!("#!/bin/sh\n{data_plane}")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(path.join("site")).unwrap();
        let admin = port::free_port();
        Self { temp, admin }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn run(&self) -> Run {
        let child = Command::new(self.path("ringgate"))
            .arg("run")
            .arg(self.path("site"))
            .args(["--controller-admin", &format!("127.0.0.1:{}", self.admin)])
            // The one by default is every run's.
            .args(["--admin", "127.0.0.1:0"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.temp.path())
            .env("RINGGATE_RUNTIME_DIR", self.socket_root())
            .env("RINGGATE_STATE_DIR", self.path("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Run { child }
    }

    /// Sockets have short paths only.
    fn socket_root(&self) -> PathBuf {
        let name = self.temp.path().file_name().unwrap();
        std::env::temp_dir().join(name)
    }

    fn socket(&self) -> Option<PathBuf> {
        let folders = fs::read_dir(self.socket_root()).ok()?;
        let sockets = folders.map(|one| one.unwrap().path().join("control.sock"));
        let mut sockets = sockets.filter(|path| path.exists());
        sockets.next()
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The process id of the `count`th data plane.
    fn data_plane(&self, count: usize) -> Pid {
        until("a data plane", || {
            let pids = self.lines("pids");
            let pid = pids.get(count - 1)?.parse().ok()?;
            Pid::from_raw(pid)
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.socket_root());
    }
}

struct Run {
    child: Child,
}

impl Run {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    fn ended(&mut self) -> ExitStatus {
        until("the end", || self.child.try_wait().unwrap())
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It has ended already where a test came to its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = found() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} didn't come to pass in {PATIENCE:?}");
}

fn is_gone(pid: Pid) -> Option<()> {
    test_kill_process(pid).is_err().then_some(())
}

fn control_plane_of(run: &Run) -> Option<Pid> {
    let children = format!("/proc/{0}/task/{0}/children", run.child.id());
    let children = fs::read_to_string(children).ok()?;
    let mut pids = children.split_whitespace();
    let is_control_plane = |pid: &&str| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("controlplane")
    };
    Pid::from_raw(pids.find(is_control_plane)?.parse().ok()?)
}

#[test]
fn a_data_plane_that_is_killed_serves_again_within_two_seconds() {
    let stage = Stage::new(FAITHFUL);
    let mut run = stage.run();
    let first = stage.data_plane(1);
    let killed = Instant::now();
    kill_process(first, Signal::KILL).unwrap();
    let second = stage.data_plane(2);
    assert!(killed.elapsed() < Duration::from_secs(2));
    let arguments = stage.lines("arguments").concat();
    assert!(
        arguments.starts_with("--exit-with-stdin --socket /"),
        "{arguments}"
    );

    run.signal(Signal::TERM);
    assert!(run.ended().success());
    until("the end of the data plane", || is_gone(second));
    assert_eq!(stage.lines("log"), ["ended"]);
}

#[test]
fn a_control_plane_that_is_killed_comes_back_and_the_data_plane_stays() {
    let stage = Stage::new(FAITHFUL);
    let mut run = stage.run();
    let data_plane = stage.data_plane(1);
    let first = until("a control plane", || control_plane_of(&run));
    until("its socket", || stage.socket());
    kill_process(first, Signal::KILL).unwrap();
    until("another control plane", || {
        control_plane_of(&run).filter(|pid| *pid != first)
    });
    assert!(is_gone(data_plane).is_none());
    run.signal(Signal::INT);
    assert!(run.ended().success());
}

#[test]
fn nobody_outlives_a_supervisor_that_is_killed() {
    let stage = Stage::new(FAITHFUL);
    let mut run = stage.run();
    let data_plane = stage.data_plane(1);
    let control_plane = until("a control plane", || control_plane_of(&run));
    until("its socket", || stage.socket());
    run.signal(Signal::KILL);
    assert_eq!(run.ended().signal(), Some(9));
    until("the end of the data plane", || is_gone(data_plane));
    until("the end of the control plane", || is_gone(control_plane));
    assert_eq!(stage.lines("log"), ["lifeline"]);
    assert_eq!(stage.socket(), None, "the socket is removed");
}

#[test]
fn a_second_signal_ends_at_once() {
    let stage = Stage::new("trap '' TERM\necho $$ >> $HOME/pids\nwhile :; do sleep 0.01; done\n");
    let mut run = stage.run();
    let stubborn = stage.data_plane(1);
    run.signal(Signal::TERM);
    let control_plane = || control_plane_of(&run).is_none().then_some(());
    until("the end of the control plane", control_plane);
    assert!(is_gone(stubborn).is_none());
    run.signal(Signal::TERM);
    assert!(run.ended().success());
    until("the end of the data plane", || is_gone(stubborn));
}

#[test]
fn a_usage_error_of_a_process_is_told_and_ends_the_other() {
    let stage = Stage::new("echo 'unknown driver' >&2\nexit 2\n");
    let mut run = stage.run();
    assert_eq!(run.ended().code(), Some(2));
    assert!(run.errors().contains("unknown driver"));
    assert_eq!(stage.socket(), None);
}

#[test]
fn a_port_in_use_is_told_and_nothing_is_left_running() {
    let stage = Stage::new(FAITHFUL);
    let _taken = TcpListener::bind(("127.0.0.1", stage.admin)).unwrap();
    let mut run = stage.run();
    assert_eq!(run.ended().code(), Some(1));
    let errors = run.errors();
    assert!(errors.contains("--controller-admin"), "{errors}");
    let pids = stage.lines("pids");
    for pid in pids {
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        until("the end of the data plane", || is_gone(pid));
    }
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_ringgate"))
        .args(["run", "/nowhere/at/all"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("/nowhere/at/all"), "{text}");
}

#[test]
fn the_verbs_that_need_no_process_print_and_exit_as_they_should() {
    let ringgate = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ringgate"))
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), output.stdout)
    };
    let (code, version) = ringgate(&["version"]);
    let line = BufReader::new(version.as_slice()).lines().next().unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(
        line.unwrap(),
        concat!("ringgate ", env!("CARGO_PKG_VERSION"))
    );

    let (code, script) = ringgate(&["completions", "bash"]);
    assert!(code == Some(0) && !script.is_empty());
    assert_eq!(ringgate(&["validate"]).0, Some(2), "a path is needed");
    let (code, _) = ringgate(&["validate", "/nowhere/at/all"]);
    assert_eq!(code, Some(1));
    let empty = tempfile::tempdir().unwrap();
    let path: &Path = empty.path();
    let (code, _) = ringgate(&["validate", path.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    let (code, _) = ringgate(&["status", "--controller-admin", "127.0.0.1:1"]);
    assert_eq!(code, Some(1));
}
