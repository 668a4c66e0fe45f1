//! Health checks and outlier detection, to messages.

use super::{millis, proto, text};
use crate::ir;

pub(super) fn check(check: &ir::HealthCheck) -> proto::HealthCheck {
    proto::HealthCheck {
        probe: probe(&check.probe),
        interval_ms: millis(check.interval),
        timeout_ms: millis(check.timeout),
        healthy_threshold: check.thresholds.healthy,
        unhealthy_threshold: check.thresholds.unhealthy,
        port: check.port.map(u32::from),
    }
}

fn probe(probe: &ir::Probe) -> Option<proto::health_check::Probe> {
    use proto::health_check::Probe;
    match probe {
        ir::Probe::Tcp => None,
        ir::Probe::Http {
            path,
            host,
            statuses,
        } => {
            let statuses = statuses.iter().map(|range| proto::StatusRange {
                first: range.first.into(),
                last: range.last.into(),
            });
            Some(Probe::Http(proto::HttpProbe {
                path: text(path),
                host: host.as_ref().map(text),
                statuses: statuses.collect(),
            }))
        }
        ir::Probe::Grpc { service } => Some(Probe::Grpc(proto::GrpcProbe {
            service: text(service),
        })),
    }
}

pub(super) fn outliers(outliers: &ir::OutlierDetection) -> proto::OutlierDetection {
    proto::OutlierDetection {
        consecutive_failures: outliers.consecutive_failures,
        base_ejection_ms: millis(outliers.base_ejection),
        max_ejection_ms: millis(outliers.max_ejection),
        max_ejected_percent: outliers.max_ejected_percent.into(),
    }
}
