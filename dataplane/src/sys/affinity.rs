//! Which cores are ours, and the thread's place on one of them.

/// The cores of our affinity mask, and how many workers they carry: fewer where a cgroup has a quota.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    mask: Vec<usize>,
    parallelism: usize,
}

impl Cores {
    pub(crate) fn ours() -> Self {
        let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
        // SAFETY: a bit set of plain numbers, for which zero is valid.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: writes at most `size` bytes to `set`.
        let found = unsafe { libc::sched_getaffinity(0, size, &raw mut set) } == 0;
        let cores = 0..usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
        // SAFETY: reads a bit below CPU_SETSIZE.
        let mask = cores
            .filter(|core| found && unsafe { libc::CPU_ISSET(*core, &set) })
            .collect();
        Self { mask, parallelism }
    }

    pub(crate) fn workers(&self) -> usize {
        self.parallelism
    }

    /// The core of a worker: none under a quota or with more workers than cores, where the scheduler
    /// knows better.
    pub(crate) fn of(&self, worker: usize, workers: usize) -> Option<usize> {
        let pinned = self.parallelism >= self.mask.len() && workers <= self.mask.len();
        if pinned {
            self.mask.get(worker).copied()
        } else {
            None
        }
    }
}

/// Keeps the calling thread on a core; where that is refused it runs unpinned.
pub(crate) fn pin(core: usize) {
    // SAFETY: as in `Cores::ours`.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: sets a bit; `core` came from such a set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: reads `set`.
    let _ = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
}
