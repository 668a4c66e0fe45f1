//! Request methods (RFC 9110, section 9; PATCH: RFC 5789). Owns their names and properties.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// Any other token; its text stands in the head.
    Other,
}

impl Method {
    /// Names are case-sensitive: `get` is [`Method::Other`].
    #[must_use]
    pub fn from_text(text: &[u8]) -> Self {
        match text {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"CONNECT" => Self::Connect,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// `None` for [`Method::Other`].
    #[must_use]
    pub const fn text(self) -> Option<&'static str> {
        Some(match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other => return None,
        })
    }

    /// Whether a request may be sent again when nobody knows if it was carried out (RFC 9110, section 9.2.2).
    #[must_use]
    pub const fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }

    /// Whether a request asks for no change (RFC 9110, section 9.2.1).
    #[must_use]
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_method_is_read_back_from_its_text() {
        use Method::{Connect, Delete, Get, Head, Options, Patch, Post, Put, Trace};
        for method in [Get, Head, Post, Put, Delete, Connect, Options, Trace, Patch] {
            let text = method.text().unwrap();
            assert_eq!(Method::from_text(text.as_bytes()), method);
            assert_eq!(
                Method::from_text(text.to_lowercase().as_bytes()),
                Method::Other
            );
            assert!(method.is_idempotent() || !method.is_safe());
        }
        assert!(!Post.is_idempotent() && !Patch.is_idempotent() && !Connect.is_idempotent());
        assert_eq!(Method::Other.text(), None);
    }
}
