//! Which endpoint a key goes to: always the same one, and when endpoints come and go few keys move. The same on
//! every shard and every data plane, for it depends on nothing but the key and the endpoints.

use std::net::{IpAddr, SocketAddr};

use super::random::mixed;
use crate::wire::content_hash;

/// Positions of a table, a prime (Eisenbud and others: Maglev, 2016, section 3.4): with some hundred endpoints
/// their shares differ by a hundredth.
const SIZE: usize = 65_537;
/// Of a table for more endpoints than [`FEW`], for each shall have some dozen positions.
const LARGE_SIZE: usize = 655_373;
const FEW: usize = 4_096;
/// How often a key whose endpoint can't be used is hashed again, before all that can be are asked. Where half of
/// them can be used one key in a thousand comes so far.
const REHASHES: usize = 10;

/// The key of what has these bytes in common.
#[must_use]
pub fn key_of_bytes(bytes: &[u8]) -> u64 {
    mixed(content_hash(bytes))
}

/// The key of a client. An IPv4-mapped IPv6 address is the IPv4 address that it stands for.
#[must_use]
pub fn key_of_client(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => key_of_bytes(&address.octets()),
        IpAddr::V6(address) => key_of_bytes(&address.octets()),
    }
}

/// What stands for an endpoint.
#[must_use]
pub fn key_of_endpoint(endpoint: SocketAddr) -> u64 {
    mixed(key_of_client(endpoint.ip()) ^ u64::from(endpoint.port()))
}

/// A lookup table from keys to endpoints (Eisenbud and others: Maglev, 2016): all have the same share of the
/// keys, and of an endpoint that comes or goes hardly any other key moves than its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maglev {
    positions: Box<[u32]>,
}

impl Maglev {
    /// `endpoints` in the order of their places. None: there are none.
    #[must_use]
    pub fn new(endpoints: &[SocketAddr]) -> Option<Self> {
        if endpoints.is_empty() {
            return None;
        }
        let size = if endpoints.len() <= FEW {
            SIZE
        } else {
            LARGE_SIZE
        };
        let mut preferences: Vec<_> = endpoints
            .iter()
            .map(|endpoint| Preference::of(key_of_endpoint(*endpoint), size))
            .collect();
        let mut positions = vec![u32::MAX; size];
        let mut left = size;
        while left > 0 {
            for (place, preference) in (0_u32..).zip(&mut preferences) {
                // Each position comes once in a cycle, so that there is a free one as long as any is left.
                let is_free = |position: &usize| positions.get(*position) == Some(&u32::MAX);
                let free = preference.find(is_free);
                if let Some(free) = free.and_then(|position| positions.get_mut(position)) {
                    *free = place;
                    left -= 1;
                }
                if left == 0 {
                    break;
                }
            }
        }
        Some(Self {
            positions: positions.into(),
        })
    }

    /// The place of the key's endpoint, if it is one that can be used, else of the next one for it that can. None:
    /// none was found soon.
    pub fn place(&self, key: u64, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        let size = u64::try_from(self.positions.len()).ok()?;
        let hashes = std::iter::successors(Some(key), |hash| Some(mixed(*hash)));
        let mut places = hashes.take(1 + REHASHES).filter_map(|hash| {
            let position = usize::try_from(hash % size).ok()?;
            usize::try_from(*self.positions.get(position)?).ok()
        });
        places.find(|place| is_usable(*place))
    }
}

/// The order in which an endpoint wants positions: a permutation of them, over and over.
struct Preference {
    next: usize,
    skip: usize,
    size: usize,
}

impl Preference {
    fn of(key: u64, size: usize) -> Self {
        let number = |hash: u64, below: usize| {
            let below = u64::try_from(below).unwrap_or(u64::MAX);
            usize::try_from(hash % below).unwrap_or(0)
        };
        Self {
            next: number(key, size),
            skip: 1 + number(mixed(key), size - 1),
            size,
        }
    }
}

impl Iterator for Preference {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let position = self.next;
        self.next = (self.next + self.skip) % self.size;
        Some(position)
    }
}

