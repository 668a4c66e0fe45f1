//! The client: a script of requests, sent with or without waiting for responses, and what came back.

use super::origin::Plan;
use super::wire::{Chance, Message, Pipe, body_of, chunks, read_message};

pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) minor: u8,
    pub(crate) body: Vec<u8>,
    pub(crate) closes: bool,
    pub(crate) expects: bool,
    pub(crate) plan: Plan,
    head: Vec<u8>,
    framed_body: Vec<u8>,
}

impl Request {
    pub(crate) fn random(index: usize, chance: &mut Chance, faulty: bool, size_max: usize) -> Self {
        let path = format!("/{index}");
        let minor = u8::from(!chance.one_in(8));
        let method = chance.pick(&["GET", "GET", "HEAD", "POST", "POST", "PUT"]);
        let with_body = matches!(method, "POST" | "PUT") || chance.one_in(8);
        let size = if with_body {
            chance.pick(&[0, 1, 2, 40, size_max])
        } else {
            0
        };
        let body = body_of("request", &path, size);
        let chunked = with_body && minor == 1 && chance.one_in(2);
        let expects = with_body && minor == 1 && chance.one_in(4) && (chunked || size > 0);
        let closes = chance.one_in(12);
        let mut head = format!("{method} {path} HTTP/1.{minor}\r\nHost: a\r\n");
        head += match (minor, closes) {
            (_, true) => "Connection: close\r\n",
            (0, false) => "Connection: keep-alive\r\n",
            _ => "",
        };
        if expects {
            head += "Expect: 100-continue\r\n";
        }
        let framed_body = if chunked {
            chunks(&body, "", chance)
        } else {
            body.clone()
        };
        if chunked {
            head += "Transfer-Encoding: chunked\r\n";
        } else if with_body {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "\r\n";
        let plan = Plan::random(chance, faulty, size_max);
        Self {
            method,
            path,
            minor,
            body,
            closes,
            expects,
            plan,
            head: head.into_bytes(),
            framed_body,
        }
    }
}

pub(crate) struct Client {
    pub(crate) requests: Vec<Request>,
    pub(crate) responses: Vec<Message>,
    pub(crate) interims: Vec<Message>,
    /// Sends without waiting for responses.
    pipelines: bool,
    /// Closes its side after so many bytes.
    leaves_after: Option<usize>,
    written: usize,
    next: usize,
    /// The request's body that waits for `100 Continue`.
    held_back: Option<Vec<u8>>,
    stream: Vec<u8>,
}

impl Client {
    pub(crate) fn random(chance: &mut Chance, faulty: bool, size_max: usize) -> Self {
        let requests: Vec<_> = (0..=chance.below(6))
            .map(|index| Request::random(index, chance, faulty, size_max))
            .collect();
        let total: usize = requests
            .iter()
            .map(|one| one.head.len() + one.framed_body.len())
            .sum();
        Self {
            pipelines: chance.one_in(2),
            leaves_after: (faulty && chance.one_in(4)).then(|| chance.below(total)),
            requests,
            responses: Vec::new(),
            interims: Vec::new(),
            written: 0,
            next: 0,
            held_back: None,
            stream: Vec::new(),
        }
    }

    pub(crate) fn leaves_early(&self) -> bool {
        self.leaves_after.is_some()
    }

    /// Gives whether it did anything.
    pub(crate) fn step(&mut self, out: &mut Pipe, input: &mut Pipe) -> bool {
        let read = self.read(input);
        self.write(out) || read
    }

    fn read(&mut self, input: &mut Pipe) -> bool {
        let news = !input.arrived.is_empty();
        if !news && !input.ended {
            return false;
        }
        self.stream.append(&mut input.arrived);
        while let Some(request) = self.requests.get(self.responses.len()) {
            let empty = request.method == "HEAD";
            let Some(head) = super::wire::read_head(&self.stream) else {
                break;
            };
            let status = head.status();
            let message = if status < 200 || status == 204 || status == 304 || empty {
                Message {
                    is_whole: true,
                    ..head
                }
            } else {
                let Some(message) = read_message(&self.stream, true) else {
                    break;
                };
                message
            };
            if !message.is_whole && !input.ended {
                break;
            }
            // Behind a message that was cut there is nothing.
            let end = if message.is_whole {
                message.len
            } else {
                self.stream.len()
            };
            self.stream.drain(..end);
            let into = if status < 200 {
                &mut self.interims
            } else {
                &mut self.responses
            };
            into.push(message);
        }
        news
    }

    fn write(&mut self, out: &mut Pipe) -> bool {
        if out.closed_by_writer {
            return false;
        }
        let told = self
            .interims
            .iter()
            .any(|message| message.field("x-for").is_none());
        if let Some(body) = self.held_back.take_if(|_| told) {
            self.send(&body, out);
            return true;
        }
        let answered = self.responses.len();
        if self.next == self.requests.len()
            || self.held_back.is_some()
            || !self.pipelines && answered < self.next
        {
            return self.end_if_answered(out);
        }
        let request = &self.requests[self.next];
        let (head, body) = (request.head.clone(), request.framed_body.clone());
        if request.expects {
            self.interims.clear();
            self.held_back = Some(body);
            self.send(&head, out);
        } else {
            self.send(&[head, body].concat(), out);
        }
        self.next += 1;
        true
    }

    /// A client that has all its answers closes.
    fn end_if_answered(&mut self, out: &mut Pipe) -> bool {
        let is_done = self.responses.len() == self.requests.len() && !out.closed_by_writer;
        out.closed_by_writer |= is_done;
        is_done
    }

    fn send(&mut self, bytes: &[u8], out: &mut Pipe) {
        let room = self
            .leaves_after
            .map_or(usize::MAX, |after| after - self.written);
        let count = bytes.len().min(room);
        out.wire.extend(&bytes[..count]);
        self.written += count;
        out.closed_by_writer |= count == room;
    }
}
