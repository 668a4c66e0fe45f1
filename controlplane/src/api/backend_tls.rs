//! BackendTLSPolicy (Gateway API v1.7.0), and ClusterTrustBundle, which it may name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::certificate::{Bundle, Derived, Flaw};
use super::choice::choice;
use super::meta::ObjectMeta;
use super::reference::{LocalObjectReference, PolicyTarget};
use super::text::{AbsoluteUri, AnnotationValue, HostPattern, PreciseHostname};

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BackendTlsPolicy {
    pub metadata: ObjectMeta,
    pub spec: BackendTlsPolicySpec,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsPolicySpec {
    pub target_refs: Vec<PolicyTarget>,
    pub validation: BackendTlsValidation,
    #[serde(default)]
    pub options: BTreeMap<Arc<str>, AnnotationValue>,
}

/// BackendTLSPolicyValidation: one of both kinds of authorities.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BackendTlsValidation {
    #[serde(rename = "caCertificateRefs", default)]
    pub ca_certificate_refs: Vec<LocalObjectReference>,
    #[serde(rename = "wellKnownCACertificates")]
    pub well_known: Option<WellKnownAuthorities>,
    /// Also the server name.
    pub hostname: PreciseHostname,
    /// Empty: the certificate must be for the hostname.
    #[serde(rename = "subjectAltNames", default)]
    pub subject_alt_names: Vec<SubjectAltName>,
}

choice!(WellKnownAuthorities {
    System = "System",
});

choice!(SubjectAltNameType {
    Hostname = "Hostname",
    Uri = "URI",
});

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SubjectAltName {
    #[serde(rename = "type")]
    pub name_type: SubjectAltNameType,
    pub hostname: Option<HostPattern>,
    pub uri: Option<AbsoluteUri>,
}

/// `certificates.k8s.io`: authorities for a whole cluster.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ClusterTrustBundle {
    pub metadata: ObjectMeta,
    pub spec: ClusterTrustBundleSpec,
    #[serde(skip)]
    pub(super) authorities: Derived<Result<Bundle, Flaw>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterTrustBundleSpec {
    pub signer_name: Option<Arc<str>>,
    /// In PEM.
    pub trust_bundle: Arc<str>,
}
