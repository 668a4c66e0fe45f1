//! A client's handshake: which listener its server name asks for, and what that listener shows, if it is the
//! one that shows something.

use std::io;
use std::sync::Arc;

use ringgate_core::table::{Carries, Listener, Slot};
use rustls::server::Acceptor;
use rustls::{AlertDescription, ServerConfig};
use thiserror::Error;

use super::session::Session;
use crate::downstream::{Downstream, h1};
use crate::limits;
use crate::shard::timer::Action;
use crate::sys::buffer::Buffer;
use crate::sys::socket::Shutdown;

/// Why a client is not served.
#[derive(Debug, Error)]
pub(crate) enum Refused {
    #[error("it closed, or took too long, before its ClientHello was whole")]
    Incomplete,
    #[error("it speaks plain HTTP to a port of TLS")]
    PlainHttp,
    #[error("it sent no ClientHello: {0}")]
    Hello(rustls::Error),
    #[error("no listener of this port, or no route there, is for the server name {0:?}")]
    UnknownName(String),
    #[error("its listener has no certificate that works")]
    NoCertificate,
    #[error("the handshake failed: {0}")]
    Handshake(io::Error),
}

/// The listener that a client asked for.
pub(crate) struct Accepted {
    pub(crate) listener: Slot,
    pub(crate) carries: Carries,
    /// The server name, in lower case; empty without one.
    pub(crate) name: String,
    /// All that has come, where it goes on to a backend as it is.
    pub(crate) hello: Option<Buffer>,
}

impl Accepted {
    /// A connection without TLS that is for one listener alone.
    pub(crate) fn plain(listener: Slot, begun: Option<Buffer>) -> Self {
        Self {
            listener,
            carries: Carries::Bytes,
            name: String::new(),
            hello: begun,
        }
    }
}

/// Makes a connection an encrypted one, unless its listener passes TLS on. `begun` is what has come already.
pub(crate) async fn accept(
    downstream: &mut Downstream,
    begun: Option<Buffer>,
) -> Result<Accepted, Refused> {
    let now = downstream.shard.deadlines.now();
    let within = h1::settings(downstream, |settings| settings.timeouts.header);
    // For the whole handshake, however many parts it comes in.
    let until = Action::Shutdown(Shutdown::Both);
    downstream.watch.set(now, within, until);
    let input = begun.unwrap_or_else(|| downstream.shard.buffers.take());
    let (mut input, name) = read_hello(downstream, input).await;
    let result = match name {
        Ok(name) => take(downstream, &mut input, name.unwrap_or_default()).await,
        Err(refused) => Err(refused),
    };
    if let Err(refused) = &result {
        tell(downstream, refused).await;
    }
    downstream.shard.buffers.give(input);
    downstream.watch.clear();
    result
}

/// Reads until the ClientHello is whole; its server name, if it has one. Nothing is consumed.
async fn read_hello(
    downstream: &Downstream,
    mut input: Buffer,
) -> (Buffer, Result<Option<String>, Refused>) {
    let mut acceptor = Acceptor::default();
    let mut fed = 0;
    loop {
        if input.pending().first().is_some_and(u8::is_ascii_uppercase) {
            return (input, Err(Refused::PlainHttp));
        }
        let mut new = input.pending().get(fed..).unwrap_or_default();
        fed = input.len();
        while !new.is_empty() {
            if let Err(error) = acceptor.read_tls(&mut new) {
                let error = rustls::Error::General(error.to_string());
                return (input, Err(Refused::Hello(error)));
            }
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::to_owned);
                    return (input, Ok(name));
                }
                Err((error, _)) => return (input, Err(Refused::Hello(error))),
            }
        }
        if fed >= limits::CLIENT_HELLO_BYTES {
            let error = rustls::Error::General("it is larger than allowed".to_owned());
            return (input, Err(Refused::Hello(error)));
        }
        input.reserve(limits::BUFFER_BYTES / 2);
        let (read, back) = downstream.stream.read(input).await;
        input = back;
        if !matches!(read, Ok(1..)) {
            return (input, Err(Refused::Incomplete));
        }
    }
}

