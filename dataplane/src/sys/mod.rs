//! Where this crate meets the kernel: the only folder with `unsafe`, and, beside `shard/`, the only one
//! that names monoio.
//!
//! - [`io`]: our narrow interface over the runtime's streams and listeners
//! - [`buffer`]: the buffers that go to the kernel and back, and their pool
//! - [`clock`]: the time at less than what it costs elsewhere, and how long a thread ran
//! - [`datagram`]: datagrams in batches, and waiting for many sockets
//! - [`pipe`]: bytes that go from socket to socket within the kernel
//! - [`socket`]: listening sockets, and what is asked of a socket beside reading and writing
//! - [`steering`]: which shard a client's datagrams come to
//! - [`ready`], [`polled`]: which sockets are ready, and reading and writing by that, for the epoll driver
//! - `epoll`: its system calls, for these and for datagrams
//! - [`driver`]: which of the runtime's drivers runs
//! - `allocator`: what the allocator is started with
//! - [`affinity`]: which cores are ours
#![expect(
    unsafe_code,
    reason = "system calls, and buffers that the kernel writes to"
)]

pub(crate) mod affinity;
mod allocator;
pub(crate) mod buffer;
pub(crate) mod clock;
pub(crate) mod datagram;
pub(crate) mod driver;
mod epoll;
pub(crate) mod io;
pub(crate) mod pipe;
mod polled;
pub(crate) mod ready;
pub(crate) mod socket;
mod steering;
