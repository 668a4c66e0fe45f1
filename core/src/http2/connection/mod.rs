//! A connection of HTTP/2 at either end (RFC 9113), without input and output: bytes that came go in by
//! [`Connection::receive`] and make events, what is to leave lies in [`Connection::output`]. Owns streams'
//! states, windows, settings and what is an error; when to read, and what a message means, is the caller's.
//!
//! - `streams`: those that are open
//! - `receive`: frames that come; `blocks`: their heads and trailers
//! - `send`: frames that leave
//!
//! Nothing grows beyond its bounds, whatever a peer sends: a frame of DATA is passed on in the pieces that it
//! comes in, a head has a largest size, and the caller reads nothing more while [`Connection::is_full`]. What
//! frames may cost is counted by [`super::Account`].

mod blocks;
mod receive;
mod send;
mod streams;

use blocks::Block;
use receive::Data;
use streams::{Stream, Streams};

pub use streams::Key;

use super::PREFACE;
use super::head::{HeadError, Refusal, RequestReader, ResponseReader};
use super::hpack::{Decoder, Encoder};
use super::reason::Reason;
use super::settings::{INITIAL_WINDOW, Own, Settings};
use crate::grpc::Carriage;
use crate::http1;

/// Streams that we may end for errors of the peer: what they make us do may cost more than them (CVE-2025-8671).
const ERRORS: u32 = 1_024;
/// What lies in the output before no more of bodies is written; twice as much, and no more is to be read.
pub const OUTPUT_BYTES: usize = 64 << 10;

/// Which end we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

/// What the peer may do.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub role: Role,
    /// Streams that a client may have open; as long as a server hasn't said how many it takes, so many.
    pub streams: u32,
    /// Of a stream's body, before some of it was taken; and of all streams' together.
    pub stream_window: u32,
    pub connection_window: u32,
    pub head: http1::Limits,
}

/// What has come. Texts lie where [`Connection::receive`] was told to write them.
#[derive(Debug)]
pub enum Event<'i, T> {
    /// Of a new stream at a server, to be told by [`Connection::adopt`] whose it is.
    Request(Key, Request),
    /// Interim or final.
    Response(T, Response),
    /// A part of a body.
    Data {
        tag: T,
        bytes: &'i [u8],
        is_last: bool,
    },
    /// Field lines, behind a body.
    Trailers(T),
    /// The stream is over at once.
    Reset {
        tag: T,
        reason: Reason,
        /// Not the peer's: it has made a mistake.
        is_ours: bool,
    },
    /// How many streams it takes is known.
    Settings,
    /// Streams that can't be answered any more: see [`Connection::next_refused`]. No others may be opened.
    GoAway(Reason),
}

/// A request, whose head is text of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// How the text says where the body ends.
    pub framing: http1::Framing,
    pub is_head: bool,
    /// Extended CONNECT: the stream is to become a tunnel.
    pub is_tunnel: bool,
    /// Why there is no text: the request is to be answered with this status.
    pub refusal: Option<Refusal>,
    /// How it carries gRPC, if it does: what it is refused with is said in its terms.
    pub grpc: Option<Carriage>,
    /// Nothing follows.
    pub is_last: bool,
}

/// A response, whose head is text of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    pub framing: http1::Framing,
    pub is_interim: bool,
    pub is_last: bool,
}

/// What a call of [`Connection::receive`] has used of its input, and what that has brought. None: there is
/// no more in it, and what was not used is to come again with more behind it.
#[derive(Debug)]
pub struct Received<'i, T> {
    pub used: usize,
    pub event: Option<Event<'i, T>>,
}

/// The connection is at its end, of which the peer is told by what lies in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is ended: {0}")]
pub struct Failed(pub Reason);

/// The stream is over: it was completed, or reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is over")]
pub struct Gone;

/// How far we have said goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    No,
    /// New streams are taken until the peer has heard it.
    Begun,
    /// No stream above this is looked at.
    Said(u32),
}

/// See the module. `T` is what the caller knows a stream by.
#[derive(Debug)]
pub struct Connection<T> {
    config: Config,
    streams: Streams<T>,
    decoder: Decoder,
    encoder: Encoder,
    requests: RequestReader,
    responses: ResponseReader,
    /// What was wrong with a head last.
    mistake: Option<HeadError>,
    peer: Settings,
    has_settings: bool,
    /// Bytes of the preface that have not come yet.
    preface: usize,
    /// A frame of DATA of which not all has come.
    data: Option<Data>,
    /// A head of which not all frames have come.
    block: Option<Block>,
    send_window: i64,
    receive_window: i64,
    taken: u32,
    /// The last stream that the peer has opened, or that we have.
    last: u32,
    errors: u32,
    farewell: Farewell,
    /// The peer looks at no stream above this.
    peer_last: Option<u32>,
    has_failed: bool,
    out: Vec<u8>,
}

