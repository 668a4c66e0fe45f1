//! How far the search for a head's end got, so that a sender of single bytes costs linear time.
//! Owns no parsing: it only tells when a parse from the front can come to another result.

use memchr::memchr_iter;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Bytes that were seen without an end; 0 when nothing was parsed yet.
    seen: usize,
    /// With this many bytes the parser can say that a limit is broken, or how far the next one is.
    limit: usize,
}

impl Progress {
    /// After a parse that ran out of bytes; `limit` is where its window ended.
    pub(super) fn ran_out(seen: usize, limit: usize) -> Self {
        Self { seen, limit }
    }

    /// Whether `buf`, which begins with what was seen before, may hold a whole head or an error by now.
    pub(super) fn is_worth_parsing(&mut self, buf: &[u8]) -> bool {
        let fresh = self.seen == 0 || buf.len() < self.seen;
        if fresh || buf.len() >= self.limit || may_end(buf, self.seen) {
            return true;
        }
        self.seen = buf.len();
        false
    }
}

/// Whether an empty line ends at or behind `from`, or a line that ends in LF alone: an error.
fn may_end(buf: &[u8], from: usize) -> bool {
    let fresh = buf.get(from..).unwrap_or_default();
    memchr_iter(b'\n', fresh).any(|place| {
        let line = buf.get(..from + place).unwrap_or_default();
        !line.ends_with(b"\r") || line.ends_with(b"\r\n\r")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_is_worth_it_at_an_empty_line_a_bare_lf_or_a_limit() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut progress = Progress::ran_out(1, 1000);
        for end in 2..text.len() {
            assert!(!progress.is_worth_parsing(&text[..end]), "{end}");
        }
        assert!(progress.is_worth_parsing(text));
        assert!(Progress::ran_out(3, 1000).is_worth_parsing(b"GET / HTTP/1.1\n"));
        assert!(Progress::ran_out(3, 5).is_worth_parsing(b"GET /"));
        assert!(Progress::default().is_worth_parsing(b"G"));
        assert!(Progress::ran_out(9, 1000).is_worth_parsing(b"GET"));
    }
}
