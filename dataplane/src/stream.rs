//! A connection whose bytes go to a backend whatever they mean: what happens to each, with every branch in
//! sight. What is inside of the bytes, and requests, are no business of this.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringgate_core::balance;
use ringgate_core::ir::{Balance, Id, ListenerSettings, ObjectName};
use ringgate_core::proxy_protocol;
use ringgate_core::table::{Backend, Carries, Slot, StreamRule, Target};

use crate::downstream::Downstream;
use crate::limits;
use crate::shard::{Shard, ShardTable};
use crate::telemetry::access_log::{StreamLine, Way};
use crate::telemetry::counters::Stream;
use crate::tls::accept::Accepted;
use crate::tunnel::{self, Carried};
use crate::upstream::backing::Asker;
use crate::upstream::pool::{Beginning, Connection, Load};

/// What was in force when the connection began. A long one doesn't hold the table.
struct Taken {
    listener: Slot,
    gateway: ObjectName,
    name: Arc<str>,
    /// Of the listener.
    settings: Arc<ListenerSettings>,
    /// Of the port.
    tunnel_idle: Duration,
    /// Shown to a backend that asks for one.
    certificate: Option<Id>,
    rule: Option<Arc<StreamRule>>,
}

/// What is to be told of a connection when it is over.
#[derive(Default)]
struct Outcome {
    backend: Option<Arc<Backend>>,
    endpoint: Option<SocketAddr>,
    attempts: u32,
    carried: Carried,
    /// Why it went nowhere.
    refused: Option<&'static str>,
}

/// Carries a connection to its end. False: it was refused, which is no good end.
pub(crate) async fn serve(downstream: &Downstream, accepted: Accepted) -> bool {
    let started = Instant::now();
    let shard = downstream.shard;
    let Some(taken) = Taken::of(&shard.table(), downstream, &accepted) else {
        return false;
    };
    let server_name = accepted.name;
    let passes = accepted.carries == Carries::Tls;
    let mut outcome = Outcome::default();
    match connect(downstream, &taken, (&server_name, passes), &mut outcome).await {
        Ok((connection, _load)) => {
            shard.counters.stream(taken.place(), Stream::opened());
            let sent = accepted.hello.unwrap_or_else(|| shard.buffers.take());
            let received = shard.buffers.take();
            let idle = taken.tunnel_idle;
            let tunnel = tunnel::run(downstream, &connection, idle, sent, received);
            outcome.carried = tunnel.await;
            connection.stream.close().await;
            let Carried { up, down } = outcome.carried;
            shard
                .counters
                .stream(taken.place(), Stream::carried(up, down));
        }
        Err(reason) => {
            outcome.refused = Some(reason);
            shard.counters.stream(taken.place(), Stream::refused());
            if let Some(hello) = accepted.hello {
                shard.buffers.give(hello);
            }
        }
    }
    if shard.log.is_on() && taken.settings.access_log {
        log(downstream, &taken, &server_name, &outcome, started);
    }
    outcome.refused.is_none()
}

impl Taken {
    /// None: the listener went while the client was connecting.
    fn of(table: &Rc<ShardTable>, downstream: &Downstream, accepted: &Accepted) -> Option<Self> {
        let port = table.port(downstream.bind)?;
        let listener = port.listener(&accepted.name)?;
        let is_same = listener.slot == accepted.listener && listener.carries == accepted.carries;
        is_same.then(|| Self {
            listener: listener.slot,
            gateway: listener.gateway.clone(),
            name: listener.name.clone(),
            settings: listener.settings.clone(),
            tunnel_idle: port.settings.timeouts.tunnel_idle,
            certificate: listener.client_certificate.clone(),
            rule: listener.stream(&accepted.name).cloned(),
        })
    }

    fn place(&self) -> (Slot, Option<Slot>) {
        (self.listener, self.rule.as_ref().map(|rule| rule.slot))
    }
}

