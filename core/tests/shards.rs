//! Connections that come to shards by a hash, as the kernel gives them, stay, and leave: how even shards are, with
//! [`Placement`] and without. Seeded; a failure names its seed.

use ringgate_core::balance::{Placement, Random, ShardLoad};

/// What the busiest shard may carry, over the mean.
const MOST: f64 = 1.2;
const SHARDS: [usize; 6] = [2, 4, 8, 16, 32, 64];

fn seeds(shards: usize) -> std::ops::Range<u64> {
    0..(160 / shards as u64).clamp(4, 40)
}

/// A connection, by what it costs in thousandths of a core.
type Work = u32;
const IDLE: Work = 0;
const LIGHT: Work = 2;
const HEAVY: Work = 40;

#[derive(Default)]
struct Shard {
    connections: Vec<Work>,
    placement: Placement,
    /// Whether its listening socket is there.
    listens: bool,
}

struct Gateway {
    shards: Vec<Shard>,
    loads: Vec<ShardLoad>,
    random: Random,
    is_balanced: bool,
    moved: usize,
}

impl Gateway {
    fn new(shards: usize, seed: u64) -> Self {
        let shard = |_| Shard {
            listens: true,
            ..Shard::default()
        };
        let mut gateway = Self {
            shards: (0..shards).map(shard).collect(),
            loads: vec![ShardLoad::default(); shards],
            random: Random::seeded(seed),
            is_balanced: true,
            moved: 0,
        };
        gateway.turn();
        gateway
    }

