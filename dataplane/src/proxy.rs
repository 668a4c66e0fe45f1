//! THE request: what happens to each, with every branch in sight.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringgate_core::balance;
use ringgate_core::filter::{cors, location};
use ringgate_core::grpc::{Carriage, timeout};
use ringgate_core::http1::{After, FieldId, Form, Framing, Method, Relay};
use ringgate_core::ir::{Balance, Endpoints, Redirect, RouteProtocol};
use ringgate_core::route::{Fields, Request, cookie, host, path};
use ringgate_core::table::{
    Action, Backend, Listener, Plan, Port, Rule, Table, Target, WeightedTarget,
};

use crate::downstream::Downstream;
use crate::downstream::h1::{self, Session};
use crate::downstream::reply::{self, Reply};
use crate::echo;
use crate::fields::HeadFields;
use crate::forward::{self, Forward};
use crate::grpc_web::GrpcWeb;
use crate::limits;
use crate::sys::buffer::Buffer;
use crate::telemetry::access_log::{Line, Way};
use crate::upstream::request_head;

/// For the head that goes to a backend, and what of the body goes with it.
fn room(session: &Session) -> usize {
    let here = session.input.len() + limits::HEAD_BYTES;
    match session.head.framing {
        Framing::Length(length) if here > limits::BUFFER_BYTES => {
            let body = usize::try_from(length).unwrap_or(usize::MAX);
            let all = body.saturating_add(session.head.len + limits::HEAD_BYTES);
            here.max(all.min(limits::TOGETHER_BYTES))
        }
        _ => here,
    }
}

/// What is to be told of a request when it is over.
#[derive(Default)]
pub(crate) struct Outcome {
    /// 0: ended without a response.
    pub(crate) status: u16,
    pub(crate) attempts: u32,
    /// When the client had the whole response of a backend.
    pub(crate) ended: Option<Instant>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) response_bytes: u64,
    pub(crate) reason: Option<&'static str>,
}

/// Where a request goes.
enum Decision<'t> {
    Reply(Reply),
    Echo { name: Arc<str>, head: Buffer },
    Forward(Forward<'t>),
}

/// A decision, with what it was taken for.
struct Decided<'t> {
    decision: Decision<'t>,
    listener: Option<&'t Listener>,
    rule: Option<&'t Rule>,
    backend: Option<&'t Arc<Backend>>,
}

/// Answers one request, whose head was read.
pub(crate) async fn request(downstream: &Downstream, session: &mut Session) -> After {
    let started = Instant::now();
    // The head's deadline is over; whoever reads or writes next sets one of its own.
    downstream.watch.clear();
    let table = downstream.shard.table();
    session.side.borrow_mut().request(&session.head);
    session.grpc = carriage(session);
    session.body = Relay::discard(session.head.framing);
    let asked = downstream.shard.log.is_on().then(|| Asked::of(session));
    let decided = decide(downstream, session, &table, started);
    let (listener, rule, backend) = (decided.listener, decided.rule, decided.backend);
    session.input.consume(session.head.len);
    downstream.shard.buffers.rest(&mut session.input);
    let (after, outcome) = match decided.decision {
        Decision::Reply(reply) => answer(downstream, session, reply).await,
        Decision::Echo { name, head } => {
            let reply = match h1::swallow_body(downstream, session).await {
                true => echo::reply(&name, head.pending(), session.body.received()),
                false => Reply::truncated_body(),
            };
            downstream.shard.buffers.give(head);
            answer(downstream, session, reply).await
        }
        Decision::Forward(forward) => forward::forward(downstream, session, forward).await,
    };
    let took = outcome.ended.unwrap_or_else(Instant::now) - started;
    if let Some(listener) = listener {
        let place = (listener.slot, rule.map(|rule| rule.slot));
        downstream
            .shard
            .counters
            .request(place, outcome.status, took);
    }
    if let Some(asked) = asked
        && listener.is_none_or(|listener| listener.settings.access_log)
    {
        log(
            downstream,
            session,
            &asked,
            (listener, rule, backend),
            &outcome,
            took,
        );
    }
    after
}

