//! The agent's loop: what comes in goes to those who decide, and what they decide is done.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Notify, mpsc, watch};
use tracing::{info, warn};

use super::data_plane::{self, Source};
use super::duty::{Answer, Duty};
use super::frames::Mac;
use super::gossip::{Event, Gossip};
use super::inside::{self, AddressState, AskOwners, Metrics, NodeState, Sources};
use super::interface::Interface;
use super::link::{Claim, Link, LinkError};
use super::owner::{self, Stage};
use super::pace::Pace;
use super::rounds::{News, Rounds, Steps};
use super::shared::Shared;
use super::{AnnounceError, Asked, Config};
use crate::limits::{
    ANNOUNCE_LAST_LOOK, ANNOUNCE_LEAVE, ANNOUNCE_PROBE_GAP, ANNOUNCE_REFUSED, ANNOUNCE_ROUND,
    GOSSIP_ASLEEP, GOSSIP_MEMBERS,
};
use crate::wake::{at, tell};

/// Before the first answer.
const NOTHING_YET: &str = "nobody has said yet which addresses there are";

pub(super) struct Agent {
    interface: Interface,
    /// Why there is none at this moment.
    missing: Option<String>,
    /// None where it isn't Ethernet, as with `lo`.
    link: Option<Link>,
    duty: Duty,
    rounds: Rounds,
    shared: Option<Shared>,
    while_ready: bool,
    /// Whose the addresses are, and of which view of the nodes that is.
    owners: owner::Owners,
    view: u64,
    answers: mpsc::Receiver<Answer>,
    hurry: Arc<Notify>,
    /// Addresses that are local without our doing, and when they are looked up again.
    others: BTreeSet<IpAddr>,
    look: Instant,
    turned: Instant,
    stopping: Option<Instant>,
    metrics: Arc<Metrics>,
    questions: mpsc::Receiver<AskOwners>,
    trouble: watch::Sender<Option<String>>,
    /// What the one who is asked for addresses had to say last, if it wasn't addresses.
    unanswered: Option<String>,
}

