//! Heads between HTTP/2 and HTTP/1 (RFC 9113, section 8; RFC 9110). Owns their translation; whether a
//! head is a good one is said by the HTTP/2 library on the one side and by our parser of HTTP/1 on the other.

use std::fmt;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri, request, response};
use ringgate_core::http1::{Field, Framing, RequestHead, ResponseHead, Span, encode};

/// What HTTP/1 can't say, or what differs from itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeadError {
    #[error("Host differs from :authority")]
    Authority,
    #[error("more header fields than allowed")]
    TooManyFields,
    #[error("the head is not valid in HTTP/2")]
    Invalid,
}

impl HeadError {
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::TooManyFields => 431,
            Self::Authority | Self::Invalid => 400,
        }
    }
}

/// What a request asks for beside its fields.
#[derive(Clone, Copy)]
pub(super) struct Shape<'p> {
    /// No body and no trailers follow.
    pub(super) is_whole: bool,
    /// Another protocol on this stream (RFC 8441).
    pub(super) protocol: Option<&'p str>,
    /// A fresh `Sec-WebSocket-Key`, for backends of HTTP/1 (RFC 6455, section 4.1).
    pub(super) key: &'p str,
    pub(super) most_fields: u32,
}

/// A request's head in HTTP/1.1. Cookies come in crumbs and are joined (RFC 9113, section 8.2.3).
///
/// # Errors
/// When it has too many fields, crumbs counted, or two authorities.
pub(super) fn request_text(
    head: &request::Parts,
    shape: Shape<'_>,
    out: &mut Vec<u8>,
) -> Result<(), HeadError> {
    if head.headers.len() > usize::try_from(shape.most_fields).unwrap_or(usize::MAX) {
        return Err(HeadError::TooManyFields);
    }
    let host = head.headers.get(header::HOST).map(HeaderValue::as_bytes);
    let authority = head.uri.authority().map(|one| one.as_str().as_bytes());
    if let (Some(host), Some(authority)) = (host, authority)
        && !host.eq_ignore_ascii_case(authority)
    {
        return Err(HeadError::Authority);
    }
    let method = match shape.protocol {
        Some(_) => Method::GET.as_str(),
        None => head.method.as_str(),
    };
    let target = match head.uri.path_and_query() {
        Some(path) => path.as_str().as_bytes(),
        None => authority.unwrap_or_default(),
    };
    encode::request_line(out, method.as_bytes(), target, None);
    if let Some(authority) = authority.or(host) {
        encode::field(out, b"host", authority);
    }
    for (name, value) in &head.headers {
        if *name != header::HOST && *name != header::COOKIE {
            encode::field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    let crumbs = head.headers.get_all(header::COOKIE).iter();
    let crumbs: Vec<_> = crumbs.map(HeaderValue::as_bytes).collect();
    if !crumbs.is_empty() {
        encode::field(out, b"cookie", &crumbs.join(&b"; "[..]));
    }
    if let Some(protocol) = shape.protocol {
        encode::field(out, b"connection", b"upgrade");
        encode::field(out, b"upgrade", protocol.as_bytes());
        if protocol.eq_ignore_ascii_case("websocket") {
            encode::field(out, b"sec-websocket-key", shape.key.as_bytes());
        }
    } else if !shape.is_whole && !head.headers.contains_key(header::CONTENT_LENGTH) {
        encode::framing(out, Framing::Chunked);
    }
    encode::head_end(out);
    Ok(())
}

/// A response's head in HTTP/1.1. `is_whole`: no body and no trailers follow. `has_body`: whether a response
/// to this request may have one.
pub(super) fn response_text(
    head: &response::Parts,
    is_whole: bool,
    has_body: bool,
    out: &mut Vec<u8>,
) -> Framing {
    let status = head.status.as_u16();
    encode::status_line(out, status);
    for (name, value) in &head.headers {
        encode::field(out, name.as_str().as_bytes(), value.as_bytes());
    }
    let may_have_body = has_body && !matches!(status, 100..=199 | 204 | 304);
    let length = head.headers.get(header::CONTENT_LENGTH);
    let framing = match (may_have_body, length.is_some(), is_whole) {
        (false, ..) => Framing::None,
        // How long it is only matters to who reads it: our parser, which has read the field.
        (true, true, _) => Framing::UntilClose,
        (true, false, true) => Framing::Length(0),
        (true, false, false) => Framing::Chunked,
    };
    if matches!(framing, Framing::Length(_) | Framing::Chunked) {
        encode::framing(out, framing);
    }
    encode::head_end(out);
    framing
}

/// Trailers as field lines.
pub(super) fn trailers_text(trailers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in trailers {
        encode::field(out, name.as_str().as_bytes(), value.as_bytes());
    }
}

/// Trailers from field lines that our parser has written.
pub(super) fn trailers_of(lines: &[u8]) -> Result<HeaderMap, HeadError> {
    let mut trailers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        append(&mut trailers, name, HeaderValue::from_bytes(value))?;
    }
    Ok(trailers)
}

/// A request's head in HTTP/2, towards a backend.
pub(super) fn request_of(
    head: &RequestHead,
    text: &Bytes,
    scheme: &str,
) -> Result<http::Request<()>, HeadError> {
    let method = Method::from_bytes(head.method_text.of(text)).map_err(invalid)?;
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(head.authority.of(text))
        .path_and_query(head.target.of(text));
    let mut request = http::Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri.build().map_err(invalid)?;
    *request.version_mut() = http::Version::HTTP_2;
    let passed = |field: &&Field| {
        field.id != ringgate_core::http1::FieldId::Host && head.passes_on(field, text)
    };
    let fields = head.fields.iter().filter(passed);
    *request.headers_mut() = fields_of(fields, text)?;
    let length = match head.framing {
        Framing::Length(length) => Some(length),
        _ => None,
    };
    add_length(request.headers_mut(), length);
    if head.te_trailers {
        let trailers = HeaderValue::from_static("trailers");
        request.headers_mut().insert(header::TE, trailers);
    }
    Ok(request)
}

/// A response's head in HTTP/2, towards a client.
pub(super) fn response_of(
    head: &ResponseHead,
    text: &Bytes,
) -> Result<http::Response<()>, HeadError> {
    let mut response = http::Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status).map_err(invalid)?;
    let fields = head.fields.iter();
    let fields = fields.filter(|field| head.passes_on(field, text));
    *response.headers_mut() = fields_of(fields, text)?;
    add_length(response.headers_mut(), head.content_length);
    Ok(response)
}

fn add_length(headers: &mut HeaderMap, length: Option<u64>) {
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
}

fn fields_of<'f>(
    fields: impl Iterator<Item = &'f Field>,
    text: &Bytes,
) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::with_capacity(16);
    let shared = |span: Span| text.slice(span.start()..span.end());
    for field in fields {
        let value = HeaderValue::from_maybe_shared(shared(field.value));
        append(&mut headers, field.name.of(text), value)?;
    }
    Ok(headers)
}

fn append<E: fmt::Debug>(
    headers: &mut HeaderMap,
    name: &[u8],
    value: Result<HeaderValue, E>,
) -> Result<(), HeadError> {
    let name = HeaderName::from_bytes(name).map_err(invalid)?;
    let appended = headers.try_append(name, value.map_err(invalid)?);
    appended.map(drop).map_err(invalid)
}

fn invalid<E: fmt::Debug>(error: E) -> HeadError {
    tracing::debug!(?error, "a head that HTTP/2 doesn't take");
    HeadError::Invalid
}
