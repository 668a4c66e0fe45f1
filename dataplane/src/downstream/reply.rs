//! Replies of the gateway itself: errors, redirects, preflights, echoes.

use std::borrow::Cow;
use std::fmt;

use ringgate_core::grpc::{Carriage, status as grpc};
use ringgate_core::http1::{After, BodyError, Framing, RequestError, encode};
use ringgate_core::retry::Failure;

use super::Downstream;
use super::h1::Session;
use crate::sys::buffer::Buffer;

/// A response that no backend made.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Field lines, written.
    pub(crate) fields: Vec<u8>,
    pub(crate) content_type: &'static str,
    pub(crate) body: Cow<'static, [u8]>,
    /// For the access log: why, in a word or two.
    pub(crate) reason: &'static str,
    /// What a client of gRPC is told, where that isn't what the status stands for.
    pub(crate) grpc_code: Option<u8>,
}

impl Reply {
    /// A plain text: what is wrong, for whoever sees it in a browser or with curl.
    pub(crate) fn text(status: u16, reason: &'static str, text: &'static str) -> Self {
        Self {
            status,
            fields: Vec::new(),
            content_type: "text/plain; charset=utf-8",
            body: Cow::Borrowed(text.as_bytes()),
            reason,
            grpc_code: None,
        }
    }

    pub(crate) fn empty(status: u16, reason: &'static str) -> Self {
        Self::text(status, reason, "")
    }

    pub(crate) fn timeout() -> Self {
        Self::text(
            408,
            "header_timeout",
            "The request's head did not come in time.\n",
        )
    }

    pub(crate) fn field(&mut self, name: &str, value: &[u8]) {
        encode::field(&mut self.fields, name.as_bytes(), value);
    }

    pub(crate) fn late_body() -> Self {
        Self::text(
            408,
            "body_timeout",
            "The request's body did not come in time.\n",
        )
    }

    pub(crate) fn truncated_body() -> Self {
        Self::text(
            400,
            "body_truncated",
            "The request's body ended too early.\n",
        )
    }

    pub(crate) fn bad_body(error: &BodyError) -> Self {
        let body = Cow::Owned(format!("The request is refused: {error}.\n").into_bytes());
        Self {
            body,
            ..Self::empty(400, "bad_body")
        }
    }

    pub(crate) fn large_body() -> Self {
        Self::text(
            413,
            "body_too_large",
            "The body is larger than allowed here.\n",
        )
    }

    pub(crate) fn no_endpoints() -> Self {
        Self::text(
            503,
            "no_endpoints",
            "The backend has no endpoint that is ready.\n",
        )
    }

    pub(crate) fn full() -> Self {
        Self::text(
            503,
            "backend_full",
            "The backend has as many connections as it may have.\n",
        )
    }

    /// What the client learns of a backend's failure.
    pub(crate) fn failed(failure: Failure) -> Self {
        match failure {
            Failure::Connect => Self::text(
                503,
                "connect_failed",
                "The backend can't be connected to.\n",
            ),
            Failure::Refused => Self::text(
                503,
                "backend_refused",
                "The backend takes no further requests now.\n",
            ),
            Failure::Timeout => Self::text(
                504,
                "backend_timeout",
                "The backend did not answer in time.\n",
            ),
            Failure::StaleConnection | Failure::Broken | Failure::Status(_) => {
                Self::text(502, "backend_broken", "The backend gave no valid answer.\n")
            }
        }
    }

    pub(crate) fn refused(error: &RequestError) -> Self {
        Self::bad_head(error, error.status())
    }

    pub(crate) fn bad_head(error: &dyn fmt::Display, status: u16) -> Self {
        let body = Cow::Owned(format!("The request is refused: {error}.\n").into_bytes());
        Self {
            body,
            ..Self::empty(status, "bad_request")
        }
    }
}

impl Reply {
    /// The same in gRPC's terms: a response of trailers only (PROTOCOL-HTTP2.md, "Responses"), for a client of
    /// gRPC reads the status there. What isn't an error stays as it is.
    fn in_grpc(self, carriage: Carriage) -> Self {
        if self.status < 400 {
            return self;
        }
        let mut fields = self.fields;
        encode::field(&mut fields, b"content-type", carriage.content_type());
        let code = self.grpc_code.unwrap_or_else(|| grpc::code(self.status));
        grpc::fields(code, &self.body, &mut fields);
        Self {
            status: 200,
            fields,
            body: Cow::Borrowed(&[]),
            ..self
        }
    }
}

/// Sends a reply to the request at hand.
pub(crate) async fn send(downstream: &Downstream, session: &Session, reply: Reply) -> After {
    let reply = match session.grpc {
        Some(carriage) => reply.in_grpc(carriage),
        None => reply,
    };
    let shard = downstream.shard;
    let now = shard.deadlines.now();
    let mut buffer = shard.buffers.take();
    let table = shard.table();
    let settings = table.port(downstream.bind).map(|port| &port.settings);
    {
        let mut side = session.side.borrow_mut();
        if downstream.is_ending() {
            side.drain();
        }
        let length = Framing::Length(reply.body.len() as u64);
        let form = side.response(reply.status, length);
        let out = buffer.out();
        encode::status_line(out, reply.status);
        out.extend_from_slice(b"date: ");
        shard.date.write(now, out);
        out.extend_from_slice(encode::CRLF);
        if let Some(server) = settings.and_then(|settings| settings.server.as_deref()) {
            encode::field(out, b"server", server.as_bytes());
        }
        if !reply.body.is_empty() {
            encode::field(out, b"content-type", reply.content_type.as_bytes());
        }
        out.extend_from_slice(&reply.fields);
        form.connection.write(out);
        if !matches!(reply.status, 100..=199 | 204 | 304) {
            encode::framing(out, length);
        }
        encode::head_end(out);
        if !form.framing.is_empty() {
            out.extend_from_slice(&reply.body);
        }
    }
    let idle = settings
        .map_or_else(Default::default, |settings| settings.timeouts)
        .idle;
    let (sent, buffer) = downstream.write(buffer, idle).await;
    shard.buffers.give(buffer);
    match sent {
        Ok(()) => session.side.borrow_mut().response_done(),
        Err(_) => After::Close { unread: false },
    }
}

/// Refuses what could not be read as a request, and parts.
pub(crate) async fn refuse(downstream: &Downstream, session: &mut Session, reply: Reply) -> After {
    *session.side.borrow_mut() = ringgate_core::http1::ServerSide::new();
    session.grpc = None;
    let _ = send(downstream, session, reply).await;
    After::Close { unread: true }
}

/// Writes bytes to the client within the listener's idle timeout; the buffer returns to the pool.
pub(crate) async fn write(downstream: &Downstream, buffer: Buffer) -> bool {
    let table = downstream.shard.table();
    let port = table.port(downstream.bind);
    let timeouts = port.map_or_else(Default::default, |port| port.settings.timeouts);
    drop(table);
    let (sent, buffer) = downstream.write(buffer, timeouts.idle).await;
    downstream.shard.buffers.give(buffer);
    sent.is_ok()
}
