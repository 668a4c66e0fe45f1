//! Pools of addresses: ranges of both families, and which of their addresses is free.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;

/// Addresses of one family, from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// Why a text is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RangeError {
    #[error("{text:?} is no address; write something like 192.0.2.10-192.0.2.20 or 192.0.2.0/28")]
    Address { text: String },
    #[error("{text:?} is no length of a prefix for {address}; write 0 to {most}")]
    Prefix {
        text: String,
        address: IpAddr,
        most: u8,
    },
    #[error("{address} isn't the first address of its block of /{prefix}; write {first}/{prefix}")]
    Bits {
        address: IpAddr,
        prefix: u8,
        first: IpAddr,
    },
    #[error("{first} and {last} are of different families")]
    Families { first: IpAddr, last: IpAddr },
}

impl AddressRange {
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.is_ipv4() == address.is_ipv4() && (self.first..=self.last).contains(&address)
    }

    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }

    /// The addresses that both have.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (self.is_ipv4() == other.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    /// Both as one, where nothing lies between them; `self` doesn't begin after `other`.
    pub(super) fn joined(&self, other: &Self) -> Option<Self> {
        let meet = number(self.last).checked_add(1) >= Some(number(other.first))
            || number(self.last) == u128::MAX;
        let last = self.last.max(other.last);
        (self.is_ipv4() == other.is_ipv4() && meet).then_some(Self { last, ..*self })
    }

    /// How many addresses it has; `u128::MAX` stands for one more, too.
    pub(super) fn size(&self) -> u128 {
        (number(self.last) - number(self.first)).saturating_add(1)
    }

    /// How many of them are edges of a block of 256: see [`is_edge`].
    pub(super) fn edges(&self) -> u128 {
        // Those up to and with `end`, counted from 0.0.0.0.
        let up_to = |end: u128| end / 256 * 2 + u128::from(!end.is_multiple_of(256));
        match self.is_ipv4() {
            true => up_to(number(self.last) + 1) - up_to(number(self.first)),
            false => 0,
        }
    }

    pub(super) fn bounds(&self) -> RangeInclusive<IpAddr> {
        self.first..=self.last
    }

    /// The lowest address that isn't taken. Costs a step for each that is.
    pub fn free(&self, is_taken: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let (first, last) = (number(self.first), number(self.last));
        let address = |number| address(number, self.is_ipv4());
        (first..=last).map(address).find(|one| !is_taken(*one))
    }

    fn block(text: &str, prefix: &str) -> Result<Self, RangeError> {
        let start = parse(text)?;
        let most = if start.is_ipv4() { 32 } else { 128 };
        let bits = prefix.parse::<u8>().ok().filter(|bits| *bits <= most);
        let Some(bits) = bits else {
            return Err(RangeError::Prefix {
                text: prefix.to_owned(),
                address: start,
                most,
            });
        };
        let host_bits = u32::from(most - bits);
        let mask = 1_u128
            .checked_shl(host_bits)
            .map_or(u128::MAX, |one| one - 1);
        let first = address(number(start) & !mask, start.is_ipv4());
        if first != start {
            return Err(RangeError::Bits {
                address: start,
                prefix: bits,
                first,
            });
        }
        let last = address(number(start) | mask, start.is_ipv4());
        Ok(Self { first, last })
    }
}

/// A range (whichever end comes first), a block in CIDR notation, or one address.
impl FromStr for AddressRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        if let Some((start, prefix)) = text.split_once('/') {
            return Self::block(start.trim(), prefix.trim());
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (parse(first.trim())?, parse(last.trim())?);
        if first.is_ipv4() != last.is_ipv4() {
            return Err(RangeError::Families { first, last });
        }
        // Not refused the wrong way round, for the CRD's rules can't put addresses in order.
        Ok(Self {
            first: first.min(last),
            last: first.max(last),
        })
    }
}

impl TryFrom<String> for AddressRange {
    type Error = RangeError;

    fn try_from(text: String) -> Result<Self, RangeError> {
        text.parse()
    }
}

