//! Routes of connections, from messages.

use super::{DecodeError, Result, attachment, list, name, optional_text, proto, weighted_backend};
use crate::{ir, limits};

pub(super) fn route(route: &proto::StreamRoute) -> Result<ir::StreamRoute> {
    let attachments = &route.attachments;
    Ok(ir::StreamRoute {
        protocol: match route.protocol() {
            proto::stream_route::Protocol::Unspecified => {
                return Err(DecodeError::Missing("protocol"));
            }
            proto::stream_route::Protocol::Tls => ir::StreamProtocol::Tls,
            proto::stream_route::Protocol::Tcp => ir::StreamProtocol::Tcp,
            proto::stream_route::Protocol::Udp => ir::StreamProtocol::Udp,
        },
        is_service: route.service,
        name: name(route.name.as_ref())?,
        created: route.created,
        attachments: list("attachments", limits::ATTACHMENTS, attachments, attachment)?,
        rule: optional_text(route.rule.as_ref()),
        backends: list(
            "backends",
            limits::BACKEND_REFS,
            &route.backends,
            stream_backend,
        )?,
    })
}

fn stream_backend(backend: &proto::WeightedBackend) -> Result<ir::StreamBackend> {
    let ir::WeightedBackend { target, weight, .. } = weighted_backend(backend)?;
    Ok(ir::StreamBackend { target, weight })
}
