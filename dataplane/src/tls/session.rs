//! One TLS session without a socket: records go in, plain text and answers come out.
//!
//! Built on rustls' unbuffered interface, so that an idle connection holds no buffer. It asks for what it
//! left over the last time to be given again, in front of what is new: those bytes are kept here.

use std::io;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, Error, ServerConfig};

use crate::limits;

/// What a record adds to its plain text at most: header, nonce or padding, tag.
const OVERHEAD: usize = 64;

pub(crate) struct Session {
    side: Side,
    /// The beginning of a record, or of a handshake message, whose rest hasn't come.
    incoming: Vec<u8>,
    /// Plain text for which the reader had no room.
    plain: Vec<u8>,
    /// Records that the session itself wants to send.
    outgoing: Vec<u8>,
    /// The peer said that it sends no more.
    is_ended: bool,
    /// We said so.
    is_closed: bool,
}

enum Side {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

impl Session {
    pub(crate) fn server(config: Arc<ServerConfig>) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(config).map_err(broken)?;
        Ok(Self::new(Side::Server(Box::new(connection))))
    }

    pub(crate) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let connection = UnbufferedClientConnection::new(config, name).map_err(broken)?;
        Ok(Self::new(Side::Client(Box::new(connection))))
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            incoming: Vec::new(),
            plain: Vec::new(),
            outgoing: Vec::new(),
            is_ended: false,
            is_closed: false,
        }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        match &self.side {
            Side::Server(connection) => connection.is_handshaking(),
            Side::Client(connection) => connection.is_handshaking(),
        }
    }

    pub(crate) fn is_server(&self) -> bool {
        matches!(self.side, Side::Server(_))
    }

    /// Whether both sides have agreed on HTTP/2 (RFC 7301; RFC 9113, section 3.2).
    pub(crate) fn is_http2(&self) -> bool {
        let protocol = match &self.side {
            Side::Server(connection) => connection.alpn_protocol(),
            Side::Client(connection) => connection.alpn_protocol(),
        };
        protocol == Some(b"h2")
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    pub(crate) fn has_plain(&self) -> bool {
        !self.plain.is_empty()
    }

    /// Moves plain text that is here already, within `into`'s capacity.
    pub(crate) fn take_plain(&mut self, into: &mut Vec<u8>) -> usize {
        let count = self.plain.len().min(into.capacity() - into.len());
        into.extend(self.plain.drain(..count));
        if self.plain.is_empty() {
            self.plain = Vec::new();
        }
        count
    }

    /// What the session itself wants to send: handshake, answers, alerts.
    pub(crate) fn take_outgoing(&mut self, into: &mut Vec<u8>) {
        into.append(&mut self.outgoing);
        self.outgoing = Vec::new();
    }

    pub(crate) fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Takes bytes from the peer, which are overwritten; plain text goes to `into` within its capacity, the
    /// rest is kept. After an error an alert stands among [`Self::take_outgoing`], and the session is of no
    /// more use.
    pub(crate) fn receive(&mut self, bytes: &mut [u8], into: &mut Vec<u8>) -> Result<(), Error> {
        if self.incoming.is_empty() {
            let (taken, result) = self.process(bytes, Some(into), None);
            let rest = bytes.get(taken..).unwrap_or_default();
            self.incoming.extend_from_slice(rest);
            return result;
        }
        self.incoming.extend_from_slice(bytes);
        self.process_kept(Some(into), None)
    }

    /// Encrypts `plain`, of which there is at most a record's worth, behind what is in `out`.
    pub(crate) fn send(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        self.write(Write::Data(plain), out)
    }

    /// Tells the peer that nothing more is sent.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        if !self.is_closed && !self.is_handshaking() {
            self.is_closed = true;
            // Whoever can't be told is parted from all the same.
            let _ = self.write(Write::Close, out);
        }
    }

    fn write(&mut self, write: Write<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let before = out.len();
        let result = self.process_kept(None, Some((write, &mut *out)));
        // What the session queued was numbered before what was encrypted just now.
        if self.has_outgoing() {
            let queued = std::mem::take(&mut self.outgoing);
            out.splice(before..before, queued);
        }
        result
    }

    fn process_kept(
        &mut self,
        into: Option<&mut Vec<u8>>,
        write: Option<(Write<'_>, &mut Vec<u8>)>,
    ) -> Result<(), Error> {
        let mut kept = std::mem::take(&mut self.incoming);
        let (taken, result) = self.process(&mut kept, into, write);
        if taken < kept.len() {
            kept.drain(..taken);
            self.incoming = kept;
        }
        result
    }

    /// Everything that can be done with `bytes`: how many were taken, and whether that went well.
    fn process(
        &mut self,
        bytes: &mut [u8],
        into: Option<&mut Vec<u8>>,
        write: Option<(Write<'_>, &mut Vec<u8>)>,
    ) -> (usize, Result<(), Error>) {
        let mut taking = Taking {
            into,
            plain: &mut self.plain,
            outgoing: &mut self.outgoing,
            is_ended: &mut self.is_ended,
            write,
            error: None,
        };
        let taken = match &mut self.side {
            Side::Server(connection) => taking.run(&mut **connection, bytes),
            Side::Client(connection) => taking.run(&mut **connection, bytes),
        };
        (taken, taking.error.map_or(Ok(()), Err))
    }
}

/// The session's error as its stream's.
pub(super) fn broken(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// What is encrypted, once that is possible.
enum Write<'p> {
    Data(&'p [u8]),
    Close,
}

/// Either side's way through its records.
trait Process {
    type Data;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Process for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

impl Process for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

/// One pass over what came, with where its results go.
struct Taking<'t, 'w> {
    /// Takes plain text within its capacity, before `plain` does.
    into: Option<&'t mut Vec<u8>>,
    plain: &'t mut Vec<u8>,
    outgoing: &'t mut Vec<u8>,
    is_ended: &'t mut bool,
    write: Option<(Write<'w>, &'t mut Vec<u8>)>,
    /// What ended it.
    error: Option<Error>,
}

impl Taking<'_, '_> {
    /// How many bytes were taken.
    fn run<P: Process>(&mut self, connection: &mut P, bytes: &mut [u8]) -> usize {
        let mut taken = 0;
        loop {
            let rest = bytes.get_mut(taken..).unwrap_or_default();
            let UnbufferedStatus { mut discard, state } = connection.process(rest);
            let goes_on = match state {
                Ok(state) => self.step(state, &mut discard),
                // Once more, for the alert that tells the peer.
                Err(error) => self.error.replace(error).is_none(),
            };
            taken += discard;
            if !goes_on {
                return taken;
            }
        }
    }

    /// How much of `length` bytes goes straight to the reader, in their order.
    fn fits(&self, length: usize) -> usize {
        match &self.into {
            Some(into) if self.plain.is_empty() => length.min(into.capacity() - into.len()),
            _ => 0,
        }
    }

    fn step<D>(&mut self, state: ConnectionState<'_, '_, D>, discard: &mut usize) -> bool {
        match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            *discard += record.discard;
                            let direct = self.fits(record.payload.len());
                            let (now, later) = record.payload.split_at(direct);
                            if let Some(into) = &mut self.into {
                                into.extend_from_slice(now);
                            }
                            self.plain.extend_from_slice(later);
                        }
                        Err(error) => self.error = Some(error),
                    }
                }
                true
            }
            ConnectionState::EncodeTlsData(mut data) => {
                encode(&mut data, self.outgoing);
                true
            }
            // In our hands, and sent in its turn.
            ConnectionState::TransmitTlsData(data) => {
                data.done();
                true
            }
            ConnectionState::PeerClosed => {
                *self.is_ended = true;
                true
            }
            ConnectionState::WriteTraffic(traffic) => {
                if let Some((write, out)) = self.write.take()
                    && !encrypt(traffic, &write, out)
                {
                    self.error = Some(Error::EncryptError);
                }
                false
            }
            _ => {
                if self.write.is_some() {
                    self.error.get_or_insert(Error::HandshakeNotComplete);
                }
                false
            }
        }
    }
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>, out: &mut Vec<u8>) {
    fill(out, limits::BUFFER_BYTES, |room| match data.encode(room) {
        Ok(count) => Filled::By(count),
        Err(EncodeError::InsufficientSize(size)) => Filled::Needs(size),
        Err(EncodeError::AlreadyEncoded) => Filled::Never,
    });
}

