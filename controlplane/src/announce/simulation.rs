//! Agents of several nodes in one process, on a network and in a time that the test makes: datagrams are lost, late or cut off,
//! machines and processes die, agents are slow. Each run has a seed, which a failure names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::duty::{Answer, Duty};
use super::frames::Mac;
use super::gossip::{Begin, Event, Gossip, Keys};
use super::owner::{Owners, Stage, owners};
use super::pace::Pace;
use super::rounds::Rounds;
use crate::limits::{ANNOUNCE_ASK, ANNOUNCE_SETTLE};

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const STEP: Duration = Duration::from_millis(10);
const ADDRESSES: u8 = 24;

/// What a machine is on its way to another.
enum Parcel {
    Gossip(SocketAddr, Vec<u8>),
    /// Whoever has it answers.
    Probe(Mac, IpAddr),
    Holds(IpAddr, Mac),
}

struct Machine {
    address: SocketAddr,
    mac: Mac,
    agent: Option<Agent>,
    /// Until when its kernel answers for an address.
    kernel: BTreeMap<IpAddr, Instant>,
    serves: bool,
    /// Cut off from machines of another number.
    segment: u8,
    starts: u64,
}

struct Agent {
    gossip: Gossip,
    duty: Duty,
    rounds: Rounds,
    owners: Owners,
    view: u64,
    asks: Instant,
    /// It gets no CPU until then; what comes waits.
    sleeps: Instant,
    waiting: Vec<(SocketAddr, Vec<u8>)>,
    missed: u32,
}

struct World {
    random: SmallRng,
    now: Instant,
    machines: Vec<Machine>,
    on_the_way: Vec<(Instant, usize, Parcel)>,
    /// Of a hundred.
    loss: u32,
    /// The most machines that had one address at a time.
    most_holders: usize,
}

fn addresses() -> BTreeSet<IpAddr> {
    (0..ADDRESSES)
        .map(|n| IpAddr::from([10, 9, 1, n]))
        .collect()
}

impl World {
    fn new(seed: u64, count: u8) -> Self {
        let machine = |number: u8| Machine {
            address: SocketAddr::from(([10, 9, 0, number], 9904)),
            mac: Mac([2, 0, 0, 0, 0, number]),
            agent: None,
            kernel: BTreeMap::new(),
            serves: true,
            segment: 0,
            starts: 0,
        };
        let mut world = Self {
            random: SmallRng::seed_from_u64(seed),
            now: Instant::now(),
            machines: (1..=count).map(machine).collect(),
            on_the_way: Vec::new(),
            loss: 0,
            most_holders: 0,
        };
        for place in 0..world.machines.len() {
            world.start(place);
        }
        world
    }

    fn start(&mut self, place: usize) {
        let peers = self.machines.iter().map(|one| one.address).collect();
        let (process, seed) = (self.random.random(), self.random.random());
        let now = self.now;
        let machine = &mut self.machines[place];
        machine.starts += 1;
        let begin = Begin {
            address: machine.address,
            mac: Some(machine.mac),
            keys: Keys::parse(KEY).unwrap(),
            process,
            generation: 1_000 * machine.starts,
            seed,
        };
        let mut gossip = Gossip::new(begin, now);
        gossip.set_peers(peers);
        machine.agent = Some(Agent {
            gossip,
            duty: Duty::default(),
            rounds: Rounds::new(Pace::SHARED, true, now),
            owners: Owners::new(),
            view: 0,
            asks: now,
            sleeps: now,
            waiting: Vec::new(),
            missed: 0,
        });
    }

    /// With power and all.
    fn kill_machine(&mut self, place: usize) {
        self.machines[place].agent = None;
        self.machines[place].kernel.clear();
    }

    /// The kernel goes on to answer.
    fn kill_agent(&mut self, place: usize) {
        self.machines[place].agent = None;
    }

    fn sleep(&mut self, place: usize, time: Duration) {
        let until = self.now + time;
        if let Some(agent) = &mut self.machines[place].agent {
            agent.sleeps = until;
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            self.deliver();
            for place in 0..self.machines.len() {
                let sent = self.machines[place].turn(self.now);
                for (to, parcel) in sent {
                    self.send(place, to, parcel);
                }
            }
            self.most_holders = self
                .most_holders
                .max(self.holders().values().copied().max().unwrap_or(0));
        }
    }

    fn send(&mut self, from: usize, to: Option<SocketAddr>, parcel: Parcel) {
        for place in 0..self.machines.len() {
            let (there, here) = (&self.machines[place], &self.machines[from]);
            let is_for = place != from && to.is_none_or(|to| to == there.address);
            if !is_for
                || there.segment != here.segment
                || self.random.random_range(0..100) < self.loss
            {
                continue;
            }
            let late = Duration::from_millis(self.random.random_range(0..20));
            let copy = match &parcel {
                Parcel::Gossip(from, bytes) => Parcel::Gossip(*from, bytes.clone()),
                Parcel::Probe(mac, address) => Parcel::Probe(*mac, *address),
                Parcel::Holds(address, mac) => Parcel::Holds(*address, *mac),
            };
            self.on_the_way.push((self.now + late, place, copy));
        }
    }

