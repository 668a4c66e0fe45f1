//! Starts `ringgate run` with the real data plane on a folder of its own, and lets tests see and end its
//! processes.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

pub(crate) use crate::port::free_port;

/// No event that a test waits for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = found() {
            return found;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} didn't come to pass in {PATIENCE:?}");
}

pub(crate) fn is_gone(pid: Pid) -> Option<()> {
    test_kill_process(pid).is_err().then_some(())
}

/// The folder of the repository.
pub(crate) fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap().to_owned()
}

/// A folder with a site, and what its processes keep.
pub(crate) struct Stage {
    temp: TempDir,
    pub(crate) port: u16,
    /// Of the data plane.
    pub(crate) admin: u16,
    pub(crate) controller_admin: u16,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("site")).unwrap();
        Self {
            temp,
            port: free_port(),
            admin: free_port(),
            controller_admin: free_port(),
        }
    }

    /// A copy of an example, with other texts in place of some of its own.
    pub(crate) fn example(name: &str, replace: &[(&str, String)]) -> Self {
        let stage = Self::new();
        let folder = repository().join("deploy/examples").join(name);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|one| one == "yaml") {
                let text = fs::read_to_string(&path).unwrap();
                let text = replace.iter().fold(text, |text, (from, to)| {
                    text.replace(from, &to.replace("PORT", &stage.port.to_string()))
                });
                stage.write(path.file_name().unwrap().to_str().unwrap(), &text);
            }
        }
        stage
    }

    pub(crate) fn site(&self) -> PathBuf {
        self.temp.path().join("site")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.temp.path().join("state")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.site().join(name), text).unwrap();
    }

    pub(crate) fn ringgate(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
        let data_plane =
            Path::new(env!("CARGO_BIN_EXE_ringgate")).with_file_name("ringgate-dataplane");
        assert!(
            data_plane.exists(),
            "the data plane isn't built: run `cargo build --workspace` first, or all of `cargo test --workspace`"
        );
        command
            .arg(verb)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.temp.path())
            .stdin(Stdio::null());
        command
    }

    /// `ringgate run` on the site, ready to serve.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.ringgate("run");
        command
            .arg(self.site())
            .args(arguments)
            .arg("--controller-admin")
            .arg(format!("127.0.0.1:{}", self.controller_admin))
            .arg("--admin")
            .arg(format!("127.0.0.1:{}", self.admin))
            .args(["--workers", "1"])
            .arg("--socket")
            .arg(self.temp.path().join("socket"))
            .arg("--state-dir")
            .arg(self.state());
        let mut run = Run::spawn(command);
        run.greeting = run.wait_for_line("Ringgate ");
        run
    }

    /// Where a file of the test's own lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// A control plane alone, for data planes of other machines.
    pub(crate) fn control_plane(&self, arguments: &[OsString]) -> Run {
        let mut command = self.ringgate("controlplane");
        command
            .args(arguments)
            .arg("--controller-admin")
            .arg(format!("127.0.0.1:{}", self.controller_admin));
        Run::spawn(command)
    }

    /// A data plane alone, for control planes of other machines.
    pub(crate) fn distant_data_plane(&self, arguments: &[OsString]) -> Run {
        let mut command = self.ringgate("dataplane");
        command
            .args(arguments)
            .arg("--state-dir")
            .arg(self.state())
            .arg("--admin")
            .arg(format!("127.0.0.1:{}", self.admin))
            .args(["--workers", "1"]);
        Run::spawn(command)
    }

    /// A data plane alone, on what the last one left.
    pub(crate) fn data_plane(&self) -> Run {
        let mut command = self.ringgate("dataplane");
        command
            .arg("--socket")
            .arg(self.temp.path().join("socket"))
            .arg("--state-dir")
            .arg(self.state())
            .args(["--admin", "127.0.0.1:0", "--workers", "1"]);
        Run::spawn(command)
    }
}

/// A started program, and all that it and its children say. Ended when dropped.
pub(crate) struct Run {
    child: Child,
    lines: Receiver<String>,
    pub(crate) greeting: String,
}

impl Run {
    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        let outputs: [Box<dyn BufRead + Send>; 2] = [
            Box::new(BufReader::new(stdout)),
            Box::new(BufReader::new(stderr)),
        ];
        for output in outputs {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in output.lines().map_while(Result::ok) {
                    eprintln!("{line}");
                    let _ = sender.send(line);
                }
            });
        }
        Self {
            child,
            lines,
            greeting: String::new(),
        }
    }

    /// The next line that has `text`.
    pub(crate) fn wait_for_line(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(error) => panic!("{text:?} was never said: {error}"),
            }
        }
    }

    /// How many lines with `text` are there that nobody waited for.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.lines
            .try_iter()
            .filter(|line| line.contains(text))
            .count()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The child whose command line has `word`, unless it is `other`.
    pub(crate) fn process(&self, word: &str, other: Option<Pid>) -> Pid {
        until(word, || {
            let children = format!("/proc/{0}/task/{0}/children", self.child.id());
            let children = fs::read_to_string(children).ok()?;
            let mut pids = children.split_whitespace().filter(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).contains(word)
            });
            let pid = Pid::from_raw(pids.next()?.parse().ok()?)?;
            (Some(pid) != other).then_some(pid)
        })
    }

    pub(crate) fn end(mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        let status = until("the end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It has ended already where a test came to its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
