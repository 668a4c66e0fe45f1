//! A large response's body, whose bytes go on as they came, within the kernel.

use ringgate_core::http1::Relay;

use super::{Receiving, Stop};
use crate::limits;
use crate::shard::timer::Action;
use crate::splice::{self, Broken, Flow};
use crate::sys::socket::Shutdown;

impl Receiving<'_> {
    /// Passes on what may be passed on unseen, if it is much; the rest is for who looks at it.
    pub(super) async fn splice(&self, relay: &mut Relay) -> Result<(), Stop> {
        let streams = (self.upstream.stream.bare(), self.downstream.stream.bare());
        let (Some(source), Some(sink)) = streams else {
            return Ok(());
        };
        let mut rest = Rest {
            receiving: self,
            relay,
        };
        if rest.left() == 0 {
            return Ok(());
        }
        let carried = splice::run(self.downstream.shard, (source, sink), &mut rest).await;
        self.is_writing.set(false);
        if !self.is_uploading.get() {
            self.downstream.watch.clear();
        }
        match carried {
            Ok(()) => Ok(()),
            Err(Broken::Source) => Err(Stop::Backend),
            Err(Broken::Sink) => Err(Stop::Client),
        }
    }
}

/// What is left of a body.
struct Rest<'r, 'x> {
    receiving: &'r Receiving<'x>,
    relay: &'r mut Relay,
}

impl Flow for Rest<'_, '_> {
    /// Little is cheaper by a buffer, in which more may come behind it.
    fn left(&self) -> usize {
        match self.relay.verbatim(usize::MAX) {
            ..limits::SPLICED_BYTES => 0,
            left => left,
        }
    }

    fn waits(&self) {
        let receiving = self.receiving;
        receiving.is_writing.set(false);
        if !receiving.is_uploading.get() {
            receiving.downstream.watch.clear();
        }
        receiving.expect();
    }

    fn came(&mut self, bytes: usize) {
        self.relay.advance(bytes);
        if !self.receiving.is_uploading.get() {
            self.receiving.upstream.watch.clear();
        }
    }

    fn leaves(&self) {
        self.receiving.is_writing.set(true);
        let downstream = self.receiving.downstream;
        let idle = self.receiving.forward.settings.timeouts.idle;
        let now = downstream.shard.deadlines.now();
        let until = Action::Shutdown(Shutdown::Both);
        downstream.watch.set(now, idle, until);
    }

    fn is_late(&self) -> bool {
        self.receiving.upstream.watch.has_fired()
    }
}