async fn answer(downstream: &Downstream, session: &Session, reply: Reply) -> (After, Outcome) {
    let outcome = Outcome {
        status: reply.status,
        reason: Some(reply.reason),
        response_bytes: reply.body.len() as u64,
        ..Outcome::default()
    };
    (reply::send(downstream, session, reply).await, outcome)
}

/// How a request of gRPC is carried; none: it is another.
fn carriage(session: &Session) -> Option<Carriage> {
    if session.head.method != Method::Post {
        return None;
    }
    let fields = HeadFields {
        fields: &session.head.fields,
        buf: session.input.pending(),
    };
    Carriage::of(fields.first(FieldId::ContentType)?)
}

/// Everything that is known of a request before a byte of it goes anywhere.
fn decide<'t>(
    downstream: &Downstream,
    session: &mut Session,
    table: &'t Table,
    started: Instant,
) -> Decided<'t> {
    let reply = |reply| Decided {
        decision: Decision::Reply(reply),
        listener: None,
        rule: None,
        backend: None,
    };
    let Some(port) = table.port(downstream.bind) else {
        session.side.borrow_mut().drain();
        return reply(Reply::text(404, "no_listener", "This listener is gone.\n"));
    };
    let (head, buf) = (&session.head, session.input.pending());
    let host = host::of_authority(head.authority.of(buf));
    let Some(listener) = port.listener(&host) else {
        part_if_orphaned(downstream, session);
        let text = "No listener is for this host.\n";
        return reply(Reply::text(404, "no_listener", text));
    };
    let reply = |refused| Decided {
        listener: Some(listener),
        ..reply(refused)
    };
    if let Some(refused) = refuse(downstream, session, listener) {
        return reply(refused);
    }
    let path = match path::normalize(head.path(buf)) {
        Ok(path) => path,
        Err(error) => {
            let text = format!("The request is refused: {error}.\n").into_bytes();
            return reply(Reply {
                body: text.into(),
                ..Reply::empty(400, "bad_path")
            });
        }
    };
    let fields = HeadFields {
        fields: &head.fields,
        buf,
    };
    let request = Request {
        method: std::str::from_utf8(head.method_text.of(buf)).unwrap_or_default(),
        host: &host,
        path: &path,
        query: head.query.map(|query| query.of(buf)).unwrap_or_default(),
        fields: &fields,
    };
    let Some(found) = listener.find(&request) else {
        return reply(Reply::text(
            404,
            "no_route",
            "No route matches this request.\n",
        ));
    };
    let asked = Matched {
        downstream,
        port,
        listener,
        table,
        request,
        prefix_length: found.prefix_length,
    };
    let (decision, backend) = asked.carry_out(session, found.rule, started);
    Decided {
        decision,
        listener: Some(listener),
        rule: Some(found.rule),
        backend,
    }
}

/// A connection whose own listener is gone is for no request any more.
fn part_if_orphaned(downstream: &Downstream, session: &Session) {
    if downstream.is_orphaned() {
        session.side.borrow_mut().drain();
    }
}

/// What is refused whatever the routes say.
fn refuse(downstream: &Downstream, session: &Session, listener: &Listener) -> Option<Reply> {
    let head = &session.head;
    let is_misdirected = |secured| secured != listener.slot;
    if downstream.secured_by.is_some_and(is_misdirected) {
        part_if_orphaned(downstream, session);
        // RFC 9110, section 15.5.20; GEP-3567.
        let text = "This connection is for another listener: open one for this host.\n";
        return Some(Reply::text(421, "misdirected", text));
    }
    if head.method == Method::Connect {
        let reply = Reply::text(405, "connect", "CONNECT is not served here.\n");
        let fields = b"allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n".to_vec();
        return Some(Reply { fields, ..reply });
    }
    if head.form == Form::Asterisk || head.path(session.input.pending()) == b"*" {
        return Some(Reply::empty(204, "options"));
    }
    let most = listener.settings.limits.body_bytes;
    if let (Framing::Length(length), Some(most)) = (head.framing, most)
        && length > most
    {
        return Some(Reply::large_body());
    }
    None
}