/// Of endpoints, each with its own key, the one with the highest weight for `key` (Thaler and Ravishankar: Using
/// name-based mappings to increase hit rates, 1998): no table to make, a step for each endpoint.
pub fn highest_weight<P>(key: u64, endpoints: impl Iterator<Item = (P, u64)>) -> Option<P> {
    let weighted = endpoints.map(|(place, endpoint)| (place, mixed(key ^ endpoint)));
    let (place, _) = weighted.max_by_key(|(_, weight)| *weight)?;
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(count: u8) -> Vec<SocketAddr> {
        (0..count)
            .map(|last| SocketAddr::from(([10, 0, 0, last], 80)))
            .collect()
    }

    fn chosen(endpoints: &[SocketAddr], keys: u32) -> Vec<SocketAddr> {
        let table = Maglev::new(endpoints).unwrap();
        (0..keys)
            .map(|key| key_of_bytes(&key.to_be_bytes()))
            .map(|key| endpoints[table.place(key, |_| true).unwrap()])
            .collect()
    }

    #[test]
    fn all_endpoints_have_the_same_share() {
        let table = Maglev::new(&endpoints(100)).unwrap();
        let mut counts = [0; 100];
        for place in &table.positions {
            counts[*place as usize] += 1;
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(most - least <= 1, "{least} to {most}");
        let mut counts = std::collections::BTreeMap::new();
        for endpoint in chosen(&endpoints(10), 10_000) {
            *counts.entry(endpoint).or_insert(0) += 1;
        }
        assert!(
            counts.values().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn few_keys_move_when_an_endpoint_goes() {
        let all = endpoints(20);
        let before = chosen(&all, 10_000);
        let mut fewer = all.clone();
        let gone = fewer.remove(7);
        let after = chosen(&fewer, 10_000);
        let pairs = before.iter().zip(&after);
        let moved = pairs.filter(|(before, after)| before != after && **before != gone);
        let moved = moved.count();
        assert!(moved < 500, "{moved} moved that had no reason to");
    }

    #[test]
    fn a_key_whose_endpoint_cannot_be_used_goes_elsewhere_and_no_other_moves() {
        let all = endpoints(10);
        let table = Maglev::new(&all).unwrap();
        let mut spread = [0; 10];
        for key in (0..10_000_u32).map(|key| key_of_bytes(&key.to_be_bytes())) {
            let own = table.place(key, |_| true).unwrap();
            let other = table.place(key, |place| place != 3).unwrap();
            assert_eq!(own == other, own != 3);
            if own == 3 {
                spread[other] += 1;
            }
        }
        assert_eq!(spread[3], 0);
        let others = spread.iter().filter(|count| **count > 60).count();
        assert_eq!(others, 9, "{spread:?}");
        assert_eq!(table.place(1, |_| false), None);
    }

    #[test]
    fn without_endpoints_there_is_no_table() {
        assert_eq!(Maglev::new(&[]), None);
        assert!(Maglev::new(&endpoints(1)).is_some());
    }

    #[test]
    fn by_weight_no_key_moves_but_those_of_what_goes() {
        let keys: Vec<u64> = endpoints(9).into_iter().map(key_of_endpoint).collect();
        let mut counts = [0; 9];
        for key in (0..9_000_u32).map(|key| key_of_bytes(&key.to_be_bytes())) {
            let own = highest_weight(key, keys.iter().copied().enumerate()).unwrap();
            counts[own] += 1;
            let others = keys.iter().copied().enumerate();
            let other = highest_weight(key, others.filter(|(place, _)| *place != 4));
            assert_eq!(other == Some(own), own != 4);
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
        assert_eq!(highest_weight::<u8>(1, std::iter::empty()), None);
    }

    /// Data planes of different versions must agree.
    #[test]
    fn keys_are_what_they_always_were() {
        let client = "192.0.2.1".parse().unwrap();
        assert_eq!(key_of_client(client), KEY_OF_CLIENT);
        assert_eq!(
            key_of_client("::ffff:192.0.2.1".parse().unwrap()),
            KEY_OF_CLIENT
        );
        let endpoint = "192.0.2.1:80".parse().unwrap();
        assert_eq!(key_of_endpoint(endpoint), KEY_OF_ENDPOINT);
    }

    const KEY_OF_CLIENT: u64 = 9_039_381_261_362_805_610;
    const KEY_OF_ENDPOINT: u64 = 2_787_833_112_913_975_980;
}
