//! The gateway between them, made of the parts under test and nothing else: what a data plane does,
//! without its sockets.

use ringgate_core::http1::connection::ConnectionField;
use ringgate_core::http1::{
    After, Answer, ClientSide, FieldId, Framing, Limits, Parse, Relay, RequestHead, ResponseHead,
    ServerSide, encode, parse_request, parse_response,
};

use super::origin::{Origin, Plan};
use super::wire::Pipe;

/// One connection to an origin and what the gateway knows of it.
#[derive(Default)]
pub(crate) struct Upstream {
    pub(crate) to: Pipe,
    pub(crate) from: Pipe,
    pub(crate) origin: Origin,
}

#[derive(Default)]
enum Phase {
    #[default]
    Head,
    Exchange(Box<Exchange>),
    Discard {
        relay: Relay,
        left: u64,
    },
    Closed,
}

struct Exchange {
    request: Relay,
    response: Option<Relay>,
    is_local: bool,
}

#[derive(Default)]
pub(crate) struct Proxy {
    server: ServerSide,
    client: ClientSide,
    request: RequestHead,
    response: ResponseHead,
    phase: Phase,
    room: usize,
    /// All that were opened; the last is in use, if `is_connected`.
    pub(crate) upstreams: Vec<Upstream>,
    is_connected: bool,
    pub(crate) reused: usize,
}

impl Proxy {
    pub(crate) fn new(room: usize) -> Self {
        Self {
            room,
            ..Self::default()
        }
    }

    /// Gives whether it did anything.
    pub(crate) fn step(
        &mut self,
        down: &mut Pipe,
        out: &mut Pipe,
        plans: &[(String, Plan)],
    ) -> bool {
        match std::mem::take(&mut self.phase) {
            Phase::Head => self.read_head(down, out, plans),
            Phase::Exchange(exchange) => self.exchange(exchange, down, out),
            Phase::Discard { relay, left } => self.discard(relay, left, down, out),
            Phase::Closed => {
                self.phase = Phase::Closed;
                false
            }
        }
    }

    fn close(&mut self, out: &mut Pipe) -> bool {
        self.disconnect();
        out.closed_by_writer = true;
        self.phase = Phase::Closed;
        true
    }

    fn disconnect(&mut self) {
        if let Some(upstream) = self.upstreams.last_mut() {
            upstream.to.closed_by_writer = true;
        }
        self.is_connected = false;
    }

    fn read_head(&mut self, down: &mut Pipe, out: &mut Pipe, plans: &[(String, Plan)]) -> bool {
        match parse_request(&down.arrived, &Limits::default(), &mut self.request) {
            Err(error) => {
                self.reply(error.status(), out);
                self.close(out)
            }
            Ok(Parse::Partial) if down.ended => self.close(out),
            Ok(Parse::Partial) => false,
            Ok(Parse::Complete) => {
                let path = String::from_utf8(self.request.path(&down.arrived).to_vec()).unwrap();
                let is_local = plans
                    .iter()
                    .any(|(known, plan)| *known == path && plan.is_local);
                self.server.request(&self.request);
                let framing = self.request.framing;
                if !is_local {
                    self.send_request(&down.arrived);
                }
                down.arrived.drain(..self.request.len);
                let mut exchange = Exchange {
                    request: Relay::new(framing, framing),
                    response: None,
                    is_local,
                };
                if is_local {
                    self.reply(404, out);
                    exchange.response = Some(Relay::discard(Framing::None));
                }
                self.phase = Phase::Exchange(Box::new(exchange));
                true
            }
        }
    }

    fn send_request(&mut self, buf: &[u8]) {
        if self.is_connected {
            self.reused += 1;
        } else {
            self.upstreams.push(Upstream::default());
            self.is_connected = true;
        }
        let head = &self.request;
        self.client.request(head.framing, head.upgrade.is_some());
        let to = &mut self.upstreams.last_mut().unwrap().to.wire;
        encode::request_line(to, head.method_text.of(buf), head.path(buf), None);
        for field in head
            .fields
            .iter()
            .filter(|field| head.passes_on(field, buf))
        {
            encode::field_copy(to, field, buf);
        }
        encode::framing(to, head.framing);
        encode::head_end(to);
    }

    fn reply(&mut self, status: u16, out: &mut Pipe) {
        let reply = self.server.response(status, Framing::Length(0));
        encode::status_line(&mut out.wire, status);
        encode::field(&mut out.wire, b"x-local", b"yes");
        reply.connection.write(&mut out.wire);
        encode::framing(&mut out.wire, reply.framing);
        encode::head_end(&mut out.wire);
    }

    fn exchange(&mut self, mut exchange: Box<Exchange>, down: &mut Pipe, out: &mut Pipe) -> bool {
        let mut did = false;
        if !exchange.is_local {
            match self.pump_request(&mut exchange, down) {
                Ok(more) => did |= more,
                Err(()) => return self.close(out),
            }
            match self.pump_response(&mut exchange, out) {
                Ok(more) => did |= more,
                Err(()) => return self.close(out),
            }
        }
        if exchange.response.as_ref().is_some_and(Relay::is_done) {
            return self.finish(*exchange, out);
        }
        self.phase = Phase::Exchange(exchange);
        did
    }

