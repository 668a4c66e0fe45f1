//! Which of the runtime's drivers a shard runs on: io_uring with the flags that pay, io_uring plain,
//! epoll: the first that the kernel (or a container's seccomp profile) grants.

use std::future::Future;
use std::io;

use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

use super::ready;

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    #[default]
    Auto,
    #[value(name = "io_uring")]
    IoUring,
    Epoll,
}

/// What is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// Completions are run by the shard itself, when it asks for them: no interrupts, no atomics.
    IoUringDeferred,
    IoUring,
    Epoll,
}

impl Driver {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IoUringDeferred => "io_uring (deferred task work)",
            Self::IoUring => "io_uring (plain)",
            Self::Epoll => "epoll",
        }
    }
}

/// A runtime on one of the drivers.
pub(crate) enum AnyRuntime {
    IoUring(Runtime<TimeDriver<IoUringDriver>>),
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
}

impl AnyRuntime {
    /// The first driver that works, on the calling thread.
    pub(crate) fn build(choice: Choice) -> io::Result<(Self, Driver)> {
        if choice == Choice::Epoll {
            return Ok((Self::epoll()?, Driver::Epoll));
        }
        let mut deferred = io_uring::IoUring::builder();
        deferred
            .setup_coop_taskrun()
            .setup_single_issuer()
            .setup_defer_taskrun();
        if let Ok(runtime) = Self::io_uring(deferred) {
            return Ok((runtime, Driver::IoUringDeferred));
        }
        match Self::io_uring(io_uring::IoUring::builder()) {
            Ok(runtime) => Ok((runtime, Driver::IoUring)),
            Err(error) if choice == Choice::IoUring => Err(error),
            Err(_) => Ok((Self::epoll()?, Driver::Epoll)),
        }
    }

    fn io_uring(builder: io_uring::Builder) -> io::Result<Self> {
        let runtime = RuntimeBuilder::<IoUringDriver>::new().uring_builder(builder);
        runtime.enable_timer().build().map(Self::IoUring)
    }

    fn epoll() -> io::Result<Self> {
        ready::Set::begin()?;
        RuntimeBuilder::<LegacyDriver>::new()
            .enable_timer()
            .build()
            .map(Self::Epoll)
    }

    pub(crate) fn block_on<T>(&mut self, future: impl Future<Output = T>) -> T {
        match self {
            Self::IoUring(runtime) => runtime.block_on(future),
            Self::Epoll(runtime) => runtime.block_on(future),
        }
    }
}
