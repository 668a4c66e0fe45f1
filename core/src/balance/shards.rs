//! Which shard serves a new connection. The kernel gives it to one of them by a hash, which is even where connections are many and
//! short, and far from it where they are few and stay, as those of HTTP/2 and gRPC do. Decides only; counting, and the way from shard
//! to shard, are the caller's.
//!
//! What a connection will cost is not known when it comes, so a shard is judged by what it has: its share of all connections, or of
//! the work that was measured, whichever is more. Of connections that came just now nothing is known yet; these go in turn.

use crate::limits;

/// Loads are counted in these: one connection.
const ONE: u64 = 64;
/// As a connection counts for its mere number: work that is known is worth more, within bounds, for idle ones may be busy tomorrow.
const OF_NUMBER: u64 = ONE * 3 / 4;
/// So much less another must have, for a connection to be moved there: less than one counts for.
const ENOUGH: u64 = ONE / 2;

/// What a shard has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardLoad {
    /// Connections that are open.
    pub open: u32,
    /// Connections that ever came to it, wrapping.
    pub arrived: u32,
    /// Connections that were open when its work was measured.
    pub measured: u32,
    /// Its thread's time on a core then, in thousandths.
    pub work: u32,
}

impl ShardLoad {
    /// Of the connections whose work was measured, those that are left, at most.
    fn known(self) -> u64 {
        self.open.min(self.measured).into()
    }

    /// What those do.
    fn known_work(self) -> u64 {
        match self.measured {
            0 => 0,
            measured => u64::from(self.work) * self.known() / u64::from(measured),
        }
    }

    /// What a shard without connections does: for datagrams, most likely.
    fn other_work(self) -> u64 {
        match self.measured {
            0 => self.work.into(),
            _ => 0,
        }
    }
}

/// One shard's view of the others, and how often it may still look in this turn of a second or so: so that what balance costs is
/// bounded, however many connections come.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    before: Vec<u32>,
    /// Shards that could not take a connection, the last one last.
    passed_over: Vec<usize>,
    looks: u32,
    in_turn: u32,
}

impl Placement {
    /// What comes to the shard `here` and to others from here on are newcomers.
    pub fn begin_turn(&mut self, here: usize, shards: &[ShardLoad]) {
        let newcomers = shards.get(here);
        let newcomers = newcomers.map_or(0, |mine| self.newcomers(here, *mine));
        self.before.clear();
        self.before.extend(shards.iter().map(|shard| shard.arrived));
        // Each gets another chance, but if many are gone for good, not all of them at once.
        if !self.passed_over.is_empty() {
            self.passed_over.remove(0);
        }
        self.looks = match newcomers {
            0..=limits::SHARD_STORM => limits::SHARD_LOOKS,
            _ => limits::SHARD_LOOKS / 4,
        };
        self.in_turn = limits::SHARD_TURNS;
    }

    /// Whether it is worth the while to read what shards have. Beyond the bound so many have come at once that the kernel's hash
    /// is even enough.
    #[must_use]
    pub fn may_look(&self) -> bool {
        self.looks > 0
    }

    /// Nothing goes to a shard that could not take it, for a turn or some.
    pub fn pass_over(&mut self, shard: usize) {
        if !self.passed_over.contains(&shard) {
            self.passed_over.push(shard);
        }
    }

    /// The shard that a connection is for, which came to the shard `here`.
    pub fn place(&mut self, here: usize, shards: &[ShardLoad]) -> usize {
        let Some(mine) = shards.get(here) else {
            return here;
        };
        self.looks = self.looks.saturating_sub(1);
        let whole = Whole::of(shards);
        let own = whole.load(*mine);
        let others = self.others(here, shards);
        let least = others.min_by_key(|(_, shard)| whole.load(*shard));
        if let Some((there, shard)) = least {
            let least = whole.load(shard);
            if own >= least + slack(least).max(ENOUGH) {
                return there;
            }
        }
        self.next_in_turn(here, shards, &whole).unwrap_or(here)
    }

    /// The shard that has the fewest newcomers, if this one has more and that one is no more loaded.
    fn next_in_turn(&mut self, here: usize, shards: &[ShardLoad], whole: &Whole) -> Option<usize> {
        let mine = *shards.get(here)?;
        let most = whole.load(mine) + slack(whole.load(mine));
        let is_open = self.in_turn > 0;
        let others = self.others(here, shards);
        let fits = others.filter(|(_, shard)| is_open && whole.load(*shard) <= most);
        let newcomers = fits.map(|(place, shard)| {
            let newcomers = self.newcomers(place, shard);
            (newcomers, whole.load(shard), place)
        });
        let fewest = newcomers.min_by_key(|(newcomers, load, _)| (*newcomers, *load));
        let (_, _, there) =
            fewest.filter(|(newcomers, ..)| *newcomers < self.newcomers(here, mine))?;
        self.in_turn -= 1;
        Some(there)
    }

    /// Those who came to a shard since the turn began.
    fn newcomers(&self, place: usize, shard: ShardLoad) -> u32 {
        let before = self.before.get(place).copied();
        before.map_or(0, |before| shard.arrived.wrapping_sub(before))
    }

