//! What comes on a stream of HTTP/2, as HTTP/1, until it is read.

use ringgate_core::http1::{Framing, encode};
use ringgate_core::http2::Response;

use crate::limits;
use crate::sys::buffer::{Buffer, Pool};

/// Room for what stands around a part of a body, and for most trailers behind the last one.
const AROUND: usize = 128;

#[derive(Default)]
pub(super) struct Incoming {
    text: Buffer,
    /// Bytes of a body in it, which the peer's windows are without until they are read.
    unread: usize,
    /// Of the body, if its head has come.
    framing: Framing,
    is_over: bool,
    failure: Option<&'static str>,
}

impl Incoming {
    /// A request, of which the head has come.
    pub(super) fn request(head: &[u8], framing: Framing, is_over: bool, buffers: &Pool) -> Self {
        let mut text = Buffer::default();
        reserve(&mut text, head.len(), buffers);
        text.out().extend_from_slice(head);
        Self {
            text,
            framing,
            is_over,
            ..Self::default()
        }
    }

    /// The head of a response, interim or final.
    pub(super) fn response(&mut self, response: Response, head: &[u8], buffers: &Pool) {
        reserve(&mut self.text, head.len(), buffers);
        self.text.out().extend_from_slice(head);
        if !response.is_interim {
            self.framing = response.framing;
            self.is_over = response.is_last;
        }
    }

    pub(super) fn data(&mut self, bytes: &[u8], is_last: bool, buffers: &Pool) {
        self.unread += bytes.len();
        reserve(&mut self.text, bytes.len(), buffers);
        let out = self.text.out();
        match self.framing {
            Framing::Chunked if !bytes.is_empty() => {
                encode::chunk_start(out, bytes.len() as u64);
                out.extend_from_slice(bytes);
                encode::chunk_end(out);
            }
            _ => out.extend_from_slice(bytes),
        }
        if is_last {
            self.end(&[]);
        }
    }

    pub(super) fn trailers(&mut self, lines: &[u8], buffers: &Pool) {
        reserve(&mut self.text, lines.len(), buffers);
        self.end(lines);
    }

    fn end(&mut self, trailers: &[u8]) {
        self.is_over = true;
        if self.framing == Framing::Chunked {
            let out = self.text.out();
            encode::last_chunk(out);
            out.extend_from_slice(trailers);
            encode::head_end(out);
        }
    }

    /// What comes is never complete.
    pub(super) fn fail(&mut self, why: &'static str) {
        if !self.is_over {
            self.failure = Some(why);
        }
    }

    /// The peer has ended its side.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Ends it; how many bytes of a body nobody has read.
    pub(super) fn close(&mut self, buffers: &Pool) -> usize {
        buffers.give(std::mem::take(&mut self.text));
        self.unread
    }

    /// Appends what has come: how many bytes, and how many of these the peer may send anew. None: nothing has.
    pub(super) fn take(
        &mut self,
        into: &mut Buffer,
        buffers: &Pool,
    ) -> Option<Result<(usize, usize), &'static str>> {
        let length = self.text.len();
        if length == 0 {
            return match self.failure {
                Some(why) => Some(Err(why)),
                None => self.is_over.then_some(Ok((0, 0))),
            };
        }
        let count = length.min(limits::BUFFER_BYTES);
        if into.is_empty() && count == length {
            std::mem::swap(into, &mut self.text);
            self.text.clear();
            buffers.give(std::mem::take(&mut self.text));
        } else {
            into.reserve(count);
            let part = self.text.pending().get(..count).unwrap_or_default();
            into.out().extend_from_slice(part);
            self.text.consume(count);
        }
        let of_body = match self.text.is_empty() {
            true => self.unread,
            false => self.unread.min(count),
        };
        self.unread -= of_body;
        Some(Ok((count, of_body)))
    }
}

fn reserve(text: &mut Buffer, bytes: usize, buffers: &Pool) {
    let wanted = bytes + AROUND;
    match text.capacity() {
        0 => *text = buffers.take_for(wanted),
        _ => text.reserve(wanted),
    }
}
