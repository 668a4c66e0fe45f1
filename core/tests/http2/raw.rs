//! Frames by hand, and a server or client of ours that is fed with them.

use std::collections::HashMap;

use ringgate_core::http1::{Limits, Method};
use ringgate_core::http2::head::OwnHead;
use ringgate_core::http2::hpack::Encoder;
use ringgate_core::http2::{Config, Connection, Event, Failed, Key, PREFACE, Reason, Role};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

pub(crate) const LIMITS: Limits = Limits {
    request_line_bytes: 8 << 10,
    header_bytes: 16 << 10,
    header_fields: 100,
};

pub(crate) fn config(role: Role) -> Config {
    Config {
        role,
        streams: 100,
        stream_window: 64 << 10,
        connection_window: 1 << 20,
        head: LIMITS,
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![high, middle, low, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A frame of one setting.
pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    let mut payload = name.to_be_bytes().to_vec();
    payload.extend(value.to_be_bytes());
    frame(SETTINGS, 0, 0, &payload)
}

/// A frame that came: its type, flags, stream and payload.
pub(crate) type Frame = (u8, u8, u32, Vec<u8>);

pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let [high, middle, low, kind, flags, a, b, c, d, rest @ ..] = bytes {
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        let stream = u32::from_be_bytes([*a, *b, *c, *d]);
        frames.push((*kind, *flags, stream, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "half a frame");
    frames
}

pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let (mut encoder, mut block) = (Encoder::new(), Vec::new());
    for (name, value) in fields {
        encoder.field(name.as_bytes(), value.as_bytes(), &mut block);
    }
    block
}

pub(crate) fn asked(method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = vec![
        (":method", method),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/"),
    ];
    fields.extend_from_slice(more);
    block(&fields)
}

/// What an event says, for comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Request(u32, String, bool),
    Response(u32, String, bool),
    Data(u32, Vec<u8>, bool),
    Trailers(u32, String),
    Reset(u32, Reason, bool),
    GoAway(Reason),
}

/// One of ours.
pub(crate) struct Side {
    pub(crate) core: Connection<Key>,
    input: Vec<u8>,
    text: Vec<u8>,
    keys: HashMap<u32, Key>,
}

impl Side {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            core: Connection::new(config),
            input: Vec::new(),
            text: Vec::new(),
            keys: HashMap::new(),
        }
    }

    /// Of a stream that was opened.
    pub(crate) fn key(&self, id: u32) -> Key {
        self.keys[&id]
    }

    /// A server's stream, whose response has begun and whose body is to follow.
    pub(crate) fn answering(&mut self, id: u32) -> Key {
        self.request(id, END_STREAM);
        let key = self.key(id);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        self.respond(key, head, false);
        key
    }

    /// A server whose client has sent its preface and no settings but the usual ones.
    pub(crate) fn server() -> Self {
        let mut side = Self::new(config(Role::Server));
        assert_eq!(side.told(PREFACE), Ok(Vec::new()));
        assert_eq!(side.told(&frame(SETTINGS, 0, 0, &[])), Ok(Vec::new()));
        side.sent();
        side
    }

    /// A client whose server has sent no settings but the usual ones.
    pub(crate) fn client() -> Self {
        let mut side = Self::new(config(Role::Client));
        assert_eq!(side.told(&frame(SETTINGS, 0, 0, &[])), Ok(Vec::new()));
        side.core.output().clear();
        side
    }

    /// What bytes bring, of which a body's are read at once.
    pub(crate) fn told(&mut self, bytes: &[u8]) -> Result<Vec<Told>, Failed> {
        self.tell(bytes, true)
    }

    /// Bytes that nobody reads.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        self.tell(bytes, false).unwrap();
    }

    fn tell(&mut self, bytes: &[u8], is_read: bool) -> Result<Vec<Told>, Failed> {
        self.input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.input);
        let (mut rest, mut all) = (&input[..], Vec::new());
        loop {
            let received = self.core.receive(rest, &mut self.text, &|| "key".into())?;
            rest = &rest[received.used..];
            let Some(event) = received.event else { break };
            let text = String::from_utf8_lossy(&self.text).into_owned();
            all.extend(match event {
                Event::Request(key, request) => {
                    self.core.adopt(key, key);
                    self.keys.insert(key.id(), key);
                    Some(Told::Request(key.id(), text, request.is_last))
                }
                Event::Response(key, response) => {
                    Some(Told::Response(key.id(), text, response.is_last))
                }
                Event::Data {
                    tag,
                    bytes,
                    is_last,
                } => {
                    if is_read {
                        self.core.taken(Some(tag), bytes.len());
                    }
                    Some(Told::Data(tag.id(), bytes.to_vec(), is_last))
                }
                Event::Trailers(key) => Some(Told::Trailers(key.id(), text)),
                Event::Reset {
                    tag,
                    reason,
                    is_ours,
                } => Some(Told::Reset(tag.id(), reason, is_ours)),
                Event::Settings => None,
                Event::GoAway(reason) => Some(Told::GoAway(reason)),
            });
        }
        self.input = rest.to_vec();
        Ok(all)
    }

    /// What is to leave, which has left then.
    pub(crate) fn sent(&mut self) -> Vec<Frame> {
        frames(&std::mem::take(self.core.output()))
    }

    pub(crate) fn sent_no_preface(&mut self) -> Vec<Frame> {
        self.sent()
    }

    /// A stream of a client that has sent the head of a request.
    pub(crate) fn request(&mut self, id: u32, flags: u8) {
        let head = frame(HEADERS, END_HEADERS | flags, id, &asked("POST", &[]));
        let told = self.told(&head).unwrap();
        assert!(matches!(told[..], [Told::Request(..)]), "{told:?}");
    }

    pub(crate) fn respond(&mut self, key: Key, text: &str, is_last: bool) {
        let mut head = OwnHead::default();
        head.response(text.as_bytes(), Method::Get).unwrap();
        let head = (&head, text.as_bytes());
        self.core.respond(key, head, false, is_last).unwrap();
    }

    /// Opens a stream, as a client; the key is its tag too, once there is one.
    pub(crate) fn ask(&mut self, text: &str, is_last: bool) -> Key {
        let mut head = OwnHead::default();
        head.request(text.as_bytes()).unwrap();
        let head = (&head, text.as_bytes());
        let key = self.core.request(None, head, "http", is_last).unwrap();
        self.core.adopt(key, key);
        self.keys.insert(key.id(), key);
        key
    }

    /// That the connection is ended for a reason, and the peer is told.
    pub(crate) fn fails(&mut self, bytes: &[u8], reason: Reason) {
        assert_eq!(self.told(bytes), Err(Failed(reason)));
        let (kind, _, _, payload) = self.sent().pop().unwrap();
        assert_eq!(
            (kind, &payload[4..8]),
            (GOAWAY, &reason.0.to_be_bytes()[..])
        );
        assert!(self.core.is_over());
    }

    /// That a stream is ended for a reason, and the connection goes on.
    pub(crate) fn resets(&mut self, bytes: &[u8], id: u32, reason: Reason) {
        self.told(bytes).unwrap();
        let sent = self.sent();
        let reset = (RST_STREAM, 0, id, reason.0.to_be_bytes().to_vec());
        assert!(sent.contains(&reset), "{reason}: {sent:?}");
        let ping = frame(PING, 0, 0, b"are you?");
        assert_eq!(self.told(&ping), Ok(Vec::new()));
        assert_eq!(self.sent(), [(PING, ACK, 0, b"are you?".to_vec())]);
    }
}