impl<T: Clone> Connection<T> {
    /// What is to be sent first lies in the output.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let is_server = config.role == Role::Server;
        let mut out = Vec::new();
        if !is_server {
            out.extend_from_slice(PREFACE);
        }
        let own = Own {
            streams: is_server.then_some(config.streams),
            window: config.stream_window,
            header_list: config.head.header_bytes,
            connect: is_server,
        };
        own.write(&mut out);
        let before = match is_server {
            true => u32::MAX,
            false => config.streams,
        };
        let mut connection = Self {
            config,
            streams: Streams::new(),
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            requests: RequestReader::default(),
            responses: ResponseReader::default(),
            mistake: None,
            peer: Settings::before(before),
            has_settings: false,
            preface: if is_server { PREFACE.len() } else { 0 },
            data: None,
            block: None,
            send_window: INITIAL_WINDOW.into(),
            receive_window: INITIAL_WINDOW.into(),
            taken: config.connection_window.saturating_sub(INITIAL_WINDOW),
            last: 0,
            errors: 0,
            farewell: Farewell::No,
            peer_last: None,
            has_failed: false,
            out,
        };
        connection.give_back();
        connection
    }

    /// What is to be sent; to be taken from the front, or as a whole.
    pub const fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// So much is to be sent that nothing is to be read meanwhile. Bodies alone never make it so, or two peers
    /// that both do this could wait for each other for ever.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.out.len() >= 2 * OUTPUT_BYTES
    }

    /// Whether there is room for parts of bodies.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.out.len() < OUTPUT_BYTES
    }

    /// Streams that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.streams.len()
    }

    /// How many streams the peer takes at a time.
    #[must_use]
    pub const fn peer_streams(&self) -> u32 {
        self.peer.streams
    }

    /// Whether the peer's settings have come.
    #[must_use]
    pub const fn has_settings(&self) -> bool {
        self.has_settings
    }

    /// Whether streams can be opened on it, as far as the peer has said.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        !self.has_failed && self.peer_last.is_none() && self.last < super::frame::MAX_31_BITS - 1
    }

    /// We have said goodbye for good, and no stream is open.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.has_failed || (matches!(self.farewell, Farewell::Said(_)) && self.streams.len() == 0)
    }

    /// Whose a stream is.
    pub fn adopt(&mut self, key: Key, tag: T) {
        if let Some(stream) = self.streams.get(key) {
            stream.tag = Some(tag);
        }
    }

    /// A stream that the peer has said it didn't look at.
    pub fn next_refused(&mut self) -> Option<T> {
        self.next_beyond(self.peer_last?)
    }

    /// A stream that is open, on a connection that is at its end.
    pub fn next_cut(&mut self) -> Option<T> {
        self.next_beyond(0)
    }

    fn next_beyond(&mut self, last: u32) -> Option<T> {
        while let Some(key) = self.streams.beyond(last) {
            let stream = self.streams.remove(key)?;
            if stream.tag.is_some() {
                return stream.tag;
            }
        }
        None
    }

    /// Gives the places of the last request's fields away: see [`http1::conclude_request`].
    pub const fn swap_fields(&mut self, fields: &mut Vec<http1::Field>) {
        self.requests.swap_fields(fields);
    }

    /// What was wrong with a head, if one was malformed since this was asked last.
    pub const fn take_mistake(&mut self) -> Option<HeadError> {
        self.mistake.take()
    }

    /// Gives memory back that many streams have left. For a connection that waits.
    pub fn shrink(&mut self) {
        self.streams.shrink();
        self.requests = RequestReader::default();
    }

    fn stream(&self, id: u32, is_head_request: bool) -> Stream<T> {
        Stream {
            id,
            tag: None,
            send_window: self.peer.window.into(),
            receive_window: self.config.stream_window.into(),
            taken: 0,
            expected: None,
            has_received_all: false,
            has_sent_all: false,
            has_head: false,
            is_head_request,
            interims: 0,
        }
    }
}
