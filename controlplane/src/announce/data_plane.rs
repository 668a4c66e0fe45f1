//! Asks the admin server of this machine's data plane, or of a control plane, which addresses there are.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::duty::Answer;
use crate::admin::client::{self, ClientError};
use crate::limits::{
    ANNOUNCE_ADDRESSES, ANNOUNCE_ANSWER, ANNOUNCE_ASK, ANNOUNCE_ASK_DRAINING, ANNOUNCE_ROUND,
};

/// Whom is asked, and what.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// Where nobody takes over: the addresses are enough.
    Addresses(SocketAddr),
    /// A data plane: whether it is ready, too.
    DataPlane(SocketAddr),
}

/// Asks until nobody listens. `hurry` says that the end is near.
pub(super) async fn ask(source: Source, answers: mpsc::Sender<Answer>, hurry: Arc<Notify>) {
    let mut hurries = false;
    loop {
        let answer = match timeout(ANNOUNCE_ANSWER, source.ask()).await {
            Ok(answer) => answer,
            Err(_) => Answer::Fails(format!(
                "{} didn't answer within {ANNOUNCE_ANSWER:?}",
                source.address()
            )),
        };
        let drains = matches!(answer, Answer::Drains { .. });
        if answers.send(answer).await.is_err() {
            return;
        }
        let pause = match source {
            Source::Addresses(_) => ANNOUNCE_ROUND,
            Source::DataPlane(_) if drains || hurries => ANNOUNCE_ASK_DRAINING,
            Source::DataPlane(_) => ANNOUNCE_ASK,
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = hurry.notified() => hurries = true,
        }
    }
}

impl Source {
    fn address(self) -> SocketAddr {
        match self {
            Self::Addresses(address) | Self::DataPlane(address) => address,
        }
    }

    async fn ask(self) -> Answer {
        let readiness = match self {
            Self::Addresses(_) => Ok(()),
            Self::DataPlane(admin) => client::get(admin, "/readyz").await.map(drop),
        };
        match readiness {
            Ok(()) => match addresses(self.address()).await {
                Ok(addresses) => Answer::Ready(addresses),
                Err(text) => Answer::Fails(text),
            },
            Err(ClientError::Status { text, .. }) if text.starts_with(DRAINING) => Answer::Drains {
                clients: clients(&text),
            },
            Err(error) => Answer::Fails(error.to_string()),
        }
    }
}

/// How a data plane that drains begins its answer to `/readyz`; the number of clients that are left follows.
const DRAINING: &str = "draining";

/// Of one that doesn't say how many there are, some.
fn clients(text: &str) -> usize {
    let words = text.split(|one: char| !one.is_ascii_digit());
    let mut numbers = words.filter_map(|word| word.parse().ok());
    numbers.next().unwrap_or(1)
}

async fn addresses(admin: SocketAddr) -> Result<BTreeSet<IpAddr>, String> {
    let body = client::get(admin, "/addresses").await;
    let body = body.map_err(|error| error.to_string())?;
    let texts: Vec<String> = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    // A name isn't ours to announce.
    let addresses: BTreeSet<IpAddr> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    match addresses.len() {
        0..=ANNOUNCE_ADDRESSES => Ok(addresses),
        many => Err(format!(
            "there are {many} addresses, and an agent announces {ANNOUNCE_ADDRESSES} at most: serve them from several groups of nodes"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_are_left_are_read_from_the_answer() {
        assert_eq!(clients("draining: 12 clients are left"), 12);
        assert_eq!(clients("draining"), 1);
    }
}
