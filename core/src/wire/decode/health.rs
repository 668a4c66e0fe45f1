//! Health checks and outlier detection, from messages. What would keep a checker busy for nothing, or a request
//! from being one, is refused.

use std::sync::Arc;
use std::time::Duration;

use super::{DecodeError, Result, list, proto, range};
use crate::{ir, limits};

pub(super) fn check(check: &proto::HealthCheck) -> Result<ir::HealthCheck> {
    use proto::health_check::Probe;
    Ok(ir::HealthCheck {
        probe: match &check.probe {
            None => ir::Probe::Tcp,
            Some(Probe::Http(probe)) => http(probe)?,
            Some(Probe::Grpc(probe)) => ir::Probe::Grpc {
                service: text("service", &probe.service)?,
            },
        },
        interval: positive("interval_ms", check.interval_ms).map(Duration::from_millis)?,
        timeout: positive("timeout_ms", check.timeout_ms).map(Duration::from_millis)?,
        thresholds: ir::Thresholds {
            healthy: positive("healthy_threshold", check.healthy_threshold)?,
            unhealthy: positive("unhealthy_threshold", check.unhealthy_threshold)?,
        },
        port: check.port.map(port).transpose()?,
    })
}

fn http(probe: &proto::HttpProbe) -> Result<ir::Probe> {
    Ok(ir::Probe::Http {
        path: line("path", &probe.path)?,
        host: probe
            .host
            .as_ref()
            .map(|host| line("host", host))
            .transpose()?,
        statuses: list("statuses", limits::STATUS_RANGES, &probe.statuses, |one| {
            Ok(ir::StatusRange {
                first: range("statuses", one.first)?,
                last: range("statuses", one.last)?,
            })
        })?,
    })
}

pub(super) fn outliers(outliers: &proto::OutlierDetection) -> Result<ir::OutlierDetection> {
    let percent: u8 = range("max_ejected_percent", outliers.max_ejected_percent)?;
    if percent > 100 {
        return Err(DecodeError::Range {
            field: "max_ejected_percent",
            value: percent.into(),
        });
    }
    let failures = outliers.consecutive_failures;
    Ok(ir::OutlierDetection {
        consecutive_failures: positive("consecutive_failures", failures)?,
        base_ejection: Duration::from_millis(outliers.base_ejection_ms),
        max_ejection: Duration::from_millis(outliers.max_ejection_ms),
        max_ejected_percent: percent,
    })
}

fn port(port: u32) -> Result<u16> {
    range("port", positive("port", port)?)
}

fn positive<T: Into<u64> + Copy>(field: &'static str, value: T) -> Result<T> {
    match value.into() {
        0 => Err(DecodeError::Range { field, value: 0 }),
        _ => Ok(value),
    }
}

fn text(field: &'static str, text: &str) -> Result<Arc<str>> {
    let (length, limit) = (text.len(), limits::CHECK_TEXT_BYTES);
    match length > limit {
        true => Err(DecodeError::TooMany {
            field,
            length,
            limit,
        }),
        false => Ok(text.into()),
    }
}

/// A part of a request's head.
fn line(field: &'static str, line: &str) -> Result<Arc<str>> {
    match line.bytes().find(|byte| !byte.is_ascii_graphic()) {
        Some(byte) => Err(DecodeError::Range {
            field,
            value: byte.into(),
        }),
        None if line.is_empty() => Err(DecodeError::Missing(field)),
        None => text(field, line),
    }
}