/// What the listener for a name does with its client.
async fn take(
    downstream: &mut Downstream,
    input: &mut Buffer,
    mut name: String,
) -> Result<Accepted, Refused> {
    name.make_ascii_lowercase();
    let (listener, carries) = listener(downstream, &name)?;
    let hello = match carries {
        Carries::Tls => Some(std::mem::take(input)),
        Carries::Requests | Carries::Bytes | Carries::Datagrams => {
            handshake(downstream, input, listener).await?;
            None
        }
    };
    Ok(Accepted {
        listener,
        carries,
        name,
        hello,
    })
}

async fn handshake(
    downstream: &mut Downstream,
    input: &mut Buffer,
    listener: Slot,
) -> Result<(), Refused> {
    let config = termination(downstream, listener)?;
    let session = Session::server(config).map_err(Refused::Handshake)?;
    let shard = downstream.shard;
    let begun = input.pending_mut();
    let encrypted = downstream.stream.encrypt(session, &shard.buffers, begun);
    encrypted.await.map_err(Refused::Handshake)
}

/// The most specific listener for a server name.
fn listener(downstream: &Downstream, name: &str) -> Result<(Slot, Carries), Refused> {
    let table = downstream.shard.table();
    let port = table.port(downstream.bind);
    let listener = port.and_then(|port| port.listener(name));
    // Whoever no route is for is told so before a handshake; requests may be for other hosts than it.
    let has_route =
        |one: &&Listener| one.carries == Carries::Requests || one.stream(name).is_some();
    let listener = listener.filter(has_route);
    let found = listener.map(|one| (one.slot, one.carries));
    found.ok_or_else(|| Refused::UnknownName(name.to_owned()))
}

fn termination(downstream: &Downstream, listener: Slot) -> Result<Arc<ServerConfig>, Refused> {
    let table = downstream.shard.table();
    let config = table.credentials().termination(listener);
    config.cloned().ok_or(Refused::NoCertificate)
}

/// Whether the port passes all TLS on: then it is no party to any handshake, and has nothing to say in one.
fn only_passes(downstream: &Downstream) -> bool {
    let table = downstream.shard.table();
    let port = table.port(downstream.bind);
    port.is_some_and(|port| port.listeners().all(|one| one.carries == Carries::Tls))
}

/// Says why, as far as TLS has a word for it; a failed handshake has said so itself.
async fn tell(downstream: &Downstream, refused: &Refused) {
    let alert = match refused {
        Refused::Incomplete | Refused::Handshake(_) => return,
        _ if only_passes(downstream) => return,
        Refused::PlainHttp => {
            let mut out = downstream.shard.buffers.take();
            out.out().extend_from_slice(PLAIN_HTTP);
            return send(downstream, out).await;
        }
        Refused::Hello(_) => AlertDescription::DecodeError,
        Refused::UnknownName(_) => AlertDescription::UnrecognisedName,
        Refused::NoCertificate => AlertDescription::InternalError,
    };
    let mut out = downstream.shard.buffers.take();
    // A fatal alert in a record that any version takes (RFC 8446, sections 5.1 and 6).
    out.out()
        .extend_from_slice(&[21, 3, 3, 0, 2, 2, alert.into()]);
    send(downstream, out).await;
}

const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    connection: close\r\ncontent-length: 55\r\n\r\nThis port speaks HTTPS: use https:// in place of http.\n";

async fn send(downstream: &Downstream, out: Buffer) {
    // The client may be gone already.
    let (_, out) = downstream.stream.write(out, || ()).await;
    downstream.shard.buffers.give(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_to_plain_http_says_its_length() {
        let text = std::str::from_utf8(PLAIN_HTTP).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
    }
}