/// A request that a rule takes.
struct Matched<'r, 't> {
    downstream: &'r Downstream,
    port: &'t Port,
    listener: &'t Listener,
    table: &'t Table,
    request: Request<'r, HeadFields<'r>>,
    prefix_length: usize,
}

impl<'t> Matched<'_, 't> {
    fn carry_out(
        &self,
        session: &Session,
        rule: &'t Rule,
        started: Instant,
    ) -> (Decision<'t>, Option<&'t Arc<Backend>>) {
        if let Some(preflight) = self.preflight(&rule.plan) {
            return (Decision::Reply(preflight), None);
        }
        let broken = || Reply::text(500, "broken_rule", "This route can't be carried out.\n");
        let targets = match &rule.action {
            Action::Broken => return (Decision::Reply(broken()), None),
            Action::Redirect(redirect) => {
                return (Decision::Reply(self.redirect(redirect, &rule.plan)), None);
            }
            Action::Forward(targets) => targets,
        };
        let shard = self.downstream.shard;
        let Some(target) = shard.rules.borrow_mut().choose(rule.slot, targets) else {
            let text = "This route has no backend with a weight above zero.\n";
            let reply = Reply::text(without_backend(rule), "no_backend", text);
            return (Decision::Reply(reply), None);
        };
        if let Some(redirect) = &target.redirect {
            return (Decision::Reply(self.redirect(redirect, &target.plan)), None);
        }
        let backend = match target.target {
            Target::Backend(slot) => self.table.backend(slot),
            Target::Invalid => None,
        };
        let Some(backend) = backend else {
            let text = "This route refers to a backend that doesn't exist or isn't granted.\n";
            let reply = Reply::text(without_backend(rule), "invalid_backend", text);
            return (Decision::Reply(reply), None);
        };
        (
            self.to_backend(session, rule, target, backend, started),
            Some(backend),
        )
    }

    fn to_backend(
        &self,
        session: &Session,
        rule: &'t Rule,
        target: &'t WeightedTarget,
        backend: &'t Arc<Backend>,
        started: Instant,
    ) -> Decision<'t> {
        let mut head = self.downstream.shard.buffers.take_for(room(session));
        let web = GrpcWeb::of(rule, session.grpc, self.request.fields);
        let asked = request_head::Asked {
            downstream: self.downstream,
            settings: &self.port.settings,
            head: &session.head,
            buf: session.input.pending(),
            path: self.request.path,
            prefix_length: self.prefix_length,
            protocol: backend.backend.protocol,
            web,
        };
        if let Err(error) = asked.write(&target.plan, head.out()) {
            self.downstream.shard.buffers.give(head);
            let text = format!("The request is refused after its rewrite: {error}.\n");
            let refused = Reply::empty(400, "bad_path");
            return Decision::Reply(Reply {
                body: text.into_bytes().into(),
                ..refused
            });
        }
        match &backend.backend.endpoints {
            Endpoints::Echo(name) => Decision::Echo {
                name: name.clone(),
                head,
            },
            Endpoints::Addresses(_) => Decision::Forward(Forward {
                table: self.table,
                settings: &self.port.settings,
                rule,
                plan: &target.plan,
                backend,
                key: self.key(&backend.backend.settings.balance),
                certificate: self.listener.client_certificate.as_ref(),
                origin: self.origin(&target.plan),
                out: head,
                started,
                patience: self.patience(session),
                web,
                method: session.head.method,
                is_whole: false,
            }),
        }
    }

    /// What consistent hashing goes by, where there is something better than the client's address.
    fn key(&self, balance: &Balance) -> Option<u64> {
        let Balance::Consistent(by) = balance else {
            return None;
        };
        let fields = self.request.fields;
        if let Some(name) = &by.cookie
            && let Some(all) = fields.value("cookie")
            && let Some(value) = cookie::find(&all, name)
        {
            return Some(balance::key_of_bytes(value));
        }
        let value = by.header.as_ref().and_then(|name| fields.value(name));
        if let Some(value) = value {
            return Some(balance::key_of_bytes(&value));
        }
        let host = by.hostname.then_some(self.request.host);
        host.map(|host| balance::key_of_bytes(host.as_bytes()))
    }

    fn patience(&self, session: &Session) -> Option<Duration> {
        session.grpc?;
        timeout::parse(&self.request.fields.value("grpc-timeout")?)
    }

    /// The origin that asks, if the plan has a CORS filter.
    fn origin(&self, plan: &Plan) -> Option<Box<[u8]>> {
        plan.cors.as_ref()?;
        self.request.fields.first(FieldId::Origin).map(Box::from)
    }

    /// The answer to a CORS preflight, if this is one and the rule has the filter.
    fn preflight(&self, plan: &Plan) -> Option<Reply> {
        let cors = plan.cors.as_deref()?;
        let fields = self.request.fields;
        let ask = cors::Ask {
            origin: fields.first(FieldId::Origin),
            method: fields.first(FieldId::AccessControlRequestMethod),
            headers: fields.first(FieldId::AccessControlRequestHeaders),
        };
        let is_preflight =
            self.request.method == "OPTIONS" && ask.origin.is_some() && ask.method.is_some();
        is_preflight.then(|| {
            let mut reply = Reply::empty(204, "preflight");
            cors::preflight(cors, &ask, |name, value| reply.field(name, value));
            reply
        })
    }

    fn redirect(&self, redirect: &Redirect, plan: &Plan) -> Reply {
        let from = location::From {
            scheme: self.downstream.scheme(),
            host: self.request.host,
            port: self.listener.public_port,
            path: self.request.path,
            query: self.request.query,
            prefix_length: self.prefix_length,
        };
        let mut reply = Reply::empty(redirect.status, "redirect");
        reply.field("location", &location::location(redirect, &from));
        if let Some(cors) = plan.cors.as_deref() {
            let origin = self.request.fields.first(FieldId::Origin);
            let ask = cors::Ask {
                origin,
                ..cors::Ask::default()
            };
            cors::response(cors, &ask, |name, value| reply.field(name, value));
        }
        for (name, value) in plan.response.appended() {
            reply.field(name, value.as_bytes());
        }
        reply
    }
}

