//! The origin: answers each request as its plan says, truly or with a fault, and notes what it was sent.

use super::wire::{Chance, Message, Pipe, body_of, chunks, read_head, read_message};

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) status: u16,
    pub(crate) size: usize,
    pub(crate) fault: Fault,
    /// Answered when the head is there, before the body.
    pub(crate) early: bool,
    pub(crate) hints: usize,
    /// Answered by the gateway itself.
    pub(crate) is_local: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    Length,
    Chunked,
    UntilClose,
    OldLength,
    OldUntilClose,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    /// Closes in the middle of the response.
    Cut,
    /// Bytes behind the response, as of another one.
    Extra,
    /// Closes without a response.
    Silent,
    /// No HTTP.
    Garbage,
}

impl Plan {
    pub(crate) fn random(chance: &mut Chance, faulty: bool, size_max: usize) -> Self {
        use Fault::{Cut, Extra, Garbage, None, Silent};
        use Shape::{Chunked, Length, OldLength, OldUntilClose, UntilClose};
        Self {
            shape: chance.pick(&[
                Length,
                Length,
                Chunked,
                Chunked,
                UntilClose,
                OldLength,
                OldUntilClose,
            ]),
            status: chance.pick(&[200, 200, 200, 200, 204, 304]),
            size: chance.pick(&[0, 1, 2, 40, size_max]),
            fault: if faulty {
                chance.pick(&[None, None, Cut, Extra, Silent, Garbage])
            } else {
                None
            },
            early: chance.one_in(4),
            hints: if chance.one_in(4) {
                1 + chance.below(3)
            } else {
                0
            },
            is_local: chance.one_in(8),
        }
    }

    /// Bodiless by method or status.
    pub(crate) fn is_bodiless(&self, method: &str) -> bool {
        method == "HEAD" || matches!(self.status, 204 | 304)
    }

    pub(crate) fn trailers(&self, path: &str) -> String {
        if self.size.is_multiple_of(2) {
            format!("x-sum: {path}")
        } else {
            String::new()
        }
    }

    fn response(&self, method: &str, path: &str, chance: &mut Chance) -> Vec<u8> {
        let minor = u8::from(!matches!(
            self.shape,
            Shape::OldLength | Shape::OldUntilClose
        ));
        let mut text = format!(
            "HTTP/1.{minor} {} Some reason\r\nX-For: {path}\r\n",
            self.status
        );
        let body = body_of("response", path, self.size);
        if self.is_bodiless(method) {
            text += "\r\n";
            return text.into_bytes();
        }
        let framed = match self.shape {
            Shape::Length | Shape::OldLength => {
                text += &format!("Content-Length: {}\r\n", body.len());
                body
            }
            Shape::Chunked => {
                text += "Transfer-Encoding: chunked\r\n";
                let mut trailers = self.trailers(path);
                trailers += if trailers.is_empty() {
                    ""
                } else {
                    "\r\nContent-Length: 7\r\n"
                };
                chunks(&body, &trailers, chance)
            }
            Shape::UntilClose | Shape::OldUntilClose => body,
        };
        text += "\r\n";
        [text.into_bytes(), framed].concat()
    }

    fn closes(&self, method: &str) -> bool {
        let until_close = matches!(self.shape, Shape::UntilClose | Shape::OldUntilClose);
        let old = matches!(self.shape, Shape::OldLength | Shape::OldUntilClose);
        matches!(self.fault, Fault::Cut | Fault::Silent)
            || old
            || until_close && !self.is_bodiless(method)
    }
}

/// One connection to the origin.
#[derive(Default)]
pub(crate) struct Origin {
    stream: Vec<u8>,
    /// Requests whose bodies came whole.
    pub(crate) requests: Vec<Message>,
    /// Answered before its body came whole.
    answered: bool,
    /// No request may come any more: the last response was cut, or had bytes behind it.
    pub(crate) is_tainted: bool,
    pub(crate) came_after_taint: bool,
    said_continue: bool,
}

impl Origin {
    /// Gives whether it did anything.
    pub(crate) fn step(
        &mut self,
        plans: &[(String, Plan)],
        out: &mut Pipe,
        input: &mut Pipe,
        chance: &mut Chance,
    ) -> bool {
        let news = !input.arrived.is_empty();
        let at_front = self.stream.is_empty();
        self.came_after_taint |= news && self.is_tainted && at_front;
        self.stream.append(&mut input.arrived);
        let mut did = news;
        if !news && !input.ended {
            return false;
        }
        while let Some(head) = read_head(&self.stream) {
            let (_, plan) = plans
                .iter()
                .find(|(path, _)| path == head.path())
                .expect("a request that a client sent");
            let plan = *plan;
            if !self.said_continue
                && head.field("expect").is_some()
                && !plan.early
                && !out.closed_by_writer
            {
                self.said_continue = true;
                out.wire.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
                did = true;
            }
            let message = read_message(&self.stream, false).unwrap();
            if !self.answered && (message.is_whole || plan.early) {
                self.answer(plan, &head, out, chance);
                did = true;
            }
            if !message.is_whole {
                break;
            }
            self.stream.drain(..message.len);
            self.requests.push(message);
            self.answered = false;
            self.said_continue = false;
        }
        if input.ended && !out.closed_by_writer {
            out.closed_by_writer = true;
            did = true;
        }
        did
    }

    fn answer(&mut self, plan: Plan, head: &Message, out: &mut Pipe, chance: &mut Chance) {
        self.answered = true;
        if out.closed_by_writer {
            return;
        }
        let (method, path) = (head.start.split(' ').next().unwrap(), head.path());
        for _ in 0..plan.hints {
            out.wire
                .extend(format!("HTTP/1.1 103 Early Hints\r\nX-For: {path}\r\n\r\n").bytes());
        }
        let response = plan.response(method, path, chance);
        match plan.fault {
            Fault::None => out.wire.extend(&response),
            Fault::Cut => out.wire.extend(&response[..chance.below(response.len())]),
            Fault::Extra => {
                out.wire.extend(&response);
                out.wire
                    .extend(b"HTTP/1.1 200 OK\r\nX-For: /evil\r\nContent-Length: 0\r\n\r\n");
            }
            Fault::Silent => {}
            Fault::Garbage => out
                .wire
                .extend(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\n\n"),
        }
        self.is_tainted |= plan.fault != Fault::None;
        out.closed_by_writer |= plan.closes(method);
    }
}