impl Agent {
    pub(super) async fn start(config: Config) -> Result<Self, AnnounceError> {
        let now = Instant::now();
        let interface = Interface::find(&config.interface).await?;
        let mac = interface.mac();
        let link = mac
            .map(|mac| Link::open(&config.interface, mac))
            .transpose()?;
        let shared = config
            .sharing
            .map(|sharing| Shared::start(sharing, mac))
            .transpose()?;
        let pace = if shared.is_some() || config.while_ready {
            Pace::SHARED
        } else {
            Pace::ALONE
        };
        let address = config.admin;
        let listener = inside::bind(address).await;
        let listener = listener.map_err(|error| AnnounceError::Admin { address, error })?;
        let (metrics, hurry) = (Arc::new(Metrics::default()), Arc::new(Notify::new()));
        let (ask, questions) = mpsc::channel(4);
        let (trouble, see_trouble) = watch::channel(Some(NOTHING_YET.to_owned()));
        let sources = Sources {
            metrics: metrics.clone(),
            owners: ask,
            trouble: see_trouble,
        };
        tokio::spawn(inside::serve(listener, sources));
        let has_others = shared.is_some() || config.while_ready;
        let source = match (config.asked, has_others) {
            (Asked::DataPlane(admin), true) => Source::DataPlane(admin),
            (Asked::DataPlane(admin) | Asked::ControlPlane(admin), _) => Source::Addresses(admin),
        };
        let (answer, answers) = mpsc::channel(1);
        tokio::spawn(data_plane::ask(source, answer, hurry.clone()));
        Ok(Self {
            interface,
            missing: None,
            rounds: Rounds::new(pace, link.is_some(), now),
            link,
            duty: Duty::default(),
            shared,
            while_ready: config.while_ready,
            owners: owner::Owners::new(),
            view: 0,
            answers,
            hurry,
            others: BTreeSet::new(),
            look: now,
            turned: now,
            stopping: None,
            metrics,
            questions,
            trouble,
            unanswered: Some(NOTHING_YET.to_owned()),
        })
    }

    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let next = self.next();
            tokio::select! {
                () = &mut stop, if self.stopping.is_none() => {
                    if self.shared.is_none() && !self.while_ready {
                        return;
                    }
                    self.stopping = Some(Instant::now());
                    self.hurry.notify_one();
                }
                Some(answer) = self.answers.recv() => self.answered(answer),
                Some(ask) = self.questions.recv() => self.tell_owners(ask),
                heard = hear(self.link.as_ref()) => if !self.heard(heard).await {
                    continue;
                },
                () = readable(self.shared.as_ref()) => {}
                () = at(Some(next)) => {}
            }
            self.turn().await;
            if self.is_over() {
                self.leave();
                return;
            }
        }
    }

    /// When something is due.
    fn next(&self) -> Instant {
        let now = Instant::now();
        let gossip = self.gossip().map(|gossip| gossip.next());
        let stopping = self.stopping.map(|_| now + ANNOUNCE_LAST_LOOK / 4);
        let rounds = self.rounds.next().filter(|_| self.missing.is_none());
        let some = [gossip, rounds, stopping].into_iter().flatten();
        some.fold(now + ANNOUNCE_ROUND, Instant::min)
    }

    fn gossip(&self) -> Option<&Gossip> {
        self.shared.as_ref()?.gossip.as_ref()
    }

    fn answered(&mut self, answer: Answer) {
        self.unanswered = match &answer {
            Answer::Fails(text) => Some(text.clone()),
            Answer::Ready(_) | Answer::Drains { .. } => None,
        };
        if matches!(answer, Answer::Drains { .. }) && !self.duty.drains() {
            info!("the data plane drains: its addresses go to others");
        }
        self.duty.hear(answer, Instant::now());
    }

    /// Whether it is of any interest.
    async fn heard(&mut self, heard: Result<(IpAddr, Mac, Claim), LinkError>) -> bool {
        let (address, mac, claim) = match heard {
            Ok(heard) => heard,
            Err(error) => {
                self.tell(Some(error.to_string()));
                // An interface that is down says so each time.
                tokio::time::sleep(ANNOUNCE_PROBE_GAP).await;
                return true;
            }
        };
        // Who asks for what is here is answered by the kernel.
        if claim == Claim::Wants && self.rounds.holds(address) {
            return false;
        }
        let node = self.gossip().and_then(|gossip| gossip.node_of(mac));
        let now = Instant::now();
        match (self.rounds.heard(address, mac, node.is_some(), now), node) {
            (Some(News::Refused), Some(node)) => {
                self.metrics.refused.inc();
                info!(%address, %node, holder = %mac, "waits for a node that still has this address");
            }
            (Some(News::Refused), None) => {
                self.metrics.refused.inc();
                warn!(%address, holder = %mac, "another host has this address, it isn't announced here; asked again every {ANNOUNCE_REFUSED:?}");
            }
            (Some(News::Contested), node) => {
                self.metrics.contested.inc();
                let node = node.map(|node| node.to_string());
                warn!(%address, by = %mac, node, "another host claims an address of this node: the link is told again whose it is");
            }
            (None, _) => return false,
        }
        true
    }

    /// Looks at everything, and does what is due.
    async fn turn(&mut self) {
        let now = Instant::now();
        let slept = now.saturating_duration_since(self.turned);
        self.turned = now;
        if let Some(gossip) = self
            .shared
            .as_mut()
            .and_then(|shared| shared.gossip.as_mut())
            && slept > ANNOUNCE_ROUND + GOSSIP_ASLEEP
        {
            warn!(?slept, "this process didn't run for a while");
            gossip.woke(now);
        }
        self.stop_or_go(now);
        let stage = match self.missing {
            None => self.duty.stage(now),
            Some(_) => Stage::Away,
        };
        if let Some(shared) = &mut self.shared {
            let events = shared.turn(stage, self.duty.addresses(), now);
            self.happened(events, now);
        }
        if let Err(text) = self.look_around(now).await {
            return self.tell(Some(text));
        }
        self.reckon();
        let wanted = self.wanted(stage, now);
        let steps = self.rounds.turn(&wanted, &self.others, now);
        let mut done = self.carry_out(steps).await;
        if let Err(error) = self.tell_link() {
            done = Err(error.to_string());
        }
        if let Some(shared) = &mut self.shared {
            shared.flush();
        }
        self.count();
        // Near the end it is no wonder that a data plane doesn't answer.
        let unanswered = self.unanswered.clone().filter(|_| self.stopping.is_none());
        self.tell(done.err().or(unanswered));
    }

    fn stop_or_go(&mut self, now: Instant) {
        let Some(since) = self.stopping else {
            return;
        };
        // Of a data plane that ends, too, requests under way are waited for.
        if now >= since + ANNOUNCE_LAST_LOOK && !self.duty.waits(now) {
            self.duty.leave();
        }
    }

    fn is_over(&self) -> bool {
        let Some(since) = self.stopping else {
            return false;
        };
        let now = Instant::now();
        let mut held = self.rounds.held();
        let kept = |address| !self.while_ready && !self.owners.contains_key(&address);
        let all_kept = held.all(kept);
        let looked = now >= since + ANNOUNCE_LAST_LOOK && !self.duty.waits(now);
        (looked && all_kept) || now >= since + ANNOUNCE_LEAVE
    }

    fn leave(&mut self) {
        let now = Instant::now();
        if let Some(shared) = &mut self.shared {
            if let Some(gossip) = &mut shared.gossip {
                gossip.leave(now);
            }
            shared.flush();
        }
    }

    fn happened(&mut self, events: Vec<Event>, now: Instant) {
        for event in events {
            match event {
                Event::Joined(node) => {
                    info!(%node, "a node shares addresses with this one");
                    self.rounds.tell_again(now);
                }
                Event::Lost(node) => info!(%node, "a node is gone"),
                Event::Missed => {
                    warn!(
                        "the other nodes took this one for dead: does this process get enough CPU?"
                    );
                    self.duty.unsettle(now);
                }
                Event::Released(addresses) => self.rounds.released(&addresses, now),
                Event::Full(node) => self.tell_full(node),
            }
        }
    }

    fn tell_full(&mut self, node: SocketAddr) {
        if let Some(shared) = &mut self.shared
            && !std::mem::replace(&mut shared.told_full, true)
        {
            warn!(%node, "{GOSSIP_MEMBERS} nodes share addresses, and no more can: this one isn't heard");
        }
    }

    /// What there is of others, and whether the interface is still the same.
    async fn look_around(&mut self, now: Instant) -> Result<(), String> {
        if self.look <= now {
            self.look = now + ANNOUNCE_ROUND;
            if self.missing.is_some() || !self.interface.is_there() {
                let found = self.find_interface(now).await;
                self.missing = found.err().map(|error| error.to_string());
            }
            if self.missing.is_none() {
                let others = self.interface.others().await;
                self.others = others.map_err(|error| error.to_string())?;
            }
        }
        self.missing.clone().map_or(Ok(()), Err)
    }

    /// It was removed, and perhaps made anew. What was on it went with it.
    async fn find_interface(&mut self, now: Instant) -> Result<(), AnnounceError> {
        self.rounds.begin_again(self.link.is_some(), now);
        let name = self.interface.name().to_owned();
        let interface = Interface::find(&name).await?;
        let mac = interface.mac();
        self.link = mac.map(|mac| Link::open(&name, mac)).transpose()?;
        self.interface = interface;
        self.rounds.begin_again(self.link.is_some(), now);
        let shared = self.shared.as_mut();
        if let Some(gossip) = shared.and_then(|shared| shared.gossip.as_mut()) {
            gossip.set_mac(mac);
        }
        warn!(
            interface = name,
            "was made anew: addresses are asked for again"
        );
        Ok(())
    }

    /// Reckons owners again where they may be others.
    fn reckon(&mut self) {
        let Some(gossip) = self
            .shared
            .as_ref()
            .and_then(|shared| shared.gossip.as_ref())
        else {
            return;
        };
        if gossip.view() != self.view {
            self.view = gossip.view();
            self.owners = owner::owners(&gossip.candidates(), self.duty.addresses());
        }
    }

    fn wanted(&self, stage: Stage, now: Instant) -> BTreeSet<IpAddr> {
        match (self.gossip(), &self.shared) {
            (Some(gossip), _) => {
                let holds = |address| self.rounds.holds(address);
                self.duty.wanted(gossip.ours(), &self.owners, holds, now)
            }
            // It isn't known yet where the others are.
            (None, Some(_)) => BTreeSet::new(),
            (None, None) if self.while_ready && stage == Stage::Away && !self.duty.waits(now) => {
                BTreeSet::new()
            }
            (None, None) => self.duty.addresses().clone(),
        }
    }

    /// All of them, whether one fails or not; the text of what failed last.
    async fn carry_out(&mut self, steps: Steps) -> Result<(), String> {
        let mut done = Ok(());
        let mut released = Vec::new();
        for address in steps.lost {
            warn!(%address, "wasn't renewed in time: it is asked for again");
        }
        for address in steps.take {
            match self.interface.take(address).await {
                Ok(()) => {
                    info!(%address, "no longer announced");
                    self.metrics.released.inc();
                    self.rounds.taken(address);
                    released.push(address);
                }
                Err(error) => done = Err(error.to_string()),
            }
        }
        if let Some(shared) = &mut self.shared {
            shared.release(&released);
        }
        if let Some(link) = &self.link {
            let mut probes = steps.probe.iter();
            if let Err(error) = probes.try_for_each(|address| link.probe(*address)) {
                done = Err(error.to_string());
            }
        }
        for address in steps.renew.into_iter().chain(steps.put) {
            match self.interface.put(address, self.rounds.lifetime_s()).await {
                Ok(()) => {
                    if self.rounds.put(address, Instant::now()) {
                        info!(%address, "announced");
                        self.metrics.taken_over.inc();
                    }
                }
                Err(error) => done = Err(error.to_string()),
            }
        }
        done
    }

    fn tell_link(&mut self) -> Result<(), LinkError> {
        let told = self.rounds.tell(Instant::now());
        let Some(link) = &self.link else {
            return Ok(());
        };
        told.into_iter()
            .try_for_each(|address| link.announce(address))
    }

    fn count(&self) {
        let held = i64::try_from(self.rounds.held().count()).unwrap_or(i64::MAX);
        self.metrics.held.set(held);
        let members = self.gossip().map_or(0, Gossip::members) + 1;
        self.metrics
            .members
            .set(i64::try_from(members).unwrap_or(i64::MAX));
        let bad = self.gossip().into_iter().flat_map(|gossip| gossip.bad());
        for (bad, count) in bad {
            self.metrics.set_bad(*bad, *count);
        }
    }

    fn tell(&self, trouble: Option<String>) {
        match (&trouble, &*self.trouble.borrow()) {
            (Some(text), before) if Some(text) != before.as_ref() => {
                warn!("addresses aren't announced as they should be, it is tried again: {text}");
            }
            (None, Some(_)) => info!("addresses can be announced"),
            _ => {}
        }
        tell(&self.trouble, trouble);
    }

    fn tell_owners(&self, ask: AskOwners) {
        let candidates = self.gossip().map(Gossip::candidates).unwrap_or_default();
        let stage = |stage| match stage {
            Stage::Away => "away",
            Stage::Fresh => "fresh",
            Stage::Settled => "settled",
        };
        let nodes = candidates.iter().map(|one| NodeState {
            node: one.node.to_string(),
            stage: stage(one.stage).to_owned(),
            addresses: one.addresses.len(),
        });
        let refusals: Vec<(IpAddr, Mac)> = self.rounds.refusals().collect();
        let addresses = self.duty.addresses().iter().map(|address| {
            let refused = refusals.iter().find(|(refused, _)| refused == address);
            AddressState {
                address: address.to_string(),
                owner: self.owners.get(address).map(|node| node.to_string()),
                held: self.rounds.holds(*address),
                refused_by: refused.map(|(_, mac)| mac.to_string()),
            }
        });
        // Who asked may be gone.
        let _ = ask.send(inside::Owners {
            node: self.gossip().map(|gossip| gossip.ours().to_string()),
            nodes: nodes.collect(),
            addresses: addresses.collect(),
        });
    }
}

async fn hear(link: Option<&Link>) -> Result<(IpAddr, Mac, Claim), LinkError> {
    match link {
        Some(link) => link.hear().await,
        None => std::future::pending().await,
    }
}

async fn readable(shared: Option<&Shared>) {
    match shared {
        Some(shared) => shared.wire.readable().await,
        None => std::future::pending().await,
    }
}
