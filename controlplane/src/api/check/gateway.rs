//! Rules of GatewayClass, Gateway, ListenerSet and ReferenceGrant.

use std::net::IpAddr;

use super::{Check, Checker, SPEC, is_foreign_path};
use crate::api::auth::{ExternalAuth, ExternalAuthProtocol};
use crate::api::gateway::{
    AddressType, Gateway, GatewayAddress, GatewayClass, GatewaySpec, GatewayTls, Infrastructure,
    Listener, ListenerFilter, ListenerFilterType, ListenerProtocol, ReferenceGrant, TlsConfig,
    TlsMode,
};
use crate::api::listener_set::ListenerSet;
use crate::api::reference::BackendObjectReference;
use crate::yaml::FieldPath;
use ringgate_core::ir::Hostname;

impl Check for GatewayClass {
    fn check(&self, checker: &mut Checker<'_>) {
        if let Some(description) = &self.spec.description {
            let short = description.chars().count() <= 64;
            checker.require(
                short,
                &SPEC.field("description"),
                "must have at most 64 characters",
                "shorten it",
            );
        }
    }
}

impl Check for ReferenceGrant {
    fn check(&self, checker: &mut Checker<'_>) {
        checker.items(&SPEC.field("from"), &self.spec.from, 1..=16);
        checker.items(&SPEC.field("to"), &self.spec.to, 1..=16);
    }
}

impl Check for Gateway {
    fn check(&self, checker: &mut Checker<'_>) {
        listeners(&self.spec.listeners, checker);
        addresses(&self.spec, checker);
        if let Some(infrastructure) = &self.spec.infrastructure {
            self::infrastructure(infrastructure, checker);
        }
        if let Some(tls) = &self.spec.tls {
            gateway_tls(tls, checker);
        }
    }
}

impl Check for ListenerSet {
    fn check(&self, checker: &mut Checker<'_>) {
        listeners(&self.spec.listeners, checker);
    }
}

fn listeners(listeners: &[Listener], checker: &mut Checker<'_>) {
    let at = SPEC.field("listeners");
    checker.items(&at, listeners, 1..=64);
    checker.unique(&at, listeners, "a listener's name", |one| Some(&one.name));
    let what = "port, protocol and hostname together";
    checker.unique(&at, listeners, what, |one| {
        let hostname = one.hostname.as_ref().map(|hostname| hostname.get());
        Some((one.port, &one.protocol, hostname))
    });
    for (index, one) in listeners.iter().enumerate() {
        listener(one, &at.index(index), checker);
    }
}

fn listener(one: &Listener, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    use ListenerProtocol as Protocol;
    let protocol = &one.protocol;
    let plain = matches!(protocol, Protocol::Http | Protocol::Tcp | Protocol::Udp);
    let tls_at = at.field("tls");
    if plain && one.tls.is_some() {
        checker.error(
            &tls_at,
            format_args!("doesn't go with protocol {}", protocol.as_str()),
            "remove it, or make the protocol HTTPS or TLS",
        );
    }
    if *protocol == Protocol::Tls && one.tls.is_none() {
        checker.error(
            at,
            "protocol TLS needs `tls.mode`",
            "add `tls:` with `mode: Terminate` or `mode: Passthrough`",
        );
    }
    if let Some(tls) = &one.tls {
        let passes = *protocol == Protocol::Https && tls.mode == TlsMode::Passthrough;
        checker.require(
            !passes,
            &tls_at.field("mode"),
            "must be Terminate for protocol HTTPS",
            "make the protocol TLS for Passthrough",
        );
        let has_certificate = !tls.certificate_refs.is_empty() || !tls.options.is_empty();
        checker.require(
            has_certificate || tls.mode != TlsMode::Terminate,
            &tls_at,
            "mode Terminate needs `certificateRefs` or `options`",
            "name a Secret in `certificateRefs`",
        );
        checker.items(
            &tls_at.field("certificateRefs"),
            &tls.certificate_refs,
            0..=64,
        );
    }
    let hostless = matches!(protocol, Protocol::Tcp | Protocol::Udp);
    if hostless && one.hostname.is_some() {
        checker.error(
            &at.field("hostname"),
            format_args!("doesn't go with protocol {}", protocol.as_str()),
            "remove it",
        );
    }
    checker.items(
        &at.field("allowedRoutes").field("kinds"),
        &one.allowed_routes.kinds,
        0..=8,
    );
    if let Some(filters) = &one.filters {
        let http = matches!(protocol, Protocol::Http | Protocol::Https);
        let at = at.field("filters");
        checker.require(
            http,
            &at,
            "go with protocol HTTP and HTTPS only",
            "remove them",
        );
        let at = at.field("requests");
        checker.each(&at, &filters.requests, 0..=16, listener_filter);
    }
}

