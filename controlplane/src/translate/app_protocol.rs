//! What a Service's port says that it speaks (`appProtocol`, GEP-1911), and what that makes of a route's
//! backend. Names are compared without case; those that nobody knows say nothing.

use ringgate_core::ir::BackendProtocol;

use super::problem::Unspoken;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spoken {
    carried: Carried,
    /// By TLS: a policy has to say whom to believe.
    is_encrypted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    /// Either version of HTTP: the one that the route is best carried by.
    Http,
    Http2,
    /// HTTP/1.1, which turns into a WebSocket.
    WebSocket,
}

fn spoken(name: &str) -> Spoken {
    use Carried::{Http, Http2, WebSocket};
    let names = [
        ("https", Http, true),
        ("tls", Http, true),
        ("h2c", Http2, false),
        ("http2", Http2, false),
        ("grpc", Http2, false),
        ("kubernetes.io/h2c", Http2, false),
        ("h2", Http2, true),
        ("grpcs", Http2, true),
        ("ws", WebSocket, false),
        ("kubernetes.io/ws", WebSocket, false),
        ("wss", WebSocket, true),
        ("kubernetes.io/wss", WebSocket, true),
    ];
    let mut names = names.into_iter();
    let found = names.find(|(one, ..)| one.eq_ignore_ascii_case(name));
    let (_, carried, is_encrypted) = found.unwrap_or(("http", Http, false));
    Spoken {
        carried,
        is_encrypted,
    }
}

/// What a route speaks to a port with this `appProtocol`. `own` is what it speaks to one that says
/// nothing: HTTP/2, if its requests can't be carried otherwise. One of connections doesn't speak at all.
///
/// # Errors
/// Why the route can't send there.
pub(super) fn choose(
    own: BackendProtocol,
    name: &str,
    has_policy: bool,
) -> Result<BackendProtocol, Unspoken> {
    if matches!(own, BackendProtocol::Tcp | BackendProtocol::Udp) {
        return Ok(own);
    }
    let spoken = spoken(name);
    match (spoken.carried, own) {
        (Carried::WebSocket, BackendProtocol::Http2) => Err(Unspoken::WebSocket),
        _ if spoken.is_encrypted && !has_policy => Err(Unspoken::WithoutPolicy),
        (Carried::WebSocket, own) | (Carried::Http, own) => Ok(own),
        (Carried::Http2, _) => Ok(BackendProtocol::Http2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BackendProtocol::{Http1, Http2, Tcp};

    #[test]
    fn names_decide_what_is_spoken() {
        let plain = [
            ("http", Http1, Ok(Http2)),
            ("example.com/own", Http1, Ok(Http2)),
            ("kubernetes.io/h2c", Http2, Ok(Http2)),
            ("gRPC", Http2, Ok(Http2)),
            ("kubernetes.io/ws", Http1, Err(Unspoken::WebSocket)),
        ];
        for (name, http, grpc) in plain {
            assert_eq!(choose(Http1, name, false), Ok(http), "{name:?}");
            assert_eq!(choose(Http2, name, false), grpc, "{name:?}");
        }
    }

    #[test]
    fn bytes_go_to_a_port_whatever_it_says() {
        for name in ["h2c", "https", "kubernetes.io/wss", "kafka"] {
            assert_eq!(choose(Tcp, name, false), Ok(Tcp), "{name:?}");
        }
    }

    #[test]
    fn names_with_tls_need_a_policy() {
        for (name, http) in [
            ("HTTPS", Http1),
            ("h2", Http2),
            ("grpcs", Http2),
            ("kubernetes.io/wss", Http1),
        ] {
            assert_eq!(choose(Http1, name, false), Err(Unspoken::WithoutPolicy));
            assert_eq!(choose(Http1, name, true), Ok(http), "{name:?}");
        }
    }
}
