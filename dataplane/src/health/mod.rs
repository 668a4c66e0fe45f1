//! Which endpoints work. One thread of a process asks them and hears from shards what becomes of traffic; what it
//! decides, shards read from [`crate::shared::health`].
//!
//! - [`keep`]: which endpoints there are to watch; the configuration thread's
//! - [`watch`]: what is thought of each, and by what
//! - [`rounds`]: when an endpoint is asked; [`probe`]: how

mod keep;
mod probe;
mod rounds;
mod watch;

use std::{io, thread};

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch as latest};

pub(crate) use keep::Keeper;
use watch::Watcher;

use crate::config::InForce;
use crate::shared::health::Suspect;

/// Asks for a list of all endpoints that are watched, as JSON.
pub(crate) type Question = oneshot::Sender<String>;

/// The ends that the thread holds.
pub(crate) struct Ends {
    pub(crate) in_force: latest::Receiver<InForce>,
    pub(crate) suspects: mpsc::Receiver<Suspect>,
    pub(crate) questions: mpsc::Receiver<Question>,
    /// Checks that may be under way at a time.
    pub(crate) checks: usize,
}

/// Starts the thread: traffic never waits for it.
pub(crate) fn start(ends: Ends) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let thread = thread::Builder::new().name("health".into());
    thread.spawn(move || runtime.block_on(Watcher::new(&ends).run(ends)))?;
    Ok(())
}
