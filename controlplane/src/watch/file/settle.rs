//! When to look: after a change, wait until the dust settles, but not for long. Pure: time is an
//! argument.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Nothing more happens for so long: saving a file by way of another takes a few milliseconds.
const QUIET: Duration = Duration::from_millis(20);

/// Whatever happens, look after so long: a change takes force within a second.
const AT_MOST: Duration = Duration::from_millis(200);

/// Files under way that are remembered; of more, the bound above takes care,
/// and everything is looked at.
const FILES_UNDER_WAY: usize = 1000;

/// What was noticed of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Made, removed, renamed, or its rights changed.
    Changed,
    /// Written to: not complete before it is closed.
    Written,
    /// Closed by who wrote it.
    Closed,
}

#[derive(Debug, Default)]
pub(super) struct Settle {
    /// The first and the last notice.
    since: Option<(Instant, Instant)>,
    under_way: BTreeSet<PathBuf>,
    touched: Touched,
}

/// What was noticed, for who looks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Touched {
    Paths(BTreeSet<PathBuf>),
    /// Too many, or not known.
    Everything,
}

impl Default for Touched {
    fn default() -> Self {
        Self::Paths(BTreeSet::new())
    }
}

impl Settle {
    pub(super) fn notice(&mut self, now: Instant, path: &Path, notice: Notice) {
        let first = self.since.map_or(now, |(first, _)| first);
        self.since = Some((first, now));
        self.touch(path);
        match notice {
            Notice::Written if self.under_way.len() < FILES_UNDER_WAY => {
                self.under_way.insert(path.into());
            }
            Notice::Changed | Notice::Written => {}
            Notice::Closed => {
                self.under_way.remove(path);
            }
        }
    }

    /// When to look; None: nothing has changed.
    pub(super) fn due(&self) -> Option<Instant> {
        let (first, last) = self.since?;
        let latest = first + AT_MOST;
        Some(if self.under_way.is_empty() {
            latest.min(last + QUIET)
        } else {
            latest
        })
    }

    /// Anything may have changed.
    pub(super) fn notice_everything(&mut self, now: Instant) {
        let first = self.since.map_or(now, |(first, _)| first);
        self.since = Some((first, now));
        self.touched = Touched::Everything;
    }

    /// What was noticed up to now; then it begins anew.
    pub(super) fn take(&mut self) -> Touched {
        std::mem::take(self).touched
    }

    fn touch(&mut self, path: &Path) {
        match &mut self.touched {
            Touched::Paths(paths) if paths.len() < FILES_UNDER_WAY => {
                paths.insert(path.into());
            }
            touched => *touched = Touched::Everything,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_for_quiet_and_for_writers_but_not_for_long() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let path = Path::new("a.yaml");
        let mut settle = Settle::default();
        assert_eq!(settle.due(), None);
        settle.notice(start, path, Notice::Changed);
        assert_eq!(settle.due(), Some(after(20)));
        settle.notice(after(15), path, Notice::Written);
        assert_eq!(settle.due(), Some(after(200)));
        settle.notice(after(40), path, Notice::Closed);
        assert_eq!(settle.due(), Some(after(60)));
        settle.notice(after(195), path, Notice::Changed);
        assert_eq!(settle.due(), Some(after(200)));
        assert_eq!(settle.take(), Touched::Paths([path.into()].into()));
        assert_eq!(settle.due(), None);
        settle.notice(start, path, Notice::Changed);
        settle.notice_everything(start);
        settle.notice(start, path, Notice::Changed);
        assert_eq!(settle.take(), Touched::Everything);
    }
}
