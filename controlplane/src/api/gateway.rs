//! GatewayClass, Gateway and ReferenceGrant (Gateway API v1.7.0, with the experimental fields).

use std::collections::BTreeMap;
use std::sync::Arc;

use ringgate_core::table::IpProtocol;
use serde::Deserialize;

use super::auth::ExternalAuth;
use super::choice::choice;
use super::meta::{LabelSelector, ObjectMeta};
use super::reference::{
    LocalObjectReference, ObjectReference, SecretObjectReference, gateway_group,
};
use super::text::{
    AnnotationValue, ControllerName, Group, HostPattern, KindName, LabelValue, NamespaceName, Port,
    RefName, SectionName, TextError, is_domain_path, is_word,
};

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct GatewayClass {
    pub metadata: ObjectMeta,
    pub spec: GatewayClassSpec,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    pub controller_name: ControllerName,
    pub description: Option<Arc<str>>,
    pub parameters_ref: Option<ObjectReference>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Gateway {
    pub metadata: ObjectMeta,
    pub spec: GatewaySpec,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    pub gateway_class_name: RefName,
    pub listeners: Vec<Listener>,
    #[serde(default)]
    pub addresses: Vec<GatewayAddress>,
    pub infrastructure: Option<Infrastructure>,
    pub allowed_listeners: Option<AllowedListeners>,
    pub default_scope: Option<DefaultScope>,
    pub tls: Option<GatewayTls>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    pub name: SectionName,
    /// None: every host.
    pub hostname: Option<HostPattern>,
    pub port: Port,
    pub protocol: ListenerProtocol,
    pub tls: Option<ListenerTls>,
    #[serde(default)]
    pub allowed_routes: AllowedRoutes,
    pub filters: Option<ListenerFilters>,
}

/// ProtocolType: the API's own, or a name of someone else's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum ListenerProtocol {
    Http,
    Https,
    Tls,
    Tcp,
    Udp,
    Other(Arc<str>),
}

/// One of an address's ports.
pub type PortPlace = (IpProtocol, u16);

impl ListenerProtocol {
    /// Below it.
    #[must_use]
    pub const fn ip_protocol(&self) -> IpProtocol {
        match self {
            Self::Udp => IpProtocol::Udp,
            Self::Http | Self::Https | Self::Tls | Self::Tcp | Self::Other(_) => IpProtocol::Tcp,
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Other(text) => text,
        }
    }
}

impl TryFrom<String> for ListenerProtocol {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        Ok(match text.as_str() {
            "HTTP" => Self::Http,
            "HTTPS" => Self::Https,
            "TLS" => Self::Tls,
            "TCP" => Self::Tcp,
            "UDP" => Self::Udp,
            other if is_word(other) || is_domain_path(other) => Self::Other(other.into()),
            _ => {
                return Err(TextError::Form {
                    text,
                    wanted: "a protocol",
                    example: "HTTP",
                });
            }
        })
    }
}

choice!(
    #[derive(Default)]
    TlsMode {
        #[default]
        Terminate = "Terminate",
        Passthrough = "Passthrough",
    }
);

/// ListenerTLSConfig.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub struct ListenerTls {
    pub mode: TlsMode,
    pub certificate_refs: Vec<SecretObjectReference>,
    pub options: BTreeMap<Arc<str>, AnnotationValue>,
}

choice!(
    /// Which namespaces; `None` only in [`AllowedListeners`].
    FromNamespaces {
        All = "All",
        Selector = "Selector",
        Same = "Same",
        None = "None",
    }
);

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AllowedRoutes {
    pub namespaces: RouteNamespaces,
    /// Empty: what the protocol implies.
    pub kinds: Vec<RouteGroupKind>,
}

/// Default: the Gateway's own namespace.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct RouteNamespaces {
    pub from: FromNamespaces,
    pub selector: Option<LabelSelector>,
}

impl Default for RouteNamespaces {
    fn default() -> Self {
        Self {
            from: FromNamespaces::Same,
            selector: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, serde::Serialize)]
pub struct RouteGroupKind {
    #[serde(default = "gateway_group")]
    pub group: Group,
    pub kind: KindName,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AllowedListeners {
    pub namespaces: ListenerNamespaces,
}

/// Default: none.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct ListenerNamespaces {
    pub from: FromNamespaces,
    pub selector: Option<LabelSelector>,
}

impl Default for ListenerNamespaces {
    fn default() -> Self {
        Self {
            from: FromNamespaces::None,
            selector: None,
        }
    }
}

choice!(DefaultScope {
    All = "All",
    None = "None",
});

/// AddressType.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum AddressType {
    #[default]
    IpAddress,
    Hostname,
    NamedAddress,
    /// `domain/path` of another implementation.
    Other(Arc<str>),
}

impl TryFrom<String> for AddressType {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        Ok(match text.as_str() {
            "IPAddress" => Self::IpAddress,
            "Hostname" => Self::Hostname,
            "NamedAddress" => Self::NamedAddress,
            other if is_domain_path(other) => Self::Other(other.into()),
            _ => {
                return Err(TextError::Form {
                    text,
                    wanted: "a type of address",
                    example: "IPAddress or Hostname",
                });
            }
        })
    }
}

/// GatewaySpecAddress.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct GatewayAddress {
    #[serde(rename = "type", default)]
    pub address_type: AddressType,
    /// None: one is to be chosen.
    pub value: Option<Arc<str>>,
    pub routability: Option<Arc<str>>,
}

/// GatewayInfrastructure: for what is generated for the Gateway.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Infrastructure {
    pub labels: BTreeMap<Arc<str>, LabelValue>,
    pub annotations: BTreeMap<Arc<str>, AnnotationValue>,
    pub parameters_ref: Option<LocalObjectReference>,
}

/// GatewayTLSConfig: both sides of the Gateway as a whole.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct GatewayTls {
    pub backend: Option<BackendTls>,
    pub frontend: Option<FrontendTls>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTls {
    pub client_certificate_ref: Option<SecretObjectReference>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTls {
    pub default: TlsConfig,
    #[serde(default)]
    pub per_port: Vec<TlsPortConfig>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TlsConfig {
    pub validation: Option<TlsValidation>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TlsPortConfig {
    pub port: Port,
    pub tls: TlsConfig,
}

choice!(
    #[derive(Default)]
    TlsValidationMode {
        #[default]
        AllowValidOnly = "AllowValidOnly",
        AllowInsecureFallback = "AllowInsecureFallback",
    }
);

/// FrontendTLSValidation: clients' certificates.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct TlsValidation {
    #[serde(rename = "caCertificateRefs")]
    pub ca_certificate_refs: Vec<ObjectReference>,
    #[serde(default)]
    pub mode: TlsValidationMode,
}

/// GatewayListenerFilters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ListenerFilters {
    pub requests: Vec<ListenerFilter>,
}

choice!(ListenerFilterType {
    ExternalAuth = "ExternalAuth",
    ExtensionRef = "ExtensionRef",
});

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerFilter {
    #[serde(rename = "type")]
    pub filter_type: ListenerFilterType,
    pub external_auth: Option<ExternalAuth>,
    pub extension_ref: Option<LocalObjectReference>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ReferenceGrant {
    pub metadata: ObjectMeta,
    pub spec: ReferenceGrantSpec,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ReferenceGrantSpec {
    pub from: Vec<GrantFrom>,
    pub to: Vec<GrantTo>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GrantFrom {
    pub group: Group,
    pub kind: KindName,
    pub namespace: NamespaceName,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GrantTo {
    pub group: Group,
    pub kind: KindName,
    /// None: every object of that kind.
    pub name: Option<RefName>,
}
