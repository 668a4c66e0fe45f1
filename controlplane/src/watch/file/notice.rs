//! Being told of changes: inotify on the folders of interest, its events as signals.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tracing::{info, warn};

use super::read::Interest;
use super::settle::Notice;

/// Signals that may wait; when there are more, those that wait lead to a look at everything anyway.
const SIGNALS: usize = 1024;

/// What wakes the thread that watches.
#[derive(Debug)]
pub(super) enum Signal {
    Noticed {
        paths: Vec<PathBuf>,
        notice: Notice,
    },
    /// Notices were lost.
    Overflow,
    Stop,
}

/// The sending half: of signals, and of the wish to stop.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    signals: SyncSender<Signal>,
    stopped: Arc<AtomicBool>,
}

pub(super) fn channel() -> (Stop, Receiver<Signal>) {
    let (signals, receiver) = mpsc::sync_channel(SIGNALS);
    let stop = Stop {
        signals,
        stopped: Arc::default(),
    };
    (stop, receiver)
}

impl Stop {
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        // When the channel is full, the thread is awake and looks at the flag.
        let _ = self.signals.try_send(Signal::Stop);
    }
}

/// Watches on folders.
pub(super) struct Notices {
    stop: Stop,
    watcher: Option<RecommendedWatcher>,
    /// With device and inode, for another folder may come by that name.
    watched: BTreeMap<PathBuf, (u64, u64)>,
    interest: Interest,
    complete: bool,
}

impl Notices {
    pub(super) fn new(stop: Stop) -> Self {
        let sender = stop.signals.clone();
        let watcher = notify::recommended_watcher(move |event| {
            if let Some(signal) = signal_of(event) {
                let _ = sender.try_send(signal);
            }
        });
        if let Err(error) = &watcher {
            warn!("can't watch files ({error}): looking at them every second instead");
        }
        Self {
            stop,
            complete: watcher.is_ok(),
            watcher: watcher.ok(),
            watched: BTreeMap::new(),
            interest: Interest::default(),
        }
    }

    /// Is told of nothing, as where inotify is forbidden.
    #[cfg(test)]
    pub(super) fn none(stop: Stop) -> Self {
        Self {
            stop,
            complete: false,
            watcher: None,
            watched: BTreeMap::new(),
            interest: Interest::default(),
        }
    }

    pub(super) fn stopped(&self) -> bool {
        self.stop.stopped.load(Ordering::Acquire)
    }

    /// Whether every change of interest is told.
    pub(super) fn complete(&self) -> bool {
        self.complete
    }

    pub(super) fn covers(&self, path: &Path) -> bool {
        self.interest.covers(path)
    }

    pub(super) fn interest(&self) -> &Interest {
        &self.interest
    }

    /// Watches what is of interest now. Returns whether a watch is new.
    pub(super) fn watch(&mut self, interest: Interest) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let wanted = interest.watched();
        self.interest = interest;
        let mut failure = None;
        let mut added = false;
        let gone: Vec<PathBuf> = self
            .watched
            .keys()
            .filter(|path| !wanted.contains(*path))
            .cloned()
            .collect();
        for path in gone {
            self.watched.remove(&path);
            // The kernel has taken it away already when the folder is gone.
            let _ = watcher.unwatch(&path);
        }
        for path in wanted {
            let Ok(metadata) = std::fs::metadata(&path) else {
                continue;
            };
            let identity = (metadata.dev(), metadata.ino());
            if self.watched.get(&path) == Some(&identity) {
                continue;
            }
            if self.watched.remove(&path).is_some() {
                let _ = watcher.unwatch(&path);
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(path, identity);
                    added = true;
                }
                Err(error) => failure = Some(error),
            }
        }
        self.tell(failure.as_ref());
        added
    }

    fn tell(&mut self, failure: Option<&notify::Error>) {
        match failure {
            Some(error) if self.complete => {
                warn!("can't watch every folder ({error}): looking at them every second instead");
            }
            None if !self.complete => info!("watching every folder again"),
            _ => {}
        }
        self.complete = failure.is_none();
    }
}

/// What an event means here; None: nothing.
fn signal_of(event: notify::Result<notify::Event>) -> Option<Signal> {
    let Ok(event) = event else {
        return Some(Signal::Overflow);
    };
    if event.need_rescan() {
        return Some(Signal::Overflow);
    }
    let notice = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Notice::Closed,
        // Our own reading is among these.
        EventKind::Access(_) => return None,
        EventKind::Modify(ModifyKind::Data(_)) => Notice::Written,
        _ => Notice::Changed,
    };
    Some(Signal::Noticed {
        paths: event.paths,
        notice,
    })
}
