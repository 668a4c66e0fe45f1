//! What comes on a stream of HTTP/2, as HTTP/1.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use ringgate_core::http1::{Framing, Method, encode};

use super::head;
use crate::sys::buffer::Buffer;

/// Room for most heads.
const HEAD: usize = 1 << 10;
/// Room for what stands around a part of a body, and for most trailers behind the last one.
const CHUNK: usize = 128;

/// From the peer.
pub(super) enum Incoming {
    /// Nothing was asked yet.
    Later,
    Response(ResponseFuture, Method),
    Body(RecvStream, Framing),
    Over,
}

/// A head, interim or final; behind the final one comes the body.
pub(super) fn poll_head(
    context: &mut Context<'_>,
    response: &mut ResponseFuture,
    method: Method,
    buffer: &mut Buffer,
) -> Poll<Result<Option<Incoming>, h2::Error>> {
    if let Poll::Ready(Some(interim)) = response.poll_informational(context) {
        let (interim, ()) = interim?.into_parts();
        buffer.reserve(HEAD);
        // Nothing on a stream of HTTP/2 becomes another protocol by 101 (RFC 9113, section 8.6).
        if interim.status != http::StatusCode::SWITCHING_PROTOCOLS {
            head::response_text(&interim, true, false, buffer.out());
        }
        return Poll::Ready(Ok(None));
    }
    let (head, body) = ready!(Pin::new(response).poll(context))?.into_parts();
    let has_body = method != Method::Head;
    buffer.reserve(HEAD);
    let framing = head::response_text(&head, body.is_end_stream(), has_body, buffer.out());
    Poll::Ready(Ok(Some(Incoming::Body(body, framing))))
}

/// A part of a body; false at its end.
pub(super) fn poll_body(
    context: &mut Context<'_>,
    body: &mut RecvStream,
    framing: Framing,
    buffer: &mut Buffer,
) -> Poll<Result<bool, h2::Error>> {
    let is_chunked = framing == Framing::Chunked;
    if let Some(bytes) = ready!(body.poll_data(context)) {
        let bytes = bytes?;
        body.flow_control().release_capacity(bytes.len())?;
        buffer.reserve(bytes.len() + CHUNK);
        let out = buffer.out();
        if is_chunked && !bytes.is_empty() {
            encode::chunk_start(out, bytes.len() as u64);
        }
        out.extend_from_slice(&bytes);
        if is_chunked && !bytes.is_empty() {
            encode::chunk_end(out);
        }
        return Poll::Ready(Ok(true));
    }
    let trailers = ready!(body.poll_trailers(context))?;
    if is_chunked {
        let out = buffer.out();
        encode::last_chunk(out);
        if let Some(trailers) = trailers {
            head::trailers_text(&trailers, out);
        }
        encode::head_end(out);
    }
    Poll::Ready(Ok(false))
}

/// REFUSED_STREAM, or a GOAWAY that says that the stream was not looked at (RFC 9113, section 8.7).
pub(super) fn is_refusal(error: &h2::Error) -> bool {
    let is_refused = error.reason() == Some(Reason::REFUSED_STREAM);
    is_refused
        || (error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR))
}