fn encrypt<D>(mut traffic: WriteTraffic<'_, D>, write: &Write<'_>, out: &mut Vec<u8>) -> bool {
    let length = match write {
        Write::Data(plain) => plain.len(),
        Write::Close => 0,
    };
    fill(out, length + OVERHEAD, |room| {
        let encrypted = match write {
            Write::Data(plain) => traffic.encrypt(plain, room),
            Write::Close => traffic.queue_close_notify(room),
        };
        match encrypted {
            Ok(count) => Filled::By(count),
            Err(EncryptError::InsufficientSize(size)) => Filled::Needs(size),
            Err(EncryptError::EncryptExhausted) => Filled::Never,
        }
    })
}

enum Filled {
    By(usize),
    Needs(InsufficientSizeError),
    Never,
}

/// Appends what `write` puts into a slice that is long enough; false if it can't at all.
fn fill(out: &mut Vec<u8>, expected: usize, mut write: impl FnMut(&mut [u8]) -> Filled) -> bool {
    let before = out.len();
    let mut room = expected;
    loop {
        out.resize(before + room, 0);
        match write(out.get_mut(before..).unwrap_or_default()) {
            Filled::By(count) => {
                out.truncate(before + count);
                return true;
            }
            Filled::Needs(size) if size.required_size > room => room = size.required_size,
            Filled::Needs(_) | Filled::Never => {
                out.truncate(before);
                return false;
            }
        }
    }
}