/// A connection to the backend that is due: nothing was sent yet, so that another endpoint may be tried.
async fn connect(
    downstream: &Downstream,
    taken: &Taken,
    (server_name, passes): (&str, bool),
    outcome: &mut Outcome,
) -> Result<(Box<Connection>, Load), &'static str> {
    let shard = downstream.shard;
    let rule = taken.rule.as_deref().ok_or("no_route")?;
    let backend = choose(shard, rule)?;
    outcome.backend = Some(backend.clone());
    let header = header(downstream, &backend);
    let how = Beginning {
        // What passes is encrypted already.
        is_encrypted: backend.backend.tls.is_some() && !passes,
        certificate: taken.certificate.as_ref(),
        header: &header,
    };
    let asker = asker(downstream, &backend, server_name);
    let mut tried = None;
    for _ in 0..limits::STREAM_ATTEMPTS {
        let endpoint = shard.upstreams.choose(shard, &backend, asker, tried);
        let endpoint = endpoint.ok_or("no_endpoint")?;
        outcome.attempts += 1;
        outcome.endpoint = Some(endpoint.address);
        let load = Load::on(&endpoint);
        match endpoint.alone(shard, &backend, &how).await {
            Ok(connection) => {
                endpoint.succeeded();
                return Ok((connection, load));
            }
            Err(unavailable) => {
                let client = downstream.client;
                tracing::debug!(%client, endpoint = %endpoint.address, ?unavailable, "no connection");
                tried = Some(endpoint.address);
            }
        }
    }
    Err("connect_failed")
}

/// Whom the endpoint is chosen for: nothing is known of most connections but their client.
fn asker(downstream: &Downstream, backend: &Backend, server_name: &str) -> Asker {
    let balance = &backend.backend.settings.balance;
    let by_name = matches!(balance, Balance::Consistent(by) if by.hostname);
    let by_name = by_name && !server_name.is_empty();
    Asker {
        client: downstream.client.ip(),
        key: by_name.then(|| balance::key_of_bytes(server_name.as_bytes())),
    }
}

/// The backend that the next connection or session of a rule goes to.
pub(crate) fn choose(shard: &Shard, rule: &StreamRule) -> Result<Arc<Backend>, &'static str> {
    let weights = rule.targets.iter().map(|target| target.weight);
    let place = shard.rules.borrow_mut().next(rule.slot, weights);
    let target = place.and_then(|place| rule.targets.get(place));
    match target.ok_or("no_backend")?.target {
        Target::Invalid => Err("invalid_backend"),
        Target::Backend(slot) => {
            let table = shard.table();
            table.backend(slot).cloned().ok_or("no_backend")
        }
    }
}

/// What the backend wants to know of the client before its bytes; empty: nothing.
fn header(downstream: &Downstream, backend: &Backend) -> Vec<u8> {
    let mut header = Vec::new();
    if let Some(version) = backend.backend.settings.proxy_header {
        let (client, here) = (downstream.client, downstream.local_address());
        proxy_protocol::write(version, client, here, &mut header);
    }
    header
}

fn log(
    downstream: &Downstream,
    taken: &Taken,
    server_name: &str,
    outcome: &Outcome,
    started: Instant,
) {
    let rule = taken.rule.as_ref();
    let way = Way {
        client: downstream.client,
        took: started.elapsed(),
        gateway: Some(taken.gateway.to_string()),
        listener: Some(&taken.name),
        route_kind: rule.map(|rule| rule.kind),
        route: rule.map(|rule| rule.route.to_string()),
        rule: rule.map(|rule| rule.name.to_string()),
        backend: outcome.backend.as_deref(),
        endpoint: outcome.endpoint,
        attempts: outcome.attempts,
        error: outcome.refused,
    };
    let line = StreamLine {
        way,
        server_name,
        sent_bytes: outcome.carried.up,
        received_bytes: outcome.carried.down,
    };
    if !downstream.shard.log.send_stream(&line) {
        let counters = &downstream.shard.counters;
        counters.total(|totals| totals.log_lines_dropped += 1);
    }
}
