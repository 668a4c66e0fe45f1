//! Object: any of the kinds that we read, and its key.

use std::fmt;
use std::sync::Arc;

use ringgate_core::ir::ObjectName;
use serde::de::DeserializeOwned;

use super::backend_tls::{BackendTlsPolicy, ClusterTrustBundle};
use super::check::Check;
use super::gateway::{Gateway, GatewayClass, ReferenceGrant};
use super::grpc_route::GrpcRoute;
use super::http_route::HttpRoute;
use super::json::Slim;
use super::listener_set::ListenerSet;
use super::meta::ObjectMeta;
use super::policy::{BackendPolicy, ListenerPolicy};
use super::pool::{AddressPool, GatewayParameters};
use super::service::{EndpointSlice, Service};
use super::storage::{ConfigMap, Namespace, Secret};
use super::stream_route::{TcpRoute, TlsRoute, UdpRoute};

/// An object of one kind, as it is read.
pub(super) trait Typed: DeserializeOwned + Check + Slim + Into<Object> {
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
}

/// What is done with a kind that is known when running only.
pub(super) trait ForKind {
    type Output;

    fn of<T: Typed>(self) -> Self::Output;
}

/// Defines the kinds: variant, kind as written, API group, versions, whether it has a namespace.
macro_rules! kinds {
    ($($arm:ident = $kind:literal, $group:literal, [$($version:literal),+], $namespaced:literal;)+) => {
        /// A kind that we read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ObjectKind { $($arm),+ }

        impl ObjectKind {
            pub const ALL: &[Self] = &[$(Self::$arm),+];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$arm => $kind),+ }
            }

            /// The API group; empty is the core group.
            #[must_use]
            pub const fn group(self) -> &'static str {
                match self { $(Self::$arm => $group),+ }
            }

            /// The versions that are read, all alike; the first is the one to write.
            #[must_use]
            pub const fn versions(self) -> &'static [&'static str] {
                match self { $(Self::$arm => &[$($version),+]),+ }
            }

            #[must_use]
            pub const fn is_namespaced(self) -> bool {
                match self { $(Self::$arm => $namespaced),+ }
            }

            pub(super) fn give<F: ForKind>(self, does: F) -> F::Output {
                match self { $(Self::$arm => does.of::<$arm>()),+ }
            }
        }

        /// An object, shared: a clone is cheap.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object { $($arm(Arc<$arm>)),+ }

        impl Object {
            #[must_use]
            pub const fn kind(&self) -> ObjectKind {
                match self { $(Self::$arm(_) => ObjectKind::$arm),+ }
            }

            /// Equality that first looks whether both are shared.
            #[must_use]
            pub fn is_same(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$arm(one), Self::$arm(other)) => Arc::ptr_eq(one, other) || one == other,)+
                    _ => false,
                }
            }

            #[must_use]
            pub fn metadata(&self) -> &ObjectMeta {
                match self { $(Self::$arm(object) => &object.metadata),+ }
            }
        }

        $(impl Typed for $arm {
            fn metadata_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        })+

        $(impl From<$arm> for Object {
            fn from(object: $arm) -> Self {
                Self::$arm(Arc::new(object))
            }
        })+
    };
}

kinds! {
    GatewayClass = "GatewayClass", "gateway.networking.k8s.io", ["v1", "v1beta1", "v1alpha2"], false;
    Gateway = "Gateway", "gateway.networking.k8s.io", ["v1", "v1beta1", "v1alpha2"], true;
    ListenerSet = "ListenerSet", "gateway.networking.k8s.io", ["v1"], true;
    HttpRoute = "HTTPRoute", "gateway.networking.k8s.io", ["v1", "v1beta1", "v1alpha2"], true;
    GrpcRoute = "GRPCRoute", "gateway.networking.k8s.io", ["v1", "v1alpha2"], true;
    TlsRoute = "TLSRoute", "gateway.networking.k8s.io", ["v1", "v1alpha3", "v1alpha2"], true;
    TcpRoute = "TCPRoute", "gateway.networking.k8s.io", ["v1", "v1alpha2"], true;
    UdpRoute = "UDPRoute", "gateway.networking.k8s.io", ["v1", "v1alpha2"], true;
    ReferenceGrant = "ReferenceGrant", "gateway.networking.k8s.io", ["v1", "v1beta1", "v1alpha2"], true;
    ListenerPolicy = "ListenerPolicy", "ringgate.io", ["v1alpha1"], true;
    BackendPolicy = "BackendPolicy", "ringgate.io", ["v1alpha1"], true;
    BackendTlsPolicy = "BackendTLSPolicy", "gateway.networking.k8s.io", ["v1", "v1alpha3"], true;
    GatewayParameters = "GatewayParameters", "ringgate.io", ["v1alpha1"], true;
    AddressPool = "AddressPool", "ringgate.io", ["v1alpha1"], false;
    Namespace = "Namespace", "", ["v1"], false;
    Service = "Service", "", ["v1"], true;
    EndpointSlice = "EndpointSlice", "discovery.k8s.io", ["v1", "v1beta1"], true;
    Secret = "Secret", "", ["v1"], true;
    ConfigMap = "ConfigMap", "", ["v1"], true;
    ClusterTrustBundle = "ClusterTrustBundle", "certificates.k8s.io", ["v1", "v1beta1", "v1alpha1"], false;
}

impl ObjectKind {
    /// Whether objects of it attach to listeners.
    #[must_use]
    pub const fn is_route(self) -> bool {
        matches!(
            self,
            Self::HttpRoute | Self::GrpcRoute | Self::TlsRoute | Self::TcpRoute | Self::UdpRoute
        )
    }

    /// Whether objects of it have targets (GEP-713).
    #[must_use]
    pub const fn is_policy(self) -> bool {
        matches!(
            self,
            Self::ListenerPolicy | Self::BackendPolicy | Self::BackendTlsPolicy
        )
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What identifies an object; ordered by kind, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub kind: ObjectKind,
    /// The namespace is empty for a kind that has none.
    pub name: ObjectName,
}

impl ObjectKey {
    #[must_use]
    pub fn new(kind: ObjectKind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            name: ObjectName::new(namespace, name),
        }
    }
}

/// `HTTPRoute default/app`, `GatewayClass ringgate`.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name.name)
        } else {
            write!(f, "{} {}", self.kind, self.name)
        }
    }
}

impl Object {
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            kind: self.kind(),
            name: self.metadata().object_name(),
        }
    }
}

impl ObjectMeta {
    /// Namespace and name; the namespace is empty for a kind that has none.
    #[must_use]
    pub fn object_name(&self) -> ObjectName {
        ObjectName {
            namespace: self.namespace.clone().unwrap_or_else(|| "".into()),
            name: self.name.clone(),
        }
    }
}
