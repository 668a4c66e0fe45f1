//! File mode: a folder (or file) of YAML, watched.
//!
//! `folder` is the pure core; `read` looks at the files, `beside` (with `pem`) at those with certificates; this module waits for changes (inotify,
//! else by looking every second) on a thread of its own and sends what follows as batches.

mod beside;
mod folder;
mod notice;
mod pem;
mod read;
mod record;
mod settle;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use self::notice::{Notices, Signal, Stop};
use self::settle::{Settle, Touched};
use super::Batch;
use crate::problem::{Problem, Severity};

pub(crate) use beside::{Beside, Suspects};
pub use folder::{Content, Folder, Scan, Update};
pub(crate) use pem::PemFiles;
pub use read::{ReadError, look};
pub use record::FileName;

/// Batches that may wait to be taken: each is complete, so a slow reader just gets fewer, later.
const BATCHES: usize = 4;

/// Without inotify.
const POLL: Duration = Duration::from_secs(1);

/// With inotify: network and some container file systems don't tell of changes.
const SAFETY_POLL: Duration = Duration::from_secs(10);

/// A file that is empty or gone is looked at again after so long.
const SECOND_LOOK: Duration = Duration::from_millis(100);

/// Why watching can't begin.
#[derive(Debug, Error)]
pub enum WatchError {
    #[error("no thread to watch files: {error}")]
    Thread { error: std::io::Error },
}

/// A watch that runs; it ends when this is dropped.
#[derive(Debug)]
pub struct FileWatch {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl FileWatch {
    /// Watches files and folders (which need not be there yet). The first batch comes as soon as
    /// everything was read once, even if there is nothing.
    ///
    /// # Errors
    /// [`WatchError`] when no thread can be had. A path that can't be read is a problem in the batch.
    pub fn start(roots: Vec<PathBuf>) -> Result<(Self, mpsc::Receiver<Batch>), WatchError> {
        Self::start_with(roots, Notices::new)
    }

    fn start_with(
        roots: Vec<PathBuf>,
        notices: impl FnOnce(Stop) -> Notices,
    ) -> Result<(Self, mpsc::Receiver<Batch>), WatchError> {
        let (stop, signals) = notice::channel();
        let (watching, batches) = Watching::new(roots, notices(stop.clone()));
        let thread = std::thread::Builder::new()
            .name("watch-files".into())
            .spawn(move || watching.run(&signals))
            .map_err(|error| WatchError::Thread { error })?;
        let watch = Self {
            stop,
            thread: Some(thread),
        };
        Ok((watch, batches))
    }
}

impl Drop for FileWatch {
    /// Doesn't wait for the thread: it may be about to send, and ends when the receiver is gone.
    fn drop(&mut self) {
        self.stop.stop();
        drop(self.thread.take());
    }
}

/// The thread's state.
struct Watching {
    roots: Vec<PathBuf>,
    folder: Folder,
    beside: Beside,
    pems: PemFiles,
    reader: read::Reader,
    settle: Settle,
    /// When to look again at what was empty or gone.
    second_look: Option<Instant>,
    begun: bool,
    notices: Notices,
    batches: mpsc::Sender<Batch>,
}

impl Watching {
    fn new(roots: Vec<PathBuf>, notices: Notices) -> (Self, mpsc::Receiver<Batch>) {
        let (sender, batches) = mpsc::channel(BATCHES);
        let watching = Self {
            roots,
            folder: Folder::default(),
            beside: Beside::default(),
            pems: PemFiles::default(),
            reader: read::Reader::default(),
            settle: Settle::default(),
            second_look: None,
            begun: false,
            notices,
            batches: sender,
        };
        (watching, batches)
    }

    fn run(mut self, signals: &Receiver<Signal>) {
        let mut look_at = Instant::now();
        loop {
            match self.wait(signals, look_at) {
                Woken::Stopped => return,
                Woken::Noticed => {}
                Woken::Due => {
                    if self.look().is_err() {
                        return;
                    }
                    look_at = Instant::now() + self.interval();
                }
            }
        }
    }

    fn interval(&self) -> Duration {
        if self.notices.complete() {
            SAFETY_POLL
        } else {
            POLL
        }
    }

    /// Waits for a signal, or until a look is due.
    fn wait(&mut self, signals: &Receiver<Signal>, look_at: Instant) -> Woken {
        let due = [Some(look_at), self.settle.due(), self.second_look];
        let due = due.into_iter().flatten().min().unwrap_or(look_at);
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Woken::Due;
        }
        match signals.recv_timeout(left) {
            Ok(Signal::Noticed { paths, notice }) => {
                for path in paths.iter().filter(|path| self.notices.covers(path)) {
                    self.settle.notice(Instant::now(), path, notice);
                }
                Woken::Noticed
            }
            Ok(Signal::Overflow) => {
                self.settle.notice_everything(Instant::now());
                Woken::Noticed
            }
            Err(RecvTimeoutError::Timeout) => Woken::Due,
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => Woken::Stopped,
        }
    }

