//! What the agents of several nodes know of each other: who lives, and what each can serve. Sans-IO: datagrams and the
//! time come in, datagrams and events go out.
//!
//! SWIM (the crate `foca`) finds members and those that died. What each can serve, its *record*, it tells all others directly,
//! again and again; one that isn't heard for [`GOSSIP_LEASE`] owns nothing, whatever SWIM says. `seal` keeps strangers out.

mod identity;
mod message;
mod seal;
mod sets;
mod swim;
mod timers;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use foca::{
    AccumulatingRuntime, Foca, Member as SwimMember, NoCustomBroadcast, OwnedNotification,
    PostcardCodec, Timer,
};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tracing::debug;

use self::identity::Identity;
use self::message::{PART, Record, Said, What};
pub(super) use self::seal::Bad;
pub use self::seal::{KeyError, Keys};
use self::seal::{Opened, Process, Seal};
use self::sets::{Set, Sets};
use self::timers::Timers;
use super::frames::Mac;
use super::owner::{Candidate, Stage};
use crate::limits::{
    GOSSIP_GREET, GOSSIP_LEASE, GOSSIP_MEMBERS, GOSSIP_TELL, GOSSIP_TELL_SOON, GOSSIP_TELLINGS,
};

/// What a node begins with.
#[derive(Debug)]
pub(super) struct Begin {
    /// Where the others reach it.
    pub(super) address: SocketAddr,
    /// Of the interface that it puts addresses on, where that has one.
    pub(super) mac: Option<Mac>,
    pub(super) keys: Keys,
    /// Drawn anew for each process; not 0.
    pub(super) process: u64,
    /// Grows from one process of this node to the next.
    pub(super) generation: u64,
    pub(super) seed: u64,
}

/// What others did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Joined(SocketAddr),
    Lost(SocketAddr),
    /// The others took us for dead.
    Missed,
    /// These addresses are nobody's at this moment.
    Released(Vec<IpAddr>),
    /// Somebody isn't let in: there are as many as there may be.
    Full(SocketAddr),
}

pub(super) struct Gossip {
    ours: SocketAddr,
    foca: Foca<Identity, PostcardCodec, SmallRng, NoCustomBroadcast>,
    swim: AccumulatingRuntime<Identity>,
    timers: Timers,
    seal: Seal,
    /// Which process runs where, as far as we have heard of it.
    processes: HashMap<SocketAddr, Process>,
    peers: BTreeSet<SocketAddr>,
    greet: Instant,
    members: BTreeMap<SocketAddr, Member>,
    /// Of those that were members, too: an address that one of them answers for will be free soon.
    macs: HashMap<Mac, SocketAddr>,
    sets: Sets,
    own: Record,
    own_set: Set,
    tell: Instant,
    /// How often it is told soon again.
    soon: u32,
    /// Grows when owners may be others than before.
    view: u64,
    out: Vec<(SocketAddr, Vec<u8>)>,
    events: Vec<Event>,
    bad: BTreeMap<Bad, u64>,
}

#[derive(Debug)]
struct Member {
    process: Option<Process>,
    record: Record,
    set: Set,
    heard: Instant,
    /// Whether it was heard within the lease.
    is_heard: bool,
}

impl Gossip {
    pub(super) fn new(begin: Begin, now: Instant) -> Self {
        let identity = Identity {
            address: begin.address,
            generation: begin.generation,
        };
        let random = SmallRng::seed_from_u64(begin.seed);
        let mut sets = Sets::default();
        let set = sets.keep(Set::default());
        Self {
            ours: begin.address,
            foca: Foca::new(identity, swim::config(), random, PostcardCodec),
            swim: AccumulatingRuntime::new(),
            timers: Timers::default(),
            seal: Seal::new(begin.keys, Process(begin.process)),
            processes: HashMap::new(),
            peers: BTreeSet::new(),
            greet: now,
            members: BTreeMap::new(),
            macs: HashMap::new(),
            sets,
            own: Record {
                set,
                mac: begin.mac.map(|mac| mac.0),
                ..Record::default()
            },
            own_set: Set::default(),
            tell: now,
            soon: 0,
            view: 1,
            out: Vec::new(),
            events: Vec::new(),
            bad: BTreeMap::new(),
        }
    }

    /// Where others may be found. Those that are members already need not be among them.
    pub(super) fn set_peers(&mut self, peers: BTreeSet<SocketAddr>) {
        self.peers = peers;
    }

    /// The interface that it puts addresses on is another one.
    pub(super) fn set_mac(&mut self, mac: Option<Mac>) {
        self.own.mac = mac.map(|mac| mac.0);
        self.own.version += 1;
    }

