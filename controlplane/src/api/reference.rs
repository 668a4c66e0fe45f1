//! References from one object to another, with the API's defaults.

use ringgate_core::ir::ObjectName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::text::{Group, KindName, NamespaceName, Port, RefName, SectionName, Weight};

pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// ParentReference: what a route wants to attach to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    #[serde(default = "gateway_group")]
    pub group: Group,
    #[serde(default = "gateway_kind")]
    pub kind: KindName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
    pub name: RefName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<SectionName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
}

impl ParentReference {
    /// None: the names have a form that no object's has.
    #[must_use]
    pub fn gateway(gateway: &ObjectName) -> Option<Self> {
        Some(Self {
            group: gateway_group(),
            kind: gateway_kind(),
            namespace: Some(NamespaceName::parse(&gateway.namespace).ok()?),
            name: RefName::parse(&gateway.name).ok()?,
            section_name: None,
            port: None,
        })
    }

    /// What a policy in `namespace` targets.
    #[must_use]
    pub fn target(namespace: &str, target: &PolicyTarget) -> Self {
        Self {
            group: target.group.clone(),
            kind: target.kind.clone(),
            namespace: NamespaceName::parse(namespace).ok(),
            name: target.name.clone(),
            section_name: target.section_name.clone(),
            port: None,
        }
    }
}

/// BackendObjectReference: a Service's port, or something of another kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendObjectReference {
    #[serde(default = "core_group")]
    pub group: Group,
    #[serde(default = "service_kind")]
    pub kind: KindName,
    pub name: RefName,
    pub namespace: Option<NamespaceName>,
    pub port: Option<Port>,
}

impl BackendObjectReference {
    /// Whether it names a core Service.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.group.is_empty() && self.kind == "Service"
    }
}

/// BackendRef, with filters where its kind of routes has such.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "BackendRefText<F>", bound(deserialize = "F: Deserialize<'de>"))]
pub struct BackendRef<F = NoFilter> {
    pub reference: BackendObjectReference,
    pub weight: Weight,
    pub filters: Vec<F>,
}

/// As it is written: the reference's fields beside its own. (`flatten` would lose places.)
#[derive(Deserialize)]
#[serde(bound(deserialize = "F: Deserialize<'de>"))]
struct BackendRefText<F> {
    #[serde(default = "core_group")]
    group: Group,
    #[serde(default = "service_kind")]
    kind: KindName,
    name: RefName,
    namespace: Option<NamespaceName>,
    port: Option<Port>,
    #[serde(default)]
    weight: Weight,
    #[serde(default = "Vec::new")]
    filters: Vec<F>,
}

impl<F> From<BackendRefText<F>> for BackendRef<F> {
    fn from(text: BackendRefText<F>) -> Self {
        Self {
            reference: BackendObjectReference {
                group: text.group,
                kind: text.kind,
                name: text.name,
                namespace: text.namespace,
                port: text.port,
            },
            weight: text.weight,
            filters: text.filters,
        }
    }
}

/// There are none: for backends of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFilter {}

impl<'de> Deserialize<'de> for NoFilter {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(
            "connections pass no filters\nremove `filters`",
        ))
    }
}

/// SecretObjectReference: a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SecretObjectReference {
    #[serde(default = "core_group")]
    pub group: Group,
    #[serde(default = "secret_kind")]
    pub kind: KindName,
    pub name: RefName,
    pub namespace: Option<NamespaceName>,
}

/// ObjectReference, and (its namespace always there or never) ParametersReference.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ObjectReference {
    pub group: Group,
    pub kind: KindName,
    pub name: RefName,
    pub namespace: Option<NamespaceName>,
}

/// LocalObjectReference, LocalParametersReference: in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LocalObjectReference {
    pub group: Group,
    pub kind: KindName,
    pub name: RefName,
}

/// LocalPolicyTargetReferenceWithSectionName (GEP-713).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTarget {
    pub group: Group,
    pub kind: KindName,
    pub name: RefName,
    /// A Gateway's listener or a Service's port, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<SectionName>,
}

pub(crate) fn gateway_group() -> Group {
    constant(Group::parse(GATEWAY_GROUP))
}

fn core_group() -> Group {
    constant(Group::parse(""))
}

pub(crate) fn gateway_kind() -> KindName {
    constant(KindName::parse("Gateway"))
}

fn service_kind() -> KindName {
    constant(KindName::parse("Service"))
}

fn secret_kind() -> KindName {
    constant(KindName::parse("Secret"))
}

/// A constant of this file has its form; a test parses each.
#[expect(clippy::expect_used, reason = "only constants of this file come here")]
fn constant<T>(parsed: Result<T, super::text::TextError>) -> T {
    parsed.expect("a constant of the API")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_have_their_form() {
        assert_eq!(gateway_group(), GATEWAY_GROUP);
        assert_eq!(core_group(), "");
        assert_eq!(gateway_kind(), "Gateway");
        assert_eq!(service_kind(), "Service");
        assert_eq!(secret_kind(), "Secret");
    }
}
