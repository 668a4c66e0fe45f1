//! Buffers that the kernel reads from and writes to, and a shard's pool of them.

use std::cell::RefCell;

use monoio::buf::{IoBuf, IoBufMut};

use crate::limits;

/// Bytes that are pending between a write position and a read position: a read from a socket appends,
/// a write to a socket takes from the front.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            start: 0,
        }
    }

    pub(crate) fn small() -> Self {
        Self::with_capacity(limits::SMALL_BUFFER_BYTES)
    }

    /// What is pending.
    pub(crate) fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// What is pending, to be decrypted in place.
    pub(crate) fn pending_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.bytes.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    /// Takes from the front.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start >= self.bytes.len() {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// To append to; what is pending stays in front.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Starts the write again from the first byte that was ever appended since the last [`Self::clear`],
    /// for a request that is sent once more.
    pub(crate) fn rewind(&mut self) {
        self.start = 0;
    }

    /// Counts what was sent without forgetting it, so that [`Self::rewind`] can send it again.
    pub(crate) fn mark_sent(&mut self, count: usize) {
        self.start += count;
    }

    /// Room for at least `room` more bytes behind what is pending.
    pub(crate) fn reserve(&mut self, room: usize) {
        if self.bytes.capacity() - self.bytes.len() >= room {
            return;
        }
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.reserve(room);
    }

    pub(crate) fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

// SAFETY: the pointer is into the vector's heap block, which stays in place while the buffer is moved;
// `pending` bytes behind it are initialised.
unsafe impl IoBuf for Buffer {
    fn read_ptr(&self) -> *const u8 {
        self.pending().as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.len()
    }
}

// SAFETY: pointer and length name the spare capacity of the vector, which is ours alone while the kernel
// writes to it, for the buffer is moved into the operation.
unsafe impl IoBufMut for Buffer {
    fn write_ptr(&mut self) -> *mut u8 {
        self.bytes.spare_capacity_mut().as_mut_ptr().cast()
    }

    fn bytes_total(&mut self) -> usize {
        self.room()
    }

    unsafe fn set_init(&mut self, count: usize) {
        let length = self.bytes.len() + count;
        debug_assert!(length <= self.bytes.capacity());
        // SAFETY: the caller has initialised `count` bytes of the spare capacity.
        unsafe { self.bytes.set_len(length) }
    }
}

/// Free buffers of one shard; idle connections hold none.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: RefCell<Vec<Buffer>>,
    small: RefCell<Vec<Buffer>>,
    large: RefCell<Vec<Buffer>>,
}

impl Pool {
    pub(crate) fn take(&self) -> Buffer {
        let free = self.free.borrow_mut().pop();
        free.unwrap_or_else(|| Buffer::with_capacity(limits::BUFFER_BYTES))
    }

    pub(crate) fn take_small(&self) -> Buffer {
        let free = self.small.borrow_mut().pop();
        free.unwrap_or_else(Buffer::small)
    }

    /// For a large body.
    pub(crate) fn take_large(&self) -> Buffer {
        let free = self.large.borrow_mut().pop();
        free.unwrap_or_else(|| Buffer::with_capacity(limits::BODY_BUFFER_BYTES))
    }

    /// A buffer for at least so many bytes; only those of the two usual sizes are kept here.
    pub(crate) fn take_for(&self, bytes: usize) -> Buffer {
        if bytes <= limits::SMALL_BUFFER_BYTES {
            self.take_small()
        } else if bytes <= limits::BUFFER_BYTES {
            self.take()
        } else {
            Buffer::with_capacity(bytes)
        }
    }

    /// Takes a buffer back from whoever is to wait, unless something is pending in it. One that has grown stays
    /// where it is: the message that it has grown for goes on.
    pub(crate) fn rest(&self, buffer: &mut Buffer) {
        if buffer.is_empty() && buffer.capacity() <= limits::BUFFER_BYTES {
            self.give(std::mem::take(buffer));
        }
    }

    /// Gives half of the free buffers back to the allocator: called now and then, so that a burst's
    /// memory doesn't stay.
    pub(crate) fn trim(&self) {
        for free in [&self.free, &self.small, &self.large] {
            let mut free = free.borrow_mut();
            let half = free.len() / 2;
            free.truncate(half);
            if half == 0 {
                free.shrink_to_fit();
            }
        }
    }

    /// Takes a buffer back; one that has grown is dropped, so that a large message leaves no trace, and so
    /// is one that was never of the pool.
    pub(crate) fn give(&self, mut buffer: Buffer) {
        let (free, most) = match buffer.capacity() {
            limits::BUFFER_BYTES => (&self.free, limits::FREE_BUFFERS),
            limits::SMALL_BUFFER_BYTES => (&self.small, limits::FREE_BUFFERS),
            limits::BODY_BUFFER_BYTES => (&self.large, limits::FREE_LARGE_BUFFERS),
            _ => return,
        };
        let mut free = free.borrow_mut();
        if free.len() < most {
            buffer.clear();
            free.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pending_survives_growing_and_consuming() {
        let mut buffer = Buffer::with_capacity(8);
        buffer.out().extend_from_slice(b"abcdefgh");
        buffer.consume(3);
        buffer.reserve(100);
        assert!(buffer.room() >= 100);
        assert_eq!(buffer.pending(), b"defgh");
        buffer.consume(5);
        assert!(buffer.is_empty());
        assert_eq!(buffer.len(), 0);
    }

    #[test]
    fn a_request_can_be_sent_again() {
        let mut buffer = Buffer::with_capacity(8);
        buffer.out().extend_from_slice(b"GET");
        buffer.mark_sent(3);
        assert!(buffer.is_empty());
        buffer.rewind();
        assert_eq!(buffer.pending(), b"GET");
    }

    #[test]
    fn grown_buffers_do_not_return_to_the_pool() {
        let pool = Pool::default();
        pool.give(Buffer::with_capacity(limits::BUFFER_BYTES + 1));
        assert!(pool.free.borrow().is_empty());
        pool.give(Buffer::with_capacity(limits::BUFFER_BYTES - 1));
        assert!(pool.free.borrow().is_empty());
        pool.give(Buffer::with_capacity(limits::BUFFER_BYTES));
        assert_eq!(pool.free.borrow().len(), 1);
    }
}
