//! IR to messages: total, for the IR can't hold what the messages couldn't say.

mod backend;
mod health;
mod stream;
mod tls;

use std::net::IpAddr;
use std::time::Duration;

use prost::Message;

use super::{content_hash, proto};
use crate::ir;

/// An object as it is sent: its id, its bytes, and their hash.
#[must_use]
pub fn entry(object_id: &ir::Id, object: &ir::Object) -> proto::Entry {
    let bytes = self::object(object).encode_to_vec();
    proto::Entry {
        id: Some(id(object_id)),
        hash: content_hash(&bytes),
        object: bytes,
    }
}

/// A whole snapshot as it is kept on disk.
#[must_use]
pub fn saved(snapshot: &ir::Snapshot) -> proto::Saved {
    proto::Saved {
        version: Some(version(snapshot.version)),
        entries: snapshot
            .objects
            .iter()
            .map(|(id, object)| entry(id, object))
            .collect(),
    }
}

#[must_use]
pub fn version(version: ir::Version) -> proto::Version {
    proto::Version {
        term: version.term,
        sequence: version.sequence,
    }
}

#[must_use]
pub fn id(id: &ir::Id) -> proto::ObjectId {
    let kind = match id.kind {
        ir::Kind::Listener => proto::object_id::Kind::Listener,
        ir::Kind::HttpRoute => proto::object_id::Kind::HttpRoute,
        ir::Kind::GrpcRoute => proto::object_id::Kind::GrpcRoute,
        ir::Kind::TlsRoute => proto::object_id::Kind::TlsRoute,
        ir::Kind::TcpRoute => proto::object_id::Kind::TcpRoute,
        ir::Kind::UdpRoute => proto::object_id::Kind::UdpRoute,
        ir::Kind::Backend => proto::object_id::Kind::Backend,
        ir::Kind::Certificate => proto::object_id::Kind::Certificate,
        ir::Kind::Authorities => proto::object_id::Kind::Authorities,
        ir::Kind::TicketKeys => proto::object_id::Kind::TicketKeys,
    };
    proto::ObjectId {
        kind: kind.into(),
        path: id.path.to_string(),
    }
}

fn object(object: &ir::Object) -> proto::Object {
    use proto::object::Object;
    let object = match object {
        ir::Object::Listener(one) => Object::Listener(listener(one)),
        ir::Object::HttpRoute(one) => Object::HttpRoute(http_route(one)),
        ir::Object::StreamRoute(one) => Object::StreamRoute(stream::route(one)),
        ir::Object::Backend(one) => Object::Backend(backend::encode(one)),
        ir::Object::Certificate(one) => Object::Certificate(tls::certificate(one)),
        ir::Object::Authorities(one) => Object::Authorities(tls::authorities(one)),
        ir::Object::TicketKeys(one) => Object::TicketKeys(tls::ticket_keys(one)),
    };
    proto::Object {
        object: Some(object),
    }
}

fn name(name: &ir::ObjectName) -> proto::ObjectName {
    proto::ObjectName {
        namespace: name.namespace.to_string(),
        name: name.name.to_string(),
    }
}

fn address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn hostname(hostname: &ir::Hostname) -> String {
    match hostname {
        ir::Hostname::Any => String::new(),
        named => named.to_string(),
    }
}

fn text(text: &std::sync::Arc<str>) -> String {
    text.to_string()
}

fn texts(texts: &[std::sync::Arc<str>]) -> Vec<String> {
    texts.iter().map(text).collect()
}

fn listener(listener: &ir::Listener) -> proto::Listener {
    proto::Listener {
        gateway: Some(name(&listener.gateway)),
        name: text(&listener.name),
        addresses: listener.addresses.iter().copied().map(address).collect(),
        port: listener.port.into(),
        protocol: match listener.protocol {
            ir::Protocol::Http => proto::listener::Protocol::Http.into(),
            ir::Protocol::Https(_) => proto::listener::Protocol::Https.into(),
            ir::Protocol::Tls(_) => proto::listener::Protocol::Tls.into(),
            ir::Protocol::TlsPassthrough => proto::listener::Protocol::TlsPassthrough.into(),
            ir::Protocol::Tcp => proto::listener::Protocol::Tcp.into(),
            ir::Protocol::Udp => proto::listener::Protocol::Udp.into(),
        },
        termination: listener.protocol.termination().map(tls::termination),
        client_certificate: listener.client_certificate.as_ref().map(id),
        hostname: hostname(&listener.hostname),
        settings: Some(listener_settings(&listener.settings)),
        public_port: listener.public_port.map(u32::from),
    }
}

