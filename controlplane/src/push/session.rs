//! The conversation with one data plane: what it has, what it is sent next, what it acked.
//!
//! No input or output, and time is an argument. At most one version is in flight; versions that came
//! up meanwhile become one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ringgate_core::ir::{Id, Version};
use ringgate_core::limits::OBJECTS;
use ringgate_core::wire::proto::{self, dataplane_message::Message};
use ringgate_core::wire::{self, DecodeError};
use thiserror::Error;

use super::parts::{Held, parts};
use super::wanted::Wanted;
use crate::limits::PEER_TEXT_BYTES;

/// What a data plane broke of the protocol; its stream is ended with this.
#[derive(Debug, Error)]
pub enum SessionError {
    #[error("the first message must be a hello")]
    NoHello,
    #[error("a second hello")]
    SecondHello,
    #[error("an empty message")]
    Empty,
    #[error("{count} objects are more than the limit of {OBJECTS}")]
    TooMany { count: usize },
    #[error("an ack of version {version}, which was not sent last")]
    StrayAck { version: Version },
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Who a data plane says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    pub instance: String,
    pub software: String,
    pub driver: String,
    pub workers: u32,
    /// What it has in force, from a control plane before or from disk.
    pub version: Version,
}

/// What could not be put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub id: Id,
    pub reason: String,
}

/// What a message from the data plane means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Hello(Introduction),
    Acked {
        version: Version,
        failures: Vec<Failure>,
        /// Since it was sent; none when it is acked once more, because what fails is other than before.
        took: Option<Duration>,
    },
    Heartbeat {
        draining: bool,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub struct Session {
    /// What the data plane has, what is in flight included; `None` before hello.
    held: Option<Held>,
    /// What it had when it came: it takes nothing below that.
    floor: Version,
    sent: Option<Version>,
    in_flight: Option<(Version, Instant)>,
}

impl Session {
    /// Takes a message of the data plane.
    ///
    /// # Errors
    /// [`SessionError`] when the data plane breaks the protocol.
    pub fn receive(
        &mut self,
        message: proto::DataplaneMessage,
        now: Instant,
    ) -> Result<Heard, SessionError> {
        let message = message.message.ok_or(SessionError::Empty)?;
        match (message, &self.held) {
            (Message::Hello(hello), None) => self.greet(hello),
            (Message::Hello(_), Some(_)) => Err(SessionError::SecondHello),
            (_, None) => Err(SessionError::NoHello),
            (Message::Ack(ack), Some(_)) => self.take_ack(ack, now),
            (Message::Heartbeat(beat), Some(_)) => Ok(Heard::Heartbeat {
                draining: beat.draining,
            }),
        }
    }

    /// What must be sent now to reach `wanted`, in this order: the parts of one version, or nothing.
    pub fn advance(&mut self, wanted: &Arc<Wanted>, now: Instant) -> Vec<proto::Update> {
        let Some(held) = &mut self.held else {
            return Vec::new();
        };
        let is_stale = wanted.version < self.floor;
        if is_stale || self.in_flight.is_some() || self.sent == Some(wanted.version) {
            return Vec::new();
        }
        let parts = parts(wanted, held);
        *held = Held::Sent(wanted.clone());
        self.sent = Some(wanted.version);
        self.in_flight = Some((wanted.version, now));
        parts
    }

    fn greet(&mut self, hello: proto::Hello) -> Result<Heard, SessionError> {
        let count = hello.held.len();
        if count > OBJECTS {
            return Err(SessionError::TooMany { count });
        }
        let held: Result<_, DecodeError> = hello
            .held
            .iter()
            .map(|held| Ok((wire::id(held.id.as_ref())?, held.hash)))
            .collect();
        self.held = Some(Held::Said(held?));
        let version = match hello.version {
            None => Version::default(),
            some => wire::version(some)?,
        };
        self.floor = version;
        Ok(Heard::Hello(Introduction {
            instance: bounded(hello.instance),
            software: bounded(hello.software),
            driver: bounded(hello.driver),
            workers: hello.workers,
            version,
        }))
    }

    fn take_ack(&mut self, ack: proto::Ack, now: Instant) -> Result<Heard, SessionError> {
        let version = wire::version(ack.version)?;
        let took = match self.in_flight {
            Some((sent, since)) if sent == version => Some(now.saturating_duration_since(since)),
            None if self.sent == Some(version) => None,
            _ => return Err(SessionError::StrayAck { version }),
        };
        self.in_flight = None;
        let failures: Result<_, DecodeError> = ack
            .failures
            .into_iter()
            .take(OBJECTS)
            .map(|failure| {
                Ok(Failure {
                    id: wire::id(failure.id.as_ref())?,
                    reason: bounded(failure.reason),
                })
            })
            .collect();
        Ok(Heard::Acked {
            version,
            failures: failures?,
            took,
        })
    }
}

fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(PEER_TEXT_BYTES));
    text
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
