//! Backends and their endpoints, as messages.

use super::{address, health, millis, name, proto, text, tls};
use crate::ir;

pub(super) fn encode(backend: &ir::Backend) -> proto::Backend {
    let (endpoints, echo) = match &backend.endpoints {
        ir::Endpoints::Addresses(endpoints) => {
            let endpoints = endpoints.iter().map(|one| proto::Endpoint {
                address: address(one.address.ip()),
                port: one.address.port().into(),
                node: one.node.as_ref().map(text),
                zone: one.zone.as_ref().map(text),
                leaving: one.is_leaving,
            });
            (endpoints.collect(), None)
        }
        ir::Endpoints::Echo(name) => (Vec::new(), Some(text(name))),
    };
    proto::Backend {
        service: Some(name(&backend.service)),
        port: backend.port.into(),
        endpoints,
        echo,
        protocol: match backend.protocol {
            ir::BackendProtocol::Http1 => proto::backend::Protocol::Unspecified.into(),
            ir::BackendProtocol::Http2 => proto::backend::Protocol::Http2.into(),
            ir::BackendProtocol::Tcp => proto::backend::Protocol::Tcp.into(),
            ir::BackendProtocol::Udp => proto::backend::Protocol::Udp.into(),
        },
        reach: match backend.reach {
            ir::Reach::Anywhere => proto::backend::Reach::Unspecified.into(),
            ir::Reach::SameNode => proto::backend::Reach::SameNode.into(),
            ir::Reach::PreferNode => proto::backend::Reach::PreferNode.into(),
            ir::Reach::PreferZone => proto::backend::Reach::PreferZone.into(),
        },
        health_check_port: backend.health_check_port.map(Into::into),
        tls: backend.tls.as_ref().map(tls::backend),
        settings: Some(backend_settings(&backend.settings)),
    }
}

fn backend_settings(settings: &ir::BackendSettings) -> proto::BackendSettings {
    use proto::backend_settings::{Balance, ProxyHeader};
    proto::BackendSettings {
        balance: match settings.balance {
            ir::Balance::LeastLoadedOfTwo => Balance::LeastLoadedOfTwo.into(),
            ir::Balance::RoundRobin => Balance::RoundRobin.into(),
            ir::Balance::Consistent(_) => Balance::Consistent.into(),
        },
        hash_by: match &settings.balance {
            ir::Balance::Consistent(by) => Some(hash_by(by)),
            ir::Balance::LeastLoadedOfTwo | ir::Balance::RoundRobin => None,
        },
        slow_start_ms: settings.slow_start.map(millis),
        affinity_ms: settings.affinity.map(millis),
        connect_timeout_ms: millis(settings.connect_timeout),
        idle_timeout_ms: millis(settings.idle_timeout),
        keep_alive_ms: millis(settings.keep_alive),
        max_connections: settings.max_connections,
        proxy_header: match settings.proxy_header {
            None => ProxyHeader::Unspecified.into(),
            Some(ir::ProxyHeader::V1) => ProxyHeader::V1.into(),
            Some(ir::ProxyHeader::V2) => ProxyHeader::V2.into(),
        },
        health_check: settings.health_check.as_ref().map(health::check),
        outlier_detection: settings.outlier_detection.as_ref().map(health::outliers),
    }
}

fn hash_by(by: &ir::HashBy) -> proto::HashBy {
    proto::HashBy {
        cookie: by.cookie.as_ref().map(text),
        header: by.header.as_ref().map(text),
        hostname: by.hostname,
    }
}
