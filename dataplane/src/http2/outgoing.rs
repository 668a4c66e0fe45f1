//! What goes out on a stream of HTTP/2, from HTTP/1.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::SendStream;
use h2::client::SendRequest;
use h2::server::SendResponse;
use ringgate_core::http1::{Framing, Limits, Method, Parse, Relay, ResponseHead, parse_response};

use super::head;
use crate::limits;
use crate::sys::buffer::Buffer;

/// Heads that we have written ourselves, from heads that kept their limits.
pub(super) const OWN_HEAD: Limits = limits::RESPONSE_HEAD;
/// Copying less costs less than a buffer that doesn't return to the pool.
const TAKEN: usize = 4 << 10;

/// To the peer.
pub(super) enum Outgoing {
    Request {
        to: SendRequest<Bytes>,
        scheme: &'static str,
        text: Vec<u8>,
    },
    Response {
        to: SendResponse<Bytes>,
        method: Method,
        /// The request was an extended CONNECT (RFC 8441).
        is_connect: bool,
        text: Vec<u8>,
    },
    Body(SendStream<Bytes>, Box<Relay>),
    Tunnel(SendStream<Bytes>),
    Over,
}

/// A part of what goes out.
#[derive(Default)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) trailers: Vec<u8>,
    pub(super) is_last: bool,
}

impl Outgoing {
    /// Until the peer resets the stream.
    pub(super) fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let reset = match self {
            Self::Response { to, .. } => to.poll_reset(context),
            Self::Body(stream, _) | Self::Tunnel(stream) => stream.poll_reset(context),
            Self::Request { .. } | Self::Over => return Poll::Pending,
        };
        reset.map(drop)
    }

    /// A large part of a body, without a copy: its buffer goes with it.
    pub(super) fn whole(&mut self, buffer: &mut Buffer) -> Option<Piece> {
        let (Self::Body(_, relay), length) = (self, buffer.len()) else {
            return None;
        };
        if length < TAKEN || relay.verbatim(length) < length {
            return None;
        }
        relay.advance(length);
        Some(Piece {
            bytes: buffer.take(),
            trailers: Vec::new(),
            is_last: relay.is_done(),
        })
    }

    /// What of a body is to be sent for `input`, and how much of `input` that is.
    pub(super) fn body(&mut self, input: &[u8]) -> io::Result<(Piece, usize)> {
        match self {
            Self::Body(_, relay) => {
                let mut piece = Piece::default();
                let mut bytes = Vec::new();
                let used = relay.pump_apart(input, &mut bytes, usize::MAX, &mut piece.trailers);
                let used = used.map_err(io::Error::other)?;
                piece.bytes = bytes.into();
                piece.is_last = relay.is_done();
                Ok((piece, used))
            }
            Self::Tunnel(_) => {
                let bytes = Bytes::copy_from_slice(input);
                let piece = Piece {
                    bytes,
                    ..Piece::default()
                };
                Ok((piece, input.len()))
            }
            // A head that is not whole yet, or what comes behind a message's end.
            Self::Request { .. } | Self::Response { .. } => Ok((Piece::default(), input.len())),
            Self::Over if input.is_empty() => Ok((Piece::default(), 0)),
            Self::Over => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Sends the heads that are whole; gives what came behind them.
pub(super) fn send_response(outgoing: &mut Outgoing, text: Vec<u8>) -> io::Result<Bytes> {
    let mut text = Bytes::from(text);
    let Outgoing::Response {
        to,
        method,
        is_connect,
        text: kept,
    } = outgoing
    else {
        return Ok(text);
    };
    loop {
        let mut head = ResponseHead::default();
        match parse_response(&text, &OWN_HEAD, *method, &mut head) {
            Ok(Parse::Complete) => {}
            Ok(Parse::Partial) => {
                *kept = text.into();
                return Ok(Bytes::new());
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        let response = head::response_of(&head, &text).map_err(io::Error::other)?;
        let rest = text.slice(head.len..);
        if head.is_interim() {
            let sent = to.send_informational(response);
            sent.map_err(io::Error::other)?;
            text = rest;
            continue;
        }
        *outgoing = if head.status == 101 && *is_connect {
            let switched = switched(response);
            Outgoing::Tunnel(
                to.send_response(switched, false)
                    .map_err(io::Error::other)?,
            )
        } else {
            let sent = to.send_response(response, head.framing.is_empty());
            body_of(sent.map_err(io::Error::other)?, head.framing)
        };
        return Ok(rest);
    }
}

/// What was a 101 in HTTP/1 (RFC 8441, section 5).
fn switched(mut response: http::Response<()>) -> http::Response<()> {
    *response.status_mut() = http::StatusCode::OK;
    let headers = response.headers_mut();
    headers.remove(http::header::SEC_WEBSOCKET_ACCEPT);
    headers.remove(http::header::CONTENT_LENGTH);
    response
}

pub(super) fn body_of(stream: SendStream<Bytes>, framing: Framing) -> Outgoing {
    if framing.is_empty() {
        return Outgoing::Over;
    }
    let relay = Relay::new(framing, Framing::UntilClose);
    Outgoing::Body(stream, Box::new(relay))
}