    /// What this node can serve now.
    pub(super) fn serve(&mut self, stage: Stage, addresses: &BTreeSet<IpAddr>, now: Instant) {
        let is_same_set = *self.own_set == *addresses;
        let stage = message::stage_number(stage);
        if is_same_set && self.own.stage == stage {
            return;
        }
        if !is_same_set {
            self.own_set = Set::new(addresses.clone());
            self.own.set = self.sets.keep(self.own_set.clone());
            self.own.count = u16::try_from(addresses.len()).unwrap_or(u16::MAX);
        }
        self.own.stage = stage;
        self.own.version += 1;
        self.view += 1;
        self.soon = GOSSIP_TELLINGS;
        self.tell = now;
    }

    /// Tells the others that these addresses may be taken at once.
    pub(super) fn release(&mut self, addresses: &[IpAddr]) {
        let members: Vec<SocketAddr> = self.members.keys().copied().collect();
        for part in addresses.chunks(PART) {
            for member in &members {
                self.say(*member, What::Released(part.to_vec()));
            }
        }
    }

    /// Takes leave of the others.
    pub(super) fn leave(&mut self, now: Instant) {
        self.own.stage = message::stage_number(Stage::Away);
        self.own.version += 1;
        self.tell_all();
        let left = self.foca.leave_cluster(&mut self.swim);
        self.after_swim(left, now);
    }

