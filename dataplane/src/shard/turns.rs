//! Which requests a shard begins, and when: so few in a turn of its loop that what they touch is still in the core's cache when
//! their backends answer.
//!
//! A thousand clients that ask at once would else each be looked at four times (their request is there, it is
//! sent, its answer is there, that is sent), with all others in between: each time all of it comes from memory.
//! Nobody waits longer for it, since the core is busy all the time, and whoever came first is first.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::limits;
use crate::sys::io::Turn;

/// Counts requests, by the order in which they came.
#[derive(Default)]
pub(crate) struct Turns {
    asked: Cell<u64>,
    /// Those below may begin.
    granted: Cell<u64>,
    waiting: RefCell<VecDeque<Waker>>,
    /// Whose turn is over, if that is to be known.
    keeper: RefCell<Option<Waker>>,
}

impl Turns {
    /// Waits for a request's turn. What is dropped while it waits gives its turn to nobody.
    pub(crate) async fn begin(&self) {
        let number = self.asked.get();
        self.asked.set(number + 1);
        if number < self.granted.get() {
            return;
        }
        let mut is_waiting = false;
        poll_fn(|context| self.poll(number, &mut is_waiting, context)).await;
    }

    fn poll(&self, number: u64, is_waiting: &mut bool, context: &Context<'_>) -> Poll<()> {
        if number < self.granted.get() {
            return Poll::Ready(());
        }
        if !*is_waiting {
            *is_waiting = true;
            self.waiting.borrow_mut().push_back(context.waker().clone());
            if let Some(keeper) = self.keeper.take() {
                keeper.wake();
            }
        }
        Poll::Pending
    }

    /// Lets requests begin, for ever.
    pub(crate) async fn run(&self, turn: Turn) {
        loop {
            self.wanted().await;
            turn.over().await;
            self.grant();
        }
    }

    /// Until somebody waits.
    async fn wanted(&self) {
        poll_fn(|context| match self.waiting.borrow().is_empty() {
            false => Poll::Ready(()),
            true => {
                self.keeper.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await;
    }

    /// Begins another turn: what was left of the last one is lost.
    fn grant(&self) {
        let mut waiting = self.waiting.borrow_mut();
        let begun = self.asked.get() - waiting.len() as u64;
        self.granted.set(begun + limits::REQUESTS_IN_A_TURN as u64);
        let next = waiting.len().min(limits::REQUESTS_IN_A_TURN);
        waiting.drain(..next).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    type Waiting<'t> = Pin<Box<dyn Future<Output = ()> + 't>>;

    /// How many of them begin now; they have to be the first.
    fn begin(waiting: &mut Vec<Waiting<'_>>, context: &mut Context<'_>) -> usize {
        let polled: Vec<_> = waiting
            .iter_mut()
            .map(|one| one.as_mut().poll(context).is_ready())
            .collect();
        assert!(
            polled.is_sorted_by_key(|is_ready| !is_ready),
            "one begins before one that came first"
        );
        let begun = polled.into_iter().filter(|is_ready| *is_ready).count();
        waiting.drain(..begun);
        begun
    }

    #[test]
    fn a_few_begin_in_a_turn_and_who_came_first_is_first() {
        const FEW: usize = limits::REQUESTS_IN_A_TURN;
        let turns = Turns::default();
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        let mut all: Vec<Waiting<'_>> = Vec::new();
        for _ in 0..2 * FEW + 3 {
            all.push(Box::pin(turns.begin()));
        }
        assert_eq!(begin(&mut all, &mut context), 0);
        for expected in [FEW, FEW, 3, 0] {
            woken.0.store(0, Ordering::Relaxed);
            turns.grant();
            assert_eq!(woken.0.load(Ordering::Relaxed), expected);
            assert_eq!(begin(&mut all, &mut context), expected);
        }
        // What nobody has used of this turn is for who comes now.
        let mut later = pin!(turns.begin());
        assert!(later.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn what_is_dropped_holds_nobody_up() {
        let turns = Turns::default();
        let waker = Waker::from(Arc::<Woken>::default());
        let mut context = Context::from_waker(&waker);
        let mut dropped: Vec<_> = (0..limits::REQUESTS_IN_A_TURN)
            .map(|_| Box::pin(turns.begin()))
            .collect();
        for one in &mut dropped {
            assert!(one.as_mut().poll(&mut context).is_pending());
        }
        let mut last = pin!(turns.begin());
        assert!(last.as_mut().poll(&mut context).is_pending());
        drop(dropped);
        turns.grant();
        turns.grant();
        assert!(last.as_mut().poll(&mut context).is_ready());
    }
}