/// Whether some hosts and firewalls take an address for a network's or for all of it: IPv4's that end in .0 and .255.
#[must_use]
pub fn is_edge(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => matches!(address.octets(), [_, _, _, 0 | 255]),
        IpAddr::V6(_) => false,
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

fn parse(text: &str) -> Result<IpAddr, RangeError> {
    let address: Result<IpAddr, _> = text.parse();
    let error = |_| RangeError::Address {
        text: text.to_owned(),
    };
    Ok(address.map_err(error)?.to_canonical())
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// `number` is of that family, for it lies between two that are.
fn address(number: u128, is_ipv4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if is_ipv4 => Ipv4Addr::from(number).into(),
        _ => Ipv6Addr::from(number).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_blocks_and_single_addresses_are_read() {
        for (text, shown) in [
            ("192.0.2.1-192.0.2.3", "192.0.2.1-192.0.2.3"),
            ("192.0.2.0 - 192.0.2.0", "192.0.2.0"),
            ("192.0.2.9-192.0.2.8", "192.0.2.8-192.0.2.9"),
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.8/30", "192.0.2.8-192.0.2.11"),
            ("0.0.0.0/0", "0.0.0.0-255.255.255.255"),
            ("fd00::/127", "fd00::-fd00::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(range(text).to_string(), shown);
        }
        for (text, error) in [
            ("a", "\"a\" is no address"),
            (
                "192.0.2.1/33",
                "\"33\" is no length of a prefix for 192.0.2.1; write 0 to 32",
            ),
            ("192.0.2.1/24", "write 192.0.2.0/24"),
            ("192.0.2.1-fd00::1", "different families"),
        ] {
            let told = text.parse::<AddressRange>().unwrap_err().to_string();
            assert!(told.contains(error), "{told}");
        }
    }

    #[test]
    fn what_two_ranges_have_in_common_and_what_they_are_together() {
        let common = |one: &str, two: &str| range(one).common(&range(two)).map(|it| it.to_string());
        let both = common("192.0.2.0/28", "192.0.2.8-192.0.2.40");
        assert_eq!(both.as_deref(), Some("192.0.2.8-192.0.2.15"));
        assert_eq!(common("192.0.2.0/28", "192.0.2.16"), None);
        assert_eq!(common("0.0.0.0/0", "::/0"), None);
        let joined = |one: &str, two: &str| range(one).joined(&range(two)).map(|it| it.to_string());
        let both = joined("192.0.2.0/28", "192.0.2.16");
        assert_eq!(both.as_deref(), Some("192.0.2.0-192.0.2.16"));
        assert_eq!(joined("192.0.2.0/28", "192.0.2.17"), None);
        assert_eq!(
            joined("::/0", "::1").as_deref(),
            Some("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
        );
    }

    #[test]
    fn sizes_and_edges_are_counted() {
        for (text, size, edges) in [
            ("192.0.2.0/24", 256, 2),
            ("192.0.2.1-192.0.2.254", 254, 0),
            ("192.0.2.255-192.0.3.0", 2, 2),
            ("192.0.2.0", 1, 1),
            ("192.0.2.255", 1, 1),
            ("0.0.0.0/0", 1 << 32, 1 << 25),
            ("::/0", u128::MAX, 0),
        ] {
            assert_eq!(
                (range(text).size(), range(text).edges()),
                (size, edges),
                "{text}"
            );
        }
        assert!(is_edge("10.0.0.255".parse().unwrap()));
        assert!(!is_edge("10.0.0.25".parse().unwrap()));
        assert!(!is_edge("fd00::".parse().unwrap()));
    }

    #[test]
    fn the_lowest_free_address_is_found() {
        let block = range("192.0.2.254-192.0.3.1");
        let taken: Vec<IpAddr> = ["192.0.2.254", "192.0.2.255"]
            .map(|text| text.parse().unwrap())
            .into();
        let free = block.free(|one| taken.contains(&one));
        assert_eq!(free, Some("192.0.3.0".parse().unwrap()));
        assert_eq!(block.free(|_| true), None);
        assert!(block.contains("192.0.3.1".parse().unwrap()));
        assert!(!block.contains("192.0.3.2".parse().unwrap()));
        assert!(!block.contains("::1".parse().unwrap()));
        assert_eq!(range("::/0").free(|_| false), Some("::".parse().unwrap()));
    }
}