    /// Looks at what was noticed, or at everything, and sends what follows.
    fn look(&mut self) -> Result<(), Stopped> {
        if self.notices.stopped() {
            return Err(Stopped);
        }
        let noticed = match self.settle.take() {
            Touched::Paths(paths) if self.second_look.is_none() && !paths.is_empty() => {
                self.notices.interest().files(&paths)
            }
            Touched::Paths(_) | Touched::Everything => None,
        };
        let (scan, suspects) = noticed
            .and_then(|(ours, beside)| {
                Some((self.reader.scan_files(&ours)?, Suspects::These(beside)))
            })
            .unwrap_or_else(|| (self.look_at_everything(), Suspects::All));
        let second = self.second_look.is_some_and(|due| due <= Instant::now());
        if self.folder.doubts(&scan) && !second {
            let due = Instant::now() + SECOND_LOOK;
            self.second_look.get_or_insert(due);
            self.reader.forget(&scan);
            return Ok(());
        }
        self.second_look = None;
        self.send(scan, &suspects)
    }

    fn look_at_everything(&mut self) -> Scan {
        let (scan, mut interest) = self.reader.scan(&self.roots);
        interest.beside(self.beside.paths());
        self.pems.keep(self.beside.paths());
        if self.notices.watch(interest) {
            // Something may have come between the look and the watch.
            self.settle.notice_everything(Instant::now());
        }
        scan
    }

    fn send(&mut self, scan: Scan, suspects: &Suspects) -> Result<(), Stopped> {
        let update = self.folder.update(scan);
        let update = self.beside.complete(update, suspects, &mut self.pems);
        if self.beside.has_new_paths() {
            // They aren't watched yet.
            self.settle.notice_everything(Instant::now());
        }
        log(&update);
        if self.begun && !update.is_news() {
            return Ok(());
        }
        self.begun = true;
        self.batches
            .blocking_send(update.batch)
            .map_err(|_| Stopped)
    }
}

enum Woken {
    Due,
    Noticed,
    Stopped,
}

/// Nobody listens any more.
struct Stopped;

/// Each problem once, when it comes and when it goes.
fn log(update: &Update) {
    for problem in &update.appeared {
        match problem.severity {
            Severity::Error if is_held(problem, update) => {
                error!("{problem}\n    the last good version stays in force");
            }
            Severity::Error => error!("{problem}"),
            Severity::Warning => warn!("{problem}"),
            Severity::Note => info!("{problem}"),
        }
    }
    for problem in &update.mended {
        let problem = Problem {
            remedy: None,
            ..problem.clone()
        };
        info!("no longer: {problem}");
    }
}

fn is_held(problem: &Problem, update: &Update) -> bool {
    let object = problem.object.as_ref();
    object.is_some_and(|object| update.held.contains(object))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::watch::Event;

    const ONE: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}\n";

    #[tokio::test]
    async fn without_notices_it_looks_every_second() {
        let folder = tempfile::tempdir().unwrap();
        let roots = vec![folder.path().to_path_buf()];
        let (_watch, mut batches) = FileWatch::start_with(roots, Notices::none).unwrap();
        assert!(batches.recv().await.unwrap().events.is_empty());
        fs::write(folder.path().join("a.yaml"), ONE).unwrap();
        let batch = tokio::time::timeout(Duration::from_secs(8), batches.recv()).await;
        assert_eq!(batch.unwrap().unwrap().events.len(), 1);
    }

    #[test]
    fn an_empty_file_counts_at_the_second_look_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, ONE).unwrap();
        let (stop, _signals) = notice::channel();
        let (mut watching, mut batches) =
            Watching::new(vec![folder.path().to_path_buf()], Notices::none(stop));
        assert!(watching.look().is_ok());
        assert_eq!(batches.try_recv().unwrap().events.len(), 1);
        for spoil in [
            |path: &PathBuf| fs::write(path, "").unwrap(),
            |path: &PathBuf| fs::remove_file(path).unwrap(),
        ] {
            spoil(&path);
            assert!(watching.look().is_ok());
            assert!(batches.try_recv().is_err(), "nothing is taken yet");
            assert!(watching.second_look.take().is_some());
            fs::write(&path, ONE).unwrap();
            assert!(watching.look().is_ok());
            assert!(batches.try_recv().is_err(), "it is as it was");
        }
        fs::write(&path, "").unwrap();
        assert!(watching.look().is_ok());
        watching.second_look = Some(Instant::now());
        assert!(watching.look().is_ok());
        let batch = batches.try_recv().unwrap();
        assert!(matches!(&batch.events[..], [Event::Removed(_)]));
    }
}