    /// Those behind `here` first, so that shards that are equal are chosen alike.
    fn others<'s>(
        &'s self,
        here: usize,
        shards: &'s [ShardLoad],
    ) -> impl Iterator<Item = (usize, ShardLoad)> + 's {
        let places = (here + 1..shards.len()).chain(0..here);
        let all = places.filter_map(|place| Some((place, *shards.get(place)?)));
        all.filter(|(place, _)| !self.passed_over.contains(place))
    }
}

/// What one may have more than another before a connection is moved for it: of few none, of thousands some, for there the next ones
/// come and go meanwhile.
fn slack(load: u64) -> u64 {
    load / 16
}

/// All shards together.
struct Whole {
    open: u64,
    /// Of the known connections.
    known: u64,
    known_work: u64,
    /// With what is expected of the others, but no less than what would be worth evening out.
    work: u64,
}

impl Whole {
    fn of(shards: &[ShardLoad]) -> Self {
        let sum = |of: fn(ShardLoad) -> u64| shards.iter().map(|shard| of(*shard)).sum();
        let mut whole = Self {
            open: sum(|shard| shard.open.into()),
            known: sum(ShardLoad::known),
            known_work: sum(ShardLoad::known_work),
            work: 0,
        };
        let work: u64 = shards.iter().map(|shard| whole.work_of(*shard)).sum();
        let least = u64::try_from(shards.len()).unwrap_or(u64::MAX);
        whole.work = work.max(least.saturating_mul(limits::SHARD_WORK));
        whole
    }

    /// What a shard does, and what is expected of its connections that were not yet measured: as much as of others.
    fn work_of(&self, shard: ShardLoad) -> u64 {
        let unknown = u64::from(shard.open) - shard.known();
        let expected = unknown * self.known_work / self.known.max(1);
        shard.known_work() + shard.other_work() + expected
    }

    /// Its share of connections or of work, whichever is more.
    fn load(&self, shard: ShardLoad) -> u64 {
        let all = self.open.max(1) * ONE;
        let by_work = self.work_of(shard).saturating_mul(all) / self.work.max(1);
        by_work.max(u64::from(shard.open) * OF_NUMBER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(here: usize, shards: &[ShardLoad]) -> usize {
        let mut placement = Placement::default();
        placement.begin_turn(here, shards);
        placement.place(here, shards)
    }

    fn shard(open: u32, work: u32) -> ShardLoad {
        ShardLoad {
            open,
            measured: open,
            work,
            ..ShardLoad::default()
        }
    }

    #[test]
    fn one_less_is_enough_for_few_and_a_sixteenth_for_many() {
        assert_eq!(place(0, &[shard(1, 0), shard(1, 0)]), 0);
        assert_eq!(place(0, &[shard(2, 0), shard(1, 0)]), 1);
        assert_eq!(place(1, &[shard(2, 0), shard(1, 0)]), 1);
        assert_eq!(place(0, &[shard(1000, 0), shard(950, 0)]), 0);
        assert_eq!(place(0, &[shard(1000, 0), shard(900, 0)]), 1);
    }

    #[test]
    fn work_counts_too_but_not_where_there_is_hardly_any() {
        assert_eq!(place(0, &[shard(4, 600), shard(4, 200)]), 1);
        assert_eq!(place(0, &[shard(4, 6), shard(4, 2)]), 0);
        // That of connections that are gone doesn't.
        let left = ShardLoad {
            open: 1,
            ..shard(8, 800)
        };
        assert_eq!(place(0, &[left, shard(2, 200)]), 0);
    }

    #[test]
    fn who_is_busy_with_datagrams_is_spared() {
        assert_eq!(place(0, &[shard(0, 800), shard(0, 0)]), 1);
        assert_eq!(place(1, &[shard(0, 800), shard(1, 100)]), 1);
    }

    #[test]
    fn who_could_not_take_one_is_passed_over_for_a_turn() {
        let shards = [shard(3, 0), shard(0, 0), shard(1, 0)];
        let mut placement = Placement::default();
        placement.begin_turn(0, &shards);
        assert_eq!(placement.place(0, &shards), 1);
        placement.pass_over(1);
        assert_eq!(placement.place(0, &shards), 2);
        placement.begin_turn(0, &shards);
        assert_eq!(placement.place(0, &shards), 1);
    }

    #[test]
    fn looks_are_bounded_in_each_turn() {
        let shards = [shard(1, 0), shard(1, 0)];
        let mut placement = Placement::default();
        assert!(!placement.may_look());
        placement.begin_turn(0, &shards);
        for _ in 0..limits::SHARD_LOOKS {
            assert!(placement.may_look());
            placement.place(0, &shards);
        }
        assert!(!placement.may_look());
        placement.begin_turn(0, &shards);
        assert!(placement.may_look());
    }

    #[test]
    fn after_a_storm_there_are_fewer_until_it_is_over() {
        let looks = |placement: &mut Placement, arrived: u32| {
            let mine = ShardLoad {
                arrived,
                ..shard(1, 0)
            };
            placement.begin_turn(0, &[mine, shard(1, 0)]);
            placement.looks
        };
        let mut placement = Placement::default();
        let (all, storm) = (limits::SHARD_LOOKS, limits::SHARD_STORM);
        // What came before the first turn isn't known.
        assert_eq!(looks(&mut placement, u32::MAX - 1), all);
        assert_eq!(looks(&mut placement, storm - 2), all);
        assert_eq!(looks(&mut placement, 2 * storm), all / 4);
        assert_eq!(looks(&mut placement, 2 * storm + 9), all);
    }
}