fn network(network: &ir::Network) -> proto::Network {
    proto::Network {
        address: address(network.address),
        prefix: network.prefix.into(),
    }
}

fn listener_settings(settings: &ir::ListenerSettings) -> proto::ListenerSettings {
    proto::ListenerSettings {
        header_timeout_ms: millis(settings.timeouts.header),
        keep_alive_timeout_ms: millis(settings.timeouts.keep_alive),
        idle_timeout_ms: millis(settings.timeouts.idle),
        tunnel_idle_timeout_ms: millis(settings.timeouts.tunnel_idle),
        session_idle_timeout_ms: millis(settings.timeouts.session_idle),
        sessions: settings.limits.sessions,
        allowed_sources: settings.allowed_sources.iter().map(network).collect(),
        request_line_bytes: settings.limits.request_line_bytes,
        header_bytes: settings.limits.header_bytes,
        header_fields: settings.limits.header_fields,
        body_bytes: settings.limits.body_bytes,
        connections: settings.limits.connections,
        trusted_proxies: settings.trusted_proxies.iter().map(network).collect(),
        proxy_protocol_from_trusted: settings.proxy_protocol == ir::ProxyProtocol::FromTrusted,
        access_log: settings.access_log,
        without_http2: !settings.http2,
        server: settings.server.as_ref().map(text),
        via: settings.via.as_ref().map(text),
    }
}

fn http_route(route: &ir::HttpRoute) -> proto::HttpRoute {
    proto::HttpRoute {
        name: Some(name(&route.name)),
        created: route.created,
        attachments: route.attachments.iter().map(attachment).collect(),
        rules: route.rules.iter().map(rule).collect(),
        grpc: route.protocol == ir::RouteProtocol::Grpc,
    }
}

fn attachment(attachment: &ir::Attachment) -> proto::Attachment {
    let hosts = &attachment.hostnames;
    let as_written = hosts.iter().all(|host| host.hostname == host.written);
    let written = if as_written { &[] } else { hosts.as_slice() };
    proto::Attachment {
        listener: Some(id(&attachment.listener)),
        hostnames: hosts.iter().map(|host| hostname(&host.hostname)).collect(),
        written: written.iter().map(|host| hostname(&host.written)).collect(),
    }
}

fn rule(rule: &ir::Rule) -> proto::Rule {
    proto::Rule {
        name: rule.name.as_ref().map(text),
        matches: rule.matches.iter().map(route_match).collect(),
        filters: rule.filters.iter().map(filter).collect(),
        backends: rule.backends.iter().map(weighted_backend).collect(),
        request_timeout_ms: rule.timeouts.request.map(millis),
        backend_request_timeout_ms: rule.timeouts.backend_request.map(millis),
        retry: rule.retry.as_ref().map(|retry| proto::Retry {
            codes: retry.codes.iter().copied().map(u32::from).collect(),
            attempts: retry.attempts,
            backoff_ms: retry.backoff.map(millis),
        }),
        broken: rule.broken,
    }
}

fn route_match(one: &ir::Match) -> proto::Match {
    use proto::r#match::Path;
    proto::Match {
        path: Some(match &one.path {
            ir::PathMatch::Exact(path) => Path::Exact(text(path)),
            ir::PathMatch::Prefix(path) => Path::Prefix(text(path)),
            ir::PathMatch::Regex(path) => Path::Regex(text(path)),
            ir::PathMatch::Rpc(one) => Path::Rpc(proto::RpcMatch {
                service: one.service.as_ref().map(text_match),
                method: one.method.as_ref().map(text_match),
            }),
        }),
        headers: one.headers.iter().map(field_match).collect(),
        query: one.query.iter().map(field_match).collect(),
        method: one.method.as_ref().map(text),
    }
}

fn text_match(one: &ir::TextMatch) -> proto::TextMatch {
    use proto::text_match::Value;
    proto::TextMatch {
        value: Some(match one {
            ir::TextMatch::Exact(value) => Value::Exact(text(value)),
            ir::TextMatch::Regex(value) => Value::Regex(text(value)),
        }),
    }
}

