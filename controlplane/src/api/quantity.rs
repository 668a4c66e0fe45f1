//! Numbers within bounds, durations, bytes, address blocks, moments. Parsed once.

use std::fmt;
use std::time::Duration;

use ringgate_core::ir::Network;
use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize};

use super::text::TextError;

/// A whole number within bounds.
macro_rules! number_type {
    ($(#[$meta:meta])* $name:ident, $inner:ty, $min:literal..=$max:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "i64")]
        pub struct $name($inner);

        impl $name {
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = TextError;
            fn try_from(number: i64) -> Result<Self, TextError> {
                match <$inner>::try_from(number) {
                    Ok(inner) if ($min..=$max).contains(&number) => Ok(Self(inner)),
                    _ => Err(TextError::Range { number, min: $min, max: $max }),
                }
            }
        }
    };
}

number_type!(Port, u16, 1..=65535);
number_type!(
    /// Of a backend, relative to the sum of its rule's weights.
    Weight, u32, 0..=1_000_000
);
number_type!(
    /// A response status that a retry answers to.
    RetryCode, u16, 400..=599
);
number_type!(
    /// Health checks in a row.
    Threshold, u32, 1..=100
);
number_type!(Percent, u32, 0..=100);
number_type!(
    /// Zero and up.
    Count, u32, 0..=2_147_483_647
);
number_type!(
    /// One and up.
    Positive, u32, 1..=2_147_483_647
);

impl Count {
    pub const ONE: Self = Self(1);
}

impl Positive {
    pub const FIVE: Self = Self(5);
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

/// A duration as Gateway API writes it (GEP-2257): `1h30m`, `10s`, `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ApiDuration(Duration);

impl ApiDuration {
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// # Errors
    /// [`TextError::Form`] when it isn't one to four numbers of at most five digits, each with a unit.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        parse_duration(text)
            .map(Self)
            .ok_or_else(|| TextError::Form {
                text: text.into(),
                wanted: "a duration (whole numbers with h, m, s or ms)",
                example: "10s, 1m30s or 250ms",
            })
    }
}

impl TryFrom<String> for ApiDuration {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, TextError> {
        Self::parse(&text)
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    for _ in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        if !(1..=5).contains(&digits) {
            return None;
        }
        let number: u64 = number.parse().ok()?;
        let (part, tail) = duration_part(number, tail)?;
        total += part;
        rest = tail;
        if rest.is_empty() {
            return Some(total);
        }
    }
    None
}

fn duration_part(number: u64, tail: &str) -> Option<(Duration, &str)> {
    if let Some(tail) = tail.strip_prefix("ms") {
        return Some((Duration::from_millis(number), tail));
    }
    let seconds = match tail.as_bytes().first()? {
        b'h' => 3600,
        b'm' => 60,
        b's' => 1,
        _ => return None,
    };
    Some((Duration::from_secs(number * seconds), tail.get(1..)?))
}

/// A number of bytes: a whole number, or a Kubernetes quantity such as `16Ki` or `1M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// # Errors
    /// [`TextError::Form`] when it isn't a whole number with an optional unit.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "" => Some(1),
            "k" => Some(1000),
            "M" => Some(1_000_000),
            "G" => Some(1_000_000_000),
            "Ki" => Some(1 << 10),
            "Mi" => Some(1 << 20),
            "Gi" => Some(1 << 30),
            _ => None,
        };
        number
            .parse::<u64>()
            .ok()
            .zip(factor)
            .and_then(|(number, factor)| number.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| TextError::Form {
                text: text.into(),
                wanted: "a number of bytes",
                example: "16Ki, 1Mi or 16384",
            })
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, such as 16Ki")
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Bytes, E> {
                Ok(Bytes(number))
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Bytes, E> {
                u64::try_from(number).map(Bytes).map_err(|_| {
                    E::custom(TextError::Range {
                        number,
                        min: 0,
                        max: i64::MAX,
                    })
                })
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes, E> {
                Bytes::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(BytesVisitor)
    }
}

/// An address block: `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Cidr(Network);

impl Cidr {
    #[must_use]
    pub const fn get(self) -> Network {
        self.0
    }
}

impl TryFrom<String> for Cidr {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        parse_network(&text).map(Self).ok_or(TextError::Form {
            text,
            wanted: "an address block",
            example: "10.0.0.0/8, 192.0.2.1 or 2001:db8::/32",
        })
    }
}

fn parse_network(text: &str) -> Option<Network> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: std::net::IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= most)?,
        None => most,
    };
    Some(Network { address, prefix })
}

/// A moment in seconds since 1970, from RFC 3339 text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let since = humantime::parse_rfc3339_weak(&text)
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        since.map(|since| Self(since.as_secs())).ok_or_else(|| {
            D::Error::custom(TextError::Form {
                text,
                wanted: "a moment in UTC (RFC 3339)",
                example: "2026-11-23T14:00:00Z",
            })
        })
    }
}
