//! The downstream end: we are the client's server.

use super::super::encode;
use super::super::framing::Framing;
use super::super::method::Method;
use super::super::request::RequestHead;
use crate::limits::DISCARD_BYTES;

/// One client connection, from request to request.
///
/// Per request: [`request`](Self::request), then [`request_body_started`](Self::request_body_started) and
/// [`request_body_done`](Self::request_body_done) as its body comes, [`interim`](Self::interim) for each
/// interim response, [`response`](Self::response) or [`switching`](Self::switching), and
/// [`response_done`](Self::response_done).
#[derive(Clone, Debug, Default)]
pub struct ServerSide {
    minor: u8,
    method: Method,
    can_upgrade: bool,
    keep_alive: bool,
    is_draining: bool,
    body: Body,
    expect: Expect,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// No request: whatever is answered now answers something that could not be read.
    #[default]
    Idle,
    /// No final response yet.
    Requested,
    Responding,
    Switched,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Body {
    /// Announced; no byte of it was seen.
    Announced,
    Started,
    #[default]
    Done,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expect {
    #[default]
    Nothing,
    /// The client may wait for `100 Continue`.
    Continue,
    /// It was sent.
    Told,
}

/// What to say about the connection in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionField {
    /// Nothing: the version's default holds.
    Omit,
    Close,
    /// An HTTP/1.0 client that asked for it is told so.
    KeepAlive,
}

impl ConnectionField {
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Omit => {}
            Self::Close => encode::field(out, b"connection", b"close"),
            Self::KeepAlive => encode::field(out, b"connection", b"keep-alive"),
        }
    }
}

/// How a response is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What [`super::super::Relay`] is to write, and [`encode::framing`] to announce. [`Framing::None`]:
    /// no body may follow (a `Content-Length` may still be said in answer to HEAD and in a 304).
    pub framing: Framing,
    pub connection: ConnectionField,
}

/// What comes after a response was sent whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The next request, which may be in the buffer already.
    Next,
    /// Read the rest of the request's body and throw it away, then the next request; close if more than
    /// `at_most` bytes are left.
    Discard { at_most: u64 },
    /// Close. If `unread`, the client may still be sending: shut down writing, then read for a while
    /// before closing, or the reset destroys the response on its way (RFC 9112, section 9.6).
    Close { unread: bool },
    /// The connection carries another protocol from here on.
    Tunnel,
}

impl ServerSide {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A request's head was read.
    pub fn request(&mut self, head: &RequestHead) {
        self.minor = head.minor;
        self.method = head.method;
        self.can_upgrade = head.upgrade.is_some();
        self.keep_alive = head.keep_alive;
        self.body = if head.framing.is_empty() {
            Body::Done
        } else {
            Body::Announced
        };
        self.expect = if head.expect_continue {
            Expect::Continue
        } else {
            Expect::Nothing
        };
        self.phase = Phase::Requested;
    }

    /// Bytes of the body came in: the client waits for nothing.
    pub fn request_body_started(&mut self) {
        if self.body == Body::Announced {
            self.body = Body::Started;
        }
    }

    /// The body was read to its end.
    pub fn request_body_done(&mut self) {
        self.body = Body::Done;
    }

    /// Whether the request's body was read to its end; also when there is none.
    #[must_use]
    pub fn is_request_body_done(&self) -> bool {
        self.body == Body::Done
    }

    /// Whether [`encode::CONTINUE`] is to be sent now, because the gateway itself wants the body, not the
    /// backend. True at most once, and never when the client doesn't wait (RFC 9110, section 10.1.1). The
    /// backend is then sent no `Expect`.
    pub fn must_continue(&mut self) -> bool {
        let waits = self.phase == Phase::Requested && self.body == Body::Announced;
        if !waits || self.expect != Expect::Continue {
            return false;
        }
        self.expect = Expect::Told;
        true
    }

    /// Whether an interim response of the backend is to be passed on: not to HTTP/1.0 clients, not after
    /// the final response, and `100 Continue` only once (RFC 9110, section 15.2).
    pub fn interim(&mut self, status: u16) -> bool {
        let is_interim = (100..200).contains(&status) && status != 101;
        if self.minor == 0 || self.phase != Phase::Requested || !is_interim {
            return false;
        }
        if status != 100 {
            return true;
        }
        let is_news = self.expect != Expect::Told;
        self.expect = Expect::Told;
        is_news
    }

    /// Whether the backend's 101 is to be passed on: only to who asked for it. If so, nothing else is
    /// sent but what the new protocol's ends say (RFC 9110, section 7.8).
    pub fn switching(&mut self) -> bool {
        let may_switch =
            self.can_upgrade && self.phase == Phase::Requested && self.body == Body::Done;
        if may_switch {
            self.phase = Phase::Switched;
        }
        may_switch
    }

    /// The final response's head is about to be sent: of the backend, whose body is framed as `from`, or
    /// of the gateway itself (`from` is then [`Framing::Length`]). Without a request that was read it
    /// answers what could not be read, and closes.
    pub fn response(&mut self, status: u16, from: Framing) -> Reply {
        let framing = self.reply_framing(status, from);
        // A client that still waits for 100 may send the body or not: what comes next is in doubt.
        let is_in_doubt = self.body == Body::Announced && self.expect == Expect::Continue;
        let was_read = self.phase == Phase::Requested;
        self.keep_alive &=
            was_read && !is_in_doubt && !self.is_draining && framing != Framing::UntilClose;
        self.phase = Phase::Responding;
        Reply {
            framing,
            connection: self.connection_field(),
        }
    }

    /// RFC 9112, section 6.3; RFC 9110, section 6.4.1.
    fn reply_framing(&self, status: u16, from: Framing) -> Framing {
        if self.method == Method::Head || status < 200 || matches!(status, 204 | 304) {
            return Framing::None;
        }
        match from {
            Framing::None => Framing::Length(0),
            Framing::Length(length) => Framing::Length(length),
            Framing::Chunked | Framing::UntilClose if self.minor > 0 => Framing::Chunked,
            Framing::Chunked | Framing::UntilClose => Framing::UntilClose,
        }
    }

    fn connection_field(&self) -> ConnectionField {
        match (self.keep_alive, self.minor) {
            (false, _) => ConnectionField::Close,
            (true, 0) => ConnectionField::KeepAlive,
            (true, _) => ConnectionField::Omit,
        }
    }

    /// The connection is to end after the response that is under way, or now if there is none.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Whether the connection may be closed at once: nothing was asked that is not answered.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// The response was sent whole. (If it could not be, there is nothing to ask: close.)
    pub fn response_done(&mut self) -> After {
        let phase = std::mem::take(&mut self.phase);
        match phase {
            Phase::Switched => After::Tunnel,
            Phase::Responding if self.keep_alive && !self.is_draining => match self.body {
                Body::Done => After::Next,
                Body::Announced | Body::Started => After::Discard {
                    at_most: DISCARD_BYTES,
                },
            },
            _ => After::Close {
                unread: self.body != Body::Done,
            },
        }
    }
}
