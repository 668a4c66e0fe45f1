//! What agents say to each other, as bytes in a datagram.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::super::frames::Mac;
use super::super::owner::Stage;
use super::seal::AROUND;
use crate::limits::GOSSIP_DATAGRAM;

/// Of a datagram, what SWIM may use: the rest is around it, and who says it.
pub(super) const SWIM_BYTES: usize = GOSSIP_DATAGRAM - AROUND - 32;
/// So many addresses are in one part of a set: of IPv6 and with all that is around them they fit.
pub(super) const PART: usize = 60;

/// One datagram's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    /// Where whoever says it is found.
    pub(super) by: SocketAddr,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    /// That there is somebody.
    Greeting,
    /// Of the protocol by which members are found and lost.
    Swim(Vec<u8>),
    /// What its sender can serve.
    Record(Record),
    /// Its sender had these addresses, and has them no longer.
    Released(Vec<IpAddr>),
    /// Which parts of a set are wanted.
    Ask { set: Digest, first: u16, count: u16 },
    Part {
        set: Digest,
        number: u16,
        addresses: Vec<IpAddr>,
    },
}

/// What a node can serve. It is said again and again: a node that doesn't say it any more owns nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Grows with each change.
    pub(super) version: u64,
    pub(super) stage: u8,
    /// The set of addresses: most nodes have the same, and know it by this alone.
    pub(super) set: Digest,
    /// How many are in it.
    pub(super) count: u16,
    /// Of the interface that it puts addresses on.
    pub(super) mac: Option<[u8; 6]>,
}

impl Record {
    pub(super) fn stage(&self) -> Stage {
        match self.stage {
            1 => Stage::Fresh,
            2 => Stage::Settled,
            _ => Stage::Away,
        }
    }

    pub(super) fn mac(&self) -> Option<Mac> {
        self.mac.map(Mac)
    }
}

pub(super) fn stage_number(stage: Stage) -> u8 {
    match stage {
        Stage::Away => 0,
        Stage::Fresh => 1,
        Stage::Settled => 2,
    }
}

/// Names a set of addresses by what is in it: the first half of a SHA-256.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub(super) struct Digest([u8; 16]);

impl Digest {
    pub(super) fn of(addresses: &BTreeSet<IpAddr>) -> Self {
        let mut bytes = Vec::with_capacity(addresses.len() * 17);
        for address in addresses {
            match address {
                IpAddr::V4(address) => {
                    bytes.push(4);
                    bytes.extend(address.octets());
                }
                IpAddr::V6(address) => {
                    bytes.push(6);
                    bytes.extend(address.octets());
                }
            }
        }
        let full = digest(&SHA256, &bytes);
        Self(full.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

/// What doesn't fit or can't be said isn't.
pub(super) fn encode(said: &Said) -> Option<Vec<u8>> {
    postcard::to_allocvec(said).ok()
}

/// None if it isn't whole, or something is behind it.
pub(super) fn decode(bytes: &[u8]) -> Option<Said> {
    match postcard::take_from_bytes(bytes) {
        Ok((said, [])) => Some(said),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn largest() -> Vec<What> {
        let address = IpAddr::from([0xff_u8; 16]);
        let set = Digest([0xff; 16]);
        let record = Record {
            version: u64::MAX,
            stage: 2,
            set,
            count: u16::MAX,
            mac: Some([0xff; 6]),
        };
        vec![
            What::Greeting,
            What::Swim(vec![0xff; SWIM_BYTES]),
            What::Record(record),
            What::Released(vec![address; PART]),
            What::Ask {
                set,
                first: u16::MAX,
                count: u16::MAX,
            },
            What::Part {
                set,
                number: u16::MAX,
                addresses: vec![address; PART],
            },
        ]
    }

    #[test]
    fn everything_fits_into_a_datagram_and_is_read_back() {
        for what in largest() {
            let by = SocketAddr::from(([0xff_u8; 16], u16::MAX));
            let said = Said { by, what };
            let bytes = encode(&said).unwrap();
            assert!(
                bytes.len() + AROUND <= GOSSIP_DATAGRAM,
                "{said:?}: {}",
                bytes.len()
            );
            assert_eq!(decode(&bytes), Some(said));
            assert_eq!(decode(&[bytes.as_slice(), &[0]].concat()), None);
            for end in 0..bytes.len() {
                assert_eq!(decode(&bytes[..end]), None);
            }
        }
    }

    #[test]
    fn sets_are_told_apart_by_what_is_in_them() {
        let set = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let digest = |texts: &[&str]| Digest::of(&set(texts));
        assert_eq!(
            digest(&["10.0.0.1", "fd00::1"]),
            digest(&["fd00::1", "10.0.0.1"])
        );
        assert_ne!(digest(&["10.0.0.1"]), digest(&["10.0.0.2"]));
        assert_ne!(digest(&["10.0.0.1"]), digest(&["::ffff:10.0.0.1"]));
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(said) = decode(&bytes) {
                prop_assert_eq!(decode(&encode(&said).unwrap()), Some(said));
            }
        }
    }
}
