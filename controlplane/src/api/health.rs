//! BackendPolicy's fields about which endpoints work.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ringgate_core::ir::{self, Probe};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::text::{
    ApiDuration, CheckPath, Count, Percent, Port, PreciseHostname, RpcName, TextError, Threshold,
};

/// Of each endpoint, by one of `http` and `grpc`, else by a connection alone.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    pub http: Option<HttpCheck>,
    pub grpc: Option<GrpcCheck>,
    pub interval: Option<ApiDuration>,
    pub timeout: Option<ApiDuration>,
    pub healthy_threshold: Option<Threshold>,
    pub unhealthy_threshold: Option<Threshold>,
    pub port: Option<Port>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpCheck {
    pub path: Option<CheckPath>,
    pub host: Option<PreciseHostname>,
    pub statuses: Vec<Statuses>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GrpcCheck {
    pub service: Option<RpcName>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutlierDetection {
    /// 0: none is put aside.
    pub consecutive_failures: Option<Count>,
    pub base_ejection: Option<ApiDuration>,
    pub max_ejection: Option<ApiDuration>,
    pub max_ejected_percent: Option<Percent>,
}

/// A status of HTTP, or a range of them: `204`, `200-299`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses(ir::StatusRange);

impl Statuses {
    /// # Errors
    /// [`TextError::Form`] when it isn't one or two statuses, the smaller first.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = status(first).zip(status(last));
        match range.filter(|(first, last)| first <= last) {
            Some((first, last)) => Ok(Self(ir::StatusRange { first, last })),
            None => Err(TextError::Form {
                text: text.into(),
                wanted: "a status of HTTP, or a range of them",
                example: "204 or 200-299",
            }),
        }
    }
}

/// Final ones alone: an interim response is no answer.
fn status(text: &str) -> Option<u16> {
    let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number);
    number.filter(|number| (200..=599).contains(number))
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StatusesVisitor;
        impl Visitor<'_> for StatusesVisitor {
            type Value = Statuses;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status of HTTP, or a range such as 200-299")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Statuses, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Statuses, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
                Statuses::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(StatusesVisitor)
    }
}

impl HealthCheck {
    #[must_use]
    pub fn settings(&self) -> ir::HealthCheck {
        let default = ir::HealthCheck::by(self.probe());
        let or = |wanted: Option<ApiDuration>, default| wanted.map_or(default, ApiDuration::get);
        let count = |wanted: Option<Threshold>, default| wanted.map_or(default, Threshold::get);
        let thresholds = default.thresholds;
        ir::HealthCheck {
            interval: or(self.interval, default.interval),
            timeout: or(self.timeout, default.timeout),
            thresholds: ir::Thresholds {
                healthy: count(self.healthy_threshold, thresholds.healthy),
                unhealthy: count(self.unhealthy_threshold, thresholds.unhealthy),
            },
            port: self.port.map(Port::get),
            probe: default.probe,
        }
    }

    fn probe(&self) -> Probe {
        let none = || Arc::from("");
        match (&self.grpc, &self.http) {
            (Some(grpc), _) => Probe::Grpc {
                service: grpc.service.as_ref().map_or_else(none, RpcName::shared),
            },
            (None, Some(http)) => Probe::Http {
                path: (http.path.as_ref()).map_or_else(|| "/".into(), CheckPath::shared),
                host: http.host.as_ref().map(PreciseHostname::shared),
                statuses: match http.statuses.as_slice() {
                    [] => vec![ir::StatusRange::FINE],
                    some => some.iter().map(|one| one.0).collect(),
                },
            },
            (None, None) => Probe::Tcp,
        }
    }
}

impl OutlierDetection {
    /// None: it says that there shall be none.
    #[must_use]
    pub fn settings(&self) -> Option<ir::OutlierDetection> {
        let default = ir::OutlierDetection::default();
        let failures = self.consecutive_failures.map(Count::get);
        let percent = self.max_ejected_percent.map(Percent::get);
        let percent = percent.and_then(|percent| u8::try_from(percent).ok());
        let (base_ejection, max_ejection) = self.ejections();
        let settings = ir::OutlierDetection {
            consecutive_failures: failures.unwrap_or(default.consecutive_failures),
            base_ejection,
            max_ejection,
            max_ejected_percent: percent.unwrap_or(default.max_ejected_percent),
        };
        (settings.consecutive_failures > 0).then_some(settings)
    }

    /// The first one, and the longest, which is no shorter unless it says so.
    #[must_use]
    pub fn ejections(&self) -> (Duration, Duration) {
        let default = ir::OutlierDetection::default();
        let base = self.base_ejection.map_or_else(
            || match self.max_ejection {
                Some(most) => default.base_ejection.min(most.get()),
                None => default.base_ejection,
            },
            ApiDuration::get,
        );
        let most = self.max_ejection.map(ApiDuration::get);
        (base, most.unwrap_or_else(|| default.max_ejection.max(base)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_one_or_a_range() {
        let range = |first, last| Ok(Statuses(ir::StatusRange { first, last }));
        assert_eq!(Statuses::parse("204"), range(204, 204));
        assert_eq!(Statuses::parse("200-399"), range(200, 399));
        for bad in [
            "",
            "2xx",
            "99",
            "100",
            "600",
            "0200",
            "+200",
            "399-200",
            "200-",
            "200 - 299",
        ] {
            assert!(Statuses::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_longest_ejection_follows_the_first_where_only_one_is_written() {
        let seconds = |text| ApiDuration::parse(text).ok();
        let long = |base_ejection, max_ejection| {
            let detection = OutlierDetection {
                base_ejection,
                max_ejection,
                ..OutlierDetection::default()
            };
            let (base, most) = detection.ejections();
            (base.as_secs(), most.as_secs())
        };
        assert_eq!(long(None, None), (30, 300));
        assert_eq!(long(seconds("10m"), None), (600, 600));
        assert_eq!(long(None, seconds("10s")), (10, 10));
    }
}
