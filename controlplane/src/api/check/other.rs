//! Rules of the core kinds (as far as a wrong value would do harm) and of our own policies.

use std::path::{Component, Path};

use super::{Check, Checker, SPEC, health};
use crate::api::backend_tls::{
    BackendTlsPolicy, ClusterTrustBundle, SubjectAltName, SubjectAltNameType,
};
use crate::api::certificate::NAMED_FILES;
use crate::api::policy::{BackendPolicy, ListenerPolicy};
use crate::api::pool::{AddressPool, GatewayParameters};
use crate::api::reference::{GATEWAY_GROUP, PolicyTarget};
use crate::api::service::{AddressFamily, EndpointSlice, Service, ServiceType};
use crate::api::storage::{ConfigMap, Namespace, Secret};
use crate::api::text::{Bytes, is_subdomain};
use crate::yaml::FieldPath;

impl Check for Service {
    fn check(&self, checker: &mut Checker<'_>) {
        let at = SPEC.field("ports");
        let ports = &self.spec.ports;
        checker.unique(&at, ports, "a port's name", |port| port.name.as_ref());
        checker.unique(&at, ports, "port and protocol together", |port| {
            Some((port.port, &port.protocol))
        });
        for (index, port) in ports.iter().enumerate() {
            let named = ports.len() == 1 || port.name.is_some();
            checker.require(
                named,
                &at.index(index),
                "each of several ports needs a name",
                "add `name:`",
            );
        }
        if self.spec.service_type != ServiceType::ExternalName {
            return;
        }
        let name = self.spec.external_name.as_deref().unwrap_or_default();
        let name = name.strip_suffix('.').unwrap_or(name);
        let holds = name.len() <= 253 && is_subdomain(&name.to_ascii_lowercase());
        let at = if name.is_empty() {
            SPEC
        } else {
            SPEC.field("externalName")
        };
        checker.require(
            holds,
            &at,
            "type ExternalName needs a DNS name in `externalName`",
            "write something like `externalName: api.example.com`",
        );
    }
}

impl Check for AddressPool {
    fn check(&self, checker: &mut Checker<'_>) {
        checker.items(&SPEC.field("addresses"), &self.spec.addresses, 1..=1024);
    }
}

impl Check for GatewayParameters {
    fn check(&self, checker: &mut Checker<'_>) {
        let at = SPEC.field("serviceAnnotations");
        let keys = self.spec.service_annotations.keys();
        checker.label_keys(&at, keys.map(AsRef::as_ref));
    }
}

impl Check for EndpointSlice {
    fn check(&self, checker: &mut Checker<'_>) {
        let at = FieldPath::Root.field("endpoints");
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let within = at.index(index);
            let at = within.field("addresses");
            checker.items(&at, &endpoint.addresses, 1..=100);
            for (index, address) in endpoint.addresses.iter().enumerate() {
                let (holds, wanted) = match self.address_type {
                    AddressFamily::Ipv4 => (
                        address.parse::<std::net::Ipv4Addr>().is_ok(),
                        "an IPv4 address",
                    ),
                    AddressFamily::Ipv6 => (
                        address.parse::<std::net::Ipv6Addr>().is_ok(),
                        "an IPv6 address",
                    ),
                    AddressFamily::Fqdn | AddressFamily::Unknown(_) => (true, ""),
                };
                if !holds {
                    checker.error(
                        &at.index(index),
                        format_args!("{address:?} is not {wanted}, as `addressType` says"),
                        "correct it, or `addressType`",
                    );
                }
            }
        }
        let ports = FieldPath::Root.field("ports");
        checker.items(&ports, &self.ports, 0..=20_000);
        checker.unique(&ports, &self.ports, "a port's name", |port| {
            Some(port.name.as_deref().unwrap_or_default())
        });
    }
}

impl Check for Secret {
    /// What files beside it hold is looked at when they are read.
    fn check(&self, checker: &mut Checker<'_>) {
        let within = FieldPath::Root.field("metadata");
        let at = within.field("annotations");
        let mut names_files = false;
        for (annotation, _) in NAMED_FILES {
            if let Some(path) = self.metadata.annotations.get(annotation) {
                names_files = true;
                checker.require(
                    stays_below(path),
                    &at.field(annotation),
                    "must lead to a file beside this one, or in a folder below",
                    "write something like tls/site.pem, without a leading slash and `..`",
                );
            }
        }
        if let Some(flaw) = self.flaw().filter(|_| !names_files) {
            checker.error(&FieldPath::Root, &flaw, flaw.remedy());
        }
    }
}

