//! What wakes a task: a moment, or that what it watches is another now. Nothing here decides either.

use std::time::Instant;

use tokio::sync::watch;

/// Resolves at that moment; without one, never.
pub(crate) async fn at(when: Option<Instant>) {
    match when {
        // A timer has steps of a millisecond, and waits for the next one at least.
        Some(when) if when <= Instant::now() => {}
        Some(when) => tokio::time::sleep_until(when.into()).await,
        None => std::future::pending().await,
    }
}

/// Wakes those who watch only if `value` is another than what they know. Returns whether it is.
pub(crate) fn tell<T: PartialEq>(watched: &watch::Sender<T>, value: T) -> bool {
    watched.send_if_modified(|known| {
        let differs = *known != value;
        if differs {
            *known = value;
        }
        differs
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_watches_is_woken_by_what_differs_alone() {
        let (sender, mut watching) = watch::channel(1);
        assert!(!tell(&sender, 1) && !watching.has_changed().unwrap());
        assert!(tell(&sender, 2) && watching.has_changed().unwrap());
        assert_eq!(*watching.borrow_and_update(), 2);
    }
}
