//! HTTP/2 (RFC 9113) on either side of the gateway, by the core's state machine.
//!
//! Each stream is a [`bridge::Bridge`]: one more kind of transport, which speaks HTTP/1 inwards. So there is
//! one way that requests go, with one set of filters, retries and bounds, whatever the two sides speak; and
//! what HTTP/1 couldn't frame safely is refused by the parser that refuses it in HTTP/1.
//!
//! - `link`: a connection, its one reader and its one writer
//! - `workers`: tasks for a client's streams
//! - `incoming`, `outgoing`: the two directions of a stream; [`bridge`]: both; [`server`]: a client's connection; [`client`]: an endpoint's connections

use std::cell::RefCell;

use ringgate_core::http1::{Field, ResponseHead};
use ringgate_core::http2::head::OwnHead;

use crate::limits;

pub(crate) mod bridge;
pub(crate) mod client;
mod incoming;
mod link;
mod outgoing;
pub(crate) mod server;
mod workers;

/// What the streams of a shard use again, one after the other.
#[derive(Default)]
pub(crate) struct Kit {
    workers: workers::Workers,
    /// Of what goes out, while it is translated.
    head: RefCell<OwnHead>,
    /// For what comes in, from a backend.
    responses: RefCell<Vec<ResponseHead>>,
    /// For the places of fields that come in, from a client.
    fields: RefCell<Vec<Vec<Field>>>,
}

impl Kit {
    /// A head to be read into, with the memory of one that was.
    pub(crate) fn take_response(&self) -> ResponseHead {
        self.responses.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_response(&self, mut head: ResponseHead) {
        let mut responses = self.responses.borrow_mut();
        if responses.len() < limits::H2_IDLE_WORKERS {
            head.reset();
            responses.push(head);
        }
    }

    fn take_fields(&self) -> Vec<Field> {
        self.fields.borrow_mut().pop().unwrap_or_default()
    }

    fn give_fields(&self, fields: Vec<Field>) {
        let mut all = self.fields.borrow_mut();
        if all.len() < limits::H2_IDLE_WORKERS {
            all.push(fields);
        }
    }

    /// Gives memory of a burst back: called now and then.
    pub(crate) fn trim(&self) {
        self.workers.trim();
        let mut responses = self.responses.borrow_mut();
        let half = responses.len() / 2;
        responses.truncate(half);
        let mut fields = self.fields.borrow_mut();
        let half = fields.len() / 2;
        fields.truncate(half);
    }
}
