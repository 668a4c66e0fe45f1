//! The `Date` field's value, formatted once a second.

use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime};

use crate::shard::timer::Millis;

/// A shard's current `Date` (RFC 9110, section 6.6.1).
#[derive(Default)]
pub(crate) struct Date {
    text: RefCell<String>,
    until: Cell<Millis>,
}

impl Date {
    /// Appends the value; `now` is the shard's clock.
    pub(crate) fn write(&self, now: Millis, out: &mut Vec<u8>) {
        if now >= self.until.get() {
            let time = SystemTime::now();
            let part = time
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or(Duration::ZERO);
            self.until.set(now + 1000 - u64::from(part.subsec_millis()));
            *self.text.borrow_mut() = httpdate::fmt_http_date(time);
        }
        out.extend_from_slice(self.text.borrow().as_bytes());
    }
}
