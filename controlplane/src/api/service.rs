//! Core Service and discovery EndpointSlice: where backends' endpoints come from.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ringgate_core::table::IpProtocol;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::choice::choice;
use super::meta::{Labels, ObjectMeta, Opaque};
use super::text::Port;

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Service {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: ServiceSpec,
    /// Of files it isn't read.
    #[serde(default)]
    pub status: ServiceStatus,
}

/// Of a ServiceStatus what a load balancer says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    pub load_balancer: LoadBalancerStatus,
    pub conditions: Option<Opaque>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LoadBalancerStatus {
    pub ingress: Vec<LoadBalancerIngress>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerIngress {
    pub ip: Option<Arc<str>>,
    pub hostname: Option<Arc<str>>,
    pub ip_mode: Option<Arc<str>>,
    pub ports: Option<Opaque>,
}

choice!(
    #[derive(Default)]
    ServiceType {
        #[default]
        ClusterIp = "ClusterIP",
        NodePort = "NodePort",
        LoadBalancer = "LoadBalancer",
        ExternalName = "ExternalName",
    }
);

choice!(IpFamilyPolicy {
    SingleStack = "SingleStack",
    PreferDualStack = "PreferDualStack",
    RequireDualStack = "RequireDualStack",
});

/// Of SessionAffinityConfig what clients' addresses say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SessionAffinityConfig {
    #[serde(rename = "clientIP")]
    pub client_ip: ClientIpConfig,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientIpConfig {
    /// 1 to 86,400; default: 10,800.
    pub timeout_seconds: Option<u32>,
}

/// As Kubernetes has it: three hours.
const AFFINITY_SECONDS: u32 = 10_800;
/// And the most: a day.
const AFFINITY_SECONDS_MOST: u32 = 86_400;

impl ServiceSpec {
    /// How long a client stays with its endpoint, if it does.
    #[must_use]
    pub fn affinity(&self) -> Option<Duration> {
        let config = self.session_affinity_config.as_ref();
        let seconds = config.and_then(|config| config.client_ip.timeout_seconds);
        let seconds = seconds
            .unwrap_or(AFFINITY_SECONDS)
            .clamp(1, AFFINITY_SECONDS_MOST);
        let is_asked = self.session_affinity.as_deref() == Some("ClientIP");
        is_asked.then(|| Duration::from_secs(seconds.into()))
    }

    /// Where it is asked how many endpoints a node has.
    #[must_use]
    pub fn health_check_port(&self) -> Option<u16> {
        let port = self.health_check_node_port.filter(|_| self.is_local());
        port.and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0)
    }

    /// Whether clients from outside are led to Pods of their node alone.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.external_traffic_policy.as_deref() == Some("Local")
    }
}

/// ServiceSpec of Kubernetes 1.37; what routing doesn't need is opaque.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    #[serde(rename = "type")]
    pub service_type: ServiceType,
    pub ports: Vec<ServicePort>,
    pub selector: Labels,
    pub external_name: Option<Arc<str>>,
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<Arc<str>>,
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Vec<Arc<str>>,
    #[serde(rename = "externalIPs")]
    pub external_ips: Option<Opaque>,
    pub load_balancer_class: Option<Arc<str>>,
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: Option<Arc<str>>,
    pub load_balancer_source_ranges: Vec<Arc<str>>,
    pub allocate_load_balancer_node_ports: Option<bool>,
    pub external_traffic_policy: Option<Arc<str>>,
    pub internal_traffic_policy: Option<Arc<str>>,
    pub health_check_node_port: Option<i64>,
    pub ip_families: Vec<Arc<str>>,
    pub ip_family_policy: Option<IpFamilyPolicy>,
    pub publish_not_ready_addresses: bool,
    pub session_affinity: Option<Arc<str>>,
    pub session_affinity_config: Option<SessionAffinityConfig>,
    pub traffic_distribution: Option<Arc<str>>,
}

choice!(
    #[derive(Default)]
    TransportProtocol {
        #[default]
        Tcp = "TCP",
        Udp = "UDP",
        Sctp = "SCTP",
    }
);

impl TransportProtocol {
    /// None: not one that we carry.
    #[must_use]
    pub const fn ip_protocol(&self) -> Option<IpProtocol> {
        match self {
            Self::Tcp => Some(IpProtocol::Tcp),
            Self::Udp => Some(IpProtocol::Udp),
            Self::Sctp | Self::Unknown(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// May be left out where there is one port only.
    pub name: Option<Arc<str>>,
    pub port: Port,
    /// None: the same number as `port`.
    pub target_port: Option<PortRef>,
    #[serde(default)]
    pub protocol: TransportProtocol,
    pub app_protocol: Option<Arc<str>>,
    pub node_port: Option<i64>,
}

/// IntOrString: a port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortRef {
    Number(Port),
    Name(Arc<str>),
}

impl<'de> Deserialize<'de> for PortRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortRefVisitor;
        impl Visitor<'_> for PortRefVisitor {
            type Value = PortRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port's number or name")
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<PortRef, E> {
                Port::try_from(number)
                    .map(PortRef::Number)
                    .map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<PortRef, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PortRef, E> {
                Ok(PortRef::Name(text.into()))
            }
        }
        deserializer.deserialize_any(PortRefVisitor)
    }
}

/// `discovery.k8s.io/v1`, and `v1beta1` (whose `topology` is opaque).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    pub metadata: ObjectMeta,
    pub address_type: AddressFamily,
    #[serde(default)]
    pub endpoints: Vec<SliceEndpoint>,
    #[serde(default)]
    pub ports: Vec<EndpointPort>,
}

impl EndpointSlice {
    /// The label that names the Service whose endpoints these are.
    pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";

    #[must_use]
    pub fn service(&self) -> Option<&Arc<str>> {
        self.metadata.labels.get(Self::SERVICE_LABEL)
    }
}

choice!(AddressFamily {
    Ipv4 = "IPv4",
    Ipv6 = "IPv6",
    Fqdn = "FQDN",
});

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SliceEndpoint {
    pub addresses: Vec<Arc<str>>,
    #[serde(default)]
    pub conditions: EndpointConditions,
    pub hostname: Option<Arc<str>>,
    pub node_name: Option<Arc<str>>,
    pub zone: Option<Arc<str>>,
    pub target_ref: Option<Opaque>,
    pub hints: Option<Opaque>,
    pub deprecated_topology: Option<Opaque>,
    pub topology: Option<Opaque>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// None means ready.
    pub ready: Option<bool>,
    pub serving: Option<bool>,
    pub terminating: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointPort {
    pub name: Option<Arc<str>>,
    /// None: every port.
    pub port: Option<Port>,
    #[serde(default)]
    pub protocol: TransportProtocol,
    pub app_protocol: Option<Arc<str>>,
}