    fn deliver(&mut self) {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.on_the_way)
            .into_iter()
            .partition(|(at, _, _)| *at <= now);
        self.on_the_way = later;
        for (_, place, parcel) in due {
            let machine = &mut self.machines[place];
            match parcel {
                Parcel::Gossip(from, bytes) => {
                    if let Some(agent) = &mut machine.agent {
                        agent.waiting.push((from, bytes));
                    }
                }
                Parcel::Probe(mac, address) => {
                    let answers = machine.kernel.contains_key(&address);
                    let ours = machine.mac;
                    machine.heard(address, mac, mac < ours && !answers, now);
                    if answers {
                        self.send(place, None, Parcel::Holds(address, ours));
                    }
                }
                Parcel::Holds(address, mac) => machine.heard(address, mac, true, now),
            }
        }
    }

    fn holders(&self) -> BTreeMap<IpAddr, usize> {
        let mut holders: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for address in self.machines.iter().flat_map(|one| one.kernel.keys()) {
            *holders.entry(*address).or_default() += 1;
        }
        holders
    }

    fn has(&self, place: usize) -> usize {
        self.machines[place].kernel.len()
    }

    /// How long it takes until each address is on one machine.
    fn until_owned(&mut self) -> Duration {
        let since = self.now;
        while !self.is_owned() {
            assert!(
                self.now < since + Duration::from_secs(100),
                "never: {:?}",
                self.holders()
            );
            self.run(STEP);
        }
        self.now - since
    }

    fn is_owned(&self) -> bool {
        let holders = self.holders();
        holders.len() == usize::from(ADDRESSES) && holders.values().all(|count| *count == 1)
    }

    fn settle(&mut self) {
        self.run(ANNOUNCE_SETTLE + Duration::from_secs(5));
        assert!(self.is_owned(), "{:?}", self.holders());
        self.most_holders = 0;
    }
}

impl Machine {
    fn heard(&mut self, address: IpAddr, by: Mac, counts: bool, now: Instant) {
        if let Some(agent) = self.agent.as_mut().filter(|_| counts) {
            let is_member = agent.gossip.node_of(by).is_some();
            agent.rounds.heard(address, by, is_member, now);
        }
    }

    /// As the agent's own turn.
    fn turn(&mut self, now: Instant) -> Vec<(Option<SocketAddr>, Parcel)> {
        self.kernel.retain(|_, until| *until > now);
        let Some(agent) = self.agent.as_mut().filter(|agent| agent.sleeps <= now) else {
            return Vec::new();
        };
        if agent.asks <= now {
            agent.asks = now + ANNOUNCE_ASK;
            let answer = match self.serves {
                true => Answer::Ready(addresses()),
                false => Answer::Fails("refused".into()),
            };
            agent.duty.hear(answer, now);
        }
        for (from, datagram) in std::mem::take(&mut agent.waiting) {
            agent.gossip.receive(from, &datagram, now);
        }
        let stage = agent.duty.stage(now);
        agent.gossip.serve(stage, agent.duty.addresses(), now);
        agent.gossip.turn(now);
        for event in agent.gossip.take_events() {
            match event {
                Event::Released(addresses) => agent.rounds.released(&addresses, now),
                Event::Joined(_) => agent.rounds.tell_again(now),
                Event::Missed => {
                    agent.missed += 1;
                    agent.duty.unsettle(now);
                }
                Event::Lost(_) | Event::Full(_) => {}
            }
        }
        if agent.gossip.view() != agent.view {
            agent.view = agent.gossip.view();
            agent.owners = owners(&agent.gossip.candidates(), agent.duty.addresses());
        }
        let (ours, rounds) = (agent.gossip.ours(), &agent.rounds);
        let wanted = agent
            .duty
            .wanted(ours, &agent.owners, |one| rounds.holds(one), now);
        let steps = agent.rounds.turn(&wanted, &BTreeSet::new(), now);
        let mut sent = Vec::new();
        for address in &steps.take {
            self.kernel.remove(address);
            agent.rounds.taken(*address);
        }
        agent.gossip.release(&steps.take);
        sent.extend(
            steps
                .probe
                .into_iter()
                .map(|one| (None, Parcel::Probe(self.mac, one))),
        );
        let lifetime = Duration::from_secs(agent.rounds.lifetime_s().into());
        for address in steps.renew.into_iter().chain(steps.put) {
            self.kernel.insert(address, now + lifetime);
            agent.rounds.put(address, now);
        }
        let told = agent.rounds.tell(now).into_iter();
        sent.extend(told.map(|address| (None, Parcel::Holds(address, self.mac))));
        let ours = self.address;
        let datagrams = agent.gossip.take_datagrams().into_iter();
        sent.extend(datagrams.map(|(to, bytes)| (Some(to), Parcel::Gossip(ours, bytes))));
        sent
    }
}

