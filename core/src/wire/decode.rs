//! Messages to IR: everything that the IR's types promise is checked here, once.

mod backend;
mod health;
mod stream;
mod tls;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use thiserror::Error;

use super::{content_hash, proto};
use crate::{ir, limits};

/// Why a message was refused. The sender is at fault, or a saved file is damaged; what is in force stays.
#[derive(Debug, Error)]
pub enum DecodeError {
    #[error("the bytes are no message of this protocol: {0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{field} has {length} entries, more than the limit of {limit}")]
    TooMany {
        field: &'static str,
        length: usize,
        limit: usize,
    },
    #[error("{field} is out of range: {value}")]
    Range { field: &'static str, value: u64 },
    #[error("{field} has an address of {length} bytes instead of 4 or 16")]
    Address { field: &'static str, length: usize },
    #[error("hostname {text:?}: {error}")]
    Hostname {
        text: String,
        error: ir::HostnameError,
    },
    #[error("object {id} says that it is a {found:?}")]
    Kind { id: ir::Id, found: ir::Kind },
    #[error("object {id} is damaged: its bytes don't have the hash that was sent")]
    Hash { id: ir::Id },
}

type Result<T> = std::result::Result<T, DecodeError>;

/// One object of an update or of a saved snapshot, with its content hash.
///
/// # Errors
/// Any [`DecodeError`]; neighbours are not concerned.
pub fn entry(entry: &proto::Entry) -> Result<(ir::Id, ir::Object)> {
    let id = id(entry.id.as_ref())?;
    if content_hash(&entry.object) != entry.hash {
        return Err(DecodeError::Hash { id });
    }
    let object = object(proto::Object::decode(entry.object.as_slice())?)?;
    if object.kind() != id.kind {
        return Err(DecodeError::Kind {
            id,
            found: object.kind(),
        });
    }
    Ok((id, object))
}

/// A snapshot that was kept on disk.
///
/// # Errors
/// Any [`DecodeError`]: it is taken whole or not at all.
pub fn saved(bytes: &[u8]) -> Result<ir::Snapshot> {
    let saved = proto::Saved::decode(bytes)?;
    let objects = list("entries", limits::OBJECTS, &saved.entries, entry)?;
    Ok(ir::Snapshot {
        version: version(saved.version)?,
        objects: objects.into_iter().collect(),
    })
}

/// # Errors
/// [`DecodeError::Missing`].
pub fn version(version: Option<proto::Version>) -> Result<ir::Version> {
    let version = version.ok_or(DecodeError::Missing("version"))?;
    Ok(ir::Version {
        term: version.term,
        sequence: version.sequence,
    })
}

/// # Errors
/// [`DecodeError::Missing`], also for a kind that is not known.
pub fn id(id: Option<&proto::ObjectId>) -> Result<ir::Id> {
    let id = id.ok_or(DecodeError::Missing("id"))?;
    let kind = match id.kind() {
        proto::object_id::Kind::Unspecified => return Err(DecodeError::Missing("id.kind")),
        proto::object_id::Kind::Listener => ir::Kind::Listener,
        proto::object_id::Kind::HttpRoute => ir::Kind::HttpRoute,
        proto::object_id::Kind::GrpcRoute => ir::Kind::GrpcRoute,
        proto::object_id::Kind::TlsRoute => ir::Kind::TlsRoute,
        proto::object_id::Kind::TcpRoute => ir::Kind::TcpRoute,
        proto::object_id::Kind::UdpRoute => ir::Kind::UdpRoute,
        proto::object_id::Kind::Backend => ir::Kind::Backend,
        proto::object_id::Kind::Certificate => ir::Kind::Certificate,
        proto::object_id::Kind::Authorities => ir::Kind::Authorities,
        proto::object_id::Kind::TicketKeys => ir::Kind::TicketKeys,
    };
    Ok(ir::Id {
        kind,
        path: id.path.as_str().into(),
    })
}

fn object(object: proto::Object) -> Result<ir::Object> {
    use proto::object::Object;
    Ok(match object.object.ok_or(DecodeError::Missing("object"))? {
        Object::Listener(one) => ir::Object::Listener(listener(&one)?),
        Object::HttpRoute(one) => ir::Object::HttpRoute(http_route(&one)?),
        Object::StreamRoute(one) => ir::Object::StreamRoute(stream::route(&one)?),
        Object::Backend(one) => ir::Object::Backend(backend::decode(&one)?),
        Object::Certificate(one) => ir::Object::Certificate(tls::certificate(&one)?),
        Object::Authorities(one) => ir::Object::Authorities(tls::authorities(&one)?),
        Object::TicketKeys(one) => ir::Object::TicketKeys(tls::ticket_keys(&one)?),
    })
}

/// Decodes each of a repeated field, at most `limit`.
fn list<M, T>(
    field: &'static str,
    limit: usize,
    messages: &[M],
    decode: impl Fn(&M) -> Result<T>,
) -> Result<Vec<T>> {
    if messages.len() > limit {
        return Err(DecodeError::TooMany {
            field,
            length: messages.len(),
            limit,
        });
    }
    // `collect` would not see the length through the errors: four places for each list of one.
    let mut decoded = Vec::with_capacity(messages.len());
    for message in messages {
        decoded.push(decode(message)?);
    }
    Ok(decoded)
}

fn range<T: TryFrom<u64>>(field: &'static str, value: impl Into<u64>) -> Result<T> {
    let value = value.into();
    T::try_from(value).map_err(|_| DecodeError::Range { field, value })
}

fn name(name: Option<&proto::ObjectName>) -> Result<ir::ObjectName> {
    let name = name.ok_or(DecodeError::Missing("name"))?;
    Ok(ir::ObjectName::new(&name.namespace, &name.name))
}

fn address(field: &'static str, bytes: &[u8]) -> Result<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(v4.into());
    }
    let v6 = <[u8; 16]>::try_from(bytes);
    v6.map(IpAddr::from).map_err(|_| DecodeError::Address {
        field,
        length: bytes.len(),
    })
}

fn hostname(text: &str) -> Result<ir::Hostname> {
    ir::Hostname::parse(text).map_err(|error| DecodeError::Hostname {
        text: text.to_owned(),
        error,
    })
}

fn text(text: &str) -> Arc<str> {
    text.into()
}

fn optional_text(text: Option<&String>) -> Option<Arc<str>> {
    text.map(|text| text.as_str().into())
}

fn listener(listener: &proto::Listener) -> Result<ir::Listener> {
    Ok(ir::Listener {
        gateway: name(listener.gateway.as_ref())?,
        name: listener.name.as_str().into(),
        addresses: list(
            "addresses",
            limits::ADDRESSES,
            &listener.addresses,
            |bytes| address("addresses", bytes),
        )?,
        port: range("port", listener.port)?,
        public_port: listener
            .public_port
            .map(|port| range("public_port", port))
            .transpose()?,
        protocol: match listener.protocol() {
            proto::listener::Protocol::Unspecified => return Err(DecodeError::Missing("protocol")),
            proto::listener::Protocol::Http => ir::Protocol::Http,
            proto::listener::Protocol::Https => {
                ir::Protocol::Https(tls::termination(listener.termination.as_ref())?)
            }
            proto::listener::Protocol::Tls => {
                ir::Protocol::Tls(tls::termination(listener.termination.as_ref())?)
            }
            proto::listener::Protocol::TlsPassthrough => ir::Protocol::TlsPassthrough,
            proto::listener::Protocol::Tcp => ir::Protocol::Tcp,
            proto::listener::Protocol::Udp => ir::Protocol::Udp,
        },
        hostname: hostname(&listener.hostname)?,
        client_certificate: listener
            .client_certificate
            .as_ref()
            .map(|one| id(Some(one)))
            .transpose()?,
        settings: listener_settings(
            listener
                .settings
                .as_ref()
                .ok_or(DecodeError::Missing("settings"))?,
        )?,
    })
}

fn listener_settings(settings: &proto::ListenerSettings) -> Result<ir::ListenerSettings> {
    Ok(ir::ListenerSettings {
        timeouts: ir::DownstreamTimeouts {
            header: Duration::from_millis(settings.header_timeout_ms),
            keep_alive: Duration::from_millis(settings.keep_alive_timeout_ms),
            idle: Duration::from_millis(settings.idle_timeout_ms),
            tunnel_idle: Duration::from_millis(settings.tunnel_idle_timeout_ms),
            session_idle: Duration::from_millis(settings.session_idle_timeout_ms),
        },
        limits: ir::HttpLimits {
            request_line_bytes: settings.request_line_bytes,
            header_bytes: settings.header_bytes,
            header_fields: settings.header_fields,
            body_bytes: settings.body_bytes,
            connections: settings.connections,
            sessions: settings.sessions,
        },
        trusted_proxies: list(
            "trusted_proxies",
            limits::TRUSTED_PROXIES,
            &settings.trusted_proxies,
            network,
        )?
        .into(),
        allowed_sources: list(
            "allowed_sources",
            limits::ALLOWED_SOURCES,
            &settings.allowed_sources,
            network,
        )?
        .into(),
        proxy_protocol: if settings.proxy_protocol_from_trusted {
            ir::ProxyProtocol::FromTrusted
        } else {
            ir::ProxyProtocol::Off
        },
        access_log: settings.access_log,
        http2: !settings.without_http2,
        server: optional_text(settings.server.as_ref()),
        via: optional_text(settings.via.as_ref()),
    })
}

fn network(network: &proto::Network) -> Result<ir::Network> {
    let address = address("network", &network.address)?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix: u8 = range("prefix", network.prefix)?;
    if prefix > bits {
        return Err(DecodeError::Range {
            field: "prefix",
            value: prefix.into(),
        });
    }
    Ok(ir::Network { address, prefix })
}

fn http_route(route: &proto::HttpRoute) -> Result<ir::HttpRoute> {
    Ok(ir::HttpRoute {
        protocol: match route.grpc {
            false => ir::RouteProtocol::Http,
            true => ir::RouteProtocol::Grpc,
        },
        name: name(route.name.as_ref())?,
        created: route.created,
        attachments: list(
            "attachments",
            limits::ATTACHMENTS,
            &route.attachments,
            attachment,
        )?,
        rules: list("rules", limits::RULES, &route.rules, rule)?,
    })
}

fn attachment(attachment: &proto::Attachment) -> Result<ir::Attachment> {
    let names =
        |field, texts: &Vec<String>| list(field, limits::HOSTNAMES, texts, |text| hostname(text));
    let hostnames = names("hostnames", &attachment.hostnames)?;
    let written = match attachment.written.len() {
        0 => hostnames.clone(),
        _ => names("written", &attachment.written)?,
    };
    if written.len() != hostnames.len() {
        return Err(DecodeError::Missing("written"));
    }
    let hosts = hostnames.into_iter().zip(written);
    Ok(ir::Attachment {
        listener: id(attachment.listener.as_ref())?,
        hostnames: hosts
            .map(|(hostname, written)| ir::AttachedHost { hostname, written })
            .collect(),
    })
}

fn rule(rule: &proto::Rule) -> Result<ir::Rule> {
    Ok(ir::Rule {
        name: optional_text(rule.name.as_ref()),
        matches: list("matches", limits::MATCHES, &rule.matches, route_match)?,
        filters: list("filters", limits::FILTERS, &rule.filters, filter)?,
        backends: list(
            "backends",
            limits::BACKEND_REFS,
            &rule.backends,
            weighted_backend,
        )?,
        timeouts: ir::Timeouts {
            request: rule.request_timeout_ms.map(Duration::from_millis),
            backend_request: rule.backend_request_timeout_ms.map(Duration::from_millis),
        },
        retry: rule.retry.as_ref().map(retry).transpose()?,
        broken: rule.broken,
    })
}

fn retry(retry: &proto::Retry) -> Result<ir::Retry> {
    Ok(ir::Retry {
        codes: list("codes", limits::RETRY_CODES, &retry.codes, |code| {
            range("codes", *code)
        })?,
        attempts: retry.attempts,
        backoff: retry.backoff_ms.map(Duration::from_millis),
    })
}

fn route_match(one: &proto::Match) -> Result<ir::Match> {
    use proto::r#match::Path;
    Ok(ir::Match {
        path: match one.path.as_ref().ok_or(DecodeError::Missing("path"))? {
            Path::Exact(path) => ir::PathMatch::Exact(text(path)),
            Path::Prefix(path) => ir::PathMatch::Prefix(text(path)),
            Path::Regex(path) => ir::PathMatch::Regex(text(path)),
            Path::Rpc(one) => ir::PathMatch::Rpc(ir::RpcMatch {
                service: one.service.as_ref().map(text_match).transpose()?,
                method: one.method.as_ref().map(text_match).transpose()?,
            }),
        },
        headers: list("headers", limits::FIELD_MATCHES, &one.headers, field_match)?,
        query: list("query", limits::FIELD_MATCHES, &one.query, field_match)?,
        method: optional_text(one.method.as_ref()),
    })
}

fn text_match(one: &proto::TextMatch) -> Result<ir::TextMatch> {
    use proto::text_match::Value;
    Ok(
        match one.value.as_ref().ok_or(DecodeError::Missing("value"))? {
            Value::Exact(value) => ir::TextMatch::Exact(text(value)),
            Value::Regex(value) => ir::TextMatch::Regex(text(value)),
        },
    )
}

fn field_match(field: &proto::FieldMatch) -> Result<ir::FieldMatch> {
    use proto::field_match::Value;
    Ok(ir::FieldMatch {
        name: field.name.as_str().into(),
        value: match field.value.as_ref().ok_or(DecodeError::Missing("value"))? {
            Value::Exact(value) => ir::TextMatch::Exact(text(value)),
            Value::Regex(value) => ir::TextMatch::Regex(text(value)),
        },
    })
}

fn weighted_backend(backend: &proto::WeightedBackend) -> Result<ir::WeightedBackend> {
    Ok(ir::WeightedBackend {
        target: match &backend.backend {
            Some(backend) => ir::BackendTarget::Backend(id(Some(backend))?),
            None => ir::BackendTarget::Invalid,
        },
        weight: backend.weight,
        filters: list("filters", limits::FILTERS, &backend.filters, filter)?,
    })
}

fn filter(filter: &proto::Filter) -> Result<ir::Filter> {
    use proto::filter::Filter;
    Ok(
        match filter
            .filter
            .as_ref()
            .ok_or(DecodeError::Missing("filter"))?
        {
            Filter::RequestHeaders(edits) => ir::Filter::RequestHeaders(header_edits(edits)?),
            Filter::ResponseHeaders(edits) => ir::Filter::ResponseHeaders(header_edits(edits)?),
            Filter::Redirect(one) => ir::Filter::Redirect(redirect(one)?),
            Filter::Rewrite(one) => ir::Filter::Rewrite(ir::Rewrite {
                hostname: optional_text(one.hostname.as_ref()),
                path: one.path.as_ref().map(path_modifier).transpose()?,
            }),
            Filter::Mirror(mirror) => ir::Filter::Mirror(ir::Mirror {
                backend: id(mirror.backend.as_ref())?,
                numerator: mirror.numerator,
                denominator: mirror.denominator.max(1),
            }),
            Filter::Cors(one) => ir::Filter::Cors(cors(one)?),
        },
    )
}

fn header_edits(edits: &proto::HeaderEdits) -> Result<ir::HeaderEdits> {
    let field = |field: &proto::HeaderField| {
        Ok(ir::HeaderField {
            name: text(&field.name),
            value: text(&field.value),
        })
    };
    Ok(ir::HeaderEdits {
        set: list("set", limits::HEADER_EDITS, &edits.set, field)?,
        add: list("add", limits::HEADER_EDITS, &edits.add, field)?,
        remove: list("remove", limits::HEADER_EDITS, &edits.remove, |name| {
            Ok(text(name))
        })?,
    })
}

fn path_modifier(modifier: &proto::PathModifier) -> Result<ir::PathModifier> {
    use proto::path_modifier::Modifier;
    Ok(
        match modifier
            .modifier
            .as_ref()
            .ok_or(DecodeError::Missing("modifier"))?
        {
            Modifier::Full(path) => ir::PathModifier::ReplaceFullPath(text(path)),
            Modifier::Prefix(prefix) => ir::PathModifier::ReplacePrefix(text(prefix)),
        },
    )
}

fn redirect(redirect: &proto::Redirect) -> Result<ir::Redirect> {
    Ok(ir::Redirect {
        scheme: optional_text(redirect.scheme.as_ref()),
        hostname: optional_text(redirect.hostname.as_ref()),
        port: redirect.port.map(|port| range("port", port)).transpose()?,
        path: redirect.path.as_ref().map(path_modifier).transpose()?,
        status: range("status", redirect.status)?,
    })
}

fn cors(cors: &proto::Cors) -> Result<ir::Cors> {
    Ok(ir::Cors {
        origins: list("origins", limits::CORS_TOKENS, &cors.origins, origin)?,
        credentials: cors.credentials,
        methods: tokens(cors.methods.as_ref())?,
        headers: tokens(cors.headers.as_ref())?,
        expose: tokens(cors.expose.as_ref())?,
        max_age: Duration::from_millis(cors.max_age_ms),
    })
}

fn origin(origin: &proto::Origin) -> Result<ir::Origin> {
    use proto::origin::Origin;
    Ok(
        match origin
            .origin
            .as_ref()
            .ok_or(DecodeError::Missing("origin"))?
        {
            Origin::Any(_) => ir::Origin::Any,
            Origin::Exact(exact) => ir::Origin::Exact(text(exact)),
            Origin::Wildcard(wildcard) => ir::Origin::Wildcard {
                before: text(&wildcard.before),
                after: text(&wildcard.after),
            },
        },
    )
}

fn tokens(tokens: Option<&proto::Tokens>) -> Result<ir::Tokens> {
    match tokens {
        None => Ok(ir::Tokens::List(Vec::new())),
        Some(tokens) if tokens.any => Ok(ir::Tokens::Any),
        Some(tokens) => Ok(ir::Tokens::List(list(
            "tokens",
            limits::CORS_TOKENS,
            &tokens.list,
            |token| Ok(text(token)),
        )?)),
    }
}