fn field_match(field: &ir::FieldMatch) -> proto::FieldMatch {
    use proto::field_match::Value;
    proto::FieldMatch {
        name: text(&field.name),
        value: Some(match &field.value {
            ir::TextMatch::Exact(value) => Value::Exact(text(value)),
            ir::TextMatch::Regex(value) => Value::Regex(text(value)),
        }),
    }
}

fn weighted_backend(backend: &ir::WeightedBackend) -> proto::WeightedBackend {
    proto::WeightedBackend {
        backend: target(&backend.target),
        weight: backend.weight,
        filters: backend.filters.iter().map(filter).collect(),
    }
}

fn target(target: &ir::BackendTarget) -> Option<proto::ObjectId> {
    match target {
        ir::BackendTarget::Backend(backend) => Some(id(backend)),
        ir::BackendTarget::Invalid => None,
    }
}

fn filter(filter: &ir::Filter) -> proto::Filter {
    use proto::filter::Filter;
    proto::Filter {
        filter: Some(match filter {
            ir::Filter::RequestHeaders(edits) => Filter::RequestHeaders(header_edits(edits)),
            ir::Filter::ResponseHeaders(edits) => Filter::ResponseHeaders(header_edits(edits)),
            ir::Filter::Redirect(one) => Filter::Redirect(redirect(one)),
            ir::Filter::Rewrite(one) => Filter::Rewrite(proto::Rewrite {
                hostname: one.hostname.as_ref().map(text),
                path: one.path.as_ref().map(path_modifier),
            }),
            ir::Filter::Mirror(mirror) => Filter::Mirror(proto::Mirror {
                backend: Some(id(&mirror.backend)),
                numerator: mirror.numerator,
                denominator: mirror.denominator,
            }),
            ir::Filter::Cors(one) => Filter::Cors(cors(one)),
        }),
    }
}

fn header_edits(edits: &ir::HeaderEdits) -> proto::HeaderEdits {
    let fields = |fields: &[ir::HeaderField]| {
        fields
            .iter()
            .map(|field| proto::HeaderField {
                name: text(&field.name),
                value: text(&field.value),
            })
            .collect()
    };
    proto::HeaderEdits {
        set: fields(&edits.set),
        add: fields(&edits.add),
        remove: texts(&edits.remove),
    }
}

fn path_modifier(modifier: &ir::PathModifier) -> proto::PathModifier {
    use proto::path_modifier::Modifier;
    proto::PathModifier {
        modifier: Some(match modifier {
            ir::PathModifier::ReplaceFullPath(path) => Modifier::Full(text(path)),
            ir::PathModifier::ReplacePrefix(prefix) => Modifier::Prefix(text(prefix)),
        }),
    }
}

fn redirect(redirect: &ir::Redirect) -> proto::Redirect {
    proto::Redirect {
        scheme: redirect.scheme.as_ref().map(text),
        hostname: redirect.hostname.as_ref().map(text),
        port: redirect.port.map(u32::from),
        path: redirect.path.as_ref().map(path_modifier),
        status: redirect.status.into(),
    }
}

fn cors(cors: &ir::Cors) -> proto::Cors {
    proto::Cors {
        origins: cors.origins.iter().map(origin).collect(),
        credentials: cors.credentials,
        methods: Some(tokens(&cors.methods)),
        headers: Some(tokens(&cors.headers)),
        expose: Some(tokens(&cors.expose)),
        max_age_ms: millis(cors.max_age),
    }
}

fn origin(origin: &ir::Origin) -> proto::Origin {
    use proto::origin::Origin;
    proto::Origin {
        origin: Some(match origin {
            ir::Origin::Any => Origin::Any(true),
            ir::Origin::Exact(exact) => Origin::Exact(text(exact)),
            ir::Origin::Wildcard { before, after } => Origin::Wildcard(proto::origin::Wildcard {
                before: text(before),
                after: text(after),
            }),
        }),
    }
}

fn tokens(tokens: &ir::Tokens) -> proto::Tokens {
    match tokens {
        ir::Tokens::Any => proto::Tokens {
            any: true,
            list: Vec::new(),
        },
        ir::Tokens::List(list) => proto::Tokens {
            any: false,
            list: texts(list),
        },
    }
}