/// Names the seed when the run fails.
fn with_seeds(seeds: u64, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in 0..seeds {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("with seed {seed}:");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn nodes_that_find_each_other_share_the_addresses_and_no_two_have_one() {
    with_seeds(4, |seed| {
        let mut world = World::new(seed, 5);
        world.settle();
        for place in 0..5 {
            assert!(
                (1..=12).contains(&world.has(place)),
                "{} on {place}",
                world.has(place)
            );
        }
        world.run(Duration::from_secs(20));
        assert!(world.most_holders == 1 && world.is_owned());
    });
}

#[test]
fn what_a_dead_machine_had_is_elsewhere_within_three_seconds() {
    with_seeds(6, |seed| {
        let count = if seed % 2 == 0 { 3 } else { 12 };
        let mut world = World::new(seed, count);
        world.settle();
        world.kill_machine(1);
        let took = world.until_owned();
        assert!(
            took < Duration::from_millis(2_800),
            "{took:?} of {count} nodes"
        );
    });
}

#[test]
fn what_a_killed_agents_kernel_answers_for_is_elsewhere_within_three_seconds_and_never_on_two() {
    with_seeds(6, |seed| {
        let mut world = World::new(seed, 3);
        world.settle();
        world.kill_agent(0);
        let took = world.until_owned_elsewhere(0);
        assert!(took < Duration::from_millis(2_800), "{took:?}");
        assert_eq!(world.most_holders, 1);
    });
}

#[test]
fn an_agent_that_is_slow_for_a_second_keeps_its_addresses() {
    with_seeds(6, |seed| {
        let mut world = World::new(seed, 3);
        world.settle();
        let before = world.machines[2].kernel.clone();
        for _ in 0..10 {
            world.sleep(2, Duration::from_secs(1));
            world.run(Duration::from_secs(3));
        }
        let agent = world.machines[2].agent.as_ref().unwrap();
        assert_eq!(agent.missed, 0, "it was taken for dead");
        assert!(
            world.machines[2].kernel.keys().eq(before.keys()),
            "some moved"
        );
    });
}

#[test]
fn a_data_plane_that_dies_takes_nothing_along_though_its_agent_lives() {
    with_seeds(4, |seed| {
        let mut world = World::new(seed, 3);
        world.settle();
        world.machines[0].serves = false;
        let took = world.until_owned_elsewhere(0);
        assert!(took < Duration::from_millis(2_500), "{took:?}");
        world.machines[0].serves = true;
        world.run(ANNOUNCE_SETTLE / 2);
        assert_eq!(world.has(0), 0, "it has to settle");
        world.run(ANNOUNCE_SETTLE * 3);
        assert!(world.has(0) > 0 && world.is_owned());
        assert_eq!(world.most_holders, 1);
    });
}

#[test]
fn after_a_partition_each_address_has_one_owner_again() {
    with_seeds(6, |seed| {
        let mut world = World::new(seed, 5);
        world.settle();
        let apart = world.random.random_range(1..5);
        for machine in &mut world.machines[..apart] {
            machine.segment = 1;
        }
        world.run(Duration::from_secs(if seed % 2 == 0 { 8 } else { 90 }));
        assert!(
            world.holders().values().all(|count| *count == 2),
            "each side serves all"
        );
        for machine in &mut world.machines {
            machine.segment = 0;
        }
        let took = world.until_owned();
        assert!(took < Duration::from_secs(8), "{took:?}");
        world.settle();
    });
}

#[test]
fn whatever_happens_each_address_that_can_be_served_has_one_owner_in_the_end() {
    with_seeds(12, |seed| {
        let mut world = World::new(seed, 5);
        for _ in 0..12 {
            world.loss = world.random.random_range(0..20);
            let place = world.random.random_range(0..5);
            match world.random.random_range(0..7) {
                0 => world.kill_machine(place),
                1 => world.kill_agent(place),
                2 => world.start(place),
                3 => world.machines[place].serves ^= true,
                4 => world.machines[place].segment ^= 1,
                5 => world.sleep(place, Duration::from_millis(1_500)),
                _ => {}
            }
            let pause = world.random.random_range(100..4_000);
            world.run(Duration::from_millis(pause));
        }
        world.loss = 0;
        for machine in &mut world.machines {
            machine.segment = 0;
        }
        if world
            .machines
            .iter()
            .all(|one| one.agent.is_none() || !one.serves)
        {
            world.start(3);
            world.machines[3].serves = true;
        }
        world.run(Duration::from_secs(20));
        assert!(world.is_owned(), "{:?}", world.holders());
        for machine in &mut world.machines {
            let agent = machine.agent.as_mut();
            let stage = agent.map_or(Stage::Away, |agent| agent.duty.stage(world.now));
            assert!(stage > Stage::Away || machine.kernel.is_empty());
        }
    });
}

impl World {
    /// As `until_owned`, on other machines than this one.
    fn until_owned_elsewhere(&mut self, place: usize) -> Duration {
        let since = self.now;
        while self.has(place) > 0 || !self.is_owned() {
            assert!(self.now < since + Duration::from_secs(100), "never");
            self.run(STEP);
        }
        self.now - since
    }
}
