//! The upstream end: we are the backend's client.

use super::super::framing::Framing;
use super::super::response::ResponseHead;
use crate::limits::INTERIM_RESPONSES;

/// One backend connection, from request to request.
///
/// Per request: [`request`](Self::request), [`request_body_done`](Self::request_body_done),
/// [`response`](Self::response) for each head that comes, [`response_body_done`](Self::response_body_done),
/// and then [`reuse`](Self::reuse).
#[derive(Clone, Debug, Default)]
pub struct ClientSide {
    phase: Phase,
    is_body_done: bool,
    asked_upgrade: bool,
    keep_alive: bool,
    interims: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    /// No final response yet.
    Requested,
    /// The final response's body is under way.
    Responding,
    Responded,
    Switched,
}

/// What a response's head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Another head follows.
    Interim,
    /// 101: the connection carries another protocol from here on.
    Switching,
    /// The response. If `early`, the request's body was not yet sent whole: go on sending it while the
    /// response is passed on, or give the connection up (RFC 9112, section 9.5).
    Final { early: bool },
}

/// Why a response's head is refused although its syntax is right. The backend's fault: 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    #[error("response without a request")]
    Unasked,
    #[error("101 response to a request that did not ask for it")]
    UnaskedUpgrade,
    #[error("more than {INTERIM_RESPONSES} interim responses")]
    TooManyInterims,
}

impl ClientSide {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A request is about to be sent, with a body framed as `body`; `upgrade` if it asks for another
    /// protocol, as [`upgrade`](super::super::RequestHead::upgrade) of the client's request told.
    pub fn request(&mut self, body: Framing, upgrade: bool) {
        *self = Self {
            phase: Phase::Requested,
            is_body_done: body.is_empty(),
            asked_upgrade: upgrade,
            keep_alive: false,
            interims: 0,
        };
    }

    /// The request's body was sent whole.
    pub fn request_body_done(&mut self) {
        self.is_body_done = true;
    }

    /// A response's head was read.
    ///
    /// # Errors
    /// When nothing like it was asked for. The connection is then of no more use.
    pub fn response(&mut self, head: &ResponseHead) -> Result<Answer, AnswerError> {
        let answer = self.classify(head);
        if answer.is_err() {
            *self = Self::default();
        }
        answer
    }

    fn classify(&mut self, head: &ResponseHead) -> Result<Answer, AnswerError> {
        if self.phase != Phase::Requested {
            return Err(AnswerError::Unasked);
        }
        if head.is_interim() {
            self.interims += 1;
            let is_bounded = self.interims <= INTERIM_RESPONSES;
            return is_bounded
                .then_some(Answer::Interim)
                .ok_or(AnswerError::TooManyInterims);
        }
        if head.status == 101 {
            let switching = self.asked_upgrade.then_some(Answer::Switching);
            self.phase = Phase::Switched;
            return switching.ok_or(AnswerError::UnaskedUpgrade);
        }
        self.keep_alive = head.keep_alive;
        self.phase = if head.framing.is_empty() {
            Phase::Responded
        } else {
            Phase::Responding
        };
        Ok(Answer::Final {
            early: !self.is_body_done,
        })
    }

    /// The response's body was read to its end.
    pub fn response_body_done(&mut self) {
        if self.phase == Phase::Responding {
            self.phase = Phase::Responded;
        }
    }

    /// Whether the connection may carry another request: both bodies ended whole, the backend keeps it
    /// open, and no byte came behind the response (`left_over`): such bytes would be taken for the next
    /// request's response.
    #[must_use]
    pub fn reuse(&self, left_over: usize) -> bool {
        self.phase == Phase::Responded && self.is_body_done && self.keep_alive && left_over == 0
    }
}