/// The status where there is nothing to send to, as the API has it for each kind of route: UNAVAILABLE, in
/// gRPC's terms.
fn without_backend(rule: &Rule) -> u16 {
    match rule.protocol {
        RouteProtocol::Http => 500,
        RouteProtocol::Grpc => 503,
    }
}

/// What the access log tells of a request, kept until it is over.
struct Asked {
    method: Vec<u8>,
    authority: Vec<u8>,
    target: Vec<u8>,
    minor: u8,
}

impl Asked {
    fn of(session: &Session) -> Self {
        let (head, buf) = (&session.head, session.input.pending());
        Self {
            method: head.method_text.of(buf).to_vec(),
            authority: head.authority.of(buf).to_vec(),
            target: head.target.of(buf).to_vec(),
            minor: head.minor,
        }
    }
}

fn log(
    downstream: &Downstream,
    session: &Session,
    asked: &Asked,
    (listener, rule, backend): (Option<&Listener>, Option<&Rule>, Option<&Arc<Backend>>),
    outcome: &Outcome,
    took: Duration,
) {
    let way = Way {
        client: downstream.client,
        took,
        gateway: listener.map(|listener| listener.gateway.to_string()),
        listener: listener.map(|listener| &*listener.name),
        route_kind: rule.map(|rule| rule.protocol.kind()),
        route: rule.map(|rule| rule.route.to_string()),
        rule: rule.map(|rule| rule.name.to_string()),
        backend: backend.map(|backend| &**backend),
        endpoint: outcome.endpoint,
        attempts: outcome.attempts,
        error: outcome.reason,
    };
    let line = Line {
        way,
        method: &asked.method,
        authority: &asked.authority,
        target: &asked.target,
        version: downstream.version(asked.minor),
        status: outcome.status,
        request_bytes: session.body.received(),
        response_bytes: outcome.response_bytes,
    };
    if !downstream.shard.log.send(&line) {
        downstream
            .shard
            .counters
            .total(|totals| totals.log_lines_dropped += 1);
    }
}