    fn pump_request(&mut self, exchange: &mut Exchange, down: &mut Pipe) -> Result<bool, ()> {
        let upstream = self.upstreams.last_mut().unwrap();
        if exchange.request.is_done() {
            self.server.request_body_done();
            self.client.request_body_done();
            return Ok(false);
        }
        if upstream.to.wire.len() > self.room {
            return Ok(false);
        }
        let used = exchange
            .request
            .pump(&down.arrived, &mut upstream.to.wire, self.room)
            .map_err(drop)?;
        down.arrived.drain(..used);
        if used > 0 {
            self.server.request_body_started();
        }
        if down.ended && down.arrived.is_empty() && !exchange.request.is_done() {
            return Err(());
        }
        Ok(used > 0 || exchange.request.is_done())
    }

    fn pump_response(&mut self, exchange: &mut Exchange, out: &mut Pipe) -> Result<bool, ()> {
        let Some(relay) = &mut exchange.response else {
            return self.read_response(exchange, out);
        };
        let from = &mut self.upstreams.last_mut().unwrap().from;
        if relay.is_done() || out.wire.len() > self.room {
            return Ok(false);
        }
        let verbatim = relay.verbatim(from.arrived.len()).min(self.room);
        let used = if verbatim > 0 {
            out.wire.extend(&from.arrived[..verbatim]);
            relay.advance(verbatim);
            verbatim
        } else {
            relay
                .pump(&from.arrived, &mut out.wire, self.room)
                .map_err(drop)?
        };
        from.arrived.drain(..used);
        if from.ended && from.arrived.is_empty() && !relay.is_done() {
            relay.end_of_stream(&mut out.wire).map_err(drop)?;
        }
        Ok(used > 0 || relay.is_done())
    }

    fn read_response(&mut self, exchange: &mut Exchange, out: &mut Pipe) -> Result<bool, ()> {
        let from = &mut self.upstreams.last_mut().unwrap().from;
        let buf = &from.arrived;
        let parsed = parse_response(
            buf,
            &Limits::default(),
            self.request.method,
            &mut self.response,
        );
        if parsed == Ok(Parse::Partial) && !from.ended {
            return Ok(false);
        }
        let answer = match parsed {
            Ok(Parse::Complete) => self.client.response(&self.response).map_err(drop),
            _ => Err(()),
        };
        let head = &self.response;
        match answer {
            Err(()) => {
                self.disconnect();
                self.reply(502, out);
                exchange.response = Some(Relay::discard(Framing::None));
                return Ok(true);
            }
            Ok(Answer::Switching) => return Err(()),
            Ok(Answer::Interim) if self.server.interim(head.status) => {
                write_head(head, buf, None, out)
            }
            Ok(Answer::Interim) => {}
            Ok(Answer::Final { .. }) => {
                let reply = self.server.response(head.status, head.framing);
                exchange.response = Some(Relay::new(head.framing, reply.framing));
                write_head(head, buf, Some((reply.framing, reply.connection)), out);
            }
        }
        let len = head.len;
        from.arrived.drain(..len);
        Ok(true)
    }

    /// The response was sent whole.
    fn finish(&mut self, exchange: Exchange, out: &mut Pipe) -> bool {
        self.client.response_body_done();
        if !exchange.is_local && self.is_connected {
            let from = &self.upstreams.last_mut().unwrap().from;
            // A data plane looks whether the socket is readable; here that is what is on the wire.
            let left_over = from.arrived.len() + from.wire.len();
            if !self.client.reuse(left_over) || from.closed_by_writer {
                self.disconnect();
            }
        }
        if exchange.request.is_done() {
            self.server.request_body_done();
        }
        match self.server.response_done() {
            After::Next => self.phase = Phase::Head,
            After::Discard { at_most } => {
                self.phase = Phase::Discard {
                    relay: exchange.request.into_discard(),
                    left: at_most,
                };
            }
            After::Close { .. } | After::Tunnel => return self.close(out),
        }
        true
    }

    fn discard(&mut self, mut relay: Relay, left: u64, down: &mut Pipe, out: &mut Pipe) -> bool {
        let before = relay.received();
        let Ok(used) = relay.pump(&down.arrived, &mut out.wire, self.room) else {
            return self.close(out);
        };
        down.arrived.drain(..used);
        let read = relay.received() - before;
        if relay.is_done() {
            self.server.request_body_done();
            self.phase = Phase::Head;
            return true;
        }
        if read > left || down.ended && down.arrived.is_empty() {
            return self.close(out);
        }
        self.phase = Phase::Discard {
            relay,
            left: left - read,
        };
        used > 0
    }
}

fn write_head(
    head: &ResponseHead,
    buf: &[u8],
    body: Option<(Framing, ConnectionField)>,
    out: &mut Pipe,
) {
    encode::status_line_with(&mut out.wire, head.status, head.reason.of(buf));
    for field in head
        .fields
        .iter()
        .filter(|field| head.passes_on(field, buf))
    {
        assert_ne!(field.id, FieldId::TransferEncoding);
        encode::field_copy(&mut out.wire, field, buf);
    }
    if let Some((framing, connection)) = body {
        connection.write(&mut out.wire);
        encode::framing(&mut out.wire, framing);
    }
    encode::head_end(&mut out.wire);
}