    /// A second is over, in which connections did their work; what is measured of it is not exact.
    fn turn(&mut self) {
        for (shard, load) in self.shards.iter().zip(&mut self.loads) {
            let work: Work = shard.connections.iter().sum();
            let noise = 90 + self.random.below(21);
            load.work = load.work.midpoint(work * noise / 100);
            load.measured = load.open;
        }
        for (place, shard) in self.shards.iter_mut().enumerate() {
            shard.placement.begin_turn(place, &self.loads);
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(u32::try_from(bound).unwrap_or(0)) as usize
    }

    fn arrive(&mut self, work: Work) {
        let mut here = self.below(self.shards.len());
        while !self.shards[here].listens {
            here = self.below(self.shards.len());
        }
        let there = self.place(here);
        self.moved += usize::from(there != here);
        self.shards[there].connections.push(work);
        let load = &mut self.loads[there];
        load.open += 1;
        load.arrived = load.arrived.wrapping_add(1);
    }

    /// A shard that doesn't listen gives back what it gets.
    fn place(&mut self, here: usize) -> usize {
        for _ in 0..3 {
            let placement = &mut self.shards[here].placement;
            if !self.is_balanced || !placement.may_look() {
                return here;
            }
            let there = placement.place(here, &self.loads);
            if self.shards[there].listens {
                return there;
            }
            self.shards[here].placement.pass_over(there);
        }
        here
    }

    fn arrive_all(&mut self, count: usize, work: Work) {
        (0..count).for_each(|_| self.arrive(work));
    }

    /// Any of them.
    fn leave(&mut self) {
        let mut one = self.below(
            self.shards
                .iter()
                .map(|shard| shard.connections.len())
                .sum(),
        );
        for (shard, load) in self.shards.iter_mut().zip(&mut self.loads) {
            if one < shard.connections.len() {
                shard.connections.swap_remove(one);
                load.open -= 1;
                return;
            }
            one -= shard.connections.len();
        }
    }

    /// The busiest over the mean, by `of`, and what it would be at best if the work came in parts of `part`.
    fn spread(&self, of: impl Fn(&Shard) -> f64, part: f64) -> (f64, f64) {
        let each = self.shards.iter().map(&of);
        let most = each.clone().fold(0.0, f64::max);
        let mean = each.sum::<f64>() / self.shards.len() as f64;
        (most / mean, (mean / part).ceil() * part / mean)
    }

    fn spread_of_connections(&self) -> (f64, f64) {
        self.spread(|shard| shard.connections.len() as f64, 1.0)
    }

    /// Of the work of those that cost as much as `least` each.
    fn spread_of_work(&self, least: Work) -> (f64, f64) {
        let of = |shard: &Shard| {
            let connections = shard.connections.iter();
            let work: Work = connections.filter(|work| **work >= least).sum();
            f64::from(work)
        };
        self.spread(of, f64::from(HEAVY))
    }
}

/// Runs `scenario` for each number of shards, from many seeds, and asks for the spread that is as even as it can be.
fn all(scenario: impl Fn(&mut Gateway) -> (f64, f64)) {
    for shards in SHARDS {
        for seed in seeds(shards) {
            let mut gateway = Gateway::new(shards, seed);
            let (spread, best) = scenario(&mut gateway);
            assert!(
                spread <= MOST.max(best) + 1e-9,
                "{shards} shards, seed {seed}: {spread}, {best} at best; {:?}",
                gateway.loads
            );
        }
    }
}

#[test]
fn few_connections_are_spread_as_evenly_as_can_be() {
    for per_shard in [0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 10.0, 32.0] {
        all(|gateway| {
            let count = (per_shard * gateway.shards.len() as f64).ceil() as usize;
            gateway.arrive_all(count, HEAVY);
            gateway.spread_of_connections()
        });
        all(|gateway| {
            let count = (per_shard * gateway.shards.len() as f64).ceil() as usize;
            for one in 0..count {
                gateway.arrive(LIGHT);
                if one % 3 == 0 {
                    gateway.turn();
                }
            }
            gateway.spread_of_connections()
        });
    }
}

#[test]
fn by_the_hash_alone_they_are_not() {
    for shards in SHARDS {
        let uneven = seeds(shards).filter(|seed| {
            let mut gateway = Gateway::new(shards, *seed);
            gateway.is_balanced = false;
            gateway.arrive_all(4 * shards, HEAVY);
            gateway.spread_of_connections().0 > MOST
        });
        let uneven = uneven.count();
        assert!(
            uneven > seeds(shards).count() / 2,
            "{shards} shards: {uneven}"
        );
    }
}

#[test]
fn thousands_at_once_are_even_and_few_of_them_are_moved() {
    all(|gateway| {
        let count = 1000 * gateway.shards.len();
        gateway.arrive_all(count, LIGHT);
        assert!(gateway.moved <= 256 * gateway.shards.len());
        gateway.spread_of_connections()
    });
}

#[test]
fn what_those_who_left_leave_uneven_is_evened_by_those_who_come() {
    all(|gateway| {
        let shards = gateway.shards.len();
        gateway.arrive_all(12 * shards, LIGHT);
        for _ in 0..20 {
            gateway.turn();
            (0..5 * shards).for_each(|_| gateway.leave());
            gateway.turn();
            gateway.arrive_all(5 * shards, LIGHT);
        }
        gateway.spread_of_connections()
    });
}

/// Which is which is seen by the work alone, when they are there for a while.
#[test]
fn heavy_and_light_ones_make_even_work() {
    all(|gateway| {
        let shards = gateway.shards.len();
        for one in 0..100 * shards {
            let work = match gateway.below(10) {
                0 => HEAVY,
                _ => LIGHT,
            };
            gateway.arrive(work);
            if one % shards.div_ceil(4) == 0 {
                gateway.turn();
            }
        }
        gateway.spread_of_work(IDLE)
    });
}

#[test]
fn heavy_ones_that_come_at_once_to_many_idle_ones_are_spread() {
    all(|gateway| {
        for _ in 0..10 {
            let count = 100 * gateway.shards.len();
            gateway.arrive_all(count, IDLE);
            gateway.turn();
        }
        let count = 5 * gateway.shards.len();
        gateway.arrive_all(count, HEAVY);
        gateway.spread_of_work(HEAVY)
    });
}

#[test]
fn shards_that_join_get_their_share_and_those_that_do_not_listen_get_nothing() {
    all(|gateway| {
        let late = gateway.shards.len() - gateway.shards.len().div_ceil(4);
        let listen = |gateway: &mut Gateway, listens| {
            let shards = gateway.shards[late..].iter_mut();
            shards.for_each(|shard| shard.listens = listens);
        };
        listen(gateway, false);
        for _ in 0..16 {
            gateway.arrive_all(late, HEAVY);
            gateway.turn();
        }
        let (first, joining) = gateway.loads.split_at(late);
        assert!(joining.iter().all(|load| load.open == 0));
        let most = first.iter().map(|load| load.open).max();
        assert!(most <= Some(19), "1.2 of 16: {first:?}");
        listen(gateway, true);
        let count = 16 * (gateway.shards.len() - late);
        gateway.arrive_all(count, HEAVY);
        gateway.spread_of_connections()
    });
}

#[test]
fn shards_that_no_longer_listen_keep_what_they_have_and_the_others_stay_even() {
    all(|gateway| {
        let shards = gateway.shards.len();
        gateway.arrive_all(4 * shards, LIGHT);
        gateway.turn();
        gateway.shards[0].listens = false;
        for _ in 0..8 * (shards - 1) {
            gateway.arrive(LIGHT);
            gateway.turn();
        }
        assert_eq!(gateway.loads[0].open, 4);
        gateway.shards.remove(0);
        gateway.spread_of_connections()
    });
}
