//! Routes of connections, to messages.

use super::{attachment, name, proto, target, text};
use crate::ir;

pub(super) fn route(route: &ir::StreamRoute) -> proto::StreamRoute {
    let backends = route.backends.iter();
    let protocol = match route.protocol {
        ir::StreamProtocol::Tls => proto::stream_route::Protocol::Tls,
        ir::StreamProtocol::Tcp => proto::stream_route::Protocol::Tcp,
        ir::StreamProtocol::Udp => proto::stream_route::Protocol::Udp,
    };
    proto::StreamRoute {
        protocol: protocol.into(),
        service: route.is_service,
        name: Some(name(&route.name)),
        created: route.created,
        attachments: route.attachments.iter().map(attachment).collect(),
        rule: route.rule.as_ref().map(text),
        backends: backends
            .map(|one| proto::WeightedBackend {
                backend: target(&one.target),
                weight: one.weight,
                filters: Vec::new(),
            })
            .collect(),
    }
}