    /// This process didn't run for a while: that it heard nobody is nobody's fault.
    pub(super) fn woke(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            member.heard = now;
        }
    }

    pub(super) fn receive(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        match self.seal.open(datagram) {
            Err(bad) => *self.bad.entry(bad).or_default() += 1,
            Ok(Opened::Greet { from: process }) => {
                if process != self.seal.ours() {
                    self.send(from, Some(process), What::Greeting);
                }
            }
            Ok(Opened::Fresh { from, body }) => match message::decode(body) {
                Some(said) if said.by == self.ours => {}
                Some(said) => self.hear(said, from, now),
                None => *self.bad.entry(Bad::Malformed).or_default() += 1,
            },
        }
    }

    /// Does what is due.
    pub(super) fn turn(&mut self, now: Instant) {
        while let Some(timer) = self.timers.due(now) {
            if !self.is_refuted(&timer) {
                let done = self.foca.handle_timer(timer, &mut self.swim);
                self.after_swim(done, now);
            }
        }
        if self.greet <= now {
            self.greet = now + GOSSIP_GREET;
            self.greet_peers();
        }
        if self.tell <= now {
            self.tell_all();
            self.soon = self.soon.saturating_sub(1);
            self.tell = now
                + if self.soon > 0 {
                    GOSSIP_TELL_SOON
                } else {
                    GOSSIP_TELL
                };
        }
        for (whom, ask) in self.sets.asks(now) {
            self.say(whom, ask);
        }
        for member in self.members.values_mut() {
            let is_heard = now.saturating_duration_since(member.heard) < GOSSIP_LEASE;
            self.view += u64::from(is_heard != member.is_heard);
            member.is_heard = is_heard;
        }
    }

    /// When `turn` has something to do.
    pub(super) fn next(&self) -> Instant {
        let some = [self.timers.next(), self.sets.next()].into_iter().flatten();
        some.fold(self.tell.min(self.greet), Instant::min)
    }

    /// Another number than before: `candidates` may be others.
    pub(super) fn view(&self) -> u64 {
        self.view
    }

    /// All nodes, this one among them, with what each can serve.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let others = self.members.iter().map(|(node, member)| Candidate {
            node: *node,
            stage: match member.is_heard {
                true => member.record.stage(),
                false => Stage::Away,
            },
            addresses: member.set.clone(),
        });
        let ours = Candidate {
            node: self.ours,
            stage: self.own.stage(),
            addresses: self.own_set.clone(),
        };
        others.chain([ours]).collect()
    }

    pub(super) fn ours(&self) -> SocketAddr {
        self.ours
    }

    /// The others that are alive.
    pub(super) fn members(&self) -> usize {
        self.members.len()
    }

    /// Whose Ethernet address this is, if it is or was a member's.
    pub(super) fn node_of(&self, mac: Mac) -> Option<SocketAddr> {
        self.macs.get(&mac).copied()
    }

    pub(super) fn bad(&self) -> &BTreeMap<Bad, u64> {
        &self.bad
    }

    pub(super) fn take_datagrams(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        std::mem::take(&mut self.out)
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether a suspicion is over because its member spoke up: foca (2.0.0) would leave it alive, but tell it that it is dead.
    fn is_refuted(&self, timer: &Timer<Identity>) -> bool {
        let Timer::ChangeSuspectToDown {
            member_id,
            incarnation,
            ..
        } = timer
        else {
            return false;
        };
        let mut members = self.foca.iter_members();
        let is_it = |one: &&SwimMember<Identity>| one.id() == member_id;
        let member = members.find(is_it);
        member.is_none_or(|one| one.incarnation() != *incarnation)
    }

    fn hear(&mut self, said: Said, process: Process, now: Instant) {
        let by = said.by;
        let is_member = self.members.contains_key(&by);
        if !is_member && self.members.len() >= GOSSIP_MEMBERS {
            self.events.push(Event::Full(by));
            return;
        }
        self.processes.insert(by, process);
        match said.what {
            What::Greeting if is_member => {}
            What::Greeting => {
                let asked = self.foca.announce(Identity::unknown(by), &mut self.swim);
                self.after_swim(asked, now);
            }
            What::Swim(bytes) => {
                let heard = self.foca.handle_data(&bytes, &mut self.swim);
                self.after_swim(heard, now);
            }
            What::Record(record) => self.hear_record(by, process, record, now),
            What::Released(addresses) => self.events.push(Event::Released(addresses)),
            What::Ask { set, first, count } => {
                for part in self.sets.parts(set, first, count) {
                    self.say(by, part);
                }
            }
            What::Part {
                set,
                number,
                addresses,
            } => {
                if self.sets.part(set, number, addresses, now) {
                    self.look_sets_up();
                }
            }
        }
    }

    fn hear_record(&mut self, by: SocketAddr, process: Process, record: Record, now: Instant) {
        let Some(member) = self.members.get_mut(&by) else {
            return;
        };
        let is_old = member.process == Some(process) && record.version < member.record.version;
        if is_old {
            return;
        }
        member.heard = now;
        member.process = Some(process);
        if let Some(mac) = record.mac() {
            if self.macs.len() >= 2 * GOSSIP_MEMBERS {
                self.macs.retain(|_, node| self.members.contains_key(node));
            }
            self.macs.insert(mac, by);
        }
        if let Some(member) = self.members.get_mut(&by) {
            let is_news = member.record != record;
            match self.sets.get(record.set) {
                // Until it is known what it serves now, it is as before. Each time it says so it may be asked: whoever was
                // asked until now may be gone.
                None => self.sets.want(record.set, record.count, by, now),
                Some(set) if is_news => member.set = set,
                Some(_) => {}
            }
            self.view += u64::from(is_news);
            member.record = record;
        }
    }

    fn look_sets_up(&mut self) {
        self.view += 1;
        for member in self.members.values_mut() {
            if let Some(set) = self.sets.get(member.record.set) {
                member.set = set;
            }
        }
    }

    fn greet_peers(&mut self) {
        let peers = self
            .peers
            .iter()
            .filter(|peer| !self.members.contains_key(peer));
        for peer in peers.copied().collect::<Vec<_>>() {
            self.send(peer, None, What::Greeting);
        }
        let members = &self.members;
        if self.processes.len() > 2 * GOSSIP_MEMBERS {
            self.processes.retain(|node, _| members.contains_key(node));
        }
        self.sets
            .want_only(&members.values().map(|one| one.record.set).collect());
    }

    fn tell_all(&mut self) {
        for member in self.members.keys().copied().collect::<Vec<_>>() {
            self.say(member, What::Record(self.own.clone()));
        }
    }

    /// To a node whose process isn't known a greeting goes instead.
    fn say(&mut self, to: SocketAddr, what: What) {
        match self.processes.get(&to) {
            Some(process) => self.send(to, Some(*process), what),
            None => self.send(to, None, What::Greeting),
        }
    }

    fn send(&mut self, to: SocketAddr, process: Option<Process>, what: What) {
        let said = Said {
            by: self.ours,
            what,
        };
        if let Some(body) = message::encode(&said) {
            self.out.push((to, self.seal.seal(process, &body)));
        }
    }

    /// Takes over what SWIM wants done.
    fn after_swim(&mut self, done: Result<(), foca::Error>, now: Instant) {
        if let Err(error) = done {
            debug!(%error, "gossip");
        }
        while let Some((to, bytes)) = self.swim.to_send() {
            self.say(to.address, What::Swim(bytes.to_vec()));
        }
        while let Some((after, timer)) = self.swim.to_schedule() {
            self.timers.add(now + after, timer);
        }
        while let Some(notification) = self.swim.to_notify() {
            self.notified(notification, now);
        }
    }

    fn notified(&mut self, notification: OwnedNotification<Identity>, now: Instant) {
        match notification {
            OwnedNotification::MemberUp(identity) if self.members.len() >= GOSSIP_MEMBERS => {
                self.events.push(Event::Full(identity.address));
            }
            OwnedNotification::MemberUp(identity) => {
                let member = Member {
                    process: None,
                    record: Record::default(),
                    set: Set::default(),
                    heard: now,
                    is_heard: true,
                };
                self.view += 1;
                self.members.entry(identity.address).or_insert(member);
                self.events.push(Event::Joined(identity.address));
                self.say(identity.address, What::Record(self.own.clone()));
            }
            OwnedNotification::MemberDown(identity) => {
                if self.members.remove(&identity.address).is_some() {
                    self.view += 1;
                    self.events.push(Event::Lost(identity.address));
                }
            }
            OwnedNotification::Rejoin(_) => self.events.push(Event::Missed),
            other => debug!(?other, "gossip"),
        }
    }
}

impl std::fmt::Debug for Gossip {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Gossip");
        shown.field("ours", &self.ours).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
