//! What there is where several nodes share addresses: their gossip, and the socket that it goes through.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::frames::Mac;
use super::gossip::{Begin, Event, Gossip, Keys};
use super::owner::Stage;
use super::wire::{self, Wire};
use super::{AnnounceError, Sharing, keys};
use crate::limits::GOSSIP_DATAGRAM;

/// So many datagrams are taken in before it is looked at what follows.
const DATAGRAMS_AT_ONCE: usize = 256;

/// What there is where several nodes share addresses.
pub(super) struct Shared {
    pub(super) wire: Wire,
    found: watch::Receiver<BTreeSet<SocketAddr>>,
    /// Taken when it is known where the others reach this node.
    begin: Option<(Keys, Option<Mac>)>,
    pub(super) gossip: Option<Gossip>,
    pub(super) told_full: bool,
    told_bad: bool,
}

impl Shared {
    pub(super) fn start(sharing: Sharing, mac: Option<Mac>) -> Result<Self, AnnounceError> {
        let keys = keys(&sharing.key)?;
        let address = sharing.listen;
        let wire = Wire::bind(address);
        let wire = wire.map_err(|error| AnnounceError::Listen { address, error })?;
        let (find, found) = watch::channel(BTreeSet::new());
        tokio::spawn(wire::look_up(sharing.peers, find));
        let mut shared = Self {
            wire,
            found,
            begin: Some((keys, mac)),
            gossip: None,
            told_full: false,
            told_bad: false,
        };
        if !address.ip().is_unspecified() {
            let failed = |error| AnnounceError::Listen { address, error };
            let port = shared.wire.local_address().map_err(failed)?.port();
            shared.begin(SocketAddr::new(address.ip(), port))?;
        }
        Ok(shared)
    }

    fn begin(&mut self, address: SocketAddr) -> Result<(), AnnounceError> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let (process, seed) = (random()?, random()?);
        if let Some((keys, mac)) = self.begin.take() {
            info!(node = %address, "this node shares addresses with others");
            let begin = Begin {
                address,
                mac,
                keys,
                process,
                generation: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
                seed,
            };
            self.gossip = Some(Gossip::new(begin, Instant::now()));
        }
        Ok(())
    }

    /// Where the others are says where they reach us, unless that was given.
    fn look_at_peers(&mut self) {
        let peers = self.found.borrow_and_update().clone();
        if self.gossip.is_none() {
            let ours = peers
                .iter()
                .find_map(|peer| wire::address_towards(*peer).ok());
            let port = self.wire.local_address().map(|address| address.port());
            if let (Some(ours), Ok(port)) = (ours, port)
                && let Err(error) = self.begin(SocketAddr::new(ours, port))
            {
                warn!(%error, "addresses can't be shared");
            }
        }
        if let Some(gossip) = &mut self.gossip {
            gossip.set_peers(peers);
        }
    }

    pub(super) fn turn(
        &mut self,
        stage: Stage,
        addresses: &BTreeSet<IpAddr>,
        now: Instant,
    ) -> Vec<Event> {
        if self.gossip.is_none() || self.found.has_changed().unwrap_or(false) {
            self.look_at_peers();
        }
        // What has come is heard before it is looked what didn't.
        let mut buffer = [0; GOSSIP_DATAGRAM];
        let Some(gossip) = &mut self.gossip else {
            while self.wire.receive(&mut buffer).is_some() {}
            return Vec::new();
        };
        for _ in 0..DATAGRAMS_AT_ONCE {
            let Some((from, datagram)) = self.wire.receive(&mut buffer) else {
                break;
            };
            gossip.receive(from, datagram, now);
            if !gossip.bad().is_empty() && !std::mem::replace(&mut self.told_bad, true) {
                warn!(%from, "a datagram that isn't by this key, or came before, is dropped; those after it are counted only (ringgate_announce_bad_datagrams)");
            }
        }
        gossip.serve(stage, addresses, now);
        gossip.turn(now);
        let events = gossip.take_events();
        self.flush();
        events
    }

    pub(super) fn release(&mut self, addresses: &[IpAddr]) {
        if let Some(gossip) = &mut self.gossip {
            gossip.release(addresses);
        }
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        if let Some(gossip) = &mut self.gossip {
            for (to, datagram) in gossip.take_datagrams() {
                debug!(%to, bytes = datagram.len(), "gossip");
                self.wire.send(to, &datagram);
            }
        }
    }
}

fn random() -> Result<u64, AnnounceError> {
    let mut bytes = [0; 8];
    let drawn = SystemRandom::new().fill(&mut bytes);
    drawn.map_err(|_| AnnounceError::Random)?;
    // 0 stands for nobody.
    Ok(u64::from_be_bytes(bytes).max(1))
}
