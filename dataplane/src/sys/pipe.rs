//! Bytes that go from one socket to another within the kernel, through a pipe (splice(2)), and a shard's pool
//! of pipes.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::io::Stream;
use crate::limits;

/// What it holds is on its way; it is empty when it is given back.
pub(crate) struct Pipe {
    into: OwnedFd,
    out_of: OwnedFd,
    held: usize,
}

impl Pipe {
    fn open() -> io::Result<Self> {
        let mut ends = [-1; 2];
        // SAFETY: the kernel writes two descriptors into the array.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptors are new, and nobody else's.
        let [out_of, into] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        let pipe = Self {
            into,
            out_of,
            held: 0,
        };
        pipe.widen();
        Ok(pipe)
    }

    /// As wide as the kernel lets it be: past a user's share (`fs.pipe-user-pages-soft`) it stays as it is.
    fn widen(&self) {
        for bytes in [limits::CHUNK_BYTES, limits::CHUNK_BYTES / 4] {
            let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
            // SAFETY: it takes no pointers.
            if unsafe { libc::fcntl(self.into.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) } >= 0 {
                return;
            }
        }
    }

    /// How many bytes are in it.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Takes what has come to a stream, `most` bytes at a time. 0 bytes: what comes next can't be taken so (the end,
    /// an urgent byte, or nothing yet), and a read tells what it is.
    pub(crate) fn fill(&mut self, from: &Stream, most: usize) -> io::Result<usize> {
        let moved = without_waiting(from, || splice(from.fd(), self.into.as_raw_fd(), most));
        match moved {
            Ok(moved) => {
                self.held += moved;
                Ok(moved)
            }
            // What the stream has to say of itself is told once, so it is told here.
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN) => {
                    if let Some(polled) = from.polled() {
                        polled.left_room();
                    }
                    Ok(0)
                }
                Some(libc::EINVAL | libc::ENOSYS | libc::EPERM) => Ok(0),
                _ => Err(error),
            },
        }
    }

    /// Hands on what it holds; [`io::ErrorKind::WouldBlock`]: the stream takes nothing now.
    pub(crate) fn empty(&mut self, to: &Stream) -> io::Result<usize> {
        let moved = without_waiting(to, || splice(self.out_of.as_raw_fd(), to.fd(), self.held))?;
        self.held -= moved;
        match moved {
            0 => Err(io::ErrorKind::WriteZero.into()),
            _ => Ok(moved),
        }
    }
}

/// `splice` waits for a socket whatever its flags say, unless the socket itself doesn't wait; but those of an
/// io_uring do, or its reads would fail where they shall wait. Operations that are under way don't look
/// at this any more.
fn without_waiting(stream: &Stream, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    if stream.polled().is_some() {
        return call();
    }
    let socket = stream.fd();
    let flags = flags(socket)?;
    if flags & libc::O_NONBLOCK != 0 {
        return call();
    }
    set_flags(socket, flags | libc::O_NONBLOCK)?;
    let result = call();
    set_flags(socket, flags)?;
    result
}

fn flags(socket: RawFd) -> io::Result<libc::c_int> {
    // SAFETY: it takes no pointers.
    match unsafe { libc::fcntl(socket, libc::F_GETFL) } {
        flags @ 0.. => Ok(flags),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set_flags(socket: RawFd, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: it takes no pointers.
    match unsafe { libc::fcntl(socket, libc::F_SETFL, flags) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn splice(from: RawFd, to: RawFd, most: usize) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    let (none, nowhere) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: neither end has an offset, and no memory of ours is named.
    let moved = unsafe { libc::splice(from, none, to, nowhere, most, flags) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// Pipes of one shard: none is held by a connection that waits for bytes.
#[derive(Default)]
pub(crate) struct Pipes {
    free: RefCell<Vec<Pipe>>,
    taken: Cell<usize>,
}

impl Pipes {
    /// Lends a pipe; none: as many are lent as may be, or the process has no descriptors left.
    pub(crate) fn take(&self) -> Option<Pipe> {
        if self.taken.get() >= limits::PIPES {
            return None;
        }
        let free = self.free.borrow_mut().pop();
        let pipe = free.or_else(|| Pipe::open().ok())?;
        self.taken.set(self.taken.get() + 1);
        Some(pipe)
    }

    /// Takes a pipe back; one that holds something is closed.
    pub(crate) fn give(&self, pipe: Pipe) {
        self.taken.set(self.taken.get().saturating_sub(1));
        if pipe.held == 0 {
            self.free.borrow_mut().push(pipe);
        }
    }

    /// Closes half of those that nobody uses: called now and then.
    pub(crate) fn trim(&self) {
        let mut free = self.free.borrow_mut();
        let half = free.len() / 2;
        free.truncate(half);
    }
}
