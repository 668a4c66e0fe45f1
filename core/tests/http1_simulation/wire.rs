//! What the two ends of the simulation share: chance from a seed, pipes that deliver when they like,
//! and a reader of messages that is not the one under test: it takes whole messages, and trusts them.

/// SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `end`, without it.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// One direction of a connection.
#[derive(Default)]
pub(crate) struct Pipe {
    /// Written, and not yet arrived.
    pub(crate) wire: Vec<u8>,
    pub(crate) closed_by_writer: bool,
    /// Arrived, and not yet read.
    pub(crate) arrived: Vec<u8>,
    /// The end was seen behind all bytes.
    pub(crate) ended: bool,
}

impl Pipe {
    /// Some bytes arrive, at most `most`; gives whether anything did.
    pub(crate) fn deliver(&mut self, chance: &mut Chance, most: usize) -> bool {
        if self.wire.is_empty() {
            let news = self.closed_by_writer && !self.ended;
            self.ended |= news;
            return news;
        }
        let count = 1 + chance.below(self.wire.len().min(most));
        self.arrived.extend(self.wire.drain(..count));
        true
    }
}

/// A message that was read, by the simplest rules.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) start: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: String,
    /// All there, and told so by its framing: not if the close of the connection is its end.
    pub(crate) is_whole: bool,
    /// Bytes of the stream.
    pub(crate) len: usize,
}

impl Message {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn status(&self) -> u16 {
        self.start[9..12].parse().unwrap()
    }

    pub(crate) fn path(&self) -> &str {
        self.start.split(' ').nth(1).unwrap()
    }
}

/// The head at the front of a stream, if it is all there.
pub(crate) fn read_head(stream: &[u8]) -> Option<Message> {
    let end = stream.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = String::from_utf8(stream[..end].to_vec()).unwrap();
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap().to_owned();
    let split = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    Some(Message {
        start,
        fields: lines.map(split).collect(),
        len: end + 4,
        ..Message::default()
    })
}

/// The message at the front of a stream, as far as it is there; `None` without a whole head. A message
/// with neither length nor chunks has no body, or one `until_close`.
pub(crate) fn read_message(stream: &[u8], until_close: bool) -> Option<Message> {
    let mut message = read_head(stream)?;
    let rest = &stream[message.len..];
    if message.field("transfer-encoding").is_some() {
        read_chunks(rest, &mut message);
    } else if let Some(length) = message.field("content-length") {
        let length: usize = length.parse().unwrap();
        message.body = rest[..length.min(rest.len())].to_vec();
        message.is_whole = message.body.len() == length;
        message.len += message.body.len();
    } else if until_close {
        message.body = rest.to_vec();
        message.len = stream.len();
    } else {
        message.is_whole = true;
    }
    Some(message)
}

fn read_chunks(mut rest: &[u8], message: &mut Message) {
    let from = rest.len();
    loop {
        let Some(line) = take_line(&mut rest) else {
            return;
        };
        let size = usize::from_str_radix(line.split(';').next().unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        message.body.extend(&rest[..size.min(rest.len())]);
        if rest.len() < size + 2 {
            return;
        }
        assert_eq!(&rest[size..size + 2], b"\r\n");
        rest = &rest[size + 2..];
    }
    while let Some(line) = take_line(&mut rest) {
        if line.is_empty() {
            message.is_whole = true;
            message.len += from - rest.len();
            return;
        }
        message.trailers += &line;
    }
}

fn take_line(rest: &mut &[u8]) -> Option<String> {
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let line = String::from_utf8(rest[..end].to_vec()).unwrap();
    *rest = &rest[end + 2..];
    Some(line)
}

/// A body cut into chunks of any size.
pub(crate) fn chunks(body: &[u8], trailers: &str, chance: &mut Chance) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let size = 1 + chance.below(rest.len());
        let extension = chance.pick(&["", "", ";a", ";a=\"b c\""]);
        out.extend(format!("{size:X}{extension}\r\n").bytes());
        out.extend(&rest[..size]);
        out.extend(b"\r\n");
        rest = &rest[size..];
    }
    out.extend(format!("{}\r\n{trailers}\r\n", chance.pick(&["0", "000", "0;last"])).bytes());
    out
}

/// The body that belongs to a path in one direction: no two are alike, and each shows whose it is. It
/// holds what would be a message, if it were taken for one.
pub(crate) fn body_of(kind: &str, path: &str, size: usize) -> Vec<u8> {
    let piece = format!("{kind}{path}\r\n0\r\n\r\nGET {path}/smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    piece.into_bytes().into_iter().cycle().take(size).collect()
}
