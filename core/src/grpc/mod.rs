//! gRPC as a proxy sees it: which requests are gRPC's, and what its statuses are in HTTP's terms.
//! Messages are bytes here; nothing reads them.
//!
//! - [`status`]: replies of our own, as a client of gRPC reads them
//! - [`timeout`]: how long a client waits

pub mod status;
pub mod timeout;

/// How a request of gRPC is carried, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// As gRPC's own protocol has it (PROTOCOL-HTTP2.md): trailers behind the messages.
    Plain,
    /// By gRPC-Web (PROTOCOL-WEB.md): trailers are the body's last frame.
    Web,
    /// The same, in base64.
    WebText,
}

impl Carriage {
    /// Of a response that is carried so.
    #[must_use]
    pub const fn content_type(self) -> &'static [u8] {
        match self {
            Self::Plain => b"application/grpc",
            Self::Web => b"application/grpc-web",
            Self::WebText => b"application/grpc-web-text",
        }
    }

    /// None: it isn't gRPC's. A message format (`+proto`) and parameters may follow the name.
    #[must_use]
    pub fn of(content_type: &[u8]) -> Option<Self> {
        let end = |byte: &u8| matches!(byte, b'+' | b';' | b' ' | b'\t');
        let end = content_type.iter().position(end);
        let name = content_type.get(..end.unwrap_or(content_type.len()))?;
        let mut all = [Self::Plain, Self::Web, Self::WebText].into_iter();
        all.find(|one| name.eq_ignore_ascii_case(one.content_type()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_tell_how_grpc_is_carried() {
        for (text, carriage) in [
            ("application/grpc", Some(Carriage::Plain)),
            ("application/grpc+proto", Some(Carriage::Plain)),
            ("Application/gRPC; charset=utf-8", Some(Carriage::Plain)),
            ("application/grpc-web", Some(Carriage::Web)),
            ("application/grpc-web+proto", Some(Carriage::Web)),
            ("application/grpc-web-text+proto", Some(Carriage::WebText)),
            ("application/grpcx", None),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(Carriage::of(text.as_bytes()), carriage, "{text}");
        }
    }
}