fn listener_filter(filter: &ListenerFilter, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    use ListenerFilterType as Type;
    let (kind, auth, other) = (
        &filter.filter_type,
        filter.external_auth.is_some(),
        filter.extension_ref.is_some(),
    );
    let fields = [
        (*kind == Type::ExternalAuth, auth, "externalAuth"),
        (*kind == Type::ExtensionRef, other, "extensionRef"),
    ];
    checker.union(at, ("type", kind), ":", &fields);
    if let Some(auth) = &filter.external_auth {
        external_auth(auth, &at.field("externalAuth"), checker);
    }
}

/// Also for routes.
pub(super) fn external_auth(auth: &ExternalAuth, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    use ExternalAuthProtocol as Protocol;
    let protocol = &auth.protocol;
    let fields = [
        (*protocol == Protocol::Grpc, auth.grpc.is_some(), "grpc"),
        (*protocol == Protocol::Http, auth.http.is_some(), "http"),
    ];
    checker.union(at, ("protocol", protocol), ": {}", &fields);
    backend_ref(&auth.backend_ref, &at.field("backendRef"), checker);
}

/// Also for routes.
pub(super) fn backend_ref(
    reference: &BackendObjectReference,
    at: &FieldPath<'_>,
    checker: &mut Checker<'_>,
) {
    let portless = reference.is_service() && reference.port.is_none();
    checker.require(
        !portless,
        at,
        "a reference to a Service needs a port",
        "add `port:` with one of the Service's ports",
    );
    let x_backend =
        reference.group == "gateway.networking.x-k8s.io" && reference.kind == "XBackend";
    checker.require(
        !(x_backend && reference.port.is_some()),
        &at.field("port"),
        "a reference to an XBackend has no port",
        "remove it",
    );
}

fn addresses(spec: &GatewaySpec, checker: &mut Checker<'_>) {
    let at = SPEC.field("addresses");
    checker.items(&at, &spec.addresses, 0..=16);
    checker.unique(&at, &spec.addresses, "an address", |one| {
        match one.address_type {
            AddressType::IpAddress => one.value.as_ref().map(|value| (0, value)),
            AddressType::Hostname => one.value.as_ref().map(|value| (1, value)),
            AddressType::NamedAddress | AddressType::Other(_) => None,
        }
    });
    for (index, one) in spec.addresses.iter().enumerate() {
        address(one, &at.index(index), checker);
    }
}

fn address(one: &GatewayAddress, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    let value = one.value.as_deref().unwrap_or_default();
    let value_at = at.field("value");
    match one.address_type {
        AddressType::IpAddress if one.value.is_some() && value.parse::<IpAddr>().is_err() => {
            checker.error(
                &value_at,
                format_args!("{value:?} is no IP address"),
                "write something like 192.0.2.1, or leave it out",
            );
        }
        AddressType::Hostname if Hostname::parse(value).is_err() => {
            checker.error(
                &value_at,
                format_args!("{value:?} is no hostname"),
                "write something like www.example.com",
            );
        }
        _ => checker.require(
            value.len() <= 253,
            &value_at,
            "must have at most 253 characters",
            "shorten it",
        ),
    }
    if let Some(routability) = one.routability.as_deref() {
        let known = matches!(routability, "" | "Cluster") || is_foreign_path(routability);
        checker.require(
            known,
            &at.field("routability"),
            "must be empty, Cluster, or a domain and a path",
            "write Cluster, or something like example.com/private",
        );
    }
}

fn infrastructure(one: &Infrastructure, checker: &mut Checker<'_>) {
    let at = SPEC.field("infrastructure");
    let (labels, annotations) = (at.field("labels"), at.field("annotations"));
    checker.label_keys(&labels, one.labels.keys().map(AsRef::as_ref));
    checker.label_keys(&annotations, one.annotations.keys().map(AsRef::as_ref));
    checker.require(
        one.labels.len() <= 8,
        &labels,
        "takes at most 8",
        "remove some",
    );
    checker.require(
        one.annotations.len() <= 16,
        &annotations,
        "takes at most 16",
        "remove some",
    );
}

fn gateway_tls(tls: &GatewayTls, checker: &mut Checker<'_>) {
    let Some(frontend) = &tls.frontend else {
        return;
    };
    let tls_at = SPEC.field("tls");
    let at = tls_at.field("frontend");
    tls_config(&frontend.default, &at.field("default"), checker);
    let at = at.field("perPort");
    checker.items(&at, &frontend.per_port, 0..=64);
    checker.unique(&at, &frontend.per_port, "a port", |one| Some(one.port));
    for (index, one) in frontend.per_port.iter().enumerate() {
        tls_config(&one.tls, &at.index(index).field("tls"), checker);
    }
}

fn tls_config(config: &TlsConfig, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    let Some(validation) = &config.validation else {
        return;
    };
    let validation_at = at.field("validation");
    let at = validation_at.field("caCertificateRefs");
    checker.items(&at, &validation.ca_certificate_refs, 1..=16);
    for (index, one) in validation.ca_certificate_refs.iter().enumerate() {
        let bundle = one.group == "certificates.k8s.io" && one.kind == "ClusterTrustBundle";
        checker.require(
            !(bundle && one.namespace.is_some()),
            &at.index(index).field("namespace"),
            "a ClusterTrustBundle has no namespace",
            "remove it",
        );
    }
}
