//! ExternalNames: their addresses, asked for again as they age.
//!
//! Which names are wanted comes in, what is known of all of them goes out; what they are good for is
//! translation's affair.

mod schedule;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverOpts};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;

use crate::translate::ResolvedNames;
use crate::wake::at;
use schedule::{Answer, Schedule};

#[derive(Debug, Error)]
#[error("can't read the system's resolver configuration (/etc/resolv.conf): {error}")]
pub struct ResolveError {
    error: Box<dyn std::error::Error + Send + Sync>,
}

/// A resolver that asks the servers of the system's configuration.
///
/// # Errors
/// When that can't be read.
pub fn system() -> Result<TokioResolver, ResolveError> {
    let build = || {
        let mut builder = TokioResolver::builder_tokio()?;
        set_options(builder.options_mut());
        builder.build()
    };
    build().map_err(|error| ResolveError {
        error: error.into(),
    })
}

/// Both families; and no cache, for this module keeps what it needs by its own rules.
pub fn set_options(options: &mut ResolverOpts) {
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.cache_size = 0;
}

/// Keeps `known` at what `wanted` resolves to, until the other side of either channel is gone.
pub async fn resolve(
    resolver: TokioResolver,
    mut wanted: watch::Receiver<Arc<BTreeSet<Arc<str>>>>,
    known: watch::Sender<Arc<ResolvedNames>>,
) {
    let mut schedule = Schedule::default();
    let mut lookups = JoinSet::new();
    let first = wanted.borrow_and_update().clone();
    schedule.want(&first, Instant::now());
    loop {
        for name in schedule.due(Instant::now()) {
            lookups.spawn(look_up(resolver.clone(), name));
        }
        let next = schedule.next();
        let changed = tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                let names = wanted.borrow_and_update().clone();
                schedule.want(&names, Instant::now())
            }
            Some(Ok((name, answer))) = lookups.join_next() => {
                schedule.answer(&name, answer, Instant::now())
            }
            () = at(next) => false,
        };
        if changed && known.send(schedule.known().into()).is_err() {
            return;
        }
    }
}

async fn look_up(resolver: TokioResolver, name: Arc<str>) -> (Arc<str>, Option<Answer>) {
    match resolver.lookup_ip(&*name).await {
        Ok(found) => {
            let addresses: Vec<_> = found.iter().collect();
            let ttl = found
                .valid_until()
                .saturating_duration_since(Instant::now());
            let answer = (!addresses.is_empty()).then_some(Answer { addresses, ttl });
            (name, answer)
        }
        Err(error) => {
            warn!(%name, %error, "an ExternalName doesn't resolve; the addresses known before stay");
            (name, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, SocketAddr};
    use std::time::Duration;

    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::{RData, Record, RecordType};
    use tokio::net::UdpSocket;

    /// Answers A questions with the address that stands in `answer`, or that there is none.
    async fn name_server(answer: watch::Receiver<Option<IpAddr>>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let mut reply = question.clone().into_response();
                let asked = question.queries[0].clone();
                let known = *answer.borrow();
                match known {
                    Some(ip) if asked.query_type() == RecordType::A => {
                        let record = Record::from_rdata(asked.name().clone(), 0, RData::from(ip));
                        reply.add_answer(record);
                    }
                    Some(_) => {}
                    None => reply.metadata.response_code = ResponseCode::NXDomain,
                }
                let bytes = reply.to_vec().unwrap();
                socket.send_to(&bytes, peer).await.unwrap();
            }
        });
        address
    }

    fn resolver(server: SocketAddr) -> TokioResolver {
        let mut connection = ConnectionConfig::udp();
        connection.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![connection]);
        let config = ResolverConfig::from_name_servers(vec![server]);
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        set_options(builder.options_mut());
        builder.build().unwrap()
    }

    #[tokio::test]
    async fn a_name_follows_its_server_and_keeps_its_address_when_that_knows_it_no_more() {
        let first: IpAddr = [192, 0, 2, 1].into();
        let second: IpAddr = [192, 0, 2, 2].into();
        let (answer, server) = watch::channel(Some(first));
        let server = name_server(server).await;
        let name: Arc<str> = "db.example.com".into();
        let (want, wanted) = watch::channel(Arc::new(BTreeSet::from([name.clone()])));
        let (known, mut seen) = watch::channel(Arc::default());
        let task = tokio::spawn(resolve(resolver(server), wanted, known));
        let addresses = |seen: &ResolvedNames| seen.get(&name).map(|all| all.to_vec());
        let patience = Duration::from_secs(20);
        let reach = |seen: Arc<ResolvedNames>, ip| addresses(&seen) == Some(vec![ip]);

        let wait = seen.wait_for(|seen| reach(seen.clone(), first));
        tokio::time::timeout(patience, wait).await.unwrap().unwrap();

        answer.send(Some(second)).unwrap();
        let wait = seen.wait_for(|seen| reach(seen.clone(), second));
        tokio::time::timeout(patience, wait).await.unwrap().unwrap();

        // Longer than the TTL, so that the name has been asked for again.
        answer.send(None).unwrap();
        tokio::time::timeout(Duration::from_millis(1500), seen.changed())
            .await
            .unwrap_err();
        assert_eq!(addresses(&seen.borrow()), Some(vec![second]));

        want.send(Arc::default()).unwrap();
        tokio::time::timeout(patience, seen.wait_for(|seen| seen.is_empty()))
            .await
            .unwrap()
            .unwrap();
        drop(want);
        task.await.unwrap();
    }
}
