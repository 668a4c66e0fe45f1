//! Backends and their endpoints, from messages.

use std::net::SocketAddr;
use std::time::Duration;

use super::{
    DecodeError, Result, address, health, list, name, optional_text, proto, range, text, tls,
};
use crate::{ir, limits};

pub(super) fn decode(backend: &proto::Backend) -> Result<ir::Backend> {
    let endpoints = match &backend.echo {
        Some(name) => ir::Endpoints::Echo(text(name)),
        None => {
            let sent = &backend.endpoints;
            let mut all = list("endpoints", limits::ENDPOINTS, sent, endpoint)?;
            // They are searched by address.
            all.sort_unstable();
            all.dedup_by(|one, other| one.address == other.address);
            ir::Endpoints::Addresses(all)
        }
    };
    Ok(ir::Backend {
        service: name(backend.service.as_ref())?,
        port: range("port", backend.port)?,
        endpoints,
        protocol: match backend.protocol() {
            proto::backend::Protocol::Unspecified => ir::BackendProtocol::Http1,
            proto::backend::Protocol::Http2 => ir::BackendProtocol::Http2,
            proto::backend::Protocol::Tcp => ir::BackendProtocol::Tcp,
            proto::backend::Protocol::Udp => ir::BackendProtocol::Udp,
        },
        reach: match backend.reach() {
            proto::backend::Reach::Unspecified => ir::Reach::Anywhere,
            proto::backend::Reach::SameNode => ir::Reach::SameNode,
            proto::backend::Reach::PreferNode => ir::Reach::PreferNode,
            proto::backend::Reach::PreferZone => ir::Reach::PreferZone,
        },
        health_check_port: backend
            .health_check_port
            .map(|port| range("health_check_port", port))
            .transpose()?,
        tls: backend.tls.as_ref().map(tls::backend).transpose()?,
        settings: backend_settings(
            backend
                .settings
                .as_ref()
                .ok_or(DecodeError::Missing("settings"))?,
        )?,
    })
}

fn endpoint(endpoint: &proto::Endpoint) -> Result<ir::Endpoint> {
    let address = address("endpoints", &endpoint.address)?;
    Ok(ir::Endpoint {
        address: SocketAddr::new(address, range("port", endpoint.port)?),
        node: optional_text(endpoint.node.as_ref()),
        zone: optional_text(endpoint.zone.as_ref()),
        is_leaving: endpoint.leaving,
    })
}

fn backend_settings(settings: &proto::BackendSettings) -> Result<ir::BackendSettings> {
    use proto::backend_settings::{Balance, ProxyHeader};
    let (check, outliers) = (&settings.health_check, &settings.outlier_detection);
    Ok(ir::BackendSettings {
        balance: match settings.balance() {
            Balance::RoundRobin => ir::Balance::RoundRobin,
            Balance::Consistent => ir::Balance::Consistent(hash_by(settings.hash_by.as_ref())),
            Balance::Unspecified | Balance::LeastLoadedOfTwo => ir::Balance::LeastLoadedOfTwo,
        },
        slow_start: settings.slow_start_ms.map(Duration::from_millis),
        affinity: settings.affinity_ms.map(Duration::from_millis),
        connect_timeout: Duration::from_millis(settings.connect_timeout_ms),
        idle_timeout: Duration::from_millis(settings.idle_timeout_ms),
        keep_alive: Duration::from_millis(settings.keep_alive_ms),
        max_connections: settings.max_connections,
        proxy_header: match settings.proxy_header() {
            ProxyHeader::Unspecified => None,
            ProxyHeader::V1 => Some(ir::ProxyHeader::V1),
            ProxyHeader::V2 => Some(ir::ProxyHeader::V2),
        },
        health_check: check.as_ref().map(health::check).transpose()?,
        outlier_detection: outliers.as_ref().map(health::outliers).transpose()?,
    })
}

fn hash_by(hash_by: Option<&proto::HashBy>) -> ir::HashBy {
    let Some(by) = hash_by else {
        return ir::HashBy::default();
    };
    ir::HashBy {
        cookie: optional_text(by.cookie.as_ref()),
        header: optional_text(by.header.as_ref()),
        hostname: by.hostname,
    }
}