/// Whether a relative path leads nowhere but down.
fn stays_below(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let is_name = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    !path.is_empty() && parts.all(is_name)
}

impl Check for ConfigMap {
    fn check(&self, _: &mut Checker<'_>) {}
}

impl Check for Namespace {
    fn check(&self, _: &mut Checker<'_>) {}
}

impl Check for ListenerPolicy {
    fn check(&self, checker: &mut Checker<'_>) {
        let kinds = ["Gateway", "ListenerSet"];
        targets(&self.spec.target_refs, GATEWAY_GROUP, &kinds, checker);
        checker.items(
            &SPEC.field("trustedProxies"),
            &self.spec.trusted_proxies,
            0..=256,
        );
        let limits = SPEC.field("limits");
        for (field, bytes) in [
            ("requestLine", self.spec.limits.request_line),
            ("headers", self.spec.limits.headers),
        ] {
            // A head is held in memory as a whole.
            let fits = bytes.is_none_or(|Bytes(bytes)| (1..=1 << 20).contains(&bytes));
            checker.require(
                fits,
                &limits.field(field),
                "must be 1 byte to 1 MiB",
                "write something like 16Ki",
            );
        }
    }
}

impl Check for BackendPolicy {
    fn check(&self, checker: &mut Checker<'_>) {
        targets(&self.spec.target_refs, "", &["Service"], checker);
        if let Some(check) = &self.spec.health_check {
            health::check(check, &SPEC.field("healthCheck"), checker);
        }
        if let Some(outliers) = &self.spec.outlier_detection {
            health::outliers(outliers, &SPEC.field("outlierDetection"), checker);
        }
    }
}

impl Check for BackendTlsPolicy {
    fn check(&self, checker: &mut Checker<'_>) {
        targets(&self.spec.target_refs, "", &["Service"], checker);
        let within = SPEC.field("validation");
        let at = within.field("caCertificateRefs");
        let validation = &self.spec.validation;
        checker.items(&at, &validation.ca_certificate_refs, 0..=8);
        let (named, known) = (
            !validation.ca_certificate_refs.is_empty(),
            validation.well_known.is_some(),
        );
        checker.require(
            named != known,
            &within,
            "needs either `caCertificateRefs` or `wellKnownCACertificates`",
            "name the authorities' ConfigMap, or write `wellKnownCACertificates: System`",
        );
        let at = within.field("subjectAltNames");
        checker.items(&at, &validation.subject_alt_names, 0..=5);
        for (index, name) in validation.subject_alt_names.iter().enumerate() {
            subject_alt_name(name, &at.index(index), checker);
        }
        let count = self.spec.options.len();
        let at = SPEC.field("options");
        checker.require(count <= 16, &at, "takes at most 16", "remove some");
    }
}

fn subject_alt_name(name: &SubjectAltName, at: &FieldPath<'_>, checker: &mut Checker<'_>) {
    use SubjectAltNameType as Type;
    let kind = &name.name_type;
    let fields = [
        (*kind == Type::Hostname, name.hostname.is_some(), "hostname"),
        (*kind == Type::Uri, name.uri.is_some(), "uri"),
    ];
    checker.union(at, ("type", kind), ":", &fields);
}

impl Check for ClusterTrustBundle {
    fn check(&self, _: &mut Checker<'_>) {}
}

fn targets(targets: &[PolicyTarget], group: &str, kinds: &[&str], checker: &mut Checker<'_>) {
    let at = SPEC.field("targetRefs");
    checker.items(&at, targets, 1..=16);
    checker.unique(&at, targets, "a target", Some);
    for (index, target) in targets.iter().enumerate() {
        if target.group != group || !kinds.iter().any(|kind| target.kind == *kind) {
            let named = kinds.join(" or ");
            checker.error(
                &at.index(index),
                format_args!("this policy is for a {named} of group {group:?}"),
                format_args!("write `group: {group:?}` and `kind: {named}`"),
            );
        }
    }
}
