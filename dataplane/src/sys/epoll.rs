//! The system calls of epoll, for those who wait for many descriptors by one.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A set without a descriptor in it.
pub(super) fn create() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only; the descriptor is ours alone.
    unsafe {
        match libc::epoll_create1(libc::EPOLL_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            epoll => Ok(OwnedFd::from_raw_fd(epoll)),
        }
    }
}

/// Adds a descriptor to a set, changes what of it is told, or takes it out (`EPOLL_CTL_*`). One that is closed goes by itself.
pub(super) fn control(
    epoll: &impl AsRawFd,
    what: i32,
    descriptor: RawFd,
    events: u32,
    token: u64,
) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: token };
    // SAFETY: reads `event`.
    match unsafe { libc::epoll_ctl(epoll.as_raw_fd(), what, descriptor, &raw mut event) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes what there is to tell, without waiting, as far as there is room.
pub(super) fn take<'e>(
    epoll: &impl AsRawFd,
    into: &'e mut [libc::epoll_event],
) -> &'e [libc::epoll_event] {
    let room = libc::c_int::try_from(into.len()).unwrap_or(0);
    // SAFETY: writes at most `room` events, and there are so many places.
    let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), into.as_mut_ptr(), room, 0) };
    // An error, as that there is nothing, is nothing to tell.
    let count = usize::try_from(count).unwrap_or(0);
    into.get(..count).unwrap_or_default()
}
