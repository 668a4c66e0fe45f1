//! Tasks that answer streams, one stream after the other: what a task needs of memory is several KiB, and to make,
//! move and free that for each stream costs more than most streams' bytes do.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use ringgate_core::http1::Field;

use super::server::Open;
use crate::downstream::Downstream;
use crate::downstream::h1::{self, Refused, Session};
use crate::limits;
use crate::shard::Shard;
use crate::sys::buffer::Buffer;
use crate::sys::io::spawn;

/// Those of a shard that have nothing to do.
#[derive(Default)]
pub(super) struct Workers {
    idle: RefCell<Vec<Rc<Worker>>>,
}

/// A request that is to be answered.
pub(super) struct Job {
    pub(super) stream: Downstream,
    pub(super) refused: Option<Box<Refused>>,
    /// Where the head's fields stand in it, and how long it is.
    pub(super) fields: Vec<Field>,
    pub(super) length: usize,
    pub(super) open: Open,
}

#[derive(Default)]
struct Worker {
    job: Cell<Option<Job>>,
    is_dismissed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Workers {
    /// Gives a request to one that is idle, or to a new one.
    pub(super) fn answer(&self, shard: &'static Shard, job: Job) {
        let idle = self.idle.borrow_mut().pop();
        let is_new = idle.is_none();
        let worker = idle.unwrap_or_default();
        worker.job.set(Some(job));
        match is_new {
            true => spawn(work(shard, worker)),
            false => worker.wake(),
        }
    }

    /// Dismisses half of those that are idle: called now and then, so that a burst's memory doesn't stay.
    pub(super) fn trim(&self) {
        let mut idle = self.idle.borrow_mut();
        let half = idle.len() / 2;
        for worker in idle.drain(half..) {
            worker.is_dismissed.set(true);
            worker.wake();
        }
        if half == 0 {
            idle.shrink_to_fit();
        }
    }
}

impl Worker {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What is to be done next; none: nothing any more.
    async fn next(&self) -> Option<Job> {
        poll_fn(|context| match self.job.take() {
            None if !self.is_dismissed.get() => {
                self.waker.replace(Some(context.waker().clone()));
                Poll::Pending
            }
            job => Poll::Ready(job),
        })
        .await
    }
}

async fn work(shard: &'static Shard, worker: Rc<Worker>) {
    let mut session = Session::new(Buffer::default());
    while let Some(mut job) = worker.next().await {
        std::mem::swap(&mut session.head.fields, &mut job.fields);
        shard.http2.give_fields(job.fields);
        shard.turns.begin().await;
        match job.refused {
            Some(refused) => h1::refuse_one(&job.stream, &mut session, *refused).await,
            None => h1::answer_one(&job.stream, &mut session, job.length).await,
        }
        session.clear();
        drop((job.stream, job.open));
        let mut idle = shard.http2.workers.idle.borrow_mut();
        if idle.len() >= limits::H2_IDLE_WORKERS {
            return;
        }
        idle.push(worker.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F: Future>(_: fn(&'static Shard, Rc<Worker>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn one_that_is_idle_is_bounded() {
        let size = size(work);
        assert!(size <= 3776, "a worker's future has {size} bytes");
    }
}
