//! gRPC as a proxy sees it: which requests are gRPC's, and what its statuses are in HTTP's terms.
//! Messages are bytes here; nothing reads them,
//! but for those of health checks.
//!
//! - [`health`]: asking a backend whether it serves
//! - [`status`]: replies of our own, as a client of gRPC reads them
//! - [`timeout`]: how long a client waits
//! - [`web`]: gRPC-Web's bodies

pub mod health;
pub mod status;
pub mod timeout;
pub mod web;

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

    /// The content type with another carriage: a format and parameters stay.
    #[must_use]
    pub fn rename(self, content_type: &[u8]) -> Vec<u8> {
        let format = content_type.get(name_length(content_type)..);
        [self.content_type(), format.unwrap_or_default()].concat()
    }

    /// None: it isn't gRPC's. A message format (`+proto`) and parameters may follow the name.
    #[must_use]
    pub fn of(content_type: &[u8]) -> Option<Self> {
        let name = content_type.get(..name_length(content_type))?;
        let mut all = [Self::Plain, Self::Web, Self::WebText].into_iter();
        all.find(|one| name.eq_ignore_ascii_case(one.content_type()))
    }
}

/// Up to a message format or a parameter.
fn name_length(content_type: &[u8]) -> usize {
    let end = |byte: &u8| matches!(byte, b'+' | b';' | b' ' | b'\t');
    let end = content_type.iter().position(end);
    end.unwrap_or(content_type.len())
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
        let renamed = Carriage::Plain.rename(b"application/grpc-web-text+proto");
        assert_eq!(renamed, b"application/grpc+proto");
    }
}
